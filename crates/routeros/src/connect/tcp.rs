//! TCP connections that end at once when dropped, and that notice a peer that is gone.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// How long one of a name's addresses may take: three of them fit into a call's 15 s.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long sent bytes may stay unacknowledged before the kernel gives the connection up. Without it a device
/// that lost its power holds a connection for a quarter of an hour.
const USER_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects to the first of a host's addresses that answers.
pub(super) async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in lookup_host((host, port)).await? {
        match attempt(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn attempt(address: SocketAddr) -> io::Result<TcpStream> {
    let connecting = timeout(CONNECT_TIMEOUT, TcpStream::connect(address));
    let stream = connecting
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no answer to the connect"))??;
    stream.set_nodelay(true)?;
    // A connection is dropped idle or at its deadline. In neither case may the kernel go on delivering what is
    // queued: a request that was given up must not reach the device after its successor (attachments.md, Writes).
    stream.set_zero_linger()?;
    SockRef::from(&stream).set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok(stream)
}
