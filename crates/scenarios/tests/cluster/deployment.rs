//! The one pod of a Deployment, wherever it is.

use std::time::Duration;

use anyhow::{Context, Result};
use scenarios::WholeCluster;
use serde_json::Value;
use testbed::wait_until;

/// Kubernetes takes an attachment away six minutes after its pod is gone from a node that is silent; then the volume's
/// way to the next node begins.
pub(crate) const BY_FORCE: Duration = Duration::from_secs(900);

/// Waits until it is Ready on another node than that; answers its name.
pub(crate) fn wait_until_not_on(
    cluster: &WholeCluster,
    (app, node): (&str, &str),
    within: Duration,
) -> Result<String> {
    wait_for(cluster, app, &format!("{app} runs elsewhere than on {node}"), within, |pod| {
        pod["spec"]["nodeName"] != node && is_ready(pod)
    })
}

/// Waits until it is Ready on that node; answers its name.
pub(crate) fn wait_until_on(cluster: &WholeCluster, app: &str, node: &str) -> Result<String> {
    wait_for(cluster, app, &format!("{app} runs on {node}"), WholeCluster::SOON, |pod| {
        pod["spec"]["nodeName"] == node && is_ready(pod)
    })
}

/// Deletes the Deployment and waits until nothing is attached.
pub(crate) fn delete(cluster: &WholeCluster, app: &str) -> Result<()> {
    cluster.admin().run(&["delete", "deployment", app, "--wait=false"])?;
    cluster.wait_until_all_detached()
}

fn wait_for(
    cluster: &WholeCluster,
    app: &str,
    what: &str,
    within: Duration,
    is_it: impl Fn(&Value) -> bool,
) -> Result<String> {
    let found = wait_until(what, within, || {
        let all = cluster.admin().get(&["pods", "-l", &format!("app={app}")])?.unwrap_or_default();
        let pods = all["items"].as_array().into_iter().flatten();
        let mut living = pods.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        Ok(living.find(|pod| is_it(pod)).and_then(|pod| pod["metadata"]["name"].as_str()).map(str::to_owned))
    });
    found.with_context(|| {
        cluster.admin().run(&["describe", "pods", "-l", &format!("app={app}")]).unwrap_or_default()
    })
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}
