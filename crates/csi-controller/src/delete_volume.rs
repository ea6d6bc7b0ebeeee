//! DeleteVolume: export off, disk, then its file (design decisions 4 and 5).

use attachment::{Change, ExportChange};
use csi_grpc::v1::{DeleteVolumeRequest, DeleteVolumeResponse};
use routeros::{Outcome, Transport, normalised_path};
use tokio::time::Instant;
use tonic::Status;
use volume::{Record, Slot};

use crate::observe::{Found, Volume};
use crate::writes::Sent;
use crate::{Controller, device_error, parse};

pub(crate) async fn delete_volume<T: Transport>(
    controller: &Controller<T>,
    request: &DeleteVolumeRequest,
    deadline: Instant,
) -> Result<DeleteVolumeResponse, Status> {
    // What no volume can be called does not exist, so it is deleted.
    if let Some(slot) = parse::volume_id(&request.volume_id)? {
        let _guard = controller.in_flight.try_start(slot.as_str(), "DeleteVolume")?;
        controller.delete(&slot, deadline).await?;
    }
    Ok(DeleteVolumeResponse {})
}

impl<T: Transport> Controller<T> {
    async fn delete(&self, slot: &Slot, deadline: Instant) -> Result<(), Status> {
        let volume = self.find_for_delete(slot, deadline).await?;
        if let Some(volume) = volume {
            let volume = self.unexport(volume, deadline).await?;
            self.remove_row(&volume, deadline).await?;
            self.report_foreign_file(&volume);
        }
        self.remove_files(slot, deadline).await?;
        self.pools.released(slot.as_str());
        self.settle.forget(slot);
        Ok(())
    }

    /// The volume; `None` if there is none, and none can come any more of what was sent before.
    async fn find_for_delete(&self, slot: &Slot, deadline: Instant) -> Result<Option<Volume>, Status> {
        loop {
            let found = match self.find(slot, deadline).await? {
                Found::Nothing if slot.cluster() != Some(self.config.cluster_id.hash()) => return Ok(None),
                Found::Nothing => None,
                Found::NotOurs(why) => return Err(why.status(slot, self.config.cluster_id.hash())),
                Found::Ours(volume) => {
                    refuse_held(&volume)?;
                    Some(*volume)
                }
            };
            if !self.waited_for_doubt(slot, deadline).await? {
                return Ok(found);
            }
        }
    }

    /// A disk that is exported may refuse to go (assumption `remove-while-connected`), and nobody holds this one.
    async fn unexport(&self, volume: Volume, deadline: Instant) -> Result<Volume, Status> {
        if !volume.row.nvme_tcp_export {
            return Ok(volume);
        }
        let record = Record { generation: None, unproven: true, left: Vec::new(), ..volume.record.clone() };
        let closed = self.write(&volume, &Change { record, export: ExportChange::Close }, 0, deadline).await;
        let doing = format!("closing the export of volume {}", volume.slot);
        closed.map_err(|error| device_error::status(&doing, &error))
    }

    async fn remove_row(&self, volume: &Volume, deadline: Instant) -> Result<(), Status> {
        let slot = &volume.slot;
        let sending = self.writes.sending();
        self.client.until(deadline).remove_disk(&volume.row.id).await.map_err(|error| {
            if error.outcome() == Outcome::Unknown {
                self.writes.doubt(slot, sending, Sent::Remove);
            }
            device_error::status(&format!("removing volume {slot}"), &error)
        })
    }

    /// Removes the image from wherever this driver may have put it: also with the disk gone, after a crash between
    /// the two. Only a slot that this cluster named can have one.
    async fn remove_files(&self, slot: &Slot, deadline: Instant) -> Result<(), Status> {
        if slot.cluster() != Some(self.config.cluster_id.hash()) {
            return Ok(());
        }
        for base in &self.config.base_paths {
            self.remove_image(slot, &base.image(slot), deadline).await?;
        }
        Ok(())
    }

    fn report_foreign_file(&self, volume: &Volume) {
        let below = self.config.base_paths.iter().any(|base| volume.lies_below(base));
        let named_by_us = volume.slot.cluster() == Some(self.config.cluster_id.hash());
        if !(below && named_by_us) {
            let path = volume.row.file_path.as_deref().map_or("", normalised_path);
            tracing::warn!(
                "volume {} is deleted, but its file /{path} is not one that this controller makes: it stays",
                volume.slot
            );
        }
    }
}

fn refuse_held(volume: &Volume) -> Result<(), Status> {
    let holders: Vec<_> = volume.record.holders.iter().map(ToString::to_string).collect();
    if holders.is_empty() {
        return Ok(());
    }
    let text = format!("volume {} is attached to {}: detach it first", volume.slot, holders.join(" and "));
    Err(Status::failed_precondition(text))
}
