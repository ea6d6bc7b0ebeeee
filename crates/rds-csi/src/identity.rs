//! What the plugin says of itself.

use csi_grpc::v1::identity_server::IdentityServer;
use csi_grpc::v1::plugin_capability::service::Type as Offered;
use csi_grpc::v1::plugin_capability::volume_expansion::Type as Expansion;
use csi_grpc::v1::plugin_capability::{Type, VolumeExpansion};
use csi_server::{Identity, MAX_MESSAGE_BYTES, Readiness};
use tonic::service::Routes;

/// The Identity service, the same on controller and nodes: the specification asks for the sum of
/// what all instances of the plugin offer.
pub(crate) fn routes(driver_name: &str, readiness: Readiness) -> Routes {
    let expansion = Type::VolumeExpansion(VolumeExpansion { r#type: Expansion::Online.into() });
    let offered = [Offered::ControllerService];
    let identity = Identity::new(driver_name, env!("CARGO_PKG_VERSION"), &offered, readiness);
    let identity = IdentityServer::new(identity.with_capability(expansion));
    Routes::new(identity.max_decoding_message_size(MAX_MESSAGE_BYTES))
}
