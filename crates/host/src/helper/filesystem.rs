//! File systems in a helper (node.md rule 9).

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::mount::FsOpenFlags;
use uuid::Uuid;
use volume::FsType;

use crate::op::Output;
use crate::protocol::Roots;
use crate::{Device, Error, ErrorKind, Result, Usage};

use super::block::{PLAIN, open};
use super::tool::run;

/// The block size of both, so that ext4's block counts can be given.
const BLOCK: u64 = START as u64;
const START: usize = 4096;
/// Where ext4's superblock begins, and of it the last mount, the count of mounts, the magic and the UUID
/// (Linux, fs/ext4/ext4.h).
const EXT4: usize = 1024;
const EXT4_MTIME: Range<usize> = EXT4 + 0x2c..EXT4 + 0x30;
const EXT4_MOUNTS: Range<usize> = EXT4 + 0x34..EXT4 + 0x36;
const EXT4_MAGIC: Range<usize> = EXT4 + 0x38..EXT4 + 0x3a;
const EXT4_UUID: Range<usize> = EXT4 + 0x68..EXT4 + 0x78;
/// Linux, fs/xfs/libxfs/xfs_format.h.
const XFS_MAGIC: &[u8] = b"XFSB";

pub(super) fn mkfs(
    roots: &Roots,
    device: &Device,
    fs: FsType,
    uuid: &str,
    bytes: Option<u64>,
) -> Result<Output> {
    // Open to its end: while a descriptor is open, no other device gets the number or the name.
    let file = open(roots, device, PLAIN)?;
    let path = roots.device(device).display().to_string();
    match fs {
        FsType::Ext4 => {
            refuse_filesystem(&file, device, uuid)?;
            let blocks = bytes.map(|bytes| (bytes / BLOCK).to_string());
            // No reserved blocks: nobody in a pod is this file system's root.
            let fixed =
                ["-q", "-t", "ext4", "-b", "4096", "-m", "0", "-E", "nodiscard", "-U", uuid, path.as_str()];
            run("mke2fs", &fixed.into_iter().chain(blocks.as_deref()).collect::<Vec<_>>())?;
        }
        FsType::Xfs => run("mkfs.xfs", &["-q", "-K", "-m", &format!("uuid={uuid}"), &path])?,
    }
    file.sync_all().map_err(|error| Error::io("fsync", Path::new(&path), &error))?;
    Ok(Output::Done)
}

/// Opening a file system's context has the kernel load its module, and makes nothing (fsopen(2), since Linux 5.2).
pub(super) fn load(fs: FsType) -> Result<Output> {
    match rustix::mount::fsopen(fs.name(), FsOpenFlags::FSOPEN_CLOEXEC) {
        Ok(_) => Ok(Output::Done),
        Err(error) => {
            let message = format!("this kernel has no file system {} that it could load: {error}", fs.name());
            Err(Error::new(ErrorKind::Refused(Some(error.raw_os_error())), message))
        }
    }
}

/// mke2fs looks for a file system only when a terminal can be asked; mkfs.xfs always does.
fn refuse_filesystem(file: &File, device: &Device, uuid: &str) -> Result<()> {
    let mut start = [0; START];
    file.read_exact_at(&mut start, 0).map_err(|error| Error::io("read", &device.path(), &error))?;
    match foreign_filesystem(&start, uuid) {
        None => Ok(()),
        Some(found) => {
            let message = format!("{device} holds {found}: it is not formatted");
            Err(Error::new(ErrorKind::Refused(None), message))
        }
    }
}

/// What is at a device's start that mke2fs would destroy; our own unfinished mke2fs is not.
fn foreign_filesystem(start: &[u8; START], uuid: &str) -> Option<&'static str> {
    let is_zero = |range: Range<usize>| start[range].iter().all(|byte| *byte == 0);
    if start.starts_with(XFS_MAGIC) {
        return Some("an xfs file system");
    }
    if start[EXT4_MAGIC] != [0x53, 0xef] {
        return None;
    }
    let ours = Uuid::parse_str(uuid).is_ok_and(|uuid| start[EXT4_UUID] == *uuid.as_bytes());
    match (ours, is_zero(EXT4_MTIME) && is_zero(EXT4_MOUNTS)) {
        (false, _) => Some("another ext file system"),
        (true, false) => Some("an ext4 file system that was mounted"),
        (true, true) => None,
    }
}

pub(super) fn grow(roots: &Roots, device: &Device, mountpoint: &Path, fs: FsType) -> Result<Output> {
    let _kept_open = open(roots, device, PLAIN)?;
    match fs {
        FsType::Ext4 => run("resize2fs", &[&roots.device(device).display().to_string()])?,
        FsType::Xfs => run("xfs_growfs", &["-d", &mountpoint.display().to_string()])?,
    }
    Ok(Output::Done)
}

pub(super) fn usage(mountpoint: &Path) -> Result<Output> {
    let stat =
        rustix::fs::statvfs(mountpoint).map_err(|error| Error::io("statfs", mountpoint, &error.into()))?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Ok(Output::Usage(Usage {
        total_bytes: bytes(stat.f_blocks),
        available_bytes: bytes(stat.f_bavail),
        used_bytes: bytes(stat.f_blocks.saturating_sub(stat.f_bfree)),
        total_inodes: stat.f_files,
        available_inodes: stat.f_ffree,
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn only_what_nobody_ever_mounted_and_we_made_is_made_again() {
        let uuid = Uuid::from_u128(0x1234);
        let (blank, mut xfs, mut ext4) = ([0; START], [0; START], [0; START]);
        xfs[..4].copy_from_slice(XFS_MAGIC);
        ext4[EXT4_MAGIC].copy_from_slice(&[0x53, 0xef]);
        let (foreign, mut unfinished) = (ext4, ext4);
        unfinished[EXT4_UUID].copy_from_slice(uuid.as_bytes());
        let (mut timed, mut counted) = (unfinished, unfinished);
        timed[EXT4_MTIME.start] = 1;
        counted[EXT4_MOUNTS.start] = 1;
        for (start, refused) in [
            (blank, false),
            (unfinished, false),
            (xfs, true),
            (foreign, true),
            (timed, true),
            (counted, true),
        ] {
            assert_eq!(foreign_filesystem(&start, &uuid.to_string()).is_some(), refused);
        }
    }
}
