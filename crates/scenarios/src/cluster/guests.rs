//! A cluster whose device and nodes are guests: real kernels under a real control plane.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::Result;
use microvm::{HOST, Kernel};
use serde_json::{Value, json};
use tempfile::TempDir;
use testbed::{ControlPlane, Options as ControlPlaneOptions, Proxy, Tools, objects};

use super::{ClusterOptions, ControllerPod, Kubelet, NAMESPACE, PodVolume, install, provision, start_pods};
use crate::guests::Guests;
use crate::{CLUSTER_ID, Node, Options, Rds, system};

/// The service account of the nodes.
const NODE_ACCOUNT: &str = "rds-csi-node";
/// Where a node guest has its kubeconfig.
const KUBECONFIG: &str = "/etc/rds-csi/kubeconfig";

/// A control plane and controllers with their sidecars on this machine, an RDS and nodes in guests. Dropping it ends
/// everything.
#[derive(Debug)]
pub struct GuestCluster {
    // In the order of their ends: the control plane owns the folder.
    /// The controllers with their sidecars.
    pub pods: Vec<ControllerPod>,
    /// The nodes. Their drivers have exactly the rights of the nodes' service account.
    pub nodes: Vec<Node>,
    /// The device.
    pub rds: Rds,
    /// Between the nodes' drivers and the API server.
    pub nodes_api: Proxy,
    /// The control plane.
    pub control_plane: ControlPlane,
    _folder: TempDir,
}

impl GuestCluster {
    /// The controllers and sidecars act within a second; what settles takes five, and what could not be posted waits
    /// for its retry; a busy machine gets many times that.
    pub const SOON: Duration = Duration::from_secs(90);

    /// Boots an RDS and nodes of these names, with their Node objects, and waits until a controller leads and is ready.
    ///
    /// # Errors
    /// Where a part does not come up.
    pub fn boot(kernel: Kernel, nodes: &[&str], options: &ClusterOptions) -> Result<Self> {
        let known_as = vec![IpAddr::V4(HOST)];
        let plane = ControlPlaneOptions { known_as, ..ControlPlaneOptions::default() };
        let control_plane = ControlPlane::start_with(&Tools::from_environment()?, &plane)?;
        install(&control_plane, options)?;
        let nodes_api = Proxy::start(control_plane.address())?;
        let system = node_options(&control_plane, nodes_api.address().port(), options)?;
        let Guests { nodes, rds, target, folder } = Guests::boot(kernel, nodes, &system)?;
        let pods = start_pods(&control_plane, &target, options)?;
        let cluster = Self { pods, nodes, rds, nodes_api, control_plane, _folder: folder };
        for node in &cluster.nodes {
            cluster.kubelet(node.guest.name()).register()?;
        }
        Ok(cluster)
    }

    /// The node of that name.
    ///
    /// # Panics
    /// Where the cluster was booted without it.
    #[must_use]
    pub fn node(&self, name: &str) -> &Node {
        system::named(&self.nodes, name)
    }

    /// The kubelet of the node of that name.
    ///
    /// # Panics
    /// Where the cluster was booted without it.
    #[must_use]
    pub fn kubelet(&self, node: &str) -> Kubelet<'_> {
        Kubelet::new(&self.control_plane, self.node(node))
    }

    /// Makes a pod that uses a claim, for the scheduler to bind to that node, and has the volume attached there.
    ///
    /// # Errors
    /// Where it stays unattached.
    pub fn admit_pod(&self, pod: &str, node: &str, claim: &str) -> Result<PodVolume> {
        let mut object = objects::pod(pod, None, &[claim]);
        object["spec"]["nodeSelector"] = json!({ "kubernetes.io/hostname": node });
        self.control_plane.admin().create(&object)?;
        self.kubelet(node).admit(pod)
    }

    /// Deletes a pod whose volume was mounted, has its kubelet end it, and waits until the volume is detached.
    ///
    /// # Errors
    /// The driver's status; where it stays attached.
    pub fn end_pod(&self, pod: &str, node: &str, volume: &PodVolume) -> Result<()> {
        self.control_plane.kubectl(&["delete", "pod", "-n", "default", pod, "--wait=false"])?;
        self.kubelet(node).end_pod(pod, volume)?;
        Ok(self.control_plane.wait_until_detached(&volume.persistent_volume, node, Self::SOON)?)
    }

    /// Deletes a claim and waits until its PersistentVolume is gone.
    ///
    /// # Errors
    /// Where that stays.
    pub fn delete_claim(&self, claim: &str, volume: &PodVolume) -> Result<()> {
        self.control_plane.kubectl(&["delete", "pvc", "-n", "default", claim, "--wait=false"])?;
        let volume = format!("pv/{}", volume.persistent_volume);
        Ok(self.control_plane.admin().wait(&["--for=delete", &volume], Self::SOON)?)
    }

    /// Makes a claim and waits until it is bound; answers its PersistentVolume.
    ///
    /// # Errors
    /// Where it stays unbound, with the events.
    pub fn provision(&self, claim: &str, size: &str, usage: objects::Usage) -> Result<Value> {
        provision(&self.control_plane, claim, size, usage)
    }
}

/// What the guests have for their drivers to reach the API server, as the service account of the nodes.
fn node_options(control_plane: &ControlPlane, port: u16, options: &ClusterOptions) -> Result<Options> {
    let server = SocketAddr::from((HOST, port));
    let kubeconfig = control_plane.kubeconfig_of_service_account(NAMESPACE, NODE_ACCOUNT, server)?;
    // As its controllers have it, or it would know no volume of theirs as its cluster's.
    let own = ["--kubeconfig", KUBECONFIG, "--cluster-id", CLUSTER_ID];
    Ok(Options {
        simulator: options.simulator.join(" "),
        node: own.into_iter().map(str::to_owned).chain(options.node.iter().cloned()).collect(),
        files: vec![(KUBECONFIG.into(), std::fs::read(kubeconfig)?)],
        host_ports: vec![port],
        ..Options::default()
    })
}
