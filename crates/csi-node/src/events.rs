//! What this node says through Events: the forms of the messages (requirements R1, R4), and which failures are said.
//!
//! One event for one failed call. Nothing is said of what went well, the retry that at last succeeds included (R15);
//! a retry that fails the same way says the same words, so that the recorder makes one series of them.

use std::collections::HashMap;

use csi_grpc::v1::{NodePublishVolumeRequest, NodeStageVolumeRequest};
use host::ErrorKind;
use volume::{Claim, Event, Involved, PublishContext, Reason, Slot};

use crate::Node;
use crate::connect::ConnectError;
use crate::error::Error;
use crate::publish::PublishError;
use crate::stage::StageError;

/// The provisioner's keys in the volume context, for a volume whose publish context names no claim (R13).
const CLAIM_NAMESPACE: &str = "csi.storage.k8s.io/pvc/namespace";
/// See [`CLAIM_NAMESPACE`].
const CLAIM_NAME: &str = "csi.storage.k8s.io/pvc/name";

type Map = HashMap<String, String>;

/// A volume as a call names it: also one whose request cannot be served is told of.
pub(crate) struct Named<'a> {
    volume_id: &'a str,
    publish_context: &'a Map,
    volume_context: &'a Map,
}

impl<H> Node<H> {
    /// Says that a stage or publish failed. Never waits.
    pub(crate) fn say_failure<'a>(&self, named: impl Into<Named<'a>>, error: &Error) {
        if let Some(event) = event(self.config.node.name(), &named.into(), error) {
            self.events.post(event);
        }
    }
}

/// `None` where there is nothing to say, or nobody whom it concerns.
fn event(node: &str, named: &Named<'_>, error: &Error) -> Option<Event> {
    let volume = Slot::parse(named.volume_id).ok()?;
    let claim = named.claim()?;
    let (reason, what) = said(error)?;
    Some(Event {
        reason,
        involved: Involved::Claim(claim),
        message: format!("[{volume}] on [{node}]: {what}"),
    })
}

/// The reason and what failed.
fn said(error: &Error) -> Option<(Reason, String)> {
    match error {
        _ if error.is_waiting() => None,
        // Not as a MountFailure besides: these say more of the same failure.
        Error::Publish(PublishError::NotRecovered { .. }) => {
            Some((Reason::RecoveryFailed, error.to_string()))
        }
        Error::Connect(error) => {
            Some((Reason::ConnectionFailure, format!("Connection to {} failed: {error}", error.target())))
        }
        _ => Some((Reason::MountFailure, error.to_string())),
    }
}

impl Error {
    /// Whether nothing has failed yet: the call came while something else goes on, and the retry finds it ended. An
    /// operation that was given up at its deadline is none of these, even if it ends later: somebody has to look why it
    /// hangs.
    pub(crate) fn is_waiting(&self) -> bool {
        match self {
            // Another call of the volume runs, or a helper that an earlier one left.
            Self::InFlight(_) => true,
            Self::Host(error) | Self::Connect(ConnectError::Kernel { source: error, .. }) => {
                error.kind == ErrorKind::Pending
            }
            // The device is being read whole, as it has to be, in the background.
            Self::Stage(StageError::BeingRead { .. }) => true,
            // Nothing is known to be wrong with the volume; and the event would go to the server that does not answer.
            Self::Publish(PublishError::NotAsked { .. }) => true,
            Self::OnDevice { error, .. } | Self::Publish(PublishError::NotRecovered { error, .. }) => {
                error.is_waiting()
            }
            // What failed was said; now it is left alone.
            Self::Breaker(_) => true,
            _ => false,
        }
    }
}

impl Named<'_> {
    /// Whom it concerns: the claim that the controller read from the PV, or else the one that the volume was made for.
    fn claim(&self) -> Option<Claim> {
        claim(PublishContext::parse(self.publish_context).ok().as_ref(), |key| self.volume_context.get(key))
    }
}

/// The claim of a volume: the publish context's, or the one that the provisioner's metadata names.
pub(crate) fn claim<'a>(
    published: Option<&PublishContext>,
    metadata: impl Fn(&str) -> Option<&'a String>,
) -> Option<Claim> {
    published.and_then(|context| context.claim.clone()).or_else(|| {
        let text = |key| metadata(key).filter(|text| !text.is_empty()).cloned();
        Some(Claim { namespace: text(CLAIM_NAMESPACE)?, name: text(CLAIM_NAME)?, uid: String::new() })
    })
}

impl<'a> From<&'a NodeStageVolumeRequest> for Named<'a> {
    fn from(wire: &'a NodeStageVolumeRequest) -> Self {
        let NodeStageVolumeRequest { volume_id, publish_context, volume_context, .. } = wire;
        Self { volume_id, publish_context, volume_context }
    }
}

impl<'a> From<&'a NodePublishVolumeRequest> for Named<'a> {
    fn from(wire: &'a NodePublishVolumeRequest) -> Self {
        let NodePublishVolumeRequest { volume_id, publish_context, volume_context, .. } = wire;
        Self { volume_id, publish_context, volume_context }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_waits_for_something_else_is_not_said_and_every_other_failure_is() {
        let host = |kind| host::Error::new(kind, "mount: x");
        let connect = |kind| {
            let (nqn, address) = ("nqn".to_owned(), "10.0.0.1:4420".to_owned());
            Error::from(ConnectError::Kernel { nqn, address, source: host(kind) })
        };
        let device = host::Device { name: "nvme0n1".into(), major: 259, minor: 0, nqn: None };
        for (kind, is_said) in [
            (ErrorKind::Pending, false),
            (ErrorKind::Abandoned, true),
            (ErrorKind::Refused(Some(5)), true),
            (ErrorKind::Unwritten, true),
            (ErrorKind::Missing, true),
            (ErrorKind::Busy, true),
            (ErrorKind::Malformed, true),
        ] {
            let mounting = || Error::from(host(kind));
            for (error, reason) in [
                (mounting(), Reason::MountFailure),
                (mounting().on(&device), Reason::MountFailure),
                (connect(kind), Reason::ConnectionFailure),
            ] {
                let expected = is_said.then_some(reason);
                assert_eq!(said(&error).map(|(reason, _)| reason), expected, "{error:?}");
            }
        }
    }
}
