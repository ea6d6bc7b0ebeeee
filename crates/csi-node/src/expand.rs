//! NodeExpandVolume, online: see the new size, grow the file system to it.

use csi_grpc::v1::{NodeExpandVolumeRequest, NodeExpandVolumeResponse};
use host::{Host, Volume};
use tokio::time::Instant;
use tonic::Code;
use volume::{CapacityRange, Slot};

use crate::Node;
use crate::attached::{Attached, Hindrance, Number as _};
use crate::connect;
use crate::error::{Error, Result};
use crate::mounted;
use crate::records::{Phase, StageRecord};
use crate::request::{self, Form, RequestError};

/// What only NodeExpandVolume fails with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExpandError {
    #[error("volume {slot} is not staged on this node")]
    NotStaged { slot: Slot },
    #[error(
        "the device still has {bytes} bytes after a rescan, {required} are asked for: the target shows the growth at \
         the next attachment, so restart the pod"
    )]
    Pending { bytes: u64, required: u64 },
    #[error("{path} is not mounted from the volume's present device")]
    Unmounted { path: String },
}

impl ExpandError {
    /// FAILED_PRECONDITION for a growth that waits for the next attachment (design decision 17).
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::NotStaged { .. } => Code::NotFound,
            Self::Pending { .. } => Code::FailedPrecondition,
            Self::Unmounted { .. } => Code::Unavailable,
        }
    }
}

/// Serves the RPC.
pub(crate) async fn expand<H: Host>(
    node: &Node<H>,
    wire: &NodeExpandVolumeRequest,
    deadline: Instant,
) -> Result<NodeExpandVolumeResponse> {
    let slot = request::slot(&wire.volume_id)?;
    if wire.volume_path.is_empty() {
        return Err(RequestError::Missing { field: "volume_path" }.into());
    }
    let required = required_bytes(wire)?;
    let _guard = node.guard(&slot, "NodeExpandVolume")?;
    let volume = Volume { slot: &slot, deadline };
    let staged = node.records.load(&slot)?.filter(|record| record.phase == Phase::Staged);
    let Some(record) = staged else { return Err(ExpandError::NotStaged { slot }.into()) };
    request::path("volume_path", &wire.volume_path)?;
    node.host.join(volume).await?;
    let attached = grown_device(node, volume, &record, required).await?;
    grow(node, volume, &record, &attached).await?;
    let capacity_bytes = i64::try_from(attached.bytes).unwrap_or(i64::MAX);
    Ok(NodeExpandVolumeResponse { capacity_bytes })
}

fn required_bytes(wire: &NodeExpandVolumeRequest) -> std::result::Result<u64, RequestError> {
    let Some(range) = &wire.capacity_range else { return Ok(0) };
    let CapacityRange { required, limit } =
        CapacityRange { required: range.required_bytes, limit: range.limit_bytes };
    match u64::try_from(required) {
        Ok(bytes) if limit == 0 || limit >= required => Ok(bytes),
        _ => Err(RequestError::Capacity(format!(
            "required_bytes {required} and limit_bytes {limit} contradict"
        ))),
    }
}

/// The device, once it is as large as asked; the look-up rescans where it is not.
async fn grown_device<H: Host>(
    node: &Node<H>,
    volume: Volume<'_>,
    record: &StageRecord,
    required: u64,
) -> Result<Attached> {
    match connect::find(node, volume, record.nqn.as_str(), required).await {
        Err(Error::Hindrance(Hindrance::TooSmall { bytes, .. })) => {
            Err(ExpandError::Pending { bytes, required }.into())
        }
        found => found,
    }
}

async fn grow<H: Host>(
    node: &Node<H>,
    volume: Volume<'_>,
    record: &StageRecord,
    attached: &Attached,
) -> Result<()> {
    let Form::Filesystem { fs, .. } = &record.usage.form else { return Ok(()) };
    // A file system that must not be written grows when it is staged for writing.
    if record.usage.read_only {
        return Ok(());
    }
    let mounts = node.host.mounts().await?;
    let top = mounted::at(&mounts, &record.staging).into_iter().next_back();
    if top.is_none_or(|entry| mounted::number(entry) != attached.device.number()) {
        return Err(ExpandError::Unmounted { path: record.staging.display().to_string() }.into());
    }
    Ok(node.host.grow(volume, &attached.device, &record.staging, *fs).await?)
}
