//! The target: what it exports, to whom, and the bytes behind it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use uuid::Uuid;

use super::store::{Medium, Store};
use super::world::Shared;

/// One exported subsystem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// The subsystem's NQN.
    pub nqn: String,
    /// What the bytes are kept under, whatever the NQN: the path of the image, say.
    pub volume: String,
    /// The namespace's UUID.
    pub namespace_uuid: Uuid,
    /// The namespace's size.
    pub bytes: u64,
    /// Host NQNs that are let in; `None` lets anyone in.
    pub allowed_hosts: Option<Vec<String>>,
}

/// A target at one address, and with it a world that [`super::FakeKernel`]s are nodes of.
#[derive(Clone)]
pub struct FakeFabric {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    pub(super) up: bool,
    exports: BTreeMap<String, Export>,
    sessions: BTreeMap<u64, Session>,
    volumes: BTreeMap<String, Store>,
    next_session: u64,
}

#[derive(Debug)]
struct Session {
    nqn: String,
    host: String,
}

/// What the target says to a host that wants to connect.
pub(super) enum Answer<'a> {
    Accepted(&'a Export),
    Unknown,
    Refused,
}

impl FakeFabric {
    /// A target that answers at `address` and exports nothing.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { shared: Arc::new(Shared::new(Target::new(address))) }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Target) -> T) -> T {
        self.shared.with(|world| change(&mut world.target))
    }

    /// Exports a subsystem, or changes how it is: sessions of hosts no longer allowed end, a new size
    /// is seen by a rescan only (node.md K14).
    pub fn export(&self, export: Export) {
        self.with(|target| target.export(export));
    }

    /// Ends an export and every session of it: nothing of them lands any more.
    pub fn unexport(&self, nqn: &str) {
        self.with(|target| target.unexport(nqn));
    }

    /// Makes what is exported exactly this: for a simulator's state glued to this target.
    pub fn set_exports(&self, exports: Vec<Export>) {
        self.with(|target| {
            let gone: Vec<String> = target.exports.keys().cloned().collect();
            for nqn in gone.iter().filter(|nqn| !exports.iter().any(|export| export.nqn == **nqn)) {
                target.unexport(nqn);
            }
            exports.into_iter().for_each(|export| target.export(export));
        });
    }

    /// What is exported.
    #[must_use]
    pub fn exports(&self) -> Vec<Export> {
        self.with(|target| target.exports.values().cloned().collect())
    }

    /// Changes an export's size.
    pub fn resize(&self, nqn: &str, bytes: u64) {
        self.with(|target| {
            if let Some(export) = target.exports.get_mut(nqn) {
                export.bytes = bytes;
            }
        });
    }

    /// The host NQNs with a session of this subsystem, one each session.
    #[must_use]
    pub fn sessions(&self, nqn: &str) -> Vec<String> {
        self.with(|target| {
            let ours = target.sessions.values().filter(|session| session.nqn == nqn);
            ours.map(|session| session.host.clone()).collect()
        })
    }

    /// Ends every session and answers nobody, until [`FakeFabric::start`].
    pub fn stop(&self) {
        self.with(|target| {
            target.up = false;
            target.sessions.clear();
        });
    }

    /// Answers again, with what is exported now.
    pub fn start(&self) {
        self.with(|target| target.up = true);
    }

    /// What a volume's stable storage holds.
    #[must_use]
    pub fn stored(&self, volume: &str, offset: u64, length: u64) -> Vec<u8> {
        self.with(|target| target.store(volume).read(offset, length))
    }

    /// Writes to a volume's stable storage behind everybody's back.
    pub fn overwrite(&self, volume: &str, offset: u64, bytes: &[u8]) {
        self.with(|target| target.store(volume).write(offset, bytes));
    }

    /// Whether a volume's stable storage holds nothing but zeros.
    #[must_use]
    pub fn is_blank(&self, volume: &str) -> bool {
        self.with(|target| target.store(volume).first_data(0, u64::MAX / 2).is_none())
    }

    /// Forgets a volume's bytes: its image was removed.
    pub fn remove_volume(&self, volume: &str) {
        self.with(|target| target.volumes.remove(volume));
    }
}

impl Target {
    fn new(address: SocketAddr) -> Self {
        Self {
            address,
            up: true,
            exports: BTreeMap::new(),
            sessions: BTreeMap::new(),
            volumes: BTreeMap::new(),
            next_session: 1,
        }
    }

    fn export(&mut self, export: Export) {
        let allowed = |host: &String| export.allowed_hosts.as_ref().is_none_or(|list| list.contains(host));
        self.sessions.retain(|_, session| session.nqn != export.nqn || allowed(&session.host));
        self.exports.insert(export.nqn.clone(), export);
    }

    fn unexport(&mut self, nqn: &str) {
        self.exports.remove(nqn);
        self.sessions.retain(|_, session| session.nqn != nqn);
    }

    pub(super) fn store(&mut self, volume: &str) -> &mut Store {
        self.volumes.entry(volume.to_owned()).or_default()
    }

    pub(super) fn ask(&self, nqn: &str, host: &str) -> Answer<'_> {
        match self.exports.get(nqn) {
            None => Answer::Unknown,
            Some(export) => match &export.allowed_hosts {
                Some(list) if !list.iter().any(|allowed| allowed == host) => Answer::Refused,
                _ => Answer::Accepted(export),
            },
        }
    }

    pub(super) fn open_session(&mut self, nqn: &str, host: &str) -> u64 {
        let id = self.next_session;
        self.next_session += 1;
        self.sessions.insert(id, Session { nqn: nqn.to_owned(), host: host.to_owned() });
        id
    }

    pub(super) fn has_session(&self, id: u64) -> bool {
        self.up && self.sessions.contains_key(&id)
    }

    pub(super) fn end_session(&mut self, id: u64) {
        self.sessions.remove(&id);
    }
}
