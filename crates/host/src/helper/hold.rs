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
    let mut holder = Holder { file, request, device, untold: None };
    for stream in listener.incoming() {
        // One caller that hangs up early changes nothing for the next.
        if stream.and_then(|stream| holder.serve(&stream)).unwrap_or(false) {
            break;
        }
    }
    Ok(())
}

/// An open device.
struct Holder<'a> {
    file: File,
    request: &'a Request,
    device: &'a Device,
    /// The loss that a flush told, until somebody was answered it: this descriptor is told it once.
    untold: Option<Error>,
}

fn begin(request: &Request, device: &Device) -> Result<(File, UnixListener)> {
    let unnamed = || Error::new(ErrorKind::Malformed, "a hold without a socket");
    let path = request.socket.as_deref().ok_or_else(unnamed)?;
    let file = open(&request.roots, device, PLAIN)?;
    let listener = UnixListener::bind(path).map_err(|error| Error::io("listen at", path, &error))?;
    Ok((file, listener))
}

impl Holder<'_> {
    /// Answers one caller; whether the device was let go.
    fn serve(&mut self, stream: &UnixStream) -> io::Result<bool> {
        let mut line = String::new();
        BufReader::new(stream.take(MAX_REQUEST)).read_line(&mut line)?;
        let asked: Op = serde_json::from_str(&line)?;
        let Op::Hold { device: wanted, .. } = asked else { return self.release(stream) };
        let answer = match wanted == *self.device {
            true => Ok(Output::Done),
            false => Err(Error::new(ErrorKind::Busy, format!("{} is held for that path", self.device))),
        };
        write_answer(stream, answer)?;
        Ok(false)
    }

    fn release(&mut self, stream: &UnixStream) -> io::Result<bool> {
        let flushed = self.flush();
        // What cannot be told is not gone.
        let is_gone = || matches!(is_there(&self.request.roots.sys, self.device), Ok(false));
        let let_go = flushed.is_ok() || is_gone();
        self.untold = self.untold.take().or(flushed.err());
        if let (true, Some(path)) = (let_go, &self.request.socket) {
            // Before the answer, so that the next hold for this path finds no socket of ours.
            std::fs::remove_file(path)?;
        }
        let told = write_answer(stream, self.untold.clone().map_or(Ok(Output::Done), Err));
        if told.is_ok() {
            self.untold = None;
        }
        // Who has let go ends, whoever heard of it.
        told.or_else(|error| if let_go { Ok(()) } else { Err(error) })?;
        Ok(let_go)
    }

    fn flush(&self) -> Result<()> {
        let path = || self.request.roots.device(self.device);
        self.file.sync_all().map_err(|error| unwritten("fsync", &path(), &error))
    }
}
