//! File systems in a helper (node.md rule 9).

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use volume::FsType;

use crate::op::Output;
use crate::protocol::Roots;
use crate::{Device, Error, ErrorKind, Result, Usage};

use super::block::{PLAIN, open};
use super::tool::run;

/// The block size of both, so that ext4's block counts can be given.
const BLOCK: u64 = 4096;
/// ext4's magic and xfs's (Linux, fs/ext4/ext4.h, fs/xfs/libxfs/xfs_format.h).
const EXT4_MAGIC: (u64, &[u8]) = (1024 + 0x38, &[0x53, 0xef]);
const XFS_MAGIC: (u64, &[u8]) = (0, b"XFSB");

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
            refuse_filesystem(&file, device)?;
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

/// mke2fs looks for a file system only when a terminal can be asked; mkfs.xfs always does.
fn refuse_filesystem(file: &File, device: &Device) -> Result<()> {
    for (offset, magic) in [EXT4_MAGIC, XFS_MAGIC] {
        let mut found = vec![0; magic.len()];
        let read = file.read_exact_at(&mut found, offset);
        read.map_err(|error| Error::io("read", &device.path(), &error))?;
        if found == magic {
            let message = format!("{device} holds a file system: it is not formatted");
            return Err(Error::new(ErrorKind::Refused(None), message));
        }
    }
    Ok(())
}

pub(super) fn grow(roots: &Roots, device: &Device, mountpoint: &Path, fs: FsType) -> Result<Output> {
    let _kept_open = open(roots, device, PLAIN)?;
    match fs {
        FsType::Ext4 => run("resize2fs", &[&roots.device(device).display().to_string()])?,
        FsType::Xfs => run("xfs_growfs", &["-d", &mountpoint.display().to_string()])?,
    }
    Ok(Output::Done)
}

pub(super) fn sync(mountpoint: &Path) -> Result<Output> {
    let directory = File::open(mountpoint).map_err(|error| Error::io("open", mountpoint, &error))?;
    rustix::fs::syncfs(&directory).map_err(|error| Error::io("syncfs", mountpoint, &error.into()))?;
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
