//! NodeGetVolumeStats: how full a volume is, and whether it is well.
//!
//! It claims nothing: a volume may be looked at while another call works on it.

use std::path::Path;

use csi_grpc::v1::volume_usage::Unit;
use csi_grpc::v1::{NodeGetVolumeStatsRequest, NodeGetVolumeStatsResponse, VolumeCondition, VolumeUsage};
use host::{Host, Usage, Volume};
use tokio::time::Instant;
use tonic::Code;
use volume::Slot;

use crate::Node;
use crate::attached::{Attached, Hindrance, Number as _, look_up};
use crate::error::Result;
use crate::health::{self, Stale};
use crate::mounted;
use crate::records::StageRecord;
use crate::request::{self, Form, RequestError};
use crate::seen::Seen;

/// What only NodeGetVolumeStats fails with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StatsError {
    #[error("volume {slot} is not on this node")]
    NoVolume { slot: Slot },
    #[error("volume {slot} is not at {path:?}")]
    NoPath { slot: Slot, path: String },
}

impl StatsError {
    /// Always NOT_FOUND.
    pub(crate) fn code(&self) -> Code {
        Code::NotFound
    }
}

/// Serves the RPC.
pub(crate) async fn stats<H: Host>(
    node: &Node<H>,
    wire: &NodeGetVolumeStatsRequest,
    deadline: Instant,
) -> Result<NodeGetVolumeStatsResponse> {
    let slot = request::slot(&wire.volume_id)?;
    if wire.volume_path.is_empty() {
        return Err(RequestError::Missing { field: "volume_path" }.into());
    }
    let seen = Seen::observe(node, &slot).await?;
    let Some(record) = &seen.record else { return Err(StatsError::NoVolume { slot }.into()) };
    let path = Path::new(&wire.volume_path);
    if mounted::at(&seen.mounts, path).is_empty() && !(record.staging == path && is_block(record)) {
        return Err(StatsError::NoPath { slot, path: wire.volume_path.clone() }.into());
    }
    let attached = look_up(&seen.subsystems, record.nqn.as_str(), 0);
    let failure = node.health.failure(&slot);
    let stale =
        health::find_stale(&node.host, &seen.subsystems, &seen.mounts, record, failure.as_ref()).await?;
    let condition = condition(&seen, record, path, &attached, stale.as_ref());
    let volume = Volume { slot: &slot, deadline };
    let usage = match (&attached, condition.abnormal) {
        (Ok(attached), _) if is_block(record) => vec![device_usage(attached)],
        // A file system without its device answers from memory, or hangs.
        (Ok(_), false) => filesystem_usage(&node.host.usage(volume, path).await?).to_vec(),
        _ => Vec::new(),
    };
    Ok(NodeGetVolumeStatsResponse { usage, volume_condition: Some(condition) })
}

fn is_block(record: &StageRecord) -> bool {
    record.usage.form == Form::Block
}

/// By sysfs, device numbers and what a sync has told; never by statfs or mountinfo's options (node.md K9, rule 8).
fn condition(
    seen: &Seen,
    record: &StageRecord,
    path: &Path,
    attached: &std::result::Result<Attached, Hindrance>,
    stale: Option<&Stale>,
) -> VolumeCondition {
    let abnormal = |message: String| VolumeCondition { abnormal: true, message };
    let attached = match (attached, stale) {
        (Ok(_), Some(stale)) => return abnormal(stale.to_string()),
        (Ok(attached), None) => attached,
        (Err(hindrance), Some(stale)) => return abnormal(format!("{hindrance}; {stale}")),
        (Err(hindrance), None) => return abnormal(hindrance.to_string()),
    };
    let top = mounted::at(&seen.mounts, path).into_iter().next_back();
    match top.map(mounted::number) {
        Some(found) if !is_block(record) && found != attached.device.number() => abnormal(format!(
            "{} is mounted from device {}:{}, but the volume is {} now",
            path.display(),
            found.0,
            found.1,
            attached.device
        )),
        _ => VolumeCondition { abnormal: false, message: "connected".into() },
    }
}

fn device_usage(attached: &Attached) -> VolumeUsage {
    VolumeUsage { total: signed(attached.bytes), unit: Unit::Bytes.into(), ..VolumeUsage::default() }
}

fn filesystem_usage(usage: &Usage) -> [VolumeUsage; 2] {
    let bytes = VolumeUsage {
        available: signed(usage.available_bytes),
        total: signed(usage.total_bytes),
        used: signed(usage.used_bytes),
        unit: Unit::Bytes.into(),
    };
    let inodes = VolumeUsage {
        available: signed(usage.available_inodes),
        total: signed(usage.total_inodes),
        used: signed(usage.total_inodes.saturating_sub(usage.available_inodes)),
        unit: Unit::Inodes.into(),
    };
    [bytes, inodes]
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
