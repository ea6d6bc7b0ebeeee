//! What a running control plane does.

use std::time::Duration;

use serde_json::json;
use testbed::{ControlPlane, Error, Options, Tools, objects, wait_until};

use super::shared;

/// What it took on two idle cores is 5 s.
const READY: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_secs(60);

#[test]
fn it_serves_the_pinned_release_within_seconds() {
    let start = std::time::Instant::now();
    let options = Options { known_as: vec!["192.0.2.7".parse().unwrap()], ..Options::default() };
    let control_plane = ControlPlane::start_with(&Tools::from_environment().unwrap(), &options).unwrap();
    let took = start.elapsed();
    eprintln!("ready in {took:.1?}");
    let version = control_plane.kubectl(&["version", "-o", "json"]).unwrap();
    let version: serde_json::Value = serde_json::from_str(&version).unwrap();
    assert_eq!(version["serverVersion"]["gitVersion"], version["clientVersion"]["gitVersion"]);
    assert!(version["serverVersion"]["gitVersion"].as_str().unwrap().starts_with("v1."), "{version}");
    assert!(took < READY, "{took:?}");

    // Its certificate is for where guests find it, and for nowhere else.
    control_plane.kubectl(&["get", "nodes", "--tls-server-name=192.0.2.7"]).unwrap();
    let error =
        control_plane.kubectl(&["get", "nodes", "--tls-server-name=192.0.2.8"]).unwrap_err().to_string();
    assert!(error.contains("certificate is valid for"), "{error}");
}

#[test]
fn a_pod_is_scheduled_on_a_node_that_is_ready_and_leaves_it_when_deleted() {
    let api = shared();
    api.add_node("scheduled", "driver.example.org", "scheduled").unwrap();
    api.admin().create(&objects::pod("placed", None, &[])).unwrap();
    api.admin()
        .wait(&["-n", "default", "pod/placed", "--for=jsonpath={.spec.nodeName}=scheduled"], SOON)
        .unwrap();
    let placed = api.wait_for_event("Scheduled", SOON, |event| event.name == "placed").unwrap();
    assert_eq!((placed.level.as_str(), placed.kind.as_str()), ("Normal", "Pod"));
    assert_eq!(placed.component, "default-scheduler");
    assert!(api.event_lines("Scheduled").unwrap().contains("pod/placed"));
    api.set_pod_phase("placed", "Running").unwrap();
    let pod = api.admin().get(&["pod", "-n", "default", "placed"]).unwrap().unwrap();
    assert_eq!(pod["status"]["phase"], "Running");
    api.delete_pod("placed").unwrap();
    assert_eq!(api.admin().get(&["pod", "-n", "default", "placed"]).unwrap(), None);
    api.delete_node("scheduled").unwrap();
}

#[test]
fn a_node_that_is_not_ready_is_tainted_and_its_csi_node_goes_with_it() {
    let api = shared();
    // Where no node is Ready at all, the controllers take it for their own failure and evict nobody.
    api.add_node("healthy", "driver.example.org", "healthy").unwrap();
    api.add_node("failing", "driver.example.org", "failing").unwrap();
    api.set_ready("failing", "False").unwrap();
    let taint = "--for=jsonpath={.spec.taints[?(@.effect==\"NoExecute\")].key}=node.kubernetes.io/not-ready";
    api.admin().wait(&["node/failing", taint], SOON).unwrap();
    api.delete_node("failing").unwrap();
    api.admin().wait(&["csinode/failing", "--for=delete"], SOON).unwrap();
    api.delete_node("healthy").unwrap();
}

#[test]
fn a_pod_with_a_claim_makes_an_attachment_that_nobody_answers_without_a_driver() {
    let api = shared();
    let driver = "nobody.example.org";
    api.add_node("attached", driver, "attached").unwrap();
    let usage = objects::Usage::FILESYSTEM;
    api.admin()
        .create(&objects::list(vec![
            objects::csi_driver(driver),
            objects::persistent_volume("pv-a", driver, "handle-a", "1Gi", usage, Some("data-a")),
            objects::claim("data-a", "", "1Gi", usage),
        ]))
        .unwrap();
    assert_eq!(api.wait_until_bound("data-a", SOON).unwrap(), "pv-a");
    api.admin().create(&objects::pod("with-data", Some("attached"), &["data-a"])).unwrap();
    let attachment = wait_until("an attachment", SOON, || api.attachment("pv-a", "attached"));
    assert_ne!(attachment.unwrap()["status"]["attached"], true);
    let error = api.wait_until_attached("pv-a", "attached", Duration::ZERO).unwrap_err();
    assert!(matches!(&error, Error::Late { last, .. } if last.contains("pv-a")), "{error}");
    api.delete_pod("with-data").unwrap();
}

#[test]
fn users_and_accounts_may_do_what_rbac_gives_them() {
    let api = shared();
    let nobody = api.admin().with_kubeconfig(&api.kubeconfig_for("somebody", None).unwrap());
    let error = nobody.run(&["get", "nodes"]).unwrap_err().to_string();
    assert!(error.contains("forbidden") && error.contains("somebody"), "{error}");
    let master = api.kubeconfig_for("root", Some("system:masters")).unwrap();
    api.admin().with_kubeconfig(&master).run(&["get", "nodes"]).unwrap();

    let account = api.kubeconfig_of_service_account("default", "reader", api.address()).unwrap();
    // It needs no other file: it is read in guests too.
    assert!(!std::fs::read_to_string(&account).unwrap().contains(api.folder().to_str().unwrap()));
    let reader = api.admin().with_kubeconfig(&account);
    assert!(reader.run(&["get", "nodes"]).is_err());
    api.admin()
        .create(&json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": { "name": "node-reader" },
            "rules": [{ "apiGroups": [""], "resources": ["nodes"], "verbs": ["list"] }],
        }))
        .unwrap();
    api.admin().create(&objects::cluster_role_binding("reader", "node-reader", "default", "reader")).unwrap();
    // The authorizer learns of it by a watch.
    wait_until("the role is known", SOON, || Ok(reader.run(&["get", "nodes"]).ok().map(drop))).unwrap();
    assert!(reader.run(&["get", "secrets"]).is_err());
}
