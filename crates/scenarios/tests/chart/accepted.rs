//! What a real API server takes.

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
fn what_kustomize_makes_is_taken_by_the_api_server_and_has_what_the_example_sets() {
    let example = deploy("kustomize/example");
    let asked = ["apply", "--server-side", "--dry-run=server", "-o", "json", "-k", example.to_str().unwrap()];
    let objects = documents(&shared().kubectl(&asked).unwrap());
    let deployment = of_kind(&objects, "Deployment");
    let arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"].as_array().unwrap();
    assert!(arguments.contains(&json!("--address=https://192.0.2.1")), "{arguments:?}");
    assert_eq!(of_kind(&objects, "DaemonSet")["metadata"]["namespace"], RELEASE);
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
