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

/// What the kernel puts after the name of a bound file that was removed since (Linux, `dentry_path`): devtmpfs removes
/// a device's node with the device, and a bind mount of it stays.
const REMOVED: &str = "//deleted";

/// Whether a mount may be the bind mount of a head's node, its device gone or not. Nothing else of these file systems
/// is looked at: a stat of what is somebody else's is none of our business.
pub(crate) fn is_device_bind(entry: &MountEntry) -> bool {
    bound_name(entry).is_some_and(|name| is_head(name.strip_suffix(REMOVED).unwrap_or(name)))
}

/// Whether a bind mount's device node was made for a device that is gone: whoever has its number now, it was not bound
/// for that one.
pub(crate) fn is_outlived(entry: &MountEntry) -> bool {
    is_device_bind(entry) && bound_name(entry).is_some_and(|name| name.ends_with(REMOVED))
}

fn bound_name(entry: &MountEntry) -> Option<&str> {
    let name = entry.root.to_str()?.strip_prefix('/')?;
    DEVICE_FILE_SYSTEMS.contains(&entry.fs.as_str()).then_some(name)
}

/// Whether the kubelet itself bound this, from where a volume was published for the same pod: a raw device for the container's
/// runtime (Kubernetes 1.36, `MapBlockVolume`: `volumeDevices/<PersistentVolume>/dev/<pod>`), or a subPath (`volume-subpaths`).
pub(crate) fn is_kubelets(path: &Path) -> bool {
    let names: Vec<_> = path.iter().filter_map(|name| name.to_str()).collect();
    let is_map = |four: &[&str]| matches!(four, ["volumeDevices", volume, "dev", _] if *volume != "publish");
    names.contains(&"volume-subpaths") || names.last_chunk::<4>().is_some_and(|four| is_map(four))
}

/// `nvme<N>n<M>`, as the kernel calls a head.
fn is_head(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts = name.strip_prefix("nvme").and_then(|rest| rest.split_once('n'));
    parts.is_some_and(|(subsystem, namespace)| is_number(subsystem) && is_number(namespace))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kubelet_binds_by_itself_is_no_publish() {
        let csi = "/var/lib/kubelet/plugins/kubernetes.io/csi/volumeDevices";
        for (path, expected) in [
            (format!("{csi}/pvc-1/dev/pod-1"), true),
            (format!("{csi}/publish/pvc-1/pod-1"), false),
            (format!("{csi}/publish/dev/pod-1"), false),
            (format!("{csi}/staging/pvc-1"), false),
            ("/var/lib/kubelet/pods/p/volume-subpaths/data/shell/0".into(), true),
            ("/var/lib/kubelet/pods/p/volumes/kubernetes.io~csi/pvc-1/mount".into(), false),
        ] {
            assert_eq!(is_kubelets(Path::new(&path)), expected, "{path}");
        }
    }

    #[test]
    fn only_the_nodes_of_heads_are_looked_at() {
        for (fs, root, expected) in [
            ("devtmpfs", "/nvme0n1", true),
            ("devtmpfs", "/nvme0n1//deleted", true),
            ("devtmpfs", "/null//deleted", false),
            ("tmpfs", "/nvme12n3", true),
            ("tmpfs", "/secret", false),
            ("tmpfs", "/", false),
            ("devtmpfs", "/null", false),
            ("devtmpfs", "/nvme0c1n1", false),
            ("devtmpfs", "/nvme0n1p1", false),
            ("tmpfs", "/dir/nvme0n1", false),
            ("ext4", "/nvme0n1", false),
        ] {
            let entry = MountEntry {
                target: "/target".into(),
                major: 0,
                minor: 5,
                root: root.into(),
                fs: fs.into(),
                options: Vec::new(),
            };
            assert_eq!(is_device_bind(&entry), expected, "{entry:?}");
            assert_eq!(is_outlived(&entry), expected && root.ends_with("deleted"), "{entry:?}");
        }
    }
}
