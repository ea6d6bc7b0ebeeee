//! What Kubernetes costs: a real API server and etcd in the path of calls, and at 10,000 volumes.

mod api;
mod events;
mod publish;
mod scale;
mod volumes;

use anyhow::{Context, Result};
use scenarios::{Cluster, ClusterOptions, ControllerPod};

use crate::report::Report;
use api::Api;

/// Measures in two clusters: a small one for calls, one that is filled.
pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let cluster = quiet_cluster()?;
    let api = Api::of(&cluster.control_plane)?;
    publish::measure(report, &cluster, &api)?;
    events::measure(report, &cluster, &api)?;
    drop(cluster);
    let cluster = quiet_cluster()?;
    scale::measure(report, &cluster, &Api::of(&cluster.control_plane)?)
}

/// One controller that looks at everything only when it starts, and nobody beside it who would make or answer
/// VolumeAttachments: what is measured is the driver, the API server and etcd.
fn quiet_cluster() -> Result<Cluster> {
    let controller = ["--attachment-reconcile-interval", "60m"].map(str::to_owned).to_vec();
    let cluster = Cluster::start(&ClusterOptions { controller, ..ClusterOptions::default() })?;
    cluster.pods[0].sidecars.kill();
    Ok(cluster)
}

/// A sample of the controller's metrics; 0 where the series is not there yet.
fn sample(pod: &ControllerPod, series: &str) -> Result<f64> {
    let text = pod.scrape()?;
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.map_or(Ok(0.0), |value| value.trim().parse().with_context(|| format!("{series} {value}")))
}
