//! Ports of the host that lead into a guest.

use std::io::{self, copy};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use super::machine::Machine;
use crate::wire::{self, Kind};
use crate::{Error, Result};

/// How long the guest may take to open the connection on its side.
const DEADLINE: Duration = Duration::from_secs(30);

/// A port of the host's loopback that leads into a guest, over reboots too, until it is dropped.
///
/// A connection that the guest does not take is closed at once.
#[derive(Debug)]
pub struct Forward {
    address: SocketAddr,
    closed: Arc<AtomicBool>,
}

impl Forward {
    pub(super) fn new(machine: &Arc<Machine>, target: String) -> Result<Self> {
        let listen = || -> io::Result<(TcpListener, SocketAddr)> {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) = listen().map_err(Error::host("a port of the loopback"))?;
        let closed = Arc::new(AtomicBool::new(false));
        let (machine, closing) = (Arc::downgrade(machine), Arc::clone(&closed));
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if closing.load(Ordering::SeqCst) {
                    break;
                }
                let (machine, target) = (Weak::clone(&machine), target.clone());
                // Dropped, the connection is closed: that is how the other side learns of a failure.
                thread::spawn(move || {
                    machine
                        .upgrade()
                        .map(|machine| open(&machine, &target))
                        .map(|peer| join(&connection, peer))
                });
            }
        });
        Ok(Self { address, closed })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

pub(super) fn open(machine: &Machine, target: &str) -> Result<TcpStream> {
    let mut peer = machine.connect()?;
    let mut ask = || -> io::Result<()> {
        peer.set_read_timeout(Some(DEADLINE))?;
        wire::send(&mut peer, Kind::Connect, target.as_bytes())?;
        match wire::receive(&mut peer)? {
            (Kind::Granted, _) => peer.set_read_timeout(None),
            (_, reason) => Err(io::Error::other(String::from_utf8_lossy(&reason).into_owned())),
        }
    };
    ask().map_err(|source| machine.agent_error(target, source))?;
    Ok(peer)
}

/// Copies both ways until both have ended.
fn join(connection: &TcpStream, peer: Result<TcpStream>) -> io::Result<()> {
    let peer = peer.map_err(io::Error::other)?;
    connection.set_nodelay(true)?;
    thread::scope(|scope| {
        for (from, to) in [(connection, &peer), (&peer, connection)] {
            scope.spawn(move || {
                let _ = copy(&mut &*from, &mut &*to);
                let _ = to.shutdown(Shutdown::Write);
            });
        }
    });
    Ok(())
}
