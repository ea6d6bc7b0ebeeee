//! Probe, `/livez`, `/readyz` and `/metrics`, with the device down too.

use csi_grpc::v1::identity_client::IdentityClient;
use csi_grpc::v1::{GetPluginInfoRequest, ProbeRequest};

use crate::process::{NO_DEVICE, Setup};

#[tokio::test]
async fn a_controller_whose_device_is_down_starts_stays_up_and_says_so() {
    let setup = Setup::controller(NO_DEVICE);
    let mut running = setup.start().await;
    let why = running.logged("the device cannot be served").await;
    assert!(why.contains("cannot be reached") && why.contains("Connection refused"), "{why}");

    let mut client = IdentityClient::new(setup.connect().await);
    let probe = client.probe(ProbeRequest {}).await.unwrap().into_inner();
    assert_eq!(probe.ready, Some(false));

    let (status, body) = running.get("/readyz").await;
    assert!(status.contains(" 200 ") && body.contains("volumes cannot be served"), "{status} {body}");
    assert!(running.get("/livez").await.0.contains(" 200 "));
    let third = "rds_csi_rds_reconnect_total{status=\"failure\"} 3\n";
    let mut metrics = String::new();
    while !metrics.contains(third) {
        metrics = running.get("/metrics").await.1;
    }
    let state = format!("rds_csi_rds_connection_state{{address=\"{NO_DEVICE}\"}} 0\n");
    assert!(metrics.contains(&state), "{metrics}");
    running.terminate();
    assert!(running.ended().await.success());
    assert_eq!(running.log.matches("the device cannot be served").count(), 1, "{}", running.log);
}

#[tokio::test]
async fn calls_are_counted_in_the_metrics_which_are_whole() {
    let setup = Setup::node();
    let running = setup.start().await;
    let mut client = IdentityClient::new(setup.connect().await);
    let info = client.get_plugin_info(GetPluginInfoRequest {}).await.unwrap().into_inner();
    assert_eq!(info.name, "rds.csi.srvlab.io");
    assert_eq!(info.vendor_version, env!("CARGO_PKG_VERSION"));

    let (status, metrics) = running.get("/metrics").await;
    assert!(status.contains(" 200 "), "{status}");
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    let count = "csi_plugin_operations_seconds_count{driver_name=\"rds.csi.srvlab.io\",\
                 method_name=\"/csi.v1.Identity/GetPluginInfo\",grpc_status_code=\"OK\"} 1\n";
    assert!(metrics.contains(count), "{metrics}");
}

#[tokio::test]
async fn a_node_is_ready_without_any_device() {
    let setup = Setup::node();
    let running = setup.start().await;
    let mut client = IdentityClient::new(setup.connect().await);
    assert_eq!(client.probe(ProbeRequest {}).await.unwrap().into_inner().ready, Some(true));
    assert_eq!(running.get("/readyz").await.1, "ok\n");
    assert!(running.get("/nonsense").await.0.contains(" 404 "));
}

#[tokio::test]
async fn without_a_metrics_address_only_the_socket_is_served() {
    let setup = Setup::node().with("--metrics-address", "off");
    let running = setup.start().await;
    assert!(!running.log.contains("metrics and health are served"), "{}", running.log);
}
