//! A real Prometheus scrapes every pod of the driver: both roles are up, with series of their own.

use anyhow::ensure;
use scenarios::{Steps, WholeCluster};

/// Of each role, a series that it has from its start.
const SERIES: [(&str, &str); 2] =
    [("controller", "rds_csi_rds_connection_state"), ("node", "rds_csi_nvme_connections_active")];

pub(crate) fn told(cluster: &WholeCluster, steps: &mut Steps) -> Option<()> {
    let scraper = steps.step("Prometheus is started", || cluster.scraped())?;
    steps.step("it scrapes each pod of both roles", || {
        let wanted = cluster.controller_pods()?.len() + cluster.nodes.len();
        ensure!(scraper.pods == wanted, "{} of {wanted} pods", scraper.pods);
        scraper.prometheus.wait_for("up == 1", wanted, WholeCluster::SOON)?;
        Ok(())
    })?;
    for (role, series) in SERIES {
        steps.step(&format!("{role}: {series}"), || {
            let found = scraper.prometheus.query(&format!("{series}{{role=\"{role}\"}}"))?;
            ensure!(!found.is_empty(), "no series");
            anyhow::Ok(())
        })?;
    }
    Some(())
}
