//! Nodes with real kubelets run pods of images made here, and nothing of them is left.

use std::time::Duration;

use microvm::Kernel;
use scenarios::{ClusterOptions, WholeCluster, shell_pod};

/// A container starts within seconds; on two busy cores it may take many times that.
const SOON: Duration = Duration::from_secs(180);

#[test]
fn two_nodes_run_pods_whose_logs_and_shells_are_reached_and_everything_ends_with_the_cluster() {
    let cluster = WholeCluster::boot(Kernel::V6_12, &["a", "b"], &ClusterOptions::default()).unwrap();
    let kubectl = |arguments: &[&str]| cluster.admin().run(arguments).unwrap();
    for node in ["a", "b"] {
        let pod = format!("on-{node}");
        cluster.admin().create(&shell_pod(&pod, node, &[], &format!("echo hello from {pod}"))).unwrap();
    }
    for node in ["a", "b"] {
        let pod = format!("on-{node}");
        cluster.wait_until_running(&pod, SOON).unwrap();
        assert_eq!(kubectl(&["logs", &pod]), format!("hello from {pod}\n"));
        assert_eq!(kubectl(&["exec", &pod, "--", "hostname"]), format!("{pod}\n"));
    }

    let guests = [&cluster.rds.guest, &cluster.node("a").guest, &cluster.node("b").guest];
    let mut processes: Vec<u32> = guests.into_iter().filter_map(microvm::Guest::process_id).collect();
    processes.extend(cluster.control_plane.processes().into_iter().filter_map(testbed::Process::id));
    assert_eq!(processes.len(), 7);
    let folder = cluster.control_plane.folder().to_owned();
    drop(cluster);
    for process in processes {
        assert!(!std::path::Path::new(&format!("/proc/{process}")).exists(), "process {process} is left");
    }
    assert!(!folder.exists(), "{} is left", folder.display());
}
