//! The API server's way to nodes and pods that this machine cannot reach: an HTTP proxy on a Unix socket, which the
//! API server asks to `CONNECT` (Kubernetes: egress selector, `HTTPConnect`).

use std::fmt;
use std::io::{self, Read as _, Write as _, copy};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::{Error, Result};

/// The longest head of a request that is read: the API server's has some hundred bytes.
const LONGEST_HEAD: usize = 8 * 1024;
/// How long a request's head may take: both ends are on this machine.
const HEAD: Duration = Duration::from_secs(10);

/// How a connection to an address is made.
pub type Dial = dyn Fn(SocketAddr) -> io::Result<TcpStream> + Send + Sync;

/// A proxy on [`ControlPlane::egress_socket`](crate::ControlPlane::egress_socket). It ends when this is dropped;
/// connections that it has made go on until their ends.
pub struct Egress {
    socket: PathBuf,
    over: Arc<AtomicBool>,
}

impl Egress {
    /// Serves on this socket, with connections made by `dial`.
    ///
    /// # Errors
    /// Where it cannot listen.
    pub fn start(socket: &Path, dial: Arc<Dial>) -> Result<Self> {
        let listener = UnixListener::bind(socket).map_err(Error::host(socket.display().to_string()))?;
        let over = Arc::<AtomicBool>::default();
        let ending = Arc::clone(&over);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if ending.load(Ordering::SeqCst) {
                    break;
                }
                let dial = Arc::clone(&dial);
                // A client whose request was none, or has no way, sees its connection end.
                thread::spawn(move || serve(&client, &*dial));
            }
        });
        Ok(Self { socket: socket.to_owned(), over })
    }
}

impl fmt::Debug for Egress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Egress").field(&self.socket).finish()
    }
}

impl Drop for Egress {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a client.
        let _ = UnixStream::connect(&self.socket);
    }
}

fn serve(mut client: &UnixStream, dial: &Dial) -> io::Result<()> {
    client.set_read_timeout(Some(HEAD))?;
    let head = read_head(client)?;
    let target = target(&head).ok_or_else(|| io::Error::other(format!("no CONNECT: {head}")))?;
    match dial(target) {
        Ok(server) => {
            client.set_read_timeout(None)?;
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
            join(client, &server);
            Ok(())
        }
        Err(error) => {
            let said = error.to_string().replace(['\r', '\n'], " ");
            client.write_all(format!("HTTP/1.1 502 {said}\r\n\r\n").as_bytes())
        }
    }
}

/// Up to the empty line and not a byte further: what follows is the server's.
fn read_head(mut client: &UnixStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < LONGEST_HEAD {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn target(head: &str) -> Option<SocketAddr> {
    let (address, _) = head.strip_prefix("CONNECT ")?.split_once(' ')?;
    address.parse().ok()
}

/// Copies both ways until both have ended.
fn join(client: &UnixStream, server: &TcpStream) {
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = copy(&mut &*client, &mut &*server);
            let _ = server.shutdown(Shutdown::Write);
        });
        let _ = copy(&mut &*server, &mut &*client);
        let _ = client.shutdown(Shutdown::Write);
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;
    use std::thread;

    use super::Egress;

    const NODE: &str = "10.77.0.2:10250";

    fn ask(line: &str, further: &str, dial: Arc<super::Dial>) -> String {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("egress.sock");
        let _egress = Egress::start(&socket, dial).unwrap();
        let mut client = UnixStream::connect(&socket).unwrap();
        client.write_all(format!("{line}\r\nHost: node\r\n\r\n{further}").as_bytes()).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn a_connection_is_made_to_the_address_that_was_asked_for_and_carries_both_ways() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let echo = thread::spawn(move || {
            let (mut server, _) = listener.accept().unwrap();
            std::io::copy(&mut server.try_clone().unwrap(), &mut server).unwrap();
        });
        let dial = move |to: SocketAddr| {
            assert_eq!(to, NODE.parse().unwrap());
            TcpStream::connect(address)
        };
        assert_eq!(
            ask(&format!("CONNECT {NODE} HTTP/1.1"), "hello", Arc::new(dial)),
            "HTTP/1.1 200 OK\r\n\r\nhello"
        );
        echo.join().unwrap();
    }

    #[test]
    fn what_has_no_way_is_answered_with_the_reason_and_what_is_no_connect_not_at_all() {
        let refuse = || Arc::new(|_: SocketAddr| Err(std::io::Error::other("no such node")));
        let answer = ask(&format!("CONNECT {NODE} HTTP/1.1"), "", refuse());
        assert_eq!(answer, "HTTP/1.1 502 no such node\r\n\r\n");
        assert_eq!(ask("GET / HTTP/1.1", "", refuse()), "");
        assert_eq!(ask("CONNECT node:10250 HTTP/1.1", "", refuse()), "");
    }
}
