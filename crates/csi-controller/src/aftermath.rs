//! What follows a write of an attachment: events, figures, the mirror on the PV, and the next look of the reconciler.

use std::time::Duration;

use attachment::{Happening, Request, happened};
use routeros::Transport;
use tokio::time::Instant;
use volume::{NodeRef, Record, Slot, VolumeContext};

use crate::Controller;
use crate::events::{News, name, names};
use crate::metrics::MigrationResult;

/// Whose write it was.
pub(crate) struct Occasion<'a> {
    /// What was asked.
    pub(crate) request: &'a Request,
    /// When the call began, for what it says of its duration.
    pub(crate) began: Instant,
    /// The volume context of a publish.
    pub(crate) context: Option<&'a VolumeContext>,
}

impl<T: Transport> Controller<T> {
    /// The device answered that it wrote `after` over `before`. Returns what happened by it.
    pub(crate) fn after_write(
        &self,
        slot: &Slot,
        before: &Record,
        after: &Record,
        occasion: &Occasion<'_>,
    ) -> Vec<Happening> {
        self.unsaid.overwritten(slot);
        let happenings = happened(before, after, occasion.request, (self.wall_clock)());
        for happening in &happenings {
            self.count(happening);
            self.say(slot, after, happening, occasion);
        }
        if before.holders != after.holders {
            self.mirror(slot, after);
        }
        let was_detached = happenings.iter().any(|it| matches!(it, Happening::Detached { .. }));
        if was_detached && after.holders.is_empty() {
            self.hand_offs.detached(slot, self.attachments.grace);
        }
        self.agenda.follow_migration(slot, after.migration, (self.wall_clock)());
        self.follow_unfenced(slot, after);
        self.metrics.migrations().set_active(self.agenda.migrations());
        happenings
    }

    /// What a happening is in figures.
    fn count(&self, happening: &Happening) {
        let migrations = self.metrics.migrations();
        match happening {
            Happening::StaleCleared { .. } => self.metrics.stale_cleared(),
            Happening::MigrationCompleted { seconds, .. } => {
                migrations.ended(MigrationResult::Success, Duration::from_secs(*seconds));
            }
            Happening::MigrationAborted { seconds, .. } => {
                migrations.ended(MigrationResult::Failed, Duration::from_secs(*seconds));
            }
            Happening::MigrationTimedOut { seconds, .. } => {
                migrations.ended(MigrationResult::Timeout, Duration::from_secs(*seconds));
            }
            Happening::Attached { .. }
            | Happening::Detached { .. }
            | Happening::Restored { .. }
            | Happening::LeftUnproven { .. }
            | Happening::Fenced { .. }
            | Happening::MigrationStarted { .. } => {}
        }
    }

    fn say(&self, slot: &Slot, after: &Record, happening: &Happening, occasion: &Occasion<'_>) {
        let claim = self.claim(slot, occasion.context);
        let tell = |news: News<'_>| self.tell(slot, claim.clone(), &news);
        match happening {
            Happening::Attached { node } => {
                tell(News::Attached { node: &name(node), took: occasion.began.elapsed() });
            }
            Happening::Detached { node } => tell(News::Detached { node: &name(node) }),
            Happening::StaleCleared { node } => tell(News::StaleCleared { node: &name(node) }),
            Happening::LeftUnproven { node } => {
                tell(News::LeftUnproven { node: &name(node), staying: &names(&after.holders) });
            }
            Happening::Restored { node } => {
                tracing::info!(%slot, %node, "an attachment that stands is restored")
            }
            Happening::Fenced { node } => tracing::info!(%slot, %node, "a member that left is fenced"),
            Happening::MigrationStarted { source, target, timeout_seconds } => {
                let timeout = Duration::from_secs(*timeout_seconds);
                tell(News::MigrationStarted { source: &name(source), target: &name(target), timeout });
            }
            Happening::MigrationCompleted { source, target, seconds } => {
                let took = Duration::from_secs(*seconds);
                tell(News::MigrationCompleted { source: &name(source), target: &name(target), took });
            }
            Happening::MigrationAborted { source, target, seconds } => {
                let reason = format!("the target left after {seconds}s");
                let (source, target) = (name(source), name(target));
                tell(News::MigrationFailed { source: &source, target: &target, reason: &reason });
            }
            Happening::MigrationTimedOut { source, target, seconds } => {
                let reason =
                    format!("timed out after {seconds}s; both nodes keep the volume, and no third gets it");
                let (source, target) = (name(source), name(target));
                tell(News::MigrationFailed { source: &source, target: &target, reason: &reason });
            }
        }
    }

    /// The annotation for people: the node that had the volume first.
    fn mirror(&self, slot: &Slot, after: &Record) {
        if let Some(cluster) = &self.cluster {
            cluster.mirror(slot, after.holders.first().and_then(NodeRef::node_id).as_ref());
        }
    }
}
