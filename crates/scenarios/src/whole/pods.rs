//! Pods that run: a shell of busybox, with claims below `/`.

use serde_json::{Value, json};
use testbed::objects;

use super::BUSYBOX;

/// A pod in `default` that runs a script of the shell on a node, with claims as file systems, each below `/` under its
/// name. It ends at once when it is told to.
#[must_use]
pub fn shell_pod(name: &str, node: &str, claims: &[&str], script: &str) -> Value {
    let mut pod = objects::pod(name, None, claims);
    let container = &mut pod["spec"]["containers"][0];
    container["image"] = BUSYBOX.into();
    // Nothing is to be had from anywhere.
    container["imagePullPolicy"] = "Never".into();
    container["command"] = json!(["sh", "-c", format!("{script}\nexec sleep 86400")]);
    // There is no name service: kubelets would warn that a pod asked for the cluster's.
    pod["spec"]["dnsPolicy"] = "Default".into();
    pod["spec"]["nodeSelector"] = json!({ "kubernetes.io/hostname": node });
    // The first process of a container without a handler hears no SIGTERM.
    pod["spec"]["terminationGracePeriodSeconds"] = 1.into();
    pod
}
