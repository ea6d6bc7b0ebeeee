//! Wires the controller.

mod election;
mod kubernetes;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use csi_controller::{AttachmentPolicy, Config, Controller, DeviceFacts, Figures, PoolReserve, Unexport};
use csi_grpc::v1::controller_server::ControllerServer;
use csi_server::{MAX_MESSAGE_BYTES, Readiness, ReadyState, STOP_GRACE};
use prometheus_client::registry::Registry;
use routeros::RestTransport;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use volume::{ClusterId, Limits, MIB};

use crate::arguments::controller::{
    AttachmentArguments, ControllerArguments, FenceArguments, VolumeArguments,
};
use crate::arguments::election::ElectionArguments;
use crate::arguments::plugin::PluginArguments;
use crate::cluster::Cluster;
use crate::connection::ConnectionFollower;
use crate::device::Device;
use crate::failure::Failure;
use crate::plugin::{Face, Plugin};
use crate::{cluster, device, identity, runtime, telemetry};
use election::Election;
use kubernetes::Kubernetes;

/// The smallest volume, in bytes: room for an ext4 with its journal; what asks for less gets this.
const SMALLEST_VOLUME: u64 = 16 * MIB;

/// The size in bytes of a volume whose request names none: what other CSI drivers give.
const DEFAULT_VOLUME: u64 = 1024 * MIB;

/// How long what runs beside the calls may take to end its last request once it was told to stop; after that the
/// Lease is left to run out.
const LAST_REQUEST: Duration = Duration::from_secs(4);

/// Runs `rds-csi controller` to its end.
pub(crate) fn run(arguments: ControllerArguments) -> Result<(), Failure> {
    let ControllerArguments {
        plugin,
        telemetry,
        kubernetes,
        election,
        attachments,
        device,
        mut volumes,
        fence,
    } = arguments;
    telemetry::start(telemetry).map_err(Failure::Setup)?;
    let policy = policy(attachments);
    let (cluster_id, pool_reserve) = (volumes.cluster_id.take(), volumes.pool_reserve);
    let configure = configuration(volumes, fence).map_err(Failure::Setup)?;
    let device = device::open(device).map_err(Failure::Setup)?;
    runtime::run(|stop| async move {
        let cluster = cluster::connect(kubernetes).await?;
        let cluster_id = match cluster_id {
            Some(id) => id,
            None => kubernetes::cluster_id(cluster.as_ref()).await?,
        };
        let config = configure(cluster_id).map_err(Failure::Setup)?;
        let setup = Setup { plugin, device, config, pool_reserve, policy };
        setup.serve(cluster, election, stop).await
    })
}

/// The configuration of a cluster whose id is not known yet.
fn configuration(
    volumes: VolumeArguments,
    fence: FenceArguments,
) -> anyhow::Result<impl FnOnce(ClusterId) -> anyhow::Result<Config>> {
    let VolumeArguments {
        cluster_id: _,
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
    Ok(move |cluster_id| {
        let config = Config {
            cluster_id,
            base_paths,
            nvme_address,
            nqn_prefix,
            fencing,
            fence_settle,
            limits,
            device,
        };
        config.check().context("--max-volume-size")?;
        Ok(config)
    })
}

fn policy(arguments: AttachmentArguments) -> AttachmentPolicy {
    let AttachmentArguments {
        attachment_grace_period: grace,
        attachment_reconcile_interval: reconcile_interval,
        rwx_plain_pods,
        pods_unreadable,
    } = arguments;
    AttachmentPolicy { grace, reconcile_interval, rwx_plain_pods, pods_unreadable }
}

/// What is known before anything is asked.
struct Setup {
    plugin: PluginArguments,
    device: Device,
    config: Config,
    pool_reserve: PoolReserve,
    policy: AttachmentPolicy,
}

impl Setup {
    async fn serve(
        self,
        cluster: Option<Cluster>,
        election: ElectionArguments,
        stop: CancellationToken,
    ) -> Result<(), Failure> {
        let Self { plugin, device, config, pool_reserve, policy } = self;
        let Device { address, client, poll_interval, figures_interval } = device;
        let driver = plugin.driver_name.to_string();
        let mut registry = Registry::default();
        let start = |cluster: Cluster| {
            let election = Election::new(&cluster, &driver, election)?;
            Ok(Kubernetes::start(cluster, &driver, &config.nqn_prefix, election, &mut registry, &stop))
        };
        let kubernetes = cluster.map(start).transpose()?;
        let readiness = Readiness::not_ready(not_yet(kubernetes.is_some()));
        let connection = ConnectionFollower::new(&address, &mut registry);
        let credentials = Arc::clone(client.transport().credentials());
        // Where the name cannot be read, no request can be sent either, and that one says why.
        let named = Arc::clone(&credentials);
        let user = move || named.user().unwrap_or_default();
        let figures = Figures::register(client.clone(), &config, figures_interval, &mut registry);
        let controller = Controller::new(client, config, &mut registry, readiness.clone());
        let controller = controller.map_err(|error| Failure::Setup(error.into()))?.with_user(user.clone());
        let controller = controller.with_login(move || credentials.version());
        let controller =
            controller.with_pool_reserve(pool_reserve).with_attachments(policy).with_address(address);
        let controller = Arc::new(match &kubernetes {
            Some(kubernetes) => kubernetes.given_to(controller),
            None => controller,
        });
        let service = ControllerServer::from_arc(Arc::clone(&controller));
        let routes = identity::routes(&driver, readiness.clone())
            .add_service(service.max_decoding_message_size(MAX_MESSAGE_BYTES));
        let plugin = Plugin::open(plugin, registry).await?;

        tokio::spawn(connection.follow(controller.device()));
        let election = kubernetes.as_ref().map(|kubernetes| Arc::clone(&kubernetes.election));
        let beside = Beside { controller, figures, user, poll_interval, readiness: readiness.clone() };
        let beside = tokio::spawn(beside.run(election.clone(), stop.child_token()));
        let face = Face { routes, readiness, before_scrape: None, stop_grace: STOP_GRACE };
        let served = tokio::select! {
            served = plugin.serve(face, stop) => served,
            failure = lost(election.as_deref()) => Err(failure),
        };
        end(served, kubernetes, beside).await
    }
}

/// Why no call is served at first.
fn not_yet(is_elected: bool) -> &'static str {
    if is_elected {
        "this controller is the standby: another one leads, or none yet"
    } else {
        "the device was not reached yet"
    }
}

/// What runs beside the calls, for as long as this process leads.
struct Beside<U> {
    controller: Arc<Controller<RestTransport>>,
    figures: Figures<RestTransport>,
    /// The device user's name.
    user: U,
    poll_interval: Duration,
    readiness: Readiness,
}

impl<U: Fn() -> String + Send + Sync + 'static> Beside<U> {
    async fn run(self, election: Option<Arc<Election>>, stop: CancellationToken) {
        let Self { controller, figures, user, poll_interval, readiness } = self;
        if let Some(election) = election
            && stop.run_until_cancelled(election.won()).await.is_none()
        {
            return;
        }
        let may_send = move || readiness.state() == ReadyState::Ready;
        tokio::join!(
            controller.watch(user, poll_interval, stop.clone()),
            figures.poll(may_send, stop.clone())
        );
    }
}

async fn lost(election: Option<&Election>) -> Failure {
    match election {
        Some(election) => election.lost().await,
        None => std::future::pending().await,
    }
}

/// The Lease is given back only if nothing is under way any more.
async fn end(
    served: Result<(), Failure>,
    kubernetes: Option<Kubernetes>,
    beside: JoinHandle<()>,
) -> Result<(), Failure> {
    let Some(kubernetes) = kubernetes else { return served };
    if served.is_ok() && timeout(LAST_REQUEST, beside).await.is_ok() {
        kubernetes.election.release().await;
    }
    kubernetes.drain().await;
    served
}
