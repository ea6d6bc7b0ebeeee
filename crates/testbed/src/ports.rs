//! Free ports for servers.

use std::net::{IpAddr, TcpListener};
use std::ops::Range;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::{Error, Result};

/// Below the ports that Linux gives to outgoing connections (`ip_local_port_range`, from 32768): a client that tries
/// a stopped server's port again and again would be given that very port, and would connect to itself.
const PORTS: Range<u16> = 20_000..32_000;

/// `N` ports of an address that nobody listens on, and that the system gives to no outgoing connection: a server on
/// one of them can be stopped and started again.
///
/// # Errors
/// Where there are not so many.
pub fn free_ports<const N: usize>(address: IpAddr) -> Result<[u16; N]> {
    // Held until all are found, so that none is found twice.
    let mut held = Vec::with_capacity(N);
    for _ in PORTS {
        if held.len() == N {
            break;
        }
        held.extend(TcpListener::bind((address, next())));
    }
    let ports = held.iter().filter_map(|listener| Some(listener.local_addr().ok()?.port()));
    let ports: Vec<u16> = ports.collect();
    ports.try_into().map_err(|_| Error::host("free ports")(std::io::ErrorKind::AddrInUse.into()))
}

/// The next candidate. Where they begin depends on the process, so that test programs at the same time seldom meet.
fn next() -> u16 {
    static COUNT: AtomicU16 = AtomicU16::new(0);
    /// A prime, so that neighbouring process ids begin far from each other.
    const STRIDE: u32 = 2_003;
    let span = u32::from(PORTS.end - PORTS.start);
    let begin = std::process::id().wrapping_mul(STRIDE) % span;
    let offset = (begin + u32::from(COUNT.fetch_add(1, Ordering::Relaxed))) % span;
    PORTS.start + u16::try_from(offset).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::collections::BTreeSet;
    use std::net::{IpAddr, Ipv4Addr, TcpListener};

    use super::{PORTS, free_ports};

    #[test]
    fn ports_are_free_and_differ_and_are_of_no_outgoing_connection() {
        let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
        let ports: BTreeSet<u16> = free_ports::<20>(loopback).unwrap().into();
        assert_eq!(ports.len(), 20);
        for port in ports {
            assert!(PORTS.contains(&port));
            TcpListener::bind((loopback, port)).unwrap();
        }
    }
}
