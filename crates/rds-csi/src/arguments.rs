//! The command line and its environment. Every value is parsed into its own type here; a struct
//! is taken apart as a whole where it is used, so that a flag nobody uses does not compile.

pub(crate) mod controller;
pub(crate) mod device;
pub(crate) mod election;
pub(crate) mod kubernetes;
pub(crate) mod log_filter;
pub(crate) mod node;
pub(crate) mod operator;
pub(crate) mod plugin;
pub(crate) mod registration;
pub(crate) mod telemetry;
pub(crate) mod values;

use clap::{Parser, Subcommand};

use controller::ControllerArguments;
use node::NodeArguments;
use operator::OperatorArguments;

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
    /// Tells the node's running plugin that a volume's attachments there are over: what they have not written is
    /// dropped at the next unstage
    DeclareFenced(OperatorArguments),
    /// Has a volume that the node's running plugin leaves alone, since it failed again and again, tried at the next call
    RetryNow(OperatorArguments),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_flag_can_be_given_by_the_environment_under_its_own_name() {
        for role in Arguments::command().get_subcommands() {
            for flag in role.get_arguments().filter_map(|flag| Some((flag.get_long()?, flag.get_env()))) {
                let expected = match flag.0 {
                    "help" => None,
                    // The names that Kubernetes manifests give them (the downward API), and its own.
                    "node-name" => Some("KUBE_NODE_NAME".into()),
                    "pod-name" | "pod-namespace" | "pod-uid" | "kubernetes-service-host" => {
                        Some(flag.0.replace('-', "_").to_uppercase())
                    }
                    long => Some(format!("RDS_CSI_{}", long.replace('-', "_").to_uppercase())),
                };
                let given = flag.1.map(|name| name.to_string_lossy().into_owned());
                assert_eq!(given, expected, "{} --{}", role.get_name(), flag.0);
            }
        }
    }
}
