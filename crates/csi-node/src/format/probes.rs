//! The places of a device that must be zero before it counts as blank.

use host::Range;
use volume::MIB;

/// Everything that announces itself at the start does so here: partition tables, LVM (labels and
/// metadata in the first MiB), LUKS2 (both headers within 4 MiB), md, btrfs' first superblock, swap.
const HEAD: u64 = 4 * MIB;
/// Backup GPT, md 0.90 and 1.0, zfs labels, the backups of NTFS and LDM.
const TAIL: u64 = 4 * MIB;
/// What is read of each single place. xfs heads of allocation groups and ext4 backups fit.
const PLACE: u64 = 64 * 1024;
/// Evenly spread samples: a device with a sixteenth of its places used escapes 256 of them with a
/// chance below 1 in 10 million, for 16 MiB of reading. Allocation groups of xfs (a quarter of the
/// device by default) begin at some of them.
const SAMPLES: u64 = 256;
/// btrfs' superblock mirrors (btrfs on-disk format).
const BTRFS_MIRRORS: [u64; 2] = [64 * MIB, 256 * 1024 * MIB];
/// ext4's block groups of 4 KiB, 2 KiB and 1 KiB blocks, in bytes, and the first block of the latter.
const EXT4_GROUPS: [(u64, u64); 3] = [(128 * MIB, 0), (32 * MIB, 0), (8 * MIB, 1024)];

/// The places of a device of `bytes`, made with `created` bytes: sorted, merged, in whole blocks of
/// 4096 bytes, within the device.
pub(crate) fn places(created: u64, bytes: u64) -> Vec<Range> {
    let end = bytes / 4096 * 4096;
    let place = |offset: u64| (offset / 4096 * 4096, PLACE);
    let mut starts = vec![(0, HEAD), (end.saturating_sub(TAIL), TAIL)];
    starts.push(((created.min(end) / 4096 * 4096).saturating_sub(TAIL), TAIL));
    starts.extend(BTRFS_MIRRORS.map(place));
    starts.extend(ext4_backups(end).map(place));
    starts.extend((0..SAMPLES).map(|sample| place(end / SAMPLES * sample)));
    merge(starts, end)
}

/// The whole device.
pub(crate) fn everything(bytes: u64) -> Vec<Range> {
    vec![Range { offset: 0, length: bytes / 4096 * 4096 }]
}

/// Groups 1 and the powers of 3, 5 and 7, which hold backups under `sparse_super`.
fn ext4_backups(end: u64) -> impl Iterator<Item = u64> {
    EXT4_GROUPS.into_iter().flat_map(move |(group, first)| {
        let powers = [3_u64, 5, 7].into_iter().flat_map(|base| {
            std::iter::successors(Some(base), move |power| power.checked_mul(base)).take(24)
        });
        let within = move |index: u64| index.checked_mul(group).map(|at| at + first).filter(|at| *at < end);
        std::iter::once(1).chain(powers).filter_map(within)
    })
}

fn merge(mut starts: Vec<(u64, u64)>, end: u64) -> Vec<Range> {
    starts.sort_unstable();
    let mut merged: Vec<Range> = Vec::new();
    for (offset, length) in starts {
        let stop = offset.saturating_add(length).min(end);
        if offset >= stop {
            continue;
        }
        match merged.last_mut() {
            Some(last) if offset <= last.offset + last.length => {
                last.length = last.length.max(stop - last.offset);
            }
            _ => merged.push(Range { offset, length: stop - offset }),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn covers(places: &[Range], offset: u64) -> bool {
        places.iter().any(|range| (range.offset..range.offset + range.length).contains(&offset))
    }

    #[test]
    fn every_place_where_a_format_announces_itself_is_probed() {
        let gib = 1024 * MIB;
        let places = places(10 * gib, 512 * gib);
        for offset in [
            0,
            4096,
            64 * 1024,
            64 * MIB,
            128 * MIB,
            3 * 128 * MIB,
            256 * gib,
            10 * gib - 4096,
            128 * gib,
            512 * gib - 4096,
        ] {
            assert!(covers(&places, offset), "{offset}");
        }
    }

    proptest! {
        #[test]
        fn places_are_whole_blocks_apart_and_within_the_device(created in 0_u64..1 << 45, bytes in 0_u64..1 << 45) {
            let places = places(created, bytes);
            prop_assert!(places.iter().all(|range| range.offset % 4096 == 0 && range.length % 4096 == 0));
            prop_assert!(places.iter().all(|range| range.length > 0 && range.offset + range.length <= bytes));
            prop_assert!(places.windows(2).all(|two| two[0].offset + two[0].length < two[1].offset));
            if bytes >= 4096 {
                prop_assert!(covers(&places, 0) && covers(&places, bytes / 4096 * 4096 - 1));
            }
        }
    }
}
