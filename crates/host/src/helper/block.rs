//! Block devices in a helper: opened by name, held to their number, past the page cache.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::op::Output;
use crate::protocol::Roots;
use crate::sysfs::is_there;
use crate::{Device, Error, ErrorKind, Range, Result};

/// What direct I/O needs on every device: the largest block size that is met (node.md K16).
pub(super) const ALIGNMENT: usize = 4096;
/// The most that one read answers.
const MAX_READ: u64 = 8 << 20;

/// How a device is opened.
#[derive(Clone, Copy)]
pub(super) struct Mode {
    pub(super) write: bool,
    pub(super) flags: OFlags,
}

/// Through the page cache, only to look.
pub(super) const PLAIN: Mode = Mode { write: false, flags: OFlags::empty() };
pub(super) const DIRECT_READ: Mode = Mode { write: false, flags: OFlags::DIRECT };
const DIRECT_WRITE: Mode = Mode { write: true, flags: OFlags::DIRECT };
const EXCLUSIVE: Mode = Mode { write: false, flags: OFlags::EXCL };

/// Opens a device and refuses it where its number or its subsystem is another one's. While it is open, no
/// other device gets the number or the name.
pub(super) fn open(roots: &Roots, device: &Device, mode: Mode) -> Result<File> {
    let path = roots.device(device);
    let flags = i32::try_from(mode.flags.bits()).unwrap_or_default();
    let opened = OpenOptions::new().read(true).write(mode.write).custom_flags(flags).open(&path);
    let file = opened.map_err(|error| gone_is_missing("open", &path, &error))?;
    let metadata = file.metadata().map_err(|error| Error::io("fstat", &path, &error))?;
    let rdev = metadata.rdev();
    let number = (rustix::fs::major(rdev), rustix::fs::minor(rdev));
    if !metadata.file_type().is_block_device() || number != (device.major, device.minor) {
        let message = format!("{} is now {}:{}, not {device}", path.display(), number.0, number.1);
        return Err(Error::new(ErrorKind::Missing, message));
    }
    // Last: from the open on the number stays with what was opened.
    if device.nqn.is_some() && !is_there(&roots.sys, device)? {
        let expected = device.nqn.as_deref().unwrap_or_default();
        let message = format!("{device} is of {expected} no more: its number went to another device");
        return Err(Error::new(ErrorKind::Missing, message));
    }
    Ok(file)
}

/// ENXIO and ENODEV: the node is there, the device behind it is not.
fn gone_is_missing(what: &str, path: &Path, error: &io::Error) -> Error {
    let gone = [Errno::NXIO, Errno::NODEV].map(|errno| Some(errno.raw_os_error()));
    let mut named = Error::io(what, path, error);
    if gone.contains(&error.raw_os_error()) {
        named.kind = ErrorKind::Missing;
    }
    named
}

/// Bytes at an address that direct I/O takes.
pub(super) struct Aligned {
    memory: Vec<u8>,
    begin: usize,
    length: usize,
}

impl Aligned {
    pub(super) fn new(length: usize) -> Self {
        let memory = vec![0; length + ALIGNMENT];
        let begin = memory.as_ptr().align_offset(ALIGNMENT);
        Self { memory, begin, length }
    }

    pub(super) fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.begin..self.begin + self.length]
    }
}

pub(super) fn check_aligned(offset: u64, length: u64) -> Result<()> {
    let unit = ALIGNMENT as u64;
    if offset.is_multiple_of(unit) && length.is_multiple_of(unit) && offset.checked_add(length).is_some() {
        return Ok(());
    }
    let message = format!("{length} bytes at {offset} are not whole blocks of {ALIGNMENT}");
    Err(Error::new(ErrorKind::Malformed, message))
}

pub(super) fn read(roots: &Roots, device: &Device, range: Range) -> Result<Output> {
    check_aligned(range.offset, range.length)?;
    if range.length > MAX_READ {
        return Err(Error::new(
            ErrorKind::Malformed,
            format!("a read of {} bytes is too long", range.length),
        ));
    }
    let file = open(roots, device, DIRECT_READ)?;
    let mut buffer = Aligned::new(usize::try_from(range.length).unwrap_or_default());
    let read = file.read_exact_at(buffer.bytes(), range.offset);
    read.map_err(|error| Error::io("read", &roots.device(device), &error))?;
    Ok(Output::Bytes(buffer.bytes().to_vec()))
}

pub(super) fn write(roots: &Roots, device: &Device, offset: u64, bytes: &[u8]) -> Result<Output> {
    check_aligned(offset, bytes.len() as u64)?;
    let path = roots.device(device);
    let file = open(roots, device, DIRECT_WRITE)?;
    let mut buffer = Aligned::new(bytes.len());
    buffer.bytes().copy_from_slice(bytes);
    file.write_all_at(buffer.bytes(), offset).map_err(|error| Error::io("write", &path, &error))?;
    file.sync_all().map_err(|error| Error::io("fsync", &path, &error))?;
    Ok(Output::Done)
}

pub(super) fn flush(roots: &Roots, device: &Device) -> Result<Output> {
    let file = open(roots, device, PLAIN)?;
    file.sync_all().map_err(|error| unwritten("fsync", &roots.device(device), &error))?;
    Ok(Output::Done)
}

/// What a sync said: the loss of something, whatever the errno.
pub(super) fn unwritten(what: &str, path: &Path, error: &io::Error) -> Error {
    Error { kind: ErrorKind::Unwritten, ..Error::io(what, path, error) }
}

pub(super) fn is_free(roots: &Roots, device: &Device) -> Result<Output> {
    // Open first without a claim: nobody else's device is claimed, not even for a moment.
    let _kept_open = match open(roots, device, PLAIN) {
        // The name may be another's by now; only number and subsystem tell that the device is gone.
        Err(error) if error.kind == ErrorKind::Missing && !is_there(&roots.sys, device)? => {
            return Ok(Output::Free(true));
        }
        opened => opened?,
    };
    match open(roots, device, EXCLUSIVE) {
        Ok(_) => Ok(Output::Free(true)),
        Err(error) if error.kind == ErrorKind::Busy => Ok(Output::Free(false)),
        Err(error) if error.kind == ErrorKind::Missing && !is_there(&roots.sys, device)? => {
            Ok(Output::Free(true))
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn buffers_are_aligned_whatever_their_length(length in 0_usize..100_000) {
            let mut buffer = Aligned::new(length);
            prop_assert_eq!(buffer.bytes().len(), length);
            prop_assert!((buffer.bytes().as_ptr() as usize).is_multiple_of(ALIGNMENT));
        }

        #[test]
        fn only_whole_blocks_are_taken(offset: u64, length: u64) {
            let whole = offset % 4096 == 0 && length % 4096 == 0 && offset.checked_add(length).is_some();
            prop_assert_eq!(check_aligned(offset, length).is_ok(), whole);
        }
    }
}
