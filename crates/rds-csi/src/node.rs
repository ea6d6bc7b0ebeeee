//! Wires the node.

mod kubernetes;
mod registration;
mod stuck;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use csi_grpc::v1::node_server::NodeServer;
use csi_node::{Config, Node};
use csi_server::{MAX_MESSAGE_BYTES, Readiness};
use host::linux::{self, Linux};
use prometheus_client::registry::Registry;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use volume::{ClusterId, FsType};

use crate::arguments::kubernetes::KubernetesArguments;
use crate::arguments::node::NodeArguments;
use crate::arguments::plugin::PluginArguments;
use crate::arguments::registration::RegistrationArguments;
use crate::failure::Failure;
use crate::plugin::{Face, Plugin};
use crate::{cluster, identity, operator, runtime, telemetry};
use kubernetes::Kubernetes;

/// Pods that may share a raw block volume on one node. A live migration needs two; 2,048 bind
/// mounts of one device ate a kernel's memory elsewhere (lessons.md).
const MAX_BLOCK_PUBLISHES: usize = 16;

/// An answer is sent this long before its caller gives up: enough for a busy machine to write it.
const ANSWER_MARGIN: Duration = Duration::from_secs(2);

/// What a call has begun goes on in its helper, and the next process joins it (ADR 4): a call is waited for while it is about
/// to end, and one whose helper hangs in the kernel holds up nobody's successor (node.md rule 7: 30 s in all).
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Modules are loaded within a second, if nothing hangs; where something does, the start is held up no longer than this.
const LOAD: Duration = Duration::from_secs(10);

/// Runs `rds-csi node` to its end.
pub(crate) fn run(arguments: NodeArguments) -> Result<(), Failure> {
    let NodeArguments {
        plugin,
        registration,
        telemetry,
        kubernetes,
        node_name,
        kubelet_dir,
        state_dir,
        nqn_prefix,
        cluster_id,
        helper_cgroup,
        orphan_grace,
        max_volumes,
    } = arguments;
    telemetry::start(telemetry).map_err(Failure::Setup)?;
    refuse_a_link(&kubelet_dir)?;
    let own = state_dir.unwrap_or_else(|| kubelet_dir.join(format!("plugins/{}/state", plugin.driver_name)));
    let config = Config {
        node: node_name,
        nqn_prefix,
        state_dir: own,
        max_volumes: max_volumes.into(),
        max_block_publishes: MAX_BLOCK_PUBLISHES,
        orphan_grace,
        answer_margin: ANSWER_MARGIN,
    };
    let kubernetes = (kubernetes, cluster_id);
    // Beside the records: what still hangs in a helper must be found by the next process, too.
    let machine = linux::Config::new(config.state_dir.clone());
    let machine = machine.map_err(|error| Failure::Setup(error.into()))?;
    let machine = linux::Config { cgroup: helper_cgroup, ..machine };
    runtime::run(|stop| serve(plugin, registration, kubernetes, machine, config, stop))
}

/// The kernel's table of mounts has no links in its paths, and what the kubelet asks for is looked up there.
fn refuse_a_link(kubelet_dir: &Path) -> Result<(), Failure> {
    match kubelet_dir.canonicalize() {
        Ok(real) if real != kubelet_dir => Err(Failure::Setup(anyhow!(
            "--kubelet-dir {} leads to {} by a link: give that one, to the kubelet as well (--root-dir)",
            kubelet_dir.display(),
            real.display()
        ))),
        _ => Ok(()),
    }
}

async fn serve(
    plugin: PluginArguments,
    registration: RegistrationArguments,
    (kubernetes, cluster_id): (KubernetesArguments, Option<ClusterId>),
    machine: linux::Config,
    config: Config,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let mut registry = Registry::default();
    let machine = Linux::new(machine).map_err(|error| Failure::Setup(error.into()))?;
    load_filesystems(&machine).await;
    let hanging = machine.clone();
    stuck::register(move || hanging.stuck(), &mut registry);
    let driver_name = plugin.driver_name.to_string();
    let cluster = cluster::connect(kubernetes).await?;
    let kubernetes = cluster
        .map(|cluster| Kubernetes::start(cluster, cluster_id.as_ref(), &driver_name, &config, &mut registry));
    let node = Node::open(machine, config, &mut registry).map_err(|error| Failure::Setup(error.into()))?;
    let node = match &kubernetes {
        Some(kubernetes) => kubernetes.given_to(node),
        None => node,
    };
    node.recover().await;
    // Before the first stage: what is connected now was not connected by a call of this process.
    node.sweep_orphans().await;
    let node = Arc::new(node);
    let watching = tokio::spawn({
        let node = Arc::clone(&node);
        async move { node.watch().await }
    });
    // A node depends on no device: what it cannot reach concerns single volumes, not the plugin.
    let readiness = Readiness::ready();
    let service = NodeServer::from_arc(Arc::clone(&node)).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let routes = identity::routes(&driver_name, readiness.clone())
        .add_service(service)
        .add_service(operator::server(Arc::clone(&node)));
    let before_scrape = Arc::new(move || {
        let node = Arc::clone(&node);
        Box::pin(async move { node.refresh_gauges().await }) as _
    });
    let registration = registration::Prepared::of(registration, &plugin, &mut registry);
    let plugin = Plugin::open(plugin, registry).await?;
    let face = Face { routes, readiness, before_scrape: Some(before_scrape), stop_grace: STOP_GRACE };
    let served = match registration {
        Some(registration) => registration.open().await?.beside(plugin, face, stop).await,
        None => plugin.serve(face, stop).await,
    };
    watching.abort();
    if let Some(kubernetes) = kubernetes {
        kubernetes.drain().await;
    }
    served
}

/// Before anything is served: a mount beside the load finds a module that is not yet there, and fails (ENODEV, seen with
/// busybox's modprobe).
async fn load_filesystems(machine: &Linux) {
    let deadline = Instant::now() + LOAD;
    for fs in [FsType::Ext4, FsType::Xfs] {
        if let Err(error) = machine.load_filesystem(fs, deadline).await {
            tracing::warn!(%error, fs = fs.name(), "no volume with this file system may be mountable on this node");
        }
    }
}
