//! A data plane that serves nobody: it records what would be served, and who a test says is connected.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{DataPlane, Export, Sessions};
use crate::assumptions::{Growth, Unexport};

/// Why a host did not connect, in the terms of nvmet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Nothing listens on that port.
    #[error("connection refused")]
    Refused,
    /// No export of that NQN on that port.
    #[error("Connect Invalid Data Parameter, subsysnqn")]
    UnknownNqn,
    /// The host is not on the list.
    #[error("Connect for subsystem is not allowed")]
    HostNotAllowed,
}

/// The recording plane.
#[derive(Debug, Default)]
pub struct Recording(Mutex<Recorded>);

#[derive(Debug, Default)]
struct Recorded {
    exports: BTreeMap<String, Export>,
    sessions: Vec<Session>,
    open_ports: Vec<u16>,
}

/// A host that is connected.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Session {
    /// Subsystem.
    pub nqn: String,
    /// Host NQN.
    pub host: String,
    /// Bytes of the namespace as this host last saw them.
    pub size: u64,
    /// Whether the namespace is still there for it.
    pub namespace: bool,
}

impl Recording {
    /// A host connects, or asks again for what it is connected to (a rescan).
    ///
    /// # Errors
    /// What the target would answer.
    pub fn connect(&self, port: u16, nqn: &str, host: &str) -> Result<Session, ConnectError> {
        let mut recorded = self.recorded();
        let listens =
            recorded.open_ports.contains(&port) || recorded.exports.values().any(|e| e.port == port);
        if !listens {
            return Err(ConnectError::Refused);
        }
        let export = recorded.exports.get(nqn).filter(|e| e.port == port).ok_or(ConnectError::UnknownNqn)?;
        if !export.hosts.is_empty() && !export.hosts.iter().any(|allowed| allowed == host) {
            return Err(ConnectError::HostNotAllowed);
        }
        let session =
            Session { nqn: nqn.to_owned(), host: host.to_owned(), size: export.size, namespace: true };
        recorded.sessions.retain(|s| (s.nqn.as_str(), s.host.as_str()) != (nqn, host));
        recorded.sessions.push(session.clone());
        Ok(session)
    }

    /// A host disconnects.
    pub fn disconnect(&self, nqn: &str, host: &str) {
        self.recorded().sessions.retain(|s| (s.nqn.as_str(), s.host.as_str()) != (nqn, host));
    }

    /// What is served, by NQN.
    pub fn exports(&self) -> Vec<Export> {
        self.recorded().exports.values().cloned().collect()
    }

    /// Who is connected.
    pub fn connected(&self) -> Vec<Session> {
        self.recorded().sessions.clone()
    }

    fn recorded(&self) -> MutexGuard<'_, Recorded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorded {
    /// Changes what is served of a disk; false where another disk has its name.
    fn replace(&mut self, export: &Export) -> bool {
        match self.exports.get_mut(&export.nqn).filter(|served| served.disk == export.disk) {
            Some(served) => served.clone_from(export),
            None => return false,
        }
        true
    }
}

impl DataPlane for Recording {
    fn export(&self, export: &Export) -> io::Result<()> {
        // The first export of a name keeps it, as with a directory of configfs.
        self.recorded().exports.entry(export.nqn.clone()).or_insert_with(|| export.clone());
        Ok(())
    }

    fn unexport(&self, export: &Export, how: Unexport) -> io::Result<()> {
        let mut recorded = self.recorded();
        if recorded.exports.get(&export.nqn).is_some_and(|served| served.disk != export.disk) {
            return Ok(());
        }
        recorded.exports.remove(&export.nqn);
        if how != Unexport::LeavesSessions {
            recorded.sessions.retain(|session| session.nqn != export.nqn);
        }
        Ok(())
    }

    fn allow_hosts(&self, export: &Export, end_sessions: bool) -> io::Result<()> {
        let mut recorded = self.recorded();
        if !recorded.replace(export) {
            return Ok(());
        }
        if end_sessions && !export.hosts.is_empty() {
            recorded.sessions.retain(|s| s.nqn != export.nqn || export.hosts.contains(&s.host));
        }
        Ok(())
    }

    fn grow(&self, export: &Export, how: Growth) -> io::Result<()> {
        let mut recorded = self.recorded();
        if how == Growth::ReExport {
            return Ok(());
        }
        if recorded.replace(export) && how == Growth::Announced {
            recorded.sessions.iter_mut().filter(|s| s.nqn == export.nqn).for_each(|s| s.size = export.size);
        }
        Ok(())
    }

    fn listen(&self, ports: &[u16]) -> io::Result<()> {
        self.recorded().open_ports = ports.to_vec();
        Ok(())
    }

    fn reset(&self) -> io::Result<()> {
        *self.recorded() = Recorded::default();
        Ok(())
    }

    fn sessions(&self, nqn: &str) -> Sessions {
        let recorded = self.recorded();
        let of_nqn = recorded.sessions.iter().filter(|s| s.nqn == nqn);
        Sessions::Known(of_nqn.map(|s| s.host.clone()).collect())
    }

    fn describe(&self) -> String {
        "none: exports are recorded, no host is served".to_owned()
    }
}
