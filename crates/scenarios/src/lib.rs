//! The whole system from outside: an RDS guest, node guests and a controller, driven over CSI as
//! Kubernetes would.
//!
//! [`System`] boots them; [`Cluster`] has a real Kubernetes API and its sidecars call the controllers; [`WholeCluster`]
//! has real kubelets call the nodes, too; [`Csi`] speaks to one driver's socket; [`Shape`] says how a volume is used.
//! The demo, the benchmark, csi-sanity's run and the tests in guests are made of these.
#![expect(
    clippy::disallowed_methods,
    reason = "test support: it starts the programs under test and waits for them"
)]

mod binaries;
mod cluster;
mod controller;
mod csi;
mod device;
pub mod documents;
mod folder;
mod guests;
pub mod http;
mod node;
mod rds;
mod shape;
mod steps;
mod system;
mod verdict;
mod whole;

pub use binaries::binary;
pub use cluster::{
    Cluster, ClusterOptions, ControllerPod, DRIVER, GuestCluster, Kubelet, NAMESPACE, PodVolume,
    STORAGE_CLASS, VirtualMachine, hot_plug_name, hot_plug_pod,
};
pub use controller::{CLUSTER_ID, Controller};
pub use csi::{Attached, Csi, Made};
pub use device::{Device, DeviceRequest, Target};
pub use node::{DRIVER_PID, Node};
pub use rds::{Pool, Rds};
pub use shape::Shape;
pub use steps::{Steps, kernel};
pub use system::{Options, System};
pub use verdict::{ended, with_consoles};
pub use whole::{
    BUSYBOX, ContainerImage, KubeletNode, Release, Scraper, Shell, WholeCluster, shell_block_pod,
    shell_deployment, shell_pod, shell_stateful_set,
};
