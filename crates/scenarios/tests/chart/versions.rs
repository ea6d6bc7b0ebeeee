//! The chart is of the workspace's release.

use std::fs;

use crate::helm::{deploy, template};

#[test]
fn the_chart_has_the_version_of_the_workspace() {
    let chart = fs::read_to_string(deploy("helm/rds-csi/Chart.yaml")).unwrap();
    for key in ["version", "appVersion"] {
        let line = format!("{key}: {}", env!("CARGO_PKG_VERSION"));
        assert!(chart.lines().any(|there| there == line), "no {line:?} in Chart.yaml");
    }
    let rendered = template("least", &[]).unwrap();
    let image = format!("image: registry.example/rds-csi:{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(rendered.matches(&image).count(), 2, "the image of controller and node is {image}");
}

#[test]
fn the_sidecars_are_of_the_releases_that_everything_is_tested_with() {
    let pins = fs::read_to_string(deploy("../tools/control-plane/go.mod")).unwrap();
    let rendered = template("least", &[]).unwrap();
    for sidecar in ["provisioner", "attacher", "resizer"] {
        let module = format!("github.com/kubernetes-csi/external-{sidecar}/");
        let pin = pins.lines().find_map(|line| line.trim().strip_prefix(&module)?.split_whitespace().nth(1));
        let image = format!("/csi-{sidecar}:{}\n", pin.unwrap());
        assert!(rendered.contains(&image), "no {image} is rendered");
    }
}

#[test]
fn nothing_has_an_election_but_the_driver_and_no_sidecar_a_probe() {
    let rendered = template("least", &[]).unwrap();
    assert_eq!(rendered.matches("- --leader-election=false").count(), 3, "one for each sidecar");
    assert_eq!(rendered.matches("livenessProbe:").count(), 2, "one for each role of the driver");
    assert_eq!(rendered.matches("readinessProbe:").count(), 2);
}

#[test]
fn the_node_has_no_secret_of_the_device_and_of_the_host_what_its_helpers_need() {
    let shown = ["--show-only=templates/node/daemonset.yaml"];
    for case in crate::golden::CASES {
        let node = template(case, &shown).unwrap();
        for absent in ["secret:", "hostIPC", "--address", "password"] {
            assert!(!node.contains(absent), "{case}: {absent} in {node}");
        }
        assert!(node.contains("hostNetwork: true"));
        // Both, or a helper in uninterruptible sleep keeps the pod from ending (ADR 8).
        assert!(node.contains("hostPID: true") && node.contains("--helper-cgroup=/sys/fs/cgroup/"));
        assert_eq!(node.matches("mountPropagation: Bidirectional").count(), 1);
    }
}
