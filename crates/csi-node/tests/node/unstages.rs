//! NodeUnstageVolume: success only when synced, or the loss was said, and gone from sysfs.

use std::time::Duration;

use host::fake::KernelVersion;
use tonic::Code;
use volume::{Event, Involved, Reason};

use crate::bench::{Bench, KERNELS, Vol, claim};

async fn staged_only(version: KernelVersion, vol: &Vol) -> Bench {
    let bench = Bench::in_use(version, vol).await;
    bench.unpublish(vol, "p").await.unwrap();
    bench
}

/// Whether a loss was counted; it is said on the claim as well.
async fn losses(bench: &Bench) -> bool {
    let counted = !bench.scrape().await.contains("rds_csi_unwritten_data_losses_total 0");
    let said = bench.heard.take();
    let lost = |event: &Event| event.reason == Reason::UnwrittenDataLost;
    assert_eq!(said.iter().any(lost), counted, "{said:?}");
    assert!(said.iter().all(|event| event.involved == Involved::Claim(claim())), "{said:?}");
    counted
}

#[tokio::test(start_paused = true)]
async fn an_unstage_of_what_is_not_there_succeeds() {
    let bench = Bench::new(KernelVersion::V6_12);
    bench.unstage(&Vol::ext4("a")).await.unwrap();
    bench.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn what_was_in_the_page_cache_is_at_the_target_when_an_unstage_succeeds() {
    for vol in [Vol::ext4("a"), Vol::xfs("a")] {
        let bench = staged_only(KernelVersion::V6_1, &vol).await;
        bench.unstage(&vol).await.unwrap();
        bench.assert_clean();
        assert!(!losses(&bench).await);
        let other = bench.beside("b");
        other.stage(&vol).await.unwrap();
        assert_eq!(other.kernel.read_file(&vol.staging(), "f").unwrap(), b"bytes");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unstage_under_a_pod_is_refused_naming_its_path() {
    for vol in [Vol::ext4("a"), Vol::block("a")] {
        let bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
        let refused = bench.unstage(&vol).await.unwrap_err();
        assert_eq!(refused.code(), Code::Aborted);
        assert!(refused.message().contains("/kubelet/pods/p/a/mount"), "{refused:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_the_mount_in_another_namespace_keeps_the_volume_connected() {
    let vol = Vol::ext4("a");
    let bench = staged_only(KernelVersion::V6_12, &vol).await;
    bench.kernel.copy_to_foreign_namespace(&vol.staging());
    // The second attempt finds an empty mountinfo, which proves nothing.
    for _ in 0..2 {
        let refused = bench.unstage(&vol).await.unwrap_err();
        assert_eq!(refused.code(), Code::Aborted);
        assert!(refused.message().contains("another mount namespace"), "{refused:?}");
        assert_eq!(bench.fabric.sessions(&vol.nqn()).len(), 1);
    }
    bench.kernel.end_foreign_namespaces();
    bench.unstage(&vol).await.unwrap();
    bench.assert_clean();
    assert!(!losses(&bench).await);
}

#[tokio::test(start_paused = true)]
async fn an_outage_keeps_dirty_pages_until_the_target_is_back() {
    let vol = Vol::ext4("a");
    let bench = staged_only(KernelVersion::V6_1, &vol).await;
    bench.fabric.stop();
    let refused = bench.unstage(&vol).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    assert!(refused.message().contains("not live"), "{refused:?}");
    bench.fabric.start();
    bench.unstage(&vol).await.unwrap();
    bench.assert_clean();
    assert!(!losses(&bench).await);
    let other = bench.beside("b");
    other.stage(&vol).await.unwrap();
    assert_eq!(other.kernel.read_file(&vol.staging(), "f").unwrap(), b"bytes");
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_begins_in_the_sync_is_waited_for_by_the_retry() {
    let vol = Vol::ext4("a");
    let bench = staged_only(KernelVersion::V6_1, &vol).await;
    // The link is cut and not noticed yet: the controller still says live (node.md K8).
    bench.kernel.cut_link();
    let refused = bench.unstage(&vol).await.unwrap_err();
    assert_eq!(refused.code(), Code::DeadlineExceeded, "{refused:?}");
    bench.kernel.mend_link();
    bench.unstage(&vol).await.unwrap();
    bench.assert_clean();
    assert!(!losses(&bench).await);
}

#[tokio::test(start_paused = true)]
async fn when_ctrl_loss_tmo_is_over_the_loss_is_said_and_the_unstage_succeeds() {
    let vol = Vol::ext4("a");
    let bench = staged_only(KernelVersion::V6_1, &vol).await;
    bench.fabric.stop();
    bench.unstage(&vol).await.unwrap_err();
    tokio::time::advance(Duration::from_secs(1801)).await;
    bench.unstage(&vol).await.unwrap();
    bench.assert_clean();
    assert!(losses(&bench).await);
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_the_kernel_removed_early_is_a_normal_outcome() {
    for vol in [Vol::ext4("a"), Vol::xfs("a"), Vol::block("a")] {
        let bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
        // Linux 6.12 removes a controller at the first refusal (node.md K2).
        bench.fabric.unexport(&vol.nqn());
        bench.unpublish(&vol, "p").await.unwrap();
        bench.unstage(&vol).await.unwrap();
        bench.assert_clean();
        assert!(losses(&bench).await, "{}", bench.scrape().await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_volume_without_its_record_is_found_in_sysfs() {
    for version in KERNELS {
        let vol = Vol::ext4("a");
        let bench = staged_only(version, &vol).await;
        std::fs::remove_file(bench.state.path().join("stages/a.json")).unwrap();
        bench.unstage(&vol).await.unwrap();
        bench.assert_clean();
        let other = bench.beside("b");
        other.stage(&vol).await.unwrap();
        assert_eq!(other.kernel.read_file(&vol.staging(), "f").unwrap(), b"bytes");
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_of_a_newer_plugin_is_refused_with_what_to_do() {
    let vol = Vol::ext4("a");
    let bench = staged_only(KernelVersion::V6_12, &vol).await;
    std::fs::write(bench.state.path().join("stages/a.json"), r#"{"version":2}"#).unwrap();
    for refused in [bench.unstage(&vol).await, bench.stage(&vol).await] {
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable);
        assert!(refused.message().contains("run the newer plugin"), "{refused:?}");
    }
    assert_eq!(bench.fabric.sessions(&vol.nqn()).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_unstage_touches_no_other_volume_and_no_foreign_device() {
    let (one, two) = (Vol::ext4("a"), Vol::ext4("a-1"));
    let bench = staged_only(KernelVersion::V6_12, &one).await;
    bench.export(&two);
    bench.stage(&two).await.unwrap();
    bench.kernel.write_file(&two.staging(), "f", b"other").unwrap();
    bench.unstage(&one).await.unwrap();
    assert_eq!(bench.kernel.read_file(&two.staging(), "f").unwrap(), b"other");
    assert_eq!(bench.fabric.sessions(&two.nqn()).len(), 1);
    bench.assert_nothing_foreign_touched();
}

#[tokio::test(start_paused = true)]
async fn a_staging_path_that_is_another_volumes_stays_mounted() {
    let (one, two) = (Vol::ext4("a"), Vol::ext4("b"));
    let bench = staged_only(KernelVersion::V6_12, &one).await;
    bench.export(&two);
    bench.stage(&two).await.unwrap();
    let request = csi_grpc::v1::NodeUnstageVolumeRequest {
        volume_id: "a".into(),
        staging_target_path: crate::bench::text(&two.staging()),
    };
    use csi_grpc::v1::node_server::Node as _;
    let refused = bench.node.node_unstage_volume(crate::bench::call(request)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted);
    assert!(refused.message().contains(&two.nqn()), "{refused:?}");
    bench.unstage(&two).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_sync_that_never_ran_is_no_loss_and_is_tried_again() {
    let vol = Vol::ext4("a");
    let bench = staged_only(KernelVersion::V6_12, &vol).await;
    // EAGAIN: no process could be started.
    bench.kernel.fail_next("sync", 11);
    assert_eq!(bench.unstage(&vol).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(bench.fabric.sessions(&vol.nqn()).len(), 1);
    bench.unstage(&vol).await.unwrap();
    assert!(!losses(&bench).await);
    let other = bench.beside("b");
    other.stage(&vol).await.unwrap();
    assert_eq!(other.kernel.read_file(&vol.staging(), "f").unwrap(), b"bytes");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_goes_before_its_device_was_free_is_a_loss_and_one_that_goes_after_is_none() {
    for (failing, lost) in [("unmount", true), ("is-free", true), ("disconnect", false)] {
        let vol = Vol::ext4("a");
        let bench = staged_only(KernelVersion::V6_12, &vol).await;
        bench.kernel.fail_next(failing, 5);
        bench.unstage(&vol).await.unwrap_err();
        bench.fabric.unexport(&vol.nqn());
        bench.unstage(&vol).await.unwrap();
        bench.assert_clean();
        assert_eq!(losses(&bench).await, lost, "{failing}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_raw_device_that_was_lost_without_a_holder_is_a_loss() {
    let vol = Vol::block("a");
    let mut bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
    // The holder ends with its container, so nobody is left to tell it at the unpublish.
    bench.restart();
    bench.fabric.unexport(&vol.nqn());
    bench.unpublish(&vol, "p").await.unwrap();
    bench.unstage(&vol).await.unwrap();
    bench.assert_clean();
    assert!(losses(&bench).await);
}

#[tokio::test(start_paused = true)]
async fn a_loss_that_was_told_to_a_sync_which_nobody_waited_for_is_said() {
    for restarts in [false, true] {
        let vol = Vol::ext4("a");
        let mut bench = staged_only(KernelVersion::V6_1, &vol).await;
        bench.kernel.hang("sync");
        assert_eq!(bench.unstage(&vol).await.unwrap_err().code(), Code::DeadlineExceeded);
        // From here on a sync ends well.
        bench.kernel.shut_down_filesystem(&vol.staging());
        bench.kernel.unhang("sync");
        assert!(!losses(&bench).await);
        if restarts {
            bench.restart();
        }
        bench.unstage(&vol).await.unwrap();
        bench.assert_clean();
        assert!(losses(&bench).await);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_is_said_once_however_often_it_is_tried() {
    let vol = Vol::ext4("a");
    let bench = staged_only(KernelVersion::V6_1, &vol).await;
    bench.fabric.unexport(&vol.nqn());
    bench.node.declare_fenced(&vol.slot()).await.unwrap();
    for _ in 0..3 {
        bench.kernel.fail_next("unmount", 16);
        bench.unstage(&vol).await.unwrap_err();
    }
    bench.unstage(&vol).await.unwrap();
    bench.assert_clean();
    assert!(bench.scrape().await.contains("rds_csi_unwritten_data_losses_total 1"));
}
