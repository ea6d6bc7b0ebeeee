//! Wires the node.

use csi_server::Readiness;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::arguments::node::NodeArguments;
use crate::arguments::plugin::PluginArguments;
use crate::failure::Failure;
use crate::plugin::Plugin;
use crate::{identity, runtime, telemetry};

/// Runs `rds-csi node` to its end.
pub(crate) fn run(arguments: NodeArguments) -> Result<(), Failure> {
    let NodeArguments {
        plugin,
        telemetry,
        node_name: _,
        kubelet_dir: _,
        state_dir: _,
        nqn_prefix: _,
        max_volumes: _,
        connection: _,
    } = arguments;
    telemetry::start(telemetry).map_err(Failure::Setup)?;
    runtime::run(|stop| serve(plugin, stop))
}

async fn serve(plugin: PluginArguments, stop: CancellationToken) -> Result<(), Failure> {
    // A node depends on no device: what it cannot reach concerns single volumes, not the plugin.
    let readiness = Readiness::ready();
    let routes = identity::routes(&plugin.driver_name.to_string(), readiness.clone());
    let plugin = Plugin::open(plugin, Registry::default()).await?;
    plugin.serve(routes, readiness, stop).await
}
