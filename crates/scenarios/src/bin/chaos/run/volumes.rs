//! What happens to volumes and their pods.

use anyhow::{Context, Result, ensure};
use microvm::MIB;
use scenarios::{Attached, Made, Shape};
use tonic::Code;

use super::{Left, Run, Volume};
use crate::action::{NodeName, Trouble, Use, VolumeNumber};
use crate::calls::{refused, retried};
use crate::pod::{self, Pod, Writer};

/// An xfs is no smaller than 300 MiB. A record takes half a KiB, so each of these lasts for hours of writing.
const BYTES: u64 = 320 * MIB;

impl Run<'_> {
    pub(super) fn create(&mut self, volume: VolumeNumber, usage: Use) -> Result<()> {
        let shape = match usage {
            Use::Ext4 => Shape::filesystem("ext4"),
            Use::Xfs => Shape::filesystem("xfs"),
            Use::Block => Shape::block(),
        };
        let made = retried("created", || self.system.create(&format!("chaos-{volume}"), BYTES, &shape))?;
        self.volumes.insert(volume, Volume { made, pod: None });
        Ok(())
    }

    pub(super) fn start(&mut self, volume: VolumeNumber, node: NodeName) -> Result<()> {
        let attached = self.attach(volume, node)?;
        self.begin(volume, node, attached)
    }

    fn attach(&self, volume: VolumeNumber, node: NodeName) -> Result<Attached> {
        let made = self.made(volume)?;
        retried("attached", || Ok(self.system.csi().attach(made, node)?))
    }

    /// Mounts a volume that is attached, reads its records, and starts a pod's process.
    pub(super) fn begin(&mut self, volume: VolumeNumber, node: NodeName, attached: Attached) -> Result<()> {
        let system = self.system;
        let made = self.made(volume)?.clone();
        retried("mounted", || system.node(node).mount(&made, &attached))?;
        let runs = pod::runs(system.node(node), &made)?;
        self.ledger.found(volume, &runs)?;
        let name = self.ledger.begin(volume);
        let writer = Writer::start(system.node(node), &made, name)?;
        self.held(volume)?.pod = Some(Pod { node, attached, writer });
        Ok(())
    }

    pub(super) fn stop(&mut self, volume: VolumeNumber) -> Result<()> {
        let node = self.end(volume)?;
        self.detach(volume, node)
    }

    fn detach(&self, volume: VolumeNumber, node: NodeName) -> Result<()> {
        let made = self.made(volume)?;
        retried("detached", || Ok(self.system.csi().detach(made, node)?))
    }

    /// Ends the pod's process and unmounts its volume, which stays attached; answers where.
    fn end(&mut self, volume: VolumeNumber) -> Result<NodeName> {
        let pod = self.held(volume)?.pod.take().with_context(|| format!("{volume} has no pod"))?;
        self.silence(volume, pod.writer)?;
        let made = self.made(volume)?;
        retried("unmounted", || self.system.node(pod.node).unmount(made))?;
        Ok(pod.node)
    }

    /// Ends a process and hears its last words.
    fn silence(&mut self, volume: VolumeNumber, writer: Writer) -> Result<()> {
        let name = writer.name.clone();
        writer.kill();
        let acknowledged = writer.ended()?;
        self.ledger.acknowledged(volume, &name, acknowledged)
    }

    /// Makes the pod anew where it was: what it is attached with has not changed.
    pub(super) fn replace(&mut self, volume: VolumeNumber) -> Result<()> {
        let before = self.held(volume)?.pod.as_ref().map(|pod| pod.attached.clone());
        let node = self.end(volume)?;
        let attached = self.attach(volume, node)?;
        ensure!(before.as_ref() == Some(&attached), "{volume} was {before:?}, and is now {attached:?}");
        self.replaced += 1;
        self.begin(volume, node, attached)
    }

    pub(super) fn move_to(&mut self, volume: VolumeNumber, to: NodeName) -> Result<()> {
        self.stop(volume)?;
        self.start(volume, to)
    }

    /// The pod's node is given up: declared out of service, so nobody asks it. It learns that when it is back; one
    /// that was never away at once.
    pub(super) fn take(&mut self, volume: VolumeNumber, to: NodeName) -> Result<()> {
        let made = self.made(volume)?.clone();
        let pod = self.held(volume)?.pod.take().with_context(|| format!("{volume} has no pod"))?;
        // What it has said so far must be there; what it says from now on must be there, too, or not be said.
        self.ledger.acknowledged(volume, &pod.writer.name, pod.writer.acknowledged())?;
        self.detach(volume, pod.node)?;
        let left = Left { volume, made, node: pod.node, writer: pod.writer };
        self.start(volume, to)?;
        match self.model.trouble(left.node) {
            None => self.let_go(left, None),
            Some(_) => {
                self.left.push(left);
                Ok(())
            }
        }
    }

    /// What is left of a pod on a node that was given up and is back. There is no Kubernetes that its driver could ask
    /// what became of the volume: an operator says it. After a power cut nothing is left to be said of.
    pub(super) fn let_go(&mut self, left: Left, trouble: Option<Trouble>) -> Result<()> {
        let node = self.system.node(left.node);
        left.writer.kill();
        if trouble != Some(Trouble::Off) {
            let id = &left.made.volume.volume_id;
            let word = format!("rds-csi declare-fenced --endpoint unix://{} {id}", node.socket());
            retried("declared fenced", || Ok(node.guest.sh(&word)?))?;
        }
        retried("let go", || node.unmount(&left.made))?;
        self.silence(left.volume, left.writer)
    }

    pub(super) fn ask(&self, volume: VolumeNumber, node: NodeName) -> Result<()> {
        let made = self.made(volume)?;
        let status = refused("attached a second time", || Ok(self.system.csi().attach(made, node)?))?;
        ensure!(status.code() == Code::FailedPrecondition, "{status}");
        Ok(())
    }

    pub(super) fn delete(&mut self, volume: VolumeNumber, node: NodeName) -> Result<()> {
        let attached = self.attach(volume, node)?;
        let made = self.made(volume)?.clone();
        retried("mounted", || self.system.node(node).mount(&made, &attached))?;
        let runs = pod::runs(self.system.node(node), &made)?;
        self.ledger.found(volume, &runs)?;
        retried("unmounted", || self.system.node(node).unmount(&made))?;
        self.detach(volume, node)?;
        retried("deleted", || Ok(self.system.csi().delete(&made.volume.volume_id)?))?;
        self.ledger.close(volume);
        self.volumes.remove(&volume);
        Ok(())
    }

    fn made(&self, volume: VolumeNumber) -> Result<&Made> {
        Ok(&self.volumes.get(&volume).with_context(|| format!("there is no {volume}"))?.made)
    }

    fn held(&mut self, volume: VolumeNumber) -> Result<&mut Volume> {
        self.volumes.get_mut(&volume).with_context(|| format!("there is no {volume}"))
    }
}
