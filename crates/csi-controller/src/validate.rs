//! ValidateVolumeCapabilities: one read.

use csi_grpc::v1::validate_volume_capabilities_response::Confirmed;
use csi_grpc::v1::{ValidateVolumeCapabilitiesRequest, ValidateVolumeCapabilitiesResponse};
use csi_server::Capability;
use routeros::Transport;
use tokio::time::Instant;
use tonic::Status;
use volume::{Parameters, VolumeContext};

use crate::{Controller, capability, parse};

pub(crate) async fn validate<T: Transport>(
    controller: &Controller<T>,
    request: ValidateVolumeCapabilitiesRequest,
    deadline: Instant,
) -> Result<ValidateVolumeCapabilitiesResponse, Status> {
    let capabilities = Capability::required_list(&request.volume_capabilities)?;
    let slot = parse::required_volume(&request.volume_id)?;
    controller.find_ours(&slot, deadline).await?;
    Ok(match problem(&request, &capabilities) {
        Some(message) => ValidateVolumeCapabilitiesResponse { confirmed: None, message },
        None => ValidateVolumeCapabilitiesResponse {
            confirmed: Some(Confirmed {
                volume_context: request.volume_context,
                volume_capabilities: request.volume_capabilities,
                parameters: request.parameters,
                mutable_parameters: request.mutable_parameters,
            }),
            message: String::new(),
        },
    })
}

/// Why the volume cannot be used so.
fn problem(request: &ValidateVolumeCapabilitiesRequest, capabilities: &[Capability]) -> Option<String> {
    let entries = request.parameters.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let unserved = capabilities
        .iter()
        .find_map(|asked| capability::served(asked).and_then(|()| capability::mountable(asked)).err());
    unserved
        .or_else(|| Parameters::parse(entries).err().map(|error| error.to_string()))
        .or_else(|| VolumeContext::parse(&request.volume_context).err().map(|error| error.to_string()))
        .or_else(|| {
            (!request.mutable_parameters.is_empty()).then(|| "mutable_parameters are not served".to_owned())
        })
}
