//! Whose pods use a claim (R18): followed through owners to one VirtualMachineInstance of KubeVirt.

use std::collections::{BTreeSet, HashMap};

use attachment::Machines;
use k8s_openapi::api::core::v1::{Pod, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Api;
use tokio::time::Instant;
use volume::Claim;

use crate::live::list;
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
    /// Whose pods use the claim, by a live LIST of its namespace's pods.
    ///
    /// # Errors
    /// Where the API server did not say; that pods may not be read is an answer.
    pub async fn machines(&self, claim: &Claim, deadline: Instant) -> Result<Machines, ApiError> {
        let api = Api::<Pod>::namespaced(self.client.clone(), &claim.namespace);
        let mut pods = Vec::new();
        let keep = |pod: Pod| pods.push(read(pod, &claim.name));
        match list(&api, &format!("pods of namespace {}", claim.namespace), deadline, keep).await {
            Ok(()) => Ok(machines_of(&pods)),
            Err(error) if error.is_forbidden() => Ok(Machines::Forbidden),
            Err(error) => Err(error),
        }
    }
}

/// Whose the pods are that use the claim and are not finished.
#[must_use]
pub fn machines_of(pods: &[PodClaims]) -> Machines {
    let owners: HashMap<&str, &PodClaims> = pods.iter().map(|pod| (pod.uid.as_str(), pod)).collect();
    let users = pods.iter().filter(|pod| pod.uses && !pod.finished);
    let machines: BTreeSet<Option<&str>> = users.map(|pod| machine(pod, &owners)).collect();
    let mut machines = machines.into_iter();
    match (machines.next(), machines.next()) {
        (None | Some(None), None) => Machines::NoMachine,
        (Some(Some(_)), None) => Machines::Same,
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
    let volumes = pod.spec.and_then(|spec| spec.volumes).unwrap_or_default();
    PodClaims {
        uid: pod.metadata.uid.unwrap_or_default(),
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
