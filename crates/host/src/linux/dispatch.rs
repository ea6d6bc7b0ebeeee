//! Helpers by volume: one at a time, abandoned at a deadline, joined by the next caller (node.md rule 7).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedMutexGuard, watch};
use tokio::time::timeout_at;
use volume::Slot;

use crate::op::{Lane, Op, Output};
use crate::protocol::{Request, Roots};
use crate::untold::Untold;
use crate::{Error, ErrorKind, Result, Volume};

use super::Config;
use super::burst::{Burst, Waiting};
use super::hold;
use super::process::{Files, Left, hangs};

type Outcome = watch::Receiver<Option<Result<Output>>>;

/// A helper that was abandoned and still runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// Its volume.
    pub slot: Slot,
    /// What it does.
    pub operation: String,
    /// Its process, where it can be seen from the driver's PID namespace.
    pub pid: Option<u32>,
    /// It, or a tool that it started, is in uninterruptible sleep (D): nothing but the end of the path's controllers
    /// frees it.
    pub uninterruptible: bool,
}

#[derive(Debug)]
pub(super) struct Dispatcher {
    config: Config,
    roots: Roots,
    helpers: Mutex<HashMap<Key, Helper>>,
    untold: Arc<Untold>,
    waiting: Arc<Waiting>,
    /// Connects of the whole node take turns: the kernel has one mutex, and its waiters hang (K10).
    connects: Arc<tokio::sync::Mutex<()>>,
}

pub(super) type Key = (Slot, Lane);

/// What the files of a helper in the disconnect lane are called after their slot; no slot holds a dot.
const DISCONNECT: &str = ".disconnect";

type Turn = Option<OwnedMutexGuard<()>>;

#[derive(Clone, Debug)]
struct Helper {
    /// `None` is what a driver of another version asked for: nothing joins it.
    op: Option<Op>,
    outcome: Outcome,
    process: Arc<Process>,
}

/// What is known of a helper's process while it runs.
#[derive(Debug, Default)]
struct Process {
    /// 0 is unknown.
    pid: AtomicU32,
    abandoned: AtomicBool,
}

/// What a caller got hold of.
enum Begun {
    Ours(Helper),
    Other(Helper),
}

impl Dispatcher {
    pub(super) fn new(config: Config, roots: Roots) -> Result<Arc<Self>> {
        let (helpers, holds) = (config.runtime.join("helpers"), hold::directory(&config));
        for directory in [&helpers, &holds] {
            std::fs::create_dir_all(directory).map_err(|error| Error::io("make", directory, &error))?;
        }
        hold::forget_dead(&config).map_err(|error| Error::io("look for holders in", &holds, &error))?;
        let connects = Arc::new(tokio::sync::Mutex::new(()));
        let (helpers_by_key, untold, waiting) = (Mutex::default(), Arc::default(), Arc::default());
        let dispatcher = Arc::new(Self { config, roots, helpers: helpers_by_key, untold, waiting, connects });
        dispatcher.adopt().map_err(|error| Error::io("look for helpers in", &helpers, &error))?;
        Ok(dispatcher)
    }

    fn files(&self, (slot, lane): &Key) -> Files {
        let lane = if *lane == Lane::Disconnect { DISCONNECT } else { "" };
        Files::new(&self.config.runtime.join("helpers"), &format!("{slot}{lane}"))
    }

    fn helpers(&self) -> MutexGuard<'_, HashMap<Key, Helper>> {
        self.helpers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds the helpers that an earlier driver left; those that have ended are forgotten, but not a loss that they tell.
    fn adopt(self: &Arc<Self>) -> std::io::Result<()> {
        for entry in std::fs::read_dir(self.config.runtime.join("helpers"))? {
            let name = entry?.file_name();
            let Some(key) = name.to_str().and_then(parse_key) else { continue };
            let files = self.files(&key);
            match files.look()? {
                Left::Ended => {
                    files.answer().iter().for_each(|answer| self.untold.ended(&key.0, answer));
                    files.remove();
                }
                Left::Running { op, pid } => {
                    // A disconnect may have been given to an ordinary helper.
                    let lane = op.as_ref().map_or(key.1, Op::lane);
                    let finish = async move { files.finish("left by an earlier driver").await };
                    let helper = self.start(&key.0, op, Arc::default(), finish);
                    helper.process.abandoned.store(true, Ordering::Relaxed);
                    helper.process.pid.store(pid.unwrap_or(0), Ordering::Relaxed);
                    tracing::warn!(slot = %key.0, operation = helper.name(), pid, "a helper of an earlier driver still runs");
                    self.helpers().insert((key.0, lane), helper);
                }
            }
        }
        Ok(())
    }

    pub(super) async fn run(self: &Arc<Self>, volume: Volume<'_>, op: Op) -> Result<Output> {
        loop {
            let turn = self.turn(volume, &op).await?;
            match self.begin(volume.slot, &op, turn) {
                Begun::Ours(helper) => {
                    let result = self.wait(volume, &helper, ErrorKind::Abandoned).await?;
                    self.forget(volume.slot, &helper);
                    return self.untold.answer(volume.slot, &op, result);
                }
                // Its result is nobody's any more; whether it succeeded is for the next observation. A loss is kept.
                Begun::Other(helper) => drop(self.wait(volume, &helper, ErrorKind::Pending).await?),
            }
        }
    }

    /// Waits for every helper of a volume; results are dropped, but for losses.
    pub(super) async fn join(&self, volume: Volume<'_>) -> Result<()> {
        while let Some(helper) = self.any(volume.slot) {
            drop(self.wait(volume, &helper, ErrorKind::Abandoned).await?);
            self.forget(volume.slot, &helper);
        }
        Ok(())
    }

    fn any(&self, slot: &Slot) -> Option<Helper> {
        self.helpers().iter().find(|((other, _), _)| other == slot).map(|(_, helper)| helper.clone())
    }

    /// The turn to connect, where one has to be waited for: before anything was begun.
    async fn turn(&self, volume: Volume<'_>, op: &Op) -> Result<Turn> {
        let joins = self
            .helpers()
            .get(&(volume.slot.clone(), op.lane()))
            .is_some_and(|helper| helper.op.as_ref() == Some(op));
        if joins || !matches!(op, Op::Connect { .. }) {
            return Ok(None);
        }
        let message = "connects of this node take turns, and another one has not ended: nothing was begun";
        let turn = timeout_at(volume.deadline, self.connects.clone().lock_owned()).await;
        turn.map(Some).map_err(|_| Error::new(ErrorKind::Pending, message))
    }

    fn begin(self: &Arc<Self>, slot: &Slot, op: &Op, turn: Turn) -> Begun {
        let key = (slot.clone(), op.lane());
        let mut helpers = self.helpers();
        let is_ours =
            |helper: &&Helper| helper.op.as_ref() == Some(op) && (helper.is_running() || op.is_kept());
        if let Some(helper) = helpers.get(&key).filter(is_ours) {
            return Begun::Ours(helper.clone());
        }
        let in_the_way = |helper: &Helper| {
            let beside = helper.op.as_ref().is_some_and(|running| op.goes_beside(running));
            helper.is_running() && !beside
        };
        let mut others = helpers.iter().filter(|((other, _), _)| other == slot).map(|(_, helper)| helper);
        if let Some(other) = others.find(|helper| in_the_way(helper)) {
            return Begun::Other(other.clone());
        }
        // What ended and was not asked for is older than what begins now: nobody may take it for news.
        helpers.retain(|(other, _), helper| other != slot || helper.is_running());
        let process = Arc::<Process>::default();
        let work = self.clone().execute(key.clone(), op.clone(), process.clone(), turn);
        let helper = self.start(slot, Some(op.clone()), process, work);
        helpers.insert(key, helper.clone());
        Begun::Ours(helper)
    }

    async fn execute(self: Arc<Self>, key: Key, op: Op, process: Arc<Process>, turn: Turn) -> Result<Output> {
        let result = match &op {
            Op::Hold { target, .. } => hold::hold(&self.config, &self.roots, &op, target).await,
            Op::Release { target } => hold::release(&self.config, &op, target).await,
            _ => self.ask(key, op, &process).await,
        };
        // The kernel's mutex was held until here, awaited or not.
        drop(turn);
        result
    }

    /// Has a helper do it: one of the volume that waits, or a new one.
    async fn ask(&self, key: Key, op: Op, process: &Process) -> Result<Output> {
        let mut request = Request { roots: self.roots.clone(), op, answer: None, socket: None };
        let (key, burst) = match self.waiting.ask(&key, &mut request).await {
            Some(waiting) => waiting,
            None => {
                let files = self.files(&key);
                request.answer = Some(files.answer.clone());
                (key, Burst::start(&self.config, files, &request).await?)
            }
        };
        process.pid.store(burst.pid().unwrap_or(0), Ordering::Relaxed);
        let (result, lives) = burst.answer().await;
        lives.into_iter().for_each(|burst| self.waiting.keep(key.clone(), burst));
        result
    }

    /// Waits until the deadline; past it the helper goes on, and the error names it.
    async fn wait(&self, volume: Volume<'_>, helper: &Helper, kind: ErrorKind) -> Result<Result<Output>> {
        let mut outcome = helper.outcome.clone();
        match timeout_at(volume.deadline, outcome.wait_for(Option::is_some)).await {
            Ok(Ok(result)) => Ok(result.clone().unwrap_or_else(|| Err(lost(volume.slot)))),
            Ok(Err(_)) => Ok(Err(lost(volume.slot))),
            Err(_) => {
                helper.process.abandoned.store(true, Ordering::Relaxed);
                let message =
                    format!("{} of {} has not ended: {}", helper.name(), volume.slot, helper.process);
                Err(Error::new(kind, message))
            }
        }
    }

    /// Lets work go on whoever waits for it.
    fn start(
        &self,
        slot: &Slot,
        op: Option<Op>,
        process: Arc<Process>,
        work: impl Future<Output = Result<Output>> + Send + 'static,
    ) -> Helper {
        let (sender, outcome) = watch::channel(None);
        let (untold, slot) = (self.untold.clone(), slot.clone());
        tokio::spawn(async move {
            let result = work.await;
            // Before it can be handed over: what is handed over is told.
            untold.ended(&slot, &result);
            sender.send_replace(Some(result));
        });
        Helper { op, outcome, process }
    }

    pub(super) fn take_untold(&self, slot: &Slot) -> Option<Error> {
        self.untold.take(slot)
    }

    fn forget(&self, slot: &Slot, helper: &Helper) {
        let same = |other: &Helper| other.outcome.same_channel(&helper.outcome);
        self.helpers().retain(|(other, _), running| other != slot || !same(running));
    }

    pub(super) fn stuck(&self) -> Vec<Stuck> {
        let running =
            |helper: &Helper| helper.process.abandoned.load(Ordering::Relaxed) && helper.is_running();
        let all = self.helpers();
        let helpers = all.iter().filter(|(_, helper)| running(helper));
        helpers
            .map(|((slot, _), helper)| Stuck {
                slot: slot.clone(),
                operation: helper.name().to_owned(),
                pid: helper.process.pid(),
                uninterruptible: helper.process.is_uninterruptible(),
            })
            .collect()
    }
}

fn parse_key(file: &str) -> Option<Key> {
    let name = file.strip_suffix(".request")?;
    match name.strip_suffix(DISCONNECT) {
        Some(slot) => Some((Slot::parse(slot).ok()?, Lane::Disconnect)),
        None => Some((Slot::parse(name).ok()?, Lane::Ordinary)),
    }
}

fn lost(slot: &Slot) -> Error {
    Error::new(ErrorKind::Refused(None), format!("the helper of {slot} was lost"))
}

impl Helper {
    /// A task that panicked ended without an outcome, and nobody shall wait for one.
    fn is_running(&self) -> bool {
        self.outcome.borrow().is_none() && self.outcome.has_changed().is_ok()
    }

    fn name(&self) -> &'static str {
        self.op.as_ref().map_or("an operation of another version of the driver", Op::name)
    }
}

impl Process {
    fn pid(&self) -> Option<u32> {
        Some(self.pid.load(Ordering::Relaxed)).filter(|pid| *pid != 0)
    }

    fn is_uninterruptible(&self) -> bool {
        self.pid().is_some_and(hangs)
    }
}

impl std::fmt::Display for Process {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.pid(), self.is_uninterruptible()) {
            (None, _) => formatter.write_str("its helper goes on"),
            (Some(pid), false) => write!(formatter, "its helper (pid {pid}) goes on"),
            (Some(pid), true) => write!(formatter, "its helper (pid {pid}) hangs in the kernel (state D)"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::time::Duration;

    fn dispatcher(root: &std::path::Path) -> Arc<Dispatcher> {
        let config = Config::new(root.join("run")).unwrap();
        let roots = config.roots();
        Dispatcher::new(config, roots).unwrap()
    }

    /// As one that was abandoned, and ended then.
    async fn ended(dispatcher: &Dispatcher, slot: &Slot, op: Op, result: Result<Output>) {
        let key = (slot.clone(), op.lane());
        let helper = dispatcher.start(slot, Some(op), Arc::default(), async { result });
        let mut outcome = helper.outcome.clone();
        outcome.wait_for(Option::is_some).await.unwrap();
        dispatcher.helpers().insert(key, helper);
    }

    fn lost_pages() -> Result<Output> {
        Err(Error::new(ErrorKind::Unwritten, "syncfs: EIO"))
    }

    #[tokio::test]
    async fn a_loss_outlives_the_operation_that_nobody_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let dispatcher = dispatcher(root.path());
        let slot = Slot::parse("a").unwrap();
        let volume = Volume { slot: &slot, deadline: tokio::time::Instant::now() + Duration::from_secs(30) };
        // Nothing is held, so no process is needed.
        let release = || dispatcher.run(volume, Op::Release { target: "/nowhere".into() });
        for joined in [true, false] {
            ended(&dispatcher, &slot, Op::Sync { mountpoint: "/m".into() }, lost_pages()).await;
            if joined {
                dispatcher.join(volume).await.unwrap();
            }
            assert_eq!(release().await, lost_pages());
            assert_eq!(release().await, Ok(Output::Done));
        }
        ended(&dispatcher, &slot, Op::Sync { mountpoint: "/m".into() }, lost_pages()).await;
        assert_eq!(dispatcher.take_untold(&slot), lost_pages().err());
    }

    #[tokio::test]
    async fn a_driver_that_starts_reads_the_loss_that_nobody_has_read() {
        let root = tempfile::tempdir().unwrap();
        drop(dispatcher(root.path()));
        let (slot, helpers) = (Slot::parse("a").unwrap(), root.path().join("run/helpers"));
        std::fs::write(helpers.join("a.request"), "").unwrap();
        let mut answer = Vec::new();
        crate::protocol::write_answer(&mut answer, lost_pages()).unwrap();
        std::fs::write(helpers.join("a.answer"), answer).unwrap();
        let next = dispatcher(root.path());
        assert_eq!(next.take_untold(&slot), lost_pages().err());
        assert_eq!(std::fs::read_dir(helpers).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn what_ended_before_it_was_asked_for_is_no_answer() {
        let root = tempfile::tempdir().unwrap();
        let dispatcher = dispatcher(root.path());
        let slot = Slot::parse("a").unwrap();
        let volume = Volume { slot: &slot, deadline: tokio::time::Instant::now() + Duration::from_secs(30) };
        let release = Op::Release { target: "/nowhere".into() };
        let old = Err(Error::new(ErrorKind::Busy, "of before"));
        ended(&dispatcher, &slot, release.clone(), old).await;
        assert_eq!(dispatcher.run(volume, release).await, Ok(Output::Done));
    }

    #[tokio::test]
    async fn a_task_that_panicked_is_no_helper_that_is_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let dispatcher = dispatcher(root.path());
        let slot = Slot::parse("a").unwrap();
        let lost = dispatcher.start(&slot, None, Arc::default(), async { panic!("as a bug would") });
        dispatcher.helpers().insert((slot.clone(), Lane::Ordinary), lost);
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        // Nothing is held, so no process is needed.
        let op = Op::Release { target: "/nowhere".into() };
        assert_eq!(dispatcher.run(Volume { slot: &slot, deadline }, op).await, Ok(Output::Done));
    }
}
