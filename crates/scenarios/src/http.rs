//! One HTTP request to a port of loopback: metrics, the simulator's control port.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// Both answer from memory, but for a reboot, which is answered when it is over.
const ANSWER: Duration = Duration::from_secs(180);

/// Sends one and answers the body.
///
/// # Errors
/// Where nobody answers, or another status than 200 comes.
pub fn request(address: SocketAddr, method: &str, path: &str, body: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("connect to {address}"))?;
    stream.set_read_timeout(Some(ANSWER))?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).with_context(|| format!("{method} {path} of {address}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a body")?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{method} {path}: {head}\n{body}");
    Ok(body.to_owned())
}
