//! ControllerGetCapabilities: exactly what is there.

use csi_grpc::v1::controller_service_capability::rpc::Type as Rpc;
use csi_grpc::v1::controller_service_capability::{Rpc as WireRpc, Type};
use csi_grpc::v1::{ControllerGetCapabilitiesResponse, ControllerServiceCapability};

/// What the controller serves. SINGLE_NODE_MULTI_WRITER is what ReadWriteOncePod asks for.
const SERVED: [Rpc; 8] = [
    Rpc::CreateDeleteVolume,
    Rpc::PublishUnpublishVolume,
    Rpc::ListVolumes,
    Rpc::ListVolumesPublishedNodes,
    Rpc::GetCapacity,
    Rpc::ExpandVolume,
    Rpc::GetVolume,
    Rpc::SingleNodeMultiWriter,
];

pub(crate) fn capabilities() -> ControllerGetCapabilitiesResponse {
    let capability =
        |rpc: Rpc| ControllerServiceCapability { r#type: Some(Type::Rpc(WireRpc { r#type: rpc.into() })) };
    ControllerGetCapabilitiesResponse { capabilities: SERVED.into_iter().map(capability).collect() }
}
