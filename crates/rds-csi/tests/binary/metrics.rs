//! What a scraper gets: both formats, of both roles, whatever the device does.

mod promtool;

use std::collections::HashMap;

use csi_grpc::v1::controller_client::ControllerClient;
use csi_grpc::v1::node_client::NodeClient;
use csi_grpc::v1::volume_capability::access_mode::Mode;
use csi_grpc::v1::volume_capability::{AccessMode, AccessType, MountVolume};
use csi_grpc::v1::{
    ControllerPublishVolumeRequest, ControllerUnpublishVolumeRequest, NodeStageVolumeRequest,
    VolumeCapability,
};
use routeros_sim::{Action, Fault, Handle, Simulator, Traffic, When};

use crate::calls::volume;
use crate::device::fit_device;
use crate::process::{NO_DEVICE, Running, Setup};

/// What promtool dislikes of names that are given (requirements R32): they are those of the described system.
const GIVEN: [&str; 4] = [
    "rds_disk_active_time_milliseconds use base unit \"seconds\" instead of \"milliseconds\"",
    "rds_disk_read_latency_milliseconds use base unit \"seconds\" instead of \"milliseconds\"",
    "rds_disk_wait_latency_milliseconds use base unit \"seconds\" instead of \"milliseconds\"",
    "rds_disk_write_latency_milliseconds use base unit \"seconds\" instead of \"milliseconds\"",
];

fn capability() -> Option<VolumeCapability> {
    let mode = AccessMode { mode: Mode::SingleNodeWriter.into() };
    let mount = AccessType::Mount(MountVolume { fs_type: "ext4".into(), ..MountVolume::default() });
    Some(VolumeCapability { access_mode: Some(mode), access_type: Some(mount) })
}

/// A controller that polls often, ready, with its device.
async fn polling() -> (Simulator, Setup, Running) {
    let (simulator, setup) = fit_device().await;
    let setup =
        setup.with("--device", "order=fifo").with("--figures-interval", "1s").with("--poll-interval", "1s");
    let mut running = setup.start().await;
    running.logged("the device answers and fits").await;
    (simulator, setup, running)
}

/// Scrapes, while the disk in the slot works, until there is a line with `part`.
async fn scraped(running: &Running, device: &Handle, slot: &str, part: &str) -> String {
    let moved = Traffic {
        read_ops: 2,
        read_bytes: 8192,
        read_millis: 3,
        write_ops: 1,
        write_bytes: 4096,
        write_millis: 2,
        in_flight_ops: 1,
        active_millis: 4,
        wait_millis: 6,
    };
    loop {
        device.add_traffic(slot, &moved).unwrap();
        let (_, metrics) = running.get_as("/metrics", "text/plain").await;
        if metrics.lines().any(|line| line.contains(part)) {
            return metrics;
        }
    }
}

/// The names of the families of an exposition.
fn families(metrics: &str) -> Vec<&str> {
    metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect()
}

#[tokio::test]
async fn the_controllers_metrics_are_clean_but_for_names_that_are_given() {
    let (simulator, setup, running) = polling().await;
    let mut client = ControllerClient::new(setup.connect().await);
    let volume_id =
        client.create_volume(volume("pvc-1")).await.unwrap().into_inner().volume.unwrap().volume_id;
    let publish = |node: &str| ControllerPublishVolumeRequest {
        volume_id: volume_id.clone(),
        node_id: node.into(),
        volume_capability: capability(),
        ..ControllerPublishVolumeRequest::default()
    };
    client.controller_publish_volume(publish("rds:node-a")).await.unwrap();
    client.controller_publish_volume(publish("rds:node-b")).await.unwrap_err();
    let unpublish = ControllerUnpublishVolumeRequest {
        volume_id: "nonsense".into(),
        node_id: "rds:node-b".into(),
        ..ControllerUnpublishVolumeRequest::default()
    };
    // Whatever it answers: it is counted.
    let _ = client.controller_unpublish_volume(unpublish).await;

    let latency = format!("rds_disk_wait_latency_milliseconds{{slot=\"{volume_id}\"}}");
    let metrics = scraped(&running, &simulator.handle(), &volume_id, &latency).await;
    assert_eq!(promtool::complaints(&metrics).await, GIVEN, "{metrics}");
    let families = families(&metrics);
    for family in [
        "rds_csi_attachment_attach_total",
        "rds_csi_attachment_detach_total",
        "rds_csi_attachment_conflicts_total",
        "rds_csi_attachment_operation_duration_seconds",
        "rds_csi_volume_operations_total",
        "rds_csi_volume_operation_duration_seconds",
        "rds_csi_rds_connection_state",
        "rds_csi_rds_reconnect_total",
        "rds_csi_rds_reconnect_duration_seconds",
        "csi_plugin_operations_seconds",
        "rds_disk_read_ops_per_second",
        "rds_disk_in_flight_operations",
        "rds_hardware_psu2_temperature_celsius",
        "rds_hardware_disk_pool_used_bytes",
    ] {
        assert!(families.contains(&family), "no {family} in\n{metrics}");
    }
}

#[tokio::test]
async fn the_nodes_metrics_are_clean() {
    let setup = Setup::node();
    let running = setup.start().await;
    let mut client = NodeClient::new(setup.connect().await);
    let staging = setup.directory.path().join("kubelet/plugins/kubernetes.io/csi/x/globalmount");
    let publish_context = [
        ("nvme_nqn", "nqn.2000-02.com.mikrotik:pvc-1.0123456789abcdef"),
        ("nvme_address", "127.0.0.1"),
        ("nvme_port", "1"),
    ];
    let stage = NodeStageVolumeRequest {
        volume_id: "pvc-1".into(),
        staging_target_path: staging.display().to_string(),
        volume_capability: capability(),
        publish_context: HashMap::from(
            publish_context.map(|(key, value)| (key.to_owned(), value.to_owned())),
        ),
        ..NodeStageVolumeRequest::default()
    };
    client.node_stage_volume(stage).await.unwrap_err();
    let (_, metrics) = running.get_as("/metrics", "text/plain").await;
    assert_eq!(promtool::complaints(&metrics).await, Vec::<String>::new(), "{metrics}");
    for family in [
        "rds_csi_volume_operations_total",
        "rds_csi_volume_operation_duration_seconds",
        "rds_csi_nvme_connects_total",
        "rds_csi_nvme_connect_duration_seconds",
        "rds_csi_nvme_connections_active",
        "csi_plugin_operations_seconds",
    ] {
        assert!(families(&metrics).contains(&family), "no {family} in\n{metrics}");
    }
}

#[tokio::test]
async fn the_documented_alerts_fire_when_they_should_and_else_are_silent() {
    let document = include_str!("../../../../docs/metrics.md");
    let (_, rest) = document.split_once("```yaml\n").unwrap();
    let (rules, _) = rest.split_once("```").unwrap();
    assert_eq!(promtool::rules(rules).await, rules.matches("- alert:").count());
    let tests = include_str!("metrics/alerts.yaml");
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(tests.contains(&format!("alertname=\"{alert}\"")), "nothing makes {alert} fire");
    }
    assert_eq!(promtool::failures(rules, tests).await, None);
}

#[tokio::test]
async fn a_scrape_is_answered_while_the_device_holds_the_poll() {
    let (simulator, _setup, running) = polling().await;
    let device = simulator.handle();
    scraped(&running, &device, "raid10", "rds_disk_read_ops_per_second{slot=\"raid10\"}").await;
    let held = device.faults().inject(Fault::always(Action::Hold { when: When::Before }));
    while device.faults().met(held) == 0 {
        tokio::task::yield_now().await;
    }
    let (status, metrics) = running.get("/metrics").await;
    assert!(status.contains(" 200 ") && metrics.ends_with("# EOF\n"), "{status} {metrics}");
    assert_ne!(device.faults().met(held), 0, "the device holds it still");
}

#[tokio::test]
async fn of_a_device_that_was_never_read_there_is_no_figure_not_even_zero() {
    let setup = Setup::controller(NO_DEVICE).with("--figures-interval", "50ms");
    let mut running = setup.start().await;
    running.logged("the device cannot be served").await;
    let (_, metrics) = running.get("/metrics").await;
    for unknown in ["rds_disk_", "rds_hardware_", "rds_csi_migration_active_migrations"] {
        assert!(!metrics.contains(unknown), "{unknown} in\n{metrics}");
    }
}

#[tokio::test]
async fn the_format_is_the_one_that_is_asked_for() {
    let running = Setup::node().start().await;
    let prometheus =
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
    for (accept, is_openmetrics) in [(prometheus, true), ("*/*", true), ("text/plain;version=0.0.4", false)] {
        let (head, metrics) = running.get_as("/metrics", accept).await;
        let kind = if is_openmetrics { "application/openmetrics-text" } else { "text/plain" };
        assert!(head.to_lowercase().contains(&format!("content-type: {kind};")), "{accept}: {head}");
        assert_eq!(metrics.ends_with("# EOF\n"), is_openmetrics, "{accept}: {metrics}");
        let family = if is_openmetrics { "stuck_helpers" } else { "unwritten_data_losses_total" };
        assert!(metrics.contains(&format!("# TYPE rds_csi_{family} ")), "{accept}: {metrics}");
    }
}
