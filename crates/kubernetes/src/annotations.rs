//! Who has a volume, mirrored on its PV for people (R21). Never read back as truth, and nothing waits for it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use volume::{NodeId, Slot};

use crate::ask::ask;
use crate::edge::Edge;
use crate::{ApiError, Claims};

/// The Node's name; absent while the volume is attached nowhere.
pub const ATTACHED_NODE: &str = "rds.csi.srvlab.io/attached-node";
/// Since when, RFC 3339.
pub const ATTACHED_AT: &str = "rds.csi.srvlab.io/attached-at";

/// Volumes whose latest state waits to be written: as many events wait at most.
const CAPACITY: usize = 1000;
/// For one patch: a slow API server may take its time, since nobody waits.
const REQUEST: Duration = Duration::from_secs(30);
/// Between two attempts while the API server does not answer.
const PAUSE: Duration = Duration::from_secs(2);
/// For a PV that the watch has not shown yet, or that is refused: after these it is let go.
const ATTEMPTS: u32 = 5;

/// What is to be written on the PVs of a volume.
#[derive(Clone, Debug)]
struct Pending {
    /// Where it is attached, since when.
    attached: Option<(NodeId, Timestamp)>,
    attempts: u32,
}

#[derive(Default)]
struct Queue {
    latest: Mutex<BTreeMap<Slot, Pending>>,
    filled: Notify,
}

/// Writes the annotations, the latest state of each volume; clones share the queue.
#[derive(Clone)]
pub struct Mirror {
    queue: Arc<Queue>,
}

impl Mirror {
    /// Starts the writer, which runs until `stop`.
    #[must_use]
    pub fn start(client: Client, claims: Claims, stop: CancellationToken) -> Self {
        let queue = Arc::<Queue>::default();
        let writer = Writer { queue: Arc::clone(&queue), api: Api::all(client), claims };
        tokio::spawn(stop.run_until_cancelled_owned(writer.run()));
        Self { queue }
    }

    /// Hands the latest state over; a full queue drops what it did not hold yet.
    pub fn set(&self, slot: &Slot, attached: Option<&NodeId>) {
        let attached = attached.map(|node| (node.clone(), Timestamp::now()));
        let mut latest = self.queue.latest();
        if latest.len() < CAPACITY || latest.contains_key(slot) {
            latest.insert(slot.clone(), Pending { attached, attempts: 0 });
        }
        drop(latest);
        self.queue.filled.notify_one();
    }
}

impl Queue {
    fn latest(&self) -> std::sync::MutexGuard<'_, BTreeMap<Slot, Pending>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn next(&self) -> (Slot, Pending) {
        loop {
            let first = self.latest().pop_first();
            match first {
                Some(first) => return first,
                None => self.filled.notified().await,
            }
        }
    }

    /// Puts a state back, unless a newer one has come.
    fn put_back(&self, slot: Slot, pending: Pending) {
        if let Entry::Vacant(entry) = self.latest().entry(slot) {
            entry.insert(pending);
        }
    }
}

struct Writer {
    queue: Arc<Queue>,
    api: Api<PersistentVolume>,
    claims: Claims,
}

impl Writer {
    async fn run(self) {
        let mut edge = Edge::new("annotating PersistentVolumes");
        self.claims.synced().await;
        loop {
            let (slot, mut pending) = self.queue.next().await;
            match self.write(&slot, &pending).await {
                Ok(true) => edge.worked(),
                Ok(false) => self.again(slot, &mut pending).await,
                Err(error) if error.is_retriable() => {
                    edge.failed(&error);
                    self.queue.put_back(slot, pending);
                    sleep(PAUSE).await;
                }
                // Seen of 1.36: one that has just started refuses everybody until it has read the roles.
                Err(error) if error.is_refusal() => {
                    edge.failed(&error);
                    self.again(slot, &mut pending).await;
                }
                Err(error) => edge.failed(&error),
            }
        }
    }

    async fn again(&self, slot: Slot, pending: &mut Pending) {
        pending.attempts += 1;
        if pending.attempts < ATTEMPTS {
            self.queue.put_back(slot, pending.clone());
            sleep(PAUSE).await;
        }
    }

    /// Whether there was a PV to write on.
    async fn write(&self, slot: &Slot, pending: &Pending) -> Result<bool, ApiError> {
        let names = self.claims.persistent_volumes(slot);
        let patch = Patch::Merge(patch(pending.attached.as_ref()));
        let parameters = PatchParams::default();
        for name in &names {
            let request = || format!("annotating PersistentVolume {name}");
            let answer = self.api.patch_metadata(name, &parameters, &patch);
            match ask(request, Instant::now() + REQUEST, answer).await {
                Err(error) if error.is_not_found() => {}
                answer => drop(answer?),
            }
        }
        Ok(!names.is_empty())
    }
}

fn patch(attached: Option<&(NodeId, Timestamp)>) -> serde_json::Value {
    let node = attached.map(|(node, _)| node.name());
    // Whole seconds: it is for people.
    let at = attached.map(|(_, at)| format!("{at:.0}"));
    json!({"metadata": {"annotations": {ATTACHED_NODE: node, ATTACHED_AT: at}}})
}
