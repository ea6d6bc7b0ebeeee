//! The connection to Kubernetes, for both roles. Nothing is asked here: a role starts and serves with the API server
//! down.

use kubernetes::{Client, OwnPod, Reporter};

use crate::arguments::kubernetes::KubernetesArguments;
use crate::failure::Failure;

/// What this process calls itself towards the API server, whose audit log shows it.
const USER_AGENT: &str = concat!("rds-csi/", env!("CARGO_PKG_VERSION"));

/// A client, and the pod that speaks by it.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    own_pod: Option<OwnPod>,
}

/// Makes the client; `None` where this driver runs without Kubernetes.
///
/// # Errors
/// Where the kubeconfig, or the pod's service account, cannot be used.
pub(crate) async fn connect(arguments: KubernetesArguments) -> Result<Option<Cluster>, Failure> {
    let connection = arguments.connection();
    let KubernetesArguments { pod_name, pod_namespace, pod_uid, .. } = arguments;
    let Some(connection) = connection else {
        tracing::info!("without Kubernetes: no events are posted, and no VolumeAttachment is asked for");
        return Ok(None);
    };
    let client = kubernetes::connect(&connection, USER_AGENT).await;
    let client = client.map_err(|error| Failure::Setup(error.into()))?;
    let own_pod = pod_name.zip(pod_namespace).map(|(name, namespace)| OwnPod {
        namespace,
        name,
        uid: pod_uid.unwrap_or_default(),
    });
    Ok(Some(Cluster { client, own_pod }))
}

impl Cluster {
    /// The namespace that this process runs in, where that is known.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.own_pod.as_ref().map(|pod| pod.namespace.as_str())
    }

    /// In whose name events are posted; `host` stands in where no pod is known.
    pub(crate) fn reporter(&self, component: &'static str, host: &str) -> Reporter {
        let own_pod = self.own_pod.clone();
        let instance = own_pod.as_ref().map_or(host, |pod| pod.name.as_str()).to_owned();
        Reporter { component, instance, own_pod }
    }
}
