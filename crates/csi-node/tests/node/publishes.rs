//! NodePublishVolume and NodeUnpublishVolume of file systems.

use std::time::Duration;

use csi_grpc::v1::NodePublishVolumeRequest;
use csi_grpc::v1::NodeUnpublishVolumeRequest;
use csi_grpc::v1::node_server::Node as _;
use csi_grpc::v1::volume_capability::access_mode::Mode;
use host::fake::KernelVersion;
use tonic::Code;

use crate::bench::{Bench, KERNELS, Vol, call, text};

#[tokio::test(start_paused = true)]
async fn a_publish_asked_for_again_changes_nothing() {
    for vol in [Vol::ext4("a"), Vol::block("a")] {
        let bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
        let effects = bench.kernel.effects().count();
        bench.publish(&vol, "p").await.unwrap();
        assert_eq!(bench.kernel.effects().count(), effects, "{:?}", bench.kernel.effects().log());
    }
}

#[tokio::test(start_paused = true)]
async fn a_publish_before_its_stage_is_refused() {
    let vol = Vol::ext4("a");
    let bench = Bench::new(KernelVersion::V6_12);
    bench.export(&vol);
    assert_eq!(bench.publish(&vol, "p").await.unwrap_err().code(), Code::FailedPrecondition);
    assert!(!bench.kernel.exists(&vol.target("p")));

    bench.stage(&vol).await.unwrap();
    let refused = bench.publish(&vol.generation(2), "p").await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
    let as_block = Vol { as_block: true, ..vol };
    assert_eq!(bench.publish(&as_block, "p").await.unwrap_err().code(), Code::FailedPrecondition);
}

#[tokio::test(start_paused = true)]
async fn a_read_only_publish_cannot_be_written() {
    let vol = Vol::ext4("a");
    let bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
    let request = NodePublishVolumeRequest { readonly: true, ..vol.publish_request("q") };
    bench.node.node_publish_volume(call(request.clone())).await.unwrap();
    bench.node.node_publish_volume(call(request)).await.unwrap();
    bench.kernel.write_file(&vol.target("q"), "g", b"x").unwrap_err();
    assert_eq!(bench.kernel.read_file(&vol.target("q"), "f").unwrap(), b"bytes");
    let refused = bench.publish(&vol, "q").await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
}

#[tokio::test(start_paused = true)]
async fn a_volume_for_one_pod_is_refused_to_a_second_and_a_shared_one_is_not() {
    for (vol, shared) in
        [(Vol::ext4("a"), true), (Vol::block("a"), true), (Vol::ext4("a"), false), (Vol::block("a"), false)]
    {
        let mode = if shared { Mode::SingleNodeMultiWriter } else { Mode::SingleNodeSingleWriter };
        let vol = Vol { mode, ..vol };
        let bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
        let second = bench.publish(&vol, "q").await;
        match shared {
            true => second.unwrap(),
            false => {
                let refused = second.unwrap_err();
                assert_eq!(refused.code(), Code::FailedPrecondition);
                assert!(refused.message().contains("/kubelet/pods/p/a/mount"), "{refused:?}");
                assert!(!bench.kernel.exists(&vol.target("q")));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_published_is_unpublished_with_success() {
    let vol = Vol::ext4("a");
    let bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
    bench.unpublish(&vol, "never").await.unwrap();
    bench.unpublish(&vol, "p").await.unwrap();
    bench.unpublish(&vol, "p").await.unwrap();
    assert!(!bench.kernel.exists(&vol.target("p")));
}

#[tokio::test(start_paused = true)]
async fn what_somebody_left_at_a_target_is_never_removed() {
    let vol = Vol::ext4("a");
    let bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
    bench.kernel.put_foreign(&vol.target("q"));
    let refused = bench.unpublish(&vol, "q").await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(bench.kernel.exists(&vol.target("q")));
}

#[tokio::test(start_paused = true)]
async fn a_target_of_another_volume_is_neither_mounted_over_nor_unmounted() {
    let (one, two) = (Vol::ext4("a"), Vol::ext4("b"));
    let bench = Bench::in_use(KernelVersion::V6_12, &one).await;
    bench.export(&two);
    bench.stage(&two).await.unwrap();
    let target_path = text(&one.target("p"));
    let request = NodePublishVolumeRequest { target_path: target_path.clone(), ..two.publish_request("p") };
    let refused = bench.node.node_publish_volume(call(request)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted);
    let request = NodeUnpublishVolumeRequest { volume_id: "b".into(), target_path };
    let refused = bench.node.node_unpublish_volume(call(request)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted, "{refused:?}");
    assert_eq!(bench.kernel.read_file(&one.target("p"), "f").unwrap(), b"bytes");
}

#[tokio::test(start_paused = true)]
async fn a_staging_mount_of_a_lost_device_is_published_to_nobody() {
    let vol = Vol::ext4("a");
    let bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
    bench.fabric.unexport(&vol.nqn());
    let refused = bench.publish(&vol, "q").await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    assert!(!bench.kernel.exists(&vol.target("q")));
}

#[tokio::test(start_paused = true)]
async fn a_pod_can_be_cleaned_up_after_its_device_is_gone() {
    for version in KERNELS {
        for vol in [Vol::ext4("a"), Vol::xfs("a"), Vol::block("a")] {
            let bench = Bench::in_use(version, &vol).await;
            bench.fabric.unexport(&vol.nqn());
            // Linux 6.12 gives up at the refusal, 6.1 when ctrl_loss_tmo is over.
            tokio::time::advance(Duration::from_secs(1801)).await;
            bench.unpublish(&vol, "p").await.unwrap();
            assert!(!bench.kernel.exists(&vol.target("p")));
            bench.unstage(&vol).await.unwrap();
            assert!(bench.records().is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn mount_options_reach_the_kernel_and_dangerous_ones_do_not() {
    let vol = Vol { flags: vec!["noatime,discard".into()], ..Vol::ext4("a") };
    let bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
    use host::Mounts as _;
    let mounts = bench.kernel.mounts().await.unwrap();
    let staged = mounts.iter().find(|entry| entry.target == vol.staging()).unwrap();
    assert!(staged.options.contains(&"discard".to_owned()), "{staged:?}");

    let vol = Vol { flags: vec!["norecovery".into()], ..Vol::ext4("b") };
    bench.export(&vol);
    assert_eq!(bench.stage(&vol).await.unwrap_err().code(), Code::InvalidArgument);
}
