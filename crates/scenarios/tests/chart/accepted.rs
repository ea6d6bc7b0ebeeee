//! What a real API server takes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::{Value, json};
use testbed::{ControlPlane, Tools};

use crate::golden::CASES;
use crate::helm::{RELEASE, deploy, template};

/// One for all tests that leave it as it was.
pub(crate) fn shared() -> &'static ControlPlane {
    static SHARED: LazyLock<ControlPlane> = LazyLock::new(|| {
        let api = ControlPlane::start(&Tools::from_environment().unwrap()).unwrap();
        api.add_namespace(RELEASE).unwrap();
        api.admin().create(&pod_monitors()).unwrap();
        let served = ["crd/podmonitors.monitoring.coreos.com", "--for=condition=Established"];
        api.admin().wait(&served, std::time::Duration::from_secs(60)).unwrap();
        api
    });
    &SHARED
}

#[test]
fn every_rendered_manifest_is_taken_by_the_api_server() {
    for case in CASES {
        let rendered = template(case, &[]).unwrap();
        let objects = dry_run(shared(), case, &rendered);
        assert_eq!(objects.len(), rendered.matches("\nkind: ").count(), "{case}");
        assert!(objects.iter().any(|object| object["kind"] == "DaemonSet"), "{case}");
    }
}

#[test]
fn what_kustomize_makes_is_taken_by_the_api_server_and_is_all_that_the_chart_has_with_what_the_example_sets()
{
    let example = deploy("kustomize/example");
    let asked = ["apply", "--server-side", "--dry-run=server", "-o", "json", "-k", example.to_str().unwrap()];
    let objects = documents(&shared().kubectl(&asked).unwrap());
    let deployment = of_kind(&objects, "Deployment");
    let arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"].as_array().unwrap();
    assert!(arguments.contains(&json!("--address=https://192.0.2.1")), "{arguments:?}");
    assert_eq!(of_kind(&objects, "DaemonSet")["metadata"]["namespace"], RELEASE);
    let rendered = dry_run(shared(), "beside-kustomize", &template("least", &[]).unwrap());
    assert_eq!(names(&objects), names(&rendered));
}

/// Kind and name of each but the Namespace, which helm makes by a flag.
fn names(objects: &[Value]) -> BTreeSet<(&str, &str)> {
    let named = objects.iter().map(|object| (&object["kind"], &object["metadata"]["name"]));
    let named = named.map(|(kind, name)| (kind.as_str().unwrap(), name.as_str().unwrap()));
    named.filter(|(kind, _)| *kind != "Namespace").collect()
}

#[test]
fn the_controllers_pod_is_what_pod_security_calls_restricted_and_the_nodes_is_not() {
    let api = shared();
    api.add_namespace(RESTRICTED).unwrap();
    api.kubectl(&["label", "namespace", RESTRICTED, "pod-security.kubernetes.io/enforce=restricted"])
        .unwrap();
    for account in ["rds-csi-controller", "rds-csi-node"] {
        api.kubectl(&["create", "serviceaccount", "-n", RESTRICTED, account]).unwrap();
    }
    for case in CASES {
        let objects = dry_run(api, &format!("{case}-restricted"), &template(case, &[]).unwrap());
        admitted(api, of_kind(&objects, "Deployment")).unwrap();
        let error = admitted(api, of_kind(&objects, "DaemonSet")).unwrap_err().to_string();
        assert!(error.contains("violates PodSecurity"), "{error}");
    }
}

/// A namespace that takes restricted pods only.
const RESTRICTED: &str = "restricted";

/// Whether a workload's pod is taken there: the policy speaks of pods, not of what makes them.
fn admitted(api: &ControlPlane, workload: &Value) -> testbed::Result<String> {
    let metadata = json!({ "name": "asked", "namespace": RESTRICTED });
    let spec = &workload["spec"]["template"]["spec"];
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec });
    let file = api.folder().join("pod.json");
    fs::write(&file, pod.to_string()).unwrap();
    api.kubectl(&["create", "--dry-run=server", "-f", text(&file)])
}

/// The objects as the server would have them.
pub(crate) fn dry_run(api: &ControlPlane, name: &str, rendered: &str) -> Vec<Value> {
    let file = api.folder().join(format!("{name}.yaml"));
    fs::write(&file, rendered).unwrap();
    documents(
        &api.kubectl(&["apply", "--server-side", "--dry-run=server", "-o", "json", "-f", text(&file)])
            .unwrap(),
    )
}

/// The only object of that kind.
pub(crate) fn of_kind<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let mut found = objects.iter().filter(|object| object["kind"] == kind);
    let (first, second) = (found.next(), found.next());
    assert!(second.is_none(), "several of kind {kind}");
    first.unwrap_or_else(|| panic!("nothing of kind {kind}"))
}

/// One after the other, or as the items of a list.
fn documents(text: &str) -> Vec<Value> {
    let documents = serde_json::Deserializer::from_str(text).into_iter::<Value>().map(Result::unwrap);
    documents
        .flat_map(|mut document| match document["items"].take() {
            Value::Array(items) => items,
            _ => vec![document],
        })
        .collect()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The kind PodMonitor, without its schema: the operator of Prometheus is not here.
fn pod_monitors() -> Value {
    let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let version = json!({
        "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": schema },
    });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "podmonitors.monitoring.coreos.com" },
        "spec": {
            "group": "monitoring.coreos.com", "scope": "Namespaced", "versions": [version],
            "names": { "kind": "PodMonitor", "plural": "podmonitors", "singular": "podmonitor" },
        },
    })
}
