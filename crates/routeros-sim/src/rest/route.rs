//! Paths: `/rest/<menu>[/<item or command>]`, with `*` literal and everything else percent-decoded.

use crate::menu::Menu;

use super::Answer;

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) menu: Menu,
    /// An id or name; with POST a command.
    pub(super) item: Option<String>,
}

/// The menu and item of a path, or the answer to one that leads nowhere.
pub(super) fn route(path: &str) -> Result<Route, Answer> {
    let mut segments = path.trim_end_matches('/').split('/').skip(1);
    if segments.next() != Some("rest") {
        return Err(Answer::plain_error(404));
    }
    let segments: Vec<&str> = segments.collect();
    let (depth, menu) = Menu::ALL
        .iter()
        .filter(|(names, _)| segments.starts_with(names))
        .map(|(names, menu)| (names.len(), *menu))
        .max_by_key(|(depth, _)| *depth)
        .ok_or_else(|| unknown(segments.first().copied().unwrap_or_default()))?;
    match segments[depth..] {
        [] => Ok(Route { menu, item: None }),
        // The device takes an encoded asterisk for the beginning of a command (S, troubleshooting table).
        [item] if item.to_ascii_uppercase().starts_with("%2A") => {
            Err(Answer::error(400, "no such command prefix"))
        }
        [item] => Ok(Route { menu, item: Some(decoded(item)) }),
        [_, beyond, ..] => Err(unknown(beyond)),
    }
}

fn unknown(name: &str) -> Answer {
    Answer::error(400, &format!("no such command or directory ({})", decoded(name)))
}

/// The `name=value` filters of a query string, and its `.proplist`.
pub(super) fn filters(query: &str) -> (Vec<(String, String)>, Option<Vec<String>>) {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let decoded_pairs = pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    });
    let (proplist, filters): (Vec<_>, Vec<_>) = decoded_pairs.partition(|(name, _)| name == ".proplist");
    let names = proplist.first().map(|(_, names)| names.split(',').map(str::to_owned).collect());
    (filters, names)
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex =
            after.get(..2).filter(|_| first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match hex.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn paths_lead_to_menus_items_and_commands() {
        let cases = [
            ("/rest/disk", Menu::Disk, None),
            ("/rest/disk/", Menu::Disk, None),
            ("/rest/disk/*2B", Menu::Disk, Some("*2B")),
            ("/rest/file/raid10%2Fx.img", Menu::File, Some("raid10/x.img")),
            ("/rest/file/**a1", Menu::File, Some("**a1")),
            ("/rest/user/admin", Menu::User, Some("admin")),
            ("/rest/user/group", Menu::Group, None),
            ("/rest/system/identity/set", Menu::Identity, Some("set")),
        ];
        for (path, menu, item) in cases {
            let expected = Route { menu, item: item.map(str::to_owned) };
            assert_eq!(route(path).unwrap(), expected, "{path}");
        }
    }

    #[test]
    fn paths_that_lead_nowhere_are_told_apart() {
        let cases = [
            ("/", Answer::plain_error(404)),
            ("/rest/disk/%2A2B", Answer::error(400, "no such command prefix")),
            ("/rest/dsk", Answer::error(400, "no such command or directory (dsk)")),
            ("/rest/system/nothing", Answer::error(400, "no such command or directory (system)")),
        ];
        for (path, expected) in cases {
            assert_eq!(route(path).unwrap_err(), expected, "{path}");
        }
    }

    #[test]
    fn filters_are_decoded_and_the_proplist_is_none_of_them() {
        let (filters, proplist) = filters("slot=a%20b&type=file&.proplist=slot,size");
        assert_eq!(filters, [("slot".into(), "a b".into()), ("type".into(), "file".into())]);
        assert_eq!(proplist.unwrap(), ["slot", "size"]);
    }
}
