//! NodeGetCapabilities: exactly what is there.

use csi_grpc::v1::node_service_capability::{Rpc, Type, rpc};
use csi_grpc::v1::{NodeGetCapabilitiesResponse, NodeServiceCapability};

/// ReadWriteOncePod needs SINGLE_NODE_MULTI_WRITER advertised (design decision 15).
const OFFERED: [rpc::Type; 5] = [
    rpc::Type::StageUnstageVolume,
    rpc::Type::GetVolumeStats,
    rpc::Type::ExpandVolume,
    rpc::Type::VolumeCondition,
    rpc::Type::SingleNodeMultiWriter,
];

/// Serves the RPC.
pub(crate) fn capabilities() -> NodeGetCapabilitiesResponse {
    let capability = |offered: rpc::Type| NodeServiceCapability {
        r#type: Some(Type::Rpc(Rpc { r#type: offered.into() })),
    };
    NodeGetCapabilitiesResponse { capabilities: OFFERED.map(capability).to_vec() }
}
