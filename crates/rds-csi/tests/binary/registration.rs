//! A node that registers itself: its sockets, its health and its end, with this test as the kubelet.

use std::path::PathBuf;

use csi_grpc::pluginregistration::registration_client::RegistrationClient;
use csi_grpc::pluginregistration::{InfoRequest, RegistrationStatus};
use csi_grpc::v1::NodeGetInfoRequest;
use csi_grpc::v1::node_client::NodeClient;
use tonic::transport::{Channel, Endpoint};

use crate::process::{Running, Setup};

const WAITING: &str = "waiting for the kubelet to register the plugin";
const REFUSED: &str = "RegisterPlugin error -- plugin registration failed with err: it says no";

fn socket(setup: &Setup) -> PathBuf {
    setup.directory.path().join("rds-reg.sock")
}

fn registering() -> Setup {
    let setup = Setup::node();
    let socket = socket(&setup);
    setup.with("--registration-socket", socket.to_str().unwrap())
}

async fn connect(path: PathBuf) -> Channel {
    Endpoint::new(format!("unix://{}", path.display())).unwrap().connect().await.unwrap()
}

async fn notify(setup: &Setup, plugin_registered: bool, error: &str) {
    let status = RegistrationStatus { plugin_registered, error: error.into() };
    let mut client = RegistrationClient::new(connect(socket(setup)).await);
    client.notify_registration_status(status).await.unwrap();
}

async fn readyz(running: &Running) -> (bool, String) {
    let (status, body) = running.get("/readyz").await;
    (status.contains(" 200 "), body)
}

#[tokio::test]
async fn the_socket_that_the_kubelet_is_told_of_serves_csi_by_then() {
    let setup = registering();
    let mut running = setup.start().await;
    running.logged(WAITING).await;
    let mut kubelet = RegistrationClient::new(connect(socket(&setup)).await);
    let info = kubelet.get_info(InfoRequest {}).await.unwrap().into_inner();
    assert_eq!((info.r#type.as_str(), info.name.as_str()), ("CSIPlugin", "rds.csi.srvlab.io"));
    let mut node = NodeClient::new(connect(info.endpoint.into()).await);
    let node_id = node.node_get_info(NodeGetInfoRequest {}).await.unwrap().into_inner().node_id;
    assert_eq!(node_id, "rds:node-a");
}

#[tokio::test]
async fn the_kubelet_is_told_the_path_of_the_host_when_it_differs() {
    let on_the_host = "/var/lib/kubelet/plugins/rds.csi.srvlab.io/csi.sock";
    let setup = registering().with("--registered-endpoint", on_the_host);
    let mut running = setup.start().await;
    running.logged(WAITING).await;
    let mut kubelet = RegistrationClient::new(connect(socket(&setup)).await);
    let info = kubelet.get_info(InfoRequest {}).await.unwrap().into_inner();
    assert_eq!(info.endpoint, on_the_host);
}

#[tokio::test]
async fn a_node_is_ready_only_while_the_kubelet_has_it_and_says_why_not() {
    let setup = registering();
    let mut running = setup.start().await;
    running.logged(WAITING).await;
    let (ready, body) = readyz(&running).await;
    assert!(!ready && body.contains("has not connected") && body.contains("plugins_registry"), "{body}");

    notify(&setup, false, REFUSED).await;
    let line = running.logged("the kubelet refused the plugin").await;
    assert!(line.contains(REFUSED), "{line}");
    let (ready, body) = readyz(&running).await;
    assert!(!ready && body.contains(REFUSED), "{body}");
    assert!(running.get("/livez").await.0.contains(" 200 "), "a restart would not help");
    let gauge = "csi_plugin_registered{driver_name=\"rds.csi.srvlab.io\"}";
    let metrics = running.get("/metrics").await.1;
    assert!(metrics.contains(&format!("{gauge} 0\n")), "{metrics}");

    notify(&setup, true, "").await;
    assert_eq!(readyz(&running).await, (true, "ok\n".into()));
    let metrics = running.get("/metrics").await.1;
    assert!(metrics.contains(&format!("{gauge} 1\n")), "{metrics}");
}

#[tokio::test]
async fn a_stop_ends_the_registration_with_the_socket() {
    let setup = registering();
    let mut running = setup.start().await;
    running.logged(WAITING).await;
    let _kubelet = connect(socket(&setup)).await;
    running.terminate();
    assert!(running.ended().await.success(), "{}", running.log);
    assert!(!socket(&setup).exists());
}

#[tokio::test]
async fn a_registration_socket_of_a_killed_process_is_replaced() {
    let setup = registering();
    let mut running = setup.start().await;
    running.logged(WAITING).await;
    running.killed().await;
    let mut running = setup.start().await;
    running.logged(WAITING).await;
    notify(&setup, true, "").await;
    assert!(readyz(&running).await.0);
}

#[tokio::test]
async fn a_registration_that_cannot_be_is_refused_at_the_start() {
    let missing = Setup::node().with("--registration-socket", "/nonexistent/rds-reg.sock");
    let (code, said) = missing.fails().await;
    assert!(code == 2 && said.contains("/nonexistent is not a directory; create it (or mount it)"), "{said}");
    let alone = Setup::node().with("--registered-endpoint", "/csi/csi.sock");
    let (code, said) = alone.fails().await;
    assert!(code == 2 && said.contains("--registration-socket"), "{said}");
    let (code, said) = registering().with("--registration-socket", "rds-reg.sock").fails().await;
    assert!(code == 2 && said.contains("not a unix socket"), "{said}");
}
