//! Which lines are logged.

use std::str::FromStr;

/// As `tracing` has them.
const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// `info`, or `info,routeros=debug`. tracing takes any other word for a module's name, and then logs next to nothing.
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
            format!("expected one of {}, or that of a module, as in info,routeros=debug", LEVELS.join(", "))
        })
    }
}

/// `level` or `module=level`.
fn is_known(part: &str) -> bool {
    let (module, level) = part.split_once('=').map_or((None, part), |(module, level)| (Some(module), level));
    let names = |module: &str| !module.is_empty() && module.bytes().all(is_of_a_module);
    module.is_none_or(names) && LEVELS.contains(&level)
}

fn is_of_a_module(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_:".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_one_that_there_is_alone_or_of_a_module() {
        for text in ["info", "off", "info,routeros=debug", "csi_controller::watch=trace,warn"] {
            assert!(text.parse::<LogFilter>().is_ok(), "{text:?}");
        }
        for text in [
            "",
            "loud",
            "inof",
            "Info",
            "info,",
            "info, warn",
            "routeros",
            "=debug",
            "routeros=loud",
            "a=b=info",
        ] {
            assert!(text.parse::<LogFilter>().is_err(), "{text:?}");
        }
    }
}
