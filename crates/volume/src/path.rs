//! Where images lie on the device.

use std::fmt;

use thiserror::Error;

use crate::Slot;

/// RouterOS states no limit; this one keeps a path within one console line.
const MAX_PATH: usize = 128;

/// A directory on the device below which images are made: absolute, of plain segments.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BasePath(String);

/// Not a base path.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no base path: expected /pool[/directory…] of letters, digits, '.', '_' and '-'")]
pub struct PathError(String);

impl BasePath {
    /// Checks a base path; a trailing slash is dropped.
    ///
    /// # Errors
    /// Where it is relative, too long, or has an empty, hidden, `.`, `..` or unplain segment.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let trimmed = text.strip_suffix('/').unwrap_or(text);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let segment = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(plain);
        let fits = trimmed.len() <= MAX_PATH
            && trimmed.strip_prefix('/').is_some_and(|rest| rest.split('/').all(segment));
        fits.then(|| Self(trimmed.to_owned())).ok_or_else(|| PathError(text.chars().take(200).collect()))
    }

    /// The image of a volume: `<base>/<slot>.img`, as the Go driver has it.
    #[must_use]
    pub fn image(&self, slot: &Slot) -> String {
        format!("{}/{slot}.img", self.0)
    }

    /// The first segment: the mount point of the pool.
    #[must_use]
    pub fn pool(&self) -> &str {
        self.0[1..].split('/').next().unwrap_or_default()
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BasePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn only_plain_absolute_paths_are_base_paths() {
        assert_eq!(BasePath::parse("/raid10/csi/").unwrap().as_str(), "/raid10/csi");
        assert_eq!(BasePath::parse("/raid10/csi").unwrap().pool(), "raid10");
        for text in ["", "/", "raid10", "//a", "/a//b", "/a/../b", "/a/.b", "/a b", "/a\"b", "/a\n", "/a$b"] {
            assert!(BasePath::parse(text).is_err(), "{text:?}");
        }
    }
}
