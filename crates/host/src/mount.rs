//! Mounts, and the few directories and files that they need.

use std::path::{Path, PathBuf};

use volume::FsType;

use crate::{Device, Result, Volume};

/// One line of `/proc/self/mountinfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountEntry {
    /// Where.
    pub target: PathBuf,
    /// The device number of the superblock: for a bind mount of a device node that of devtmpfs.
    pub major: u32,
    /// See `major`.
    pub minor: u32,
    /// The path within the mounted file system: for a bind mount of a device node its name.
    pub root: PathBuf,
    /// The file system's type.
    pub fs: String,
    /// The mount's own options (`ro`, `noexec`, …).
    pub options: Vec<String>,
}

/// Mounts of this node, in the driver's mount namespace.
pub trait Mounts {
    /// All mounts. An empty answer proves nothing of what other namespaces hold (node.md K4, K6).
    ///
    /// # Errors
    /// Where mountinfo cannot be read.
    fn mounts(&self) -> impl Future<Output = Result<Vec<MountEntry>>> + Send;

    /// Mounts a file system. The journal is replayed by the kernel; xfs gets `nouuid`.
    ///
    /// # Errors
    /// The kernel's errno; on [`crate::ErrorKind::Abandoned`] the mount may yet appear.
    fn mount(
        &self,
        volume: Volume<'_>,
        device: &Device,
        target: &Path,
        fs: FsType,
        options: &[String],
    ) -> impl Future<Output = Result<()>> + Send;

    /// Binds `source` at `target`, read-only where asked, with further options of the CO.
    ///
    /// # Errors
    /// The kernel's errno; a half-made mount is undone first.
    fn bind(
        &self,
        volume: Volume<'_>,
        source: &Path,
        target: &Path,
        readonly: bool,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Unmounts the topmost mount at `target`. Never lazily, never by force. Nothing mounted there is success.
    ///
    /// # Errors
    /// EBUSY as [`crate::ErrorKind::Busy`]; abandoned where the kernel waits for I/O (node.md K4).
    fn unmount(&self, volume: Volume<'_>, target: &Path) -> impl Future<Output = Result<()>> + Send;

    /// Makes a directory and its parents; there already is success.
    ///
    /// # Errors
    /// Where something else is there, or the path cannot be made.
    fn make_dir(&self, path: &Path) -> impl Future<Output = Result<()>> + Send;

    /// Makes an empty file for a bind mount of a device; an empty one there is success.
    ///
    /// # Errors
    /// Where something else is there, or the path cannot be made.
    fn make_file(&self, path: &Path) -> impl Future<Output = Result<()>> + Send;

    /// Removes an empty directory or an empty file, never more (lessons.md). Not there is success.
    ///
    /// # Errors
    /// Where it is not empty, or cannot be removed.
    fn remove_empty(&self, path: &Path) -> impl Future<Output = Result<()>> + Send;
}
