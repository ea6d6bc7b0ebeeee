//! A TCP proxy before a server, to make it slow or to cut it off.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Error, Result};

/// What is read at once.
const CHUNK: usize = 64 * 1024;

/// A TCP proxy on loopback before a server. What it passes on stays encrypted: it knows bytes, not requests.
///
/// A certificate for the server's address is one for the proxy's too: only the port differs.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Each chunk of a client waits that long before it is passed on.
    delay: Duration,
    /// Nothing is passed on; connections stay.
    frozen: bool,
    /// New connections are closed at once.
    cut: bool,
    /// The proxy was dropped.
    over: bool,
    connections: Vec<TcpStream>,
    /// The proxy's own ends of its connections to the server, of those that are over too.
    ends: BTreeSet<SocketAddr>,
}

impl Proxy {
    /// A proxy before this server, on a free port of loopback. It passes everything on at once.
    ///
    /// # Errors
    /// Where it cannot listen.
    pub fn start(server: SocketAddr) -> Result<Self> {
        let failed = || Error::host("the proxy's port");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed())?;
        let address = listener.local_addr().map_err(failed())?;
        let shared = Arc::<Shared>::default();
        let own = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = own.lock();
                if state.over {
                    break;
                }
                let cut = state.cut;
                drop(state);
                if !cut && let Ok(server) = TcpStream::connect(server) {
                    // A client that was not connected sees its connection end.
                    let _ = own.connect(client, server);
                }
            }
        });
        Ok(Self { address, shared })
    }

    /// Where clients reach the server through it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether this peer, as the server sees it, is a client of this proxy; the server must not be so busy that ports
    /// come round again.
    #[must_use]
    pub fn is_peer(&self, peer: SocketAddr) -> bool {
        self.shared.lock().ends.contains(&peer)
    }

    /// From now on each piece that a client sends waits that long: a request of one piece is answered that late, a
    /// new connection twice that, for its handshake.
    pub fn delay(&self, delay: Duration) {
        self.shared.change(|state| state.delay = delay);
    }

    /// Breaks every connection, and closes new ones at once.
    pub fn cut(&self) {
        self.shared.change(State::cut);
    }

    /// Passes nothing on any more; connections stay, and nobody answers on them.
    pub fn freeze(&self) {
        self.shared.change(|state| state.frozen = true);
    }

    /// Passes everything on at once again, what was held too.
    pub fn restore(&self) {
        self.shared.change(|state| (state.delay, state.frozen, state.cut) = (Duration::ZERO, false, false));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.change(|state| {
            state.cut();
            state.over = true;
        });
        // Wakes the thread that waits for a client.
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn cut(&mut self) {
        self.cut = true;
        for connection in self.connections.drain(..) {
            // Already broken is as good.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Joins a client and the server, until either ends.
    fn connect(self: &Arc<Self>, client: TcpStream, server: TcpStream) -> std::io::Result<()> {
        let mut state = self.lock();
        state.ends.insert(server.local_addr()?);
        state.connections.push(client.try_clone()?);
        state.connections.push(server.try_clone()?);
        drop(state);
        self.pass(client.try_clone()?, server.try_clone()?, true);
        self.pass(server, client, false);
        Ok(())
    }

    /// Passes on what one side sends: a thread that reads and one that writes, so that a delay is a delay and not
    /// a lack of bandwidth.
    fn pass(self: &Arc<Self>, mut from: TcpStream, mut to: TcpStream, delayed: bool) {
        let (sender, chunks) = channel();
        let (reading, writing) = (Arc::clone(self), Arc::clone(self));
        thread::spawn(move || reading.read(&mut from, &sender, delayed));
        thread::spawn(move || {
            writing.write(&chunks, &mut to);
            // Already broken is as good.
            let _ = to.shutdown(Shutdown::Both);
        });
    }

    fn read(&self, from: &mut TcpStream, chunks: &Sender<(Instant, Vec<u8>)>, delayed: bool) {
        let mut buffer = vec![0; CHUNK];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let delay = if delayed { self.lock().delay } else { Duration::ZERO };
            if chunks.send((Instant::now() + delay, buffer[..length].to_vec())).is_err() {
                break;
            }
        }
    }

    fn write(&self, chunks: &Receiver<(Instant, Vec<u8>)>, to: &mut TcpStream) {
        for (due, bytes) in chunks {
            self.wait_until_passing(due);
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
    }

    /// Waits until the chunk's time has come and nothing is frozen; not at all where there is nothing to wait for.
    fn wait_until_passing(&self, due: Instant) {
        let mut state = self.lock();
        while !state.cut {
            let left = due.saturating_duration_since(Instant::now());
            let waits = if state.frozen { Duration::MAX } else { left.min(state.delay) };
            if waits.is_zero() {
                break;
            }
            // A day is for ever here, and no more than the system's clock can count.
            let waits = waits.min(Duration::from_secs(24 * 60 * 60));
            state = self.changed.wait_timeout(state, waits).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::io::{Read as _, Write as _};
    use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
    use std::thread;
    use std::time::{Duration, Instant};

    use super::Proxy;

    const DELAY: Duration = Duration::from_millis(150);

    /// A server that says back what it hears.
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                thread::spawn(move || std::io::copy(&mut client.try_clone().unwrap(), &mut client));
            }
        });
        address
    }

    fn ask(stream: &mut TcpStream) -> std::io::Result<Duration> {
        let start = Instant::now();
        stream.write_all(b"hello")?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer)?;
        assert_eq!(&answer, b"hello");
        Ok(start.elapsed())
    }

    #[test]
    fn a_delay_makes_answers_late_and_is_over_when_restored() {
        let proxy = Proxy::start(echo()).unwrap();
        let mut stream = TcpStream::connect(proxy.address()).unwrap();
        ask(&mut stream).unwrap();
        proxy.delay(DELAY);
        assert!(ask(&mut stream).unwrap() >= DELAY);
        proxy.delay(Duration::from_secs(1000));
        let (sender, answered) = std::sync::mpsc::channel();
        thread::spawn(move || sender.send(ask(&mut stream)));
        assert!(answered.recv_timeout(DELAY).is_err());
        proxy.restore();
        answered.recv_timeout(Duration::from_secs(60)).unwrap().unwrap();
    }

    #[test]
    fn what_is_frozen_is_held_and_comes_when_restored() {
        let proxy = Proxy::start(echo()).unwrap();
        let mut stream = TcpStream::connect(proxy.address()).unwrap();
        ask(&mut stream).unwrap();
        proxy.freeze();
        stream.set_read_timeout(Some(DELAY)).unwrap();
        assert!(ask(&mut stream).is_err());
        proxy.restore();
        stream.set_read_timeout(None).unwrap();
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"hello");
    }

    #[test]
    fn a_cut_breaks_connections_and_refuses_new_ones_until_restored() {
        let proxy = Proxy::start(echo()).unwrap();
        let mut stream = TcpStream::connect(proxy.address()).unwrap();
        ask(&mut stream).unwrap();
        proxy.cut();
        assert!(ask(&mut stream).is_err());
        assert!(TcpStream::connect(proxy.address()).and_then(|mut stream| ask(&mut stream)).is_err());
        proxy.restore();
        ask(&mut TcpStream::connect(proxy.address()).unwrap()).unwrap();
    }
}
