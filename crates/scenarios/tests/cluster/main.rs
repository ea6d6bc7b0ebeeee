//! Stories of a whole cluster, with real kubelets: `cargo xtask test cluster [NAME…]` tells these.
//!
//! Booting takes minutes, so one boot serves all that need the same nodes: each leaves the cluster as it was, and one
//! that fails is cleaned up after. A kernel's version among the names chooses that one.
#![allow(clippy::unwrap_used, reason = "tests")]

mod aftermath;
mod block;
mod conflict;
mod cut_off;
mod deployment;
mod device_down;
mod documented;
mod ending;
mod file_system;
mod growth;
mod kubelet_restarted;
mod leader_killed;
mod mistakes;
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

use crate::said::{COMES_AND_GOES, Said};

/// Something that happens to a cluster, step by step; `None` where a step failed, and what follows would prove
/// nothing.
type Told = fn(&WholeCluster, &mut Steps) -> Option<()>;
/// Its name, its cluster's nodes, what happens, and the reasons of all Events that the driver says of it.
type Story = (&'static str, &'static [&'static str], Told, &'static [&'static str]);

/// The nodes of a cluster: two to move between, as few as an emulating machine has to bear.
const TWO: &[&str] = &["a", "b"];
/// And one too many for a volume that two share.
const THREE: &[&str] = &["a", "b", "c"];

/// All of them, each with its cluster's nodes; those that a node does not survive last.
const STORIES: &[Story] = &[
    ("pods", TWO, pods::told, &COMES_AND_GOES),
    ("moved-ext4", TWO, moved::ext4, &COMES_AND_GOES),
    ("moved-xfs", TWO, moved::xfs, &COMES_AND_GOES),
    ("block", TWO, block::told, &COMES_AND_GOES),
    ("growth", TWO, growth::told, &COMES_AND_GOES),
    ("mistakes", TWO, mistakes::told, mistakes::SAYS),
    ("single-pod", TWO, single_pod::told, &COMES_AND_GOES),
    ("kubelet-restarted", TWO, kubelet_restarted::told, &COMES_AND_GOES),
    ("stateful-set", TWO, stateful_set::told, &COMES_AND_GOES),
    ("scraped", TWO, scraped::told, &[]),
    ("leader-killed", TWO, leader_killed::told, &["StartupReconciliation"]),
    ("device-down", TWO, device_down::told, device_down::SAYS),
    ("upgrade", TWO, upgrade::told, &COMES_AND_GOES),
    ("uninstall", TWO, uninstall::told, uninstall::SAYS),
    ("documented", TWO, documented::told, documented::SAYS),
    ("node-killed", TWO, node_killed::told, &COMES_AND_GOES),
    ("cut-off", TWO, cut_off::told, cut_off::SAYS),
    ("conflict", THREE, conflict::told, conflict::SAYS),
];

fn main() -> Result<ExitCode> {
    let (kernels, names): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|word| kernel(word).is_ok());
    let kernel = kernel(kernels.first().map_or("6.12", String::as_str))?;
    let chosen = chosen(&names)?;
    let mut steps = Steps::new("cluster");
    for nodes in [TWO, THREE] {
        let told: Vec<_> = chosen.iter().filter(|(_, of, ..)| *of == nodes).collect();
        if !told.is_empty()
            && let Some(cluster) = boot(kernel, nodes, &mut steps)
        {
            tell(&told, &cluster, &mut steps);
            ending::told(cluster, &mut steps);
        }
    }
    Ok(if steps.finish() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn chosen(names: &[String]) -> Result<Vec<Story>> {
    let known: Vec<_> = STORIES.iter().map(|(name, ..)| *name).collect();
    let unknown: Vec<_> = names.iter().filter(|name| !known.contains(&name.as_str())).collect();
    ensure!(unknown.is_empty(), "no stories: {unknown:?}; there are {known:?}");
    let is_chosen = |name: &str| names.is_empty() || names.iter().any(|chosen| chosen == name);
    Ok(STORIES.iter().filter(|(name, ..)| is_chosen(name)).copied().collect())
}

fn boot(kernel: Kernel, nodes: &[&str], steps: &mut Steps) -> Option<WholeCluster> {
    let line = format!(
        "a control plane, an RDS, nodes {nodes:?} with kubelets on Linux {}, and the chart installed by helm",
        kernel.version()
    );
    let controller = vec!["--rwx-plain-pods".to_owned()];
    let options = ClusterOptions { replicas: 2, controller, ..WholeCluster::options() };
    steps.step(&line, || WholeCluster::boot(kernel, nodes, &options))
}

fn tell(stories: &[&Story], cluster: &WholeCluster, steps: &mut Steps) {
    for (name, _, told, reasons) in stories {
        println!("-- {name}");
        if told_with_events(cluster, steps, *told, reasons).is_none() {
            aftermath::print(cluster);
            aftermath::clean(cluster);
        }
    }
}

fn told_with_events(cluster: &WholeCluster, steps: &mut Steps, told: Told, reasons: &[&str]) -> Option<()> {
    let before = Said::so_far(cluster);
    told(cluster, steps)?;
    let reasons = reasons.iter().copied().collect();
    steps.step(&format!("kubectl get events: {reasons:?} of the driver, and no other"), || {
        before?.then(cluster, &reasons)
    })
}
