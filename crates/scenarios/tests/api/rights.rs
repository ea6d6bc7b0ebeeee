//! Rights of the driver, taken away and given back while it runs.

use scenarios::{Cluster, NAMESPACE};
use serde_json::{Value, json};
use testbed::wait_until;

use super::SOON;

/// The cluster roles of the account that the controller and its sidecars have.
const ROLES: &[&str] = &[
    "rds-csi-controller",
    "rds-csi-external-attacher",
    "rds-csi-external-provisioner",
    "rds-csi-external-resizer",
];

/// Rights as they were, for [`TakenRights::give_back`].
#[derive(Debug)]
pub(crate) struct TakenRights {
    resource: &'static str,
    verb: &'static str,
    roles: Vec<(&'static str, Value)>,
}

/// Takes a verb on a resource, `name.group` or `name`, from every role that has it: the sidecars share the driver's
/// account. It is gone when this returns.
pub(crate) fn take(cluster: &Cluster, resource: &'static str, verb: &'static str) -> TakenRights {
    let plain = resource.split('.').next();
    let mut roles = Vec::new();
    for name in ROLES {
        let Some(role) = cluster.admin().get(&["clusterrole", name]).unwrap() else { continue };
        let before = role["rules"].clone();
        let mut rules = before.clone();
        for rule in rules.as_array_mut().into_iter().flatten() {
            if list(&rule["resources"]).any(|named| named.as_str() == plain) {
                let left: Vec<Value> = list(&rule["verbs"]).filter(|left| *left != verb).cloned().collect();
                rule["verbs"] = left.into();
            }
        }
        // A rule without verbs is none.
        rules
            .as_array_mut()
            .into_iter()
            .for_each(|rules| rules.retain(|rule| list(&rule["verbs"]).count() > 0));
        if rules != before {
            set(cluster, name, &rules);
            roles.push((*name, before));
        }
    }
    assert!(!roles.is_empty(), "nobody had the right to {verb} {resource}");
    wait_for(cluster, resource, verb, false);
    TakenRights { resource, verb, roles }
}

impl TakenRights {
    /// Gives them back.
    pub(crate) fn give_back(self, cluster: &Cluster) {
        self.roles.iter().for_each(|(name, rules)| set(cluster, name, rules));
        wait_for(cluster, self.resource, self.verb, true);
    }
}

/// The API server learns of a changed role by a watch.
fn wait_for(cluster: &Cluster, resource: &str, verb: &str, may: bool) {
    let account = format!("--as=system:serviceaccount:{NAMESPACE}:rds-csi-controller");
    let ask = ["auth", "can-i", verb, resource, "--all-namespaces", &account];
    let told = || Ok((cluster.admin().run(&ask).is_ok() == may).then_some(()));
    wait_until(&format!("the right to {verb} {resource}: {may}"), SOON, told).unwrap();
}

fn set(cluster: &Cluster, role: &str, rules: &Value) {
    cluster.admin().patch(&["clusterrole", role], &json!({ "rules": rules })).unwrap();
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
