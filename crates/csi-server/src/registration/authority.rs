//! What the kubelet calls the socket, put into words that HTTP has.
//!
//! The kubelet connects by the socket's path, and its gRPC library sends that path, percent-encoded, as the `:authority` of
//! each request (Kubernetes 1.36, grpc-go 1.83: seen on the wire). No host may have a `%` (RFC 3986, 3.2.2), so that the
//! HTTP library here ends such a request with PROTOCOL_ERROR before any code of ours sees it. On CSI sockets the kubelet says
//! `localhost`, and so it does here, once each request went through [`as_localhost`].

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::UnixStream;

/// What an HTTP/2 client begins with (RFC 9113, 3.4), in bytes.
const PREFACE: usize = 24;
/// What each frame begins with (RFC 9113, 4.1), in bytes: its length in three, its type, its flags, its stream.
const FRAME_HEAD: usize = 9;
/// The longest frame that a server takes unless it says otherwise, which this one does not (RFC 9113, 4.2), in bytes.
const LONGEST_FRAME: usize = 16_384;
/// The type of frames with a block of header fields.
const HEADERS: u8 = 1;
/// Flags of such a frame, PADDED and PRIORITY, after which the block is not the whole frame. gRPC sets neither.
const NOT_WHOLE: u8 = 0x08 | 0x20;
/// `:authority` in the table of header fields that everybody has (RFC 7541, appendix A).
const AUTHORITY: usize = 1;
/// A text as header fields have it: its length, and itself.
const LOCALHOST: &[u8] = b"\x09localhost";

/// The same connection, on which every request is made to `localhost`.
pub(super) fn as_localhost(kubelet: UnixStream) -> DuplexStream {
    let (served, forwarded) = tokio::io::duplex(LONGEST_FRAME);
    tokio::spawn(async move {
        let (requests, mut answers) = kubelet.into_split();
        let (mut given, taken) = tokio::io::split(forwarded);
        // When either side has ended, so has the connection: there is nothing to say about it.
        tokio::select! {
            _ = forward(requests, taken) => {}
            _ = tokio::io::copy(&mut given, &mut answers) => {}
        }
    });
    served
}

async fn forward(
    mut from: impl AsyncRead + Unpin + Send,
    mut to: impl AsyncWrite + Unpin + Send,
) -> io::Result<()> {
    let mut preface = [0; PREFACE];
    from.read_exact(&mut preface).await?;
    to.write_all(&preface).await?;
    loop {
        let mut head = [0; FRAME_HEAD];
        from.read_exact(&mut head).await?;
        let [high, middle, low, kind, flags, ..] = head;
        let length = u32::from_be_bytes([0, high, middle, low]) as usize;
        if length > LONGEST_FRAME {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut payload = vec![0; length];
        from.read_exact(&mut payload).await?;
        if kind == HEADERS && flags & NOT_WHOLE == 0 {
            payload = with_localhost(&payload).unwrap_or(payload);
        }
        let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
        head[..3].copy_from_slice(&length.to_be_bytes()[1..]);
        to.write_all(&head).await?;
        to.write_all(&payload).await?;
    }
}

/// A block of header fields with another `:authority`; None if it spells none out. What later requests say by reference to
/// this field is then the same: whoever reads keeps what it read (RFC 7541, 2.3.2).
fn with_localhost(block: &[u8]) -> Option<Vec<u8>> {
    let mut rest = block;
    while !rest.is_empty() {
        let field = Field::first_of(rest)?;
        if let Field { name: Some(AUTHORITY), value, .. } = field {
            let before = block.len() - value.len();
            return Some([&block[..before], LOCALHOST, text(value)?].concat());
        }
        rest = field.rest;
    }
    None
}

/// A header field on the wire (RFC 7541, 6).
struct Field<'a> {
    /// Its number in the tables, if it comes with a value and its name does not.
    name: Option<usize>,
    /// The block from its value on.
    value: &'a [u8],
    /// The block after it.
    rest: &'a [u8],
}

impl<'a> Field<'a> {
    /// None of what is cut off or beyond this machine's numbers.
    fn first_of(block: &'a [u8]) -> Option<Self> {
        let (bits, has_value) = match *block.first()? {
            0x80.. => (7, false),
            0x40.. => (6, true),
            0x20.. => (5, false),
            _ => (4, true),
        };
        let (index, rest) = number(block, bits)?;
        if !has_value {
            return Some(Self { name: None, value: rest, rest });
        }
        let value = if index == 0 { text(rest)? } else { rest };
        Some(Self { name: (index != 0).then_some(index), value, rest: text(value)? })
    }
}

/// What is behind a text.
fn text(block: &[u8]) -> Option<&[u8]> {
    let (length, rest) = number(block, 7)?;
    rest.get(length..)
}

/// A number that begins in the low `bits` of the first byte (RFC 7541, 5.1), and what is behind it.
fn number(block: &[u8], bits: u32) -> Option<(usize, &[u8])> {
    let (first, mut rest) = block.split_first()?;
    let most = (1 << bits) - 1;
    let mut number = usize::from(first & most);
    if number < usize::from(most) {
        return Some((number, rest));
    }
    // Two more bytes are enough for all that fits a frame.
    for shift in [0, 7] {
        let (next, after) = rest.split_first()?;
        rest = after;
        number += usize::from(next & 0x7f) << shift;
        if next & 0x80 == 0 {
            return Some((number, rest));
        }
    }
    None
}

#[cfg(test)]
mod tests;
