//! ControllerGetVolume: one read.

use csi_grpc::v1::controller_get_volume_response::VolumeStatus;
use csi_grpc::v1::{ControllerGetVolumeRequest, ControllerGetVolumeResponse, Volume};
use routeros::Transport;
use tokio::time::Instant;
use tonic::Status;

use crate::{Controller, parse};

pub(crate) async fn get_volume<T: Transport>(
    controller: &Controller<T>,
    request: &ControllerGetVolumeRequest,
    deadline: Instant,
) -> Result<ControllerGetVolumeResponse, Status> {
    let slot = parse::required_volume(&request.volume_id)?;
    let volume = controller.find_ours(&slot, deadline).await?;
    let published_node_ids = controller.published_node_ids(&volume, deadline).await?;
    Ok(ControllerGetVolumeResponse {
        volume: Some(Volume {
            capacity_bytes: parse::wire_bytes(volume.capacity().unwrap_or_default()),
            volume_id: slot.to_string(),
            ..Volume::default()
        }),
        status: Some(VolumeStatus { published_node_ids, volume_condition: None }),
    })
}
