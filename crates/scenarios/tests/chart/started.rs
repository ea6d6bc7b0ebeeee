//! Each role started with exactly the arguments that a case renders: a flag that does not exist, or a value that the driver
//! does not take, ends it.

use std::time::Duration;

use scenarios::{binary, http};
use serde_json::Value;
use tempfile::TempDir;
use testbed::{Process, free_ports};

use crate::accepted::{dry_run, of_kind, shared};
use crate::container::Pod;
use crate::golden::CASES;
use crate::helm::template;

/// It serves within a second; a busy machine gets many times that.
const SOON: Duration = Duration::from_secs(60);

#[test]
fn the_node_of_every_case_is_found_where_its_kubelet_looks() {
    for (case, kubelet, driver) in [
        ("least", "/var/lib/kubelet", "rds.csi.srvlab.io"),
        ("everything", "/var/data/kubelet", "rds.example.org"),
        ("unlike", "/var/lib/kubelet", "rds.csi.srvlab.io"),
    ] {
        let started = Started::new(case, "DaemonSet");
        for socket in [format!("plugins/{driver}/csi.sock"), format!("plugins_registry/{driver}-reg.sock")] {
            let path = started.pod.host(kubelet).join(&socket);
            started.process.wait_until(&socket, SOON, || Ok(path.exists().then_some(()))).unwrap();
        }
        started.serves();
    }
}

#[test]
fn the_controller_takes_every_flag_that_there_is_a_value_for() {
    // That of the least values is started with all that is beside it, where it is installed.
    for case in CASES.into_iter().filter(|case| *case != "least") {
        Started::new(case, "Deployment").serves();
    }
}

/// The driver's container of one workload.
#[derive(Debug)]
struct Started {
    process: Process,
    pod: Pod,
    port: u16,
    _folder: TempDir,
}

impl Started {
    fn new(case: &str, kind: &str) -> Self {
        let [port] = free_ports([127, 0, 0, 1].into()).unwrap();
        // Nothing listens on port 1 of loopback.
        let scheme = if case == "unlike" { "http" } else { "https" };
        let settings = [format!("metrics.port={port}"), format!("device.address={scheme}://127.0.0.1:1")];
        let settings: Vec<_> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        let api = shared();
        let objects = dry_run(api, &format!("{case}-{kind}"), &template(case, &settings).unwrap());
        let spec = &of_kind(&objects, kind)["spec"]["template"]["spec"];
        let folder = TempDir::new().unwrap();
        let pod = Pod::new(spec, folder.path(), fields());
        give_secrets(&pod, spec);
        let kubeconfig = api.admin().kubeconfig().to_str().unwrap();
        let variables = [("RDS_CSI_KUBECONFIG", kubeconfig)];
        let process = pod.start("rds-csi", &binary("rds-csi").unwrap(), &[], &variables);
        Self { process, pod, port, _folder: folder }
    }

    fn serves(&self) {
        self.process.wait_for_log("serving CSI", SOON).unwrap();
        let health = http::request(([127, 0, 0, 1], self.port).into(), "GET", "/livez", "").unwrap();
        assert!(health.starts_with("ok"), "{health}");
    }
}

/// What the downward API would say.
fn fields() -> Vec<(&'static str, String)> {
    [
        ("spec.nodeName", "a"),
        ("metadata.name", "rds-csi-1"),
        ("metadata.namespace", "rds-csi"),
        ("metadata.uid", "00000000-0000-0000-0000-000000000000"),
    ]
    .map(|(path, value)| (path, value.to_owned()))
    .into()
}

/// The device's user, under the keys that a case says; a node has none.
fn give_secrets(pod: &Pod, spec: &Value) {
    let has_credentials =
        spec["volumes"].as_array().into_iter().flatten().any(|volume| volume["name"] == "credentials");
    for key in ["user", "password", "name", "secret"] {
        if has_credentials {
            pod.give("credentials", key, b"nobody");
        }
    }
}
