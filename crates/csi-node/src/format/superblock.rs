//! The first blocks of a device: which file system, whose, and whether its mkfs ended.

use std::fmt;

use uuid::Uuid;
use volume::FsType;

use super::signature;

/// How much of a device's start is read to find its superblock, in bytes. mkfs.xfs zeroes as much.
pub(crate) const HEAD_BYTES: u64 = 128 * 1024;

/// ext4: the superblock lies at byte 1024 (kernel documentation, ext4, "Super Block").
const EXT4: usize = 1024;
/// ext4: `INCOMPAT_64BIT`, which gives `s_blocks_count_hi` its meaning.
const EXT4_64BIT: u32 = 0x80;
/// ext4: `INCOMPAT_JOURNAL_DEV`, a journal and no file system.
const EXT4_JOURNAL_DEVICE: u32 = 0x8;

/// What the start of a device holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Superblock {
    /// Nothing but zeros.
    None,
    /// ext2, ext3 or ext4, which the ext4 driver mounts.
    Ext4 {
        /// `s_uuid`.
        uuid: Uuid,
        /// `s_mtime` or `s_mnt_count`, or a last mount point, are set.
        ever_mounted: bool,
        /// Its size in bytes.
        bytes: u64,
    },
    /// xfs.
    Xfs {
        /// `sb_uuid`.
        uuid: Uuid,
        /// `sb_inprogress`: mkfs did not end.
        in_progress: bool,
        /// Its size in bytes.
        bytes: u64,
    },
    /// Something else.
    Unknown {
        /// The first byte that is not zero.
        offset: u64,
        /// What it looks like.
        looks_like: Option<&'static str>,
    },
}

/// Reads the first [`HEAD_BYTES`] of a device.
pub(crate) fn read(head: &[u8]) -> Superblock {
    let Some(first) = head.iter().position(|byte| *byte != 0) else { return Superblock::None };
    // xfs first: its magic is twice as long, and its second KiB could show ext4's by accident.
    xfs(head)
        .or_else(|| ext4(head))
        .unwrap_or_else(|| Superblock::Unknown { offset: first as u64, looks_like: signature::of(head) })
}

fn xfs(head: &[u8]) -> Option<Superblock> {
    if !head.starts_with(b"XFSB") {
        return None;
    }
    let block = u64::from(u32::from_be_bytes(bytes_at(head, 4)?));
    let blocks = u64::from_be_bytes(bytes_at(head, 8)?);
    Some(Superblock::Xfs {
        uuid: Uuid::from_bytes(bytes_at(head, 32)?),
        in_progress: *head.get(126)? != 0,
        bytes: block.saturating_mul(blocks),
    })
}

fn ext4(head: &[u8]) -> Option<Superblock> {
    let number = |offset: usize| bytes_at(head, EXT4 + offset).map(u32::from_le_bytes);
    let half = |offset: usize| bytes_at(head, EXT4 + offset).map(u16::from_le_bytes);
    let incompatible = number(0x60)?;
    if half(0x38)? != 0xEF53 || incompatible & EXT4_JOURNAL_DEVICE != 0 {
        return None;
    }
    let high = if incompatible & EXT4_64BIT != 0 { number(0x150)? } else { 0 };
    let blocks = u64::from(high) << 32 | u64::from(number(0x4)?);
    let last_mounted = *head.get(EXT4 + 0x88)?;
    // A shift beyond 6 (64 KiB blocks) is damage; the kernel refuses the mount.
    let block = 1024_u64 << number(0x18)?.min(6);
    Some(Superblock::Ext4 {
        uuid: Uuid::from_bytes(bytes_at(head, EXT4 + 0x68)?),
        ever_mounted: number(0x2C)? != 0 || half(0x34)? != 0 || last_mounted != 0,
        bytes: blocks.saturating_mul(block),
    })
}

fn bytes_at<const N: usize>(head: &[u8], offset: usize) -> Option<[u8; N]> {
    head.get(offset..offset + N)?.try_into().ok()
}

impl fmt::Display for Superblock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => formatter.write_str("no superblock"),
            Self::Ext4 { uuid, ever_mounted, .. } => {
                let history = if *ever_mounted { "mounted before" } else { "never mounted" };
                write!(formatter, "an {} of UUID {uuid}, {history}", FsType::Ext4)
            }
            Self::Xfs { uuid, .. } => write!(formatter, "an {} of UUID {uuid}", FsType::Xfs),
            Self::Unknown { offset, looks_like } => {
                write!(formatter, "{} at byte {offset}", looks_like.unwrap_or("data of no known form"))
            }
        }
    }
}
