//! NodeUnpublishVolume: unmount first, look later; what is not there is success; nothing recursive.

use std::path::Path;

use csi_grpc::v1::{NodeUnpublishVolumeRequest, NodeUnpublishVolumeResponse};
use host::{Device, ErrorKind, Host, MountEntry, Volume};
use tokio::time::Instant;
use volume::Slot;

use crate::Node;
use crate::attached::{self, Number as _};
use crate::error::Result;
use crate::request;
use crate::seen::Seen;
use crate::{foreign, mounted};

/// Serves the RPC.
pub(crate) async fn unpublish<H: Host>(
    node: &Node<H>,
    wire: &NodeUnpublishVolumeRequest,
    deadline: Instant,
) -> Result<NodeUnpublishVolumeResponse> {
    let slot = request::slot(&wire.volume_id)?;
    let target = request::path("target_path", &wire.target_path)?;
    let _guard = node.guard(&slot, "NodeUnpublishVolume")?;
    let volume = Volume { slot: &slot, deadline };
    cut_off_if_fenced(node, volume).await?;
    // A bind that was abandoned could appear after the look.
    node.host.join(volume).await?;
    let seen = Seen::observe(node, &slot).await?;
    let there = mounted::at(&seen.mounts, &target);
    for entry in &there {
        foreign::refuse_bound(&node.host, &seen, &slot, &node.config.nqn_prefix, entry).await?;
    }
    let devices = bound(node, &seen, &slot, &there).await?;
    for _ in &there {
        node.metrics.mounted("unmount", node.host.unmount(volume, &target).await)?;
    }
    for device in &devices {
        say_unwritten(node, volume, node.host.flush(volume, device).await)?;
    }
    release(node, volume, &target).await?;
    node.host.remove_empty(&target).await?;
    Ok(NodeUnpublishVolumeResponse {})
}

/// The flush of a raw device waits for its path. Where that is known never to come back, it is
/// disconnected first, or the kubelet would never get as far as unstaging it (node.md rule 5).
async fn cut_off_if_fenced<H: Host>(node: &Node<H>, volume: Volume<'_>) -> Result<()> {
    let seen = Seen::observe(node, volume.slot).await?;
    let nqns = seen.nqns(volume.slot, &node.config.nqn_prefix);
    let Some(down) = seen.path_down(nqns.iter().map(String::as_str)) else { return Ok(()) };
    if node.is_fenced(volume, &seen).await {
        node.say_given_up(volume.slot, down, "the attachment was fenced before everything was written");
        node.host.disconnect(volume, down).await?;
    }
    Ok(())
}

/// Flushes and closes a block device's descriptor. The loss that a failed flush tells is said; a device that is
/// gone is closed by then, and newer kernels tell the loss of any other once, so the second attempt may close.
pub(crate) async fn release<H: Host>(node: &Node<H>, volume: Volume<'_>, target: &Path) -> Result<()> {
    match say_unwritten(node, volume, node.host.release(volume, target).await)? {
        Told::Nothing => Ok(()),
        Told::Loss => Ok(node.host.release(volume, target).await?),
    }
}

/// The volume's devices that were bound at a target: a holder that died with its container flushes nothing.
async fn bound<H: Host>(
    node: &Node<H>,
    seen: &Seen,
    slot: &Slot,
    there: &[&MountEntry],
) -> Result<Vec<Device>> {
    let mut devices = Vec::new();
    for entry in there.iter().filter(|entry| mounted::is_device_bind(entry)) {
        let number = mounted::bound_device(&node.host, &entry.target).await?;
        // The number of a device that is gone may be another volume's by now.
        let ours = attached::of_slot(&seen.subsystems, &node.config.nqn_prefix, slot);
        let namespaces = ours.into_iter().flat_map(|subsystem| &subsystem.namespaces);
        let found = namespaces.map(|one| &one.device).find(|device| Some(device.number()) == number);
        devices.extend(found.filter(|device| !devices.contains(*device)).cloned());
    }
    Ok(devices)
}

/// What a flush told.
enum Told {
    Nothing,
    Loss,
}

/// Says the loss that the kernel tells; a flush that did not run is the retry's.
fn say_unwritten<H: Host>(node: &Node<H>, volume: Volume<'_>, flushed: host::Result<()>) -> Result<Told> {
    match flushed {
        Ok(()) => Ok(Told::Nothing),
        Err(error) if error.kind == ErrorKind::Unwritten => {
            node.say_loss(volume.slot, "", &format!("flushing at unpublish failed: {error}"));
            Ok(Told::Loss)
        }
        Err(error) => Err(error.into()),
    }
}
