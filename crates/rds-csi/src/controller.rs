//! Wires the controller.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use csi_controller::{Config, Controller, DeviceFacts, Figures, PoolReserve, Unexport};
use csi_grpc::v1::controller_server::ControllerServer;
use csi_server::{MAX_MESSAGE_BYTES, Readiness, ReadyState};
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;
use volume::{Limits, MIB};

use crate::arguments::controller::{ControllerArguments, FenceArguments, VolumeArguments};
use crate::arguments::plugin::PluginArguments;
use crate::connection::ConnectionFollower;
use crate::device::Device;
use crate::failure::Failure;
use crate::plugin::{Face, Plugin};
use crate::{device, identity, runtime, telemetry};

/// The smallest volume, in bytes: room for an ext4 with its journal; what asks for less gets this.
const SMALLEST_VOLUME: u64 = 16 * MIB;

/// The size in bytes of a volume whose request names none: what other CSI drivers give.
const DEFAULT_VOLUME: u64 = 1024 * MIB;

/// Runs `rds-csi controller` to its end.
pub(crate) fn run(arguments: ControllerArguments) -> Result<(), Failure> {
    let ControllerArguments { plugin, telemetry, device, volumes, fence } = arguments;
    telemetry::start(telemetry).map_err(Failure::Setup)?;
    let pool_reserve = volumes.pool_reserve;
    let config = configure(volumes, fence).map_err(Failure::Setup)?;
    let device = device::open(device).map_err(Failure::Setup)?;
    runtime::run(|stop| serve(plugin, device, config, pool_reserve, stop))
}

fn configure(volumes: VolumeArguments, fence: FenceArguments) -> anyhow::Result<Config> {
    let VolumeArguments {
        cluster_id,
        base_paths,
        nvme_address,
        nqn_prefix,
        max_volume_size,
        pool_reserve: _,
    } = volumes;
    let FenceArguments { fencing, fence_settle, device_facts } = fence;
    let device = DeviceFacts::parse(device_facts.iter().map(String::as_str))?;
    ensure!(
        fence_settle > Duration::ZERO || device.unexport == Unexport::Drains,
        "--fence-settle 0s lets late writes of the old node land in the new one's data; \
         give a time, or --device unexport=drains where that was shown"
    );
    let limits =
        Limits { min: SMALLEST_VOLUME, max: max_volume_size, default: DEFAULT_VOLUME.min(max_volume_size) };
    let config =
        Config { cluster_id, base_paths, nvme_address, nqn_prefix, fencing, fence_settle, limits, device };
    config.check().context("--max-volume-size")?;
    Ok(config)
}

async fn serve(
    plugin: PluginArguments,
    device: Device,
    config: Config,
    pool_reserve: PoolReserve,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let Device { address, client, poll_interval, figures_interval } = device;
    let mut registry = Registry::default();
    let readiness = Readiness::not_ready("the device was not reached yet");
    let connection = ConnectionFollower::new(&address, &mut registry);
    let credentials = Arc::clone(client.transport().credentials());
    // Where the name cannot be read, no request can be sent either, and that one says why.
    let user = move || credentials.user().unwrap_or_default();
    let figures = Figures::register(client.clone(), &config, figures_interval, &mut registry);
    let controller = Controller::new(client, config, &mut registry, readiness.clone());
    let controller = controller.map_err(|error| Failure::Setup(error.into()))?.with_user(user.clone());
    let controller = Arc::new(controller.with_pool_reserve(pool_reserve));
    let service = ControllerServer::from_arc(Arc::clone(&controller));
    let routes = identity::routes(&plugin.driver_name.to_string(), readiness.clone())
        .add_service(service.max_decoding_message_size(MAX_MESSAGE_BYTES));
    let plugin = Plugin::open(plugin, registry).await?;

    tokio::spawn(connection.follow(&readiness));
    let watched = stop.child_token();
    tokio::spawn(async move { controller.watch(user, poll_interval, watched).await });
    let (device_is_there, polled) = (readiness.clone(), stop.child_token());
    let may_send = move || device_is_there.state() == ReadyState::Ready;
    tokio::spawn(async move { figures.poll(may_send, polled).await });
    plugin.serve(Face { routes, readiness, before_scrape: None }, stop).await
}
