//! A burst: operations of one volume in a row, answered one by one by the same process.
//!
//! Starting a process costs more than most operations do. The burst ends with the driver's end of the
//! socket: at once where the helper waits, after its operation where it works. That answer is then left in its
//! file for the next driver.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use crate::protocol::{Request, TURN, write_answer};

use super::perform;

/// No request is larger: the largest write is 1 MiB, as numbers.
const MAX_REQUEST: u64 = 16 << 20;

/// For an answer without bytes, an error's words included.
const ROOM: u64 = 4096;

/// Reads what stdin holds now.
pub(super) fn read_request() -> io::Result<Request> {
    // No buffer between: the file is written anew for every request.
    let mut stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    stdin.rewind()?;
    let mut text = Vec::new();
    stdin.take(MAX_REQUEST).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// Answers the first request and those that follow it.
pub(super) fn serve(first: &Request) -> io::Result<()> {
    let mut driver = UnixStream::from(io::stdout().as_fd().try_clone_to_owned()?);
    answer(first)?;
    while next(&mut driver) {
        answer(&read_request()?)?;
    }
    Ok(())
}

/// Says that it has answered, and waits for more; false where the driver has gone or wants none.
fn next(driver: &mut UnixStream) -> bool {
    driver.write_all(&[TURN]).and_then(|()| driver.read_exact(&mut [0])).is_ok()
}

fn answer(request: &Request) -> io::Result<()> {
    let Some(path) = &request.answer else {
        return Err(io::Error::other("a request without an answer's place"));
    };
    let file = File::create(path)?;
    // On a full disk nothing is begun: what came of it could not be told, and a loss is told once.
    // Some file systems cannot tell, and may have the room all the same.
    let room = rustix::fs::fallocate(&file, FallocateFlags::KEEP_SIZE, 0, ROOM);
    if let Err(full @ (Errno::NOSPC | Errno::DQUOT)) = room {
        return Err(full.into());
    }
    write_answer(file, perform(&request.roots, &request.op))
}
