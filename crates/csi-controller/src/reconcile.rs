//! The reconciler (requirement R19): closes what nobody wants any more and restores what stands, by the rules of
//! attachments.md ("Reconciler").
//!
//! It looks when the watches say that something may be left to do, when the device is back, when a grace or a
//! migration's deadline ends, again and again at a volume with a member that is not fenced, and at everything in a
//! regular interval. Nothing else is polled. A look at everything is one
//! list of the VolumeAttachments beside one streamed list of the disks; what seems to need something is then looked at
//! alone, under its lock, with a reading of its own and live answers.

mod kept;
mod look;
mod survey;

use std::time::Duration;

use routeros::Transport;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use volume::Slot;

use crate::agenda::Due;
use crate::{Cluster, Controller};
pub(crate) use look::Done;
pub(crate) use survey::Survey;

/// One list of 10,000 VolumeAttachments or disks takes a second or two; whoever needs longer is not serving.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Changes come in crowds (a drained node, a rollout): one look serves those of this time together, and the device,
/// which serves one request after another, is left to the calls.
const PAUSE: Duration = Duration::from_secs(3);

/// What failed is tried again after this, unless something calls for it earlier.
const RETRY: Duration = Duration::from_secs(15);

impl<T: Transport> Controller<T> {
    /// Looks after the attachments until `stop`, which is heeded at once but for a write that is under way.
    pub(crate) async fn reconcile(&self, stop: &CancellationToken) {
        let Some(cluster) = &self.cluster else { return };
        // The rebuild is the first look at everything: what wakes this meanwhile is looked at right after it.
        if stop.run_until_cancelled(self.gate.opened()).await.is_none() {
            return;
        }
        let mut regular = Instant::now() + self.attachments.reconcile_interval;
        let mut is_failing = false;
        loop {
            let Some(due) = stop.run_until_cancelled(self.next_look(cluster.as_ref(), regular)).await else {
                return;
            };
            if due == Due::All {
                regular = Instant::now() + self.attachments.reconcile_interval;
            }
            if self.gate.check().is_err() {
                // A doubt ends.
                self.put_off(&due);
            } else {
                match self.look_after(&due, stop).await {
                    Ok(()) => is_failing = false,
                    Err(_) if stop.is_cancelled() => return,
                    Err(error) => self.look_later(&due, &error, &mut is_failing),
                }
            }
            if stop.run_until_cancelled(sleep(PAUSE)).await.is_none() {
                return;
            }
        }
    }

    async fn next_look(&self, cluster: &dyn Cluster, regular: Instant) -> Due {
        tokio::select! {
            () = cluster.changed() => Due::All,
            () = sleep_until(regular) => Due::All,
            due = self.agenda.due() => due,
        }
    }

    async fn look_after(&self, due: &Due, stop: &CancellationToken) -> Result<(), Status> {
        match due {
            Due::All => self.metrics.reconcile(self.look_at_all(stop)).await.map(drop),
            Due::These(slots) => self.metrics.reconcile(self.look_at_some(slots, stop)).await.map(drop),
        }
    }

    /// Said once until it works again.
    fn look_later(&self, due: &Due, error: &Status, is_failing: &mut bool) {
        if !std::mem::replace(is_failing, true) {
            tracing::warn!("attachments cannot be looked after now, trying on: {}", error.message());
        }
        self.put_off(due);
    }

    fn put_off(&self, due: &Due) {
        let again = Instant::now() + RETRY;
        match due {
            Due::All => self.agenda.all_at(again),
            Due::These(slots) => slots.iter().for_each(|slot| self.agenda.look_at(slot, again)),
        }
    }

    async fn look_at_all(&self, stop: &CancellationToken) -> Result<Done, Status> {
        let survey = stop.run_until_cancelled(self.survey()).await.unwrap_or_else(|| Err(stopping()))?;
        self.look_at_some(&survey.adopted(self), stop).await
    }

    /// Looks at some volumes, those that are busy a little later.
    pub(crate) async fn look_at_some(
        &self,
        slots: &[Slot],
        stop: &CancellationToken,
    ) -> Result<Done, Status> {
        let mut done = Done::default();
        for slots in slots.chunks(look::AT_ONCE) {
            done += self.look_at_chunk(slots, stop).await?;
        }
        Ok(done)
    }
}

fn stopping() -> Status {
    Status::unavailable("the controller is stopping")
}
