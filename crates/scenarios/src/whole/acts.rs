//! What people do with a cluster: run pods, look into them, end them, delete claims. Each act waits for its end.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testbed::wait_until;

use super::WholeCluster;
use crate::KubeletNode;

impl WholeCluster {
    /// A pod with a volume runs, and one ends, within seconds; on two busy cores either may take many times that.
    pub const SOON: Duration = Duration::from_secs(300);

    /// Makes a claim and waits until it is bound; answers its PersistentVolume.
    ///
    /// # Errors
    /// Where it stays unbound, with the events.
    pub fn bind(&self, claim: &Value) -> Result<Value> {
        let made = self.admin().create(claim)?;
        let name = made["metadata"]["name"].as_str().context("a claim's name")?;
        let volume = self.control_plane.wait_until_bound(name, Self::SOON)?;
        self.admin().get(&["pv", &volume])?.context("a bound claim without its volume")
    }

    /// Makes a pod and waits until it is Ready.
    ///
    /// # Errors
    /// Where it is not, with what kubectl says of it.
    pub fn run_pod(&self, pod: &Value) -> Result<()> {
        let made = self.admin().create(pod)?;
        self.wait_until_running(made["metadata"]["name"].as_str().context("a pod's name")?, Self::SOON)
    }

    /// Deletes a pod and waits until its kubelet has ended it.
    ///
    /// # Errors
    /// Where it stays.
    pub fn end_pod(&self, pod: &str) -> Result<()> {
        self.admin().run(&["delete", "pod", pod, "--wait=false"])?;
        Ok(self.admin().wait(&[&format!("pod/{pod}"), "--for=delete"], Self::SOON)?)
    }

    /// Runs a script of the shell in a pod; answers what it printed.
    ///
    /// # Errors
    /// Where it ends with another status than 0.
    pub fn exec(&self, pod: &str, script: &str) -> Result<String> {
        Ok(self.admin().run(&["exec", pod, "--", "sh", "-c", script])?)
    }

    /// The name of the PersistentVolume of a claim that is bound.
    ///
    /// # Errors
    /// Where there is no such claim.
    pub fn volume_of(&self, claim: &str) -> Result<String> {
        Ok(self.admin().run(&["get", "pvc", claim, "-o", "jsonpath={.spec.volumeName}"])?)
    }

    /// What the driver calls the volume of a claim that is bound, and the device its disk.
    ///
    /// # Errors
    /// Where there is no such claim.
    pub fn handle_of(&self, claim: &str) -> Result<String> {
        let volume = self.volume_of(claim)?;
        Ok(self.admin().run(&["get", "pv", &volume, "-o", "jsonpath={.spec.csi.volumeHandle}"])?)
    }

    /// Deletes a claim and waits until its PersistentVolume is gone, and with it image and export on the device.
    ///
    /// # Errors
    /// Where one of them stays.
    pub fn delete_claim(&self, claim: &str) -> Result<()> {
        let (volume, handle) = (self.volume_of(claim)?, self.handle_of(claim)?);
        self.admin().run(&["delete", "pvc", claim, "--wait=false"])?;
        self.admin().wait(&["--for=delete", &format!("pv/{volume}")], Self::SOON)?;
        let left = self.left_of(&handle)?;
        ensure!(left.is_empty(), "left of {handle} on the RDS: {left:?}");
        Ok(())
    }

    /// Waits until neither image nor export of a volume is on the device.
    ///
    /// # Errors
    /// Where one of them stays.
    pub fn wait_until_gone(&self, handle: &str) -> Result<()> {
        Ok(wait_until(&format!("{handle} gone from the RDS"), Self::SOON, || {
            Ok(self.left_of(handle).is_ok_and(|left| left.is_empty()).then_some(()))
        })?)
    }

    fn left_of(&self, handle: &str) -> Result<Vec<String>> {
        let all = [self.rds.images()?, self.rds.exports()?].concat();
        Ok(all.into_iter().filter(|name| name.contains(handle)).collect())
    }

    /// Waits until no volume is attached to any node: no VolumeAttachment, no export, and nothing on a running node.
    ///
    /// # Errors
    /// Where something stays, with what.
    pub fn wait_until_all_detached(&self) -> Result<()> {
        let mut left = String::new();
        let gone = wait_until("all volumes detached", Self::SOON, || {
            left = self.attached().unwrap_or_else(|error| format!("{error:#}"));
            Ok(left.is_empty().then_some(()))
        });
        gone.with_context(|| left)
    }

    /// What is attached anywhere, in words; empty where nothing is.
    fn attached(&self) -> Result<String> {
        let attachments =
            self.admin().run(&["get", "volumeattachments", "--no-headers", "--ignore-not-found"])?;
        let mut left = [attachments, self.rds.exports()?.join(" ")].concat();
        for node in self.nodes.iter().filter(|node| node.guest.process_id().is_some()) {
            left += &node.volumes()?;
        }
        Ok(left)
    }
}

impl KubeletNode {
    /// The kernel's NVMe subsystems and mounts of NVMe devices, a line each; empty where it has none.
    ///
    /// # Errors
    /// Where the guest does not answer.
    pub fn volumes(&self) -> Result<String> {
        let look =
            "cat /sys/class/nvme-subsystem/*/subsysnqn 2>/dev/null; grep nvme /proc/self/mountinfo; true";
        Ok(self.guest.sh(look)?)
    }
}
