//! RouterOS versions, ordered.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind};

/// How finished a version is, in release order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// `7.25_ab…` or `alpha`: a nightly build, before anything with a number.
    Development,
    /// `7.21beta2`
    Beta(u16),
    /// `7.23rc1`
    ReleaseCandidate(u16),
    /// `7.24.4`
    Release,
}

/// A RouterOS version, such as `7.24.4 (stable)` or `7.21beta2`; versions compare in the order of their release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RouterOsVersion {
    /// 7
    pub major: u16,
    /// 24
    pub minor: u16,
    /// 4, or 0 if not stated.
    pub patch: u16,
    /// Release or before.
    pub stage: Stage,
}

impl RouterOsVersion {
    /// The oldest version that this client works with: `nvme-tcp-server-nqn` came with it (routeros.md §6).
    pub const FLOOR: Self = Self { major: 7, minor: 21, patch: 0, stage: Stage::Release };
}

impl Ord for RouterOsVersion {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let key = |v: &Self| (v.major, v.minor, v.patch, v.stage);
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for RouterOsVersion {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl FromStr for RouterOsVersion {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text.split_whitespace().next().unwrap_or_default()).ok_or_else(|| {
            let shown: String = text.chars().take(40).collect();
            Error::new(ErrorKind::Malformed, format!("{shown:?} is not a RouterOS version"))
        })
    }
}

fn parse(text: &str) -> Option<RouterOsVersion> {
    let (major, rest) = number(text)?;
    let (minor, rest) = number(rest.strip_prefix('.')?)?;
    let (patch, rest) = match rest.strip_prefix('.') {
        Some(rest) => number(rest)?,
        None => (0, rest),
    };
    Some(RouterOsVersion { major, minor, patch, stage: stage(rest)? })
}

fn stage(suffix: &str) -> Option<Stage> {
    let numbered = |prefix: &str| suffix.strip_prefix(prefix).and_then(|n| n.parse().ok());
    if suffix.is_empty() {
        Some(Stage::Release)
    } else if suffix.starts_with(['_', '-', '+']) || suffix.starts_with("alpha") {
        Some(Stage::Development)
    } else {
        numbered("beta").map(Stage::Beta).or_else(|| numbered("rc").map(Stage::ReleaseCandidate))
    }
}

fn number(text: &str) -> Option<(u16, &str)> {
    let end = text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

impl fmt::Display for RouterOsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        if self.patch != 0 {
            write!(f, ".{}", self.patch)?;
        }
        match self.stage {
            Stage::Development => f.write_str("alpha"),
            Stage::Beta(n) => write!(f, "beta{n}"),
            Stage::ReleaseCandidate(n) => write!(f, "rc{n}"),
            Stage::Release => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
