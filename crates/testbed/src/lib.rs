//! Test support: a real Kubernetes control plane on loopback, in seconds.
//!
//! [`ControlPlane`] is etcd, kube-apiserver, kube-controller-manager and kube-scheduler of one pinned release, in a
//! folder and on ports of their own. Nodes and pods are API objects ([`objects`]) whose status a test sets, or a test
//! brings kubelets along, to which an [`Egress`] leads the API server. [`Sidecars`] are the real external-provisioner
//! and external-attacher on a driver's socket. [`Proxy`] makes the API server slow or cuts it off. [`Prometheus`]
//! scrapes. Whatever happens to
//! the process that started them, all of them end with it, and their folder goes.
//!
//! ```no_run
//! use testbed::{ControlPlane, Tools, objects};
//!
//! # fn main() -> testbed::Result<()> {
//! let control_plane = ControlPlane::start(&Tools::from_environment()?)?;
//! control_plane.add_node("a", "rds.example.org", "a")?;
//! control_plane.admin().create(&objects::storage_class("fast", "rds.example.org", &[]))?;
//! println!("{}", control_plane.kubectl(&["get", "storageclass,node"])?);
//!
//! control_plane.stop_api_server();
//! assert!(control_plane.kubectl(&["get", "nodes"]).is_err());
//! control_plane.start_api_server()?; // on the same port, with what it had
//! # Ok(())
//! # }
//! ```
#![expect(
    clippy::disallowed_methods,
    reason = "test support: it starts programs, waits for them, and reads its environment"
)]

mod certificates;
mod control_plane;
mod egress;
mod error;
mod events;
mod folder;
mod kubeconfig;
mod kubectl;
mod nodes;
pub mod objects;
mod ports;
mod process;
mod prometheus;
mod proxy;
mod sidecars;
mod tools;

pub use control_plane::{ControlPlane, Options};
pub use egress::{Dial, Egress};
pub use error::{Error, Result};
pub use events::Event;
pub use kubectl::Kubectl;
pub use nodes::refusal;
pub use ports::free_ports;
pub use process::{Launch, Process, wait_until};
pub use prometheus::{Prometheus, Target};
pub use proxy::Proxy;
pub use sidecars::{SidecarOptions, Sidecars};
pub use tools::Tools;
