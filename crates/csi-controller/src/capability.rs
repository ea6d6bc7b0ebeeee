//! Which volume capabilities are served.

use csi_grpc::v1::VolumeCapability;
use csi_grpc::v1::volume_capability::access_mode::Mode;
use csi_server::{Access, Capability, MountFlags};
use tonic::Status;
use volume::{FsType, Limits, MIB};

/// mkfs.xfs refuses less (node.md rule 9).
const XFS_MIN_BYTES: u64 = 300 * MIB;

/// What is asked for, if it is served.
///
/// # Errors
/// What is not served, with what is: the text of an INVALID_ARGUMENT.
pub(crate) fn served(capability: &Capability) -> Result<(), String> {
    if let Access::Mount { fs_type, .. } = &capability.access {
        FsType::parse(fs_type)?;
    }
    match capability.mode {
        Mode::SingleNodeWriter
        | Mode::SingleNodeSingleWriter
        | Mode::SingleNodeMultiWriter
        | Mode::SingleNodeReaderOnly => Ok(()),
        Mode::MultiNodeMultiWriter if capability.is_block() => Ok(()),
        mode => Err(format!(
            "access mode {} is not served {}; SINGLE_NODE_WRITER, SINGLE_NODE_SINGLE_WRITER, \
             SINGLE_NODE_MULTI_WRITER and SINGLE_NODE_READER_ONLY are, and MULTI_NODE_MULTI_WRITER for raw block",
            mode.as_str_name(),
            if capability.is_block() { "for raw block" } else { "for file systems" },
        )),
    }
}

/// The mount options of what is asked for, if nodes take them. A node would refuse them when a pod starts: by then they are in
/// a PersistentVolume, where nobody looks for them.
///
/// # Errors
/// The option that is refused and why: the text of an INVALID_ARGUMENT.
pub(crate) fn mountable(capability: &Capability) -> Result<(), String> {
    match &capability.access {
        Access::Mount { flags, .. } => MountFlags::parse(flags).map(drop).map_err(|error| error.to_string()),
        Access::Block => Ok(()),
    }
}

/// The capabilities of a request, all of them served.
///
/// # Errors
/// INVALID_ARGUMENT if there are none, or one is malformed or not served.
pub(crate) fn required(wire: &[VolumeCapability]) -> Result<Vec<Capability>, Status> {
    let capabilities = Capability::required_list(wire)?;
    capabilities.iter().try_for_each(served).map_err(Status::invalid_argument)?;
    Ok(capabilities)
}

/// The limits for volumes that are used in these ways.
pub(crate) fn limits(configured: Limits, capabilities: &[Capability]) -> Limits {
    let is_xfs = |capability: &Capability| matches!(&capability.access, Access::Mount { fs_type, .. } if fs_type == FsType::Xfs.name());
    let least = if capabilities.iter().any(is_xfs) { XFS_MIN_BYTES } else { 0 };
    Limits { min: configured.min.max(least), default: configured.default.max(least), ..configured }
}
