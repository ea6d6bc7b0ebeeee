//! A node beside a Kubernetes API: what it posts there, and that it needs none of it to serve.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use csi_grpc::v1::node_client::NodeClient;
use csi_grpc::v1::volume_capability::access_mode::Mode;
use csi_grpc::v1::volume_capability::{AccessMode, AccessType, BlockVolume};
use csi_grpc::v1::{NodeGetInfoRequest, NodeStageVolumeRequest, VolumeCapability};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::{Code, Request};

use crate::process::{Running, Setup};

/// For what a healthy process does at once; only a failing test waits it out.
const PATIENCE: Duration = Duration::from_secs(20);

/// An API server that takes whatever it is sent. Clones are one.
#[derive(Clone)]
struct ApiServer {
    seen: Arc<watch::Sender<Vec<String>>>,
}

impl ApiServer {
    /// Starts it; it and its URL.
    async fn start() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Self { seen: Arc::new(watch::Sender::new(Vec::new())) };
        let router = Router::new().fallback(take).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (server, url)
    }

    /// Waits for a request with all these words in it.
    async fn sent(&self, words: &[&str]) {
        let has = |request: &String| words.iter().all(|word| request.contains(word));
        let mut seen = self.seen.subscribe();
        let found = tokio::time::timeout(PATIENCE, seen.wait_for(|seen| seen.iter().any(has))).await;
        assert!(found.is_ok(), "no {words:?} in {:#?}", self.seen.borrow());
    }
}

async fn take(State(server): State<ApiServer>, method: Method, uri: Uri, body: Bytes) -> (StatusCode, Bytes) {
    let text = String::from_utf8_lossy(&body).into_owned();
    server.seen.send_modify(|seen| seen.push(format!("{method} {uri} {text}")));
    (StatusCode::CREATED, body)
}

/// A node that is told of an API server at `url`.
fn node(url: &str) -> Setup {
    let setup = Setup::node();
    let kubeconfig = format!(
        "{{apiVersion: v1, kind: Config, current-context: x,\n\
         clusters: [{{name: x, cluster: {{server: '{url}'}}}}], users: [{{name: x, user: {{}}}}],\n\
         contexts: [{{name: x, context: {{cluster: x, user: x}}}}]}}\n"
    );
    let file = setup.file("kubeconfig", &kubeconfig);
    setup.with("--kubeconfig", file.to_str().unwrap())
}

/// A stage that cannot succeed: nothing listens on port 1 of loopback.
async fn stage_fails(setup: &Setup) {
    let context = [
        ("nvme_nqn", "nqn.2000-02.com.mikrotik:vol-1.0123456789abcdef"),
        ("nvme_address", "127.0.0.1"),
        ("nvme_port", "1"),
        ("pvc_namespace", "shop"),
        ("pvc_name", "data"),
        ("pvc_uid", "11111111-2222-3333-4444-555555555555"),
    ];
    let context: HashMap<_, _> = context.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let capability = VolumeCapability {
        access_mode: Some(AccessMode { mode: Mode::SingleNodeWriter.into() }),
        access_type: Some(AccessType::Block(BlockVolume {})),
    };
    let request = NodeStageVolumeRequest {
        volume_id: "vol-1".into(),
        publish_context: context,
        staging_target_path: "/staging".into(),
        volume_capability: Some(capability),
        ..NodeStageVolumeRequest::default()
    };
    let refused = NodeClient::new(setup.connect().await).node_stage_volume(Request::new(request)).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    assert!(refused.message().contains("127.0.0.1:1"), "{refused:?}");
}

async fn assert_serves(setup: &Setup, running: &Running) {
    let info = NodeClient::new(setup.connect().await).node_get_info(NodeGetInfoRequest {}).await;
    assert_eq!(info.unwrap().into_inner().node_id, "rds:node-a");
    assert!(running.get("/readyz").await.0.contains("200"));
}

#[tokio::test]
async fn a_connection_that_fails_is_posted_on_the_claim() {
    let (server, url) = ApiServer::start().await;
    let setup = node(&url);
    let running = setup.start().await;
    stage_fails(&setup).await;
    server
        .sent(&[
            "POST",
            "/namespaces/shop/events",
            "\"ConnectionFailure\"",
            "\"Warning\"",
            "rds-csi-node",
            "\"PersistentVolumeClaim\"",
            "11111111-2222-3333-4444-555555555555",
            "[vol-1] on [node-a]: Connection to 127.0.0.1:1 failed: ",
        ])
        .await;
    let posted = "rds_csi_events_posted_total{reason=\"ConnectionFailure\"} 1";
    let metrics = running.get("/metrics").await.1;
    assert!(metrics.contains(posted), "{metrics}");
}

#[tokio::test]
async fn a_node_starts_and_serves_without_an_answer_from_kubernetes() {
    // A listener that never answers, and a port with none.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_url = format!("http://{}", silent.local_addr().unwrap());
    for url in [silent_url.as_str(), "http://127.0.0.1:1"] {
        let setup = node(url);
        let mut running = setup.start().await;
        let started = Instant::now();
        stage_fails(&setup).await;
        stage_fails(&setup).await;
        assert!(started.elapsed() < Duration::from_secs(5), "{url}: events hold up a call");
        assert_serves(&setup, &running).await;
        running.terminate();
        assert!(running.ended().await.success(), "{url}: {}", running.log);
    }
}

#[tokio::test]
async fn a_kubeconfig_that_cannot_be_used_is_refused_and_off_needs_none() {
    let setup = Setup::node().with("--kubeconfig", "/nowhere/kubeconfig");
    let (code, stderr) = setup.fails().await;
    assert!(code == 2 && stderr.contains("/nowhere/kubeconfig"), "{code} {stderr}");
    let setup = setup.with("--kubernetes", "off");
    let running = setup.start().await;
    assert_serves(&setup, &running).await;
}
