//! A cluster without machines: a real control plane, a simulated device, and controllers with the real sidecars.

mod guests;
mod kubelet;
mod pod;
mod virtual_machine;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use testbed::{ControlPlane, Kubectl, Proxy, Tools, objects, wait_until};

use crate::csi::node_id;
use crate::folder::Folder;
use crate::{Device, Target};
pub use guests::GuestCluster;
pub use kubelet::{Kubelet, PodVolume};
pub use pod::ControllerPod;
pub use virtual_machine::{VirtualMachine, hot_plug_name, hot_plug_pod};

/// The driver's name, as it is without a flag.
pub const DRIVER: &str = "rds.csi.srvlab.io";
/// Where the driver's own objects are.
pub const NAMESPACE: &str = "rds-csi";
/// The StorageClass of the driver.
pub const STORAGE_CLASS: &str = "rds";
/// The service account of the controller and its sidecars.
const ACCOUNT: &str = "rds-csi-controller";

/// A leader is ready within seconds of the Lease's duration, and of the device's cap of 60 s where no order is known;
/// a busy machine gets twice that.
const READY: Duration = Duration::from_secs(180);

/// What may differ from one cluster to the next.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// Controllers, each with its sidecars.
    pub replicas: usize,
    /// The Lease's duration: how long a first leader waits, and how long another waits for one that is gone. What
    /// ships has 15 s.
    pub lease: &'static str,
    /// Further arguments of `rds-csi controller`.
    pub controller: Vec<String>,
    /// Further arguments of `rds-csi node`, where there are guests.
    pub node: Vec<String>,
    /// Further arguments of `rds-sim`.
    pub simulator: Vec<String>,
    /// Folders of manifests, with the accounts of the driver and all rights that it has in the cluster.
    pub roles: Vec<PathBuf>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/rbac");
        Self {
            replicas: 1,
            // The shortest that is served.
            lease: "10s",
            controller: Vec::new(),
            node: Vec::new(),
            simulator: Vec::new(),
            roles: vec![shipped],
        }
    }
}

/// A running cluster, all of it in one folder. Dropping it ends everything.
#[derive(Debug)]
pub struct Cluster {
    // In the order of their ends: the control plane owns the folder.
    /// The controllers with their sidecars.
    pub pods: Vec<ControllerPod>,
    /// The device.
    pub device: Device,
    /// The control plane.
    pub control_plane: ControlPlane,
}

impl Cluster {
    /// Starts one, with the driver's CSIDriver and StorageClass, and waits until a controller leads and is ready.
    ///
    /// # Errors
    /// Where a part does not come up.
    pub fn start(options: &ClusterOptions) -> Result<Self> {
        let control_plane = ControlPlane::start(&Tools::from_environment()?)?;
        let folder = Folder::make(control_plane.folder().join("device"))?;
        let device = Device::start_in(folder, &options.simulator)?;
        install(&control_plane, options)?;
        let pods = start_pods(&control_plane, device.target(), options)?;
        Ok(Self { pods, device, control_plane })
    }

    /// kubectl as somebody who may do everything.
    #[must_use]
    pub fn admin(&self) -> &Kubectl {
        self.control_plane.admin()
    }

    /// The controller that is ready; `None` while no one leads.
    #[must_use]
    pub fn leader(&self) -> Option<&ControllerPod> {
        leader(&self.pods)
    }

    /// Waits until a controller is ready.
    ///
    /// # Errors
    /// Where none is in time.
    pub fn wait_for_leader(&self) -> Result<&ControllerPod> {
        Ok(wait_until("a controller is ready", READY, || Ok(self.leader()))?)
    }

    /// Makes a claim and waits until it is bound; answers its PersistentVolume.
    ///
    /// # Errors
    /// Where it stays unbound, with the events.
    pub fn provision(&self, claim: &str, size: &str, usage: objects::Usage) -> Result<Value> {
        provision(&self.control_plane, claim, size, usage)
    }

    /// Adds a Node that is Ready and has the driver.
    ///
    /// # Errors
    /// Where the API server refuses it.
    pub fn add_node(&self, name: &str) -> Result<Value> {
        Ok(self.control_plane.add_node(name, DRIVER, &node_id(name))?)
    }
}

/// What an installation brings: namespace, accounts and their rights, CSIDriver, StorageClass.
pub(crate) fn install(control_plane: &ControlPlane, options: &ClusterOptions) -> Result<()> {
    control_plane.add_namespace(NAMESPACE)?;
    for folder in &options.roles {
        let folder = folder.to_str().context("a path that is text")?;
        control_plane.kubectl(&["apply", "--recursive", "-f", folder])?;
    }
    let class = objects::storage_class(STORAGE_CLASS, DRIVER, &[]);
    control_plane.admin().create(&objects::list(vec![objects::csi_driver(DRIVER), class]))?;
    Ok(())
}

/// Starts the controllers with their sidecars, and waits until one leads and is ready.
pub(crate) fn start_pods(
    control_plane: &ControlPlane,
    device: &Target,
    options: &ClusterOptions,
) -> Result<Vec<ControllerPod>> {
    let lease = ["--lease-duration".to_owned(), options.lease.to_owned()];
    let arguments = [lease.as_slice(), &options.controller].concat();
    let is_one_of_several = options.replicas > 1;
    let pod = |number| {
        let link =
            is_one_of_several.then(|| Ok::<_, anyhow::Error>(Proxy::start(device.port()?)?)).transpose()?;
        ControllerPod::start(number, control_plane, device, link, &arguments)
    };
    let pods = (0..options.replicas).map(pod).collect::<Result<Vec<_>>>()?;
    wait_until("a controller is ready", READY, || Ok(leader(&pods).map(drop)))?;
    Ok(pods)
}

fn leader(pods: &[ControllerPod]) -> Option<&ControllerPod> {
    pods.iter().find(|pod| pod.controller.is_ready())
}

pub(crate) fn provision(
    control_plane: &ControlPlane,
    claim: &str,
    size: &str,
    usage: objects::Usage,
) -> Result<Value> {
    let admin = control_plane.admin();
    admin.create(&objects::claim(claim, STORAGE_CLASS, size, usage))?;
    let name = control_plane.wait_until_bound(claim, READY)?;
    admin.get(&["persistentvolume", &name])?.context("a bound claim without its volume")
}
