//! Raw block devices (node.md rule 10).

use host::fake::KernelVersion;
use tonic::Code;

use crate::bench::{Bench, KERNELS, MIB, Vol};

#[tokio::test(start_paused = true)]
async fn a_raw_device_gives_back_what_was_written_after_a_whole_life() {
    for version in KERNELS {
        let vol = Vol::block("a");
        let bench = Bench::in_use(version, &vol).await;
        bench.unpublish(&vol, "p").await.unwrap();
        assert_eq!(bench.fabric.stored("a", MIB, 5), b"bytes");
        bench.unstage(&vol).await.unwrap();
        bench.assert_clean();
        assert!(bench.kernel.formats().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_number_is_not_given_to_another_volume_while_it_is_published() {
    let (one, two) = (Vol::block("a"), Vol::block("b"));
    let bench = Bench::in_use(KernelVersion::V6_12, &one).await;
    // The first volume's device is lost under its pod; the second is connected after.
    bench.fabric.unexport(&one.nqn());
    bench.export(&two);
    bench.stage(&two).await.unwrap();
    bench.publish(&two, "q").await.unwrap();
    bench.kernel.write_block(&one.target("p"), 0, b"stray").unwrap_err();
    assert!(bench.fabric.is_blank("b"));
}

#[tokio::test(start_paused = true)]
async fn another_volumes_device_at_a_target_is_left_to_it() {
    let (one, two) = (Vol::block("a"), Vol::block("b"));
    let mut bench = Bench::in_use(KernelVersion::V6_12, &one).await;
    bench.kernel.fsync_block(&one.target("p")).unwrap();
    // The driver's descriptors go with its container, so the number is free once the device is lost.
    bench.restart();
    bench.fabric.unexport(&one.nqn());
    bench.export(&two);
    bench.stage(&two).await.unwrap();
    bench.kernel.write_block(&one.target("p"), 0, b"stray").unwrap();

    let again = one.generation(2);
    bench.export(&again);
    bench.kernel.renumber_from(40);
    let refused = bench.publish(&one, "p").await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    bench.stage(&again).await.unwrap();
    let refused = bench.publish(&again, "p").await.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted, "{refused:?}");
    assert!(refused.message().contains(&two.nqn()), "{refused:?}");
    // What is bound there keeps the other volume connected.
    bench.unstage(&two).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_mount_storm_of_one_device_is_capped() {
    let vol = Vol::block("a");
    let bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
    for pod in ["q", "r"] {
        bench.publish(&vol, pod).await.unwrap();
    }
    let refused = bench.publish(&vol, "s").await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(!bench.kernel.exists(&vol.target("s")));
    // What is there already goes on being served.
    bench.publish(&vol, "r").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_file_system_is_never_made_on_a_raw_device() {
    let vol = Vol::block("a");
    let bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
    bench.unpublish(&vol, "p").await.unwrap();
    bench.unstage(&vol).await.unwrap();
    let as_filesystem = Vol::ext4("a");
    let refused = bench.stage_after_block(&as_filesystem).await.unwrap_err();
    assert!(refused.message().contains("never formatted over"), "{refused:?}");
    assert_eq!(bench.fabric.stored("a", MIB, 5), b"bytes");
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_starts_holds_what_is_published_before_its_number_can_go_to_another() {
    let (one, two) = (Vol::block("a"), Vol::block("b"));
    let mut bench = Bench::in_use(KernelVersion::V6_12, &one).await;
    bench.restart();
    bench.node.recover().await;
    bench.fabric.unexport(&one.nqn());
    bench.export(&two);
    bench.stage(&two).await.unwrap();
    bench.kernel.write_block(&one.target("p"), 0, b"stray").unwrap_err();
    assert!(bench.fabric.is_blank("b"));
}

#[tokio::test(start_paused = true)]
async fn a_raw_device_whose_holder_died_is_flushed_all_the_same() {
    let vol = Vol::block("a");
    let mut bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
    bench.restart();
    bench.unpublish(&vol, "p").await.unwrap();
    assert_eq!(bench.fabric.stored("a", MIB, 5), b"bytes");
}
