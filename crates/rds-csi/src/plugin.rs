//! What both roles do to be a CSI plugin: sockets, metrics, serving, stopping.

use std::time::Duration;

use csi_server::{BoundEndpoint, CallLayer, CallMetrics, Readiness};
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::arguments::plugin::PluginArguments;
use crate::arguments::values::ListenAddress;
use crate::failure::Failure;
use crate::http::{BeforeScrape, Health, Http};

/// A plugin whose sockets are open.
pub(crate) struct Plugin {
    bound: BoundEndpoint,
    http: Option<Http>,
    calls: CallLayer,
    registry: Registry,
    registered: Readiness,
}

/// What a role serves.
pub(crate) struct Face {
    /// The CSI services.
    pub(crate) routes: Routes,
    /// Whether volumes can be served, which `/readyz` tells of.
    pub(crate) readiness: Readiness,
    /// Brings gauges up to date, from memory or the local kernel only.
    pub(crate) before_scrape: Option<BeforeScrape>,
    /// How long a stop waits for calls that run.
    pub(crate) stop_grace: Duration,
}

impl Plugin {
    /// Opens the sockets and adds the metric of calls to `registry`.
    pub(crate) async fn open(arguments: PluginArguments, mut registry: Registry) -> Result<Self, Failure> {
        let PluginArguments { endpoint, driver_name, metrics_address } = arguments;
        let calls = CallLayer::new(CallMetrics::register(driver_name.to_string(), &mut registry));
        let http = match metrics_address {
            ListenAddress::Off => None,
            ListenAddress::At(address) => Some(Http::bind(address).await.map_err(Failure::Setup)?),
        };
        let bound = endpoint.bind().await.map_err(|error| Failure::Setup(error.into()))?;
        tracing::info!(%endpoint, version = env!("CARGO_PKG_VERSION"), "serving CSI");
        Ok(Self { bound, http, calls, registry, registered: Readiness::ready() })
    }

    /// From now on `/readyz` fails for as long as this is not ready.
    #[must_use]
    pub(crate) fn registered(self, registered: Readiness) -> Self {
        Self { registered, ..self }
    }

    /// Serves until `stop`, then finishes what runs.
    pub(crate) async fn serve(self, face: Face, stop: CancellationToken) -> Result<(), Failure> {
        let Self { bound, http, calls, registry, registered } = self;
        let Face { routes, readiness, before_scrape, stop_grace } = face;
        let http = tokio::spawn(async move {
            if let Some(http) = http {
                http.serve(registry, Health { volumes: readiness, registered }, before_scrape).await;
            }
        });
        let served = csi_server::serve(bound, routes, calls, stop.cancelled_owned(), stop_grace).await;
        // Health and metrics are answered to the end of the last call.
        http.abort();
        served.map_err(|error| Failure::Serving(error.into()))
    }
}
