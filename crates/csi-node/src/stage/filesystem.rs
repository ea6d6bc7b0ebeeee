//! The file system's part of a stage: format only if proven blank, mount, grow.

use host::{Content, Device, ErrorKind, Host, Volume};
use volume::FsType;

use super::StageError;
use crate::Node;
use crate::attached::{Attached, Number as _};
use crate::error::Result;
use crate::format::superblock::Superblock;
use crate::format::{Intent, Plan, apply, observe, plan};
use crate::mounted;
use crate::request::StageRequest;
use crate::scans::Scan;

/// A file system grows in blocks of this; less is no growth.
const BLOCK: u64 = 4096;

/// Mounts the volume at its staging path, grown to its device.
pub(super) async fn mount<H: Host>(
    node: &Node<H>,
    volume: Volume<'_>,
    request: &StageRequest,
    fs: FsType,
    attached: &Attached,
    scanned: Option<(Scan, Content)>,
) -> Result<()> {
    let device = &attached.device;
    let mounts = node.host.mounts().await?;
    let there = mounted::at(&mounts, &request.staging);
    let is_mounted = there.iter().any(|entry| mounted::number(entry) == device.number());
    let filesystem_bytes = match is_mounted {
        true => size_of(&observe::superblock(&node.host, volume, device).await?),
        false => prepare(node, volume, request, fs, attached, scanned).await?,
    };
    if !is_mounted {
        node.host.make_dir(&request.staging).await?;
        let options = request.usage.mount_options();
        let mounted = node.host.mount(volume, device, &request.staging, fs, &options).await;
        node.metrics.mounted("mount", mounted)?;
        node.health.forget_failure(volume.slot);
    }
    if !request.usage.read_only && filesystem_bytes / BLOCK < attached.bytes / BLOCK {
        node.host.grow(volume, device, &request.staging, fs).await?;
    }
    Ok(())
}

/// Makes sure that the device holds the file system; its size in bytes.
async fn prepare<H: Host>(
    node: &Node<H>,
    volume: Volume<'_>,
    request: &StageRequest,
    fs: FsType,
    attached: &Attached,
    scanned: Option<(Scan, Content)>,
) -> Result<u64> {
    let device = &attached.device;
    let intent = intent(request, fs, attached);
    let observation = observe_or_scan(node, volume, device, &intent, scanned).await?;
    match plan(&observation, &intent) {
        Plan::Mount { bytes } => return Ok(bytes),
        Plan::Blank => {
            tracing::info!(%device, %fs, "blank device: making a file system");
            apply::make(&node.host, volume, device, &intent).await?;
        }
        Plan::UnfinishedExt4 => {
            tracing::warn!(%device, "our own mkfs.ext4 had not ended: making it again");
            apply::remake_ext4(&node.host, volume, device, &intent).await?;
        }
        Plan::UnfinishedXfs => {
            tracing::warn!(%device, "our own mkfs.xfs had not ended: making it again");
            apply::remake_xfs(&node.host, volume, device, &intent).await?;
        }
        Plan::Refuse(refusal) => {
            let nqn = request.publish.nqn.to_string();
            return Err(StageError::Refused { device: device.to_string(), nqn, refusal }.into());
        }
    }
    Ok(if fs == FsType::Ext4 { intent.ext4_bytes() } else { attached.bytes })
}

fn intent(request: &StageRequest, fs: FsType, attached: &Attached) -> Intent {
    Intent {
        slot: request.slot.clone(),
        fs,
        // Volumes of the Go driver do not say; they count as published as block, too.
        created: request.volume.created_bytes.unwrap_or(attached.bytes).min(attached.bytes),
        bytes: attached.bytes,
        published_as_block: request.publish.published_as_block,
    }
}

async fn observe_or_scan<H: Host>(
    node: &Node<H>,
    volume: Volume<'_>,
    device: &Device,
    intent: &Intent,
    scanned: Option<(Scan, Content)>,
) -> Result<crate::format::Observation> {
    let first = observe::observe(&node.host, volume, device, intent).await?;
    if !first.needs_content() {
        return Ok(first);
    }
    let content = match scanned {
        // What was read of another device, or with another intent, says nothing.
        Some((scan, content)) if scan.device == *device && scan.intent == *intent => content,
        _ if intent.published_as_block => whole_scan(node, volume, device, intent).await?,
        _ => observe::scan(&node.host, volume, device, intent).await?,
    };
    Ok(observe::with_content(&node.host, volume, device, first, content).await?)
}

/// Reads the whole device, which can take longer than any call: it goes on in its helper, and the
/// next call of the volume asks for the same read.
pub(super) async fn whole_scan<H: Host>(
    node: &Node<H>,
    volume: Volume<'_>,
    device: &Device,
    intent: &Intent,
) -> Result<Content> {
    match observe::scan(&node.host, volume, device, intent).await {
        Err(progress) if matches!(progress.kind, ErrorKind::Abandoned | ErrorKind::Pending) => {
            node.scans.remember(volume.slot, device, intent);
            Err(StageError::BeingRead { device: device.to_string(), progress }.into())
        }
        ended => {
            node.scans.forget(volume.slot);
            Ok(ended?)
        }
    }
}

fn size_of(superblock: &Superblock) -> u64 {
    match superblock {
        Superblock::Ext4 { bytes, .. } | Superblock::Xfs { bytes, .. } => *bytes,
        // Mounted all the same: growing asks the file system itself.
        Superblock::None | Superblock::Unknown { .. } => 0,
    }
}
