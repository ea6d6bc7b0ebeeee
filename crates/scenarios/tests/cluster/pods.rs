//! Pods on every node: their logs and shells are reached through the API server.

use anyhow::{Result, ensure};
use scenarios::{Steps, WholeCluster, shell_pod};

pub(crate) fn told(cluster: &WholeCluster, steps: &mut Steps) -> Option<()> {
    steps.step("a pod runs on every node", || {
        let names = cluster.nodes.iter().map(|node| node.guest.name());
        let pods =
            names.map(|node| shell_pod(&named(node), node, &[], &format!("echo hello from {}", named(node))));
        cluster.admin().create(&testbed::objects::list(pods.collect()))?;
        each(cluster, |pod| cluster.wait_until_running(pod, WholeCluster::SOON))
    })?;
    steps.step("kubectl reads their logs and runs commands in them", || {
        each(cluster, |pod| {
            let (log, host) = (cluster.admin().run(&["logs", pod])?, cluster.exec(pod, "hostname")?);
            ensure!(log == format!("hello from {pod}\n") && host == format!("{pod}\n"), "{log}{host}");
            Ok(())
        })
    })?;
    steps.step("they are deleted", || each(cluster, |pod| cluster.end_pod(pod)))
}

fn each(cluster: &WholeCluster, act: impl Fn(&str) -> Result<()>) -> Result<()> {
    cluster.nodes.iter().try_for_each(|node| act(&named(node.guest.name())))
}

fn named(node: &str) -> String {
    format!("on-{node}")
}
