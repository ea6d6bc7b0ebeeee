//! VolumeAttachments: what is wanted, from a live LIST.

use std::collections::BTreeSet;
use std::sync::Arc;

use attachment::{Attachments, Want};
use data_encoding::HEXLOWER;
use kube::Api;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use tracing::warn;
use volume::{Generation, NodeId, NqnPrefix, Slot};

use crate::ask::find;
use crate::live::{LARGE_PAGE, list};
use crate::trimmed::{PersistentVolumeSpec, VolumeAttachment, VolumeAttachmentSource};
use crate::{ApiError, Cause, Claims, Live};

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
    /// All of them, mapped by a live LIST of the PVs as well: for what the reconciler decides.
    ///
    /// # Errors
    /// Where either list could not be had whole by `deadline`.
    pub async fn volume_attachments(&self, deadline: Instant) -> Result<VolumeAttachments, ApiError> {
        let mut listed = Vec::new();
        let keep = |one| listed.push(one);
        let ((), mut handles) = tokio::try_join!(self.each_listed(deadline, keep), self.handles(deadline))?;
        // The lists are of two moments: what the one of PVs lacks may be newer than it.
        let missing = names(&listed).filter(|name| !handles.contains_key(*name)).collect();
        handles.extend(self.handles_of(&missing, deadline).await?);
        let mut all = VolumeAttachments::default();
        all.map(&self.prefix, listed, |name| handles.get(name).cloned());
        Ok(all)
    }

    /// All of them, for a look that finds what to look at more closely: a PV that `claims` knows is believed to name
    /// what it named (as in [`Live::attachments`]), and the others are asked for live. That saves the LIST of the PVs,
    /// half of what both cost the API server.
    ///
    /// # Errors
    /// Where an answer could not be had by `deadline`.
    pub async fn surveyed_attachments(
        &self,
        claims: &Claims,
        deadline: Instant,
    ) -> Result<VolumeAttachments, ApiError> {
        if !claims.is_synced() {
            return self.volume_attachments(deadline).await;
        }
        let (mut all, mut open) = (VolumeAttachments::default(), Vec::new());
        // What is known is made small as it comes: thousands are kept.
        let keep = |one: Listed| match one.source.handle(|name| claims.handle(name)) {
            Some(handle) => all.take(&self.prefix, one, Some(&handle)),
            None => open.push(one),
        };
        self.each_listed(deadline, keep).await?;
        let live = self.handles_of(&names(&open).collect(), deadline).await?;
        all.map(&self.prefix, open, |name| live.get(name).cloned().or_else(|| claims.handle(name)));
        Ok(all)
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
        let anothers = |name: &str| claims.handle(name).filter(|handle| **handle != *slot.as_str());
        let mut open = Vec::new();
        let keep = |one: Listed| {
            if !matches!(&one.source, Source::PersistentVolume(name) if anothers(name).is_some()) {
                open.push(one);
            }
        };
        self.each_listed(deadline, keep).await?;
        let live = self.handles_of(&names(&open).collect(), deadline).await?;
        let mut all = VolumeAttachments::default();
        all.map(&self.prefix, open, |name| live.get(name).cloned().or_else(|| anothers(name)));
        let wants = all.wants.into_iter().filter(|(of, _)| of == slot).map(|(_, want)| want).collect();
        Ok(Attachments { wants, unmapped: all.unmapped })
    }

    /// The VolumeAttachment that Kubernetes made for this volume and node, by a live GET of its name; `None`: there
    /// is none.
    ///
    /// # Errors
    /// Where the API server did not say.
    pub async fn attachment(
        &self,
        slot: &Slot,
        node: &NodeId,
        deadline: Instant,
    ) -> Result<Option<Want>, ApiError> {
        let name = attachment_name(slot.as_str(), &self.driver, node);
        let api = Api::<VolumeAttachment>::all(self.client.clone());
        let request = || format!("reading VolumeAttachment {name}");
        let Some(object) = find(request, deadline, &name, api.get(&name)).await? else { return Ok(None) };
        // It is there, so it is not gone, whatever it says.
        let Some(Listed { nqn, want, .. }) = read(object, &self.driver) else {
            return Err(ApiError::new(request(), Cause::Unreadable("it names no node".to_owned())));
        };
        Ok(Some(Want { generation: generation(&self.prefix, slot, nqn.as_deref()), ..want }))
    }

    async fn each_listed(&self, deadline: Instant, mut keep: impl FnMut(Listed)) -> Result<(), ApiError> {
        let api = Api::<VolumeAttachment>::all(self.client.clone());
        let each = |object: VolumeAttachment| {
            if object.spec.is_of(&self.driver)
                && let Some(listed) = read(object, &self.driver)
            {
                keep(listed);
            }
        };
        list(&api, "VolumeAttachments", LARGE_PAGE, deadline, each).await
    }
}

/// The PVs that are named.
fn names(listed: &[Listed]) -> impl Iterator<Item = &str> {
    listed.iter().filter_map(|listed| match &listed.source {
        Source::PersistentVolume(name) => Some(name.as_str()),
        Source::Handle(_) | Source::Nothing => None,
    })
}

/// What to keep; `None` where the node's name is none, so that it can be no holder's.
fn read(object: VolumeAttachment, driver: &str) -> Option<Listed> {
    let VolumeAttachment { metadata, spec, status, .. } = object;
    let (name, node_name) = (metadata.name.unwrap_or_default(), spec.node_name.unwrap_or_default());
    let Some(node) = NodeId::of_node(&node_name) else {
        warn!(volume_attachment = %name, node = %node_name, "a VolumeAttachment names no node");
        return None;
    };
    let deleting = metadata.deletion_timestamp.is_some();
    let want = Want { name, node, deleting, attached: status.is_attached(), generation: None };
    Some(Listed { source: source(spec.source, driver), nqn: status.attachment_metadata.nvme_nqn, want })
}

fn source(source: VolumeAttachmentSource, driver: &str) -> Source {
    match (source.persistent_volume_name, source.inline_volume_spec) {
        (Some(name), _) if !name.is_empty() => Source::PersistentVolume(name),
        (_, Some(spec)) => inline(&spec, driver),
        _ => Source::Nothing,
    }
}

fn inline(spec: &PersistentVolumeSpec, driver: &str) -> Source {
    spec.handle(driver).map_or(Source::Nothing, |handle| Source::Handle(handle.to_owned()))
}

/// The generation that an NQN of this very volume names.
fn generation(prefix: &NqnPrefix, slot: &Slot, nqn: Option<&str>) -> Option<Generation> {
    let (of, generation) = prefix.slot_of(nqn?)?;
    generation.filter(|_| of == *slot)
}

impl Source {
    /// The volume that it names; a PV's by `of`.
    fn handle(&self, of: impl FnOnce(&str) -> Option<Arc<str>>) -> Option<Arc<str>> {
        match self {
            Self::PersistentVolume(name) => of(name),
            Self::Handle(handle) => Some(handle.as_str().into()),
            Self::Nothing => None,
        }
    }
}

impl VolumeAttachments {
    /// Joins the two lists.
    fn map(&mut self, prefix: &NqnPrefix, listed: Vec<Listed>, of: impl Fn(&str) -> Option<Arc<str>>) {
        for one in listed {
            let handle = one.source.handle(&of);
            self.take(prefix, one, handle.as_deref());
        }
    }

    /// A handle that is no slot is one of no volume on any device: mapped, and nobody's.
    fn take(&mut self, prefix: &NqnPrefix, listed: Listed, handle: Option<&str>) {
        let Listed { nqn, mut want, .. } = listed;
        match handle.map(Slot::parse) {
            Some(Ok(slot)) => {
                want.generation = generation(prefix, &slot, nqn.as_deref());
                self.wants.push((slot, want));
            }
            Some(Err(error)) => {
                warn!(volume_attachment = %want.name, %error, "a VolumeAttachment names no volume of this driver");
            }
            None => {
                self.unmapped.insert(want.node);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::{Value, json};

    const DRIVER: &str = "rds.csi.srvlab.io";

    fn mapped(objects: &[Value]) -> VolumeAttachments {
        let prefix = NqnPrefix::parse("nqn.2000-02.com.mikrotik").unwrap();
        let listed =
            objects.iter().filter_map(|object| read(serde_json::from_value(object.clone()).unwrap(), DRIVER));
        let mut all = VolumeAttachments::default();
        all.map(&prefix, listed.collect(), |name| (name == "pv-1").then(|| "pvc-1".into()));
        all
    }

    #[test]
    fn a_name_is_that_of_the_attach_detach_controller() {
        // printf 'pvc-1rds.csi.srvlab.iothenode' | sha256sum
        let node = NodeId::of_node("thenode").unwrap();
        assert_eq!(
            attachment_name("pvc-1", DRIVER, &node),
            "csi-2950540a23bc372c9dbeba1c2e23131bb90e6938fa1e568333cc3f07f165e7e0"
        );
    }

    #[test]
    fn a_generation_counts_only_in_an_nqn_of_the_same_volume() {
        let nqns = [
            ("nqn.2000-02.com.mikrotik:pvc-1.00000000000000ab", true),
            ("nqn.2000-02.com.mikrotik:pvc-2.00000000000000ab", false),
            ("nqn.2000-02.com.mikrotik:pvc-1", false),
            ("nqn.of.somebody.else:pvc-1.00000000000000ab", false),
            ("", false),
        ];
        for (nqn, counts) in nqns {
            let all = mapped(&[json!({
                "metadata": {"name": "csi-1", "deletionTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {"attacher": DRIVER, "nodeName": "n", "source": {"persistentVolumeName": "pv-1"}},
                "status": {"attached": true, "attachmentMetadata": {"nvme_nqn": nqn, "other": "x"}},
            })]);
            let [(slot, want)] = all.wants.as_slice() else { panic!("{nqn}: {all:?}") };
            assert_eq!(slot.as_str(), "pvc-1");
            assert!(want.attached && want.deleting);
            assert_eq!(want.generation, counts.then(|| Generation::from_bits(0xab)), "{nqn}");
        }
    }

    #[test]
    fn what_maps_to_nothing_blocks_its_node_and_nonsense_blocks_nobody() {
        let spec = |node: &str, source: Value| json!({"spec": {"attacher": DRIVER, "nodeName": node, "source": source}});
        let csi = |driver: &str, handle: &str| json!({"inlineVolumeSpec": {"csi": {"driver": driver, "volumeHandle": handle}}});
        let all = mapped(&[
            spec("gone", json!({"persistentVolumeName": "pv-2"})),
            spec("empty", json!({})),
            spec("foreign", csi("other.csi", "pvc-3")),
            spec("inline", csi(DRIVER, "pvc-3")),
            spec("nonsense", csi(DRIVER, "No Volume Of Ours")),
            spec("not a node name", json!({"persistentVolumeName": "pv-1"})),
            json!({}),
        ]);
        let nodes = ["empty", "foreign", "gone"].map(|name| NodeId::of_node(name).unwrap());
        assert_eq!(all.unmapped, BTreeSet::from(nodes));
        let [(slot, want)] = all.wants.as_slice() else { panic!("{all:?}") };
        assert_eq!((slot.as_str(), want.node.name()), ("pvc-3", "inline"));
        assert!(!want.attached && !want.deleting);
    }
}
