//! Writing file systems back, and whether they still can (node.md K9).

use std::fs::File;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::op::Output;
use crate::{Device, Error, ErrorKind, Result};

use super::block::unwritten;
use super::mount::mounted_at;

/// What a file system says that cannot write any more. ENOSPC and the like say nothing of what was written.
const DEAD: [Errno; 4] = [Errno::IO, Errno::ROFS, Errno::UCLEAN, Errno::SHUTDOWN];

pub(super) fn sync(mountpoint: &Path) -> Result<Output> {
    let directory = File::open(mountpoint).map_err(|error| match error.raw_os_error() {
        // A file system that was shut down says EIO to everything (node.md K9), and never syncs again.
        Some(errno) if errno == Errno::IO.raw_os_error() => unwritten("open", mountpoint, &error),
        _ => Error::io("open", mountpoint, &error),
    })?;
    // First, so that the sync takes what is left of it along; all is synced whatever it says.
    let still_writes = still_writes(&directory, mountpoint);
    rustix::fs::syncfs(&directory).map_err(|error| unwritten("syncfs", mountpoint, &error.into()))?;
    // syncfs may have told another caller before (node.md K9); what is shut down refuses every fsync, of a directory too
    // (Linux, ext4_sync_file and xfs_dir_fsync).
    directory.sync_all().map_err(|error| unwritten("fsync", mountpoint, &error))?;
    still_writes.map(|()| Output::Done)
}

pub(super) fn check(device: &Device, mountpoint: &Path) -> Result<Output> {
    // By the table, since a dead xfs refuses to be looked at. No unmount of the volume runs beside this.
    match mounted_at(mountpoint)? {
        Some(mount) if (mount.major, mount.minor) == (device.major, device.minor) => sync(mountpoint),
        _ => {
            let message = format!("{device} is not what is mounted at {}", mountpoint.display());
            Err(Error::new(ErrorKind::Missing, message))
        }
    }
}

/// Makes a file that has no name and leaves nothing. On 6.1 an ext4 whose journal was aborted syncs well once its error was told
/// to somebody (seen): only what begins a transaction is refused. Of what fails from here on the sync itself is told.
fn still_writes(directory: &File, mountpoint: &Path) -> Result<()> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    match rustix::fs::openat(directory, ".", flags, Mode::RUSR) {
        Err(Errno::ROFS) if is_read_only(mountpoint)? => Ok(()),
        Err(errno) if DEAD.contains(&errno) => Err(unwritten("make a file in", mountpoint, &errno.into())),
        _ => Ok(()),
    }
}

/// By the mount's own options: a file system that has gone read-only by itself leaves those as they were.
fn is_read_only(mountpoint: &Path) -> Result<bool> {
    let mount = mounted_at(mountpoint)?;
    Ok(mount.is_some_and(|mount| mount.options.iter().any(|option| option == "ro")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn only_the_device_that_is_mounted_there_is_asked() {
        let directory = tempfile::tempdir().unwrap();
        let device = Device { name: "nvme0n1".into(), major: 259, minor: 1, nqn: None };
        for path in [directory.path(), Path::new("/proc"), Path::new("/nonexistent")] {
            assert_eq!(check(&device, path).unwrap_err().kind, ErrorKind::Missing, "{}", path.display());
        }
    }
}
