//! The device at work: one writer plans, does the effects and writes down; readers never wait for effects.

mod traffic;

use std::io;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::assumptions::{Assumptions, Boot, Durability};
use crate::device::disk::plan::boot;
use crate::device::disk::traffic::Traffic;
use crate::device::plan::{Change, Effect, Plan, Step};
use crate::device::user::Caller;
use crate::device::{Device, Facts};
use crate::images::Images;
use crate::journal::Journal;
use crate::menu::{Command, Reply, Row, Trap, Verb};
use crate::plane::{DataPlane, Export, Sessions};

/// The device, its files and its data plane.
pub(crate) struct Machine {
    device: RwLock<Device>,
    assumptions: RwLock<Assumptions>,
    journal: Mutex<Journal>,
    undo: Mutex<Vec<Change>>,
    images: Arc<dyn Images>,
    plane: Arc<dyn DataPlane>,
    writer: Arc<tokio::sync::Mutex<()>>,
    full: Mutex<Vec<String>>,
    traffic: traffic::Counters,
    /// Held by a command at work; false once another process may own the state directory.
    alive: Mutex<bool>,
    started: (i64, Instant),
    booted: Mutex<Instant>,
}

/// [`Facts`] of a machine at a moment.
struct Present<'a>(&'a Machine, i64);

impl Facts for Present<'_> {
    fn free(&self, slot: &str, size: u64) -> u64 {
        if self.is_full(slot) { 0 } else { size.saturating_sub(self.0.images.allocated(slot)) }
    }

    fn is_full(&self, slot: &str) -> bool {
        let full = self.0.full.lock().unwrap_or_else(PoisonError::into_inner);
        full.iter().any(|pool| pool == slot)
    }

    fn sessions(&self, nqn: &str) -> Sessions {
        self.0.plane.sessions(nqn)
    }

    fn now(&self) -> i64 {
        self.1
    }

    fn uptime(&self) -> u64 {
        self.0.booted.lock().unwrap_or_else(PoisonError::into_inner).elapsed().as_secs()
    }

    fn traffic(&self, disk: u32) -> Traffic {
        self.0.traffic.of(disk)
    }
}

impl Machine {
    #[expect(clippy::disallowed_methods, reason = "the device's wall clock is what is simulated")]
    pub(crate) fn new(
        device: Device,
        assumptions: Assumptions,
        journal: Journal,
        images: Arc<dyn Images>,
        plane: Arc<dyn DataPlane>,
    ) -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX);
        Self {
            device: RwLock::new(device),
            assumptions: RwLock::new(assumptions),
            journal: Mutex::new(journal),
            undo: Mutex::default(),
            images,
            plane,
            writer: Arc::default(),
            full: Mutex::default(),
            traffic: traffic::Counters::default(),
            alive: Mutex::new(true),
            started: (now, Instant::now()),
            booted: Mutex::new(Instant::now()),
        }
    }

    /// The state as it is; do not hold it over an await.
    pub(crate) fn device(&self) -> RwLockReadGuard<'_, Device> {
        self.device.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of the answers to open questions.
    pub(crate) fn assumptions(&self) -> Assumptions {
        self.assumptions.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the answers from now on.
    pub(crate) fn assume(&self, change: impl FnOnce(&mut Assumptions)) {
        change(&mut self.assumptions.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Takes a pool for full, or no longer.
    pub(crate) fn set_full(&self, pool: &str, full: bool) {
        let mut pools = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        pools.retain(|each| each != pool);
        pools.extend(full.then(|| pool.to_owned()));
    }

    /// Every disk as REST shows it.
    pub(crate) fn disk_rows(&self) -> Vec<Row> {
        let device = self.device();
        device.disk_rows(&self.assumptions(), &self.present(&device))
    }

    /// Seconds since 1970 by the device's clock.
    pub(crate) fn now(&self, device: &Device) -> i64 {
        let elapsed = i64::try_from(self.started.1.elapsed().as_secs()).unwrap_or(i64::MAX);
        self.started.0.saturating_add(elapsed).saturating_add(device.clock_offset)
    }

    fn present(&self, device: &Device) -> Present<'_> {
        Present(self, self.now(device))
    }

    /// Runs one command to its end.
    ///
    /// # Errors
    /// The device's refusal; an effect that failed is one too.
    pub(crate) async fn run(self: &Arc<Self>, caller: &Caller, command: &Command) -> Result<Reply, Trap> {
        if command.verb == Verb::Print {
            return self.plan(caller, command)?.outcome;
        }
        let turn = self.writer.clone().lock_owned().await;
        let plan = self.plan(caller, command)?;
        if plan.steps.is_empty() {
            return plan.outcome;
        }
        let machine = self.clone();
        // Effects run to their end whoever waits: the lock goes with them.
        let work = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            machine.carry_out(plan)
        });
        work.await.unwrap_or_else(|_| Err(Trap::refused("failure: interrupted")))
    }

    fn plan(&self, caller: &Caller, command: &Command) -> Result<Plan, Trap> {
        let device = self.device();
        device.plan(caller, command, &self.assumptions(), &self.present(&device))
    }

    /// Does the effects and writes down what follows each.
    fn carry_out(&self, plan: Plan) -> Result<Reply, Trap> {
        let alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        if !*alive {
            return Err(Trap::refused("failure: interrupted"));
        }
        let mut changes = Vec::new();
        let mut outcome = plan.outcome;
        for step in plan.steps {
            match step {
                Step::Record(change) => changes.push(change),
                Step::Do(effect) => {
                    if let Err(error) = self.perform(effect) {
                        tracing::warn!(%error, "an effect failed");
                        outcome = Err(Trap::refused(format!("failure: {error}")));
                        break;
                    }
                }
            }
        }
        self.commit(changes).map_err(|error| Trap::refused(format!("failure: {error}")))?;
        outcome
    }

    fn perform(&self, effect: Effect) -> io::Result<()> {
        match effect {
            Effect::MakeDirectory { path } => self.images.make_directory(&path),
            Effect::WriteFile { path, contents } => self.images.write(&path, contents.as_bytes()),
            Effect::CreateImage { path, size, preallocate } => self.images.create(&path, size, preallocate),
            Effect::ResizeImage { path, size, preallocate } => self.images.resize(&path, size, preallocate),
            Effect::CopyFile { from, to, reflink } => self.images.copy(&from, &to, reflink),
            Effect::RemoveFile { path } => self.images.remove(&path),
            Effect::ResetCounters { disk } => {
                self.traffic.reset(disk);
                Ok(())
            }
            Effect::Export(export) => self.plane.export(&export),
            Effect::Unexport { export, how } => self.plane.unexport(&export, how),
            Effect::AllowHosts { export, end_sessions } => self.plane.allow_hosts(&export, end_sessions),
            Effect::Grow { export, how } => self.plane.grow(&export, how),
        }
    }

    /// Writes changes down, as one that a power cut may take back.
    fn commit(&self, changes: Vec<Change>) -> io::Result<()> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).append(&changes)?;
        let mut device = self.device.write().unwrap_or_else(PoisonError::into_inner);
        let undo: Vec<Change> = changes.iter().rev().filter_map(|change| device.inverse(change)).collect();
        changes.into_iter().for_each(|change| device.apply(change));
        if !undo.is_empty() {
            *self.undo.lock().unwrap_or_else(PoisonError::into_inner) = undo;
        }
        Ok(())
    }

    /// Writes a change down that no command made.
    pub(crate) fn record(&self, change: Change) -> io::Result<()> {
        self.commit(vec![change])
    }

    /// Ends the data path. After a power cut the `durability` assumption may take back the last change.
    ///
    /// # Errors
    /// The data plane's.
    pub(crate) fn power_off(&self, power_cut: bool) -> io::Result<()> {
        let _turn = self.turn();
        self.traffic.reset_all();
        self.plane.reset()?;
        let undo = std::mem::take(&mut *self.undo.lock().unwrap_or_else(PoisonError::into_inner));
        if power_cut && self.assumptions().durability == Durability::Reverts {
            self.commit(undo)?;
            self.undo.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        Ok(())
    }

    /// The ports that boot opens before any export is there, if it does.
    ///
    /// # Errors
    /// The data plane's.
    pub(crate) fn listen_first(&self) -> io::Result<()> {
        if self.assumptions().boot == Boot::ListensFirst {
            let mut ports: Vec<u16> = self.booted_exports().iter().map(|export| export.port).collect();
            ports.sort_unstable();
            ports.dedup();
            self.plane.listen(&ports)?;
        }
        Ok(())
    }

    /// Serves what the configuration says. An export that cannot be served is said and left out.
    pub(crate) fn serve_exports(&self) {
        let _turn = self.turn();
        *self.booted.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        let assumptions = self.assumptions();
        let disks: Vec<_> = self.device().disks.values().map(|disk| boot(&assumptions, disk)).collect();
        for (mut disk, export) in disks {
            if let Some(error) = export.and_then(|export| self.plane.export(&export).err()) {
                tracing::error!(slot = %disk.slot, %error, "cannot be served");
                disk.live = None;
            }
            self.device
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .apply(Change::PutDisk(Box::new(disk)));
        }
    }

    fn booted_exports(&self) -> Vec<Export> {
        let assumptions = self.assumptions();
        self.device().disks.values().filter_map(|disk| boot(&assumptions, disk).1).collect()
    }

    /// Waits until no command is at work. Must not be called from async code.
    fn turn(&self) -> tokio::sync::OwnedMutexGuard<()> {
        self.writer.clone().blocking_lock_owned()
    }

    /// What serves hosts.
    pub(crate) fn plane(&self) -> &Arc<dyn DataPlane> {
        &self.plane
    }

    /// Ends in the middle of everything but a command at work, which it waits for: from here on nothing is
    /// done or written down.
    pub(crate) fn crash(&self) {
        *self.alive.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }

    /// Where files are.
    pub(crate) fn images(&self) -> &Arc<dyn Images> {
        &self.images
    }

    /// Leaves out ids below `next`.
    pub(crate) fn skip_ids(&self, next: u32) {
        self.device.write().unwrap_or_else(PoisonError::into_inner).skip_ids(next);
    }
}
