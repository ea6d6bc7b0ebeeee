//! The real kernel.

mod burst;
mod cgroup;
mod dispatch;
mod hold;
mod log;
mod modules;
mod paths;
mod probe;
mod process;
mod uevents;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use volume::{DataAddress, FsType, Slot};

use crate::op::{Op, Output};
use crate::protocol::Roots;
use crate::request::Machine;
use crate::{
    Connection, ControllerState, Device, Error, ErrorKind, Host, MountEntry, Mounts, Nvme, Probe, Result,
    Subsystem, Volume, fabrics, mountinfo, sysfs,
};

use dispatch::Dispatcher;
use log::KernelLog;

pub use dispatch::Stuck;

/// Where things are, and how a helper is started.
#[derive(Clone, Debug)]
pub struct Config {
    /// The program that runs [`crate::helper_main`].
    pub helper: PathBuf,
    /// What makes it do so, before arguments that only name the work for people.
    pub arguments: Vec<OsString>,
    /// Where requests and answers of helpers are kept. It should outlive the driver's process: what still
    /// hangs is found there by the next one.
    pub runtime: PathBuf,
    /// `/sys`.
    pub sys: PathBuf,
    /// `/dev`.
    pub dev: PathBuf,
    /// A cgroup outside the driver's container for helpers to live in, made where it is missing; with none they live and
    /// die with the container, and one in D keeps it from ending.
    pub cgroup: Option<PathBuf>,
}

/// This machine's kernel.
#[derive(Clone, Debug)]
pub struct Linux {
    dispatcher: Arc<Dispatcher>,
    roots: Roots,
    changes: watch::Receiver<()>,
    log: Arc<KernelLog>,
}

impl Config {
    /// This program as `… helper`, this machine's kernel, and requests and answers in `runtime`.
    ///
    /// # Errors
    /// Where the program's own path cannot be told.
    pub fn new(runtime: PathBuf) -> std::io::Result<Self> {
        Ok(Self {
            helper: std::env::current_exe()?,
            arguments: vec!["helper".into()],
            runtime,
            sys: "/sys".into(),
            dev: "/dev".into(),
            cgroup: None,
        })
    }

    fn roots(&self) -> Roots {
        Roots { sys: self.sys.clone(), dev: self.dev.clone(), cgroup: self.cgroup.clone() }
    }
}

impl Linux {
    /// Takes over the helpers that an earlier driver left running. Called within a tokio runtime.
    ///
    /// # Errors
    /// Where the runtime directory cannot be made or read.
    pub fn new(config: Config) -> Result<Self> {
        let roots = config.roots();
        roots.cgroup.iter().for_each(|cgroup| cgroup::prepare(cgroup));
        let log = Arc::new(KernelLog::open(&config.dev));
        let dispatcher = Dispatcher::new(config, roots.clone())?;
        Ok(Self { dispatcher, roots, changes: uevents::listen(), log })
    }

    /// Helpers that were abandoned and still run: for metrics, and for people.
    #[must_use]
    pub fn stuck(&self) -> Vec<Stuck> {
        self.dispatcher.stuck()
    }
}

impl Machine for Linux {
    async fn run(&self, volume: Volume<'_>, op: Op) -> Result<Output> {
        self.dispatcher.run(volume, op).await
    }

    async fn device_at(&self, path: &Path) -> Result<Option<(u32, u32)>> {
        let found = tokio::fs::metadata(path).await;
        let metadata = found.map_err(|error| Error::io("stat", path, &error))?;
        let rdev = metadata.rdev();
        let number = (rustix::fs::major(rdev), rustix::fs::minor(rdev));
        Ok(metadata.file_type().is_block_device().then_some(number))
    }
}

impl Host for Linux {
    async fn join(&self, volume: Volume<'_>) -> Result<()> {
        self.dispatcher.join(volume).await
    }

    fn take_untold(&self, slot: &Slot) -> Option<Error> {
        self.dispatcher.take_untold(slot)
    }

    async fn complaints(&self) -> BTreeSet<String> {
        let log = self.log.clone();
        tokio::task::spawn_blocking(move || log.complaints()).await.unwrap_or_default()
    }
}

impl Nvme for Linux {
    async fn subsystems(&self) -> Result<Vec<Subsystem>> {
        let sys = self.roots.sys.clone();
        let read = tokio::task::spawn_blocking(move || sysfs::subsystems(&sys)).await;
        read.map_err(|error| Error::new(ErrorKind::Malformed, format!("reading sysfs: {error}")))?
    }

    async fn states(&self, controllers: &[String]) -> Result<Vec<Option<ControllerState>>> {
        let (sys, names) = (self.roots.sys.clone(), controllers.to_vec());
        let states = move || names.iter().map(|name| sysfs::controller_state(&sys, name)).collect();
        let read = tokio::task::spawn_blocking(states).await;
        read.map_err(|error| Error::new(ErrorKind::Malformed, format!("reading sysfs: {error}")))?
    }

    fn changes(&self) -> watch::Receiver<()> {
        self.changes.clone()
    }

    async fn resolve(&self, address: &DataAddress, deadline: Instant) -> Result<SocketAddr> {
        let failed = |kind, problem: String| Error::new(kind, format!("resolve {}: {problem}", address.host));
        let found =
            timeout_at(deadline, tokio::net::lookup_host((address.host.as_str(), address.port))).await;
        let found = found.map_err(|_| failed(ErrorKind::Abandoned, "no answer in time".to_owned()))?;
        let mut found = found.map_err(|error| failed(ErrorKind::Missing, error.to_string()))?;
        found.next().ok_or_else(|| failed(ErrorKind::Missing, "the name has no address".to_owned()))
    }

    async fn probe(&self, connection: &Connection, deadline: Instant) -> Probe {
        probe::probe(connection, deadline).await
    }

    async fn connect(&self, volume: Volume<'_>, connection: &Connection) -> Result<()> {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let options = fabrics::options(connection, cpus)?;
        self.run(volume, Op::Connect { options }).await?.done()
    }

    async fn rescan(&self, volume: Volume<'_>, controller: &str) -> Result<()> {
        self.run(volume, Op::Rescan { controller: controller.to_owned() }).await?.done()
    }

    async fn disconnect(&self, volume: Volume<'_>, nqn: &str) -> Result<()> {
        self.run(volume, Op::Disconnect { nqn: nqn.to_owned() }).await?.done()
    }
}

impl Mounts for Linux {
    async fn mounts(&self) -> Result<Vec<MountEntry>> {
        let table = Path::new("/proc/self/mountinfo");
        let bytes = tokio::fs::read(table).await.map_err(|error| Error::io("read", table, &error))?;
        mountinfo::parse(&bytes)
    }

    async fn mount(
        &self,
        volume: Volume<'_>,
        device: &Device,
        target: &Path,
        fs: FsType,
        options: &[String],
    ) -> Result<()> {
        let (device, target) = (device.clone(), target.to_owned());
        self.run(volume, Op::Mount { device, target, fs, options: options.to_vec() }).await?.done()
    }

    async fn bind(&self, volume: Volume<'_>, source: &Path, target: &Path, readonly: bool) -> Result<()> {
        let op = Op::Bind { source: source.to_owned(), target: target.to_owned(), readonly };
        self.run(volume, op).await?.done()
    }

    async fn unmount(&self, volume: Volume<'_>, target: &Path) -> Result<()> {
        self.run(volume, Op::Unmount { target: target.to_owned() }).await?.done()
    }

    async fn make_dir(&self, path: &Path) -> Result<()> {
        paths::make_dir(path).await
    }

    async fn make_file(&self, path: &Path) -> Result<()> {
        paths::make_file(path).await
    }

    async fn remove_empty(&self, path: &Path) -> Result<()> {
        paths::remove_empty(path).await
    }
}
