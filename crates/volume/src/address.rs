//! The data address: where a device answers NVMe/TCP.

use std::fmt;

use thiserror::Error;

/// The IANA port of NVMe/TCP I/O controllers, and RouterOS's default (routeros.md 1.11).
const DEFAULT_PORT: u16 = 4420;

/// A host name or IP address, and a TCP port. Names are resolved on the node, by us: the kernel
/// takes addresses only (node.md K11).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DataAddress {
    /// A DNS name or an IP address, without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

/// Not an address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no data address: expected host, host:port, or [IPv6]:port")]
pub struct AddressError(String);

impl DataAddress {
    /// Reads `host`, `host:port`, `[v6]`, `[v6]:port` or a bare IPv6 address.
    ///
    /// # Errors
    /// Anything else, port 0 included.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let refused = || AddressError(text.chars().take(300).collect());
        let (host, port) = split(text).ok_or_else(refused)?;
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or_else(refused)?,
        };
        Self::new(host, port).ok_or_else(refused)
    }

    /// An address of a checked host.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let is_name = (1..=253).contains(&host.len()) && host.bytes().all(plain) && !host.starts_with('-');
        let is_ip = host.parse::<std::net::IpAddr>().is_ok();
        ((is_name || is_ip) && port != 0).then(|| Self { host: host.to_owned(), port })
    }
}

fn split(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        return match port {
            "" => Some((host, None)),
            _ => Some((host, Some(port.strip_prefix(':')?))),
        };
    }
    if text.parse::<std::net::Ipv6Addr>().is_ok() {
        return Some((text, None));
    }
    Some(text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))))
}

impl fmt::Display for DataAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(formatter, "[{}]:{}", self.host, self.port),
            false => write!(formatter, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_and_addresses_with_and_without_ports_parse() {
        for (text, shown) in [
            ("rds.example", "rds.example:4420"),
            ("10.0.0.1:4421", "10.0.0.1:4421"),
            ("fd00::1", "[fd00::1]:4420"),
            ("[fd00::1]:4421", "[fd00::1]:4421"),
        ] {
            assert_eq!(DataAddress::parse(text).unwrap().to_string(), shown);
        }
        for text in ["", ":4420", "a:0", "a:b", "a b", "[fd00::1", "a,nr_io_queues=99", "a:70000"] {
            assert!(DataAddress::parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_round_trips(text in ".{0,80}") {
            if let Ok(address) = DataAddress::parse(&text) {
                prop_assert_eq!(DataAddress::parse(&address.to_string()), Ok(address));
            }
        }
    }
}
