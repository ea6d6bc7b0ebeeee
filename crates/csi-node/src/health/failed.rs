//! Asking file systems that are suspected whether they still write (node.md K9, rule 8).

use host::{Device, ErrorKind, Host, Volume};
use tokio::time::{Duration, Instant};
use volume::Slot;

use super::stale::Failure;
use super::{BUSY, Health, Look, find_stale};
use crate::Node;
use crate::attached::{Number as _, look_up};
use crate::error::Result;
use crate::mounted;
use crate::records::{Phase, StageRecord};
use crate::request::Form;

/// What one file system is given to answer: most have nothing to write. One that takes longer goes on in its helper and is
/// joined when it is asked again.
const ANSWER: Duration = Duration::from_secs(5);
/// What one look spends on all of them: outages are looked at meanwhile by nobody.
const ALL_ANSWERS: Duration = Duration::from_secs(10);

impl<H: Host> Node<H> {
    /// Asks those that are due, one after the other, as far as there is time. Returns when to look again for the others.
    pub(super) async fn ask_suspects(
        &self,
        look: &Look,
        records: &[StageRecord],
    ) -> Result<Option<Duration>> {
        let (until, mut left) = (Instant::now() + ALL_ANSWERS, false);
        for record in records {
            let now = Instant::now();
            if !self.health.lock().suspicions.is_due(&record.slot, now) {
                continue;
            }
            let Some(device) = mounted_device(look, record) else { continue };
            if now >= until || self.is_busy(&record.slot) {
                left = true;
                continue;
            }
            self.ask(look, record, &device).await?;
        }
        let due = self.health.lock().suspicions.due(Instant::now());
        Ok(due.into_iter().chain(left.then_some(BUSY)).min())
    }

    async fn ask(&self, look: &Look, record: &StageRecord, device: &Device) -> Result<()> {
        let slot = &record.slot;
        let now = Instant::now();
        self.health.lock().suspicions.asked(slot, now);
        let volume = Volume { slot, deadline: now + ANSWER };
        let error = match self.host.check(volume, device, &record.staging).await {
            Err(error) if error.kind == ErrorKind::Unwritten => error.to_string(),
            answer => {
                let is_settled =
                    answer.as_ref().map_or_else(|error| error.kind == ErrorKind::Missing, |()| true);
                if is_settled {
                    self.health.lock().suspicions.settled(slot);
                }
                tracing::info!(volume_id = %slot, %device, ?answer, "asked its file system whether it still writes");
                return Ok(());
            }
        };
        // The kernel may not say it again (node.md K9).
        self.say_loss(slot, record.nqn.as_str(), &error);
        // What a call has changed meanwhile may be mounted anew: it is asked again.
        if self.is_busy(slot) || self.records.load(slot)?.as_ref() != Some(record) {
            return Ok(());
        }
        let failure = Failure { device: device.number(), error };
        self.health.lock().failed(slot, failure.clone());
        let stale = find_stale(&self.host, &look.subsystems, &look.mounts, record, Some(&failure)).await?;
        self.note_stale(record, stale);
        Ok(())
    }

    fn is_busy(&self, slot: &Slot) -> bool {
        self.guard(slot, "a look at its health").is_err()
    }
}

impl Health {
    /// What is known of the failure of a volume's file system.
    pub(crate) fn failure(&self, slot: &Slot) -> Option<Failure> {
        self.lock().failures.get(slot).cloned()
    }

    /// It was unmounted, or mounted anew: what was known is of the one before.
    pub(crate) fn forget_failure(&self, slot: &Slot) {
        let mut memory = self.lock();
        memory.failures.remove(slot);
        memory.suspicions.settled(slot);
    }
}

/// The device of a file system that can be asked: it is mounted from the device that the volume is now, and the path is live,
/// since it would hang otherwise.
fn mounted_device(look: &Look, record: &StageRecord) -> Option<Device> {
    if record.phase != Phase::Staged || record.usage.form == Form::Block {
        return None;
    }
    let device = look_up(&look.subsystems, record.nqn.as_str(), 0).ok()?.device;
    let mounted = mounted::at(&look.mounts, &record.staging).into_iter().next_back()?;
    (mounted::number(mounted) == device.number()).then_some(device)
}
