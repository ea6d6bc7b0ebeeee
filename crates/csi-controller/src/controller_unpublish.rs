//! ControllerUnpublishVolume: one read and one write (attachments.md, "Unpublish").

use attachment::{Leaving, Plan, Request, Unpublish};
use csi_grpc::v1::{ControllerUnpublishVolumeRequest, ControllerUnpublishVolumeResponse};
use routeros::Transport;
use tokio::time::Instant;
use tonic::Status;
use volume::{NodeId, Slot};

use crate::observe::Found;
use crate::{Controller, device_error, parse};

pub(crate) async fn controller_unpublish<T: Transport>(
    controller: &Controller<T>,
    request: &ControllerUnpublishVolumeRequest,
    deadline: Instant,
) -> Result<ControllerUnpublishVolumeResponse, Status> {
    if let Some((slot, leaving)) = parse_unpublish(request)? {
        let _guard = controller.in_flight.try_start(slot.as_str(), "ControllerUnpublishVolume")?;
        controller.detach(&slot, leaving, deadline).await?;
    }
    Ok(ControllerUnpublishVolumeResponse {})
}

/// Who leaves what; `None` where there can be no such volume or node, so that nothing is attached.
fn parse_unpublish(request: &ControllerUnpublishVolumeRequest) -> Result<Option<(Slot, Leaving)>, Status> {
    let Some(slot) = parse::volume_id(&request.volume_id)? else { return Ok(None) };
    if request.node_id.is_empty() {
        return Ok(Some((slot, Leaving::Everybody)));
    }
    Ok(NodeId::parse(&request.node_id).ok().map(|node| (slot, Leaving::Node(node))))
}

impl<T: Transport> Controller<T> {
    async fn detach(&self, slot: &Slot, leaving: Leaving, deadline: Instant) -> Result<(), Status> {
        let request = Request::Unpublish(Unpublish { leaving });
        loop {
            let found = self.find(slot, deadline).await?;
            if let Found::NotOurs(why) = found {
                return Err(why.status(slot, self.config.cluster_id.hash()));
            }
            // A publish that still comes would attach the volume to a node that was said not to have it.
            if self.waited_for_doubt(slot, deadline).await? {
                continue;
            }
            let Found::Ours(volume) = found else { return Ok(()) };
            let (Plan::Detach(change) | Plan::Close(change)) = self.plan(&volume, &request) else {
                return Ok(());
            };
            let written = self.write(&volume, &change, 0, deadline).await;
            let doing = format!("detaching volume {slot}");
            return written.map(drop).map_err(|error| device_error::status(&doing, &error));
        }
    }
}
