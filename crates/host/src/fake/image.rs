//! File systems as bytes: superblocks where the real ones have them, files in a table of our own.

use std::collections::BTreeMap;

use uuid::Uuid;
use volume::FsType;

use super::store::{BLOCK, Medium};

/// ext4: the superblock begins here (Linux, fs/ext4/ext4.h).
const EXT4: u64 = 1024;
const EXT4_MAGIC: u64 = EXT4 + 0x38;
/// `s_mtime`, `s_mnt_count`, `s_uuid`, `s_blocks_count_lo`, `s_log_block_size`.
const EXT4_MTIME: u64 = EXT4 + 0x2c;
const EXT4_MOUNTS: u64 = EXT4 + 0x34;
const EXT4_UUID: u64 = EXT4 + 0x68;
const EXT4_BLOCKS: u64 = EXT4 + 0x04;
const EXT4_LOG_BLOCK: u64 = EXT4 + 0x18;
/// xfs: `sb_blocksize`, `sb_dblocks`, `sb_uuid`, `sb_inprogress` (Linux, fs/xfs/libxfs/xfs_format.h).
const XFS_BLOCK: u64 = 4;
const XFS_BLOCKS: u64 = 8;
const XFS_UUID: u64 = 32;
const XFS_IN_PROGRESS: u64 = 126;
/// The table of files, and where their bytes begin: ours, inside what mkfs owns.
const TABLE: u64 = 1 << 20;
const FILES: u64 = 2 << 20;

type Table = BTreeMap<String, (u64, u64)>;

/// The file system that the bytes hold, where they hold a whole one.
pub(super) fn recognise(medium: &impl Medium) -> Option<FsType> {
    if medium.read(EXT4_MAGIC, 2) == [0x53, 0xef] {
        return Some(FsType::Ext4);
    }
    (has_xfs_magic(medium) && medium.read(XFS_IN_PROGRESS, 1) == [0]).then_some(FsType::Xfs)
}

/// Whether mkfs.xfs would refuse without force.
pub(super) fn has_xfs_magic(medium: &impl Medium) -> bool {
    medium.read(0, 4) == *b"XFSB"
}

/// Whether this is ext4 with this UUID that nobody ever mounted: an unfinished mkfs.
pub(super) fn is_unmounted(medium: &impl Medium, uuid: Uuid) -> bool {
    let zero = |at, length| medium.read(at, length).iter().all(|byte| *byte == 0);
    medium.read(EXT4_UUID, 16) == uuid.as_bytes() && zero(EXT4_MTIME, 4) && zero(EXT4_MOUNTS, 2)
}

/// Writes the superblock; `unfinished` only for xfs.
pub(super) fn write_superblock(
    medium: &mut impl Medium,
    fs: FsType,
    uuid: Uuid,
    bytes: u64,
    unfinished: bool,
) {
    match fs {
        FsType::Ext4 => {
            medium.write(EXT4_LOG_BLOCK, &2_u32.to_le_bytes());
            medium.write(EXT4_UUID, uuid.as_bytes());
            medium.write(EXT4_MAGIC, &[0x53, 0xef]);
        }
        FsType::Xfs => {
            medium.write(0, b"XFSB");
            medium.write(XFS_BLOCK, &4096_u32.to_be_bytes());
            medium.write(XFS_UUID, uuid.as_bytes());
            medium.write(XFS_IN_PROGRESS, &[u8::from(unfinished)]);
        }
    }
    set_size(medium, fs, bytes);
}

/// The file system's own size in bytes.
pub(super) fn size(medium: &impl Medium, fs: FsType) -> u64 {
    let number = |at, length| medium.read(at, length);
    match fs {
        FsType::Ext4 => {
            number(EXT4_BLOCKS, 4).iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)) * BLOCK
        }
        FsType::Xfs => number(XFS_BLOCKS, 8).iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)) * BLOCK,
    }
}

pub(super) fn set_size(medium: &mut impl Medium, fs: FsType, bytes: u64) {
    let blocks = bytes / BLOCK;
    match fs {
        FsType::Ext4 => medium.write(EXT4_BLOCKS, &blocks.to_le_bytes()[..4]),
        FsType::Xfs => medium.write(XFS_BLOCKS, &blocks.to_be_bytes()),
    }
}

/// What a mount leaves in the superblock.
pub(super) fn note_mount(medium: &mut impl Medium, fs: FsType) {
    if fs == FsType::Ext4 {
        let count = medium.read(EXT4_MOUNTS, 1)[0];
        medium.write(EXT4_MOUNTS, &[count.wrapping_add(1), 0]);
        medium.write(EXT4_MTIME, &1_700_000_000_u32.to_le_bytes());
    }
}

/// What mkfs writes beside the superblock: an empty table.
pub(super) fn write_tables(medium: &mut impl Medium) {
    save(medium, &Table::new());
}

fn load(medium: &impl Medium) -> Table {
    let length = medium.read(TABLE, 8).iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    serde_json::from_slice(&medium.read(TABLE + 8, length.min(FILES - TABLE))).unwrap_or_default()
}

fn save(medium: &mut impl Medium, table: &Table) {
    let text = serde_json::to_vec(table).unwrap_or_default();
    medium.write(TABLE, &(text.len() as u64).to_be_bytes());
    medium.write(TABLE + 8, &text);
}

fn end(table: &Table) -> u64 {
    table.values().map(|(offset, length)| offset + length).max().unwrap_or(FILES)
}

/// Writes a whole file; `false` where it does not fit.
pub(super) fn write_file(medium: &mut impl Medium, fs: FsType, name: &str, bytes: &[u8]) -> bool {
    let mut table = load(medium);
    let offset = end(&table).next_multiple_of(BLOCK);
    if offset + bytes.len() as u64 > size(medium, fs) {
        return false;
    }
    medium.write(offset, bytes);
    table.insert(name.to_owned(), (offset, bytes.len() as u64));
    save(medium, &table);
    true
}

/// Reads a whole file.
pub(super) fn read_file(medium: &impl Medium, name: &str) -> Option<Vec<u8>> {
    load(medium).get(name).map(|(offset, length)| medium.read(*offset, *length))
}

/// How many bytes are used and how many files there are.
pub(super) fn used(medium: &impl Medium) -> (u64, u64) {
    let table = load(medium);
    (end(&table), table.len() as u64)
}
