//! Parts that several requests have in common.

use tonic::Status;
use volume::{CapacityError, CapacityRange, NodeId, Slot};

/// A volume id; `None` for one that no volume of this driver can have.
///
/// # Errors
/// INVALID_ARGUMENT where there is none.
pub(crate) fn volume_id(id: &str) -> Result<Option<Slot>, Status> {
    if id.is_empty() {
        return Err(Status::invalid_argument("volume_id is missing"));
    }
    Ok(Slot::parse(id).ok())
}

/// The id of a volume that has to be there.
///
/// # Errors
/// INVALID_ARGUMENT where there is none, NOT_FOUND for one that no volume can have.
pub(crate) fn required_volume(id: &str) -> Result<Slot, Status> {
    volume_id(id)?.ok_or_else(|| {
        let shown: String = id.chars().take(64).collect();
        Status::not_found(format!("{shown:?} is no volume id of this driver"))
    })
}

/// The id of a node.
///
/// # Errors
/// INVALID_ARGUMENT where there is none, NOT_FOUND for any other form than `rds:<Node name>`.
pub(crate) fn required_node(id: &str) -> Result<NodeId, Status> {
    if id.is_empty() {
        return Err(Status::invalid_argument("node_id is missing"));
    }
    NodeId::parse(id).map_err(|error| Status::not_found(error.to_string()))
}

/// A range as the vocabulary has it.
pub(crate) fn range(wire: &csi_grpc::v1::CapacityRange) -> CapacityRange {
    CapacityRange { required: wire.required_bytes, limit: wire.limit_bytes }
}

/// The status of a size that does not fit.
pub(crate) fn capacity_status(error: &CapacityError) -> Status {
    match error {
        CapacityError::Malformed(text) => Status::invalid_argument(text),
        CapacityError::OutOfRange(text) => Status::out_of_range(text),
    }
}

/// Bytes for the wire, which has them signed.
pub(crate) fn wire_bytes(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
