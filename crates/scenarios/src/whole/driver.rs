//! The driver's own pods: which there are, which leads, what they have said, and their ends.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testbed::wait_until;

use super::{READY, WholeCluster, tail};
use crate::cluster::{DRIVER, NAMESPACE};

/// The container that is the driver, in the pods of both roles.
const CONTAINER: &str = "rds-csi";

impl WholeCluster {
    /// The names of the controllers' pods.
    ///
    /// # Errors
    /// Where the API server does not answer.
    pub fn controller_pods(&self) -> Result<Vec<String>> {
        let pods = self.pods_of("controller")?;
        Ok(pods.iter().map(name_of).collect())
    }

    /// Makes sure that the controllers that are to stay are on two nodes.
    ///
    /// # Errors
    /// Where they are not, or the API server does not answer.
    pub fn controllers_are_apart(&self) -> Result<()> {
        let pods = self.pods_of("controller")?;
        let stay = pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        let on: BTreeSet<_> = stay.filter_map(|pod| pod["spec"]["nodeName"].as_str()).collect();
        ensure!(on.len() == 2, "the controllers are on {on:?}");
        Ok(())
    }

    /// The name of the pod that the Lease says leads; `None` while none does.
    ///
    /// # Errors
    /// Where the API server does not answer.
    pub fn leader(&self) -> Result<Option<String>> {
        let lease = self.admin().get(&["lease", "-n", NAMESPACE, DRIVER])?.unwrap_or_default();
        let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
        Ok(self.controller_pods()?.into_iter().find(|pod| holder.starts_with(pod)))
    }

    /// Waits until a controller leads; answers its pod's name.
    ///
    /// # Errors
    /// Where none does in time, with what the driver's pods are and have said.
    pub fn wait_for_leader(&self) -> Result<String> {
        let leads = wait_until("a controller leads", READY, || Ok(self.leader().ok().flatten()));
        leads.with_context(|| self.driver_report())
    }

    /// The image of the driver, as its pods have it.
    ///
    /// # Errors
    /// Where there is no pod of it.
    pub fn driver_image(&self) -> Result<String> {
        let pods = self.pods_of("node")?;
        let image = pods.first().and_then(|pod| pod["spec"]["containers"][0]["image"].as_str());
        Ok(image.context("no pod of the driver on a node")?.to_owned())
    }

    /// The name of the driver's pod on a node.
    ///
    /// # Errors
    /// Where there is none, or the API server does not answer.
    pub fn driver_pod(&self, node: &str) -> Result<String> {
        let pods = self.pods_of("node")?;
        let found = pods.iter().find(|pod| pod["spec"]["nodeName"] == node);
        found.map(name_of).with_context(|| format!("no pod of the driver on {node}"))
    }

    /// What a pod of the driver has logged since its container was started.
    ///
    /// # Errors
    /// Where its kubelet does not answer.
    pub fn log_of(&self, pod: &str) -> Result<String> {
        Ok(self.admin().run(&["logs", "-n", NAMESPACE, pod, "-c", CONTAINER])?)
    }

    /// Deletes the driver's pod on a node and waits until its successor is ready.
    ///
    /// # Errors
    /// Where that does not come up.
    pub fn restart_driver(&self, node: &str) -> Result<()> {
        let old = self.driver_pod(node)?;
        self.delete_pod_of_driver(&old, &[])?;
        self.wait_for_successor(node, &old).map(drop)
    }

    /// Waits until a pod of the driver on a node is told to end, and until another one is ready; answers how long that
    /// took from the one to the other.
    ///
    /// # Errors
    /// Where either does not happen in time, with what the driver's pods are and have said.
    pub fn wait_for_successor(&self, node: &str, of: &str) -> Result<Duration> {
        let on_node = || {
            let pods = self.pods_of("node").unwrap_or_default();
            pods.into_iter().filter(|pod| pod["spec"]["nodeName"] == node)
        };
        let serves = |pod: &Value| name_of(pod) == of && pod["metadata"]["deletionTimestamp"].is_null();
        let told = wait_until(&format!("{of} is told to end"), READY, || {
            Ok((!on_node().any(|pod| serves(&pod))).then(Instant::now))
        });
        let told = told.with_context(|| self.driver_report())?;
        let ready = wait_until(&format!("another pod of the driver on {node}"), READY, || {
            Ok(on_node().any(|pod| name_of(&pod) != of && is_ready(&pod)).then_some(()))
        });
        ready.with_context(|| self.driver_report())?;
        Ok(told.elapsed())
    }

    /// Deletes a pod of the driver, as `kubectl delete pod` with further flags, and does not wait for its end: with
    /// `--grace-period=0 --force` it is one that was killed.
    ///
    /// # Errors
    /// As kubectl.
    pub fn delete_pod_of_driver(&self, pod: &str, flags: &[&str]) -> Result<()> {
        self.admin().run(&[&["delete", "pod", "-n", NAMESPACE, pod, "--wait=false"], flags].concat())?;
        Ok(())
    }

    /// What the driver's pods are and have said, for where something failed.
    #[must_use]
    pub fn driver_report(&self) -> String {
        let asked = |arguments: &[&str]| match self.admin().run(arguments) {
            Ok(said) => said,
            Err(error) => error.to_string(),
        };
        let mut report = asked(&["get", "pods", "-n", NAMESPACE, "-o", "wide"]);
        report += &tail(&asked(&["get", "events", "-n", NAMESPACE, "--sort-by=.lastTimestamp"]));
        let pods = asked(&["get", "pods", "-n", NAMESPACE, "-o", "name"]);
        for pod in pods.lines() {
            let log = asked(&["logs", "-n", NAMESPACE, pod, "--all-containers", "--prefix", "--tail=15"]);
            report += &format!("\n{pod}:\n{log}");
        }
        report
    }

    pub(super) fn pods_of(&self, role: &str) -> Result<Vec<Value>> {
        let label = format!("app.kubernetes.io/component={role}");
        let mut pods = self.admin().get(&["pods", "-n", NAMESPACE, "-l", &label])?.unwrap_or_default();
        Ok(pods["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }
}

fn name_of(pod: &Value) -> String {
    pod["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

fn is_ready(pod: &Value) -> bool {
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}
