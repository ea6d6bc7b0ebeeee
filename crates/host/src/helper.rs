//! The helper process: operations of one volume that may hang, one after the other, and their answers.
//!
//! A helper is this very binary executed again. It reads its requests from stdin, which is a locked
//! file, and keeps it open to its end; the tools that it starts inherit it. So the lock ends with the last of them.

mod block;
mod burst;
mod cgroup;
mod filesystem;
mod hold;
mod mount;
mod nvme;
mod scan;
mod sync;
mod tool;
mod uevent;

use std::ffi::OsString;
use std::process::ExitCode;

pub(crate) use uevent::Uevents;

use crate::op::{Op, Output};
use crate::protocol::Roots;
use crate::{Error, ErrorKind, Result};

/// The main function of `rds-csi helper …`. The arguments only tell people what the process does.
///
/// Success means that answers were given, not that the operations succeeded.
#[must_use]
pub fn helper_main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let _for_people: Vec<OsString> = arguments.into_iter().collect();
    let request = match burst::read_request() {
        Ok(request) => request,
        Err(error) => {
            eprintln!("a helper is started by the driver only: {error}");
            return ExitCode::from(2);
        }
    };
    request.roots.cgroup.iter().for_each(|cgroup| cgroup::join(cgroup));
    let answered = match &request.op {
        Op::Hold { device, .. } => hold::hold(&request, device),
        _ => burst::serve(&request),
    };
    match answered {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the answer to {} could not be given: {error}", request.op.name());
            ExitCode::FAILURE
        }
    }
}

fn perform(roots: &Roots, op: &Op) -> Result<Output> {
    match op {
        Op::Connect { options } => nvme::connect(roots, options),
        Op::Rescan { controller } => nvme::rescan(roots, controller),
        Op::Disconnect { nqn } => nvme::disconnect(roots, nqn),
        Op::Read { device, range } => block::read(roots, device, *range),
        Op::Scan { device, ranges } => scan::scan(roots, device, ranges),
        Op::Write { device, offset, bytes } => block::write(roots, device, *offset, bytes),
        Op::IsFree { device } => block::is_free(roots, device),
        Op::Flush { device } => block::flush(roots, device),
        Op::Mkfs { device, fs, uuid, bytes } => filesystem::mkfs(roots, device, *fs, uuid, *bytes),
        Op::Grow { device, mountpoint, fs } => filesystem::grow(roots, device, mountpoint, *fs),
        Op::Load { fs } => filesystem::load(*fs),
        Op::Sync { mountpoint } => sync::sync(mountpoint),
        Op::Check { device, mountpoint } => sync::check(device, mountpoint),
        Op::Usage { mountpoint } => filesystem::usage(mountpoint),
        Op::Mount { device, target, fs, options } => mount::mount(roots, device, target, *fs, options),
        Op::Bind { source, target, readonly } => mount::bind(source, target, *readonly),
        Op::Unmount { target } => mount::unmount(target),
        Op::Hold { .. } | Op::Release { .. } => {
            Err(Error::new(ErrorKind::Malformed, "not an operation that a helper answers once"))
        }
    }
}
