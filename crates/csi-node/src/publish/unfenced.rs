//! A member of a migration that was forced off may still write (attachments.md, "Unpublish"): while that is not ruled
//! out no new pod gets the volume, since a new launcher on the node that stays comes without a ControllerPublish.

use super::{Publish, PublishError};

/// What a hand wrote into the annotation is shown up to the length of the longest Node name (an RFC 1123 subdomain).
const LONGEST_SHOWN: usize = 253;

/// Refuses a shared device to a pod that does not have it yet, while its VolumeAttachment tells of such a member, and
/// while nobody answers whether it does.
pub(super) async fn refuse<H>(publish: &Publish<'_, H>) -> Result<(), PublishError> {
    let Publish { node, volume, request, .. } = publish;
    if !request.shared {
        return Ok(());
    }
    match node.kubernetes.unfenced_member(volume.slot, volume.deadline).await {
        Ok(None) => Ok(()),
        Ok(Some(member)) => {
            let shown = member.chars().filter(|shown| !shown.is_control()).take(LONGEST_SHOWN);
            Err(PublishError::Unfenced { member: shown.collect() })
        }
        Err(why) => Err(PublishError::NotAsked { why }),
    }
}
