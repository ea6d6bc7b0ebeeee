//! Volumes as Kubernetes and the device know them.

use anyhow::Result;
use scenarios::{CLUSTER_ID, DRIVER};
use serde_json::{Value, json};
use testbed::objects;
use volume::{ClusterId, Generation, NodeId, NodeRef, NodeUid, NqnPrefix, Published, Record, Slot};

use super::api::Write;
use crate::calls::new_disk;

/// A PersistentVolume of that volume. Of a claim, its events have somewhere to go; nobody looks whether it is there.
pub(super) fn persistent_volume(volume: &str, claim: Option<&str>) -> Write {
    let usage = objects::Usage::BLOCK;
    let object = objects::persistent_volume(volume, DRIVER, volume, "64Mi", usage, claim);
    ("POST", "/api/v1/persistentvolumes".to_owned(), object)
}

/// What wants that volume on that node.
pub(super) fn wanted(volume: &str, node: &str) -> Write {
    let object = objects::volume_attachment(&attachment_name(volume, node), DRIVER, node, volume);
    ("POST", VOLUME_ATTACHMENTS.to_owned(), object)
}

/// A VolumeAttachment as the API server answered it, attached under this NQN as the attacher would say it.
pub(super) fn attached(mut object: Value, nqn: &str) -> Write {
    let path =
        format!("{VOLUME_ATTACHMENTS}/{}/status", object["metadata"]["name"].as_str().unwrap_or_default());
    let metadata = json!({
        "nvme_nqn": nqn, "nvme_address": "127.0.0.1", "nvme_port": "4420", "fs_type": "",
        "host_nqn": "nqn.2014-08.org.nvmexpress:uuid:00000000-0000-5000-8000-000000000000",
        "host_id": "00000000-0000-5000-8000-000000000000",
    });
    object["status"] = json!({ "attached": true, "attachmentMetadata": metadata });
    ("PUT", path, object)
}

const VOLUME_ATTACHMENTS: &str = "/apis/storage.k8s.io/v1/volumeattachments";

/// As long as the names that Kubernetes gives them.
fn attachment_name(volume: &str, node: &str) -> String {
    format!("csi-{:-<48}{:->16}", volume.trim_start_matches("rds-"), node.replace('.', "-"))
}

/// A volume that one node holds.
pub(super) struct Held {
    /// Its id.
    pub(super) slot: Slot,
    /// Under which it is exported.
    pub(super) nqn: String,
    record: Record,
}

impl Held {
    /// One of that name, held by this Node object.
    pub(super) fn by(node: &Value, name: &str) -> Result<Self> {
        let cluster = ClusterId::parse(CLUSTER_ID)?;
        let text = |field: &str| node["metadata"][field].as_str().unwrap_or_default();
        let slot = Slot::for_volume(&cluster, name);
        let generation = Generation::random();
        let nqn = NqnPrefix::parse("nqn.2000-02.com.mikrotik")?.generation(&slot, generation);
        let holder = NodeId::of_node(text("name")).map(|id| NodeRef::new(&id, NodeUid::of(text("uid"))));
        let record = Record {
            generation: Some(generation),
            published: Published { filesystem: false, block: true },
            term: 1,
            holders: holder.into_iter().collect(),
            ..Record::new(cluster.hash())
        };
        Ok(Self { nqn: nqn.as_str().to_owned(), slot, record })
    }

    /// Its disk on the device.
    pub(super) fn disk(&self) -> Result<Value> {
        let mut disk = new_disk(&self.slot, &self.record.to_comment()?);
        disk["nvme-tcp-export"] = "true".into();
        disk["nvme-tcp-server-port"] = "4420".into();
        disk["nvme-tcp-server-nqn"] = self.nqn.as_str().into();
        Ok(disk)
    }
}
