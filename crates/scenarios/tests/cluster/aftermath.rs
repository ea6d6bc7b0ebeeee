//! What is done after a story that failed: what there is to know is printed, and the next one finds an empty cluster.

use scenarios::WholeCluster;

/// Prints what kubectl and the logs say, on standard error.
pub(crate) fn print(cluster: &WholeCluster) {
    let kubectl =
        |arguments: &[&str]| cluster.admin().run(arguments).unwrap_or_else(|error| format!("{error}\n"));
    eprintln!("{}", kubectl(&["get", "nodes,pods,pvc,pv,volumeattachments", "-A", "-o", "wide"]));
    eprintln!("{}", kubectl(&["get", "events", "-A", "--sort-by=.metadata.creationTimestamp"]));
    eprintln!("{}", cluster.driver_report());
}

/// Deletes what stories make.
pub(crate) fn clean(cluster: &WholeCluster) {
    for what in ["deployments,statefulsets", "pods", "pvc"] {
        // What is left is seen by the next story.
        let _ = cluster.admin().run(&["delete", what, "--all", "--wait=false"]);
    }
    let _ = cluster.admin().wait(&["pv", "--all", "--for=delete"], WholeCluster::SOON);
}
