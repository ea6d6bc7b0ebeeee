//! A device, two nodes and a controller, each of which can be crashed and started again.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use csi_controller::{Config, Controller, DeviceFacts};
use csi_server::Readiness;
use host::fake::{FakeFabric, FakeKernel, KernelVersion};
use prometheus_client::registry::Registry;
use routeros::{Address, Client, Credentials, PlainHttp, RestTransport};
use routeros_sim::{Handle, Scheme, Simulator};
use tempfile::TempDir;
use volume::{BasePath, ClusterId, DataAddress, Fencing, Limits, MIB, NodeId, NqnPrefix};

use crate::crashing::{CrashPoint, Crashing};
use crate::plane::Plane;

/// Where the fabric answers; nothing real listens there.
const TARGET: &str = "10.0.0.1:4420";
/// Somebody else's disk on the same box.
pub(crate) const FOREIGN: &str = "pvc-somebody-elses";

/// Everything.
pub(crate) struct World {
    pub(crate) handle: Handle,
    pub(crate) fabric: FakeFabric,
    pub(crate) nodes: Vec<Seat>,
    pub(crate) controller: Controller<Crashing>,
    pub(crate) point: CrashPoint,
    simulator: Arc<Simulator>,
    files: TempDir,
}

/// A node and its driver.
pub(crate) struct Seat {
    pub(crate) kernel: FakeKernel,
    pub(crate) service: csi_node::Node<FakeKernel>,
    name: String,
    state: TempDir,
}

/// Who does a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Actor {
    Controller,
    Node(usize),
}

impl World {
    /// A world with two nodes, a and b, and somebody else's disk.
    pub(crate) async fn new(version: KernelVersion) -> Self {
        let fabric = FakeFabric::new(TARGET.parse::<SocketAddr>().unwrap());
        let plane = Arc::new(Plane(fabric.clone()));
        let directories = vec!["raid10/csi".to_owned()];
        let config = routeros_sim::Config { directories, plane: Some(plane), ..Default::default() };
        let simulator = Arc::new(Simulator::start(config).await.unwrap());
        let files = tempfile::tempdir().unwrap();
        for name in ["user", "password"] {
            secret(&files.path().join(name), "admin");
        }
        let point = CrashPoint::new();
        let controller = controller(&simulator, files.path(), &point);
        let nodes = ["a", "b"].map(|name| Seat::new(FakeKernel::new(&fabric, name, version), name));
        let handle = simulator.handle();
        let world = Self { handle, fabric, nodes: nodes.into(), controller, point, simulator, files };
        world.add_foreign_disk().await;
        world
    }

    /// Has the actor crash right after its N-th side effect from now.
    pub(crate) fn arm(&self, actor: Actor, effects: usize) {
        match actor {
            Actor::Controller => self.point.arm(effects),
            Actor::Node(index) => self.nodes[index].kernel.effects().crash_after(effects),
        }
    }

    /// Ends once the actor crashed.
    pub(crate) async fn crashed(&self, actor: Actor) {
        match actor {
            Actor::Controller => self.point.crashed().await,
            Actor::Node(index) => self.nodes[index].kernel.effects().crashed().await,
        }
    }

    /// Starts the actor's next process: it knows only what it can observe.
    pub(crate) fn restart(&mut self, actor: Actor) {
        match actor {
            Actor::Controller => {
                self.point = CrashPoint::new();
                self.controller = controller(&self.simulator, self.files.path(), &self.point);
            }
            Actor::Node(index) => self.nodes[index].restart(),
        }
    }

    /// What must hold whatever happened.
    pub(crate) fn check(&self) {
        for seat in &self.nodes {
            assert!(seat.kernel.has_local_drive(), "the node's own drive is untouched");
            let formats = seat.kernel.formats();
            assert!(!formats.iter().any(|format| format.over_filesystem), "mkfs on data: {formats:?}");
        }
        let foreign = self.handle.disk(FOREIGN).expect("somebody else's disk is still there");
        assert_eq!(foreign["nvme-tcp-export"], "true", "and still exported");
        assert!(self.handle.files().iter().any(|file| file.path.contains(FOREIGN)), "and has its file");
    }

    /// What is left of volumes anywhere, for the end of a life: one line each.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let ours = |text: &str| !text.contains(FOREIGN);
        let disks = self.handle.disks().into_iter().filter(|disk| disk["type"] == "file");
        let disks = disks.map(|disk| disk["slot"].clone()).filter(|slot| ours(slot));
        let files = self.handle.files().into_iter().filter(|file| !file.directory).map(|file| file.path);
        let exports = self.fabric.exports().into_iter().map(|export| export.nqn);
        let nodes = self.nodes.iter().flat_map(|seat| seat.kernel.leftovers());
        let records = self.nodes.iter().flat_map(Seat::records);
        let files = files.filter(|path| ours(path));
        disks.chain(files).chain(exports.filter(|nqn| ours(nqn))).chain(nodes).chain(records).collect()
    }

    async fn add_foreign_disk(&self) {
        let properties = [
            ("type", "file".to_owned()),
            ("slot", FOREIGN.to_owned()),
            ("file-path", format!("/raid10/{FOREIGN}.img")),
            ("file-size", (64 * MIB).to_string()),
            ("nvme-tcp-export", "yes".to_owned()),
            ("nvme-tcp-server-nqn", format!("nqn.2000-02.com.mikrotik:{FOREIGN}")),
        ];
        let call = routeros::Call::Add { menu: routeros::Menu::DISK, properties: &properties };
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        routeros::Transport::call(&transport(&self.simulator, self.files.path()), call, deadline)
            .await
            .unwrap();
    }
}

impl Seat {
    fn new(kernel: FakeKernel, name: &str) -> Self {
        let state = tempfile::tempdir().unwrap();
        Self { service: service(&kernel, name, state.path()), kernel, name: name.to_owned(), state }
    }

    /// The driver's next process.
    pub(crate) fn restart(&mut self) {
        self.kernel = self.kernel.restart_driver();
        self.service = service(&self.kernel, &self.name, self.state.path());
    }

    /// Stage records that are still there.
    fn records(&self) -> Vec<String> {
        let entries = walk(self.state.path()).into_iter();
        entries.filter(|path| path.contains("rds-")).map(|path| format!("record {path}")).collect()
    }
}

fn walk(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path.display().to_string()] })
        .collect()
}

fn service(kernel: &FakeKernel, name: &str, state: &Path) -> csi_node::Node<FakeKernel> {
    let config = csi_node::Config {
        node: NodeId::of_node(name).unwrap(),
        nqn_prefix: NqnPrefix::parse("nqn.2000-02.com.mikrotik").unwrap(),
        state_dir: PathBuf::from(state),
        max_volumes: 0,
        max_block_publishes: 16,
        orphan_grace: Duration::from_secs(300),
        answer_margin: Duration::from_secs(2),
    };
    csi_node::Node::open(kernel.clone(), config, &mut Registry::default()).unwrap()
}

fn controller(simulator: &Arc<Simulator>, files: &Path, point: &CrashPoint) -> Controller<Crashing> {
    let config = Config {
        cluster_id: ClusterId::parse("a-cluster").unwrap(),
        base_paths: vec![BasePath::parse("/raid10/csi").unwrap()],
        nvme_address: DataAddress::parse(TARGET).unwrap(),
        nqn_prefix: NqnPrefix::parse("nqn.2000-02.com.mikrotik").unwrap(),
        fencing: Fencing::Generation,
        fence_settle: Duration::from_secs(5),
        limits: Limits { min: 16 * MIB, max: 1 << 44, default: 1 << 30 },
        device: DeviceFacts::default(),
    };
    let client = Client::new(Crashing::new(transport(simulator, files), point.clone()));
    Controller::new(client, config, &mut Registry::default(), Readiness::not_ready("starting")).unwrap()
}

fn transport(simulator: &Arc<Simulator>, files: &Path) -> RestTransport {
    let simulator = simulator.clone();
    let connector = tower::service_fn(move |_: http::Uri| {
        let (near, far) = tokio::io::duplex(1 << 16);
        simulator.spawn_serve(far, Scheme::Http);
        async move { Ok::<_, io::Error>(near) }
    });
    let credentials = Credentials::from_files(files.join("user"), files.join("password")).unwrap();
    let address = Address::parse("http://rds.test", PlainHttp::Allowed).unwrap();
    RestTransport::with_connector(address, Arc::new(credentials), connector, 4)
}

fn secret(path: &Path, text: &str) {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// A context as it travels.
pub(crate) type Map = HashMap<String, String>;
