//! Makes the node known to its kubelet, when asked to.

use csi_server::{BoundEndpoint, Endpoint, Registration};
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::arguments::plugin::PluginArguments;
use crate::arguments::registration::RegistrationArguments;
use crate::failure::Failure;
use crate::plugin::{Face, Plugin};

/// A registration whose socket is not there yet.
pub(super) struct Prepared {
    registration: Registration,
    socket: Endpoint,
}

/// A registration that the kubelet can see.
pub(super) struct Open {
    registration: Registration,
    bound: BoundEndpoint,
}

impl Prepared {
    /// None when nothing says where to register.
    pub(super) fn of(
        arguments: RegistrationArguments,
        plugin: &PluginArguments,
        registry: &mut Registry,
    ) -> Option<Self> {
        let RegistrationArguments { registration_socket, registered_endpoint } = arguments;
        let socket = registration_socket?;
        let endpoint = registered_endpoint.as_ref().unwrap_or(&plugin.endpoint);
        let registration = Registration::new(plugin.driver_name.to_string(), endpoint, registry);
        Some(Self { registration, socket })
    }

    /// Opens the socket. To be done when the CSI socket listens: the kubelet calls it at once.
    pub(super) async fn open(self) -> Result<Open, Failure> {
        let Self { registration, socket } = self;
        let bound = socket.bind().await.map_err(|error| Failure::Setup(error.into()))?;
        tracing::info!(socket = %socket.path().display(), "waiting for the kubelet to register the plugin");
        Ok(Open { registration, bound })
    }
}

impl Open {
    /// Serves the plugin and answers the kubelet until `stop`. When one breaks the other stops as well: without the
    /// plugin there is nothing to register, and without this socket a kubelet that starts anew would not find it.
    pub(super) async fn beside(
        self,
        plugin: Plugin,
        face: Face,
        stop: CancellationToken,
    ) -> Result<(), Failure> {
        let Self { registration, bound } = self;
        let plugin = plugin.registered(registration.readiness());
        let serving = async {
            let _ends_the_other = stop.clone().drop_guard();
            plugin.serve(face, stop.clone()).await
        };
        let answering = async {
            let _ends_the_other = stop.clone().drop_guard();
            registration.serve(bound, stop.clone().cancelled_owned()).await
        };
        let (served, answered) = tokio::join!(serving, answering);
        served.and(answered.map_err(|error| Failure::Serving(error.into())))
    }
}
