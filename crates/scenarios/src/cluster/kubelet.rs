//! A kubelet in small: what it does for the volumes of pods that are bound to its node, and what it says of the node.

use anyhow::{Context, Result, ensure};
use csi_grpc::v1::Volume;
use serde_json::Value;
use testbed::{ControlPlane, Kubectl, wait_until};

use super::{DRIVER, GuestCluster};
use crate::csi::node_id;
use crate::{Attached, Made, Node, Shape};

/// The kubelet of one node. It acts when it is told to, so that a test sees each of its steps.
#[derive(Clone, Copy, Debug)]
pub struct Kubelet<'a> {
    control_plane: &'a ControlPlane,
    node: &'a Node,
}

/// A volume of a pod, attached to the pod's node.
#[derive(Clone, Debug)]
pub struct PodVolume {
    /// The volume, as its PersistentVolume describes it.
    pub made: Made,
    /// What its VolumeAttachment hands over.
    pub attached: Attached,
    /// The name of its PersistentVolume.
    pub persistent_volume: String,
}

impl<'a> Kubelet<'a> {
    pub(super) fn new(control_plane: &'a ControlPlane, node: &'a Node) -> Self {
        Self { control_plane, node }
    }

    /// Makes its Node, which is Ready, with the CSINode of the driver.
    ///
    /// # Errors
    /// Where the API server refuses.
    pub fn register(&self) -> Result<()> {
        self.control_plane.add_node(self.name(), DRIVER, &node_id(self.name()))?;
        Ok(())
    }

    /// Does for a pod what comes before the driver is called: waits until the pod is bound to this node, says that its
    /// volume is in use, and waits until the volume is attached.
    ///
    /// # Errors
    /// Where either does not come.
    pub fn admit(&self, pod: &str) -> Result<PodVolume> {
        let object = wait_until(&format!("pod {pod} bound to {}", self.name()), GuestCluster::SOON, || {
            let object = self.admin().get(&["pod", "-n", "default", pod])?;
            Ok(object.filter(|object| object["spec"]["nodeName"] == self.name()))
        })?;
        let volume = self.volume(&object)?;
        let made = made(&volume)?;
        let unique = unique_name(&made);
        self.control_plane.set_in_use(self.name(), &unique, true)?;
        let persistent_volume = text(&volume["metadata"]["name"]);
        let attachment =
            self.control_plane.wait_until_attached(&persistent_volume, self.name(), GuestCluster::SOON)?;
        wait_until(&format!("{unique} in volumesAttached of {}", self.name()), GuestCluster::SOON, || {
            let listed = self.admin().get(&["node", self.name()])?.unwrap_or_default();
            Ok(items(&listed["status"]["volumesAttached"]).any(|item| item["name"] == unique).then_some(()))
        })?;
        let attached = Attached { context: map(&attachment["status"]["attachmentMetadata"]) };
        Ok(PodVolume { made, attached, persistent_volume })
    }

    /// Stages and publishes a pod's volume: one try. Nothing is asked of the API server. Answers the path that the pod
    /// sees.
    ///
    /// # Errors
    /// The driver's status.
    pub fn mount(&self, volume: &PodVolume) -> Result<String> {
        self.node.mount(&volume.made, &volume.attached)
    }

    /// Unpublishes and unstages a pod's volume; it is still in use, as of a pod that starts again.
    ///
    /// # Errors
    /// The driver's status.
    pub fn unmount(&self, volume: &PodVolume) -> Result<()> {
        self.node.unmount(&volume.made)
    }

    /// Ends a pod that somebody has deleted: unmounts its volume, says that it is in use no more, and deletes the pod
    /// for good.
    ///
    /// # Errors
    /// Where nobody has deleted it; the driver's status; what the API server refuses.
    pub fn end_pod(&self, pod: &str, volume: &PodVolume) -> Result<()> {
        let object = self.admin().get(&["pod", "-n", "default", pod])?.context("a pod that is gone")?;
        ensure!(!object["metadata"]["deletionTimestamp"].is_null(), "pod {pod} is to run");
        self.unmount(volume)?;
        self.control_plane.delete_pod(pod)?;
        Ok(self.control_plane.set_in_use(self.name(), &unique_name(&volume.made), false)?)
    }

    /// The PersistentVolume of the pod's claim.
    fn volume(&self, pod: &Value) -> Result<Value> {
        let claims = items(&pod["spec"]["volumes"]);
        let claim = claims.filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str()).next();
        let claim = claim.context("a pod without a claim")?;
        let claim = self.admin().get(&["pvc", "-n", "default", claim])?.context("no such claim")?;
        let name = claim["spec"]["volumeName"].as_str().context("a claim that is not bound")?;
        self.admin().get(&["persistentvolume", name])?.context("a bound claim without its volume")
    }

    fn name(&self) -> &'a str {
        self.node.guest.name()
    }

    fn admin(&self) -> &'a Kubectl {
        self.control_plane.admin()
    }
}

/// How kubelet and the attach/detach controller call a volume.
fn unique_name(volume: &Made) -> String {
    format!("kubernetes.io/csi/{DRIVER}^{}", volume.volume.volume_id)
}

/// What a PersistentVolume says of its volume.
fn made(volume: &Value) -> Result<Made> {
    let (spec, csi) = (&volume["spec"], &volume["spec"]["csi"]);
    let shape = match (spec["volumeMode"].as_str(), csi["fsType"].as_str(), spec["accessModes"][0].as_str()) {
        (Some("Block"), _, Some("ReadWriteMany")) => Shape::shared_block(),
        (Some("Block"), ..) => Shape::block(),
        (_, Some("xfs"), _) => Shape::filesystem("xfs"),
        (_, Some("ext4"), _) => Shape::filesystem("ext4"),
        other => anyhow::bail!("this kubelet mounts no {other:?}"),
    };
    let (volume_id, volume_context) = (text(&csi["volumeHandle"]), map(&csi["volumeAttributes"]));
    Ok(Made { volume: Volume { volume_id, volume_context, ..Volume::default() }, shape })
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn map<T: FromIterator<(String, String)>>(object: &Value) -> T {
    object.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), text(value))).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
