//! This controller's part in the election: it contends once its socket is open, and gives the Lease back after its
//! last request has ended.

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::anyhow;
use csi_controller::Leadership;
use kubernetes::{Client, Leader, LeaseName, Terms};
use tokio::time::Instant;

use crate::arguments::election::ElectionArguments;
use crate::cluster::Cluster;
use crate::failure::Failure;

/// What the last request to the API server gets; the Lease runs out by itself where it does not answer.
const RELEASE: Duration = Duration::from_secs(3);

/// An election that this process may take part in.
pub(super) struct Election {
    client: Client,
    lease: LeaseName,
    process: String,
    terms: Terms,
    leader: OnceLock<Leader>,
}

impl Election {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// Where nobody said in which namespace the Lease is.
    pub(super) fn new(
        cluster: &Cluster,
        driver: &str,
        arguments: ElectionArguments,
    ) -> Result<Self, Failure> {
        let ElectionArguments { lease_namespace, lease_name, lease_duration } = arguments;
        let namespace = lease_namespace.or_else(|| cluster.namespace().map(str::to_owned));
        let unknown =
            || Failure::Setup(anyhow!("--lease-namespace is required where POD_NAMESPACE is not set"));
        Ok(Self {
            client: cluster.client.clone(),
            lease: LeaseName {
                namespace: namespace.ok_or_else(unknown)?,
                // Names of objects are lower case, names of drivers need not be.
                name: lease_name.unwrap_or_else(|| driver.to_lowercase()),
            },
            process: cluster.reporter("", "rds-csi-controller").instance,
            terms: terms(lease_duration),
            leader: OnceLock::new(),
        })
    }

    /// Contends from now on; returns when this process leads.
    pub(super) async fn won(&self) {
        let start = || Leader::start(self.client.clone(), self.lease.clone(), &self.process, self.terms);
        self.leader.get_or_init(start).elected().await;
    }

    /// Returns when a leadership that was won is lost: the process must end.
    pub(super) async fn lost(&self) -> Failure {
        self.won().await;
        match self.leader.get() {
            Some(leader) => leader.lost().cancelled().await,
            None => std::future::pending().await,
        }
        let LeaseName { namespace, name } = &self.lease;
        Failure::Serving(anyhow!(
            "Lease {namespace}/{name} is lost: another controller may lead, so this one ends"
        ))
    }

    /// After the last request has ended: another may lead at once.
    pub(super) async fn release(&self) {
        if let Some(leader) = self.leader.get() {
            leader.release(Instant::now() + RELEASE).await;
        }
    }
}

impl Leadership for Election {
    fn sends_until(&self) -> Option<Instant> {
        self.leader.get()?.sends_until()
    }

    fn term(&self) -> u32 {
        self.leader.get().map_or(0, Leader::term)
    }

    fn doubt(&self) {
        if let Some(leader) = self.leader.get() {
            leader.check_now();
        }
    }
}

/// The times of an election whose leases last so long, in the proportions of the usual ones.
fn terms(duration: Duration) -> Terms {
    let usual = Terms::default();
    let scaled = |time: Duration| time.mul_f64(duration.as_secs_f64() / usual.duration.as_secs_f64());
    Terms {
        duration,
        margin: scaled(usual.margin),
        renew: scaled(usual.renew),
        poll: scaled(usual.poll),
        request: scaled(usual.request),
    }
}
