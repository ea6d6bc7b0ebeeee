//! The flags of both roles: which Kubernetes, and which pod this process is.

use std::path::PathBuf;

use ::kubernetes::Connection;
use clap::{Args, ValueEnum};

use super::values::absolute_path;

/// Where Kubernetes is, and who asks it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Kubernetes")]
pub(crate) struct KubernetesArguments {
    /// Whether Kubernetes is asked and told: `auto` where a kubeconfig is given or this is a pod; `off` never
    #[arg(long, env = "RDS_CSI_KUBERNETES", value_enum, default_value_t = Use::Auto)]
    pub(crate) kubernetes: Use,

    /// A kubeconfig file, for a process that is no pod; the variable KUBECONFIG is not read
    #[arg(long, env = "RDS_CSI_KUBECONFIG", value_parser = absolute_path, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// Name of this pod (the downward API's metadata.name)
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub(crate) pod_name: Option<String>,

    /// Namespace of this pod (metadata.namespace)
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME")]
    pub(crate) pod_namespace: Option<String>,

    /// UID of this pod (metadata.uid)
    #[arg(long, env = "POD_UID", value_name = "UID")]
    pub(crate) pod_uid: Option<String>,

    // Set by Kubernetes in every pod, and by nobody else: it tells that this is one.
    #[arg(long, env = "KUBERNETES_SERVICE_HOST", hide = true)]
    pub(crate) kubernetes_service_host: Option<String>,
}

/// Whether Kubernetes is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Use {
    /// Where there is one.
    Auto,
    /// Never.
    Off,
}

impl KubernetesArguments {
    /// How the API server is reached; `None`: this driver runs without Kubernetes.
    pub(crate) fn connection(&self) -> Option<Connection> {
        match (self.kubernetes, &self.kubeconfig, &self.kubernetes_service_host) {
            (Use::Off, ..) | (Use::Auto, None, None) => None,
            (Use::Auto, Some(file), _) => Some(Connection::Kubeconfig(file.clone())),
            (Use::Auto, None, Some(_)) => Some(Connection::InCluster),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubernetes_is_used_where_it_is_named_or_around_and_never_where_it_is_off() {
        let file = Connection::Kubeconfig("/k".into());
        for (kubernetes, kubeconfig, service_host, expected) in [
            (Use::Auto, None, None, None),
            (Use::Auto, Some("/k"), None, Some(file.clone())),
            (Use::Auto, None, Some("10.0.0.1"), Some(Connection::InCluster)),
            (Use::Auto, Some("/k"), Some("10.0.0.1"), Some(file)),
            (Use::Off, Some("/k"), Some("10.0.0.1"), None),
        ] {
            let arguments = KubernetesArguments {
                kubernetes,
                kubeconfig: kubeconfig.map(PathBuf::from),
                pod_name: None,
                pod_namespace: None,
                pod_uid: None,
                kubernetes_service_host: service_host.map(str::to_owned),
            };
            assert_eq!(arguments.connection(), expected, "{arguments:?}");
        }
    }
}
