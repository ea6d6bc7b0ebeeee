//! Which mounts are of a volume: told by device numbers, never by names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use host::{Error, ErrorKind, Host, MountEntry};

/// A device number, major and minor.
pub(crate) type DeviceNumber = (u32, u32);

/// The file systems that `/dev` can be; a bind mount of a device node shows one of them.
const DEVICE_FILE_SYSTEMS: [&str; 2] = ["devtmpfs", "tmpfs"];

/// The device number of a mount's superblock.
pub(crate) fn number(entry: &MountEntry) -> DeviceNumber {
    (entry.major, entry.minor)
}

/// The mounts at exactly this path, the topmost last.
pub(crate) fn at<'a>(mounts: &'a [MountEntry], path: &Path) -> Vec<&'a MountEntry> {
    mounts.iter().filter(|entry| entry.target == path).collect()
}

/// Whether a mount may be the bind mount of a device node.
pub(crate) fn is_device_bind(entry: &MountEntry) -> bool {
    DEVICE_FILE_SYSTEMS.contains(&entry.fs.as_str()) && entry.root != Path::new("/")
}

/// Where file systems on these devices are mounted.
pub(crate) fn filesystems<'a>(
    mounts: &'a [MountEntry],
    devices: &BTreeSet<DeviceNumber>,
) -> Vec<&'a MountEntry> {
    mounts.iter().filter(|entry| devices.contains(&number(entry))).collect()
}

/// Where nodes of these devices are bound.
///
/// # Errors
/// Where a mount cannot be looked at: then nothing is known.
pub(crate) async fn block_publishes<H: Host>(
    host: &H,
    mounts: &[MountEntry],
    devices: &BTreeSet<DeviceNumber>,
) -> host::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in mounts.iter().filter(|entry| is_device_bind(entry)) {
        if bound_device(host, &entry.target).await?.is_some_and(|device| devices.contains(&device)) {
            paths.push(entry.target.clone());
        }
    }
    Ok(paths)
}

/// The device that a path is a node of; `None` also where the path went away meanwhile.
///
/// # Errors
/// Where it cannot be looked at.
pub(crate) async fn bound_device<H: Host>(host: &H, path: &Path) -> host::Result<Option<DeviceNumber>> {
    match host.device_at(path).await {
        Err(Error { kind: ErrorKind::Missing, .. }) => Ok(None),
        answer => answer,
    }
}
