//! What pods do on a node: read and write through mounts and bound device nodes.

use std::path::Path;

use crate::{Error, ErrorKind, Result};

use super::FakeKernel;
use super::image;
use super::node::What;
use super::nvme::PathState;
use super::run::{Stop, errno, missing};
use super::store::Medium;
use super::world::Kernel;

const EROFS: i32 = 30;
const EIO: i32 = 5;

/// What a pod does now and does not get an answer to: the path is not live.
fn hangs() -> Error {
    Error::new(ErrorKind::Abandoned, "the pod hangs in the kernel")
}

impl FakeKernel {
    /// Writes a whole file into the page cache, as a pod does without fsync.
    ///
    /// # Errors
    /// Nothing mounted there, mounted read-only, no room, or a device that is gone.
    pub fn write_file(&self, mountpoint: &Path, name: &str, bytes: &[u8]) -> Result<()> {
        self.with(|kernel| {
            let minor = kernel.writable(mountpoint)?;
            kernel.still_there(minor)?;
            kernel.write_file(minor, name, bytes)
        })
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// No such file ([`ErrorKind::Missing`]), a device that is gone, or [`ErrorKind::Abandoned`] where a
    /// pod would hang.
    pub fn read_file(&self, mountpoint: &Path, name: &str) -> Result<Vec<u8>> {
        self.with(|kernel| {
            let minor = kernel.mounted(mountpoint)?;
            kernel.readable(minor)?;
            kernel.medium(minor, |medium| image::read_file(medium, name))?.ok_or_else(|| missing(name))
        })
    }

    /// fsync of everything in a file system.
    ///
    /// # Errors
    /// Lost pages, or [`ErrorKind::Abandoned`] where a pod would hang: the pages are then queued.
    pub fn fsync(&self, mountpoint: &Path) -> Result<()> {
        self.with(|kernel| {
            let minor = kernel.mounted(mountpoint)?;
            kernel.pod_sync(minor)
        })
    }

    /// Writes to a bound device node through the page cache: to whatever device has its number now.
    ///
    /// # Errors
    /// As [`FakeKernel::write_file`].
    pub fn write_block(&self, target: &Path, offset: u64, bytes: &[u8]) -> Result<()> {
        self.with(|kernel| {
            let minor = kernel.bound(target)?;
            kernel.still_there(minor)?;
            kernel.medium(minor, |medium| medium.write(offset, bytes))
        })
    }

    /// Reads from a bound device node.
    ///
    /// # Errors
    /// As [`FakeKernel::read_file`].
    pub fn read_block(&self, target: &Path, offset: u64, length: u64) -> Result<Vec<u8>> {
        self.with(|kernel| {
            let minor = kernel.bound(target)?;
            kernel.readable(minor)?;
            kernel.medium(minor, |medium| medium.read(offset, length))
        })
    }

    /// fsync of a bound device node.
    ///
    /// # Errors
    /// As [`FakeKernel::fsync`].
    pub fn fsync_block(&self, target: &Path) -> Result<()> {
        self.with(|kernel| {
            let minor = kernel.bound(target)?;
            kernel.still_there(minor)?;
            kernel.pod_sync(minor)
        })
    }
}

impl Kernel<'_> {
    fn still_there(&self, minor: u32) -> Result<()> {
        if self.path(minor) == PathState::Gone { Err(errno("I/O", EIO)) } else { Ok(()) }
    }

    fn readable(&self, minor: u32) -> Result<()> {
        match self.path(minor) {
            PathState::Ready => Ok(()),
            PathState::Waiting => Err(hangs()),
            PathState::Gone => Err(errno("I/O", EIO)),
        }
    }

    fn pod_sync(&mut self, minor: u32) -> Result<()> {
        match self.write_back(minor) {
            Ok(()) => Ok(()),
            Err(Stop::Failed(error)) => Err(error),
            Err(Stop::Wait | Stop::Crashed) => Err(hangs()),
        }
    }

    fn writable(&self, mountpoint: &Path) -> Result<u32> {
        let minor = self.mounted(mountpoint)?;
        let mount = self.node.mounts.iter().rev().find(|mount| mount.target == mountpoint);
        if mount.is_some_and(|mount| mount.readonly) { Err(errno("open", EROFS)) } else { Ok(minor) }
    }

    fn bound(&self, target: &Path) -> Result<u32> {
        let mount = self.node.mounts.iter().rev().find(|mount| mount.target == target);
        match mount.map(|mount| &mount.what) {
            // Linux lets a device node on a read-only mount be opened for writing: the flag is the mount's.
            Some(What::DeviceNode(minor, _)) => Ok(*minor),
            Some(What::Filesystem(_)) | None => Err(missing(format!("a device at {}", target.display()))),
        }
    }
}
