//! NodeGetInfo.

use csi_grpc::v1::NodeGetInfoResponse;

use crate::Config;

/// Serves the RPC. Volumes are reachable from every node, so there is no topology.
pub(crate) fn info(config: &Config) -> NodeGetInfoResponse {
    NodeGetInfoResponse {
        node_id: config.node.to_string(),
        max_volumes_per_node: i64::from(config.max_volumes),
        accessible_topology: None,
    }
}
