//! How a volume is used.

use csi_grpc::v1::VolumeCapability;
use csi_grpc::v1::volume_capability::access_mode::Mode;
use csi_grpc::v1::volume_capability::{AccessMode, AccessType, BlockVolume, MountVolume};

/// What a PVC and its StorageClass ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// `ext4` or `xfs`; `None` is raw block.
    pub fs: Option<&'static str>,
    /// The access mode.
    pub mode: Mode,
}

impl Shape {
    /// A file system for one node.
    #[must_use]
    pub fn filesystem(fs: &'static str) -> Self {
        Self { fs: Some(fs), mode: Mode::SingleNodeWriter }
    }

    /// A raw block device for one node.
    #[must_use]
    pub fn block() -> Self {
        Self { fs: None, mode: Mode::SingleNodeWriter }
    }

    /// A raw block device for two nodes, as KubeVirt's live migration has it.
    #[must_use]
    pub fn shared_block() -> Self {
        Self { fs: None, mode: Mode::MultiNodeMultiWriter }
    }

    /// The capability on the wire.
    #[must_use]
    pub fn capability(&self) -> VolumeCapability {
        let access = match self.fs {
            None => AccessType::Block(BlockVolume {}),
            Some(fs) => AccessType::Mount(MountVolume { fs_type: fs.to_owned(), ..MountVolume::default() }),
        };
        VolumeCapability {
            access_type: Some(access),
            access_mode: Some(AccessMode { mode: self.mode.into() }),
        }
    }
}
