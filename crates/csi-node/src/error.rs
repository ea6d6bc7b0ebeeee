//! What a call can fail with, and the gRPC code of each (node.md rule 11).
//!
//! The kubelet forgets a volume after a final code of NodeStageVolume and never unstages it, so what
//! comes after the first effect is always UNAVAILABLE, ABORTED or DEADLINE_EXCEEDED.

use host::{Device, ErrorKind};
use tonic::{Code, Status};

use crate::attached::Hindrance;
use crate::breaker::Open;
use crate::connect::ConnectError;
use crate::expand::ExpandError;
use crate::foreign::ForeignMount;
use crate::publish::PublishError;
use crate::records::RecordError;
use crate::request::RequestError;
use crate::settle::SettleError;
use crate::stage::StageError;
use crate::stats::StatsError;
use crate::unstage::UnstageError;

/// The result of a step of a call.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// The sum of all concerns; each knows its code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("{0}")]
    Host(#[from] host::Error),
    #[error(transparent)]
    Hindrance(#[from] Hindrance),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Settle(#[from] SettleError),
    #[error(transparent)]
    Stage(#[from] StageError),
    #[error(transparent)]
    Unstage(#[from] UnstageError),
    #[error(transparent)]
    Foreign(#[from] ForeignMount),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Expand(#[from] ExpandError),
    #[error(transparent)]
    Stats(#[from] StatsError),
    #[error("{}", .0.message())]
    InFlight(Status),
    #[error(transparent)]
    Breaker(#[from] Open),
    #[error("{problem}; the volume is still on this node, so unstage it before it is asked for otherwise")]
    StillHere { problem: String },
    #[error("{device}: {error}")]
    OnDevice { device: Device, error: Box<Error> },
}

impl Error {
    /// The gRPC code.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Request(error) => error.code(),
            Self::Record(error) => error.code(),
            Self::Host(error) => host_code(error.kind),
            // The device may come back or be exported; nothing was changed.
            Self::Hindrance(_) => Code::Unavailable,
            Self::Connect(error) => error.code(),
            Self::Settle(error) => error.code(),
            Self::Stage(error) => error.code(),
            Self::Unstage(error) => error.code(),
            Self::Foreign(error) => error.code(),
            Self::Publish(error) => error.code(),
            Self::Expand(error) => error.code(),
            Self::Stats(error) => error.code(),
            Self::InFlight(status) => status.code(),
            Self::Breaker(open) => open.code(),
            Self::StillHere { .. } => Code::Aborted,
            Self::OnDevice { error, .. } => error.code(),
        }
    }

    /// Whether the CO may forget the volume after it.
    pub(crate) fn is_final(&self) -> bool {
        !matches!(self.code(), Code::Unavailable | Code::Aborted | Code::DeadlineExceeded)
    }

    /// The same, naming the device that it happened with; unless it does already.
    pub(crate) fn on(self, device: &Device) -> Self {
        if names(&self.to_string(), &device.path().display().to_string()) {
            return self;
        }
        Self::OnDevice { device: device.clone(), error: Box::new(self) }
    }
}

/// Whether the path is in the text, and not only as the beginning of a longer one (`nvme0n1` of `nvme0n12`).
fn names(text: &str, path: &str) -> bool {
    let ends = |at: usize| !text[at + path.len()..].starts_with(|next: char| next.is_ascii_alphanumeric());
    text.match_indices(path).any(|(at, _)| ends(at))
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

/// The code of a node operation that failed: never final, since something was begun.
pub(crate) fn host_code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::Abandoned => Code::DeadlineExceeded,
        ErrorKind::Pending | ErrorKind::Busy => Code::Aborted,
        ErrorKind::Refused(_) | ErrorKind::Unwritten | ErrorKind::Missing | ErrorKind::Malformed => {
            Code::Unavailable
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_named_once_and_only_by_its_whole_name() {
        for (text, names_it) in [
            ("/dev/nvme0n1", true),
            ("mount /dev/nvme0n1: refused", true),
            ("mount /dev/nvme0n12: refused", false),
            ("/dev/nvme0n12 is not /dev/nvme0n1", true),
            ("mount: refused", false),
        ] {
            assert_eq!(names(text, "/dev/nvme0n1"), names_it, "{text}");
        }
    }
}
