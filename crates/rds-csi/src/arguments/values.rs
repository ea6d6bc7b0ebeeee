//! Texts of the command line that have no parser in another crate.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use csi_controller::{PodsUnreadable, PoolReserve};
use volume::{Fencing, NodeId};

/// The forms of [`fencing`], for the help.
pub(super) const FENCING_VALUES: &str = "generation|host-nqn|off";

/// CSI specification, `GetPluginInfoResponse.name`: at most 63 characters.
const LONGEST_DRIVER_NAME: usize = 63;

/// A driver's name in domain notation.
#[derive(Clone, Debug)]
pub(crate) struct DriverName(String);

/// Where to listen, if at all.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ListenAddress {
    Off,
    At(SocketAddr),
}

impl FromStr for DriverName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
        let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = text.as_bytes();
        let fits = text.len() <= LONGEST_DRIVER_NAME
            && text.bytes().all(plain)
            && edge(bytes.first())
            && edge(bytes.last());
        fits.then(|| Self(text.to_owned())).ok_or_else(|| {
            format!(
                "expected letters, digits, '.' and '-', at most {LONGEST_DRIVER_NAME}, as in rds.example.org"
            )
        })
    }
}

impl fmt::Display for DriverName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        text.parse().map(Self::At).map_err(|_| "expected ip:port, as in 0.0.0.0:9809, or off".into())
    }
}

pub(super) fn fencing(text: &str) -> Result<Fencing, String> {
    match text {
        "generation" => Ok(Fencing::Generation),
        "host-nqn" => Ok(Fencing::HostNqn),
        "off" => Ok(Fencing::Off),
        _ => Err(format!("expected {FENCING_VALUES}")),
    }
}

pub(super) fn node_name(text: &str) -> Result<NodeId, String> {
    NodeId::of_node(text).ok_or_else(|| "expected the name of a Node: a-z, 0-9, '.' and '-'".into())
}

pub(super) fn absolute_path(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err("expected an absolute path".into()) }
}

/// `90s`, `500ms` or `2m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let milliseconds = match unit {
        "ms" => Some(1),
        "s" => Some(1000),
        "m" => Some(60_000),
        _ => None,
    };
    milliseconds
        .and_then(|unit| number?.checked_mul(unit))
        .map(Duration::from_millis)
        .ok_or_else(|| "expected a number with ms, s or m, as in 5s".into())
}

/// How often something is done: a time above 0, without which it would be done without a pause.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    let asked = duration(text)?;
    if asked.is_zero() { Err("expected a time above 0, as in 15s".into()) } else { Ok(asked) }
}

/// `1073741824`, `1024Mi`, `1Gi`.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let unit: Option<u64> = match unit {
        "" => Some(1),
        "Ki" => Some(1 << 10),
        "Mi" => Some(1 << 20),
        "Gi" => Some(1 << 30),
        "Ti" => Some(1 << 40),
        _ => None,
    };
    unit.and_then(|unit| number?.checked_mul(unit))
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| "expected bytes, or a number with Ki, Mi, Gi or Ti, as in 16Ti".into())
}

/// `5`, in percent.
pub(super) fn pool_reserve(text: &str) -> Result<PoolReserve, String> {
    let percent = text.parse().ok().and_then(PoolReserve::percent);
    percent.ok_or_else(|| format!("expected percent, 0 to {}", PoolReserve::LARGEST))
}

pub(super) fn pods_unreadable(text: &str) -> Result<PodsUnreadable, String> {
    match text {
        "refuse" => Ok(PodsUnreadable::Refuse),
        "allow" => Ok(PodsUnreadable::Allow),
        _ => Err("expected refuse or allow".into()),
    }
}

fn split(text: &str) -> (Option<u64>, &str) {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    (text[..digits].parse().ok(), &text[digits..])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn durations_and_sizes_need_a_unit_that_is_known() {
        assert_eq!(duration("5s").unwrap(), Duration::from_secs(5));
        assert_eq!(duration("250ms").unwrap(), Duration::from_millis(250));
        assert_eq!(duration("2m").unwrap(), Duration::from_secs(120));
        for text in ["", "5", "s", "-5s", "5 s", "5h", "5S", "99999999999999999999s", "18446744073709551615m"]
        {
            assert!(duration(text).is_err(), "{text:?}");
        }
        for text in ["0s", "0ms", "00m", "15"] {
            assert!(interval(text).is_err(), "{text:?}");
        }
        assert_eq!(interval("1ms").unwrap(), Duration::from_millis(1));
        assert_eq!(bytes("1073741824").unwrap(), bytes("1Gi").unwrap());
        assert_eq!(bytes("16Ti").unwrap(), 16 << 40);
        for text in ["", "Gi", "0", "0Gi", "-1", "1G", "1.5Gi", "99999999Ti"] {
            assert!(bytes(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_driver_name_is_a_domain_name() {
        for text in ["rds.csi.srvlab.io", "a", "A-1.b"] {
            assert_eq!(text.parse::<DriverName>().unwrap().to_string(), text);
        }
        for text in ["", ".a", "a-", "a/b", "a b", "ä", &"a".repeat(64)] {
            assert!(text.parse::<DriverName>().is_err(), "{text:?}");
        }
    }
}
