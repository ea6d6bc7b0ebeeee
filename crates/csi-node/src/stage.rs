//! NodeStageVolume: connect, and for a file system format only if proven blank, mount, grow.

mod filesystem;
mod plan;

use std::path::{Path, PathBuf};

use csi_grpc::v1::{NodeStageVolumeRequest, NodeStageVolumeResponse};
use host::{Connection, Content, Host, Volume};
use tokio::time::Instant;
use tonic::Code;

use crate::Node;
use crate::attached::{self, Number as _};
use crate::connect;
use crate::error::{Error, Result};
use crate::events;
use crate::format::Refusal;
use crate::records::{Phase, StageRecord};
use crate::request::{Form, StageRequest};
use crate::scans::Scan;
use crate::seen::Seen;
use crate::settle;

use plan::Plan;

/// What only NodeStageVolume fails with. None is final: a record and a connection may be there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StageError {
    #[error("the volume is staged as {as_what} at {}: unstage it first", path.display())]
    Incompatible { as_what: &'static str, path: PathBuf },
    #[error("{} is the mount point of another device ({device}): nothing is mounted over it", path.display())]
    StagingTaken { path: PathBuf, device: String },
    #[error("{device} of {nqn} is not formatted and not mounted: {refusal}")]
    Refused { device: String, nqn: String, refusal: Refusal },
    #[error(
        "{device} was published as block before and is being read whole, since only zeros may be formatted: {progress}"
    )]
    BeingRead { device: String, progress: host::Error },
}

impl StageError {
    /// UNAVAILABLE or ABORTED.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Incompatible { .. } | Self::StagingTaken { .. } => Code::Aborted,
            Self::Refused { .. } | Self::BeingRead { .. } => Code::Unavailable,
        }
    }
}

/// Serves the RPC, and says its failure.
pub(crate) async fn stage<H: Host>(
    node: &Node<H>,
    wire: &NodeStageVolumeRequest,
    deadline: Instant,
) -> Result<NodeStageVolumeResponse> {
    serve(node, wire, deadline).await.inspect_err(|error| node.say_failure(wire, error))
}

async fn serve<H: Host>(
    node: &Node<H>,
    wire: &NodeStageVolumeRequest,
    deadline: Instant,
) -> Result<NodeStageVolumeResponse> {
    let parsed = StageRequest::parse(wire, &node.config.nqn_prefix);
    let request = match parsed {
        Ok(request) => request,
        Err(error) => return Err(node.unless_still_here(&wire.volume_id, error.into()).await),
    };
    let _guard = node.guard(&request.slot, "NodeStageVolume")?;
    node.health.stays(&request.slot);
    node.unless_left_alone(&request, stage_claimed(node, &request, deadline)).await?;
    Ok(NodeStageVolumeResponse {})
}

/// Stages a volume that the caller has claimed: also what has gone stale, as far as nobody uses it any more.
pub(crate) async fn stage_claimed<H: Host>(
    node: &Node<H>,
    request: &StageRequest,
    deadline: Instant,
) -> Result<()> {
    let volume = Volume { slot: &request.slot, deadline };
    let (seen, scanned) = observe(node, volume, request).await?;
    match plan::plan(&seen, request, &node.config.nqn_prefix)? {
        Plan::Staged => Ok(()),
        Plan::Connected => finish(node, volume, request, scanned).await,
        // What was read before says nothing of what is attached after: it is read again.
        Plan::Attach { settle, connect } => {
            let connection = probe(node, request, deadline).await?;
            settle_all(node, volume, request, &seen, &settle).await?;
            if connect {
                attach(node, volume, request, &connection).await?;
            }
            finish(node, volume, request, None).await
        }
    }
}

/// Joins what runs for the volume, and looks. Where another generation has to be settled it looks only:
/// what runs may hang in the other's path, and is joined once that is disconnected.
async fn observe<H: Host>(
    node: &Node<H>,
    volume: Volume<'_>,
    request: &StageRequest,
) -> Result<(Seen, Option<(Scan, Content)>)> {
    let seen = Seen::observe(node, volume.slot).await?;
    if plan::is_superseding(&seen, request, &node.config.nqn_prefix) {
        return Ok((seen, None));
    }
    let scanned = join(node, volume).await?;
    Ok((Seen::observe(node, volume.slot).await?, scanned))
}

/// Joins what runs for the volume. A whole read that goes on is joined by asking for it again.
async fn join<H: Host>(node: &Node<H>, volume: Volume<'_>) -> Result<Option<(Scan, Content)>> {
    let Some(scan) = node.scans.get(volume.slot) else {
        node.host.join(volume).await?;
        return Ok(None);
    };
    let content = filesystem::whole_scan(node, volume, &scan.device, &scan.intent).await?;
    Ok(Some((scan, content)))
}

/// Asks the target first: only what it accepts is current (node.md rule 2).
async fn probe<H: Host>(node: &Node<H>, request: &StageRequest, deadline: Instant) -> Result<Connection> {
    let started = Instant::now();
    let probed = connect::probe(node, &request.publish, request.volume.tunables, deadline).await;
    if probed.is_err() {
        node.metrics.connect(false, started.elapsed());
    }
    probed
}

async fn settle_all<H: Host>(
    node: &Node<H>,
    volume: Volume<'_>,
    request: &StageRequest,
    seen: &Seen,
    remains: &[settle::Remains],
) -> Result<()> {
    let staging = staging_paths(request, seen.record.as_ref());
    for remains in remains {
        settle::settle(node, volume, remains, &seen.mounts, &staging).await?;
        node.fences.forget([remains.nqn.as_str()]);
    }
    Ok(())
}

fn staging_paths<'a>(request: &'a StageRequest, record: Option<&'a StageRecord>) -> Vec<&'a Path> {
    std::iter::once(request.staging.as_path()).chain(record.map(|record| record.staging.as_path())).collect()
}

/// Writes the record, then connects: a crash in between leaves a record of nothing, never the
/// other way round.
async fn attach<H: Host>(
    node: &Node<H>,
    volume: Volume<'_>,
    request: &StageRequest,
    connection: &Connection,
) -> Result<()> {
    node.scans.forget(volume.slot);
    node.records.save(&record(request, Phase::Staging, None))?;
    let started = Instant::now();
    let connected = connect::connect(node, volume, connection).await;
    node.metrics.connect(connected.is_ok(), started.elapsed());
    connected
}

/// From a connection to a volume that pods can be given.
async fn finish<H: Host>(
    node: &Node<H>,
    volume: Volume<'_>,
    request: &StageRequest,
    scanned: Option<(Scan, Content)>,
) -> Result<()> {
    let nqn = request.publish.nqn.as_str();
    let attached = connect::find(node, volume, nqn, request.least_bytes()).await?;
    if let Form::Filesystem { fs, .. } = &request.usage.form {
        // Before the first write: a loss of the connection from here on is said.
        node.records.save(&record(request, Phase::Staging, Some(attached.device.number())))?;
        let mounted = filesystem::mount(node, volume, request, *fs, &attached, scanned).await;
        mounted.map_err(|error| error.on(&attached.device))?;
    }
    node.records.save(&record(request, Phase::Staged, Some(attached.device.number())))?;
    // A read that was begun for an earlier attachment is of no more use.
    node.scans.forget(volume.slot);
    node.losses.forget(volume.slot);
    Ok(())
}

fn record(request: &StageRequest, phase: Phase, device: Option<(u32, u32)>) -> StageRecord {
    StageRecord {
        slot: request.slot.clone(),
        nqn: request.publish.nqn.clone(),
        staging: request.staging.clone(),
        usage: request.usage.clone(),
        phase,
        device,
        claim: events::claim(Some(&request.publish), |key| request.volume.metadata.get(key)),
        reconnect_delay: request.volume.tunables.reconnect_delay,
    }
}

impl<H: Host> Node<H> {
    /// A final error only where nothing of the volume is on this node: the kubelet would forget it
    /// and never unstage (node.md rule 11).
    pub(crate) async fn unless_still_here(&self, volume_id: &str, error: Error) -> Error {
        let Ok(slot) = volume::Slot::parse(volume_id) else { return error };
        if error.is_final() && self.is_here(&slot).await {
            return Error::StillHere { problem: error.to_string() };
        }
        error
    }

    /// Whether a record or a connection of the volume is here; what cannot be read counts as here.
    async fn is_here(&self, slot: &volume::Slot) -> bool {
        let recorded = self.records.load(slot).map_or(true, |record| record.is_some());
        // A subsystem that somebody's descriptor keeps is no connection.
        let connected = |subsystems: Vec<host::Subsystem>| {
            let ours = attached::of_slot(&subsystems, &self.config.nqn_prefix, slot);
            ours.iter().any(|subsystem| !subsystem.controllers.is_empty())
        };
        recorded || self.host.subsystems().await.map_or(true, connected)
    }
}
