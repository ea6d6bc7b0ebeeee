//! GetCapacity: what the promises leave (design decision 17), from what the watch remembers while that is fresh.

use csi_grpc::v1::{GetCapacityRequest, GetCapacityResponse};
use csi_server::Capability;
use routeros::Transport;
use tokio::time::Instant;
use tonic::Status;
use volume::{MIB, Parameters};

use crate::{Controller, capability, device_error, parse};

pub(crate) async fn get_capacity<T: Transport>(
    controller: &Controller<T>,
    request: &GetCapacityRequest,
    deadline: Instant,
) -> Result<GetCapacityResponse, Status> {
    let entries = request.parameters.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let parameters =
        Parameters::parse(entries).map_err(|error| Status::invalid_argument(error.to_string()))?;
    let base = controller.config.base_path(&parameters).map_err(Status::invalid_argument)?;
    let capabilities =
        request.volume_capabilities.iter().map(Capability::parse).collect::<Result<Vec<_>, _>>()?;
    if capabilities.iter().any(|asked| capability::served(asked).is_err()) {
        return Ok(GetCapacityResponse::default());
    }
    if !controller.pools.is_fresh() {
        let read = controller.read_pools(deadline).await;
        read.map_err(|error| device_error::status("reading the pools", &error))?;
    }
    let left = controller.pools.left(base.pool()).map_err(|error| error.status())?;
    let limits = capability::limits(controller.config.limits, &capabilities);
    Ok(GetCapacityResponse {
        // Volumes are whole MiB.
        available_capacity: parse::wire_bytes(left - left % MIB),
        maximum_volume_size: Some(parse::wire_bytes(limits.max)),
        minimum_volume_size: Some(parse::wire_bytes(limits.min)),
    })
}
