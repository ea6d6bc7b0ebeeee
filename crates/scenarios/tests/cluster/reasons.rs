//! All that the driver says in Events from some moment on, held against what is expected.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use scenarios::{NAMESPACE, WholeCluster};
use testbed::{Event, wait_until};

use crate::said::{CONTROLLER, NODE};

/// The reasons of all Events of a story.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reasons {
    /// Each is given.
    pub(crate) always: &'static [&'static str],
    /// Each may be, by who is faster.
    pub(crate) perhaps: &'static [&'static str],
}

impl Reasons {
    /// Those, and no other.
    pub(crate) const fn just(always: &'static [&'static str]) -> Self {
        Self { always, perhaps: &[] }
    }
}

/// Of a story whose volumes come to nodes and leave them, and nothing else.
pub(crate) const COMES_AND_GOES: Reasons = Reasons::just(&["VolumeAttached", "VolumeDetached"]);

/// All that the driver has said until some moment: each Event by its UID, with how often.
pub(crate) struct Said(BTreeMap<String, u64>);

impl Said {
    /// Until now.
    pub(crate) fn so_far(cluster: &WholeCluster) -> Result<Self> {
        Ok(Self(all(cluster)?.into_iter().map(|event| (event.id, event.times)).collect()))
    }

    /// Waits until a controller said since, on its own pod: with this type and reason, and words that are in the message,
    /// which is answered.
    pub(crate) fn of_controller(
        &self,
        cluster: &WholeCluster,
        (level, reason): (&str, &str),
        words: &str,
    ) -> Result<String> {
        let mut new = Vec::new();
        let found = wait_until(reason, WholeCluster::SOON, || {
            let Ok(now) = self.since(cluster) else { return Ok(None) };
            new = now;
            let wanted = |event: &&Event| {
                (event.level.as_str(), event.reason.as_str()) == (level, reason)
                    && (event.kind.as_str(), event.namespace.as_str()) == ("Pod", NAMESPACE)
                    && event.component == CONTROLLER
                    && event.message.contains(words)
            };
            Ok(new.iter().find(wanted).map(|event| event.message.clone()))
        });
        found.with_context(|| format!("{level} {reason} with {words:?} of {}", lines(&new)))
    }

    /// Waits until every reason was given since that always is; no unexpected one may be.
    pub(crate) fn just(&self, cluster: &WholeCluster, reasons: Reasons) -> Result<()> {
        let mut new = Vec::new();
        let all_said = wait_until("an Event of each reason", WholeCluster::SOON, || {
            let Ok(now) = self.since(cluster) else { return Ok(None) };
            new = now;
            let said: BTreeSet<&str> = new.iter().map(|event| event.reason.as_str()).collect();
            Ok(reasons.always.iter().all(|reason| said.contains(reason)).then_some(()))
        });
        all_said.with_context(|| format!("{reasons:?} of {}", lines(&new)))?;
        let expected = [reasons.always, reasons.perhaps].concat();
        new.retain(|event| !expected.contains(&event.reason.as_str()));
        ensure!(new.is_empty(), "nobody expects {}", lines(&new));
        Ok(())
    }

    /// What was said since, or again.
    fn since(&self, cluster: &WholeCluster) -> Result<Vec<Event>> {
        let mut events = all(cluster)?;
        events.retain(|event| self.0.get(&event.id).is_none_or(|times| event.times > *times));
        Ok(events)
    }
}

/// As `kubectl get events` reads it, of both roles.
fn all(cluster: &WholeCluster) -> Result<Vec<Event>> {
    let of = |component| cluster.control_plane.events_of(component);
    Ok([of(CONTROLLER)?, of(NODE)?].concat())
}

fn lines(events: &[Event]) -> String {
    let line =
        |event: &Event| format!("{} on {} {}: {}", event.reason, event.kind, event.name, event.message);
    format!("{:#?}", events.iter().map(line).collect::<Vec<_>>())
}
