#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

fn intent(fs: FsType) -> Intent {
    let slot = Slot::parse("a").unwrap();
    Intent { slot, fs, created: 512 * MIB, bytes: 512 * MIB, published_as_block: false }
}

fn ext4(uuid: Uuid, ever_mounted: bool) -> Superblock {
    Superblock::Ext4 { uuid, ever_mounted, bytes: 511 * MIB }
}

fn xfs(uuid: Uuid, in_progress: bool) -> Superblock {
    Superblock::Xfs { uuid, in_progress, bytes: 512 * MIB }
}

fn seen(superblock: Superblock, mark: Mark, content: Option<Content>) -> Observation {
    Observation { superblock, mark, content, looks_like: None }
}

#[test]
fn each_sight_has_its_plan_and_any_doubt_refuses() {
    let (ours, foreign) = (intent(FsType::Ext4).uuid(), Uuid::from_u128(1));
    let data = Superblock::Unknown { offset: 7, looks_like: None };
    let named = Superblock::Unknown { offset: 7, looks_like: Some("a btrfs") };
    let refused = "refused";
    for (asked, superblock, mark, content, expected) in [
        (FsType::Ext4, Superblock::None, Mark::None, Some(Content::Zero), "blank"),
        (FsType::Xfs, Superblock::None, Mark::None, Some(Content::Zero), "blank"),
        (FsType::Ext4, Superblock::None, Mark::None, Some(Content::Data(9)), refused),
        (FsType::Ext4, Superblock::None, Mark::None, None, refused),
        (FsType::Ext4, Superblock::None, Mark::Data, Some(Content::Zero), refused),
        (FsType::Ext4, Superblock::None, Mark::Foreign, Some(Content::Zero), refused),
        (FsType::Ext4, Superblock::None, Mark::Ours, None, "unfinished ext4"),
        (FsType::Ext4, data.clone(), Mark::Ours, None, "unfinished ext4"),
        (FsType::Ext4, named, Mark::Ours, None, refused),
        (FsType::Ext4, ext4(ours, false), Mark::Ours, None, "unfinished ext4"),
        (FsType::Ext4, ext4(ours, true), Mark::Ours, None, refused),
        (FsType::Ext4, ext4(foreign, false), Mark::Ours, None, refused),
        (FsType::Ext4, ext4(ours, false), Mark::Foreign, None, refused),
        (FsType::Xfs, ext4(ours, false), Mark::Ours, None, refused),
        (FsType::Ext4, ext4(ours, false), Mark::None, None, "mount"),
        (FsType::Ext4, ext4(foreign, true), Mark::Data, None, "mount"),
        (FsType::Xfs, ext4(ours, true), Mark::None, None, refused),
        (FsType::Xfs, xfs(ours, false), Mark::None, None, "mount"),
        (FsType::Xfs, xfs(foreign, false), Mark::Data, None, "mount"),
        (FsType::Xfs, xfs(ours, true), Mark::None, None, "unfinished xfs"),
        (FsType::Xfs, xfs(ours, true), Mark::Data, None, refused),
        (FsType::Xfs, xfs(foreign, true), Mark::None, None, refused),
        (FsType::Ext4, xfs(ours, true), Mark::None, None, refused),
        (FsType::Ext4, xfs(ours, false), Mark::None, None, refused),
        (FsType::Xfs, xfs(ours, false), Mark::Ours, None, refused),
        (FsType::Ext4, data, Mark::None, Some(Content::Zero), refused),
    ] {
        let observation = seen(superblock, mark, content);
        let planned = match plan(&observation, &intent(asked)) {
            Plan::Blank => "blank",
            Plan::Mount { .. } => "mount",
            Plan::UnfinishedExt4 => "unfinished ext4",
            Plan::UnfinishedXfs => "unfinished xfs",
            Plan::Refuse(_) => refused,
        };
        assert_eq!(planned, expected, "{observation:?} asked as {asked}");
    }
}

#[test]
fn what_a_raw_user_may_have_written_is_never_our_own_unfinished_mkfs() {
    let ours = intent(FsType::Ext4).uuid();
    for (fs, superblock, mark) in [
        (FsType::Ext4, Superblock::None, Mark::Ours),
        (FsType::Ext4, Superblock::Unknown { offset: 7, looks_like: None }, Mark::Ours),
        (FsType::Ext4, ext4(ours, false), Mark::Ours),
        (FsType::Xfs, xfs(ours, true), Mark::None),
    ] {
        let raw = Intent { published_as_block: true, ..intent(fs) };
        let planned = plan(&seen(superblock, mark, None), &raw);
        assert_eq!(planned, Plan::Refuse(Refusal::UnfinishedAfterBlock { found: fs }));
    }
}

proptest! {
    #[test]
    fn a_start_that_is_not_all_zeros_is_never_formatted_without_our_own_mark(
        at in 0_usize..131_072, byte in 1_u8.., more in prop::collection::vec((0_usize..131_072, any::<u8>()), 0..40),
        magic in 0_usize..3,
    ) {
        let mut head = vec![0; 131_072];
        match magic {
            1 => head[1080..1082].copy_from_slice(b"\x53\xef"),
            2 => head[..4].copy_from_slice(b"XFSB"),
            _ => {}
        }
        more.into_iter().for_each(|(at, byte)| head[at] = byte);
        head[at] = byte;
        let superblock = superblock::read(&head);
        for fs in [FsType::Ext4, FsType::Xfs] {
            // The random bytes are never our UUID, so nothing says that a mkfs of ours wrote them.
            let planned = plan(&seen(superblock.clone(), Mark::None, Some(Content::Zero)), &intent(fs));
            prop_assert!(matches!(planned, Plan::Mount { .. } | Plan::Refuse(_)), "{planned:?}");
        }
    }

    #[test]
    fn reading_a_superblock_never_panics(head in prop::collection::vec(any::<u8>(), 0..4096)) {
        let _ = superblock::read(&head);
    }

    #[test]
    fn the_marker_lies_behind_what_mke2fs_is_given_and_within_the_size_at_creation(created in 4_u64..1 << 24) {
        let intent = Intent { created: created * MIB, ..intent(FsType::Ext4) };
        let place = intent.marker_range();
        prop_assert!(intent.ext4_bytes() + MIB - 4096 <= place.offset);
        prop_assert_eq!(place.offset + place.length, intent.created);
    }
}
