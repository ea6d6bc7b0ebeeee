//! The driver's metrics, as a real Prometheus has them.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};
use microvm::Forward;
use serde_json::Value;
use testbed::{Prometheus, Target};

use super::{WholeCluster, is_of};

/// The port of both roles, as the chart has it.
const PORT: u16 = 9809;

/// A Prometheus that scrapes each pod of the driver that there was when it was started. Series have the labels `role`
/// and `pod`.
#[derive(Debug)]
pub struct Scraper {
    /// The server, to be queried.
    pub prometheus: Prometheus,
    /// How many pods it scrapes.
    pub pods: usize,
    _ways: Vec<Forward>,
}

impl WholeCluster {
    /// Starts a Prometheus for the pods of the driver, controllers and nodes.
    ///
    /// # Errors
    /// Where one of them has no address yet, or Prometheus does not serve.
    pub fn scraped(&self) -> Result<Scraper> {
        let (mut targets, mut ways) = (Vec::new(), Vec::new());
        for role in ["controller", "node"] {
            for pod in self.pods_of(role)? {
                let way = self.way_to(&pod)?;
                let name = pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                let labels = vec![("role", role.to_owned()), ("pod", name)];
                targets.push(Target { address: way.address(), labels });
                ways.push(way);
            }
        }
        let control_plane = &self.control_plane;
        let prometheus = Prometheus::start(control_plane.tools(), control_plane.folder(), &targets)?;
        Ok(Scraper { prometheus, pods: targets.len(), _ways: ways })
    }

    /// A port of loopback that leads to the metrics of a pod, through the node that it is on.
    fn way_to(&self, pod: &Value) -> Result<Forward> {
        let address = pod["status"]["podIP"].as_str().context("a pod without an address")?;
        let address: IpAddr = address.parse().context("a pod's address")?;
        let node = self.nodes.iter().find(|node| is_of(address, node.guest.address()));
        let node = node.with_context(|| format!("no node has {address}"))?;
        Ok(node.guest.forward_to(SocketAddr::new(address, PORT))?)
    }
}
