//! Records of stages (node.md rule 12): what this node was about to do with a volume, written before
//! it is done, in the driver's own directory.

mod store;
mod wire;

use std::path::PathBuf;

use tonic::Code;
use volume::{Claim, HostIdentity, Nqn, Slot};

use crate::request::Use;

pub(crate) use store::Records;

/// How far a stage got.
///
/// ```text
/// (none) ──connect──► Staging ──mounted or block──► Staged ──unstage──► Unstaging ──gone from sysfs──► (none)
///                        └──────────────────────────unstage──────────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The connect may have happened; no pod has seen the volume yet.
    Staging,
    /// Pods may use it.
    Staged,
    /// It was synced, nobody has it open any more, and it is disconnected now: nothing is left to lose.
    Unstaging,
}

/// What is known of a stage beyond what can be observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StageRecord {
    /// The volume.
    pub(crate) slot: Slot,
    /// The generation that it was connected under.
    pub(crate) nqn: Nqn,
    /// Where the CO has it staged.
    pub(crate) staging: PathBuf,
    /// What it is used as.
    pub(crate) usage: Use,
    /// How far it got.
    pub(crate) phase: Phase,
    /// The device's number, once it was seen: what is left of it after its removal.
    pub(crate) device: Option<(u32, u32)>,
    /// Whom events concern that no call asked for; none in records of before.
    pub(crate) claim: Option<Claim>,
    /// Seconds between two of the kernel's tries to connect anew.
    pub(crate) reconnect_delay: u32,
}

/// A record that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("{operation} {}: {source}", path.display())]
    Io { operation: &'static str, path: PathBuf, source: std::io::Error },
    #[error(
        "stage record {} is of format {version}, this plugin reads up to {}: run the newer plugin on this node again",
        path.display(), wire::VERSION
    )]
    Newer { path: PathBuf, version: u64 },
    #[error(
        "stage record {} is damaged ({problem}): move it away, and the node searches sysfs instead",
        path.display()
    )]
    Damaged { path: PathBuf, problem: String },
}

impl RecordError {
    /// Retriable: the kubelet must not forget a volume for a file of ours.
    pub(crate) fn code(&self) -> Code {
        Code::Unavailable
    }
}

/// The host identity for contexts that carry none (contexts of the Go driver), made once.
pub(crate) fn fallback_identity(records: &Records) -> Result<HostIdentity, RecordError> {
    let id = match records.read_host_id()? {
        Some(id) => id,
        None => {
            let id = uuid::Uuid::new_v4();
            records.write_host_id(id)?;
            id
        }
    };
    Ok(HostIdentity::from_id(id))
}

/// A record of a staged raw device, for tests.
#[cfg(test)]
pub(crate) fn test_record(slot: &str) -> StageRecord {
    #![allow(clippy::unwrap_used, reason = "tests")]
    StageRecord {
        slot: Slot::parse(slot).unwrap(),
        nqn: Nqn::parse("nqn.test:a").unwrap(),
        staging: "/staging".into(),
        usage: Use { form: crate::request::Form::Block, read_only: false, single_pod: false },
        phase: Phase::Staged,
        device: None,
        claim: None,
        reconnect_delay: 5,
    }
}
