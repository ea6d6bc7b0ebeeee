//! A server of one scripted method: the volume's name, up to a `-`, says what the handler shall do.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use csi_grpc::v1::controller_client::ControllerClient;
use csi_grpc::v1::{CreateVolumeRequest, CreateVolumeResponse, Volume};
use csi_server::{CallLayer, CallMetrics, Endpoint, ServeError, deadline_of, record_volume_id, serve};
use prometheus_client::registry::Registry;
use tempfile::TempDir;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint as Connect};
use tonic::{Request, Response, Status};

/// What the tests see and hold of the scripted handler.
#[derive(Clone, Default)]
pub(crate) struct Script {
    pub(crate) started: Arc<Notify>,
    pub(crate) release: Arc<Notify>,
    pub(crate) finished: Arc<AtomicBool>,
}

impl Script {
    async fn create_volume(
        self,
        request: Request<CreateVolumeRequest>,
    ) -> Result<Response<CreateVolumeResponse>, Status> {
        let left = deadline_of(&request).duration_since(Instant::now()).as_secs();
        let mut volume_id = request.into_inner().name;
        record_volume_id(&volume_id);
        match volume_id.split('-').next().unwrap_or_default() {
            "panics" => panic!("a bug"),
            "refused" => return Err(Status::failed_precondition("held by nœud-1")),
            "deadline" => volume_id = left.to_string(),
            "blocks" => {
                self.started.notify_one();
                self.release.notified().await;
                self.finished.store(true, Ordering::SeqCst);
            }
            _ => {}
        }
        let volume = Volume { volume_id, ..Volume::default() };
        Ok(Response::new(CreateVolumeResponse { volume: Some(volume) }))
    }
}

impl NamedService for Script {
    const NAME: &'static str = "csi.v1.Controller";
}

impl UnaryService<CreateVolumeRequest> for Script {
    type Response = CreateVolumeResponse;
    type Future = Pin<Box<dyn Future<Output = Result<Response<CreateVolumeResponse>, Status>> + Send>>;

    fn call(&mut self, request: Request<CreateVolumeRequest>) -> Self::Future {
        Box::pin(self.clone().create_volume(request))
    }
}

impl tower::Service<http::Request<Body>> for Script {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let script = self.clone();
        Box::pin(async move {
            let mut grpc = Grpc::new(tonic_prost::ProstCodec::default());
            Ok(grpc.unary(script, request).await)
        })
    }
}

/// A running server in a directory of its own.
pub(crate) struct Harness {
    pub(crate) script: Script,
    pub(crate) endpoint: Endpoint,
    pub(crate) client: ControllerClient<Channel>,
    server: JoinHandle<Result<(), ServeError>>,
    registry: Registry,
    stop: Option<oneshot::Sender<()>>,
    _directory: TempDir,
}

impl Harness {
    pub(crate) async fn start(grace: Duration) -> Self {
        let script = Script::default();
        Self::serving(Routes::new(script.clone()), script, grace).await
    }

    pub(crate) async fn serving(routes: Routes, script: Script, grace: Duration) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let endpoint: Endpoint = directory.path().join("csi.sock").to_str().unwrap().parse().unwrap();
        let bound = endpoint.bind().await.unwrap();
        let mut registry = Registry::default();
        let calls = CallLayer::new(CallMetrics::register("test.example.org", &mut registry));
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async { drop(stopped.await) };
        let server = tokio::spawn(serve(bound, routes, calls, shutdown, grace));
        let client = ControllerClient::new(channel(&endpoint).await);
        Self { script, endpoint, client, server, registry, stop: Some(stop), _directory: directory }
    }

    /// Calls CreateVolume with a name that the script knows.
    pub(crate) async fn create(&self, name: &str) -> Result<String, Status> {
        let request = CreateVolumeRequest { name: name.into(), ..CreateVolumeRequest::default() };
        self.send(Request::new(request)).await
    }

    pub(crate) async fn send(&self, request: Request<CreateVolumeRequest>) -> Result<String, Status> {
        let reply = self.client.clone().create_volume(request).await?;
        Ok(reply.into_inner().volume.unwrap().volume_id)
    }

    /// Asks the server to stop.
    pub(crate) fn begin_stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Waits for the server's end after [`Self::begin_stop`].
    pub(crate) async fn ended(&mut self) -> Result<(), ServeError> {
        (&mut self.server).await.unwrap()
    }

    /// Stops the server and waits for its end.
    pub(crate) async fn stop(&mut self) -> Result<(), ServeError> {
        self.begin_stop();
        self.ended().await
    }

    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

/// Connects as sidecars do, to `unix://…`.
pub(crate) async fn channel(endpoint: &Endpoint) -> Channel {
    Connect::new(endpoint.to_string()).unwrap().connect().await.unwrap()
}
