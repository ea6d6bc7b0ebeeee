//! Values that cannot be: refused before anything is installed, with a line that says what to do.

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
    (&["attachments.reconcileInterval=0s"], "at '/attachments/reconcileInterval'"),
    (&["volumes.poolReserve=51"], "at '/volumes/poolReserve': maximum: got 51, want 50"),
    (&["volumes.maxSize=1TB"], "at '/volumes/maxSize'"),
    (&["rbac.readPods=never"], "at '/rbac/readPods': got string, want boolean"),
    (&["node.maxVolumes=70000"], "at '/node/maxVolumes'"),
    (&["node.maxUnavailable=0"], "at '/node/maxUnavailable'"),
    (&["metrics.port=0"], "at '/metrics/port'"),
    (&["networkPolicy.dnsPorts={0}"], "at '/networkPolicy/dnsPorts/0': minimum: got 0, want 1"),
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
    (
        &["controller.extraArgs={--address=https://x}"],
        "controller.extraArgs: --address has a value of its own in this chart: set that",
    ),
    (
        &["node.extraArgs={--registration-socket=/x}"],
        "node.extraArgs: --registration-socket has a value of its own in this chart: set that",
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
    (&["device.facts.allow-list=comma"], "fencing.mode is generation: only host-nqn uses the list"),
    (
        &["attachments.rwxPlainPods=true", "rbac.readPods=false"],
        "attachments.rwxPlainPods is set and rbac.readPods is false: whose pods they are is not seen",
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
        "device.dataAddress=rds.example",
        "device.dataAddress=rds.example:4421",
        "device.dataAddress=10.0.0.1:65535",
        "device.dataAddress=fd00::1",
        "device.dataAddress=2001:db8:0:0:0:0:0:1",
        "device.dataAddress=[fd00::1]",
        "device.dataAddress=[fd00::1]:4421",
        "volumes.maxSize=16Mi",
        "volumes.maxSize=16384Ki",
        "storageClasses[0].parameters.volumePath=/raid10/csi/",
    ] {
        let rendered = template("least", &["--set", "storageClasses[0].name=a", "--set", setting]);
        assert!(rendered.is_ok(), "{setting}: {rendered:?}");
    }
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
