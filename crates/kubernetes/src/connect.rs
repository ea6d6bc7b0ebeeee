//! The connection to the API server.

use std::path::PathBuf;
use std::time::Duration;

use http::HeaderValue;
use http::header::USER_AGENT;
use k8s_openapi::api::core::v1::Namespace;
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Api, Client, Config};
use tokio::time::Instant;

use crate::ask::ask;
use crate::{ApiError, Cause};

/// With the handshake, which an API server that takes five seconds for everything must get through, too.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For the bytes of one request to leave.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Every cluster has it, and it is never made anew: its UID stands for the cluster.
const SYSTEM_NAMESPACE: &str = "kube-system";

/// Where the API server is, and as whom to speak to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connection {
    /// The service account of the own pod.
    InCluster,
    /// A kubeconfig file, its current context.
    Kubeconfig(PathBuf),
}

/// Why no client could be made; nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Not in a pod, or without its service account.
    #[error("no service account of a pod")]
    InCluster(#[source] InClusterError),
    /// The file cannot be read or used.
    #[error("kubeconfig {path}")]
    Kubeconfig {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: KubeconfigError,
    },
    /// The program's name is no header value.
    #[error("{0:?} cannot be a user agent")]
    UserAgent(String),
    /// Certificates or keys that cannot be used.
    #[error("the client for the Kubernetes API cannot be made")]
    Client(#[source] kube::Error),
}

/// A client that names itself `user_agent`. It has no timeout for reads, since watches are silent for long: every
/// request of this crate ends at its own deadline instead.
///
/// # Errors
/// Where the configuration cannot be used; the API server itself is not asked.
pub async fn connect(connection: &Connection, user_agent: &str) -> Result<Client, ConnectError> {
    let mut config = match connection {
        Connection::InCluster => Config::incluster().map_err(ConnectError::InCluster)?,
        Connection::Kubeconfig(path) => {
            from_file(path).await.map_err(|source| ConnectError::Kubeconfig { path: path.clone(), source })?
        }
    };
    let agent =
        HeaderValue::from_str(user_agent).map_err(|_| ConnectError::UserAgent(user_agent.to_owned()))?;
    config.headers.push((USER_AGENT, agent));
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.write_timeout = Some(WRITE_TIMEOUT);
    Client::try_from(config).map_err(ConnectError::Client)
}

async fn from_file(path: &std::path::Path) -> Result<Config, KubeconfigError> {
    Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &KubeConfigOptions::default()).await
}

/// The cluster's id where none is configured: the UID of the namespace `kube-system`.
///
/// # Errors
/// Where the API server did not answer, refused, or showed no UID.
pub async fn cluster_uid(client: &Client, deadline: Instant) -> Result<String, ApiError> {
    let api = Api::<Namespace>::all(client.clone());
    let request = || format!("reading the UID of namespace {SYSTEM_NAMESPACE}");
    let namespace = ask(request, deadline, api.get(SYSTEM_NAMESPACE)).await?;
    let uid = namespace.metadata.uid.filter(|uid| !uid.is_empty());
    uid.ok_or_else(|| ApiError::new(request(), Cause::Unreadable("it has no UID".to_owned())))
}
