//! Pods that run: a shell of busybox, with claims below `/`, or as devices below `/dev`.

use serde_json::{Value, json};
use testbed::objects;

use super::BUSYBOX;

/// A pod in `default` that runs a script of the shell on a node, with claims as file systems, each below `/` under its
/// name. It ends at once when it is told to.
#[must_use]
pub fn shell_pod(name: &str, node: &str, claims: &[&str], script: &str) -> Value {
    on_node(shell(objects::pod(name, None, claims), script), node)
}

/// As [`shell_pod`], with raw block claims, each below `/dev` under its name.
#[must_use]
pub fn shell_block_pod(name: &str, node: &str, claims: &[&str], script: &str) -> Value {
    on_node(shell(objects::block_pod(name, None, claims), script), node)
}

/// A Deployment in `default` of one pod with one claim, which is on the node `at` while that can be, and elsewhere
/// when that is gone. Where its node is unreachable it is told to end at once.
#[must_use]
pub fn shell_deployment(name: &str, at: &str, claim: &str, script: &str) -> Value {
    let mut pod = shell(objects::pod(name, None, &[claim]), script);
    let is_at = json!([{ "key": "kubernetes.io/hostname", "operator": "In", "values": [at] }]);
    let preferred = json!([{ "weight": 100, "preference": { "matchExpressions": is_at } }]);
    let nodes = json!({ "preferredDuringSchedulingIgnoredDuringExecution": preferred });
    pod["spec"]["affinity"] = json!({ "nodeAffinity": nodes });
    let gone = ["not-ready", "unreachable"].map(|what| {
        let key = format!("node.kubernetes.io/{what}");
        json!({ "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0 })
    });
    pod["spec"]["tolerations"] = json!(gone);
    let labels = json!({ "app": name });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": name, "namespace": "default" },
        "spec": {
            "replicas": 1, "strategy": { "type": "Recreate" }, "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": pod["spec"] },
        },
    })
}

/// A StatefulSet in `default`, each of its pods with a claim of its own as `/data`.
#[must_use]
pub fn shell_stateful_set(name: &str, replicas: u32, class: &str, size: &str, script: &str) -> Value {
    let pod = shell(objects::pod(name, None, &["data"]), script);
    let mut claim = objects::claim("data", class, size, objects::Usage::FILESYSTEM);
    let mut spec = pod["spec"].clone();
    // Made from the template for each.
    spec["volumes"] = json!([]);
    claim["metadata"] = json!({ "name": "data" });
    let labels = json!({ "app": name });
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": { "name": name, "namespace": "default" },
        "spec": {
            "replicas": replicas, "serviceName": name, "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": spec },
            "volumeClaimTemplates": [claim],
        },
    })
}

fn shell(mut pod: Value, script: &str) -> Value {
    let container = &mut pod["spec"]["containers"][0];
    container["image"] = BUSYBOX.into();
    // Nothing is to be had from anywhere.
    container["imagePullPolicy"] = "Never".into();
    container["command"] = json!(["sh", "-c", format!("{script}\nexec sleep 86400")]);
    // There is no name service: kubelets would warn that a pod asked for the cluster's.
    pod["spec"]["dnsPolicy"] = "Default".into();
    // The first process of a container without a handler hears no SIGTERM.
    pod["spec"]["terminationGracePeriodSeconds"] = 1.into();
    pod
}

fn on_node(mut pod: Value, node: &str) -> Value {
    pod["spec"]["nodeSelector"] = json!({ "kubernetes.io/hostname": node });
    pod
}
