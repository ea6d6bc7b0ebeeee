//! Raw block devices (node.md rule 10).

use std::path::Path;

use csi_grpc::v1::node_server::Node as _;
use csi_grpc::v1::volume_capability::access_mode::Mode;
use host::fake::KernelVersion;
use host::{Mounts as _, Volume};
use tokio::time::{Duration, Instant};
use tonic::Code;

use crate::bench::{Bench, KERNELS, MIB, Vol, call};

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

/// Volume `a` lost its device under its pod while nobody held the number, and `b` has it now.
async fn crossed(one: &Vol, two: &Vol) -> Bench {
    let mut bench = Bench::in_use(KernelVersion::V6_12, one).await;
    bench.kernel.fsync_block(&one.target("p")).unwrap();
    // The driver's descriptors go with its container, so the number is free once the device is lost.
    bench.restart();
    bench.fabric.unexport(&one.nqn());
    bench.export(two);
    bench.stage(two).await.unwrap();
    bench.kernel.write_block(&one.target("p"), 0, b"stray").unwrap();
    bench
}

#[tokio::test(start_paused = true)]
async fn a_target_whose_device_number_is_another_volumes_now_is_never_served_and_gets_its_own_device() {
    let (one, two) = (Vol::block("a"), Vol::block("b"));
    let bench = crossed(&one, &two).await;
    let again = one.generation(2);
    bench.export(&again);
    bench.kernel.renumber_from(40);
    let refused = bench.publish(&one, "p").await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    // What is bound there may write to the other volume, and keeps it connected.
    bench.unstage(&two).await.unwrap_err();

    bench.stage(&again).await.unwrap();
    bench.publish(&again, "p").await.unwrap();
    bench.kernel.write_block(&again.target("p"), 0, b"right").unwrap();
    bench.kernel.fsync_block(&again.target("p")).unwrap();
    assert_eq!(
        (bench.fabric.stored("a", 0, 5), bench.fabric.stored("b", 0, 5)),
        (b"right".to_vec(), vec![0; 5])
    );
    bench.unstage(&two).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pod_whose_device_was_lost_is_unpublished_whoever_has_its_number_now() {
    let (one, two) = (Vol::block("a"), Vol::block("b"));
    let bench = crossed(&one, &two).await;
    bench.kernel.cut_link();
    bench.unpublish(&one, "p").await.unwrap();
    bench.unstage(&one).await.unwrap();
    bench.kernel.mend_link();
    bench.unstage(&two).await.unwrap();
    bench.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn another_volumes_device_that_is_published_at_a_target_is_left_to_it() {
    let (one, two) = (Vol::block("a"), Vol::block("b"));
    let bench = Bench::in_use(KernelVersion::V6_12, &one).await;
    bench.export(&two);
    bench.stage(&two).await.unwrap();
    let mut request = two.publish_request("p");
    request.target_path = one.publish_request("p").target_path;
    let refused = bench.node.node_publish_volume(call(request)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted, "{refused:?}");
    assert!(refused.message().contains(&one.nqn()), "{refused:?}");
    bench.kernel.write_block(&one.target("p"), 0, b"still").unwrap();
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

/// As `MapBlockVolume` does, and as subPaths are made.
async fn bind_as_the_kubelet(bench: &Bench, vol: &Vol) {
    let slot = vol.slot();
    let volume = Volume { slot: &slot, deadline: Instant::now() + Duration::from_secs(30) };
    let (kernel, source) = (&bench.kernel, vol.target("p"));
    if vol.as_block {
        let target = Path::new("/kubelet/plugins/kubernetes.io/csi/volumeDevices/pvc-1/dev/p");
        kernel.make_file(target).await.unwrap();
        kernel.bind(volume, &source, target, false).await.unwrap();
    } else {
        let target = Path::new("/kubelet/pods/p/volume-subpaths/data/shell/0");
        kernel.make_dir(target).await.unwrap();
        kernel.bind(volume, &source, target, false).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_kubelet_binds_for_a_pod_is_no_second_pod() {
    for vol in [Vol::block("a"), Vol::ext4("a")] {
        let vol = Vol { mode: Mode::SingleNodeSingleWriter, ..vol };
        let bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
        bind_as_the_kubelet(&bench, &vol).await;
        bench.publish(&vol, "p").await.unwrap();
        assert_eq!(bench.publish(&vol, "q").await.unwrap_err().code(), Code::FailedPrecondition);
        bench.unpublish(&vol, "p").await.unwrap();
        bench.publish(&vol, "q").await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_hold_of_before_a_renumbering_is_in_no_publishs_way() {
    let vol = Vol::block("a");
    let mut bench = Bench::new(KernelVersion::V6_12);
    bench.export(&vol);
    bench.stage(&vol).await.unwrap();
    // The driver is killed once the device is held, and nothing is bound.
    bench.kernel.hang("bind");
    bench.publish(&vol, "p").await.unwrap_err();
    bench.restart();
    bench.fabric.unexport(&vol.nqn());
    bench.kernel.unhang("bind");
    let again = vol.generation(2);
    bench.export(&again);
    bench.stage(&again).await.unwrap();
    bench.publish(&again, "p").await.unwrap();
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
