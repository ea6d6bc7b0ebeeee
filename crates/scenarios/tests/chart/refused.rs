//! Values that cannot be: refused before anything is installed, with a line that says what to do.

use std::collections::BTreeSet;
use std::process::Command;

use scenarios::binary;

use crate::accepted::{dry_run, of_kind, shared};
use crate::golden::CASES;
use crate::helm::{render, template};

/// Settings on top of the least values, and what is said.
const REFUSED: &[(&[&str], &str)] = &[
    // Misspelt, at every level.
    (&["kubletDir=/x"], "additional properties 'kubletDir' not allowed"),
    (&["device.adress=https://x"], "at '/device': additional properties 'adress' not allowed"),
    (
        &["device.facts.unexported=drains"],
        "at '/device/facts': additional properties 'unexported' not allowed",
    ),
    (&["controller.replica=2"], "at '/controller': additional properties 'replica' not allowed"),
    (&["sidecars.snapshotter.tag=v1"], "at '/sidecars': additional properties 'snapshotter' not allowed"),
    (
        &["storageClasses[0].name=a", "storageClasses[0].fstype=xfs"],
        "additional properties 'fstype' not allowed",
    ),
    (
        &["storageClasses[0].name=a", "storageClasses[0].parameters.nvmePorts=1"],
        "at '/storageClasses/0/parameters': additional properties 'nvmePorts' not allowed",
    ),
    // Of a wrong kind or out of range.
    (&["controller.replicas=0"], "at '/controller/replicas': minimum: got 0, want 1"),
    (&["controller.leaseDuration=4s"], "at '/controller/leaseDuration'"),
    (&["controller.leaseDuration=2m"], "at '/controller/leaseDuration'"),
    (&["device.maxInFlight=65"], "at '/device/maxInFlight': maximum: got 65, want 64"),
    (&["device.facts.order=lifo"], "at '/device/facts/order': value must be one of 'unknown', 'fifo'"),
    (&["device.basePaths={raid10/csi}"], "at '/device/basePaths/0'"),
    (&["device.basePaths={/raid10/../flash}"], "at '/device/basePaths/0'"),
    (&["device.address=ssh://rds.example"], "at '/device/address'"),
    (&["device.address=https://user:secret@rds.example"], "at '/device/address'"),
    (&["device.address=https://rds.example:65536"], "at '/device/address'"),
    (&["device.address=https://rds.example:0"], "at '/device/address'"),
    (&["device.address=https://[fd00::1"], "at '/device/address'"),
    (&["device.address=https://[::1:2:3:4:5:6:7:8]"], "at '/device/address'"),
    (&["device.dataAddress=[1:2:3:4::5:6:7:8]:4420"], "at '/device/dataAddress'"),
    (&["device.pollInterval=0s"], "at '/device/pollInterval'"),
    (&["device.dataAddress=10.0.0.1\\,10.0.0.2"], "at '/device/dataAddress'"),
    (&["device.dataAddress=10.0.0.1:0"], "at '/device/dataAddress'"),
    (&["device.dataAddress=10.0.0.1:65536"], "at '/device/dataAddress'"),
    (&["device.dataAddress=:4420"], "at '/device/dataAddress'"),
    (&["device.dataAddress=rds:nvme"], "at '/device/dataAddress'"),
    (&["device.dataAddress=[fd00::1"], "at '/device/dataAddress'"),
    (&["device.dataAddress=fd00:1:4420"], "at '/device/dataAddress'"),
    (&["device.tls.fingerprint=ab:cd"], "at '/device/tls/fingerprint'"),
    (&["fencing.mode=maybe"], "at '/fencing/mode': value must be one of '', 'generation', 'host-nqn', 'off'"),
    (&["fencing.settle=5"], "at '/fencing/settle'"),
    (&["fencing.settle=9999999999s"], "at '/fencing/settle'"),
    (&["attachments.reconcileInterval=0s"], "at '/attachments/reconcileInterval'"),
    (&["volumes.poolReserve=51"], "at '/volumes/poolReserve': maximum: got 51, want 50"),
    (&["volumes.maxSize=1TB"], "at '/volumes/maxSize'"),
    (&["rbac.readPods=never"], "at '/rbac/readPods': got string, want boolean"),
    (&["node.maxVolumes=70000"], "at '/node/maxVolumes'"),
    (&["node.maxUnavailable=0"], "at '/node/maxUnavailable'"),
    (&["metrics.port=0"], "at '/metrics/port'"),
    (&["networkPolicy.dnsPorts={0}"], "at '/networkPolicy/dnsPorts/0': minimum: got 0, want 1"),
    (&["log.level=loud"], "at '/log/level'"),
    (&["log.level=info\\,inof"], "at '/log/level'"),
    (&["log.level=routeros"], "at '/log/level'"),
    (&["log.level=info\\,routeros=loud"], "at '/log/level'"),
    (&["nqnPrefix=nqn.2000-02.com.MikroTik"], "at '/nqnPrefix'"),
    (&["nqnPrefix=nqn.2000-02.com.mikrotik:"], "at '/nqnPrefix'"),
    (&["nqnPrefix=nqn."], "at '/nqnPrefix'"),
    (&["metrics.address=999.9.9.9"], "at '/metrics/address'"),
    (&["metrics.address=10.0.1"], "at '/metrics/address'"),
    (&["metrics.address=[::1::]"], "at '/metrics/address'"),
    (&["metrics.address=[1:2:3:4::5:6:7:8]"], "at '/metrics/address'"),
    (&["log.format=xml"], "at '/log/format': value must be one of 'text', 'json'"),
    (&["image.digest=0123"], "at '/image/digest'"),
    (&["controller.extraArgs={lease-name=x}"], "at '/controller/extraArgs/0'"),
    (
        &["storageClasses[0].name=a", "storageClasses[0].parameters.migrationTimeoutSeconds=29"],
        "at '/storageClasses/0/parameters/migrationTimeoutSeconds': minimum: got 29, want 30",
    ),
    (
        &["storageClasses[0].name=a", "storageClasses[0].parameters.migrationTimeoutSeconds=3601"],
        "maximum: got 3,601, want 3,600",
    ),
    (&["storageClasses[0].name=a", "storageClasses[0].fsType=btrfs"], "value must be one of 'ext4', 'xfs'"),
    (&["image.repository=registry.example/rds-csi:0.1.0"], "at '/image/repository'"),
    (&["sidecars.registry=https://registry.example"], "at '/sidecars/registry'"),
    // A default that is taken away, and is needed: all of the network, no toleration, no text in a flag.
    (&["networkPolicy.dnsPorts=null"], "at '/networkPolicy': missing property 'dnsPorts'"),
    (&["networkPolicy.apiServerPorts={}"], "at '/networkPolicy/apiServerPorts"),
    (&["node.tolerations=null"], "at '/node': missing property 'tolerations'"),
    (&["driverName=null"], "missing property 'driverName'"),
    (&["fencing=null"], "missing property 'fencing'"),
    (&["log.level=null"], "at '/log': missing property 'level'"),
    (&["sidecars.timeout=null"], "at '/sidecars': missing property 'timeout'"),
    (&["sidecars.resizer.tag="], "sidecars.resizer has neither a tag nor a digest"),
    // What has no default.
    (&["image.repository="], "image.repository is not set: give the registry and name"),
    (&["sidecars.registry=null"], "sidecars.registry is not set: give the registry"),
    (&["device.address="], "device.address is not set: give the device's management address"),
    (&["device.dataAddress="], "device.dataAddress is not set: give host[:port]"),
    (&["device.basePaths=null"], "device.basePaths is not set: give at least one directory"),
    (
        &["device.credentials.secretName="],
        "device.credentials.secretName is not set: make it with `kubectl -n rds-csi create secret generic NAME",
    ),
    (
        &["device.tls.caSecretName="],
        "device.tls says no way to check the device's certificate: set exactly one",
    ),
    // What contradicts itself.
    (
        &["device.tls.insecure=true"],
        "device.tls says 2 ways to check the device's certificate: set exactly one",
    ),
    (&["device.address=http://rds.example"], "device.address is http://, which sends the password in clear"),
    (&["fencing.settle=0s"], "fencing.settle is 0: late writes of the old node would land"),
    (&["fencing.mode=off", "fencing.settle=5s"], "fencing.mode is off and fencing.settle is set"),
    (
        &["volumes.maxSize=15Mi"],
        "volumes.maxSize is 15Mi, and the smallest volume has 16Mi: give that or more",
    ),
    (&["volumes.maxSize=16383Ki"], "volumes.maxSize is 16383Ki, and the smallest volume has 16Mi"),
    (&["volumes.maxSize=16777216Ti"], "volumes.maxSize is 16777216Ti, which is more bytes than 64 bits hold"),
    (
        &["device.facts.unexport=drains", "fencing.settle=5s"],
        "fencing.settle is 5s and device.facts.unexport is drains, after which nothing is waited for: remove",
    ),
    (
        &["controller.extraArgs={--fencing=off}"],
        "controller.extraArgs: --fencing is set by this chart: set its value instead",
    ),
    (
        &["controller.podLabels.app\\.kubernetes\\.io/name=x"],
        "controller.podLabels: app.kubernetes.io/name is the chart's own, by which it finds what it made: remove it",
    ),
    (
        &["node.podLabels.app\\.kubernetes\\.io/component=x"],
        "node.podLabels: app.kubernetes.io/component is the chart's own",
    ),
    (
        &["metrics.podMonitors.labels.app\\.kubernetes\\.io/instance=x"],
        "metrics.podMonitors.labels: app.kubernetes.io/instance is the chart's own",
    ),
    (
        &["controller.extraArgs={--address=https://x}"],
        "controller.extraArgs: --address is set by this chart: set its value instead",
    ),
    (
        &["node.extraArgs={--registration-socket=/x}"],
        "node.extraArgs: --registration-socket is set by this chart: set its value instead",
    ),
    (
        &["controller.extraArgs={--lease-name=x}"],
        "--lease-name would need a right that the chart does not give, whose Role names the Lease rds.csi.srvlab.io",
    ),
    (
        &["sidecars.attacher.extraArgs={--leader-election}"],
        "sidecars.attacher.extraArgs: --leader-election would have a sidecar wait for an election of its own",
    ),
    (
        &["sidecars.resizer.extraArgs={--leader-election-namespace=x}"],
        "sidecars.resizer.extraArgs: --leader-election-namespace=x would have a sidecar wait",
    ),
    (
        &["sidecars.provisioner.extraArgs={--enable-capacity=false}"],
        "sidecars.provisioner.extraArgs: --enable-capacity is set by this chart",
    ),
    (
        &["sidecars.attacher.extraArgs={--timeout=1s}"],
        "sidecars.attacher.extraArgs: --timeout is set by this chart",
    ),
    (
        &["controller.extraArgs={--kubernetes=off}"],
        "controller.extraArgs: --kubernetes is for a driver outside of a cluster: here it would lead without an election",
    ),
    (&["node.extraArgs={--kubeconfig=/x}"], "node.extraArgs: --kubeconfig is for a driver outside"),
    (&["controller.extraArgs={--lease-namespace=x}"], "--lease-namespace would need a right"),
    (&["metrics.address=127.0.0.1"], "metrics.address is 127.0.0.1, and kubelets ask the pod's address"),
    (&["metrics.address=[::1]"], "metrics.address is [::1], and kubelets ask the pod's address"),
    (&["device.facts.allow-list=comma"], "fencing.mode is generation: only host-nqn uses the list"),
    (
        &["attachments.rwxPlainPods=true", "rbac.readPods=false"],
        "attachments.rwxPlainPods is set and rbac.readPods is false: whose pods they are is not seen",
    ),
    (
        &["rbac.readPods=false"],
        "storageClasses: rds-kubevirt is ReadWriteMany and rbac.readPods is false: whose pods ask is not seen, so every \
         second node is refused and no virtual machine migrates. Set rbac.readPods; or \
         attachments.podsUnreadable=refuse where no machine migrates, allow where any two nodes may share a disk",
    ),
    (
        &["storageClasses[0].name=a", "storageClasses[0].parameters.fastIoFailTmo=1801"],
        "a has fastIoFailTmo 1801, more than ctrlLossTmo (1800), after which the path is given up",
    ),
    (
        &[
            "storageClasses[0].name=a",
            "storageClasses[0].parameters.fastIoFailTmo=60",
            "storageClasses[0].parameters.ctrlLossTmo=0",
        ],
        "a has fastIoFailTmo 60, more than ctrlLossTmo (0)",
    ),
    (
        &["storageClasses[0].name=a", "storageClasses[0].parameters.volumePath=/raid10"],
        "a has volumePath /raid10, below which this controller makes no images: add it to device.basePaths, or take one \
         of those (/raid10/csi)",
    ),
    (
        &[
            "storageClasses[0].name=a",
            "storageClasses[0].accessMode=ReadWriteMany",
            "storageClasses[0].fsType=ext4",
        ],
        "a is ReadWriteMany, which is served for raw block only: set volumeMode: Block and remove fsType",
    ),
    (
        &["storageClasses[0].name=a", "storageClasses[0].volumeMode=Block", "storageClasses[0].fsType=xfs"],
        "a has fsType xfs and volumeMode Block: remove one of them",
    ),
    (
        &[
            "storageClasses[0].name=a",
            "storageClasses[0].volumeMode=Block",
            "storageClasses[0].mountOptions={noatime}",
        ],
        "a has mountOptions and volumeMode Block: remove one of them",
    ),
    (
        &["storageClasses[0].name=a", "storageClasses[0].parameters.migrationTimeoutSeconds=60"],
        "a has migrationTimeoutSeconds, which is for virtual machines that migrate",
    ),
    (&["storageClasses[0].name=a", "storageClasses[1].name=a"], "storageClasses: a is there twice"),
    (
        &[
            "storageClasses[0].name=a",
            "storageClasses[0].default=true",
            "storageClasses[1].name=b",
            "storageClasses[1].default=true",
        ],
        "storageClasses: a and b are both default: a cluster has one",
    ),
];

/// How flags begin that a driver in a cluster has no use for.
const OUTSIDE: [&str; 3] = ["--lease-name", "--kube", "--pod-"];

#[test]
fn each_value_that_cannot_be_is_refused_with_a_line_that_says_what_to_do() {
    for (settings, said) in REFUSED {
        let arguments: Vec<_> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        let error = template("least", &arguments).expect_err(&settings.join(" "));
        assert!(error.lines().any(|line| line.contains(said)), "{settings:?}: no {said:?} in {error}");
    }
}

#[test]
fn each_way_to_write_what_the_driver_takes_is_taken() {
    for setting in [
        "device.address=https://rds.example:8443",
        "device.address=https://[fd00::1]:65535",
        "device.address=https://10.0.0.1",
        "device.pollInterval=500ms",
        "log.level=off",
        "log.level=warn\\,csi_controller::watch=trace",
        "nqnPrefix=nqn.2024-01.org.example:storage",
        "metrics.address=255.10.0.199",
        "metrics.address=[::]",
        "image.repository=registry.example:5000/storage/rds-csi",
        "sidecars.registry=registry.example:5000/sig-storage",
        "sidecars.provisioner.extraArgs={--worker-threads=10}",
        "metrics.address=[1:2:3:4:5:6:7:8]",
        "metrics.address=[1:2:3:4:5:6:7::]",
        "metrics.address=[::2:3:4:5:6:7:8]",
        "metrics.address=[fd00::1]",
        "device.dataAddress=rds.example",
        "device.dataAddress=rds.example:4421",
        "device.dataAddress=10.0.0.1:65535",
        "device.dataAddress=fd00::1",
        "device.dataAddress=2001:db8:0:0:0:0:0:1",
        "device.dataAddress=[fd00::1]",
        "device.dataAddress=[fd00::1]:4421",
        "volumes.maxSize=16Mi",
        "volumes.maxSize=16384Ki",
        "volumes.maxSize=16777215Ti",
        "storageClasses[0].parameters.fastIoFailTmo=1800",
        "storageClasses[0].parameters.volumePath=/raid10/csi/",
        // No class of ReadWriteMany is left.
        "rbac.readPods=false",
    ] {
        let rendered = template("least", &["--set", "storageClasses[0].name=a", "--set", setting]);
        assert!(rendered.is_ok(), "{setting}: {rendered:?}");
    }
}

#[test]
fn a_further_flag_is_none_that_the_chart_sets_whether_its_value_was_given_or_not() {
    for (role, kind) in [("controller", "Deployment"), ("node", "DaemonSet")] {
        let own = set_by_the_chart(kind);
        let error = with_further(role, &own).unwrap_err();
        for flag in &own {
            let said = format!("- {role}.extraArgs: {flag} is set by this chart");
            assert!(error.contains(&said), "no {said:?} in {error}");
        }
        let mut others = &known_to_the_driver(role) - &own;
        others.retain(|flag| !OUTSIDE.iter().any(|start| flag.starts_with(start)));
        if role == "controller" {
            others.insert("--lease-namespace=rds-csi".to_owned());
        }
        assert!(!others.is_empty() && own.len() > others.len(), "{role}: {own:?}, {others:?}");
        with_further(role, &others).unwrap();
    }
}

#[test]
fn a_further_flag_of_a_sidecar_is_none_that_the_chart_sets() {
    let objects = dry_run(shared(), "sidecars-flags", &template("least", &[]).unwrap());
    let containers = &of_kind(&objects, "Deployment")["spec"]["template"]["spec"]["containers"];
    for which in ["provisioner", "attacher", "resizer"] {
        let name = format!("csi-{which}");
        let container =
            containers.as_array().unwrap().iter().find(|one| one["name"] == name.as_str()).unwrap();
        let own =
            container["args"].as_array().unwrap().iter().map(|argument| flag(argument.as_str().unwrap()));
        let own: BTreeSet<_> = own.collect();
        let error = with_further(&format!("sidecars.{which}"), &own).unwrap_err();
        for flag in &own {
            let said = format!("- sidecars.{which}.extraArgs: {flag} ");
            assert!(error.contains(&said), "no {said:?} in {error}");
        }
    }
}

fn with_further(role: &str, flags: &BTreeSet<String>) -> Result<String, String> {
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    template("least", &["--set", &format!("{role}.extraArgs={{{}}}", flags.join(","))])
}

/// The flags of the driver in any case; together they give every value.
fn set_by_the_chart(kind: &str) -> BTreeSet<String> {
    let nothing = ["--set-json=controller.extraArgs=[]", "--set-json=node.extraArgs=[]"];
    let of_case = |case: &str| {
        let objects = dry_run(shared(), &format!("{case}-{kind}-flags"), &template(case, &nothing).unwrap());
        let container = &of_kind(&objects, kind)["spec"]["template"]["spec"]["containers"][0];
        let arguments = container["args"].as_array().unwrap().iter().skip(1);
        arguments.map(|argument| flag(argument.as_str().unwrap())).collect::<Vec<_>>()
    };
    CASES.into_iter().flat_map(of_case).collect()
}

/// The flags that its help lists.
fn known_to_the_driver(role: &str) -> BTreeSet<String> {
    let help = Command::new(binary("rds-csi").unwrap()).args([role, "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    // What follows a flag is indented more.
    help.lines()
        .filter_map(|line| line.strip_prefix("      ").filter(|line| line.starts_with("--")))
        .map(flag)
        .collect()
}

/// Without its value.
fn flag(argument: &str) -> String {
    argument.split(['=', ' ']).next().unwrap_or_default().to_owned()
}

#[test]
fn all_that_is_missing_is_told_at_once() {
    let needed = [
        "image.repository",
        "sidecars.registry",
        "device.address",
        "device.dataAddress",
        "device.basePaths",
        "device.credentials.secretName",
    ];
    let nothing: Vec<_> =
        needed.iter().flat_map(|name| ["--set".to_owned(), format!("{name}=null")]).collect();
    let error = template("least", &nothing.iter().map(String::as_str).collect::<Vec<_>>()).unwrap_err();
    for name in needed {
        assert!(error.contains(&format!("- {name} is not set")), "no {name} in {error}");
    }
}

#[test]
fn a_cluster_that_is_too_old_or_has_no_pod_monitors_is_told_apart_before_anything_is_made() {
    let error = render("least", &["--kube-version=1.28.0"]).unwrap_err();
    assert!(error.contains("requires kubeVersion: >=1.29.0-0"), "{error}");
    let error = render("everything", &["--kube-version=1.36.3"]).unwrap_err();
    let said = "metrics.podMonitors.enabled, but this cluster has no PodMonitor: install the CRDs";
    assert!(error.contains(said) && error.contains("--api-versions"), "{error}");
}
