//! A controller, its device, and short ways to call the one and look at the other.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use csi_controller::{Config, Controller, DeviceFacts};
use csi_grpc::v1::controller_server::Controller as Service;
use csi_grpc::v1::volume_capability::access_mode::Mode;
use csi_grpc::v1::volume_capability::{AccessMode, AccessType, BlockVolume, MountVolume};
use csi_grpc::v1::*;
use csi_server::{Readiness, ReadyState};
use prometheus_client::registry::Registry;
use routeros::{Address, Client, Credentials, PlainHttp, RestTransport};
use routeros_sim::{Handle, Scheme, Simulator, UserConfig};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Status};
use volume::{BasePath, ClusterId, DataAddress, Fencing, Limits, MIB, NqnPrefix, Slot};

pub(crate) const GIB: i64 = 1 << 30;
pub(crate) const BASE: &str = "/raid10/csi";

/// A device that several controllers may share.
pub(crate) struct Device {
    simulator: Arc<Simulator>,
    pub(crate) handle: Handle,
    files: TempDir,
}

/// A controller of a device.
pub(crate) struct Driver {
    pub(crate) controller: Controller<RestTransport>,
    pub(crate) handle: Handle,
    pub(crate) registry: Registry,
    pub(crate) readiness: Readiness,
}

/// A publish to be made.
#[derive(Clone)]
pub(crate) struct Publishing<'a> {
    pub(crate) id: &'a str,
    pub(crate) node: &'a str,
    pub(crate) capability: VolumeCapability,
}

pub(crate) fn config(cluster: &str) -> Config {
    Config {
        cluster_id: ClusterId::parse(cluster).unwrap(),
        base_paths: vec![BasePath::parse(BASE).unwrap()],
        nvme_address: DataAddress::parse("10.0.0.1").unwrap(),
        nqn_prefix: NqnPrefix::parse("nqn.2000-02.com.mikrotik").unwrap(),
        fencing: Fencing::Generation,
        fence_settle: Duration::from_secs(5),
        limits: Limits { min: 16 * MIB, max: 1 << 44, default: 1 << 30 },
        device: DeviceFacts::parse(["order=fifo"]).unwrap(),
    }
}

impl Device {
    pub(crate) async fn start() -> Self {
        Self::start_as(routeros_sim::Config::default()).await
    }

    pub(crate) async fn start_as(config: routeros_sim::Config) -> Self {
        let user =
            |name: &str| UserConfig { name: name.into(), password: "admin".into(), policies: "full".into() };
        let config = routeros_sim::Config {
            directories: vec!["raid10/csi".into()],
            users: vec![user("admin"), user("other")],
            ..config
        };
        let simulator = Arc::new(Simulator::start(config).await.unwrap());
        let files = tempfile::tempdir().unwrap();
        secret(&files.path().join("user"), "admin");
        secret(&files.path().join("password"), "admin");
        Self { handle: simulator.handle(), simulator, files }
    }

    pub(crate) fn set_password(&self, password: &str) {
        secret(&self.files.path().join("password"), password);
    }

    pub(crate) fn set_user(&self, user: &str) {
        secret(&self.files.path().join("user"), user);
    }

    /// A way to the device, and the credentials that it uses.
    pub(crate) fn transport(&self) -> (RestTransport, Arc<Credentials>) {
        let simulator = self.simulator.clone();
        let connector = tower::service_fn(move |_: http::Uri| {
            let (near, far) = tokio::io::duplex(1 << 16);
            simulator.spawn_serve(far, Scheme::Http);
            async move { Ok::<_, io::Error>(near) }
        });
        let file = |name| self.files.path().join(name);
        let credentials = Arc::new(Credentials::from_files(file("user"), file("password")).unwrap());
        let address = Address::parse("http://rds.test", PlainHttp::Allowed).unwrap();
        (RestTransport::with_connector(address, credentials.clone(), connector, 4), credentials)
    }

    /// A controller with this configuration; nothing is shared with any before it but the device.
    pub(crate) fn driver(&self, config: Config) -> Driver {
        let (transport, credentials) = self.transport();
        let mut registry = Registry::default();
        let client = Client::new(transport);
        let readiness = Readiness::not_ready("starting");
        let controller = Controller::new(client, config, &mut registry, readiness.clone()).unwrap();
        let files = Arc::clone(&credentials);
        let controller = controller.with_user(move || credentials.user().unwrap_or_default());
        let controller = controller.with_login(move || files.version());
        Driver { controller, handle: self.handle.clone(), registry, readiness }
    }
}

/// A device and a controller as most tests want them.
pub(crate) async fn start() -> (Device, Driver) {
    let device = Device::start().await;
    let driver = device.driver(config("a"));
    (device, driver)
}

fn secret(path: &Path, text: &str) {
    use io::Write as _;
    let mut file =
        std::fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

pub(crate) fn mount(fs_type: &str) -> VolumeCapability {
    let mount = MountVolume { fs_type: fs_type.into(), ..Default::default() };
    capability(AccessType::Mount(mount), Mode::SingleNodeWriter)
}

pub(crate) fn block(mode: Mode) -> VolumeCapability {
    capability(AccessType::Block(BlockVolume {}), mode)
}

pub(crate) fn capability(access: AccessType, mode: Mode) -> VolumeCapability {
    VolumeCapability { access_type: Some(access), access_mode: Some(AccessMode { mode: mode.into() }) }
}

pub(crate) fn range(required_bytes: i64, limit_bytes: i64) -> Option<CapacityRange> {
    Some(CapacityRange { required_bytes, limit_bytes })
}

pub(crate) fn creation(name: &str, bytes: i64) -> CreateVolumeRequest {
    CreateVolumeRequest {
        name: name.into(),
        capacity_range: range(bytes, 0),
        volume_capabilities: vec![mount("")],
        ..Default::default()
    }
}

impl<'a> Publishing<'a> {
    pub(crate) fn of(id: &'a str, node: &'a str) -> Self {
        Self { id, node, capability: mount("") }
    }

    pub(crate) fn shared_block(id: &'a str, node: &'a str) -> Self {
        Self { id, node, capability: block(Mode::MultiNodeMultiWriter) }
    }
}

impl Driver {
    /// The same driver with a controller that was told more.
    pub(crate) fn with(
        self,
        told: impl FnOnce(Controller<RestTransport>) -> Controller<RestTransport>,
    ) -> Self {
        Self { controller: told(self.controller), ..self }
    }

    /// Watches while `story` is told.
    pub(crate) async fn watching(&self, story: impl Future<Output = ()>) {
        let stop = CancellationToken::new();
        let watch = self.controller.watch(|| "admin".into(), Duration::from_secs(60), stop.clone());
        tokio::join!(Box::pin(watch), async {
            story.await;
            stop.cancel();
        });
    }

    /// Waits for a readiness.
    pub(crate) async fn becomes(&self, wanted: impl Fn(&ReadyState) -> bool) -> ReadyState {
        self.readiness.subscribe().wait_for(|state| wanted(state)).await.unwrap().clone()
    }

    /// The value of a metric; 0 where it is not there yet.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let metrics = self.metrics();
        let found = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        found.map_or(0.0, |value| value.parse().unwrap())
    }

    pub(crate) async fn create(&self, request: CreateVolumeRequest) -> Result<Volume, Status> {
        let response = self.controller.create_volume(Request::new(request)).await?;
        Ok(response.into_inner().volume.unwrap())
    }

    /// A new volume of one GiB; its id.
    pub(crate) async fn made(&self, name: &str) -> String {
        self.create(creation(name, GIB)).await.unwrap().volume_id
    }

    pub(crate) async fn delete(&self, id: &str) -> Result<(), Status> {
        let request = DeleteVolumeRequest { volume_id: id.into(), ..Default::default() };
        self.controller.delete_volume(Request::new(request)).await.map(drop)
    }

    pub(crate) async fn publish(&self, ask: Publishing<'_>) -> Result<HashMap<String, String>, Status> {
        let request = ControllerPublishVolumeRequest {
            volume_id: ask.id.into(),
            node_id: ask.node.into(),
            volume_capability: Some(ask.capability),
            ..Default::default()
        };
        self.publish_request(request).await
    }

    pub(crate) async fn publish_request(
        &self,
        request: ControllerPublishVolumeRequest,
    ) -> Result<HashMap<String, String>, Status> {
        let response = self.controller.controller_publish_volume(Request::new(request)).await?;
        Ok(response.into_inner().publish_context)
    }

    pub(crate) async fn unpublish(&self, id: &str, node: &str) -> Result<(), Status> {
        let request = ControllerUnpublishVolumeRequest {
            volume_id: id.into(),
            node_id: node.into(),
            ..Default::default()
        };
        self.controller.controller_unpublish_volume(Request::new(request)).await.map(drop)
    }

    pub(crate) async fn expand(&self, id: &str, required: i64, limit: i64) -> Result<i64, Status> {
        let request = ControllerExpandVolumeRequest {
            volume_id: id.into(),
            capacity_range: range(required, limit),
            ..Default::default()
        };
        let response = self.controller.controller_expand_volume(Request::new(request)).await?.into_inner();
        assert!(response.node_expansion_required);
        Ok(response.capacity_bytes)
    }

    pub(crate) async fn list(&self, max_entries: i32, token: &str) -> Result<ListVolumesResponse, Status> {
        let request = ListVolumesRequest { max_entries, starting_token: token.into() };
        Ok(self.controller.list_volumes(Request::new(request)).await?.into_inner())
    }

    pub(crate) async fn capacity(&self) -> Result<i64, Status> {
        let response = self.controller.get_capacity(Request::new(GetCapacityRequest::default())).await?;
        Ok(response.into_inner().available_capacity)
    }

    /// The disk in a slot, as the device shows it.
    pub(crate) fn disk(&self, id: &str) -> BTreeMap<String, String> {
        self.handle.disk(id).unwrap()
    }

    pub(crate) fn is_exported(&self, id: &str) -> bool {
        self.disk(id)["nvme-tcp-export"] == "true"
    }

    /// What is on the device besides its pools: disks and files.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        leftovers(&self.handle)
    }

    /// How many requests came while `call` ran.
    pub(crate) async fn requests_of<R>(&self, call: impl Future<Output = Result<R, Status>>) -> (R, u64) {
        let before = self.handle.faults().count();
        let result = call.await.unwrap();
        (result, self.handle.faults().count() - before)
    }

    /// The metrics as text.
    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

/// The slot that a cluster gives a name.
pub(crate) fn slot(cluster: &str, name: &str) -> String {
    Slot::for_volume(&ClusterId::parse(cluster).unwrap(), name).to_string()
}

/// The error's code; the call must have failed, with one line that says something.
pub(crate) fn code<R: std::fmt::Debug>(result: Result<R, Status>) -> Code {
    let status = result.unwrap_err();
    assert!(!status.message().is_empty() && !status.message().contains('\n'), "{status:?}");
    status.code()
}

/// What is on a device besides its pools: disks and files.
pub(crate) fn leftovers(handle: &Handle) -> Vec<String> {
    let disks = handle.disks().into_iter().filter(|disk| disk["type"] == "file");
    let files = handle.files().into_iter().filter(|file| !file.directory);
    disks.map(|disk| disk["slot"].clone()).chain(files.map(|file| file.path)).collect()
}
