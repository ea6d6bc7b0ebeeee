//! Making, growing and measuring file systems.

use std::path::Path;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use volume::FsType;

use crate::{Device, Result, Volume};

/// A file system to make. Never with force: a tool that finds something refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mkfs {
    /// Which.
    pub fs: FsType,
    /// Its UUID: UUIDv5 of the volume id, so that an unfinished one is known as ours.
    pub uuid: Uuid,
    /// How many bytes of the device it may use from the start (ext4; xfs takes the whole device).
    pub bytes: Option<u64>,
}

/// What statfs(2) says, in bytes and inodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Size.
    pub total_bytes: u64,
    /// Free to unprivileged users.
    pub available_bytes: u64,
    /// Used.
    pub used_bytes: u64,
    /// Inodes.
    pub total_inodes: u64,
    /// Free inodes.
    pub available_inodes: u64,
}

/// File systems on this node.
pub trait Filesystems {
    /// Makes a file system: mke2fs `-b 4096 -E nodiscard`, mkfs.xfs `-K -m uuid=`.
    ///
    /// # Errors
    /// The tool's own words. Abandoned or killed it may have written any part.
    fn mkfs(
        &self,
        volume: Volume<'_>,
        device: &Device,
        mkfs: &Mkfs,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Grows a mounted file system to its device's size; already there is success.
    ///
    /// # Errors
    /// The tool's own words; the file system stays usable as it was.
    fn grow(
        &self,
        volume: Volume<'_>,
        device: &Device,
        mountpoint: &Path,
        fs: FsType,
    ) -> impl Future<Output = Result<()>> + Send;

    /// syncfs(2) at a mount point, then fsync(2) of its root.
    ///
    /// # Errors
    /// The loss of data, as far as the kernel tells it (node.md K9).
    fn sync(&self, volume: Volume<'_>, mountpoint: &Path) -> impl Future<Output = Result<()>> + Send;

    /// Whether the file system of a device still writes: as [`Filesystems::sync`], where that device is what is mounted
    /// there. Success proves no more than that the kernel said nothing.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Unwritten`]: what the kernel said of it, perhaps once only (node.md K9).
    /// [`crate::ErrorKind::Missing`]: something else is mounted there, or nothing is.
    fn check(
        &self,
        volume: Volume<'_>,
        device: &Device,
        mountpoint: &Path,
    ) -> impl Future<Output = Result<()>> + Send;

    /// statfs(2) at a mount point.
    ///
    /// # Errors
    /// The kernel's.
    fn usage(&self, volume: Volume<'_>, mountpoint: &Path) -> impl Future<Output = Result<Usage>> + Send;
}
