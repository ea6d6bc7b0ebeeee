//! What is known of a volume on this node, looked at once for each call.

use host::{Host, MountEntry, Subsystem};
use volume::{NqnPrefix, Slot};

use crate::Node;
use crate::attached;
use crate::error::Result;
use crate::records::StageRecord;

/// The record, sysfs and the mounts.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) record: Option<StageRecord>,
    pub(crate) subsystems: Vec<Subsystem>,
    pub(crate) mounts: Vec<MountEntry>,
}

impl Seen {
    /// Looks. What is live is not fenced, whatever was said of it before: its next outage is another one.
    ///
    /// # Errors
    /// Where one of them cannot be read: then nothing is known, and nothing is done.
    pub(crate) async fn observe<H: Host>(node: &Node<H>, slot: &Slot) -> Result<Self> {
        let seen = Self {
            record: node.records.load(slot)?,
            subsystems: node.host.subsystems().await?,
            mounts: node.host.mounts().await?,
        };
        node.fences.forget(seen.live());
        Ok(seen)
    }

    /// Every generation of the volume that sysfs shows (node.md rule 12), and the record's.
    pub(crate) fn nqns(&self, slot: &Slot, prefix: &NqnPrefix) -> Vec<String> {
        let shown = attached::of_slot(&self.subsystems, prefix, slot);
        let mut nqns: Vec<String> = shown.iter().map(|subsystem| subsystem.nqn.clone()).collect();
        nqns.extend(self.record.iter().map(|record| record.nqn.to_string()));
        nqns.sort();
        nqns.dedup();
        nqns
    }

    /// The NQNs whose path is live.
    fn live(&self) -> impl Iterator<Item = &str> {
        let nqns = self.subsystems.iter().map(|subsystem| subsystem.nqn.as_str());
        nqns.filter(|nqn| !attached::live_controllers(&self.subsystems, nqn).is_empty())
    }

    /// A generation that has controllers, none of which is live.
    pub(crate) fn path_down<'a>(&self, mut nqns: impl Iterator<Item = &'a str>) -> Option<&'a str> {
        nqns.find(|nqn| {
            !attached::controllers(&self.subsystems, nqn).is_empty()
                && attached::live_controllers(&self.subsystems, nqn).is_empty()
        })
    }
}
