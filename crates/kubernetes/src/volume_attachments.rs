//! VolumeAttachments: what is wanted, from a live LIST.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use attachment::{Attachments, Want};
use data_encoding::HEXLOWER;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeSpec};
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::Api;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use tracing::warn;
use volume::{NodeId, NqnPrefix, Slot};

use crate::ask::ask;
use crate::claims::entry;
use crate::live::list;
use crate::{ApiError, Claims, Live};

/// The key of the publish context that carries the volume's NQN; the attacher copies the context into
/// `status.attachmentMetadata`.
const NQN_KEY: &str = "nvme_nqn";

/// Every VolumeAttachment of this driver, from one live LIST.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeAttachments {
    /// Those that map to a volume.
    pub wants: Vec<(Slot, Want)>,
    /// Nodes with one that maps to no handle: its PV is missing or unreadable.
    pub unmapped: BTreeSet<NodeId>,
}

/// The name that Kubernetes gives a VolumeAttachment (`pkg/volume/csi`, `getAttachmentName`, 1.36).
#[must_use]
pub fn attachment_name(handle: &str, driver: &str, node: &NodeId) -> String {
    let digest = Sha256::new().chain_update(handle).chain_update(driver).chain_update(node.name()).finalize();
    format!("csi-{}", HEXLOWER.encode(&digest))
}

/// What is kept of a VolumeAttachment while its list is read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Listed {
    source: Source,
    /// Its slot is set by the mapping; the NQN counts only where it names the same.
    nqn: Option<String>,
    want: Want,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    PersistentVolume(String),
    /// A volume in the VolumeAttachment itself, as migrated in-tree plugins have it.
    Handle(String),
    /// Neither.
    Nothing,
}

impl Live {
    /// All of them, mapped by a live LIST of the PVs as well: for rebuild and reconciler.
    ///
    /// # Errors
    /// Where either list could not be had whole by `deadline`.
    pub async fn volume_attachments(&self, deadline: Instant) -> Result<VolumeAttachments, ApiError> {
        let listed = self.listed(deadline).await?;
        let handles = if listed.is_empty() { HashMap::new() } else { self.handles(deadline).await? };
        Ok(map(&self.prefix, listed, |name| handles.get(name).cloned()))
    }

    /// Those of one volume, and the nodes with one that maps to none.
    ///
    /// A PV's source cannot be changed, and the attacher's finalizer keeps a PV with VolumeAttachments: where
    /// `claims` knows the PV as *another* volume's, that is believed. Any other PV is read live.
    ///
    /// # Errors
    /// Where an answer could not be had by `deadline`.
    pub async fn attachments(
        &self,
        slot: &Slot,
        claims: &Claims,
        deadline: Instant,
    ) -> Result<Attachments, ApiError> {
        let listed = self.listed(deadline).await?;
        let mut handles: HashMap<String, Arc<str>> = HashMap::new();
        for Listed { source, .. } in &listed {
            let Source::PersistentVolume(name) = source else { continue };
            if handles.contains_key(name) {
                continue;
            }
            let known = claims.handle(name).filter(|handle| **handle != *slot.as_str());
            let handle = match known {
                Some(other) => Some(other),
                None => self.handle(name, deadline).await?,
            };
            handles.extend(handle.map(|handle| (name.clone(), handle)));
        }
        let all = map(&self.prefix, listed, |name| handles.get(name).cloned());
        let wants = all.wants.into_iter().filter(|(of, _)| of == slot).map(|(_, want)| want).collect();
        Ok(Attachments { wants, unmapped: all.unmapped })
    }

    async fn listed(&self, deadline: Instant) -> Result<Vec<Listed>, ApiError> {
        let api = Api::<VolumeAttachment>::all(self.client.clone());
        let mut listed = Vec::new();
        let keep = |object: VolumeAttachment| {
            if object.spec.attacher == self.driver {
                listed.extend(read(object, &self.driver));
            }
        };
        list(&api, "VolumeAttachments", deadline, keep).await?;
        Ok(listed)
    }

    async fn handles(&self, deadline: Instant) -> Result<HashMap<String, Arc<str>>, ApiError> {
        let api = Api::<PersistentVolume>::all(self.client.clone());
        let mut handles = HashMap::new();
        let keep = |object| {
            handles.extend(entry(&object, &self.driver).map(|entry| (entry.name.to_string(), entry.handle)));
        };
        list(&api, "PersistentVolumes", deadline, keep).await?;
        Ok(handles)
    }

    async fn handle(&self, name: &str, deadline: Instant) -> Result<Option<Arc<str>>, ApiError> {
        let api = Api::<PersistentVolume>::all(self.client.clone());
        let object = ask(|| format!("reading PersistentVolume {name}"), deadline, api.get_opt(name)).await?;
        Ok(object.and_then(|object| entry(&object, &self.driver)).map(|entry| entry.handle))
    }
}

/// What to keep; `None` where the node's name is none, so that it can be no holder's.
fn read(object: VolumeAttachment, driver: &str) -> Option<Listed> {
    let name = object.metadata.name.unwrap_or_default();
    let Some(node) = NodeId::of_node(&object.spec.node_name) else {
        warn!(volume_attachment = %name, node = %object.spec.node_name, "a VolumeAttachment names no node");
        return None;
    };
    let status = object.status.unwrap_or_default();
    let source = match (object.spec.source.persistent_volume_name, object.spec.source.inline_volume_spec) {
        (Some(name), _) if !name.is_empty() => Source::PersistentVolume(name),
        (_, Some(spec)) => inline(spec, driver),
        _ => Source::Nothing,
    };
    let deleting = object.metadata.deletion_timestamp.is_some();
    let want = Want { name, node, deleting, attached: status.attached, generation: None };
    let nqn = status.attachment_metadata.and_then(|mut metadata| metadata.remove(NQN_KEY));
    Some(Listed { source, nqn, want })
}

fn inline(spec: PersistentVolumeSpec, driver: &str) -> Source {
    let csi = spec.csi.filter(|csi| csi.driver == driver && !csi.volume_handle.is_empty());
    csi.map_or(Source::Nothing, |csi| Source::Handle(csi.volume_handle))
}

/// Joins the two lists. A handle that is no slot is one of no volume on any device: mapped, and nobody's.
fn map(
    prefix: &NqnPrefix,
    listed: Vec<Listed>,
    handle: impl Fn(&str) -> Option<Arc<str>>,
) -> VolumeAttachments {
    let mut all = VolumeAttachments::default();
    for Listed { source, nqn, mut want } in listed {
        let handle = match source {
            Source::PersistentVolume(name) => handle(&name),
            Source::Handle(handle) => Some(handle.into()),
            Source::Nothing => None,
        };
        match handle.map(|handle| Slot::parse(&handle)) {
            Some(Ok(slot)) => {
                let named = nqn.as_deref().and_then(|nqn| prefix.slot_of(nqn));
                want.generation = named.filter(|(of, _)| *of == slot).and_then(|(_, generation)| generation);
                all.wants.push((slot, want));
            }
            Some(Err(error)) => {
                warn!(volume_attachment = %want.name, %error, "a VolumeAttachment names no volume of this driver");
            }
            None => {
                all.unmapped.insert(want.node);
            }
        }
    }
    all
}
