//! The helper process: one operation that may hang, and its answer.
//!
//! A helper is this very binary executed again. It reads its request from stdin, which is a locked
//! file, and keeps it open to its end; the tools that it starts inherit it. So the lock ends with the last of them.

mod block;
mod filesystem;
mod hold;
mod mount;
mod nvme;
mod tool;
mod uevent;

use std::ffi::OsString;
use std::io::Read;
use std::process::ExitCode;

use crate::op::{Op, Output};
use crate::protocol::{Request, Roots, write_answer};
use crate::{Error, ErrorKind, Result};

/// No request is larger: the largest write is 1 MiB, as numbers.
const MAX_REQUEST: u64 = 16 << 20;

/// The main function of `rds-csi helper …`. The arguments only tell people what the process does.
///
/// Success means that an answer was given, not that the operation succeeded.
#[must_use]
pub fn helper_main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let _for_people: Vec<OsString> = arguments.into_iter().collect();
    let request = match read_request() {
        Ok(request) => request,
        Err(error) => {
            eprintln!("a helper is started by the driver only: {error}");
            return ExitCode::from(2);
        }
    };
    let answered = match &request.op {
        Op::Hold { device, .. } => hold::hold(&request, device),
        op => write_answer(std::io::stdout().lock(), perform(&request.roots, op)),
    };
    match answered {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the answer to {} could not be given: {error}", request.op.name());
            ExitCode::FAILURE
        }
    }
}

fn read_request() -> Result<Request> {
    let refused = |text: String| Error::new(ErrorKind::Malformed, text);
    let mut text = Vec::new();
    let read = std::io::stdin().lock().take(MAX_REQUEST).read_to_end(&mut text);
    read.map_err(|error| refused(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| refused(error.to_string()))
}

fn perform(roots: &Roots, op: &Op) -> Result<Output> {
    match op {
        Op::Connect { options } => nvme::connect(roots, options),
        Op::Rescan { controller } => nvme::rescan(roots, controller),
        Op::Disconnect { nqn } => nvme::disconnect(roots, nqn),
        Op::Read { device, range } => block::read(roots, device, *range),
        Op::Scan { device, ranges } => block::scan(roots, device, ranges),
        Op::Write { device, offset, bytes } => block::write(roots, device, *offset, bytes),
        Op::IsFree { device } => block::is_free(roots, device),
        Op::Flush { device } => block::flush(roots, device),
        Op::Mkfs { device, fs, uuid, bytes } => filesystem::mkfs(roots, device, *fs, uuid, *bytes),
        Op::Grow { device, mountpoint, fs } => filesystem::grow(roots, device, mountpoint, *fs),
        Op::Sync { mountpoint } => filesystem::sync(mountpoint),
        Op::Usage { mountpoint } => filesystem::usage(mountpoint),
        Op::Mount { device, target, fs, options } => mount::mount(roots, device, target, *fs, options),
        Op::Bind { source, target, readonly } => mount::bind(source, target, *readonly),
        Op::Unmount { target } => mount::unmount(target),
        Op::Hold { .. } | Op::Release { .. } => {
            Err(Error::new(ErrorKind::Malformed, "not an operation that a helper answers once"))
        }
    }
}
