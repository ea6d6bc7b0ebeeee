//! Objects of the Kubernetes API, as values for [`Kubectl::create`](crate::Kubectl::create).
//!
//! Each is the least that the API takes and the controllers act on. Change a field of the answer for what is not
//! an argument here.

use serde_json::{Map, Value, json};

/// A Node without a kubelet: Ready, and with the annotation that leaves attaching to the controller manager.
#[must_use]
pub fn node(name: &str, internal_ip: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": name,
            "labels": { "kubernetes.io/hostname": name, "kubernetes.io/os": "linux" },
            "annotations": { "volumes.kubernetes.io/controller-managed-attach-detach": "true" },
        },
        "status": {
            "capacity": resources(), "allocatable": resources(),
            "conditions": [ready_condition("True")],
            "addresses": [{ "type": "InternalIP", "address": internal_ip }, { "type": "Hostname", "address": name }],
        },
    })
}

/// The condition `Ready` of a Node: `True`, `False`, or `Unknown` as when its kubelet is silent.
pub(crate) fn ready_condition(status: &str) -> Value {
    json!({ "type": "Ready", "status": status, "reason": "Testbed", "message": "said by a test" })
}

fn resources() -> Value {
    json!({ "cpu": "16", "memory": "64Gi", "pods": "110" })
}

/// The CSINode of a Node that is there (as the API server answered it), which goes with it: one driver.
#[must_use]
pub fn csi_node(node: &Value, driver: &str, node_id: &str) -> Value {
    let name = &node["metadata"]["name"];
    json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "CSINode",
        "metadata": {
            "name": name,
            "ownerReferences": [{ "apiVersion": "v1", "kind": "Node", "name": name, "uid": node["metadata"]["uid"] }],
        },
        "spec": { "drivers": [{ "name": driver, "nodeID": node_id, "topologyKeys": null }] },
    })
}

/// The CSIDriver of a driver whose volumes are attached.
#[must_use]
pub fn csi_driver(name: &str) -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver",
        "metadata": { "name": name },
        "spec": { "attachRequired": true, "podInfoOnMount": false, "fsGroupPolicy": "File" },
    })
}

/// A StorageClass that provisions at once, deletes, and lets volumes grow.
#[must_use]
pub fn storage_class(name: &str, provisioner: &str, parameters: &[(&str, &str)]) -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": { "name": name },
        "provisioner": provisioner,
        "parameters": map(parameters),
        "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate", "allowVolumeExpansion": true,
    })
}

/// How a volume is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// `ReadWriteOnce`, `ReadWriteOncePod`, `ReadWriteMany`, …
    pub access_mode: &'static str,
    /// `Filesystem` or `Block`.
    pub volume_mode: &'static str,
}

impl Usage {
    /// A file system for one node.
    pub const FILESYSTEM: Self = Self { access_mode: "ReadWriteOnce", volume_mode: "Filesystem" };
    /// A raw block device for one node.
    pub const BLOCK: Self = Self { access_mode: "ReadWriteOnce", volume_mode: "Block" };
    /// A raw block device for several nodes.
    pub const SHARED_BLOCK: Self = Self { access_mode: "ReadWriteMany", volume_mode: "Block" };
}

/// A PersistentVolumeClaim in the namespace `default`.
#[must_use]
pub fn claim(name: &str, class: &str, size: &str, usage: Usage) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": { "name": name, "namespace": "default" },
        "spec": {
            "storageClassName": class,
            "accessModes": [usage.access_mode], "volumeMode": usage.volume_mode,
            "resources": { "requests": { "storage": size } },
        },
    })
}

/// A PersistentVolume of a driver, kept when its claim goes. A claim in `default` is reserved where one is named.
#[must_use]
pub fn persistent_volume(
    name: &str,
    driver: &str,
    volume_handle: &str,
    size: &str,
    usage: Usage,
    claim: Option<&str>,
) -> Value {
    let claim_ref = claim.map(|name| {
        json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "default", "name": name })
    });
    json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": { "name": name },
        "spec": {
            "capacity": { "storage": size },
            "accessModes": [usage.access_mode], "volumeMode": usage.volume_mode,
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": claim_ref,
            "csi": { "driver": driver, "volumeHandle": volume_handle },
        },
    })
}

/// A Pod in the namespace `default` that uses these claims as file systems; bound to a node where one is named,
/// otherwise the scheduler's.
#[must_use]
pub fn pod(name: &str, node: Option<&str>, claims: &[&str]) -> Value {
    let mounts = claims.iter().map(|claim| json!({ "name": claim, "mountPath": format!("/{claim}") }));
    pod_using(name, node, claims, "volumeMounts", mounts.collect())
}

/// As [`pod`], with raw block claims.
#[must_use]
pub fn block_pod(name: &str, node: Option<&str>, claims: &[&str]) -> Value {
    let devices = claims.iter().map(|claim| json!({ "name": claim, "devicePath": format!("/dev/{claim}") }));
    pod_using(name, node, claims, "volumeDevices", devices.collect())
}

fn pod_using(name: &str, node: Option<&str>, claims: &[&str], field: &str, uses: Vec<Value>) -> Value {
    let volumes = claims
        .iter()
        .map(|claim| json!({ "name": claim, "persistentVolumeClaim": { "claimName": claim } }))
        .collect::<Vec<_>>();
    // Nothing pulls or runs the image.
    let mut container = json!({ "name": "main", "image": "testbed.invalid/none" });
    container[field] = uses.into();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": "default" },
        "spec": { "nodeName": node, "containers": [container], "volumes": volumes },
    })
}

/// A VolumeAttachment, as the attach/detach controller makes one or a person by hand.
#[must_use]
pub fn volume_attachment(name: &str, attacher: &str, node: &str, persistent_volume: &str) -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment",
        "metadata": { "name": name },
        "spec": {
            "attacher": attacher, "nodeName": node,
            "source": { "persistentVolumeName": persistent_volume },
        },
    })
}

/// Gives all rights of a ClusterRole, everywhere, to a service account.
#[must_use]
pub fn cluster_role_binding(name: &str, role: &str, namespace: &str, account: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": { "name": name },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
        "subjects": [{ "kind": "ServiceAccount", "namespace": namespace, "name": account }],
    })
}

/// Several objects in one.
#[must_use]
pub fn list(items: Vec<Value>) -> Value {
    json!({ "apiVersion": "v1", "kind": "List", "items": items })
}

fn map(pairs: &[(&str, &str)]) -> Map<String, Value> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect()
}

#[cfg(test)]
mod tests {
    use super::{block_pod, pod};

    #[test]
    fn a_pod_uses_each_claim_as_what_it_is() {
        let pod = pod("p", Some("a"), &["data"]);
        assert_eq!(pod["spec"]["nodeName"], "a");
        assert_eq!(pod["spec"]["containers"][0]["volumeMounts"][0]["mountPath"], "/data");
        let pod = block_pod("p", None, &["disk"]);
        assert!(pod["spec"]["nodeName"].is_null());
        assert_eq!(pod["spec"]["containers"][0]["volumeDevices"][0]["devicePath"], "/dev/disk");
        assert_eq!(pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"], "disk");
    }
}
