//! Stories of a whole cluster, with real kubelets: `cargo xtask test cluster [NAME…]` tells these.
//!
//! Booting takes minutes, so one boot serves them all: each leaves the cluster as it was, and one that fails is
//! cleaned up after. A kernel's version among the names chooses that one.
#![allow(clippy::unwrap_used, reason = "tests")]

mod aftermath;
mod block;
mod conflict;
mod cut_off;
mod deployment;
mod device_down;
mod ending;
mod file_system;
mod growth;
mod leader_killed;
mod moved;
mod node_killed;
mod pods;
mod said;
mod scraped;
mod single_pod;
mod stateful_set;
mod uninstall;
mod upgrade;
mod writer;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use microvm::Kernel;
use scenarios::{ClusterOptions, Steps, WholeCluster, kernel};

/// Something that happens to a cluster, step by step; `None` where a step failed, and what follows would prove
/// nothing.
type Told = fn(&WholeCluster, &mut Steps) -> Option<()>;

/// All of them, those that a node does not survive last.
const STORIES: &[(&str, Told)] = &[
    ("pods", pods::told),
    ("moved-ext4", moved::ext4),
    ("moved-xfs", moved::xfs),
    ("block", block::told),
    ("growth", growth::told),
    ("single-pod", single_pod::told),
    ("stateful-set", stateful_set::told),
    ("conflict", conflict::told),
    ("scraped", scraped::told),
    ("leader-killed", leader_killed::told),
    ("device-down", device_down::told),
    ("upgrade", upgrade::told),
    ("uninstall", uninstall::told),
    ("node-killed", node_killed::told),
    ("cut-off", cut_off::told),
];

/// Two to move between, and one too many for a volume that two share.
const NODES: &[&str] = &["a", "b", "c"];

fn main() -> Result<ExitCode> {
    let (kernels, names): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|word| kernel(word).is_ok());
    let kernel = kernel(kernels.first().map_or("6.12", String::as_str))?;
    let chosen = chosen(&names)?;
    let mut steps = Steps::new("cluster");
    if let Some(cluster) = boot(kernel, &mut steps) {
        tell(&chosen, &cluster, &mut steps);
        ending::told(cluster, &mut steps);
    }
    Ok(if steps.finish() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn chosen(names: &[String]) -> Result<Vec<&(&'static str, Told)>> {
    let unknown: Vec<_> =
        names.iter().filter(|name| !STORIES.iter().any(|(known, _)| known == name)).collect();
    let known: Vec<_> = STORIES.iter().map(|(name, _)| *name).collect();
    ensure!(unknown.is_empty(), "no stories: {unknown:?}; there are {known:?}");
    let is_chosen = |name: &str| names.is_empty() || names.iter().any(|chosen| chosen == name);
    Ok(STORIES.iter().filter(|(name, _)| is_chosen(name)).collect())
}

fn boot(kernel: Kernel, steps: &mut Steps) -> Option<WholeCluster> {
    let line = format!(
        "a control plane, an RDS, nodes {NODES:?} with kubelets on Linux {}, and the chart installed by helm",
        kernel.version()
    );
    let controller = vec!["--rwx-plain-pods".to_owned()];
    let options = ClusterOptions { replicas: 2, controller, ..ClusterOptions::default() };
    steps.step(&line, || WholeCluster::boot(kernel, NODES, &options))
}

fn tell(chosen: &[&(&str, Told)], cluster: &WholeCluster, steps: &mut Steps) {
    for (name, told) in chosen {
        println!("-- {name}");
        if told(cluster, steps).is_none() {
            aftermath::print(cluster);
            aftermath::clean(cluster);
        }
    }
}
