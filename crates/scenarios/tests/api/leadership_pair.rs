//! Two controllers with their sidecars, and what the device has seen of each.

use std::time::{Duration, Instant};

use scenarios::{Cluster, ClusterOptions, ControllerPod, DeviceRequest, STORAGE_CLASS};
use serde_json::{Value, json};
use testbed::objects::{self, Usage};
use testbed::wait_until;

use super::SOON;

/// Two controllers over one device, and the nodes `a` and `b`.
pub(crate) fn pair(options: &ClusterOptions) -> Cluster {
    let cluster = Cluster::start(&ClusterOptions { replicas: 2, ..options.clone() }).unwrap();
    cluster.add_node("a").unwrap();
    cluster.add_node("b").unwrap();
    cluster
}

/// Who leads, and who waits: exactly one says that it is ready.
pub(crate) fn roles(cluster: &Cluster) -> (&ControllerPod, &ControllerPod) {
    let (ready, waiting): (Vec<_>, Vec<_>) = cluster.pods.iter().partition(|pod| pod.controller.is_ready());
    let ([leader], [standby]) = (ready.as_slice(), waiting.as_slice()) else {
        panic!("{} lead", ready.len());
    };
    (leader, standby)
}

/// Waits until a controller is ready; what has ended meanwhile is started again, as kubelets do. Answers how long it
/// took.
pub(crate) fn wait_for_leader(cluster: &Cluster, within: Duration) -> Duration {
    let began = Instant::now();
    wait_until("a controller leads", within, || {
        cluster.pods.iter().for_each(|pod| pod.revive().unwrap());
        Ok(cluster.leader().map(drop))
    })
    .unwrap();
    began.elapsed()
}

/// Makes a claim and waits until it is bound; what has ended meanwhile in these pods is started again, as kubelets do.
pub(crate) fn provision_reviving(cluster: &Cluster, claim: &str, alive: &[&ControllerPod]) -> Duration {
    let began = Instant::now();
    let object = objects::claim(claim, STORAGE_CLASS, "64Mi", Usage::BLOCK);
    cluster.admin().create(&object).unwrap();
    wait_until(&format!("claim {claim} bound"), 2 * SOON, || {
        alive.iter().for_each(|pod| pod.revive().unwrap());
        let claim = cluster.admin().get(&["pvc", "-n", "default", claim])?.unwrap_or_default();
        Ok((claim["status"]["phase"] == "Bound").then_some(()))
    })
    .unwrap();
    began.elapsed()
}

/// Makes a pod that uses a claim as a block device on a node.
pub(crate) fn pod_on(cluster: &Cluster, pod: &str, node: &str, claim: &str) {
    let mut object = objects::block_pod(pod, None, &[claim]);
    object["spec"]["nodeSelector"] = json!({ "kubernetes.io/hostname": node });
    cluster.admin().create(&object).unwrap();
}

/// Waits until the VolumeAttachment of a PersistentVolume to a node is so.
pub(crate) fn wait_for_attachment(
    cluster: &Cluster,
    persistent_volume: &str,
    node: &str,
    is_so: impl Fn(&Value) -> bool,
) {
    wait_until(&format!("the VolumeAttachment of {persistent_volume} to {node}"), SOON, || {
        let found = cluster.control_plane.attachment(persistent_volume, node)?;
        Ok(found.filter(|found| is_so(found)).map(drop))
    })
    .unwrap();
}

/// Takes the VolumeAttachment that no pod needs any more away without a detach, as a person does who drops its finalizers;
/// no attacher runs. It is gone once the attach/detach controller has given it up: one that is taken from under an attach
/// which it still waits for, it waits for two minutes more.
pub(crate) fn tear_off(cluster: &Cluster, persistent_volume: &str, node: &str) {
    let attachment = cluster.control_plane.attachment(persistent_volume, node).unwrap().unwrap();
    let name = attachment["metadata"]["name"].as_str().unwrap();
    let none = json!({ "metadata": { "finalizers": null } });
    cluster.admin().patch(&["volumeattachment", name], &none).unwrap();
    cluster.control_plane.wait_until_detached(persistent_volume, node, SOON).unwrap();
}

/// Who has sent to the device, in the order in which the requests came, each as often as it began anew.
pub(crate) fn senders(cluster: &Cluster) -> Vec<String> {
    let mut log = cluster.device.log().unwrap();
    log.sort_by_key(|request| request.came_millis);
    let is_of = |pod: &&ControllerPod, request: &DeviceRequest| {
        pod.link.as_ref().is_some_and(|link| link.is_peer(request.peer))
    };
    let sender = |request: &DeviceRequest| {
        let pod = cluster.pods.iter().find(|pod| is_of(pod, request));
        pod.map_or_else(|| format!("somebody at {}", request.peer), |pod| pod.name().to_owned())
    };
    let mut senders: Vec<String> = log.iter().map(sender).collect();
    senders.dedup();
    senders
}

/// What was written to rows of volumes, in the order of its effects.
pub(crate) fn writes(cluster: &Cluster) -> Vec<Value> {
    let log = cluster.device.log().unwrap();
    let changes =
        log.iter().filter(|request| request.method == "PATCH" && request.path.contains("/rest/disk/"));
    changes.map(|request| serde_json::from_str(&request.body).unwrap()).collect()
}

/// Puts a fault in force at the device.
pub(crate) fn inject(cluster: &Cluster, fault: &Value) -> u64 {
    cluster.device.control("POST", "/faults", fault).unwrap()["id"].as_u64().unwrap()
}

/// Waits until a fault that stays until it is released has met a request.
pub(crate) fn wait_until_met(cluster: &Cluster, fault: u64) {
    wait_until(&format!("fault {fault} has met a request"), SOON, || {
        let active = cluster.device.control("GET", "/faults", &Value::Null).unwrap();
        let met = active.as_array().into_iter().flatten().find(|each| each["id"] == fault);
        Ok(met.filter(|fault| fault["met"] != 0).map(drop))
    })
    .unwrap();
}

/// Lets go on what a fault holds.
pub(crate) fn release(cluster: &Cluster, fault: u64) {
    cluster.device.control("DELETE", &format!("/faults/{fault}"), &Value::Null).unwrap();
}

/// Forgets what the device has been sent so far.
pub(crate) fn forget(cluster: &Cluster) {
    cluster.device.control("DELETE", "/requests", &Value::Null).unwrap();
}
