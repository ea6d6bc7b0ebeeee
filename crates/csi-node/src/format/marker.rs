//! The proof of intent of an ext4 mkfs: written before mke2fs begins, cleared after it ended.

use uuid::Uuid;
use volume::Slot;

/// The size of the marker's place in bytes: the least that can be read past the page cache.
pub(crate) const MARKER_BYTES: u64 = BLOCK as u64;
const BLOCK: usize = 4096;
const MAGIC: &[u8] = b"rds-csi: an mkfs.ext4 of this volume has not ended\n";

/// What lies in the marker's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Zeros.
    None,
    /// The marker of this volume and this UUID.
    Ours,
    /// A marker of another volume.
    Foreign,
    /// Anything else.
    Data,
}

/// The marker of a volume. All of it lies in the first 512 bytes, so no power cut can tear it: a
/// device writes a block wholly or not at all.
pub(crate) fn marker(slot: &Slot, uuid: Uuid) -> Vec<u8> {
    let mut block = MAGIC.to_vec();
    block.extend_from_slice(format!("volume {slot}\nuuid {uuid}\n").as_bytes());
    debug_assert!(block.len() <= 512);
    block.resize(BLOCK, 0);
    block
}

/// Zeros in place of a marker.
pub(crate) fn cleared() -> Vec<u8> {
    vec![0; BLOCK]
}

/// Reads the marker's place.
pub(crate) fn read(block: &[u8], slot: &Slot, uuid: Uuid) -> Mark {
    if block.iter().all(|byte| *byte == 0) {
        Mark::None
    } else if block == marker(slot, uuid) {
        Mark::Ours
    } else if block.starts_with(MAGIC) {
        Mark::Foreign
    } else {
        Mark::Data
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn only_the_very_same_volume_and_uuid_make_a_marker_ours() {
        let slot = |text| Slot::parse(text).unwrap();
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let ours = marker(&slot("a"), one);
        let mut torn = ours.clone();
        torn[60] ^= 1;
        for (block, expected) in [
            (ours.clone(), Mark::Ours),
            (marker(&slot("b"), one), Mark::Foreign),
            (marker(&slot("a"), two), Mark::Foreign),
            (torn, Mark::Foreign),
            (cleared(), Mark::None),
            (vec![7; 4096], Mark::Data),
        ] {
            assert_eq!(read(&block, &slot("a"), one), expected);
        }
    }

    #[test]
    fn the_longest_volume_id_fits_one_sector() {
        let block = marker(&Slot::parse(&"a".repeat(40)).unwrap(), Uuid::nil());
        assert!(block[512..].iter().all(|byte| *byte == 0));
    }
}
