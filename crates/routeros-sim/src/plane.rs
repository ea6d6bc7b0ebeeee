//! The data path: what serves exported disks to hosts.

pub mod nvmet;
pub mod record;

use std::io;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::assumptions::{Growth, Unexport};

/// UUID and serial of a namespace, as hosts see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceIdentity {
    /// Namespace UUID.
    pub uuid: Uuid,
    /// Subsystem serial, at most 20 characters.
    pub serial: String,
}

/// One exported disk: one subsystem with namespace 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Export {
    /// Id of the row, `*2B`.
    pub disk: String,
    /// Subsystem NQN.
    pub nqn: String,
    /// TCP port.
    pub port: u16,
    /// Host NQNs that may connect; empty means any.
    pub hosts: Vec<String>,
    /// The image, as `/file` names it.
    pub image: String,
    /// Bytes before the namespace's first.
    pub offset: u64,
    /// Bytes of the namespace.
    pub size: u64,
    /// UUID and serial.
    pub identity: NamespaceIdentity,
    /// Whether discards free room.
    pub discard: bool,
}

/// Who is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sessions {
    /// The host NQNs.
    Known(Vec<String>),
    /// This plane cannot tell.
    Unknown,
}

/// Serves exports. Calls may block; they come one at a time.
pub trait DataPlane: Send + Sync + 'static {
    /// Starts to serve a disk.
    ///
    /// # Errors
    /// The target refused it; nothing of it is served.
    fn export(&self, export: &Export) -> io::Result<()>;

    /// Ends serving a disk. Succeeds where it was not served.
    ///
    /// # Errors
    /// It may still be served.
    fn unexport(&self, export: &Export, how: Unexport) -> io::Result<()>;

    /// Takes the hosts of `export` as those who may connect from now on.
    ///
    /// # Errors
    /// The list may be changed in part.
    fn allow_hosts(&self, export: &Export, end_sessions: bool) -> io::Result<()>;

    /// The image has grown to the size of `export`.
    ///
    /// # Errors
    /// Hosts may still see the old size.
    fn grow(&self, export: &Export, how: Growth) -> io::Result<()>;

    /// Opens ports before any export is there (the `boot=listens-first` assumption).
    ///
    /// # Errors
    /// A port is not open.
    fn listen(&self, ports: &[u16]) -> io::Result<()>;

    /// Ends everything at once, as a power cut does, and whatever an earlier process left.
    ///
    /// # Errors
    /// Something may still be served.
    fn reset(&self) -> io::Result<()>;

    /// Hosts connected to a subsystem.
    fn sessions(&self, nqn: &str) -> Sessions;

    /// What this plane is, for people.
    fn describe(&self) -> String;
}
