//! RouterOS versions and what appeared when (routeros.md §6, from `/console/inspect` trees).

use std::fmt;
use std::str::FromStr;

/// A RouterOS version such as `7.24.4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// 7 for every version with this REST interface.
    pub major: u16,
    /// The release.
    pub minor: u16,
    /// The fix of a release; 0 is not printed.
    pub patch: u16,
}

/// Not a version number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a RouterOS version such as 7.24 or 7.24.4")]
pub struct VersionError(String);

impl Version {
    /// The version that the captures were taken on.
    pub const LATEST: Self = Self { major: 7, minor: 24, patch: 4 };

    /// `7.minor`.
    pub const fn seven(minor: u16) -> Self {
        Self { major: 7, minor, patch: 0 }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        if self.patch > 0 { write!(f, ".{}", self.patch) } else { Ok(()) }
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || VersionError(text.to_owned());
        let mut parts = text.split('.').map(|part| part.parse::<u16>().map_err(|_| wrong()));
        let major = parts.next().ok_or_else(wrong)??;
        let minor = parts.next().ok_or_else(wrong)??;
        let patch = parts.next().transpose()?.unwrap_or(0);
        if parts.next().is_some() { Err(wrong()) } else { Ok(Self { major, minor, patch }) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn versions_are_read_printed_and_ordered_by_number() {
        for text in ["7.9", "7.20", "7.24.4"] {
            assert_eq!(text.parse::<Version>().unwrap().to_string(), text);
        }
        assert!("7.9".parse::<Version>().unwrap() < Version::seven(21));
        for wrong in ["", "7", "7.x", "7.1.2.3", "7.24beta1"] {
            assert!(wrong.parse::<Version>().is_err(), "{wrong}");
        }
    }
}
