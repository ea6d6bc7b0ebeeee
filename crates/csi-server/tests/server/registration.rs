//! Registration as the kubelet does it: a client on the registration socket.

use std::time::Duration;

use csi_grpc::pluginregistration::registration_client::RegistrationClient;
use csi_grpc::pluginregistration::{InfoRequest, PluginInfo, RegistrationStatus};
use csi_server::{Endpoint, Readiness, ReadyState, Registration, ServeError};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::transport::Channel;

use crate::harness::channel;
use crate::log::Log;

/// For what is answered at once; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);
const CSI_SOCKET: &str = "/var/lib/kubelet/plugins/test.example.org/csi.sock";
const GAUGE: &str = "csi_plugin_registered{driver_name=\"test.example.org\"}";
const REFUSED: &str = "RegisterPlugin error -- plugin registration failed with err: no such socket";

/// A registration that is served in a directory of its own.
struct Served {
    kubelet: RegistrationClient<Channel>,
    readiness: Readiness,
    endpoint: Endpoint,
    registry: Registry,
    server: JoinHandle<Result<(), ServeError>>,
    stop: oneshot::Sender<()>,
    _directory: TempDir,
}

impl Served {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let endpoint: Endpoint = directory.path().join("test-reg.sock").to_str().unwrap().parse().unwrap();
        let mut registry = Registry::default();
        let registration = Registration::new("test.example.org", &CSI_SOCKET.parse().unwrap(), &mut registry);
        let readiness = registration.readiness();
        let bound = endpoint.bind().await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(registration.serve(bound, async { drop(stopped.await) }));
        let kubelet = RegistrationClient::new(channel(&endpoint).await);
        Self { kubelet, readiness, endpoint, registry, server, stop, _directory: directory }
    }

    async fn notify(&self, plugin_registered: bool, error: &str) {
        let status = RegistrationStatus { plugin_registered, error: error.into() };
        self.kubelet.clone().notify_registration_status(status).await.unwrap();
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        text
    }
}

#[tokio::test]
async fn the_kubelet_is_told_the_kind_the_name_and_the_socket_that_it_can_reach() {
    let mut served = Served::start().await;
    let info = served.kubelet.get_info(InfoRequest {}).await.unwrap().into_inner();
    let expected = PluginInfo {
        r#type: "CSIPlugin".into(),
        name: "test.example.org".into(),
        endpoint: CSI_SOCKET.into(),
        supported_versions: vec!["1.0.0".into()],
    };
    assert_eq!(info, expected);
}

/// What a kubelet's own gRPC library writes first; [`RegistrationClient`] says `localhost` where that names the socket.
const GET_INFO: &[u8] = include_bytes!("../../testdata/get-info-of-a-kubelet.bin");

#[tokio::test]
async fn a_kubelet_that_calls_the_socket_by_its_path_is_answered() {
    let served = Served::start().await;
    let mut kubelet = UnixStream::connect(served.endpoint.path()).await.unwrap();
    kubelet.write_all(GET_INFO).await.unwrap();
    let mut answer = Vec::new();
    while !answer.windows(CSI_SOCKET.len()).any(|window| window == CSI_SOCKET.as_bytes()) {
        let read = timeout(PATIENCE, kubelet.read_buf(&mut answer)).await;
        let read = read.unwrap_or_else(|_| panic!("no answer but {answer:x?}")).unwrap();
        assert_ne!(read, 0, "hung up after {answer:x?}");
    }
}

#[tokio::test]
async fn nothing_is_claimed_before_the_kubelet_has_said_how_it_went() {
    let mut served = Served::start().await;
    served.kubelet.get_info(InfoRequest {}).await.unwrap();
    let ReadyState::NotReady(reason) = served.readiness.state() else { panic!("ready unasked") };
    assert!(reason.contains("plugins_registry"), "{reason}");
    assert!(!served.metrics().contains(GAUGE), "{}", served.metrics());
}

#[tokio::test]
async fn a_registration_that_failed_is_told_with_the_kubelets_words_until_one_succeeds() {
    let served = Served::start().await;
    served.notify(false, REFUSED).await;
    assert_eq!(served.readiness.state(), ReadyState::NotReady(REFUSED.into()));
    assert!(served.metrics().contains(&format!("{GAUGE} 0\n")), "{}", served.metrics());

    served.notify(true, "").await;
    assert_eq!(served.readiness.state(), ReadyState::Ready);
    assert!(served.metrics().contains(&format!("{GAUGE} 1\n")), "{}", served.metrics());
}

#[tokio::test]
async fn a_kubelet_that_lost_the_plugin_makes_it_unready_again() {
    let served = Served::start().await;
    served.notify(true, "").await;
    served.notify(false, REFUSED).await;
    assert_eq!(served.readiness.state(), ReadyState::NotReady(REFUSED.into()));
}

#[tokio::test]
async fn the_same_refusal_is_logged_once_and_another_one_again() {
    let log = Log::of_this_process();
    let served = Served::start().await;
    for error in ["logged: refused", "logged: refused", "logged: another reason", "logged: refused"] {
        served.notify(false, error).await;
    }
    let text = log.text();
    assert_eq!(text.matches("logged: refused").count(), 2, "{text}");
    assert_eq!(text.matches("logged: another reason").count(), 1, "{text}");
}

#[tokio::test]
async fn a_stop_removes_the_socket_though_a_kubelet_stays_connected() {
    let Served { kubelet, endpoint, server, stop, _directory, .. } = Served::start().await;
    assert!(endpoint.path().exists());
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
    assert!(!endpoint.path().exists());
    drop(kubelet);
}
