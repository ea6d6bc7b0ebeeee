//! Mounts in a helper. Never lazily, never by force.

use std::ffi::CString;
use std::path::Path;

use rustix::fs::StatVfsMountFlags;
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};
use volume::FsType;

use crate::op::Output;
use crate::protocol::Roots;
use crate::{Device, Error, ErrorKind, MountEntry, Result, mountinfo};

use super::block::{PLAIN, open};

fn errno(what: &str, path: &Path, errno: Errno) -> Error {
    Error::io(what, path, &errno.into())
}

#[expect(clippy::disallowed_methods, reason = "this is a helper, which may hang")]
pub(super) fn mount(
    roots: &Roots,
    device: &Device,
    target: &Path,
    fs: FsType,
    options: &[String],
) -> Result<Output> {
    let _kept_open = open(roots, device, PLAIN)?;
    let (flags, data) = split(options, fs);
    let data =
        CString::new(data).map_err(|_| Error::new(ErrorKind::Malformed, "a mount option holds a NUL"))?;
    rustix::mount::mount(roots.device(device), target, fs.name(), flags, data.as_c_str())
        .map_err(|error| errno("mount at", target, error))?;
    Ok(Output::Done)
}

/// Flags of mount(2) by their names; what has none is the file system's own.
fn split(options: &[String], fs: FsType) -> (MountFlags, String) {
    let mut flags = MountFlags::empty();
    // Every clone carries the UUID of its origin, and xfs refuses the second one.
    let mut data: Vec<&str> = if fs == FsType::Xfs { vec!["nouuid"] } else { Vec::new() };
    for option in options.iter().flat_map(|option| option.split(',')) {
        match option {
            "" | "rw" | "defaults" | "nouuid" => {}
            "ro" => flags |= MountFlags::RDONLY,
            "noatime" => flags |= MountFlags::NOATIME,
            "nodiratime" => flags |= MountFlags::NODIRATIME,
            "relatime" => flags |= MountFlags::RELATIME,
            "strictatime" => flags |= MountFlags::STRICTATIME,
            "lazytime" => flags |= MountFlags::LAZYTIME,
            "nodev" => flags |= MountFlags::NODEV,
            "noexec" => flags |= MountFlags::NOEXEC,
            "nosuid" => flags |= MountFlags::NOSUID,
            "sync" => flags |= MountFlags::SYNCHRONOUS,
            "dirsync" => flags |= MountFlags::DIRSYNC,
            other => data.push(other),
        }
    }
    (flags, data.join(","))
}

#[expect(clippy::disallowed_methods, reason = "this is a helper, which may hang")]
pub(super) fn bind(source: &Path, target: &Path, readonly: bool) -> Result<Output> {
    rustix::mount::mount_bind(source, target).map_err(|error| errno("bind mount at", target, error))?;
    if !readonly {
        return Ok(Output::Done);
    }
    // Read-only takes a second call, and that call sets all flags of the mount anew.
    let remounted = kept_flags(target).and_then(|kept| {
        rustix::mount::mount_remount(target, MountFlags::BIND | MountFlags::RDONLY | kept, c"")
    });
    remounted.map_err(|error| {
        let undone = rustix::mount::unmount(target, UnmountFlags::NOFOLLOW);
        let mut refused = errno("remount read-only", target, error);
        if let Err(error) = undone {
            refused.message.push_str(&format!("; it stays mounted read-write: {error}"));
        }
        refused
    })?;
    Ok(Output::Done)
}

fn kept_flags(target: &Path) -> rustix::io::Result<MountFlags> {
    let has = rustix::fs::statvfs(target)?.f_flag;
    let kept = [
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
        (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
        (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
    ];
    Ok(kept.into_iter().filter(|(seen, _)| has.contains(*seen)).map(|(_, flag)| flag).collect())
}

#[expect(clippy::disallowed_methods, reason = "this is a helper, which may hang")]
pub(super) fn unmount(target: &Path) -> Result<Output> {
    match rustix::mount::unmount(target, UnmountFlags::NOFOLLOW) {
        Ok(()) | Err(Errno::NOENT) => Ok(Output::Done),
        // Nothing is mounted there, or it may not be unmounted: only the table tells.
        Err(error @ Errno::INVAL) if mounted_at(target)?.is_some() => Err(errno("unmount", target, error)),
        Err(Errno::INVAL) => Ok(Output::Done),
        Err(error) => Err(errno("unmount", target, error)),
    }
}

/// What is mounted topmost at exactly this path.
pub(super) fn mounted_at(target: &Path) -> Result<Option<MountEntry>> {
    let table = Path::new("/proc/self/mountinfo");
    let bytes = std::fs::read(table).map_err(|error| Error::io("read", table, &error))?;
    Ok(mountinfo::parse(&bytes)?.into_iter().rfind(|mount| mount.target == target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_parted_into_flags_and_the_file_systems_own() {
        let options = ["noatime,ro".to_owned(), "discard".to_owned(), "rw".to_owned()];
        let (flags, data) = split(&options, FsType::Xfs);
        assert_eq!(flags, MountFlags::RDONLY | MountFlags::NOATIME);
        assert_eq!(data, "nouuid,discard");
        assert_eq!(split(&[], FsType::Ext4), (MountFlags::empty(), String::new()));
    }
}
