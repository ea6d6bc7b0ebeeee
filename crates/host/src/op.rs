//! What a helper is asked to do, as data: the same for the real kernel and the fake one.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use volume::FsType;

use crate::{Content, Device, Error, ErrorKind, Range, Result, Usage};

/// One operation that may hang in the kernel. Equal operations of one volume are the same
/// operation: the later joins the earlier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Op {
    /// One write to `/dev/nvme-fabrics`.
    Connect {
        options: String,
    },
    /// One write to a controller's `rescan_controller`.
    Rescan {
        controller: String,
    },
    /// `delete_controller` of every controller of the NQN.
    Disconnect {
        nqn: String,
    },
    Read {
        device: Device,
        range: Range,
    },
    Scan {
        device: Device,
        ranges: Vec<Range>,
    },
    Write {
        device: Device,
        offset: u64,
        bytes: Vec<u8>,
    },
    IsFree {
        device: Device,
    },
    Flush {
        device: Device,
    },
    Hold {
        device: Device,
        target: PathBuf,
    },
    Release {
        target: PathBuf,
    },
    Mkfs {
        device: Device,
        #[serde(with = "fs_name")]
        fs: FsType,
        uuid: String,
        bytes: Option<u64>,
    },
    Grow {
        device: Device,
        mountpoint: PathBuf,
        #[serde(with = "fs_name")]
        fs: FsType,
    },
    /// The kernel's module of a file system.
    Load {
        #[serde(with = "fs_name")]
        fs: FsType,
    },
    Sync {
        mountpoint: PathBuf,
    },
    Check {
        device: Device,
        mountpoint: PathBuf,
    },
    Usage {
        mountpoint: PathBuf,
    },
    Mount {
        device: Device,
        target: PathBuf,
        #[serde(with = "fs_name")]
        fs: FsType,
        options: Vec<String>,
    },
    Bind {
        source: PathBuf,
        target: PathBuf,
        readonly: bool,
    },
    Unmount {
        target: PathBuf,
    },
}

/// A volume's helpers: one at a time, but for the one that frees the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Lane {
    Ordinary,
    /// What hangs for want of a path is freed by deleting its controllers only (node.md K4, rule 7).
    Disconnect,
}

/// What came of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Output {
    Done,
    /// The bytes themselves follow the answer's first line.
    Bytes(#[serde(skip)] Vec<u8>),
    Content(Content),
    Free(bool),
    Usage(Usage),
}

impl Op {
    pub(crate) fn lane(&self) -> Lane {
        if matches!(self, Self::Disconnect { .. }) { Lane::Disconnect } else { Lane::Ordinary }
    }

    /// Whether this may begin while `running` of the same volume has not ended: only a disconnect, and
    /// not beside a connect, whose controller it would not see.
    pub(crate) fn goes_beside(&self, running: &Self) -> bool {
        self.lane() == Lane::Disconnect && !matches!(running, Self::Connect { .. } | Self::Disconnect { .. })
    }

    /// Whether it is asked so that a loss of what was written is told.
    pub(crate) fn tells_losses(&self) -> bool {
        matches!(self, Self::Sync { .. } | Self::Check { .. } | Self::Flush { .. } | Self::Release { .. })
    }

    /// Whether what it ended with is handed to a caller who asks for the same later. What changes with time is asked anew.
    pub(crate) fn is_kept(&self) -> bool {
        matches!(self, Self::Scan { .. } | Self::Connect { .. })
    }

    /// The operation's name for messages.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "connect",
            Self::Rescan { .. } => "rescan",
            Self::Disconnect { .. } => "disconnect",
            Self::Read { .. } => "read",
            Self::Scan { .. } => "scan",
            Self::Write { .. } => "write",
            Self::IsFree { .. } => "is-free",
            Self::Flush { .. } => "flush",
            Self::Hold { .. } => "hold",
            Self::Release { .. } => "release",
            Self::Mkfs { .. } => "mkfs",
            Self::Grow { .. } => "grow",
            Self::Load { .. } => "load",
            Self::Sync { .. } => "sync",
            Self::Check { .. } => "check",
            Self::Usage { .. } => "usage",
            Self::Mount { .. } => "mount",
            Self::Bind { .. } => "bind",
            Self::Unmount { .. } => "unmount",
        }
    }
}

impl Output {
    /// An answer of another kind than the question: a helper of another version.
    fn unexpected(&self) -> Error {
        Error::new(ErrorKind::Malformed, format!("the helper answered another question: {self:?}"))
    }

    pub(crate) fn done(self) -> Result<()> {
        if self == Self::Done { Ok(()) } else { Err(self.unexpected()) }
    }

    pub(crate) fn bytes(self) -> Result<Vec<u8>> {
        if let Self::Bytes(bytes) = self { Ok(bytes) } else { Err(self.unexpected()) }
    }

    pub(crate) fn content(self) -> Result<Content> {
        if let Self::Content(content) = self { Ok(content) } else { Err(self.unexpected()) }
    }

    pub(crate) fn free(self) -> Result<bool> {
        if let Self::Free(free) = self { Ok(free) } else { Err(self.unexpected()) }
    }

    pub(crate) fn usage(self) -> Result<Usage> {
        if let Self::Usage(usage) = self { Ok(usage) } else { Err(self.unexpected()) }
    }
}

/// A file system by its name.
mod fs_name {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use volume::FsType;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(fs: &FsType, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(fs.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<FsType, D::Error> {
        FsType::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
