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
mod maintained;
mod mistakes;
mod moved;
mod node_killed;
mod pods;
mod reasons;
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

use crate::reasons::{COMES_AND_GOES, Reasons, Said};

/// Something that happens to a cluster, step by step; `None` where a step failed, and what follows would prove
/// nothing.
type Told = fn(&WholeCluster, &mut Steps) -> Option<()>;

/// What is told, where, and what the driver says of it.
struct Story {
    name: &'static str,
    nodes: &'static [&'static str],
    told: Told,
    says: Reasons,
}

/// The nodes of a cluster: two to move between, as few as an emulating machine has to bear.
const TWO: &[&str] = &["a", "b"];
/// And one too many for a volume that two share.
const THREE: &[&str] = &["a", "b", "c"];

/// All of them, each with its cluster's nodes; those that a node does not survive last.
const STORIES: &[Story] = &[
    on_two("pods", pods::told, Reasons::just(&[])),
    on_two("moved-ext4", moved::ext4, COMES_AND_GOES),
    on_two("moved-xfs", moved::xfs, COMES_AND_GOES),
    on_two("block", block::told, COMES_AND_GOES),
    on_two("growth", growth::told, COMES_AND_GOES),
    on_two("mistakes", mistakes::told, mistakes::SAYS),
    on_two("single-pod", single_pod::told, COMES_AND_GOES),
    on_two("kubelet-restarted", kubelet_restarted::told, COMES_AND_GOES),
    on_two("stateful-set", stateful_set::told, COMES_AND_GOES),
    on_two("scraped", scraped::told, Reasons::just(&[])),
    on_two("leader-killed", leader_killed::told, leader_killed::SAYS),
    on_two("device-down", device_down::told, device_down::SAYS),
    on_two("upgrade", upgrade::told, upgrade::SAYS),
    on_two("maintained", maintained::told, maintained::SAYS),
    on_two("uninstall", uninstall::told, uninstall::SAYS),
    on_two("documented", documented::told, documented::SAYS),
    on_two("node-killed", node_killed::told, node_killed::SAYS),
    on_two("cut-off", cut_off::told, cut_off::SAYS),
    Story { nodes: THREE, ..on_two("conflict", conflict::told, conflict::SAYS) },
];

/// A story that two nodes are enough for.
const fn on_two(name: &'static str, told: Told, says: Reasons) -> Story {
    Story { name, nodes: TWO, told, says }
}

fn main() -> Result<ExitCode> {
    let (kernels, names): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|word| kernel(word).is_ok());
    let kernel = kernel(kernels.first().map_or("6.12", String::as_str))?;
    let chosen = chosen(&names)?;
    let mut steps = Steps::new("cluster");
    for nodes in [TWO, THREE] {
        let told: Vec<_> = chosen.iter().copied().filter(|story| story.nodes == nodes).collect();
        if !told.is_empty()
            && let Some(cluster) = boot(kernel, nodes, &mut steps)
        {
            tell(&told, &cluster, &mut steps);
            ending::told(cluster, &mut steps);
        }
    }
    Ok(if steps.finish() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn chosen(names: &[String]) -> Result<Vec<&'static Story>> {
    let known: Vec<_> = STORIES.iter().map(|story| story.name).collect();
    let unknown: Vec<_> = names.iter().filter(|name| !known.contains(&name.as_str())).collect();
    ensure!(unknown.is_empty(), "no stories: {unknown:?}; there are {known:?}");
    let is_chosen = |story: &&Story| names.is_empty() || names.iter().any(|chosen| chosen == story.name);
    Ok(STORIES.iter().filter(is_chosen).collect())
}

fn boot(kernel: Kernel, nodes: &[&str], steps: &mut Steps) -> Option<WholeCluster> {
    let line = format!(
        "a control plane, an RDS, nodes {nodes:?} with kubelets on Linux {}, and the chart installed by helm",
        kernel.version()
    );
    let controller = vec!["--rwx-plain-pods".to_owned()];
    let options = ClusterOptions { replicas: 2, controller, ..WholeCluster::options() };
    let cluster = steps.step(&line, || WholeCluster::boot(kernel, nodes, &options))?;
    steps.step("it has no way out, and the two controllers are on two nodes", || as_promised(&cluster))?;
    Some(cluster)
}

fn as_promised(cluster: &WholeCluster) -> Result<()> {
    let routes = std::fs::read_to_string("/proc/self/net/route")?;
    // Below a line of titles: each is a way to somewhere.
    ensure!(routes.lines().count() <= 1, "this network has a way out: {routes}");
    // What is said of the installation is no story's.
    cluster.control_plane.wait_for_event("StartupReconciliation", WholeCluster::SOON, |_| true)?;
    cluster.controllers_are_apart()
}

fn tell(stories: &[&Story], cluster: &WholeCluster, steps: &mut Steps) {
    for story in stories {
        println!("-- {}", story.name);
        if told_to_its_end(story, cluster, steps).is_none() {
            aftermath::print(cluster);
            aftermath::clean(cluster);
        }
    }
}

/// What happens; what is said of it and no more; and the device has what it had.
fn told_to_its_end(story: &Story, cluster: &WholeCluster, steps: &mut Steps) -> Option<()> {
    let (before, held) = (Said::so_far(cluster), cluster.rds.held());
    (story.told)(cluster, steps)?;
    let line = format!("kubectl get events: of the driver {:?}, and no other", story.says.always);
    steps.step(&line, || before?.just(cluster, story.says))?;
    steps.step("the RDS has the rows, images and exports that it had", || {
        let (before, now) = (held?, cluster.rds.held()?);
        ensure!(before == now, "{before:#?} became {now:#?}");
        Ok(())
    })
}
