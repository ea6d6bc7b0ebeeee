//! Whose pods use a claim (R18): followed through owners to one VirtualMachineInstance of KubeVirt.

use std::collections::{BTreeSet, HashMap};

use attachment::Machines;
use k8s_openapi::api::core::v1::{Pod, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Api;
use tokio::time::Instant;
use volume::{Claim, NodeId};

use crate::live::{PAGE, list};
use crate::{ApiError, Live};

/// KubeVirt's API group, whatever the version.
const KUBEVIRT: &str = "kubevirt.io/";
/// A launcher, its hot-plug pod, and a little slack: an ownership that is longer is no virtual machine's.
const LONGEST_CHAIN: usize = 4;

/// A pod, as far as this question goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodClaims {
    /// Its UID.
    pub uid: String,
    /// The node that it is bound to; empty where it is not yet.
    pub node: String,
    /// Its controller, where that is a machine or a pod.
    pub owner: Option<PodOwner>,
    /// Succeeded or Failed: its containers have ended for good.
    pub finished: bool,
    /// Whether it uses the claim that is asked about.
    pub uses: bool,
}

/// Who controls a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodOwner {
    /// A VirtualMachineInstance, by UID: the pod is its virt-launcher.
    Machine(String),
    /// Another pod, by UID: the pod is KubeVirt's for hot-plugged volumes.
    Pod(String),
}

impl Live {
    /// Whose pods use the claim while `node` asks for it, by a live LIST of its namespace's pods.
    ///
    /// # Errors
    /// Where the API server did not say; that pods may not be read is an answer.
    pub async fn machines(
        &self,
        claim: &Claim,
        node: &NodeId,
        deadline: Instant,
    ) -> Result<Machines, ApiError> {
        let api = Api::<Pod>::namespaced(self.client.clone(), &claim.namespace);
        let mut pods = Vec::new();
        let keep = |pod: Pod| pods.push(read(pod, &claim.name));
        match list(&api, &format!("pods of namespace {}", claim.namespace), PAGE, deadline, keep).await {
            Ok(()) => Ok(machines_of(&pods, node)),
            Err(error) if error.is_forbidden() => Ok(Machines::Forbidden),
            Err(error) => Err(error),
        }
    }
}

/// Whose the pods are that use the claim and are not finished, while `node` asks for it.
#[must_use]
pub fn machines_of(pods: &[PodClaims], node: &NodeId) -> Machines {
    let owners: HashMap<&str, &PodClaims> = pods.iter().map(|pod| (pod.uid.as_str(), pod)).collect();
    let users = pods.iter().filter(|pod| pod.uses && !pod.finished);
    let is_there = users.clone().any(|pod| pod.node == node.name());
    let machines: BTreeSet<Option<&str>> = users.map(|pod| machine(pod, &owners)).collect();
    let mut machines = machines.into_iter();
    match (machines.next(), machines.next()) {
        (None | Some(None), None) => Machines::NoMachine,
        (Some(Some(_)), None) if is_there => Machines::Same,
        _ => Machines::Different,
    }
}

fn machine<'a>(pod: &'a PodClaims, pods: &HashMap<&str, &'a PodClaims>) -> Option<&'a str> {
    let mut pod = pod;
    for _ in 0..LONGEST_CHAIN {
        match pod.owner.as_ref()? {
            PodOwner::Machine(uid) => return Some(uid),
            PodOwner::Pod(uid) => pod = pods.get(uid.as_str())?,
        }
    }
    None
}

fn read(pod: Pod, claim: &str) -> PodClaims {
    let name = pod.metadata.name.unwrap_or_default();
    let phase = pod.status.and_then(|status| status.phase).unwrap_or_default();
    let spec = pod.spec.unwrap_or_default();
    let volumes = spec.volumes.unwrap_or_default();
    PodClaims {
        uid: pod.metadata.uid.unwrap_or_default(),
        node: spec.node_name.unwrap_or_default(),
        owner: pod.metadata.owner_references.unwrap_or_default().into_iter().find_map(owner),
        finished: phase == "Succeeded" || phase == "Failed",
        uses: volumes.iter().any(|volume| uses(volume, &name, claim)),
    }
}

/// Kubernetes names the claim of an ephemeral volume `<pod>-<volume>`.
fn uses(volume: &Volume, pod: &str, claim: &str) -> bool {
    let named = volume.persistent_volume_claim.as_ref().is_some_and(|source| source.claim_name == claim);
    let ephemeral =
        volume.ephemeral.is_some() && claim.strip_prefix(pod) == Some(&format!("-{}", volume.name));
    named || ephemeral
}

fn owner(reference: OwnerReference) -> Option<PodOwner> {
    if reference.controller != Some(true) || reference.uid.is_empty() {
        return None;
    }
    match reference.kind.as_str() {
        "VirtualMachineInstance" if reference.api_version.starts_with(KUBEVIRT) => {
            Some(PodOwner::Machine(reference.uid))
        }
        "Pod" if reference.api_version == "v1" => Some(PodOwner::Pod(reference.uid)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::{Value, json};

    /// A pod on the node of its name.
    fn pod(name: &str, owners: Value, phase: &str, claim: &str) -> Value {
        let volumes = json!([{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]);
        json!({
            "metadata": {"name": name, "uid": format!("uid-{name}"), "ownerReferences": owners},
            "spec": {"containers": [], "nodeName": name, "volumes": volumes},
            "status": {"phase": phase},
        })
    }

    fn owned(api_version: &str, kind: &str, uid: &str) -> Value {
        json!([{"apiVersion": api_version, "kind": kind, "name": "x", "uid": uid, "controller": true}])
    }

    fn launcher(name: &str, machine: &str, phase: &str) -> Value {
        pod(name, owned("kubevirt.io/v1", "VirtualMachineInstance", machine), phase, "data")
    }

    fn asked(pods: &[Value], node: &str) -> Machines {
        let pods = pods.iter().map(|pod| read(serde_json::from_value(pod.clone()).unwrap(), "data"));
        machines_of(&pods.collect::<Vec<_>>(), &NodeId::of_node(node).unwrap())
    }

    #[test]
    fn launchers_of_one_machine_are_the_same_and_of_two_are_not() {
        let (a, b) = (launcher("a", "vm-1", "Running"), launcher("b", "vm-1", "Pending"));
        assert_eq!(asked(&[a.clone(), b.clone()], "b"), Machines::Same);
        assert_eq!(asked(&[a, b, launcher("c", "vm-2", "Running")], "b"), Machines::Different);
    }

    #[test]
    fn a_node_without_a_pod_of_the_machine_is_not_its_migrations_target() {
        let source = launcher("a", "vm-1", "Running");
        let mut unbound = launcher("b", "vm-1", "Pending");
        unbound["spec"]["nodeName"] = json!(null);
        for beside in [json!({}), unbound, launcher("b", "vm-1", "Failed"), launcher("c", "vm-1", "Pending")]
        {
            assert_eq!(asked(&[source.clone(), beside.clone()], "b"), Machines::Different, "{beside}");
        }
    }

    #[test]
    fn a_hot_plug_pod_is_its_launchers() {
        let mut quiet = launcher("a", "vm-1", "Running");
        quiet["spec"]["volumes"] = json!([]);
        let plug = pod("hp-1", owned("v1", "Pod", "uid-a"), "Running", "data");
        let other = launcher("b", "vm-1", "Running");
        assert_eq!(asked(&[quiet.clone(), plug.clone(), other], "b"), Machines::Same);
        assert_eq!(asked(std::slice::from_ref(&plug), "hp-1"), Machines::NoMachine);
        let strange = launcher("c", "vm-2", "Running");
        assert_eq!(asked(&[quiet, plug, strange], "c"), Machines::Different);
    }

    #[test]
    fn pods_of_no_machine_are_plain_and_beside_a_machine_they_are_different() {
        let plain = pod("p", json!(null), "Running", "data");
        assert_eq!(asked(&[], "p"), Machines::NoMachine);
        assert_eq!(asked(&[plain.clone(), plain.clone()], "p"), Machines::NoMachine);
        assert_eq!(asked(&[plain, launcher("a", "vm-1", "Running")], "a"), Machines::Different);
    }

    #[test]
    fn who_only_pretends_to_be_a_machine_is_none() {
        let mut beside = owned("kubevirt.io/v1", "VirtualMachineInstance", "vm-1");
        beside[0]["controller"] = json!(false);
        for owners in [
            beside,
            owned("example.org/v1", "VirtualMachineInstance", "vm-1"),
            owned("kubevirt.io/v1", "VirtualMachineInstance", ""),
            owned("apps/v1", "ReplicaSet", "vm-1"),
            owned("v1", "Pod", "uid-p"),
            json!([{}]),
        ] {
            let pods = [pod("p", owners.clone(), "Running", "data"), launcher("a", "vm-1", "Running")];
            assert_eq!(asked(&pods, "a"), Machines::Different, "{owners}");
        }
    }

    #[test]
    fn finished_pods_and_other_claims_do_not_count() {
        let pods = [
            launcher("a", "vm-1", "Running"),
            launcher("b", "vm-2", "Succeeded"),
            launcher("c", "vm-3", "Failed"),
            pod("d", json!(null), "Running", "other"),
            json!({}),
            json!({"metadata": {}, "spec": {"containers": [], "volumes": [{"name": ""}]}}),
        ];
        assert_eq!(asked(&pods, "a"), Machines::Same);
    }

    #[test]
    fn an_ephemeral_volume_uses_the_claim_that_kubernetes_names_after_it() {
        let mut plain = pod("da", json!(null), "Running", "other");
        plain["spec"]["volumes"] = json!([{"name": "ta", "ephemeral": {}}]);
        let read = |claim| read(serde_json::from_value(plain.clone()).unwrap(), claim).uses;
        assert_eq!((read("da-ta"), read("data"), read("da-t")), (true, false, false));
    }
}
