//! Looks after the management connection (R28): for ever, with backoff, beside all calls.

mod metrics;

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use csi_server::Readiness;
use prometheus_client::registry::Registry;
use routeros::{Client, ProbeReport, RestTransport, Severity};
use tokio::time::{Instant, sleep};

use crate::device::Device;
use crate::failure::one_line;
use metrics::ConnectionMetrics;

/// Between two looks at a device that answers: an outage is known within this and one timeout.
const INTERVAL: Duration = Duration::from_secs(5);

/// For one look. The device serves a user's requests one after another, so a look may wait behind
/// a large listing.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Between the first two tries at a device that does not answer; doubled from then on.
const SHORTEST_BACKOFF: Duration = Duration::from_millis(500);

/// A device that boots takes minutes: more seldom than this only delays the recovery.
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// Keeps a [`Readiness`] true to what the device is.
pub(crate) struct Prober {
    client: Client<RestTransport>,
    address: String,
    readiness: Readiness,
    metrics: ConnectionMetrics,
}

impl Prober {
    /// Not ready until the first look.
    pub(crate) fn new(device: &Device, registry: &mut Registry) -> Self {
        let Device { address, client } = device;
        Self {
            client: client.clone().with_timeout(TIMEOUT),
            address: address.clone(),
            readiness: Readiness::not_ready("the device was not reached yet"),
            metrics: ConnectionMetrics::register(address, registry),
        }
    }

    /// What the device was found to be last.
    pub(crate) fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Never ends.
    pub(crate) async fn run(self) {
        loop {
            self.connect().await;
            self.watch().await;
        }
    }

    /// Tries until the device is there and fit.
    async fn connect(&self) {
        let since = Instant::now();
        for pause in backoff() {
            match self.look().await {
                Ok(report) => {
                    self.metrics.connected(since.elapsed());
                    self.connected(&report);
                    return;
                }
                Err(reason) => {
                    self.metrics.connecting_failed();
                    self.lost(reason);
                }
            }
            sleep(pause).await;
        }
    }

    /// Returns when the device no longer answers.
    async fn watch(&self) {
        loop {
            sleep(INTERVAL).await;
            if let Err(error) = self.client.barrier().await {
                self.metrics.lost();
                return self.lost(one_line(&error));
            }
        }
    }

    async fn look(&self) -> Result<ProbeReport, String> {
        let user = self.client.transport().credentials().user().map_err(|error| one_line(&error))?;
        let report = self.client.probe(&user).await.map_err(|error| one_line(&error))?;
        if report.is_fit() { Ok(report) } else { Err(misfits(&report)) }
    }

    fn connected(&self, report: &ProbeReport) {
        for warning in &report.findings {
            tracing::warn!(address = self.address, "{warning}");
        }
        if self.readiness.set_ready() {
            let version = report.resource.version;
            tracing::info!(address = self.address, %version, "the device answers and fits");
        }
    }

    /// Logged when the reason is another than before, not at every try.
    fn lost(&self, reason: String) {
        if self.readiness.set_not_ready(reason.as_str()) {
            tracing::warn!(address = self.address, reason, "the device cannot be used; trying on");
        }
    }
}

fn misfits(report: &ProbeReport) -> String {
    let errors = report.findings.iter().filter(|finding| finding.severity == Severity::Error);
    errors.map(|finding| finding.message.as_str()).collect::<Vec<_>>().join("; ")
}

/// Endless; with jitter, so that the controllers of several clusters do not ask in step.
fn backoff() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(SHORTEST_BACKOFF)
        .with_max_delay(LONGEST_BACKOFF)
        .with_jitter()
        .without_max_times()
        .build()
}
