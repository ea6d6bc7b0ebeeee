//! Which lines are logged.

use std::str::FromStr;

use tracing::level_filters::LevelFilter;

/// `info`, or `info,routeros=debug`, in capitals or not. tracing takes a word that is no level for a module's name, and then
/// logs next to nothing.
#[derive(Clone, Debug)]
pub(crate) struct LogFilter(String);

impl LogFilter {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = text.split(',').all(is_known);
        known.then(|| Self(text.to_owned())).ok_or_else(|| {
            "expected error, warn, info, debug, trace or off, or that of a module, as in info,routeros=debug".into()
        })
    }
}

/// `level` or `module=level`.
fn is_known(part: &str) -> bool {
    let part = part.trim();
    let (module, level) = part.split_once('=').map_or((None, part), |(module, level)| (Some(module), level));
    let names = |module: &str| !module.is_empty() && module.bytes().all(is_of_a_module);
    module.is_none_or(names) && !level.is_empty() && level.parse::<LevelFilter>().is_ok()
}

fn is_of_a_module(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_:".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_one_that_there_is_alone_or_of_a_module() {
        for text in ["info", "INFO", "off", "info, routeros=debug", "csi_controller::watch=trace,warn"] {
            assert!(text.parse::<LogFilter>().is_ok(), "{text:?}");
        }
        for text in ["", "loud", "inof", "info,", "routeros", "=debug", "routeros=loud", "a=b=info"] {
            assert!(text.parse::<LogFilter>().is_err(), "{text:?}");
        }
    }
}
