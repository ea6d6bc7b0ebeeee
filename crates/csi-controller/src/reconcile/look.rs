//! A look at single volumes: under their locks, with one live list for those that are looked at together.

use std::ops::AddAssign;

use attachment::{Change, ExportChange, Facts, Happening, KubernetesFacts, Plan, Request, unwanted};
use csi_server::InFlightGuard;
use routeros::Transport;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use volume::Slot;

use super::survey::Listed;
use super::{READ_TIMEOUT, RETRY, stopping};
use crate::Controller;
use crate::aftermath::Occasion;
use crate::observe::{Found, Volume};
use crate::{device_error, metrics::Metrics};

/// Volumes that share one list, and are locked for as long as it and their writes take: a call that meets the lock is
/// made again.
pub(super) const AT_ONCE: usize = 16;

/// Writes of one look at most: what closes may be followed by what restores and what notes.
const MOST_STEPS: usize = 8;

/// What was done, in figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Done {
    /// Attachments that nobody wants any more, dropped.
    pub(crate) cleared: usize,
    /// Exports closed.
    pub(crate) closed: usize,
    /// Attachments or exports restored.
    pub(crate) restored: usize,
}

impl AddAssign for Done {
    fn add_assign(&mut self, other: Self) {
        self.cleared += other.cleared;
        self.closed += other.closed;
        self.restored += other.restored;
    }
}

impl<T: Transport> Controller<T> {
    pub(super) async fn look_at_chunk(
        &self,
        slots: &[Slot],
        stop: &CancellationToken,
    ) -> Result<Done, Status> {
        let locked = self.lock_free(slots);
        let deadline = Instant::now() + READ_TIMEOUT;
        // After the locks: nobody is granted what this list does not show.
        let all = stop.run_until_cancelled(self.all_attachments(deadline)).await;
        let listed = Listed::of(all.unwrap_or_else(|| Err(stopping()))?);
        let mut done = Done::default();
        for (slot, _lock) in locked {
            match self.look_at_one(&slot, &listed, stop).await {
                Ok(one) => done += one,
                Err(error) => self.look_again(&slot, &error),
            }
        }
        Ok(done)
    }

    /// The volumes that no call works on; the others are looked at soon.
    fn lock_free(&self, slots: &[Slot]) -> Vec<(Slot, InFlightGuard)> {
        let lock = |slot: &Slot| match self.in_flight.try_start(slot.as_str(), "the reconciler's look") {
            Ok(lock) => Some((slot.clone(), lock)),
            Err(_) => {
                self.agenda.look_at(slot, Instant::now() + RETRY);
                None
            }
        };
        slots.iter().filter_map(lock).collect()
    }

    fn look_again(&self, slot: &Slot, error: &Status) {
        tracing::warn!(%slot, "nothing is done about it now: {}", error.message());
        self.agenda.look_at(slot, Instant::now() + RETRY);
    }

    async fn look_at_one(
        &self,
        slot: &Slot,
        listed: &Listed,
        stop: &CancellationToken,
    ) -> Result<Done, Status> {
        let mut done = Done::default();
        for _ in 0..MOST_STEPS {
            let deadline = Instant::now() + READ_TIMEOUT;
            let next = stop.run_until_cancelled(self.next_step(slot, listed, deadline)).await;
            let Some(step) = next.unwrap_or_else(|| Err(stopping()))? else { return Ok(done) };
            // Not cut short: what is sent must end before this process says that it leads no more.
            done += self.apply_step(&step, deadline).await?;
        }
        Err(Status::internal(format!("volume {slot}: the reconciler plans without end: this is a bug")))
    }

    /// What is to be written next, if anything; the nodes that stay are told before.
    async fn next_step(
        &self,
        slot: &Slot,
        listed: &Listed,
        deadline: Instant,
    ) -> Result<Option<Step>, Status> {
        let Found::Ours(volume) = self.find(slot, deadline).await? else {
            self.unwanted.forget(slot);
            return Ok(None);
        };
        if let Some(until) = self.writes.doubtful_until(slot) {
            // What it is decided by may still change; nobody waits for this look.
            self.agenda.look_at(slot, until.max(Instant::now() + RETRY));
            return Ok(None);
        }
        let may_close = self.may_close();
        let (request, facts) = self.reconcile_request(&volume, listed);
        match self.decide(&volume, &request, facts, deadline).await? {
            Plan::Close(change) | Plan::Restore(change) | Plan::Note(change) | Plan::Detach(change) => {
                self.mark_before(slot, &volume.record, &change.record, deadline).await?;
                Ok(Some(Step { volume: *volume, request, change }))
            }
            _ => {
                self.next_age(slot, may_close);
                self.follow_unfenced(slot, &volume.record);
                Ok(None)
            }
        }
    }

    fn reconcile_request(&self, volume: &Volume, listed: &Listed) -> (Request, Facts) {
        let attachments = listed.of_volume(&volume.slot);
        let unwanted = unwanted(&volume.observed(), &attachments, &self.terms(&volume.slot));
        let request = Request::Reconcile(self.unwanted.seen(&volume.slot, &unwanted));
        let known = KubernetesFacts { attachments: Some(attachments), ..KubernetesFacts::default() };
        (request, Facts::Kubernetes(known))
    }

    /// What is too young to be closed is looked at when it is not, and what could not be closed by the time of the
    /// look is tried again.
    fn next_age(&self, slot: &Slot, could_close: bool) {
        let grace = self.attachments.grace;
        let due = if could_close { self.unwanted.due(slot, grace) } else { Some(Instant::now() + RETRY) };
        if let Some(due) = due {
            self.agenda.look_at(slot, due);
        }
    }

    async fn apply_step(&self, step: &Step, deadline: Instant) -> Result<Done, Status> {
        let Step { volume, request, change } = step;
        let slot = &volume.slot;
        let port = volume.row.nvme_tcp_server_port.unwrap_or(self.config.nvme_address.port);
        let written = self.write(volume, change, port, deadline).await;
        let doing = format!("reconciling volume {slot}");
        let written = written.map_err(|error| device_error::status(&doing, &error))?;
        let occasion = Occasion { request, began: Instant::now(), context: None };
        let happenings = self.after_write(slot, &volume.record, &written.record, &occasion);
        Ok(counted(&self.metrics, change, &happenings))
    }
}

/// A write that was decided on.
struct Step {
    volume: Volume,
    request: Request,
    change: Change,
}

fn counted(metrics: &Metrics, change: &Change, happenings: &[Happening]) -> Done {
    let is_cleared = |happening: &&Happening| matches!(happening, Happening::StaleCleared { .. });
    let cleared = happenings.iter().filter(is_cleared).count();
    let closed = usize::from(change.export == ExportChange::Close);
    let reopened = matches!(change.export, ExportChange::Open { .. });
    let is_back = |happening: &Happening| matches!(happening, Happening::Restored { .. });
    let restored = usize::from(reopened || happenings.iter().any(is_back));
    for (count, action) in [(cleared, "clear_stale"), (closed, "close_export"), (restored, "restore_export")]
    {
        (0..count).for_each(|_| metrics.reconciled(action));
    }
    Done { cleared, closed, restored }
}
