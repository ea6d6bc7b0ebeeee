//! The files by which containerd, its network and the kubelet are told what they are.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::container_image::PAUSE;

/// The addresses of pods: the third number is the node's, the last in its own address.
pub(super) const PODS: &str = "10.244";

/// What starts containers: crun, by a script. It takes a tenth of what runc's Go takes on an emulated processor.
pub(super) const OCI_RUNTIME: &str = "/usr/local/bin/oci-runtime";

/// containerd's, without what a guest does not have.
pub(super) fn containerd() -> String {
    format!(
        r#"version = 3
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{PAUSE}"
[plugins."io.containerd.cri.v1.runtime"]
  disable_apparmor = true
  # Of each container, every second by default: half of what an emulated processor has, and nobody asks for it.
  stats_collect_period = "5m"
  stats_retention_period = "30m"
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["/opt/cni/bin"]
  conf_dir = "/etc/cni/net.d"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  BinaryName = "{OCI_RUNTIME}"
  SystemdCgroup = false
"#
    )
}

/// The network of a node's pods: a bridge, and out of it by the node's own addresses.
pub(super) fn network(node: Ipv4Addr) -> Value {
    let [.., own] = node.octets();
    let addresses = json!([[{ "subnet": format!("{PODS}.{own}.0/24") }]]);
    json!({
        "cniVersion": "1.0.0", "name": "pods",
        "plugins": [{
            "type": "bridge", "bridge": "pods", "isGateway": true, "ipMasq": true, "hairpinMode": true,
            "ipam": { "type": "host-local", "ranges": addresses, "routes": [{ "dst": "0.0.0.0/0" }] },
        }],
    })
}

/// The kubelet's.
pub(super) fn kubelet() -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": { "enabled": false },
            "x509": { "clientCAFile": super::node::AUTHORITY },
            "webhook": { "enabled": false },
        },
        "authorization": { "mode": "Webhook" },
        // Nobody serves names there. Without one the kubelet would warn at every pod that asks for the cluster's.
        "clusterDNS": ["10.96.0.10"], "clusterDomain": "cluster.local",
        "cgroupDriver": "cgroupfs",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "failSwapOn": false,
        // An emulated processor starts a container in seconds.
        "runtimeRequestTimeout": "10m",
        // Looked at as often as an emulated processor can bear.
        "nodeStatusUpdateFrequency": "5s",
        "imageGCHighThresholdPercent": 100,
        "resolvConf": "",
    })
}
