//! Objects of which only a few fields are read.
//!
//! Most of a list is of no use here (managed fields above all), and of thousands of objects it would be the most
//! costly part to read and to hold: what a type does not name is passed over where it stands.

use std::marker::PhantomData;

use k8s_openapi::api::{core, storage};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::{Metadata, Resource};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};

/// An object of kind `K`, and what is read of its spec and status; a part that is missing is its default.
#[derive(Clone, Debug, Deserialize)]
#[serde(bound(deserialize = "Spec: DeserializeOwned + Default, Status: DeserializeOwned + Default"))]
pub(crate) struct Trimmed<K, Spec, Status = IgnoredAny> {
    /// Its name, UID, version and deletion; the rest is empty.
    #[serde(default, deserialize_with = "names")]
    pub(crate) metadata: ObjectMeta,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) spec: Spec,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) status: Status,
    #[serde(skip)]
    kind: PhantomData<fn() -> K>,
}

/// A PersistentVolume.
pub(crate) type PersistentVolume = Trimmed<core::v1::PersistentVolume, PersistentVolumeSpec>;

/// A VolumeAttachment.
pub(crate) type VolumeAttachment =
    Trimmed<storage::v1::VolumeAttachment, VolumeAttachmentSpec, VolumeAttachmentStatus>;

/// A Node.
pub(crate) type Node = Trimmed<core::v1::Node, NodeSpec, NodeStatus>;

/// `core/v1` NodeSpec.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct NodeSpec {
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) taints: Vec<Taint>,
}

/// `core/v1` Taint.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Taint {
    pub(crate) key: Option<String>,
}

/// `core/v1` NodeStatus.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeStatus {
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) conditions: Vec<Condition>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) volumes_in_use: Vec<String>,
}

/// `core/v1` NodeCondition.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) status: Option<String>,
}

/// `core/v1` PersistentVolumeSpec.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PersistentVolumeSpec {
    pub(crate) csi: Option<CsiSource>,
    pub(crate) claim_ref: Option<ClaimReference>,
}

/// `core/v1` CSIPersistentVolumeSource.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CsiSource {
    driver: Option<String>,
    volume_handle: Option<String>,
}

/// `core/v1` ObjectReference, as a PersistentVolume names its claim.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct ClaimReference {
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) uid: Option<String>,
}

/// `storage/v1` VolumeAttachmentSpec.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VolumeAttachmentSpec {
    pub(crate) attacher: Option<String>,
    pub(crate) node_name: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) source: VolumeAttachmentSource,
}

/// `storage/v1` VolumeAttachmentSource.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VolumeAttachmentSource {
    pub(crate) persistent_volume_name: Option<String>,
    pub(crate) inline_volume_spec: Option<PersistentVolumeSpec>,
}

/// `storage/v1` VolumeAttachmentStatus.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VolumeAttachmentStatus {
    attached: Option<bool>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) attachment_metadata: AttachmentMetadata,
}

/// The publish context, which the attacher copies to the status.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct AttachmentMetadata {
    /// The volume's NQN.
    pub(crate) nvme_nqn: Option<String>,
}

impl PersistentVolumeSpec {
    /// The volume's handle, where it is one of this driver.
    pub(crate) fn handle(&self, driver: &str) -> Option<&str> {
        let csi = self.csi.as_ref().filter(|csi| csi.driver.as_deref() == Some(driver))?;
        csi.volume_handle.as_deref().filter(|handle| !handle.is_empty())
    }
}

impl VolumeAttachmentSpec {
    /// Whether it is one of this driver.
    pub(crate) fn is_of(&self, driver: &str) -> bool {
        self.attacher.as_deref() == Some(driver)
    }
}

impl VolumeAttachmentStatus {
    /// Whether the attacher said that it is attached.
    pub(crate) fn is_attached(&self) -> bool {
        self.attached == Some(true)
    }
}

impl<K: Resource, Spec, Status> Resource for Trimmed<K, Spec, Status> {
    const API_VERSION: &'static str = K::API_VERSION;
    const GROUP: &'static str = K::GROUP;
    const KIND: &'static str = K::KIND;
    const VERSION: &'static str = K::VERSION;
    const URL_PATH_SEGMENT: &'static str = K::URL_PATH_SEGMENT;
    type Scope = K::Scope;
}

impl<K: Resource, Spec, Status> Metadata for Trimmed<K, Spec, Status> {
    type Ty = ObjectMeta;

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// What is read of every object's metadata; a watch goes on from the version.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Names {
    name: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    deletion_timestamp: Option<Time>,
}

fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let Names { name, uid, resource_version, deletion_timestamp } = or_default(deserializer)?;
    Ok(ObjectMeta { name, uid, resource_version, deletion_timestamp, ..ObjectMeta::default() })
}

/// As the API has it, null is the same as nothing.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_missing_or_null_is_empty_and_what_is_not_read_is_passed_over() {
        for object in [
            json!({}),
            json!({"metadata": null, "spec": null, "status": null}),
            json!({"metadata": {"managedFields": [{}], "labels": 1}, "spec": {"source": null, "x": [1]},
                "status": {"attached": null, "attachmentMetadata": null, "attachError": {"message": "no"}}}),
        ] {
            let read: VolumeAttachment = serde_json::from_value(object.clone()).unwrap();
            assert!(!read.status.is_attached() && !read.spec.is_of(""), "{object}");
            assert!(read.spec.source.persistent_volume_name.is_none() && read.metadata.name.is_none());
            let read: PersistentVolume = serde_json::from_value(object).unwrap();
            assert_eq!(read.spec.handle(""), None);
        }
    }
}
