//! What must be true after every action, and what must not be there at the end.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use scenarios::Node;

use super::Run;
use crate::action::{NODES, NodeName, Trouble, VolumeNumber};

/// What the kernel of a node has of volumes: NQNs of its subsystems, and mounts below the kubelet's directory.
const OF_VOLUMES: &str = "cat /sys/class/nvme-subsystem/*/subsysnqn 2>/dev/null; \
                          grep -o '/var/lib/kubelet/p[^ ]*/[^ ]*mount' /proc/self/mountinfo; true";
/// What a node has of volumes at all.
const OF_ANYTHING: &str = "ls /sys/class/nvme; ls /sys/class/nvme-subsystem; \
                           ls /var/lib/kubelet/plugins/rds.csi.srvlab.io/state/stages; \
                           grep -e nvme -e /var/lib/kubelet/ /proc/self/mountinfo; true";
/// Helpers and queued work end within seconds after the last call; guests are slow.
const GONE: Duration = Duration::from_secs(60);

impl Run<'_> {
    /// No volume is exported twice or without an attachment, and none is mounted or connected where it may not be: on
    /// one node, and on those that it was forced off and that were not heard of since.
    pub(super) fn inspect(&self) -> Result<()> {
        if !matches!(self.model.device(), Some(Trouble::Paused | Trouble::Off)) {
            self.inspect_exports()?;
        }
        for name in NODES {
            if !matches!(self.model.trouble(name), Some(Trouble::Paused | Trouble::Off)) {
                self.inspect_node(name)?;
            }
        }
        Ok(())
    }

    fn inspect_exports(&self) -> Result<()> {
        let exports = self.system.rds.exports()?;
        for (volume, held) in &self.volumes {
            let of_it = exports.iter().filter(|nqn| nqn.contains(&held.made.volume.volume_id)).count();
            let attached = usize::from(self.model.pod(*volume).is_some());
            ensure!(
                of_it <= attached,
                "EXPORTED {of_it} times: {volume}, by {attached} attachments: {exports:?}"
            );
        }
        let images = self.system.rds.images()?;
        ensure!(images.len() == self.volumes.len(), "{} volumes, images {images:?}", self.volumes.len());
        Ok(())
    }

    fn inspect_node(&self, name: NodeName) -> Result<()> {
        let seen = self.system.node(name).guest.sh(OF_VOLUMES)?;
        for line in seen.lines() {
            let volume = self.volume_in(line).with_context(|| format!("OF NOBODY on {name}: {line}"))?;
            ensure!(self.model.may_have(name, volume), "TWICE: {volume} is on {name}, too: {line}");
        }
        Ok(())
    }

    /// The volume whose id a line has.
    fn volume_in(&self, line: &str) -> Option<VolumeNumber> {
        let held = self.volumes.iter().map(|(volume, held)| (*volume, &held.made));
        let left = self.left.iter().map(|left| (left.volume, &left.made));
        held.chain(left).find(|(_, made)| line.contains(&made.volume.volume_id)).map(|(volume, _)| volume)
    }

    /// After the last volume was deleted.
    pub(crate) fn nothing_is_left(&self) -> Result<()> {
        let rds = &self.system.rds;
        let (images, exports) = (rds.images()?, self.system.rds.exports()?);
        ensure!(images.is_empty() && exports.is_empty(), "on the device: {images:?} {exports:?}");
        let listed = self.system.csi().list(0)?.len();
        ensure!(listed == 0, "the controller lists {listed} volumes");
        gone("loop devices of the device", || Ok(rds.guest.sh("losetup -a")?))?;
        self.system
            .nodes
            .iter()
            .try_for_each(|node| gone(&format!("volumes of {}", node.guest.name()), || of_anything(node)))
    }
}

fn of_anything(node: &Node) -> Result<String> {
    Ok(node.guest.sh(OF_ANYTHING)?)
}

/// Waits until there is nothing of a list.
fn gone(what: &str, list: impl Fn() -> Result<String>) -> Result<()> {
    let mut last = Ok(String::new());
    let empty = testbed::wait_until(what, GONE, || {
        last = list();
        Ok(last.as_ref().is_ok_and(String::is_empty).then_some(()))
    });
    match (empty, last) {
        (Ok(()), _) => Ok(()),
        (Err(error), last) => Err(error).with_context(|| format!("left: {last:?}")),
    }
}
