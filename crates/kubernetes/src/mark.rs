//! The mark on a VolumeAttachment that keeps new pods off a node while a member that left unproven is not fenced
//! (attachments.md, "Unpublish"): written by the controller, read by the node.

use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::time::Instant;
use volume::{NodeId, Slot};

use crate::ask::find;
use crate::{ApiError, Live, attachment_name};

/// The annotation; its value names the member, for people.
pub const UNFENCED_MEMBER: &str = "rds.csi.srvlab.io/unfenced-member";

impl Live {
    /// Sets the mark on the VolumeAttachment of `slot` and `node`, or takes it away. Answers whether there is one.
    ///
    /// # Errors
    /// Where the API server did not take it, nor said that there is no VolumeAttachment of that name.
    pub async fn mark_unfenced(
        &self,
        slot: &Slot,
        node: &NodeId,
        unfenced: Option<&str>,
        deadline: Instant,
    ) -> Result<bool, ApiError> {
        let name = attachment_name(slot.as_str(), &self.driver, node);
        let patch = Patch::Merge(json!({"metadata": {"annotations": {UNFENCED_MEMBER: unfenced}}}));
        let parameters = PatchParams::default();
        let api = Api::<VolumeAttachment>::all(self.client.clone());
        let request = || format!("marking VolumeAttachment {name}");
        let answer = api.patch_metadata(&name, &parameters, &patch);
        find(request, deadline, &name, answer).await.map(|marked| marked.is_some())
    }

    /// The mark, by a live GET; `None` where there is none, or no such VolumeAttachment.
    ///
    /// # Errors
    /// Where the API server did not say.
    pub async fn unfenced(
        &self,
        slot: &Slot,
        node: &NodeId,
        deadline: Instant,
    ) -> Result<Option<String>, ApiError> {
        let name = attachment_name(slot.as_str(), &self.driver, node);
        let api = Api::<VolumeAttachment>::all(self.client.clone());
        let request = || format!("reading VolumeAttachment {name}");
        let found = find(request, deadline, &name, api.get_metadata(&name)).await?;
        Ok(found.and_then(|object| object.metadata.annotations?.remove(UNFENCED_MEMBER)))
    }
}
