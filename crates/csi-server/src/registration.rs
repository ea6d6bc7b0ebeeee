//! Registration with the kubelet by the plugin itself, without a sidecar (plugin registration API v1).

mod authority;

use std::future::Future;

use csi_grpc::pluginregistration::registration_server::{self, RegistrationServer};
use csi_grpc::pluginregistration::{InfoRequest, PluginInfo, RegistrationStatus, RegistrationStatusResponse};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use crate::endpoint::Endpoint;
use crate::endpoint::bound::BoundEndpoint;
use crate::readiness::Readiness;
use crate::serve::ServeError;

/// The kind of plugin that the kubelet hands to its CSI code.
const CSI_PLUGIN: &str = "CSIPlugin";

/// Versions of CSI for the kubelet. It only looks at the major one (`validateVersions` of Kubernetes 1.36), and asks for
/// the capabilities of the rest.
const CSI_VERSIONS: [&str; 1] = ["1.0.0"];

/// What `readyz` says before the kubelet came.
const NOT_ASKED: &str = "the kubelet has not connected to the registration socket yet; \
    it must be in <kubelet directory>/plugins_registry on the host";

/// Makes the plugin known to the kubelet of its node, and remembers what became of it. Clones share that.
///
/// ```text
/// NotReady(not asked yet) ──registered──► Ready ──refused(error)──► NotReady(error) ──registered──► Ready
/// ```
///
/// A refusal does not end the plugin: the kubelet tries again by itself (with a backoff up to 2 minutes, Kubernetes 1.36),
/// and a restart would break off calls that run and hide the reason.
#[derive(Clone, Debug)]
pub struct Registration {
    info: PluginInfo,
    readiness: Readiness,
    registered: Family<Labels, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    driver_name: String,
}

impl Registration {
    /// Of the driver named, whose CSI socket the kubelet finds at `endpoint` in *its* file system. Shows
    /// `csi_plugin_registered{driver_name}` in `registry`: 1 or 0, absent until the kubelet has said which.
    pub fn new(driver_name: impl Into<String>, endpoint: &Endpoint, registry: &mut Registry) -> Self {
        let registered = Family::default();
        registry.register(
            "csi_plugin_registered",
            "Whether the kubelet took the plugin when it last looked at it",
            registered.clone(),
        );
        let info = PluginInfo {
            r#type: CSI_PLUGIN.into(),
            name: driver_name.into(),
            endpoint: endpoint.path().display().to_string(),
            supported_versions: CSI_VERSIONS.map(str::to_owned).to_vec(),
        };
        Self { info, readiness: Readiness::not_ready(NOT_ASKED), registered }
    }

    /// Ready while the kubelet has the plugin, with its own words if not.
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Answers the kubelet on `bound` until `shutdown` resolves, then removes the socket: the kubelet sends no new calls
    /// from then on. To be bound when the CSI socket listens, since the kubelet calls that one at once.
    ///
    /// # Errors
    /// [`ServeError::Transport`]; the socket is removed in any case.
    pub async fn serve(
        self,
        bound: BoundEndpoint,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServeError> {
        let (listener, _removed_at_the_end) = bound.into_parts();
        let kubelets = UnixListenerStream::new(listener).map(|kubelet| kubelet.map(authority::as_localhost));
        let server = Server::builder().add_service(RegistrationServer::new(self));
        tokio::select! {
            ended = server.serve_with_incoming(kubelets) => Ok(ended?),
            // Both calls answer from memory: nothing that runs is worth waiting for.
            () = shutdown => Ok(()),
        }
    }

    fn set_registered(&self, registered: bool) {
        let labels = Labels { driver_name: self.info.name.clone() };
        self.registered.get_or_create(&labels).set(registered.into());
    }
}

#[tonic::async_trait]
impl registration_server::Registration for Registration {
    async fn get_info(&self, _: Request<InfoRequest>) -> Result<Response<PluginInfo>, Status> {
        Ok(Response::new(self.info.clone()))
    }

    async fn notify_registration_status(
        &self,
        request: Request<RegistrationStatus>,
    ) -> Result<Response<RegistrationStatusResponse>, Status> {
        let RegistrationStatus { plugin_registered, error } = request.into_inner();
        self.set_registered(plugin_registered);
        let PluginInfo { name, endpoint, .. } = &self.info;
        if plugin_registered {
            self.readiness.set_ready();
            tracing::info!(driver = name, endpoint, "registered with the kubelet");
        } else if self.readiness.set_not_ready(&error) {
            // Only what is news: the kubelet repeats itself for as long as the reason stays.
            tracing::error!(
                driver = name,
                endpoint,
                error,
                "the kubelet refused the plugin; it will try again"
            );
        }
        Ok(Response::new(RegistrationStatusResponse {}))
    }
}
