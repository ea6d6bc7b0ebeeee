//! A node with a real kubelet: a guest with containerd and CNI. All else on it are pods.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use microvm::{Background, Guest, GuestBuilder, HOST, Lab};
use testbed::{ControlPlane, Proxy};

use super::configuration;

/// Where the authority of the control plane is.
pub(super) const AUTHORITY: &str = "/etc/kubernetes/ca.pem";
/// The cluster's own address for the API server: the first of its services' range.
pub(super) const SERVICE: [u8; 4] = [10, 96, 0, 1];
/// Where the kubelet's configuration is, and who it is to the API server.
const KUBELET_CONFIGURATION: &str = "/etc/kubernetes/kubelet.json";
const KUBELET_KUBECONFIG: &str = "/etc/kubernetes/kubelet.kubeconfig";
/// kubelet and containerd use 215 MiB, a controller with its three sidecars as much, the driver and the pods of a test
/// little more.
const MEMORY_MIB: u32 = 1280;
/// What containers and their network need of the kernel beside what every guest has.
const MODULES: [&str; 16] = [
    "overlay",
    "veth",
    "bridge",
    "br_netfilter",
    "nf_tables",
    "nft_compat",
    "nft_chain_nat",
    "xt_addrtype",
    "xt_comment",
    "xt_conntrack",
    "xt_mark",
    "xt_MASQUERADE",
    "xt_multiport",
    "xt_nat",
    "xt_tcpudp",
    "xfs",
];
/// What a node does before containerd starts.
const PREPARE: &str = include_str!("node.sh");
/// containerd serves after a second or two; three emulated nodes on two busy cores need many times that.
const START: Duration = Duration::from_secs(180);
/// How often the kubelet reads the figures of each control group: with its default of 10 s that is two fifths of what it
/// takes of an emulated processor (its own profile).
const HOUSEKEEPING: &str = "2m";

/// A node.
#[derive(Debug)]
pub struct KubeletNode {
    /// The guest. Its link is the data network: the RDS, and pods of other nodes.
    pub guest: Guest,
    /// Between the node and the API server. Cutting it leaves the node its data network; cutting the guest's link
    /// leaves it the API server.
    pub api: Proxy,
    credentials: Credentials,
    programs: Mutex<Programs>,
}

/// What the node is trusted by, and what it is known by: PEM and kubeconfig files.
#[derive(Debug)]
struct Credentials {
    authority: Vec<u8>,
    kubelet: Vec<u8>,
}

/// What runs on the node, in the order of their ends.
#[derive(Debug, Default)]
struct Programs {
    kubelet: Option<Background>,
    containerd: Option<Background>,
}

impl KubeletNode {
    /// The guest, to be booted with the others, and its way to the API server.
    pub(super) fn guest(
        lab: &Lab,
        name: &str,
        image: &Path,
        control_plane: &ControlPlane,
    ) -> Result<(GuestBuilder, Proxy)> {
        let api = Proxy::start(control_plane.address())?;
        let guest = lab.guest(name).root(image).memory_mib(MEMORY_MIB).host_port(api.address().port());
        Ok((MODULES.iter().fold(guest, |guest, module| guest.module(module)), api))
    }

    /// Starts containerd and the kubelet in a booted guest.
    pub(super) fn start(guest: Guest, api: Proxy, control_plane: &ControlPlane) -> Result<Self> {
        let server = SocketAddr::from((HOST, api.address().port()));
        let user = format!("system:node:{}", guest.name());
        let kubelet = control_plane.kubeconfig_for_at(&user, Some("system:nodes"), server)?;
        let credentials = Credentials {
            authority: std::fs::read(control_plane.authority())?,
            kubelet: std::fs::read(kubelet)?,
        };
        let node = Self { guest, api, credentials, programs: Mutex::default() };
        node.start_kubelet()?;
        Ok(node)
    }

    /// Cuts the node's power.
    pub fn power_off(&self) {
        *self.programs() = Programs::default();
        self.guest.kill();
    }

    /// Boots the node again, with its disk: what the kubelet and containerd flushed is there. Starts the kubelet, and that
    /// what ran on the node.
    ///
    /// # Errors
    /// Where it does not boot, or containerd does not come up.
    pub fn power_on(&self) -> Result<()> {
        self.guest.boot_again()?;
        self.start_kubelet()
    }

    /// Gives containerd an image, as an OCI archive.
    ///
    /// # Errors
    /// Where containerd does not take it.
    pub fn import_image(&self, archive: Vec<u8>) -> Result<()> {
        let import = self.guest.command("ctr -n k8s.io images import --local -");
        let imported = import.stdin(archive).deadline(START).run()?;
        ensure!(imported.success(), "{}: {imported}", self.guest.name());
        Ok(())
    }

    /// SIGKILLs the driver's process of that role, `node` or `controller`, where it runs here: what it did to the kernel
    /// stays, its sidecars too, and the kubelet starts its container again.
    ///
    /// # Errors
    /// Where it does not run here.
    pub fn kill_driver(&self, role: &str) -> Result<()> {
        Ok(self.guest.sh(&format!("pkill -KILL -f '^/usr/bin/rds-csi {role} '")).map(drop)?)
    }

    /// Kills the kubelet and starts it again: containers and mounts stay, and it finds out what is mounted for which pod.
    ///
    /// # Errors
    /// Where the guest does not answer.
    pub fn restart_kubelet(&self) -> Result<()> {
        let mut programs = self.programs();
        if let Some(kubelet) = programs.kubelet.take() {
            kubelet.kill()?;
        }
        programs.kubelet = Some(self.spawn_kubelet()?);
        Ok(())
    }

    /// What the kubelet has logged since it was started.
    #[must_use]
    pub fn kubelet_log(&self) -> String {
        log(self.programs().kubelet.as_ref())
    }

    /// What containerd has logged since it was started.
    #[must_use]
    pub fn containerd_log(&self) -> String {
        log(self.programs().containerd.as_ref())
    }

    fn start_kubelet(&self) -> Result<()> {
        self.write_files()?;
        let server = SocketAddr::from((HOST, self.api.address().port())).to_string();
        let service = Ipv4Addr::from(SERVICE).to_string();
        let prepare = self.guest.command(PREPARE).env("HOST_API", &server).env("SERVICE", &service);
        let prepared = prepare.env("PODS", configuration::PODS).deadline(START).run()?;
        ensure!(prepared.success(), "{}: {prepared}", self.guest.name());
        let containerd = self.guest.spawn("exec containerd 2>&1")?;
        containerd.wait_for_stdout("containerd successfully booted", START)?;
        let kubelet = self.spawn_kubelet()?;
        let mut programs = self.programs();
        (programs.containerd, programs.kubelet) = (Some(containerd), Some(kubelet));
        Ok(())
    }

    fn spawn_kubelet(&self) -> Result<Background> {
        let (name, address) = (self.guest.name(), self.guest.address());
        Ok(self.guest.spawn(&format!(
            "exec kubelet --config={KUBELET_CONFIGURATION} --kubeconfig={KUBELET_KUBECONFIG} \
             --hostname-override={name} --node-ip={address} --housekeeping-interval={HOUSEKEEPING} 2>&1"
        ))?)
    }

    /// What differs from node to node, and so is not in the image.
    fn write_files(&self) -> Result<()> {
        let network = configuration::network(self.guest.address()).to_string();
        let files = [
            ("/etc/containerd/config.toml", configuration::containerd().into_bytes()),
            ("/etc/cni/net.d/10-pods.conflist", network.into()),
            (KUBELET_CONFIGURATION, configuration::kubelet().to_string().into()),
            (KUBELET_KUBECONFIG, self.credentials.kubelet.clone()),
            (AUTHORITY, self.credentials.authority.clone()),
        ];
        self.guest.sh("mkdir -p /etc/containerd /etc/cni/net.d /etc/kubernetes")?;
        for (path, content) in files {
            self.guest.write_file(path, 0o600, content)?;
        }
        Ok(())
    }

    fn programs(&self) -> MutexGuard<'_, Programs> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log(program: Option<&Background>) -> String {
    let log = program.map(Background::stdout).unwrap_or_default();
    String::from_utf8_lossy(&log).into_owned()
}
