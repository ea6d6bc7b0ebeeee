//! What is said through Kubernetes Events (requirements R1 to R15): reasons, and whom they concern.

use std::fmt;

/// A PersistentVolumeClaim as a PV's `claimRef` names it. `kubectl describe` selects events by the UID.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID; empty where only the names are known.
    pub uid: String,
}

/// The object that an event concerns.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Involved {
    /// The claim of a volume.
    Claim(Claim),
    /// A node: its event lies in the namespace `default` (R14).
    Node {
        /// The Node's name.
        name: String,
        /// Its UID; empty where it is not known.
        uid: String,
    },
    /// The pod that posts it: the controller's own.
    OwnPod,
}

/// Why an event is posted. Names and types are those of the described system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// R1
    MountFailure,
    /// R2
    RecoveryFailed,
    /// R3
    StaleMountDetected,
    /// R4
    ConnectionFailure,
    /// R5
    ConnectionRecovery,
    /// R6
    OrphanDetected,
    /// R6
    OrphanCleaned,
    /// R7
    AttachmentConflict,
    /// R8
    VolumeAttached,
    /// R9
    VolumeDetached,
    /// R10
    StaleAttachmentCleared,
    /// R11
    MigrationStarted,
    /// R11
    MigrationCompleted,
    /// R11
    MigrationFailed,
    /// R12
    RdsDisconnected,
    /// R12
    RdsReconnected,
    /// R12
    StartupReconciliation,
    /// Beyond the described system (R15: a state change): what a node had not written yet is lost, or may be.
    UnwrittenDataLost,
}

/// One event: what happened, and to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Why it is posted.
    pub reason: Reason,
    /// Whom it concerns.
    pub involved: Involved,
    /// For people; never a secret (R15).
    pub message: String,
}

/// Where events go. Posting never waits and never fails: what cannot be queued is dropped and counted (R14).
pub trait Events: Send + Sync {
    /// Hands an event over.
    fn post(&self, event: Event);
}

/// Nowhere: no Kubernetes is configured.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoEvents;

impl Events for NoEvents {
    fn post(&self, _: Event) {}
}

impl Reason {
    /// As `kubectl get events` shows it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MountFailure => "MountFailure",
            Self::RecoveryFailed => "RecoveryFailed",
            Self::StaleMountDetected => "StaleMountDetected",
            Self::ConnectionFailure => "ConnectionFailure",
            Self::ConnectionRecovery => "ConnectionRecovery",
            Self::OrphanDetected => "OrphanDetected",
            Self::OrphanCleaned => "OrphanCleaned",
            Self::AttachmentConflict => "AttachmentConflict",
            Self::VolumeAttached => "VolumeAttached",
            Self::VolumeDetached => "VolumeDetached",
            Self::StaleAttachmentCleared => "StaleAttachmentCleared",
            Self::MigrationStarted => "MigrationStarted",
            Self::MigrationCompleted => "MigrationCompleted",
            Self::MigrationFailed => "MigrationFailed",
            Self::RdsDisconnected => "RDSDisconnected",
            Self::RdsReconnected => "RDSReconnected",
            Self::StartupReconciliation => "StartupReconciliation",
            Self::UnwrittenDataLost => "UnwrittenDataLost",
        }
    }

    /// Whether its type is Warning, else Normal.
    #[must_use]
    pub fn is_warning(self) -> bool {
        matches!(
            self,
            Self::MountFailure
                | Self::RecoveryFailed
                | Self::ConnectionFailure
                | Self::OrphanDetected
                | Self::AttachmentConflict
                | Self::MigrationFailed
                | Self::RdsDisconnected
                | Self::UnwrittenDataLost
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
