//! Volume capabilities, read once into a form that every RPC can match on (CSI spec, `VolumeCapability`).

use csi_grpc::v1::VolumeCapability;
use csi_grpc::v1::volume_capability::AccessType as WireType;
use csi_grpc::v1::volume_capability::access_mode::Mode;
use tonic::Status;

/// How a CO wants to use a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    /// As a file system or as a raw block device.
    pub access: Access,
    /// From how many nodes, reading or writing.
    pub mode: Mode,
}

/// The two ways of using a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// A mounted file system.
    Mount {
        /// The file system's name; empty leaves the choice to the driver.
        fs_type: String,
        /// Options for mount(8), in the CO's order, as they came: [`MountFlags`](crate::MountFlags) checks them.
        flags: Vec<String>,
    },
    /// A raw block device.
    Block,
}

impl Capability {
    /// Reads one capability.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where the access type or the mode is missing or unknown.
    pub fn parse(wire: &VolumeCapability) -> Result<Self, Status> {
        let access = match &wire.access_type {
            Some(WireType::Block(_)) => Access::Block,
            Some(WireType::Mount(mount)) => {
                Access::Mount { fs_type: mount.fs_type.clone(), flags: mount.mount_flags.clone() }
            }
            None => return Err(missing("access_type (mount or block)")),
        };
        let mode = wire.access_mode.as_ref().map(|mode| mode.mode()).unwrap_or(Mode::Unknown);
        if mode == Mode::Unknown {
            return Err(missing("access_mode"));
        }
        Ok(Self { access, mode })
    }

    /// Reads a required capability.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where it is absent, or as [`Capability::parse`].
    pub fn required(wire: Option<&VolumeCapability>) -> Result<Self, Status> {
        Self::parse(wire.ok_or_else(|| missing("volume_capability"))?)
    }

    /// Reads a required list of capabilities.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where it is empty, or as [`Capability::parse`].
    pub fn required_list(wire: &[VolumeCapability]) -> Result<Vec<Self>, Status> {
        if wire.is_empty() {
            return Err(missing("volume_capabilities"));
        }
        wire.iter().map(Self::parse).collect()
    }

    /// Whether it asks for writing from more than one node.
    #[must_use]
    pub fn is_multi_node_writer(&self) -> bool {
        matches!(self.mode, Mode::MultiNodeMultiWriter | Mode::MultiNodeSingleWriter)
    }

    /// Whether it asks for a raw block device.
    #[must_use]
    pub fn is_block(&self) -> bool {
        self.access == Access::Block
    }
}

fn missing(what: &str) -> Status {
    Status::invalid_argument(format!("volume capability: {what} is missing or unknown"))
}
