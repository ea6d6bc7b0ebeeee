//! Everything ends with the cluster.

use std::path::Path;

use anyhow::{Result, ensure};
use scenarios::{Steps, WholeCluster};

/// Drops it; nothing of it is left on this machine.
pub(crate) fn told(cluster: WholeCluster, steps: &mut Steps) -> Option<()> {
    let events = cluster.admin().run(&["get", "events", "-A", "--sort-by=.metadata.creationTimestamp"]);
    println!("\n{}\n", events.unwrap_or_default().trim_end());
    steps.step("everything ends with the cluster: no process, no folder", || ended(cluster))
}

fn ended(cluster: WholeCluster) -> Result<()> {
    let guests = cluster.nodes.iter().map(|node| &node.guest).chain([&cluster.rds.guest]);
    let mut processes: Vec<u32> = guests.filter_map(microvm::Guest::process_id).collect();
    ensure!(processes.len() == cluster.nodes.len() + 1, "not every guest runs: {processes:?}");
    processes.extend(cluster.control_plane.processes().into_iter().filter_map(testbed::Process::id));
    let folder = cluster.control_plane.folder().to_owned();
    drop(cluster);
    let left: Vec<_> =
        processes.iter().filter(|process| Path::new(&format!("/proc/{process}")).exists()).collect();
    ensure!(left.is_empty() && !folder.exists(), "processes {left:?}, {}", folder.display());
    Ok(())
}
