//! Wires the controller.

use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::arguments::controller::{ControllerArguments, FenceArguments, VolumeArguments};
use crate::arguments::plugin::PluginArguments;
use crate::device::Device;
use crate::failure::Failure;
use crate::plugin::Plugin;
use crate::prober::Prober;
use crate::{device, identity, runtime, telemetry};

/// Runs `rds-csi controller` to its end.
pub(crate) fn run(arguments: ControllerArguments) -> Result<(), Failure> {
    let ControllerArguments { plugin, telemetry, device, volumes, fence } = arguments;
    telemetry::start(telemetry).map_err(Failure::Setup)?;
    let device = device::open(device).map_err(Failure::Setup)?;
    runtime::run(|stop| serve(plugin, device, volumes, fence, stop))
}

async fn serve(
    plugin: PluginArguments,
    device: Device,
    volumes: VolumeArguments,
    fence: FenceArguments,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let mut registry = Registry::default();
    let prober = Prober::new(&device, &mut registry);
    let readiness = prober.readiness();
    let routes = identity::routes(&plugin.driver_name.to_string(), readiness.clone());
    let VolumeArguments { cluster_id: _, base_paths: _, nvme_address: _, nqn_prefix: _, max_volume_size: _ } =
        volumes;
    let FenceArguments { fencing: _, fence_settle: _, device_facts: _ } = fence;
    let plugin = Plugin::open(plugin, registry).await?;
    let probing = tokio::spawn(prober.run());
    let served = plugin.serve(routes, readiness, stop).await;
    probing.abort();
    served
}
