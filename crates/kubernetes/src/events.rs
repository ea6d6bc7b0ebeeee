//! Posts events (requirements R1 to R15) to `events.k8s.io/v1`, through one bounded queue and one worker.
//!
//! kube's own recorder is not used: it takes a repeat for the same event whatever its message says, and sends the
//! first message again (an API server lets no message change), so "Attached to node b" would be lost in the series
//! of "Attached to node a". Nor does it cut what the API server refuses for its length. See [`series`].

mod metrics;
mod post;
mod series;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kube::Client;
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use volume::{Event, Events};

use metrics::{Dropped, Metrics};
use post::Worker;

/// Events that wait at most: an hour's worth of a busy controller, a few hundred bytes each.
const CAPACITY: usize = 1000;
/// For one request, a connection included: an API server that takes five seconds for everything still gets them.
const REQUEST: Duration = Duration::from_secs(30);

/// In whose name events are posted (R14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reporter {
    /// The reporting controller: `rds-csi-controller` or `rds-csi-node`.
    pub component: &'static str,
    /// The reporting instance: the pod's name, or the host's.
    pub instance: String,
    /// The pod itself; `None`: events on it go nowhere.
    pub own_pod: Option<OwnPod>,
}

/// The pod that this process runs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID; empty where it is not known.
    pub uid: String,
}

/// Takes events and posts them beside everything else.
pub struct EventRecorder {
    queue: mpsc::Sender<Event>,
    metrics: Metrics,
    closing: CancellationToken,
    worker: Mutex<Option<JoinHandle<()>>>,
}

impl EventRecorder {
    /// Starts the worker and shows its counters in `registry`.
    #[must_use]
    pub fn start(client: Client, reporter: Reporter, registry: &mut Registry) -> Self {
        let (sender, queue) = mpsc::channel(CAPACITY);
        let metrics = Metrics::register(registry);
        let closing = CancellationToken::new();
        let worker = Worker::new(client, reporter, metrics.clone(), REQUEST);
        let worker = tokio::spawn(worker.run(queue, closing.clone()));
        Self { queue: sender, metrics, closing, worker: Mutex::new(Some(worker)) }
    }

    /// Takes no more events, and waits until what waits is posted, but not beyond `deadline`.
    pub async fn drain(&self, deadline: Instant) {
        self.closing.cancel();
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut worker) = worker else { return };
        if timeout_at(deadline, &mut worker).await.is_err() {
            tracing::warn!("events are left unposted at shutdown");
            worker.abort();
        }
    }
}

impl Events for EventRecorder {
    fn post(&self, event: Event) {
        if self.queue.try_send(event).is_err() {
            self.metrics.dropped(Dropped::QueueFull);
        }
    }
}
