//! A test's hand on the device: looks at its state, injects faults, reboots it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::Shared;
use crate::assumptions::{AssumptionError, Assumptions};
use crate::device::disk::traffic::Traffic;
use crate::device::file::File;
use crate::device::plan::Change;
use crate::fault::Faults;
use crate::menu::Trap;
use crate::plane::Export;
use crate::plane::record::{ConnectError, Recording, Session};

/// Cheap to clone; keeps the device's state alive, not its connections.
#[derive(Clone)]
pub struct Handle(pub(super) Arc<Shared>);

/// How a reboot goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Reboot {
    /// Milliseconds in which nothing answers.
    pub down_millis: u64,
    /// Milliseconds between management coming up and the last export being served.
    pub exports_millis: u64,
    /// Whether the power was cut, so that the `durability` assumption applies.
    pub power_cut: bool,
}

impl Handle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Faults and the log of requests.
    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }

    /// Every disk as REST shows it to somebody who may see all.
    pub fn disks(&self) -> Vec<BTreeMap<String, String>> {
        let rows = self.0.machine.disk_rows();
        let named = |(name, value): (&str, crate::menu::Value)| (name.to_owned(), value.into_owned());
        rows.into_iter().map(|row| row.into_iter().map(named).collect()).collect()
    }

    /// The disk with this slot.
    pub fn disk(&self, slot: &str) -> Option<BTreeMap<String, String>> {
        self.disks().into_iter().find(|disk| disk.get("slot").is_some_and(|each| each == slot))
    }

    /// Every file.
    pub fn files(&self) -> Vec<File> {
        self.0.machine.device().files.values().cloned().collect()
    }

    /// What is served right now, whatever the rows say.
    pub fn exports(&self) -> Vec<Export> {
        match &self.0.recording {
            Some(recording) => recording.exports(),
            None => self.0.machine.device().disks.values().filter_map(|disk| disk.live.clone()).collect(),
        }
    }

    /// Hosts that are connected to the recording data plane.
    pub fn sessions(&self) -> Vec<Session> {
        self.0.recording.as_ref().map(|recording| recording.connected()).unwrap_or_default()
    }

    /// The recording data plane; `None` where a real one serves.
    pub fn recording(&self) -> Option<&Recording> {
        self.0.recording.as_deref()
    }

    /// A host connects to the recording data plane.
    ///
    /// # Errors
    /// What the target would answer.
    pub fn connect(&self, port: u16, nqn: &str, host: &str) -> Result<Session, ConnectError> {
        self.0.recording.as_ref().ok_or(ConnectError::Refused)?.connect(port, nqn, host)
    }

    /// What serves hosts, for people.
    pub fn data_plane(&self) -> String {
        self.0.machine.plane().describe()
    }

    /// The answers to open questions.
    pub fn assumptions(&self) -> Assumptions {
        self.0.machine.assumptions()
    }

    /// Answers one from now on; `tls` only for listeners started later.
    ///
    /// # Errors
    /// No such name or value.
    pub fn assume(&self, name: &str, value: &str) -> Result<(), AssumptionError> {
        let mut outcome = Ok(());
        self.0.machine.assume(|assumptions| outcome = assumptions.set(name, value));
        outcome
    }

    /// Time that the device takes over each request.
    pub fn set_latency(&self, latency: Duration) {
        *self.0.latency.lock().unwrap_or_else(PoisonError::into_inner) = latency;
    }

    /// Takes a pool for full, or no longer.
    pub fn set_pool_full(&self, pool: &str, full: bool) {
        self.0.machine.set_full(pool, full);
    }

    /// The disk in this slot reads and writes so much more; its counters grow until the next boot.
    ///
    /// # Errors
    /// No such disk.
    pub fn add_traffic(&self, slot: &str, more: &Traffic) -> Result<(), Trap> {
        self.0.machine.add_traffic(slot, more)
    }

    /// Seconds since 1970 by the device's clock.
    pub fn now(&self) -> i64 {
        self.0.machine.now(&self.0.machine.device())
    }

    /// Moves the device's clock by so many seconds.
    ///
    /// # Errors
    /// It cannot be written down.
    pub fn skew_clock(&self, seconds: i64) -> io::Result<()> {
        let offset = self.0.machine.device().clock_offset.saturating_add(seconds);
        self.0.machine.record(Change::ClockOffset(offset))
    }

    /// Requests that wait for their user's turn.
    pub fn queued(&self) -> usize {
        self.0.lanes.waiting()
    }

    /// Whether management answers.
    pub fn is_on(&self) -> bool {
        *self.0.power.borrow()
    }

    /// Goes down, and comes up again. Every connection dies, every export ends and is served again as the
    /// `boot` and `namespace-id` assumptions say.
    ///
    /// # Errors
    /// The data plane's.
    pub async fn reboot(&self, how: Reboot) -> io::Result<()> {
        self.power_off(how.power_cut).await?;
        tokio::time::sleep(Duration::from_millis(how.down_millis)).await;
        self.power_on(Duration::from_millis(how.exports_millis)).await
    }

    /// Goes down and stays so.
    ///
    /// # Errors
    /// The data plane's.
    pub async fn power_off(&self, power_cut: bool) -> io::Result<()> {
        self.0.power.send_replace(false);
        self.0.logins.forget();
        let machine = self.0.machine.clone();
        tokio::task::spawn_blocking(move || machine.power_off(power_cut)).await?
    }

    /// Comes up: management first, then, after `exports`, the data path.
    ///
    /// # Errors
    /// The data plane's.
    pub async fn power_on(&self, exports: Duration) -> io::Result<()> {
        let machine = self.0.machine.clone();
        tokio::task::spawn_blocking(move || machine.listen_first()).await??;
        self.0.power.send_replace(true);
        tokio::time::sleep(exports).await;
        let machine = self.0.machine.clone();
        tokio::task::spawn_blocking(move || machine.serve_exports()).await.map_err(io::Error::other)
    }
}
