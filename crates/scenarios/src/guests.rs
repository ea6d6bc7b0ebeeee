//! The machines of a system: an RDS and nodes, as guests.

use anyhow::{Context, Result};
use microvm::{GuestBuilder, Kernel, Lab};
use tempfile::TempDir;

use crate::{Node, Options, Rds, Target};

/// Booted guests, with what runs in them.
#[derive(Debug)]
pub(crate) struct Guests {
    /// In the order of their names.
    pub(crate) nodes: Vec<Node>,
    pub(crate) rds: Rds,
    /// Where a controller on this machine finds the device.
    pub(crate) target: Target,
    /// Holds the certificate of the target.
    pub(crate) folder: TempDir,
}

impl Guests {
    /// Boots an RDS and nodes of these names, all at once, and starts what runs in them.
    pub(crate) fn boot(kernel: Kernel, nodes: &[&str], options: &Options) -> Result<Self> {
        let lab = Lab::new(kernel)?;
        let mut builders = vec![Rds::guest(&lab)?];
        for name in nodes {
            builders.push(with(Node::guest(&lab, name)?, options));
        }
        let mut guests = lab.boot_all(builders)?.into_iter();
        let rds = Rds::start(guests.next().context("a guest a builder")?, options.pool, &options.simulator)?;
        let nodes = guests.map(|guest| Node::start(guest, &options.node)).collect::<Result<Vec<_>>>()?;
        let (target, folder) = rds.target()?;
        Ok(Self { nodes, rds, target, folder })
    }
}

/// What every node has beside the driver.
fn with(guest: GuestBuilder, options: &Options) -> GuestBuilder {
    let Options { programs, files, host_ports, .. } = options;
    let guest = programs.iter().fold(guest, |guest, (from, to)| guest.binary(from, to));
    let guest = files.iter().fold(guest, |guest, (path, content)| guest.file(path, 0o600, content.clone()));
    host_ports.iter().fold(guest, |guest, port| guest.host_port(*port))
}
