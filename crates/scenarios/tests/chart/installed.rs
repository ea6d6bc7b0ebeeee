//! The chart installed by the real helm, and what it says run as processes: the driver's roles and the sidecars, with
//! exactly their arguments and rights.

use std::fs;
use std::path::Path;
use std::time::Duration;

use scenarios::{DRIVER, Device, binary};
use serde_json::{Value, json};
use tempfile::TempDir;
use testbed::objects::{self, Usage};
use testbed::{ControlPlane, Process, Tools, free_ports, wait_until};

use crate::accepted::shared;
use crate::container::Pod;
use crate::helm::{RELEASE, deploy, helm, values};

/// A leader waits for the Lease of another that may be; sidecars act within seconds. A busy machine gets many times that.
const SOON: Duration = Duration::from_secs(120);

/// The classes of the chart, and how they are used.
const CLASSES: [(&str, Usage); 4] = [
    ("rds-ext4", Usage::FILESYSTEM),
    ("rds-xfs", Usage::FILESYSTEM),
    ("rds-block", Usage::BLOCK),
    ("rds-kubevirt", Usage::SHARED_BLOCK),
];

#[test]
fn a_secret_that_is_not_there_or_lacks_a_key_is_told_with_how_to_make_it() {
    let api = shared();
    let error = install(api, &["--dry-run=server"]).unwrap_err();
    for said in [
        "there is no Secret rds-credentials in the namespace rds-csi: make it with `kubectl -n rds-csi create secret \
         generic rds-credentials --from-literal=user=… --from-file=password=FILE`",
        "there is no Secret rds-ca in the namespace rds-csi: make it with",
    ] {
        assert!(error.contains(said), "no {said:?} in {error}");
    }
    make_secrets(api, &["--from-literal=user=u", "--from-literal=pass=p"], "ca.crt=x");
    let error = install(api, &["--dry-run=server"]).unwrap_err();
    assert!(error.contains("the Secret rds-credentials has no key password: add it"), "{error}");
    install(api, &["--dry-run=server", "--set", "device.credentials.passwordKey=pass"]).unwrap();
}

#[test]
fn what_the_chart_installs_serves_every_class_and_leaves_volumes_when_it_goes() {
    let tools = Tools::from_environment().unwrap();
    let (api, device) = (ControlPlane::start(&tools).unwrap(), Device::start(&[]).unwrap());
    api.add_namespace(RELEASE).unwrap();
    let (user, password) = device.login();
    let login = [format!("--from-literal=user={user}"), format!("--from-literal=password={password}")];
    let certificate = device.target().certificate.display().to_string();
    make_secrets(&api, &[&login[0], &login[1]], &format!("ca.crt={certificate}"));
    let [port] = free_ports([127, 0, 0, 1].into()).unwrap();
    let settings = [at(port), of_device(&device)].concat();
    install(&api, &settings.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();

    another_is_told_what_is_in_its_way(&api);

    let running = start_controller(&api, &tools, &device);
    api.add_node("a", DRIVER, "rds:a").unwrap();
    serves_every_class(&api);
    shows_the_room(&api);
    schedules_only_where_there_is_room(&api);
    for process in &running.processes {
        assert!(process.is_running() && !process.log().contains("forbidden"), "{}", process.log());
    }

    volumes_keep_their_names(&api, &settings);

    // Nothing that the API lets nobody change is in the way of an upgrade.
    let more =
        [settings.clone(), set(&["controller.replicas=3".into(), "node.maxVolumes=64".into()])].concat();
    release(&api, "upgrade", &more.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    let made = device.volumes().unwrap();
    assert_eq!(made.len(), CLASSES.len() + 1);
    helm(&["uninstall", RELEASE, "-n", RELEASE, "--kubeconfig", kubeconfig(&api)]).unwrap();
    assert_eq!(api.admin().get(&["csidriver", DRIVER]).unwrap(), None);
    let left = api.admin().get(&["pv"]).unwrap().unwrap();
    assert_eq!(left["items"].as_array().unwrap().len(), made.len());
    assert_eq!(device.volumes().unwrap(), made);
}

/// A second release beside the first one, in a namespace where nothing privileged runs.
fn another_is_told_what_is_in_its_way(api: &ControlPlane) {
    api.add_namespace("second").unwrap();
    api.kubectl(&["label", "namespace", "second", "pod-security.kubernetes.io/enforce=baseline"]).unwrap();
    let (chart, values) = (deploy("helm/rds-csi"), values("least"));
    let (chart, values) = (chart.to_str().unwrap(), values.to_str().unwrap());
    let second = ["install", "second", chart, "-n", "second", "--values", values, "--dry-run=server"];
    let refused = |further: &[&str]| {
        helm(&[&second[..], &["--kubeconfig", kubeconfig(api)], further].concat()).unwrap_err()
    };
    let same = "the release rds-csi in the namespace rds-csi has the same clusterId";
    let error = refused(&[]);
    for said in [same, "the namespace second enforces the Pod Security level baseline, so that no node"] {
        assert!(error.contains(said), "no {said:?} in {error}");
    }
    let error = refused(&["--set", "clusterId=second"]);
    assert!(!error.contains(same), "{error}");
}

/// An upgrade that would make strangers of the volumes that there are is refused; to say what holds anyway changes nothing.
fn volumes_keep_their_names(api: &ControlPlane, settings: &[String]) {
    let upgrade = |values: &[&str]| {
        let further = set(&values.iter().map(|&value| value.to_owned()).collect::<Vec<_>>());
        let all = [settings, &further, &["--dry-run=server".to_owned()]].concat();
        release(api, "upgrade", &all.iter().map(String::as_str).collect::<Vec<_>>())
    };
    for (value, said) in [
        ("driverName=other.csi", "driverName is rds.csi.srvlab.io and would become other.csi"),
        ("clusterId=other", "and would become other, and the volumes that there are would be nobody's"),
        ("nqnPrefix=nqn.2001-01.org.other", "nqnPrefix is nqn.2000-02.com.mikrotik and would become"),
        ("kubeletDir=/var/lib/k0s/kubelet", "kubeletDir is /var/lib/kubelet and would become /var/lib/k0s"),
    ] {
        let error = upgrade(&[value]).unwrap_err();
        assert!(error.contains(said), "no {said:?} in {error}");
        upgrade(&[value, "checkSecrets=false"]).unwrap();
    }
    let namespace = api.admin().get(&["namespace", "kube-system"]).unwrap().unwrap();
    let id = namespace["metadata"]["uid"].as_str().unwrap();
    upgrade(&[&format!("clusterId={id}"), "nqnPrefix=nqn.2000-02.com.mikrotik"]).unwrap();
}

/// Claims of every class are bound, attached and grown.
fn serves_every_class(api: &ControlPlane) {
    for (class, usage) in CLASSES {
        api.admin().create(&objects::claim(class, class, "1Gi", usage)).unwrap();
    }
    for (class, _) in CLASSES {
        let volume = api.wait_until_bound(class, SOON).unwrap();
        api.admin().create(&objects::volume_attachment(class, DRIVER, "a", &volume)).unwrap();
        api.wait_until_attached(&volume, "a", SOON).unwrap();
        let grown = json!({ "spec": { "resources": { "requests": { "storage": "2Gi" } } } });
        api.admin().patch(&["pvc", "-n", "default", class], &grown).unwrap();
        let size = "--for=jsonpath={.spec.capacity.storage}=2Gi";
        api.admin().wait(&[&format!("pv/{volume}"), size], SOON).unwrap();
    }
}

/// There is one CSIStorageCapacity for each class, which goes with the Deployment.
fn shows_the_room(api: &ControlPlane) {
    let room = wait_until("a capacity for every class", SOON, || {
        let room = api.admin().get(&["csistoragecapacities", "-n", RELEASE])?.unwrap_or_default();
        let items = room["items"].as_array().cloned().unwrap_or_default();
        Ok((items.len() == CLASSES.len()).then_some(items))
    })
    .unwrap();
    for one in room {
        assert_eq!(one["metadata"]["ownerReferences"][0]["kind"], "Deployment", "{one}");
        assert!(one["capacity"].is_string(), "{one}");
    }
}

/// In a class that waits for a consumer, a pod with a claim that fits is scheduled; one that asks for more than the device
/// would make is not, and its event says why.
fn schedules_only_where_there_is_room(api: &ControlPlane) {
    let mut class = objects::storage_class("waiting", DRIVER, &[]);
    class["volumeBindingMode"] = "WaitForFirstConsumer".into();
    api.admin().create(&class).unwrap();
    for (name, size) in [("fits", "1Gi"), ("too-large", "20Ti")] {
        api.admin().create(&objects::claim(name, "waiting", size, Usage::FILESYSTEM)).unwrap();
        api.admin().create(&objects::pod(name, None, &[name])).unwrap();
    }
    api.wait_until_bound("fits", SOON).unwrap();
    let said = "did not have enough free storage";
    api.wait_for_event("FailedScheduling", SOON, |event| {
        event.name == "too-large" && event.message.contains(said)
    })
    .unwrap();
    let claim = api.admin().get(&["pvc", "-n", "default", "too-large"]).unwrap().unwrap();
    assert_eq!(claim["status"]["phase"], "Pending");
}

/// The containers of the first pod that the Deployment made.
#[derive(Debug)]
struct Running {
    processes: Vec<Process>,
    _folder: TempDir,
}

fn start_controller(api: &ControlPlane, tools: &Tools, device: &Device) -> Running {
    let object = wait_until("a pod of the Deployment", SOON, || {
        let label = "app.kubernetes.io/component=controller";
        let pods = api.admin().get(&["pods", "-n", RELEASE, "-l", label])?.unwrap_or_default();
        Ok(pods["items"].get(0).cloned())
    })
    .unwrap();
    let folder = TempDir::new().unwrap();
    let field = |name: &str| object["metadata"][name].as_str().unwrap().to_owned();
    let fields = vec![
        ("metadata.name", field("name")),
        ("metadata.namespace", field("namespace")),
        ("metadata.uid", field("uid")),
    ];
    let pod = Pod::new(&without_account(&object["spec"]), folder.path(), fields);
    let (user, password) = device.login();
    pod.give("credentials", "user", user.as_bytes());
    pod.give("credentials", "password", password.as_bytes());
    pod.give("ca", "ca.crt", &fs::read(&device.target().certificate).unwrap());

    let kubeconfig = account(api, "rds-csi-controller");
    let variable = [("RDS_CSI_KUBECONFIG", kubeconfig.as_str())];
    let mut processes = vec![pod.start("rds-csi", &binary("rds-csi").unwrap(), &[], &variable)];
    let as_account = [format!("--kubeconfig={kubeconfig}")];
    for sidecar in ["csi-provisioner", "csi-attacher", "csi-resizer"] {
        processes.push(pod.start(sidecar, &tools.program(sidecar).unwrap(), &as_account, &[]));
    }
    Running { processes, _folder: folder }
}

/// Without the volume that admission adds, whose folder a pod would have.
fn without_account(spec: &Value) -> Value {
    let mut spec = spec.clone();
    spec["volumes"].as_array_mut().unwrap().retain(|volume| volume["projected"].is_null());
    spec
}

fn make_secrets(api: &ControlPlane, credentials: &[&str], authority: &str) {
    let make = |name: &str, content: &[&str]| {
        api.kubectl(&["delete", "secret", "-n", RELEASE, name, "--ignore-not-found"]).unwrap();
        api.kubectl(&[&["create", "secret", "generic", "-n", RELEASE, name], content].concat()).unwrap();
    };
    make("rds-credentials", credentials);
    let flag = if Path::new(authority.trim_start_matches("ca.crt=")).exists() { "file" } else { "literal" };
    make("rds-ca", &[&format!("--from-{flag}={authority}")]);
}

fn install(api: &ControlPlane, further: &[&str]) -> Result<String, String> {
    release(api, "install", further)
}

/// Installs or upgrades to the least that there can be, and what is set further.
fn release(api: &ControlPlane, verb: &str, further: &[&str]) -> Result<String, String> {
    let (chart, values) = (deploy("helm/rds-csi"), values("least"));
    let (chart, values) = (chart.to_str().unwrap(), values.to_str().unwrap());
    let release = [verb, RELEASE, chart, "-n", RELEASE, "--values", values];
    helm(&[&release[..], &["--kubeconfig", kubeconfig(api)], further].concat())
}

/// Metrics and health on a port of their own.
fn at(port: u16) -> Vec<String> {
    set(&[format!("metrics.port={port}")])
}

/// This device, of which it is known that it answers in order; a Lease as short as it can be.
fn of_device(device: &Device) -> Vec<String> {
    let target = device.target();
    set(&[
        format!("device.address={}", target.management),
        format!("device.dataAddress={}", target.data_address),
        "device.facts.order=fifo".into(),
        "controller.leaseDuration=5s".into(),
    ])
}

fn set(settings: &[String]) -> Vec<String> {
    settings.iter().flat_map(|setting| ["--set".to_owned(), setting.clone()]).collect()
}

fn kubeconfig(api: &ControlPlane) -> &str {
    api.admin().kubeconfig().to_str().unwrap()
}

/// The kubeconfig of a service account of the release.
fn account(api: &ControlPlane, name: &str) -> String {
    api.kubeconfig_of_service_account(RELEASE, name, api.address()).unwrap().display().to_string()
}
