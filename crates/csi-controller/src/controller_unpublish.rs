//! ControllerUnpublishVolume: one read and one write (attachments.md, "Unpublish").

use attachment::{Change, Leaving, Plan, Request, Unpublish};
use csi_grpc::v1::{ControllerUnpublishVolumeRequest, ControllerUnpublishVolumeResponse};
use routeros::{Outcome, Transport};
use tokio::time::Instant;
use tonic::Status;
use volume::{NodeId, Slot};

use crate::aftermath::Occasion;
use crate::observe::{Found, Volume};
use crate::{Controller, device_error, parse};

/// Writes of one unpublish at most, as for a publish.
const MOST_STEPS: usize = 16;

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
        let began = Instant::now();
        let occasion = Occasion { request: &request, began, context: None };
        for _ in 0..MOST_STEPS {
            let found = self.find(slot, deadline).await?;
            if let Found::NotOurs(why) = found {
                return Err(why.status(slot, self.config.cluster_id.hash()));
            }
            // A publish that still comes would attach the volume to a node that was said not to have it.
            if self.waited_for_doubt(slot, deadline).await? {
                continue;
            }
            let Found::Ours(volume) = found else { return Ok(()) };
            match self.decide(&volume, &request, self.no_facts(), deadline).await? {
                Plan::Detached => return self.left_before(&volume, &occasion, deadline).await,
                Plan::Detach(change) => return self.leave(&volume, &change, &occasion, deadline).await,
                Plan::Close(change) | Plan::Restore(change) | Plan::Note(change) => {
                    self.leave(&volume, &change, &occasion, deadline).await?;
                }
                _ => {
                    return Err(Status::internal(
                        "an unpublish was planned as something else: this is a bug",
                    ));
                }
            }
        }
        Err(Status::internal(format!("volume {slot}: an unpublish plans without end: this is a bug")))
    }

    /// Nothing is left to do; an earlier try may have ended after its write.
    async fn left_before(
        &self,
        volume: &Volume,
        occasion: &Occasion<'_>,
        deadline: Instant,
    ) -> Result<(), Status> {
        let slot = &volume.slot;
        self.mark_shared(slot, &volume.record, deadline).await?;
        if let Some(before) = self.unsaid.done(slot, occasion.request) {
            self.after_write(slot, &before, &volume.record, occasion);
        }
        Ok(())
    }

    async fn leave(
        &self,
        volume: &Volume,
        change: &Change,
        occasion: &Occasion<'_>,
        deadline: Instant,
    ) -> Result<(), Status> {
        let slot = &volume.slot;
        self.mark_before(slot, &volume.record, &change.record, deadline).await?;
        let port = volume.row.nvme_tcp_server_port.unwrap_or(self.config.nvme_address.port);
        let written = self.write(volume, change, port, deadline).await;
        let written = written.map_err(|error| {
            if error.outcome() == Outcome::Unknown {
                self.unsaid.unknown(slot, occasion.request, &volume.record);
            }
            device_error::status(&format!("detaching volume {slot}"), &error)
        })?;
        self.after_write(slot, &volume.record, &written.record, occasion);
        Ok(())
    }
}
