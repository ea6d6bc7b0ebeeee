//! Metrics by the paths that really run (requirements R23, R25).

use host::fake::KernelVersion;
use tokio::time::Duration;

use crate::bench::{Bench, Vol};

#[tokio::test(start_paused = true)]
async fn a_life_is_counted_under_the_described_names() {
    let vol = Vol::ext4("a");
    let bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
    bench.kernel.fail_next("unmount", 16);
    bench.unpublish(&vol, "p").await.unwrap_err();
    bench.unpublish(&vol, "p").await.unwrap();
    let during = bench.scrape().await;
    bench.unstage(&vol).await.unwrap();
    let after = bench.scrape().await;
    for line in [
        "rds_csi_nvme_connects_total{status=\"success\"} 1",
        "rds_csi_nvme_connect_duration_seconds_count 1",
        "rds_csi_mount_operations_total{operation=\"mount\",status=\"success\"} 1",
        "rds_csi_mount_operations_total{operation=\"bind\",status=\"success\"} 1",
        "rds_csi_mount_operations_total{operation=\"unmount\",status=\"failure\"} 1",
        "rds_csi_mount_operations_total{operation=\"unmount\",status=\"success\"} 2",
        "rds_csi_volume_operations_total{operation=\"stage\",status=\"success\"} 1",
        "rds_csi_volume_operations_total{operation=\"unpublish\",status=\"failure\"} 1",
        "rds_csi_volume_operation_duration_seconds_count{operation=\"unstage\"} 1",
        "rds_csi_nvme_connections_active 0",
    ] {
        assert!(after.lines().any(|seen| seen == line), "{line} in\n{after}");
    }
    assert!(during.contains("rds_csi_nvme_connections_active 1"), "{during}");
    assert!(during.contains("rds_csi_nvme_connections_down 0"), "{during}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_being_tried_again_is_down_until_it_is_live() {
    let vol = Vol::ext4("a");
    let bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
    bench.kernel.cut_link();
    tokio::time::sleep(Duration::from_secs(30)).await;
    let during = bench.scrape().await;
    assert!(during.contains("rds_csi_nvme_connections_active 1"), "{during}");
    assert!(during.contains("rds_csi_nvme_connections_down 1"), "{during}");
}

#[tokio::test(start_paused = true)]
async fn a_count_that_cannot_be_read_is_absent_and_never_zero() {
    let bench = Bench::new(KernelVersion::V6_12);
    bench.kernel.fail_next("subsystems", 5);
    assert!(!bench.scrape().await.contains("rds_csi_nvme_connections_active "));
    assert!(bench.scrape().await.contains("rds_csi_nvme_connections_active 0"));
}
