//! What host and agent say to each other: one TCP connection per operation, and frames on it.
//!
//! A frame is one byte of kind, four bytes of length (big endian) and the payload. The first frame of a
//! connection is the request. After a granted [`Kind::Connect`] the connection is a plain byte stream.
//!
//! This file is compiled twice: into the library and into the agent, which has no dependencies.

use std::io::{self, Read, Write};

/// The agent's TCP port in the guest, on the management link only.
pub(crate) const AGENT_PORT: u16 = 7700;

/// No frame is longer: a peer that claims more is not one of ours.
const LONGEST_PAYLOAD: usize = 1 << 20;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Request: run the payload's first field by the shell, with the further fields as environment.
    Exec,
    /// Request: connect to the payload, `tcp:ADDRESS:PORT` or `unix:PATH`.
    Connect,
    /// To the command: bytes for its standard input; an empty payload closes it.
    Stdin,
    /// To the command: a signal's number as text, for its whole process group.
    Signal,
    /// From the command: standard output.
    Stdout,
    /// From the command: standard error.
    Stderr,
    /// The command has ended: its wait status as text. Nothing follows.
    Exit,
    /// A request is granted.
    Granted,
    /// A request failed: why, as text. Nothing follows.
    Failed,
}

/// Every kind and its byte.
const KINDS: [(Kind, u8); 9] = [
    (Kind::Exec, b'X'),
    (Kind::Connect, b'C'),
    (Kind::Stdin, b'i'),
    (Kind::Signal, b's'),
    (Kind::Stdout, b'o'),
    (Kind::Stderr, b'e'),
    (Kind::Exit, b'x'),
    (Kind::Granted, b'g'),
    (Kind::Failed, b'f'),
];

/// Sends one frame.
pub(crate) fn send(to: &mut impl Write, kind: Kind, payload: &[u8]) -> io::Result<()> {
    let byte = KINDS.iter().find(|(known, _)| *known == kind).map_or(0, |(_, byte)| *byte);
    let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
    let mut frame = Vec::with_capacity(payload.len() + 5);
    frame.push(byte);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(payload);
    to.write_all(&frame)
}

/// Receives one frame; an end of file between frames is `UnexpectedEof`.
pub(crate) fn receive(from: &mut impl Read) -> io::Result<(Kind, Vec<u8>)> {
    let mut head = [0; 5];
    from.read_exact(&mut head)?;
    let kind = KINDS.iter().find(|(_, byte)| *byte == head[0]).map(|(kind, _)| *kind);
    let kind = kind.ok_or_else(|| io::Error::other(format!("frame of unknown kind {:#04x}", head[0])))?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if length > LONGEST_PAYLOAD {
        return Err(io::Error::other(format!("frame of {length} bytes")));
    }
    let mut payload = vec![0; length];
    from.read_exact(&mut payload)?;
    Ok((kind, payload))
}

/// Joins fields into one payload; fields hold no NUL (they become arguments and environment).
#[allow(dead_code, reason = "only the host asks")]
pub(crate) fn join(fields: &[String]) -> Vec<u8> {
    fields.join("\0").into_bytes()
}

/// The fields of a payload made by [`join`].
#[allow(dead_code, reason = "only the agent answers")]
pub(crate) fn split(payload: &[u8]) -> Vec<String> {
    payload.split(|byte| *byte == 0).map(|field| String::from_utf8_lossy(field).into_owned()).collect()
}
