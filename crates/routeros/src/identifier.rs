//! Values that name things are allow-listed before they are sent: none can end a path, a query or a line.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind};

/// A slot of the Go driver has 40 characters, one of ours at most 32; more than 64 nobody was seen to have.
const SLOT_LIMIT: usize = 64;
/// Linux's own limit for a path.
const PATH_LIMIT: usize = 4096;
/// NVMe Base Specification, 4.5 "NVMe Qualified Names".
const NQN_LIMIT: usize = 223;
/// A comment is kept to what RouterOS is assumed to store whole (assumption `comment`).
const COMMENT_LIMIT: usize = 255;
/// Two prefix characters and 64 bits in decimal; RouterOS ids are short hexadecimal numbers.
const ID_LIMIT: usize = 24;

/// A RouterOS `.id`, such as `*2B` (a file's may be `**2B`): stable for a row's life, unlike its number or slot.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemId(Box<str>);

impl ItemId {
    /// The id as RouterOS writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ItemId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let digits = text.trim_start_matches('*');
        let stars = text.len() - digits.len();
        let valid = (1..=2).contains(&stars)
            && !digits.is_empty()
            && text.len() <= ID_LIMIT
            && digits.bytes().all(|b| b.is_ascii_hexdigit());
        if valid {
            Ok(Self(text.into()))
        } else {
            Err(invalid("RouterOS id", text, "`*` and hexadecimal digits"))
        }
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks a slot: a letter or digit, then letters, digits, `-`, `_` and `.`.
pub(crate) fn check_slot(slot: &str) -> Result<(), Error> {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let valid = slot.len() <= SLOT_LIMIT
        && slot.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        && slot.bytes().all(inner);
    require(valid, "slot", slot, "1 to 64 letters, digits, `-`, `_` or `.`, the first a letter or digit")
}

/// Checks a file path: segments of letters, digits, `-`, `_` and `.`, none of them `.` or `..`.
pub(crate) fn check_path(path: &str) -> Result<(), Error> {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let segment = |s: &str| !s.is_empty() && s != "." && s != ".." && s.bytes().all(inner);
    let valid = path.len() <= PATH_LIMIT && path.trim_start_matches('/').split('/').all(segment);
    require(
        valid,
        "file path",
        path,
        "segments of letters, digits, `-`, `_` or `.`, none of them `.` or `..`",
    )
}

/// Checks an NVMe qualified name.
pub(crate) fn check_nqn(nqn: &str) -> Result<(), Error> {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
    let valid = nqn.len() <= NQN_LIMIT && nqn.starts_with("nqn.") && nqn.bytes().all(inner);
    require(valid, "NQN", nqn, "`nqn.` and up to 219 letters, digits, `.`, `-`, `_` or `:`")
}

/// Checks an allow list: empty (anyone), or NQNs joined by commas.
pub(crate) fn check_allow_host_name(list: &str) -> Result<(), Error> {
    if list.is_empty() { Ok(()) } else { list.split(',').try_for_each(check_nqn) }
}

/// Checks a comment: printable ASCII.
pub(crate) fn check_comment(comment: &str) -> Result<(), Error> {
    let valid = comment.len() <= COMMENT_LIMIT && comment.bytes().all(|b| (0x20..0x7f).contains(&b));
    require(valid, "comment", comment, "at most 255 printable ASCII characters")
}

fn require(valid: bool, what: &str, value: &str, form: &str) -> Result<(), Error> {
    if valid { Ok(()) } else { Err(invalid(what, value, form)) }
}

fn invalid(what: &str, value: &str, form: &str) -> Error {
    let shown: String = value.chars().take(SLOT_LIMIT).collect();
    Error::new(ErrorKind::InvalidInput, format!("{what} {shown:?} is not allowed: it must be {form}"))
}

#[cfg(test)]
mod tests;
