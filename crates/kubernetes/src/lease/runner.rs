//! Does what the [`Candidate`] decides, for as long as the process lives.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::object::{announced, fresh, held, released};
use super::{Candidate, Decision, LeaseName, Observed, Terms};
use crate::ask::ask;
use crate::edge::Edge;
use crate::{ApiError, BootClock, BootTime};

/// After another writer was first: time for its write to be read.
const CONTEST_PAUSE: Duration = Duration::from_millis(100);
/// Attempts to release, each against another writer: one that loses them all leaves it to the duration.
const RELEASE_ATTEMPTS: u32 = 3;

/// This process's part in the election; clones share it.
#[derive(Clone)]
pub struct Leader {
    shared: Arc<Shared>,
}

struct Shared {
    api: Api<Lease>,
    name: LeaseName,
    terms: Terms,
    clock: BootClock,
    candidate: Mutex<Candidate>,
    elected: watch::Sender<bool>,
    check: Notify,
    lost: CancellationToken,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Leader {
    /// Starts to contend. The identity is `process` with a random part, so no two processes share one.
    #[must_use]
    pub fn start(client: Client, name: LeaseName, process: &str, terms: Terms) -> Self {
        Self::start_with(client, name, process, terms, BootTime::now)
    }

    /// The same on another clock.
    #[must_use]
    pub fn start_with(
        client: Client,
        name: LeaseName,
        process: &str,
        terms: Terms,
        clock: BootClock,
    ) -> Self {
        let identity = format!("{process}_{:016x}", rand::random::<u64>());
        let shared = Arc::new(Shared {
            api: Api::namespaced(client, &name.namespace),
            name,
            terms,
            clock,
            candidate: Mutex::new(Candidate::new(identity, terms)),
            elected: watch::Sender::new(false),
            check: Notify::new(),
            lost: CancellationToken::new(),
            stop: CancellationToken::new(),
            task: Mutex::new(None),
        });
        let task = tokio::spawn(shared.stop.clone().run_until_cancelled_owned(run(Arc::clone(&shared))));
        let task = tokio::spawn(async move { drop(task.await) });
        *shared.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        Self { shared }
    }

    /// Waits until this process leads for the first time.
    pub async fn elected(&self) {
        // It ends only with the sender, which this value holds.
        let _ = self.shared.elected.subscribe().wait_for(|elected| *elected).await;
    }

    /// Until when requests may be sent: the start of the last renewal that succeeded, plus the lease's duration,
    /// less the margin. `None`: this process does not lead.
    ///
    /// It is computed from a clock that counts suspend ([`BootTime`]); the answer is on tokio's, which does not, so
    /// it is to be asked for anew before each request.
    #[must_use]
    pub fn sends_until(&self) -> Option<Instant> {
        let now = (self.shared.clock)();
        let until = self.shared.candidate().sends_until(now)?;
        Some(Instant::now() + until.left(now))
    }

    /// The term of this leadership, for records; 0 before.
    #[must_use]
    pub fn term(&self) -> u32 {
        self.shared.candidate().term()
    }

    /// A record holds this term: the own one is above it from now on.
    pub fn raise_term(&self, seen: u32) {
        self.shared.candidate().raise_term(seen);
    }

    /// Reads the Lease again at once.
    pub fn check_now(&self) {
        self.shared.check.notify_one();
    }

    /// Is cancelled when leadership is lost: the process must end.
    #[must_use]
    pub fn lost(&self) -> CancellationToken {
        self.shared.lost.clone()
    }

    /// Who this process is in the election.
    #[must_use]
    pub fn identity(&self) -> String {
        self.shared.candidate().identity().to_owned()
    }

    /// Gives the Lease back, so that another may lead at once: only after the last request to the device has ended.
    /// Nothing may be sent from here on, whatever becomes of it.
    pub async fn release(&self, deadline: Instant) {
        self.shared.stop.cancel();
        let task = self.shared.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // Ends at once: what it was asking is dropped.
            let _ = task.await;
        }
        let led = self.shared.candidate().release((self.shared.clock)());
        if led && let Err(error) = self.shared.give_back(deadline).await {
            warn!(%error, "the Lease was not released; it runs out by itself");
        }
    }
}

async fn run(shared: Arc<Shared>) {
    let mut edge = Edge::new("the Lease");
    // What this process wrote last, while nothing speaks against it.
    let mut own = None;
    loop {
        let pause = match shared.step(own.take()).await {
            Ok((pause, written)) => {
                edge.worked();
                own = written;
                pause
            }
            Err(error) if error.is_conflict() => CONTEST_PAUSE,
            Err(error) => {
                edge.failed(&error);
                shared.terms.poll
            }
        };
        if shared.candidate().is_over((shared.clock)()) {
            warn!("leadership is lost");
            shared.lost.cancel();
            return;
        }
        tokio::select! {
            () = sleep(shared.until_expiry(pause)) => {}
            () = shared.check.notified() => own = None,
        }
    }
}

impl Shared {
    fn candidate(&self) -> MutexGuard<'_, Candidate> {
        self.candidate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `pause`, or less where the own time runs out before.
    fn until_expiry(&self, pause: Duration) -> Duration {
        let now = (self.clock)();
        let until = self.candidate().sends_until(now);
        until.map_or(pause, |until| pause.min(until.left(now)))
    }

    /// Reads, unless it is known that the Lease is as it was written, decides, writes; says how long to wait, and
    /// what it wrote.
    async fn step(&self, own: Option<Lease>) -> Result<(Duration, Option<Lease>), ApiError> {
        let started = Instant::now();
        // A write goes only over the version it names: where another has written since, it fails.
        let lease = match own {
            Some(lease) => Some(lease),
            None => self.read().await?,
        };
        let decision = {
            let observed = lease.as_ref().map(Observed::of);
            self.candidate().observe(observed, (self.clock)())
        };
        let lease = lease.unwrap_or_else(|| fresh(&self.name));
        match decision {
            Decision::Wait(pause) => Ok((pause, None)),
            Decision::Lost => Ok((Duration::ZERO, None)),
            Decision::Announce(transitions) => {
                self.send(&announced(lease, transitions)).await?;
                Ok((self.terms.poll, None))
            }
            Decision::Take(transitions) | Decision::Keep(transitions) => {
                let written = self.hold(lease, transitions).await?;
                Ok((self.terms.renew.saturating_sub(started.elapsed()), Some(written)))
            }
        }
    }

    async fn read(&self) -> Result<Option<Lease>, ApiError> {
        let name = &self.name.name;
        ask(|| format!("reading Lease {name}"), self.request_deadline(), self.api.get_opt(name)).await
    }

    async fn hold(&self, lease: Lease, transitions: u32) -> Result<Lease, ApiError> {
        let identity = self.candidate().identity().to_owned();
        let started = (self.clock)();
        let written = self.send(&held(lease, &identity, transitions, self.terms.duration)).await?;
        self.candidate().wrote(transitions, started, (self.clock)());
        if !self.elected.send_replace(true) {
            info!(%identity, transitions, "this process leads");
        }
        Ok(written)
    }

    /// Writes over exactly the version that was read, or where there was none; answers what is there now.
    async fn send(&self, lease: &Lease) -> Result<Lease, ApiError> {
        let (name, parameters) = (&self.name.name, PostParams::default());
        let deadline = self.request_deadline();
        if lease.metadata.resource_version.is_some() {
            let answer = self.api.replace(name, &parameters, lease);
            ask(|| format!("writing Lease {name}"), deadline, answer).await
        } else {
            let answer = self.api.create(&parameters, lease);
            ask(|| format!("creating Lease {name}"), deadline, answer).await
        }
    }

    fn request_deadline(&self) -> Instant {
        Instant::now() + self.until_expiry(self.terms.request)
    }

    async fn give_back(&self, deadline: Instant) -> Result<(), ApiError> {
        let identity = self.candidate().identity().to_owned();
        let name = &self.name.name;
        for _ in 0..RELEASE_ATTEMPTS {
            let request = || format!("releasing Lease {name}");
            let Some(lease) = ask(request, deadline, self.api.get_opt(name)).await? else { return Ok(()) };
            if Observed::of(&lease).holder != identity {
                return Ok(());
            }
            let lease = released(lease, &identity);
            match ask(request, deadline, self.api.replace(name, &PostParams::default(), &lease)).await {
                Err(error) if error.is_conflict() => {}
                answer => return answer.map(drop),
            }
        }
        Ok(())
    }
}
