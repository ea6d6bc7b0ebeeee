//! A whole cluster: a real control plane on this machine, an RDS and nodes with real kubelets in guests, and the driver
//! as it ships: its image and its chart, installed by helm.

mod acts;
mod chart;
mod configuration;
mod container_image;
mod container_store;
mod driver;
mod metrics;
mod node;
mod pods;
mod root_image;
mod shell;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use microvm::{Dialer, HOST, Kernel, Lab};
use serde_json::Value;
use testbed::{ControlPlane, Egress, Kubectl, Options, Tools, objects};

use crate::cluster::{ClusterOptions, DRIVER, provision};
use crate::{Pool, Rds};

pub use chart::Release;
pub use container_image::{BUSYBOX, ContainerImage};
pub use metrics::Scraper;
pub use node::KubeletNode;
pub use pods::{shell_block_pod, shell_deployment, shell_pod, shell_stateful_set};
pub use shell::Shell;

/// One node is Ready 14 s after power on; three on two busy cores need many times that.
const READY: Duration = Duration::from_secs(300);

/// The chart's own value: on a busy machine a controller loses a shorter one for nothing.
const LEASE: &str = "15s";

/// A running cluster. Dropping it ends everything.
#[derive(Debug)]
pub struct WholeCluster {
    // In the order of their ends: the control plane owns the folder.
    _egress: Egress,
    /// The driver's installation.
    pub release: Release,
    /// The nodes.
    pub nodes: Vec<KubeletNode>,
    /// The device.
    pub rds: Rds,
    /// The control plane.
    pub control_plane: ControlPlane,
}

impl WholeCluster {
    /// The least that a cluster runs: one controller, with what ships.
    #[must_use]
    pub fn options() -> ClusterOptions {
        ClusterOptions { lease: LEASE, ..ClusterOptions::default() }
    }

    /// Has the cache filled with what clusters need from elsewhere: kernels, and the nodes' root file system. From then on
    /// they boot with no way out.
    ///
    /// # Errors
    /// Where something cannot be had or made.
    pub fn prepare() -> Result<()> {
        for kernel in [Kernel::V6_1, Kernel::V6_12] {
            Lab::new(kernel)?;
        }
        root_image::make(&Tools::from_environment()?).map(drop)
    }

    /// Boots an RDS and nodes of these names, installs the chart, and waits until a controller leads and every node is
    /// Ready and has the driver. Says on standard error how long each took. Of the options, the rights are the chart's.
    ///
    /// # Errors
    /// Where a part does not come up; what helm says, with what the driver's pods are and have said.
    pub fn boot(kernel: Kernel, names: &[&str], options: &ClusterOptions) -> Result<Self> {
        let (tools, time) = (Tools::from_environment()?, Instant::now());
        let told = |what: &str| eprintln!("{:6.1} s  {what}", time.elapsed().as_secs_f32());
        let image = root_image::make(&tools)?;
        told("the nodes' image is there");
        let control_plane = ControlPlane::start_with(&tools, &plane_options())?;
        told("the control plane serves");
        let (rds, nodes) = boot_guests(kernel, names, &image, &control_plane, options)?;
        told("the guests run, kubelets are started");
        let egress = egress(&control_plane, &nodes)?;
        let release = Release::prepare(&tools, &control_plane, &rds, options)?;
        let cluster = Self { _egress: egress, release, nodes, rds, control_plane };
        // Before there are pods: the first node that is Ready would get all the controllers.
        for name in names {
            cluster.wait_until_ready(name)?;
        }
        told("every node is Ready");
        cluster.release.install(&[]).with_context(|| cluster.driver_report())?;
        told("helm has installed the chart: its pods are ready");
        for name in names {
            cluster.wait_until_registered(name)?;
        }
        cluster.wait_for_leader()?;
        told("every node has the driver, a controller leads");
        Ok(cluster)
    }

    /// kubectl as somebody who may do everything.
    #[must_use]
    pub fn admin(&self) -> &Kubectl {
        self.control_plane.admin()
    }

    /// The node of that name.
    ///
    /// # Panics
    /// Where the cluster was booted without it.
    #[must_use]
    pub fn node(&self, name: &str) -> &KubeletNode {
        let found = self.nodes.iter().find(|node| node.guest.name() == name);
        found.unwrap_or_else(|| panic!("no node {name}"))
    }

    /// Waits until a node's kubelet says that it is Ready.
    ///
    /// # Errors
    /// Where it does not, with the end of its log.
    pub fn wait_until_ready(&self, name: &str) -> Result<()> {
        let node = format!("node/{name}");
        let log = || tail(&self.node(name).kubelet_log());
        self.admin().wait(&[&node, "--for=create"], READY).with_context(log)?;
        self.admin().wait(&[&node, "--for=condition=Ready"], READY).with_context(log)
    }

    /// Waits until a pod in `default` is Ready.
    ///
    /// # Errors
    /// Where it is not, with what kubectl says of it.
    pub fn wait_until_running(&self, pod: &str, within: Duration) -> Result<()> {
        let ready = self.admin().wait(&[&format!("pod/{pod}"), "--for=condition=Ready"], within);
        ready.with_context(|| self.admin().run(&["describe", "pod", pod]).unwrap_or_default())
    }

    /// Waits until a node's kubelet has the driver.
    ///
    /// # Errors
    /// Where it has not, with what the driver's pods are and have said.
    pub fn wait_until_registered(&self, name: &str) -> Result<()> {
        let (node, driver) =
            (format!("csinode/{name}"), format!("--for=jsonpath={{.spec.drivers[0].name}}={DRIVER}"));
        self.admin().wait(&[&node, &driver], READY).with_context(|| self.driver_report())
    }

    /// Makes a claim and waits until it is bound; answers its PersistentVolume.
    ///
    /// # Errors
    /// Where it stays unbound, with the events.
    pub fn provision(&self, claim: &str, size: &str, usage: objects::Usage) -> Result<Value> {
        provision(&self.control_plane, claim, size, usage)
    }
}

/// The RDS and the nodes, all at once, with what runs in them.
fn boot_guests(
    kernel: Kernel,
    names: &[&str],
    image: &Path,
    control_plane: &ControlPlane,
    options: &ClusterOptions,
) -> Result<(Rds, Vec<KubeletNode>)> {
    let lab = Lab::new(kernel)?;
    let (mut builders, mut links) = (vec![Rds::guest(&lab)?], Vec::new());
    for name in names {
        let (guest, api) = KubeletNode::guest(&lab, name, image, control_plane)?;
        builders.push(guest);
        links.push(api);
    }
    let mut guests = lab.boot_all(builders)?.into_iter();
    let rds = guests.next().context("a guest a builder")?;
    thread::scope(|scope| {
        let start = |(guest, api)| scope.spawn(move || KubeletNode::start(guest, api, control_plane));
        let starts: Vec<_> = guests.zip(links).map(start).collect();
        let rds = Rds::start(rds, Pool::Delayed, &options.simulator.join(" "));
        let nodes = starts.into_iter().map(|start| start.join().unwrap_or_else(|panic| resume_unwind(panic)));
        let nodes = nodes.collect::<Result<Vec<_>>>()?;
        Ok((rds?, nodes))
    })
}

fn plane_options() -> Options {
    Options {
        known_as: vec![IpAddr::V4(HOST), IpAddr::from(node::SERVICE)],
        nodes_by_egress: true,
        // Kubelets renew their Leases here: what is silent for so long is NotReady, as clusters have it.
        controller_manager: vec!["--node-monitor-grace-period=50s".to_owned()],
        ..Options::default()
    }
}

/// The API server's way to kubelets and pods, through the guests that have their addresses.
fn egress(control_plane: &ControlPlane, nodes: &[KubeletNode]) -> Result<Egress> {
    let dialers: Vec<(Ipv4Addr, Dialer)> =
        nodes.iter().map(|node| (node.guest.address(), node.guest.dialer())).collect();
    let dial = move |to: SocketAddr| {
        let owner = dialers.iter().find(|(node, _)| is_of(to.ip(), *node));
        let (_, dialer) = owner.ok_or_else(|| io::Error::other(format!("no node has {to}")))?;
        dialer.connect(to).map_err(io::Error::other)
    };
    Ok(Egress::start(&control_plane.egress_socket(), Arc::new(dial))?)
}

/// Whether an address is a node's own, or one of its pods.
fn is_of(address: IpAddr, node: Ipv4Addr) -> bool {
    let [.., own] = node.octets();
    address == IpAddr::V4(node) || address.to_string().starts_with(&format!("{}.{own}.", configuration::PODS))
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
