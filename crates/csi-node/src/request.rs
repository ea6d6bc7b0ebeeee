//! Reading requests: whatever cannot be is refused before anything is touched.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use csi_grpc::v1::volume_capability::access_mode::Mode;
use csi_server::{Access, Capability, FlagError, MountFlags};
use tonic::{Code, Status};
use volume::{ContextError, FsType, NqnPrefix, PublishContext, Slot, VolumeContext};

/// Linux: PATH_MAX.
const LONGEST_PATH: usize = 4095;

/// A request that cannot be served as it was sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("{field} is missing")]
    Missing { field: &'static str },
    #[error("volume_id: {0}")]
    VolumeId(#[from] volume::SlotError),
    #[error("{field} {path:?} must be an absolute path of at most {LONGEST_PATH} bytes without '.' or '..'")]
    Path { field: &'static str, path: String },
    #[error("{}", .0.message())]
    Capability(Status),
    #[error("volume_capability: {0}")]
    Unserved(String),
    #[error("volume_capability: {0}")]
    Flag(#[from] FlagError),
    #[error("{0}")]
    Context(#[from] ContextError),
    #[error(
        "publish_context key \"nvme_nqn\": {nqn} is not of volume {slot}; expected {prefix}:{slot} or {prefix}:{slot}.<generation>"
    )]
    ForeignNqn { nqn: String, slot: Slot, prefix: String },
    #[error("capacity_range: {0}")]
    Capacity(String),
}

impl RequestError {
    /// Always INVALID_ARGUMENT: the same request can never be served.
    pub(crate) fn code(&self) -> Code {
        Code::InvalidArgument
    }
}

/// How a volume is used on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As a file system, mounted at the staging path.
    Filesystem {
        /// Which.
        fs: FsType,
        /// The CO's mount options, checked.
        flags: MountFlags,
    },
    /// As a raw device.
    Block,
}

/// A capability that this node serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Use {
    /// File system or block.
    pub(crate) form: Form,
    /// It must not be written.
    pub(crate) read_only: bool,
    /// One pod only: ReadWriteOncePod.
    pub(crate) single_pod: bool,
}

/// Everything that NodeStageVolume is told.
#[derive(Clone, Debug)]
pub(crate) struct StageRequest {
    pub(crate) slot: Slot,
    pub(crate) staging: PathBuf,
    pub(crate) usage: Use,
    pub(crate) publish: PublishContext,
    pub(crate) volume: VolumeContext,
}

impl StageRequest {
    /// Reads and checks the whole request.
    pub(crate) fn parse(
        wire: &csi_grpc::v1::NodeStageVolumeRequest,
        prefix: &NqnPrefix,
    ) -> Result<Self, RequestError> {
        let slot = slot(&wire.volume_id)?;
        let staging = path("staging_target_path", &wire.staging_target_path)?;
        let usage = Use::parse(wire.volume_capability.as_ref(), &wire.publish_context)?;
        let publish = publish_context(&wire.publish_context, &slot, prefix)?;
        let volume = VolumeContext::parse(&wire.volume_context)?;
        Ok(Self { slot, staging, usage, publish, volume })
    }

    /// The least size in bytes that the device must have.
    pub(crate) fn least_bytes(&self) -> u64 {
        self.publish.size_bytes.unwrap_or(0).max(self.volume.created_bytes.unwrap_or(0))
    }
}

/// A required volume id.
pub(crate) fn slot(text: &str) -> Result<Slot, RequestError> {
    if text.is_empty() {
        return Err(RequestError::Missing { field: "volume_id" });
    }
    Ok(Slot::parse(text)?)
}

/// A required path that says the same to everybody: absolute, without `.` or `..`.
pub(crate) fn path(field: &'static str, text: &str) -> Result<PathBuf, RequestError> {
    if text.is_empty() {
        return Err(RequestError::Missing { field });
    }
    let path = Path::new(text);
    let plain = |part: &Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    // `components` drops inner `.`, so those are looked for in the text.
    let dotted = text.split('/').any(|part| part == "." || part == "..");
    let fits = text.len() <= LONGEST_PATH && !text.contains('\0') && path.is_absolute();
    if !fits || dotted || !path.components().all(|part| plain(&part)) || path.parent().is_none() {
        return Err(RequestError::Path { field, path: text.chars().take(200).collect() });
    }
    Ok(path.components().collect())
}

/// Whether a capability asks for a raw device that several nodes may write; only a live migration has one.
pub(crate) fn is_shared_block(wire: Option<&csi_grpc::v1::VolumeCapability>) -> bool {
    Capability::required(wire).is_ok_and(|asked| asked.is_block() && asked.is_multi_node_writer())
}

fn publish_context(
    map: &HashMap<String, String>,
    slot: &Slot,
    prefix: &NqnPrefix,
) -> Result<PublishContext, RequestError> {
    let context = PublishContext::parse(map)?;
    match prefix.slot_of(context.nqn.as_str()) {
        Some((named, _)) if named == *slot => Ok(context),
        _ => Err(RequestError::ForeignNqn {
            nqn: context.nqn.to_string(),
            slot: slot.clone(),
            prefix: prefix.as_str().to_owned(),
        }),
    }
}

impl Use {
    /// Reads a required capability. `context` may name the file system as the Go driver's did.
    pub(crate) fn parse(
        wire: Option<&csi_grpc::v1::VolumeCapability>,
        context: &HashMap<String, String>,
    ) -> Result<Self, RequestError> {
        let capability = Capability::required(wire).map_err(RequestError::Capability)?;
        let form = match &capability.access {
            Access::Block => Form::Block,
            Access::Mount { .. } if capability.is_multi_node_writer() => {
                return Err(RequestError::Unserved(
                    "a file system cannot be written from several nodes; use volumeMode Block for ReadWriteMany"
                        .into(),
                ));
            }
            Access::Mount { fs_type, flags } => {
                let named = if fs_type.is_empty() { context.get("fs_type") } else { Some(fs_type) };
                let fs = FsType::parse(named.map_or("", String::as_str)).map_err(RequestError::Unserved)?;
                Form::Filesystem { fs, flags: MountFlags::parse(flags)? }
            }
        };
        if capability.mode == Mode::MultiNodeReaderOnly {
            return Err(RequestError::Unserved("MULTI_NODE_READER_ONLY is not served".into()));
        }
        let said_read_only = matches!(&form, Form::Filesystem { flags, .. } if flags.read_only());
        Ok(Self {
            form,
            read_only: said_read_only || capability.mode == Mode::SingleNodeReaderOnly,
            single_pod: capability.mode == Mode::SingleNodeSingleWriter,
        })
    }

    /// The options for mount(2) at the staging path.
    pub(crate) fn mount_options(&self) -> Vec<String> {
        let mut options = match &self.form {
            Form::Filesystem { flags, .. } => flags.words().to_vec(),
            Form::Block => Vec::new(),
        };
        if self.read_only && !options.iter().any(|option| option == "ro") {
            options.push("ro".into());
        }
        options
    }
}
