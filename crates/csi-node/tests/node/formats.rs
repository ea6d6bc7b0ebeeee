//! Format only what is proven blank (lessons.md, "Data destroyed"; node.md rule 9).

use host::fake::KernelVersion;
use tonic::Code;
use uuid::Uuid;

use crate::bench::{Bench, MIB, SIZE, Vol};

fn bench(vol: &Vol) -> Bench {
    let bench = Bench::new(KernelVersion::V6_12);
    bench.export(vol);
    bench
}

async fn assert_refused(bench: &Bench, vol: &Vol, said: &str) {
    let refused = bench.stage(vol).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    assert!(refused.message().contains(said), "{said:?} in {refused:?}");
    assert!(bench.kernel.formats().is_empty(), "formatted though: {said}");
}

#[tokio::test(start_paused = true)]
async fn one_byte_in_any_probed_place_keeps_a_volume_from_being_formatted() {
    let places =
        [0, 511, 4096, 100_000, MIB, 4 * MIB - 1, 64 * MIB, 128 * MIB, SIZE / 4, SIZE - 4 * MIB, SIZE - 1];
    for vol in [Vol::ext4("a"), Vol::xfs("a")] {
        for place in places {
            let bench = bench(&vol);
            bench.fabric.overwrite("a", place, &[1]);
            assert_refused(&bench, &vol, "never formatted over").await;
            assert_eq!(bench.fabric.stored("a", place, 1), [1]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_grown_device_is_probed_as_well_as_the_end_at_creation() {
    let vol = Vol { size: 4 * SIZE, ..Vol::ext4("a") };
    for place in [SIZE - 1, 4 * SIZE - 1] {
        let bench = bench(&vol);
        bench.fabric.overwrite("a", place, &[1]);
        assert_refused(&bench, &vol, "never formatted over").await;
    }
}

#[tokio::test(start_paused = true)]
async fn foreign_data_is_named_in_the_refusal() {
    for (place, bytes, name) in [
        (0, &b"LUKS\xba\xbe"[..], "a LUKS volume"),
        (512, b"EFI PART", "a GPT partition table"),
        (536, b"LABELONE", "data of no known form"),
        (512, b"LABELONE", "an LVM physical volume"),
        (65_600, b"_BHRfS_M", "a btrfs"),
        (4086, b"SWAPSPACE2", "a swap area"),
        (510, b"\x55\xaa", "an MBR partition table"),
    ] {
        let vol = Vol::ext4("a");
        let bench = bench(&vol);
        bench.fabric.overwrite("a", place, bytes);
        assert_refused(&bench, &vol, name).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_system_of_another_type_is_neither_mounted_nor_formatted() {
    for (there, asked) in [(Vol::ext4("a"), Vol::xfs("a")), (Vol::xfs("a"), Vol::ext4("a"))] {
        let first = Bench::in_use(KernelVersion::V6_12, &there).await;
        first.unpublish(&there, "p").await.unwrap();
        first.unstage(&there).await.unwrap();
        let second = first.beside("b");
        assert_refused(&second, &asked, "is asked for: correct fsType").await;
        second.unstage(&asked).await.unwrap();
        second.stage(&there).await.unwrap();
        assert_eq!(second.kernel.read_file(&there.staging(), "f").unwrap(), b"bytes");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_not_blank() {
    for operation in ["read", "scan"] {
        let vol = Vol::ext4("a");
        let bench = bench(&vol);
        bench.kernel.fail_next(operation, 5);
        let refused = bench.stage(&vol).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
        assert!(bench.fabric.is_blank("a"));
        bench.stage(&vol).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_restored_file_system_with_another_uuid_is_mounted_with_its_data() {
    for vol in [Vol::ext4("a"), Vol::xfs("a")] {
        let bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
        bench.kernel.fsync(&vol.target("p")).unwrap();
        let uuid_at = if vol.fs == "ext4" { 1024 + 104 } else { 32 };
        bench.fabric.overwrite("a", uuid_at, Uuid::from_u128(99).as_bytes());
        let other = bench.beside("b");
        other.stage(&vol).await.unwrap();
        assert_eq!(other.kernel.read_file(&vol.staging(), "f").unwrap(), b"bytes");
        assert!(other.kernel.formats().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_volume_published_as_block_before_is_formatted_only_after_every_byte_was_zero() {
    let vol = Vol::ext4("a");
    // A byte that lies in none of the probed places.
    let hidden = 5 * MIB + 700_000;
    let unlucky = bench(&vol);
    unlucky.fabric.overwrite("a", hidden, &[1]);
    let refused = unlucky.stage_after_block(&vol).await.unwrap_err();
    assert!(refused.message().contains("never formatted over"), "{refused:?}");
    assert!(unlucky.kernel.formats().is_empty());

    let blank = bench(&vol);
    blank.stage_after_block(&vol).await.unwrap();
    assert_eq!(blank.kernel.formats().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_whole_read_that_outlasts_a_call_is_joined_by_the_next() {
    let vol = Vol::ext4("a");
    let bench = bench(&vol);
    bench.kernel.hang("scan");
    for _ in 0..2 {
        let waiting = bench.stage_after_block(&vol).await.unwrap_err();
        assert_eq!(waiting.code(), Code::Unavailable, "{waiting:?}");
        assert!(waiting.message().contains("being read whole"), "{waiting:?}");
    }
    bench.kernel.unhang("scan");
    bench.stage_after_block(&vol).await.unwrap();
    assert_eq!(bench.kernel.formats().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_finished_file_system_has_no_marker_left_and_fills_its_device() {
    let vol = Vol::ext4("a");
    let bench = bench(&vol);
    bench.stage(&vol).await.unwrap();
    assert_eq!(bench.fabric.stored("a", SIZE - 4096, 4096), vec![0; 4096]);
    let log = bench.kernel.effects().log();
    assert!(log.contains(&format!("grow {} to {SIZE}", vol.staging().display())), "{log:?}");
}

/// Crashes in the mkfs of a first stage until nothing is left to crash after; hands each wreck over.
async fn wrecks(vol: &Vol) -> Vec<Bench> {
    let mut wrecks = Vec::new();
    for effects in 1.. {
        let mut bench = bench(vol);
        let crashed = bench.kernel.effects().clone();
        crashed.crash_after(effects);
        tokio::select! {
            staged = bench.stage(vol) => { staged.unwrap(); return wrecks }
            () = crashed.crashed() => bench.power_loss(),
        }
        wrecks.push(bench);
    }
    unreachable!("a stage has an end")
}

#[tokio::test(start_paused = true)]
async fn power_lost_at_any_point_of_a_first_stage_never_locks_the_volume() {
    for vol in [Vol::ext4("a"), Vol::xfs("a")] {
        let wrecks = wrecks(&vol).await;
        assert!(wrecks.len() > 5, "{}", wrecks.len());
        for bench in wrecks {
            bench.stage(&vol).await.unwrap();
            bench.kernel.write_file(&vol.staging(), "f", b"bytes").unwrap();
            bench.unstage(&vol).await.unwrap();
            bench.assert_clean();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn another_nodes_unfinished_mkfs_is_known_as_ours_too() {
    for vol in [Vol::ext4("a"), Vol::xfs("a")] {
        for wreck in wrecks(&vol).await {
            let other = wreck.beside("b");
            other.stage(&vol).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn our_own_marker_proves_nothing_where_a_raw_user_may_have_written_it() {
    let vol = Vol::ext4("a");
    let marked = crash_after_marker(bench(&vol), &vol).await;
    let other = marked.beside("b");
    let refused = other.stage_after_block(&vol).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    assert!(refused.message().contains("published as a raw block device"), "{refused:?}");
    assert!(other.kernel.formats().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_marker_beside_a_file_system_that_was_mounted_is_refused() {
    let vol = Vol::ext4("a");
    let marked = bench(&vol);
    // The first effects are: connect, marker.
    let log = crash_after_marker(marked, &vol).await;
    let marker = log.fabric.stored("a", SIZE - 4096, 4096);
    assert_ne!(marker, vec![0; 4096]);

    let used = Bench::in_use(KernelVersion::V6_12, &vol).await;
    used.kernel.fsync(&vol.target("p")).unwrap();
    used.fabric.overwrite("a", SIZE - 4096, &marker);
    let other = used.beside("b");
    assert_refused(&other, &vol, "contradict").await;
}

async fn crash_after_marker(mut bench: Bench, vol: &Vol) -> Bench {
    let marked = |bench: &Bench| bench.fabric.stored("a", SIZE - 4096, 4096).iter().any(|byte| *byte != 0);
    while !marked(&bench) {
        let crashed = bench.kernel.effects().clone();
        crashed.crash_after(1);
        tokio::select! {
            staged = bench.stage(vol) => staged.unwrap(),
            () = crashed.crashed() => bench.restart(),
        }
    }
    bench
}

#[tokio::test(start_paused = true)]
async fn an_unfinished_xfs_of_a_foreign_uuid_is_not_ours_to_make_again() {
    let vol = Vol::xfs("a");
    let bench = bench(&vol);
    bench.fabric.overwrite("a", 0, b"XFSB");
    bench.fabric.overwrite("a", 32, Uuid::from_u128(5).as_bytes());
    bench.fabric.overwrite("a", 126, &[1]);
    assert_refused(&bench, &vol, "foreign UUID").await;
}

#[tokio::test(start_paused = true)]
async fn an_xfs_too_small_for_mkfs_is_refused_with_the_least_size() {
    let vol = Vol { created: 200 * MIB, size: 200 * MIB, ..Vol::xfs("a") };
    assert_refused(&bench(&vol), &vol, "too small for xfs").await;
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_a_reconnect_says_nothing_of_what_is_there_after() {
    let vol = Vol::ext4("a");
    let bench = bench(&vol);
    bench.kernel.hang("scan");
    bench.stage_after_block(&vol).await.unwrap_err();
    bench.kernel.unhang("scan");
    // Read as zeros to its end; then the kernel gives the connection up, and another node writes.
    bench.fabric.unexport(&vol.nqn());
    bench.fabric.overwrite("a", 5 * MIB + 3, b"another node's");
    bench.export(&vol);
    let refused = bench.stage_after_block(&vol).await.unwrap_err();
    assert!(refused.message().contains("never formatted over"), "{refused:?}");
    assert!(bench.kernel.formats().is_empty());
}
