//! The helper that keeps a device open while it is published as a block (node.md rule 10).
//!
//! It answers on stdout once the device is open, and from then on to whoever connects to its socket: hold again, or release.
//! Releasing is fsync first; where that fails the device stays open, unless it is gone: nothing can be written to
//! it any more, and older kernels fail every further fsync. The end of the driver does not let go: only the driver's word does, or the end of a container that the
//! helper shares (without a cgroup of its own, ADR 8), after which the driver holds anew.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::net::{UnixListener, UnixStream};

use crate::op::{Op, Output};
use crate::protocol::{Request, write_answer};
use crate::sysfs::is_there;
use crate::{Device, Error, ErrorKind, Result};

use super::block::{PLAIN, open, unwritten};

/// A request to a holder names a device and a path.
const MAX_REQUEST: u64 = 64 << 10;

pub(super) fn hold(request: &Request, device: &Device) -> io::Result<()> {
    let (file, listener) = match begin(request, device) {
        Ok(begun) => begun,
        Err(error) => return write_answer(io::stdout().lock(), Err(error)),
    };
    write_answer(io::stdout().lock(), Ok(Output::Done))?;
    for stream in listener.incoming() {
        // One caller that hangs up early changes nothing for the next.
        if stream.and_then(|stream| serve(&stream, &file, request, device)).unwrap_or(false) {
            break;
        }
    }
    Ok(())
}

fn begin(request: &Request, device: &Device) -> Result<(File, UnixListener)> {
    let unnamed = || Error::new(ErrorKind::Malformed, "a hold without a socket");
    let path = request.socket.as_deref().ok_or_else(unnamed)?;
    let file = open(&request.roots, device, PLAIN)?;
    let listener = UnixListener::bind(path).map_err(|error| Error::io("listen at", path, &error))?;
    Ok((file, listener))
}

/// Answers one caller; whether the device was let go.
fn serve(stream: &UnixStream, file: &File, request: &Request, device: &Device) -> io::Result<bool> {
    let mut line = String::new();
    BufReader::new(stream.take(MAX_REQUEST)).read_line(&mut line)?;
    let answer = match serde_json::from_str(&line)? {
        Op::Hold { device: asked, .. } if asked == *device => Ok(Output::Done),
        Op::Hold { .. } => Err(Error::new(ErrorKind::Busy, format!("{device} is held for that path"))),
        _ => flush(file, request, device),
    };
    let is_release = !matches!(serde_json::from_str(&line)?, Op::Hold { .. });
    // What cannot be told is not gone.
    let is_gone = || matches!(is_there(&request.roots.sys, device), Ok(false));
    let let_go = is_release && (answer.is_ok() || is_gone());
    if let (true, Some(path)) = (let_go, &request.socket) {
        // Before the answer, so that the next hold for this path finds no socket of ours.
        std::fs::remove_file(path)?;
    }
    write_answer(stream, answer).or_else(|error| if let_go { Ok(()) } else { Err(error) })?;
    Ok(let_go)
}

fn flush(file: &File, request: &Request, device: &Device) -> Result<Output> {
    let flushed = file.sync_all();
    flushed.map(|()| Output::Done).map_err(|error| unwritten("fsync", &request.roots.device(device), &error))
}
