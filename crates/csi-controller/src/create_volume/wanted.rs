//! A CreateVolumeRequest, checked: nothing is read for a malformed one.

use csi_grpc::v1::{CreateVolumeRequest, Volume as WireVolume};
use tonic::Status;
use volume::{BasePath, CapacityError, CapacityRange, DataAddress, Parameters, Slot, VolumeContext};

use crate::{Config, capability, parse};

/// CSI specification, "Size Limits": a name is a string field of 128 bytes at most.
const MAX_NAME_BYTES: usize = 128;

/// What volume is asked for.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) slot: Slot,
    pub(crate) size: u64,
    pub(crate) base: BasePath,
    pub(crate) address: DataAddress,
    range: Option<CapacityRange>,
    parameters: Parameters,
}

/// Why a request is not served.
#[derive(Debug)]
pub(crate) enum Unwanted {
    /// No configuration serves it.
    Anywhere(Status),
    /// This configuration of this version does not; another may have, and made the volume in this slot.
    Here(Slot, Status),
}

impl From<Status> for Unwanted {
    fn from(status: Status) -> Self {
        Self::Anywhere(status)
    }
}

impl Wanted {
    pub(crate) fn parse(request: &CreateVolumeRequest, config: &Config) -> Result<Self, Unwanted> {
        check_name(&request.name)?;
        let capabilities = capability::required(&request.volume_capabilities)?;
        refuse_what_is_not_there(request)?;
        let entries = request.parameters.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let parameters =
            Parameters::parse(entries).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let limits = capability::limits(config.limits, &capabilities);
        let range = request.capacity_range.as_ref().map(parse::range);
        let slot = Slot::for_volume(&config.cluster_id, &request.name);
        let here = |status| Unwanted::Here(slot.clone(), status);
        // Earlier versions made volumes with them.
        let mountable = capabilities.iter().try_for_each(capability::mountable);
        mountable.map_err(|error| here(Status::invalid_argument(error)))?;
        let size = match range {
            Some(range) => range.choose(limits).map_err(|error| match error {
                CapacityError::Malformed(text) => Status::invalid_argument(text).into(),
                CapacityError::OutOfRange(text) => here(Status::out_of_range(text)),
            })?,
            None => limits.default,
        };
        let base = config.base_path(&parameters).map_err(|error| here(Status::invalid_argument(error)))?;
        Ok(Self {
            slot,
            name: request.name.clone(),
            size,
            base,
            address: address(&parameters, config)?,
            range,
            parameters,
        })
    }

    /// Where its image lies.
    pub(crate) fn path(&self) -> String {
        self.base.image(&self.slot)
    }

    /// Whether a volume of `size` bytes is one that was asked for.
    pub(crate) fn range_admits(&self, size: u64) -> bool {
        self.range.is_none_or(|range| range.admits(size))
    }

    /// The volume for the wire: the same at every retry.
    pub(crate) fn volume(&self, size: u64) -> WireVolume {
        let path = self.base.as_str().to_owned();
        let context = VolumeContext::new(&self.parameters, self.address.clone(), path, size);
        WireVolume {
            capacity_bytes: parse::wire_bytes(size),
            volume_id: self.slot.to_string(),
            volume_context: context.to_map(),
            content_source: None,
            accessible_topology: Vec::new(),
        }
    }
}

fn check_name(name: &str) -> Result<(), Status> {
    if name.is_empty() {
        return Err(Status::invalid_argument("name is missing"));
    }
    if name.len() > MAX_NAME_BYTES {
        let text = format!("name has {} bytes, at most {MAX_NAME_BYTES} are allowed", name.len());
        return Err(Status::invalid_argument(text));
    }
    Ok(())
}

fn refuse_what_is_not_there(request: &CreateVolumeRequest) -> Result<(), Status> {
    if request.volume_content_source.is_some() {
        return Err(Status::invalid_argument(
            "volume_content_source is not served: neither clones nor snapshots are advertised",
        ));
    }
    if !request.mutable_parameters.is_empty() {
        return Err(Status::invalid_argument(
            "mutable_parameters are not served: MODIFY_VOLUME is not advertised",
        ));
    }
    Ok(())
}

fn address(parameters: &Parameters, config: &Config) -> Result<DataAddress, Status> {
    let host = parameters.nvme_address.as_deref().unwrap_or(&config.nvme_address.host);
    let port = parameters.nvme_port.unwrap_or(config.nvme_address.port);
    DataAddress::new(host, port).ok_or_else(|| {
        Status::invalid_argument(format!("nvmeAddress {host:?}, nvmePort {port} is no address"))
    })
}
