//! ControllerExpandVolume: grows only, online; the node grows the file system after (design decision 17).

use csi_grpc::v1::{ControllerExpandVolumeRequest, ControllerExpandVolumeResponse};
use csi_server::Capability;
use routeros::{DiskChange, Outcome, Transport};
use tokio::time::Instant;
use tonic::Status;
use volume::{CapacityRange, Limits, Slot};

use crate::device_facts::Growth;
use crate::observe::Volume;
use crate::{Controller, capability, device_error, parse};

/// What is to be done about a size.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    /// It is large enough.
    Enough(u64),
    /// Grow it to this many bytes.
    Grow(u64),
}

pub(crate) async fn expand_volume<T: Transport>(
    controller: &Controller<T>,
    request: &ControllerExpandVolumeRequest,
    deadline: Instant,
) -> Result<ControllerExpandVolumeResponse, Status> {
    let (slot, range) = parse_expand(request)?;
    let _guard = controller.in_flight.try_start(slot.as_str(), "ControllerExpandVolume")?;
    let size = controller.expand(&slot, range, deadline).await?;
    Ok(ControllerExpandVolumeResponse {
        capacity_bytes: parse::wire_bytes(size),
        node_expansion_required: true,
    })
}

fn parse_expand(request: &ControllerExpandVolumeRequest) -> Result<(Slot, CapacityRange), Status> {
    let missing = || Status::invalid_argument("capacity_range is missing");
    let range = parse::range(request.capacity_range.as_ref().ok_or_else(missing)?);
    if let Some(wire) = &request.volume_capability {
        capability::served(&Capability::parse(wire)?).map_err(Status::invalid_argument)?;
    }
    Ok((parse::required_volume(&request.volume_id)?, range))
}

impl<T: Transport> Controller<T> {
    async fn expand(&self, slot: &Slot, range: CapacityRange, deadline: Instant) -> Result<u64, Status> {
        loop {
            let volume = self.find_ours(slot, deadline).await?;
            match plan(&volume, range, self.config.limits)? {
                Plan::Enough(size) => return Ok(size),
                Plan::Grow(size) => {
                    self.refuse_unseen_growth(&volume)?;
                    if !self.waited_for_doubt(slot, deadline).await? {
                        return self.grow(&volume, size, deadline).await;
                    }
                }
            }
        }
    }

    /// Where a connected host cannot see it, growth waits for the volume to be detached.
    fn refuse_unseen_growth(&self, volume: &Volume) -> Result<(), Status> {
        if self.config.device.growth != Growth::ReExport || !volume.row.nvme_tcp_export {
            return Ok(());
        }
        let text =
            "this device shows growth only at the next export (--device growth=re-export): detach it first";
        Err(Status::failed_precondition(format!("volume {} is exported, and {text}", volume.slot)))
    }

    async fn grow(&self, volume: &Volume, size: u64, deadline: Instant) -> Result<u64, Status> {
        let slot = &volume.slot;
        let path = volume.row.file_path.as_deref().unwrap_or_default();
        let pool = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        let reservation = self.reserve(pool, slot, size, deadline).await?;
        let change = DiskChange { file_size: Some(size), ..DiskChange::default() };
        match self.set(volume, &change, deadline).await {
            Ok(grown) => {
                reservation.keep();
                Ok(grown.capacity().unwrap_or(size))
            }
            Err(error) => {
                match error.outcome() {
                    Outcome::NotApplied => {}
                    Outcome::Unknown => reservation.keep_in_doubt(),
                    Outcome::Applied => reservation.keep(),
                }
                Err(device_error::status(&format!("growing volume {slot} to {size} bytes"), &error))
            }
        }
    }
}

fn plan(volume: &Volume, range: CapacityRange, limits: Limits) -> Result<Plan, Status> {
    let wanted = range.choose(limits).map_err(|error| parse::capacity_status(&error))?;
    let unread =
        || Status::unavailable(format!("the device does not show the size of volume {}", volume.slot));
    let size = volume.capacity().ok_or_else(unread)?;
    if wanted > size {
        return Ok(Plan::Grow(wanted));
    }
    if range.limit > 0 && !(CapacityRange { required: 0, ..range }).admits(size) {
        return Err(Status::out_of_range(format!(
            "volume {} has {size} bytes already, over the limit_bytes of {}; volumes never shrink",
            volume.slot, range.limit
        )));
    }
    Ok(Plan::Enough(size))
}
