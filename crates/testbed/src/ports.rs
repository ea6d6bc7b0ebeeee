//! Free ports for servers.

use std::io;
use std::net::{IpAddr, TcpListener};
use std::ops::Range;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::{Error, Result};

/// Below the ports that Linux gives to outgoing connections (`ip_local_port_range`, from 32768): a client that tries
/// a stopped server's port again and again would be given that very port, and would connect to itself.
const PORTS: Range<u16> = 20_000..32_000;

/// So many are one process's: test programs run at the same time, and a port that is free when it is looked at is another's
/// before the server has it. More than any has in use at once.
const BLOCK: u16 = 400;

/// `N` ports of an address that nobody listens on, and that the system gives to no outgoing connection: a server on
/// one of them can be stopped and started again.
///
/// # Errors
/// Where there are not so many, or too many processes have some.
pub fn free_ports<const N: usize>(address: IpAddr) -> Result<[u16; N]> {
    let block = own_block().map_err(Error::host("a block of ports"))?;
    // Held until all are found, so that none is found twice.
    let mut held = Vec::with_capacity(N);
    for _ in 0..BLOCK {
        if held.len() == N {
            break;
        }
        held.extend(TcpListener::bind((address, next(&block))));
    }
    let ports = held.iter().filter_map(|listener| Some(listener.local_addr().ok()?.port()));
    let ports: Vec<u16> = ports.collect();
    ports.try_into().map_err(|_| Error::host("free ports")(io::ErrorKind::AddrInUse.into()))
}

/// The next candidate of a block, round and round.
fn next(block: &Range<u16>) -> u16 {
    static COUNT: AtomicU16 = AtomicU16::new(0);
    block.start + COUNT.fetch_add(1, Ordering::Relaxed) % BLOCK
}

/// This process's block, until it ends.
fn own_block() -> io::Result<Range<u16>> {
    static OWN: Mutex<Option<(UnixListener, Range<u16>)>> = Mutex::new(None);
    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    if own.is_none() {
        *own = Some(take_block()?);
    }
    own.as_ref().map(|(_, block)| block.clone()).ok_or_else(|| io::ErrorKind::AddrInUse.into())
}

/// The first block that no process has, marked by an abstract socket: it is of a network namespace, as ports are, leaves no
/// file, and goes with its process.
fn take_block() -> io::Result<(UnixListener, Range<u16>)> {
    for start in PORTS.step_by(BLOCK.into()) {
        let mark = SocketAddr::from_abstract_name(format!("testbed-ports-{start}"))?;
        match UnixListener::bind_addr(&mark) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            bound => return Ok((bound?, start..start + BLOCK)),
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::collections::BTreeSet;
    use std::net::{IpAddr, Ipv4Addr, TcpListener};

    use super::{PORTS, free_ports, take_block};

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

    #[test]
    fn no_block_is_given_twice_while_it_is_held() {
        let [one, other] = [take_block().unwrap(), take_block().unwrap()];
        assert_ne!(one.1, other.1);
    }
}
