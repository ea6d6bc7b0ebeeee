//! The command line and its environment. Every value is parsed into its own type here; a struct
//! is taken apart as a whole where it is used, so that a flag nobody uses does not compile.

pub(crate) mod controller;
pub(crate) mod device;
pub(crate) mod node;
pub(crate) mod plugin;
pub(crate) mod telemetry;
pub(crate) mod values;

use clap::{Parser, Subcommand};

use controller::ControllerArguments;
use node::NodeArguments;

/// A CSI driver for MikroTik ROSE Data Servers.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) role: Role,
}

/// What this process is.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Serves CSI Identity and Controller: makes, exports and removes volumes on the device
    Controller(Box<ControllerArguments>),
    /// Serves CSI Identity and Node: connects, formats and mounts volumes on this machine
    Node(Box<NodeArguments>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
