//! What KubeVirt makes of a running virtual machine, as far as volumes go: its launcher pods, and the pods that bring
//! hot-plugged volumes to them.
//!
//! KubeVirt itself is not there. Its pods are known by their owners, and neither the garbage collector nor this driver
//! asks for the kind of the owner itself.

use serde_json::{Value, json};
use testbed::objects;

/// A VirtualMachineInstance of the namespace `default`, by what its pods say of it.
#[derive(Clone, Debug)]
pub struct VirtualMachine {
    /// Its name.
    pub name: String,
    /// Its UID: two of one name are two machines.
    pub uid: String,
}

impl VirtualMachine {
    /// One of that name. `number` makes its UID.
    #[must_use]
    pub fn new(name: &str, number: u32) -> Self {
        Self { name: name.to_owned(), uid: format!("6b756265-7669-4772-9f00-{number:012}") }
    }

    /// A launcher bound to `node`, with claims as its disks: of a machine that runs there, or the target of its live
    /// migration to there.
    #[must_use]
    pub fn launcher(&self, node: &str, claims: &[&str]) -> Value {
        self.own(objects::block_pod(&self.launcher_name(node), Some(node), claims))
    }

    /// As [`VirtualMachine::launcher`], with claims as file systems, in which its disks are files.
    #[must_use]
    pub fn launcher_with_files(&self, node: &str, claims: &[&str]) -> Value {
        self.own(objects::pod(&self.launcher_name(node), Some(node), claims))
    }

    fn own(&self, mut pod: Value) -> Value {
        pod["metadata"]["labels"] = json!({
            "kubevirt.io": "virt-launcher",
            "kubevirt.io/created-by": self.uid,
            "vm.kubevirt.io/name": self.name,
        });
        pod["metadata"]["ownerReferences"] =
            json!([owner("kubevirt.io/v1", "VirtualMachineInstance", &self.name, &self.uid)]);
        pod
    }

    /// How its launcher on a node is called here.
    #[must_use]
    pub fn launcher_name(&self, node: &str) -> String {
        format!("virt-launcher-{}-{node}", self.name)
    }
}

/// The pod by which KubeVirt brings a hot-plugged claim to the node of a launcher, as the API server has that one.
#[must_use]
pub fn hot_plug_pod(launcher: &Value, claim: &str) -> Value {
    let (metadata, node) = (&launcher["metadata"], launcher["spec"]["nodeName"].as_str());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (name, uid) = (text(&metadata["name"]), text(&metadata["uid"]));
    let mut pod = objects::block_pod(&hot_plug_name(&name), node, &[claim]);
    pod["metadata"]["labels"] = json!({ "kubevirt.io": "hotplug-disk" });
    pod["metadata"]["ownerReferences"] = json!([owner("v1", "Pod", &name, &uid)]);
    pod
}

/// How the pod for a hot-plugged volume of a launcher is called here.
#[must_use]
pub fn hot_plug_name(launcher: &str) -> String {
    format!("hp-volume-{launcher}")
}

fn owner(api_version: &str, kind: &str, name: &str, uid: &str) -> Value {
    json!({
        "apiVersion": api_version, "kind": kind, "name": name, "uid": uid,
        "controller": true, "blockOwnerDeletion": true,
    })
}
