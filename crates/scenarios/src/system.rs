//! The whole system: an RDS, nodes, and a controller.

use std::path::PathBuf;

use anyhow::Result;
use microvm::Kernel;
use tempfile::TempDir;

use crate::guests::Guests;
use crate::{Attached, Controller, Csi, Made, Node, Pool, Rds, Shape, Target};

/// What may differ from one system to the next.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Further arguments of `rds-sim`.
    pub simulator: String,
    /// Further arguments of `rds-csi controller`.
    pub controller: Vec<String>,
    /// Further arguments of `rds-csi node`.
    pub node: Vec<String>,
    /// Further programs for the nodes: where each is here, and where it goes.
    pub programs: Vec<(PathBuf, String)>,
    /// Files for the nodes, readable by root alone: where each goes, and what is in it.
    pub files: Vec<(String, Vec<u8>)>,
    /// What the device's images lie on.
    pub pool: Pool,
    /// TCP ports of this machine's loopback that the nodes reach, at [`microvm::HOST`].
    pub host_ports: Vec<u16>,
}

/// A running system. Dropping it ends everything.
#[derive(Debug)]
pub struct System {
    /// The controller.
    pub controller: Controller,
    /// The nodes, in the order of their names.
    pub nodes: Vec<Node>,
    /// The device.
    pub rds: Rds,
    target: Target,
    _folder: TempDir,
}

impl System {
    /// Boots an RDS and nodes of these names, all at once, and starts what runs in them.
    ///
    /// # Errors
    /// Where a guest does not boot or a program does not come up.
    pub fn boot(kernel: Kernel, nodes: &[&str], options: &Options) -> Result<Self> {
        let Guests { nodes, rds, target, folder } = Guests::boot(kernel, nodes, options)?;
        let controller = Controller::start(&target, &options.controller)?;
        Ok(Self { controller, nodes, rds, target, _folder: folder })
    }

    /// Ends the controller and starts another with these arguments.
    ///
    /// # Errors
    /// Where that one does not get ready.
    pub fn replace_controller(&mut self, arguments: &[String]) -> Result<()> {
        self.controller.process.kill();
        self.controller = Controller::start(&self.target, arguments)?;
        Ok(())
    }

    /// The controller's socket.
    #[must_use]
    pub fn csi(&self) -> &Csi {
        &self.controller.csi
    }

    /// The node of that name.
    ///
    /// # Panics
    /// Where the system was booted without it.
    #[must_use]
    pub fn node(&self, name: &str) -> &Node {
        named(&self.nodes, name)
    }

    /// Makes a volume.
    ///
    /// # Errors
    /// The controller's status.
    pub fn create(&self, name: &str, bytes: u64, shape: &Shape) -> Result<Made> {
        Ok(self.csi().create(name, bytes.try_into()?, shape)?)
    }

    /// Attaches a volume to a node and mounts it there; answers the attachment and the pod's path.
    ///
    /// # Errors
    /// The status of either side.
    pub fn start_pod(&self, made: &Made, node: &str) -> Result<(Attached, String)> {
        let attached = self.csi().attach(made, node)?;
        let target = self.node(node).mount(made, &attached)?;
        Ok((attached, target))
    }

    /// Unmounts a volume on a node and detaches it.
    ///
    /// # Errors
    /// The status of either side.
    pub fn end_pod(&self, made: &Made, node: &str) -> Result<()> {
        self.node(node).unmount(made)?;
        Ok(self.csi().detach(made, node)?)
    }
}

/// The node of that name.
///
/// # Panics
/// Where there is none.
pub(crate) fn named<'a>(nodes: &'a [Node], name: &str) -> &'a Node {
    nodes.iter().find(|node| node.guest.name() == name).unwrap_or_else(|| panic!("no node {name}"))
}
