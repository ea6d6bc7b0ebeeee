//! The command lines of the control plane's four programs.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{MASTERS, Options, egress_socket};
use crate::certificates::Authority;
use crate::{Error, Launch, Process, Result, Tools};

/// They say much, and a test that failed did so for another's reason.
const TAIL_LINES: usize = 6;

/// What every program of one control plane is started from.
pub(super) struct Plan<'a> {
    pub(super) tools: &'a Tools,
    pub(super) folder: &'a Path,
    pub(super) authority: &'a Authority,
    pub(super) options: &'a Options,
    pub(super) address: SocketAddr,
}

impl Plan<'_> {
    /// etcd, which nobody outside of this machine reaches. A power cut of a test's database is no loss: no fsync.
    pub(super) fn etcd(&self, clients: u16, peers: u16) -> Result<Process> {
        let (clients, peers) = (format!("http://127.0.0.1:{clients}"), format!("http://127.0.0.1:{peers}"));
        self.launch("etcd")?
            .argument("--unsafe-no-fsync")
            .arguments(["--name=testbed", "--log-level=warn"])
            .argument(flag("data-dir", self.folder.join("etcd")))
            .argument(format!("--listen-client-urls={clients}"))
            .argument(format!("--advertise-client-urls={clients}"))
            .argument(format!("--listen-peer-urls={peers}"))
            .argument(format!("--initial-advertise-peer-urls={peers}"))
            .argument(format!("--initial-cluster=testbed={peers}"))
            .start(self.folder)
    }

    /// The API server as clusters have it: RBAC and Node authorization, NodeRestriction, tokens of service accounts.
    /// Without the flags of the aggregation layer, which stays off.
    pub(super) fn api_server(&self, etcd: u16) -> Result<Process> {
        let addresses = [&[self.address.ip()], self.options.known_as.as_slice()].concat();
        let serving = self.authority.server("kube-apiserver", &addresses)?;
        let to_kubelets = self.authority.client("kube-apiserver-kubelet-client", Some(MASTERS))?;
        let egress = self.options.nodes_by_egress.then(|| self.egress()).transpose()?;
        self.launch("kube-apiserver")?
            .argument(format!("--etcd-servers=http://127.0.0.1:{etcd}"))
            .argument(format!("--bind-address={}", self.address.ip()))
            .argument(format!("--advertise-address={}", self.address.ip()))
            .argument(format!("--secure-port={}", self.address.port()))
            .argument(flag("tls-cert-file", serving.certificate))
            .argument(flag("tls-private-key-file", serving.key))
            .argument(flag("client-ca-file", self.authority.certificate()))
            .argument(flag("service-account-key-file", self.authority.verifying_key()))
            .argument(flag("service-account-signing-key-file", self.authority.signing_key()))
            .argument("--service-account-issuer=https://kubernetes.default.svc")
            .argument("--authorization-mode=Node,RBAC")
            .argument("--enable-admission-plugins=NodeRestriction")
            .argument(flag("kubelet-client-certificate", to_kubelets.certificate))
            .argument(flag("kubelet-client-key", to_kubelets.key))
            // A node's name is never looked up.
            .argument("--kubelet-preferred-address-types=InternalIP")
            .arguments(egress)
            .argument("--service-cluster-ip-range=10.96.0.0/16")
            .argument("--allow-privileged=true")
            // Its address is that of `kubernetes` in `default`; loopback is no endpoint, so none is kept.
            .argument("--endpoint-reconciler-type=none")
            .arguments(&self.options.api_server)
            .start(self.folder)
    }

    /// Sends what is for nodes and pods to [`Egress`](crate::Egress).
    fn egress(&self) -> Result<OsString> {
        let transport = json!({ "uds": { "udsName": egress_socket(self.folder) } });
        let proxy = json!({ "proxyProtocol": "HTTPConnect", "transport": transport });
        let text = json!({
            "apiVersion": "apiserver.k8s.io/v1beta1", "kind": "EgressSelectorConfiguration",
            "egressSelections": [{ "name": "cluster", "connection": proxy }],
        });
        let path = self.folder.join("egress.json");
        std::fs::write(&path, text.to_string()).map_err(Error::host(path.display().to_string()))?;
        Ok(flag("egress-selector-config-file", path))
    }

    /// The controllers. No kubelet renews a Lease here, so a Node's conditions are what the test set last: the
    /// controller that calls a silent node's state unknown gets a day before it does. Tests that want a node NotReady
    /// say so in its status, and what follows (taints, evictions, detaching) is the controllers' own.
    pub(super) fn controller_manager(&self) -> Result<Process> {
        let user = "system:kube-controller-manager";
        self.launch("kube-controller-manager")?
            .argument(flag("kubeconfig", self.kubeconfig("controller-manager", user, None)?))
            .argument(flag("service-account-private-key-file", self.authority.signing_key()))
            .argument(flag("root-ca-file", self.authority.certificate()))
            // Each controller with its own role, as clusters have it.
            .argument("--use-service-account-credentials=true")
            .argument("--node-monitor-grace-period=24h")
            // One of each, with nobody to scrape it.
            .arguments(["--leader-elect=false", "--secure-port=0"])
            .arguments(&self.options.controller_manager)
            .start(self.folder)
    }

    /// The scheduler.
    pub(super) fn scheduler(&self) -> Result<Process> {
        let kubeconfig = self.kubeconfig("scheduler", "system:kube-scheduler", None)?;
        self.launch("kube-scheduler")?
            .argument(flag("kubeconfig", kubeconfig))
            .arguments(["--leader-elect=false", "--secure-port=0"])
            .start(self.folder)
    }

    fn launch(&self, name: &str) -> Result<Launch> {
        Ok(Launch::new(name, &self.tools.program(name)?).tail(TAIL_LINES))
    }
}

/// `--NAME=PATH`.
fn flag(name: &str, path: PathBuf) -> OsString {
    let mut flag = OsString::from(format!("--{name}="));
    flag.push(path);
    flag
}
