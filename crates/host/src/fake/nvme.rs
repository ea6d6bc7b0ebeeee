//! Controllers and heads: connect, lose, reconnect, disconnect.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;
use volume::DataAddress;

use crate::fabrics::{option, options};
use crate::op::{Op, Output};
use crate::request::Machine;
use crate::{
    Connection, ControllerState, Device, Error, ErrorKind, Namespace, Nvme, Probe, Result, Subsystem, Volume,
};

use super::FakeKernel;
use super::fabric::Answer;
use super::node::{Controller, Head, KernelVersion};
use super::run::{EIO, Stop, errno, missing};
use super::world::Kernel;

/// The NQN of the drive that every node boots from: nobody may touch it.
pub const LOCAL_DRIVE: &str = "nqn.2014-08.org.nvmexpress:local-drive";
/// The kernel's dynamic block major of NVMe heads, as machines mostly have it.
pub(super) const MAJOR: u32 = 259;
/// The kernel holds the CPUs' number; any will do.
const CPUS: usize = 2;
/// Two missed keep-alives make a controller reset (node.md K8: 8 s at 5 s).
const MISSED: u32 = 2;
const EINVAL: i32 = 22;
const ECONNREFUSED: i32 = 111;
const EALREADY: i32 = 114;

/// Whether I/O of a head goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathState {
    Ready,
    Waiting,
    Gone,
}

impl Nvme for FakeKernel {
    async fn subsystems(&self) -> Result<Vec<Subsystem>> {
        self.alive().await;
        self.with(|kernel| kernel.failure("subsystems"))?;
        Ok(self.look(|kernel| kernel.subsystems()))
    }

    async fn states(&self, controllers: &[String]) -> Result<Vec<Option<ControllerState>>> {
        self.alive().await;
        self.with(|kernel| kernel.failure("states"))?;
        let state = |kernel: &Kernel<'_>, name: &String| {
            let named = |one: &&Controller| format!("nvme{}", one.index) == *name;
            kernel.node.controllers.iter().find(named).map(|one| kernel.shown(one))
        };
        Ok(self.look(|kernel| controllers.iter().map(|name| state(kernel, name)).collect()))
    }

    fn changes(&self) -> tokio::sync::watch::Receiver<()> {
        self.shared.changed.subscribe()
    }

    async fn resolve(&self, address: &DataAddress, _deadline: Instant) -> Result<SocketAddr> {
        self.alive().await;
        self.with(|kernel| kernel.failure("resolve"))?;
        match address.host.parse() {
            Ok(ip) => Ok(SocketAddr::new(ip, address.port)),
            // Every name is the target's.
            Err(_) => Ok(self.look(|kernel| kernel.target.address)),
        }
    }

    async fn probe(&self, connection: &Connection, _deadline: Instant) -> Probe {
        self.alive().await;
        self.look(|kernel| kernel.probe(connection))
    }

    async fn connect(&self, volume: Volume<'_>, connection: &Connection) -> Result<()> {
        self.run(volume, Op::Connect { options: options(connection, CPUS)? }).await?.done()
    }

    async fn rescan(&self, volume: Volume<'_>, controller: &str) -> Result<()> {
        self.run(volume, Op::Rescan { controller: controller.to_owned() }).await?.done()
    }

    async fn disconnect(&self, volume: Volume<'_>, nqn: &str) -> Result<()> {
        self.run(volume, Op::Disconnect { nqn: nqn.to_owned() }).await?.done()
    }
}

impl Kernel<'_> {
    fn reaches(&self, address: SocketAddr) -> bool {
        self.node.link && self.target.up && address == self.target.address
    }

    fn probe(&self, connection: &Connection) -> Probe {
        if !self.reaches(connection.address) {
            return Probe::Unreachable(format!("connect {}: connection refused", connection.address));
        }
        match self.target.ask(connection.nqn.as_str(), &connection.host.nqn) {
            Answer::Accepted(_) => Probe::Accepted,
            Answer::Unknown => Probe::NqnUnknown,
            Answer::Refused => Probe::HostRefused,
        }
    }

    fn usable(&self, controller: &Controller) -> bool {
        self.node.link && controller.session.is_some_and(|id| self.target.has_session(id))
    }

    pub(super) fn path(&self, minor: u32) -> PathState {
        let Some(head) = self.node.heads.iter().find(|head| head.minor == minor && !head.gone) else {
            return PathState::Gone;
        };
        let mut paths = self.node.controllers.iter().filter(|controller| controller.nqn == head.nqn);
        if paths.any(|controller| self.usable(controller)) { PathState::Ready } else { PathState::Waiting }
    }

    /// What I/O of a device meets.
    pub(super) fn io(&self, minor: u32) -> std::result::Result<(), Stop> {
        match self.path(minor) {
            PathState::Ready => Ok(()),
            PathState::Waiting => Err(Stop::Wait),
            PathState::Gone => Err(errno("I/O", EIO).into()),
        }
    }

    fn shown(&self, controller: &Controller) -> ControllerState {
        let silent = controller.session.is_some_and(|id| self.target.has_session(id));
        let noticed = |lost: Instant| self.now >= lost + controller.keep_alive * MISSED;
        // A cut link is noticed by the keep-alive only (node.md K8).
        if self.usable(controller) || silent && !controller.lost_at.is_some_and(noticed) {
            ControllerState::Live
        } else {
            ControllerState::Reconnecting
        }
    }

    fn subsystems(&self) -> Vec<Subsystem> {
        let mut nqns: Vec<&str> = self.node.controllers.iter().map(|controller| &*controller.nqn).collect();
        nqns.sort_unstable();
        nqns.dedup();
        let ours = nqns.into_iter().map(|nqn| Subsystem {
            nqn: nqn.to_owned(),
            controllers: self.controllers_of(nqn),
            namespaces: self
                .node
                .heads
                .iter()
                .filter(|h| h.nqn == nqn && !h.gone)
                .map(Head::namespace)
                .collect(),
        });
        ours.chain(self.node.local_drive.then(local_drive)).collect()
    }

    fn controllers_of(&self, nqn: &str) -> Vec<crate::Controller> {
        let ours = self.node.controllers.iter().filter(|controller| controller.nqn == nqn);
        ours.map(|controller| crate::Controller {
            name: format!("nvme{}", controller.index),
            state: self.shown(controller),
            address: format!("traddr={},trsvcid={}", controller.address.ip(), controller.address.port()),
        })
        .collect()
    }

    /// What happens by itself: losses noticed, reconnects, controllers given up, superblocks closed.
    pub(super) fn tend(&mut self) -> bool {
        let indices: Vec<u32> = self.node.controllers.iter().map(|controller| controller.index).collect();
        let mut moved = false;
        for index in indices {
            moved |= self.tend_controller(index);
        }
        moved | self.close_superblocks()
    }

    fn tend_controller(&mut self, index: u32) -> bool {
        let Some(at) = self.node.controllers.iter().position(|controller| controller.index == index) else {
            return false;
        };
        if self.usable(&self.node.controllers[at]) {
            return self.node.controllers[at].lost_at.take().is_some();
        }
        let newly_lost = self.node.controllers[at].lost_at.is_none();
        let lost = *self.node.controllers[at].lost_at.get_or_insert(self.now);
        let controller = &self.node.controllers[at];
        if self.reaches(controller.address) {
            match self.target.ask(&controller.nqn, &controller.host_nqn) {
                Answer::Accepted(_) => return self.reconnect(at),
                _ if self.node.version == KernelVersion::V6_12 => return self.remove_controller(index),
                _ => {}
            }
        }
        if controller.loss_timeout.is_some_and(|timeout| self.now >= lost + timeout) {
            return self.remove_controller(index);
        }
        newly_lost
    }

    fn reconnect(&mut self, at: usize) -> bool {
        let controller = &mut self.node.controllers[at];
        controller.session = Some(self.target.open_session(&controller.nqn, &controller.host_nqn));
        controller.lost_at = None;
        let (nqn, host) = (controller.nqn.clone(), controller.host_nqn.clone());
        let Answer::Accepted(export) = self.target.ask(&nqn, &host) else { return true };
        let (uuid, volume) = (export.namespace_uuid, export.volume.clone());
        let other = self.node.heads.iter_mut().find(|h| h.nqn == nqn && !h.gone && h.uuid != uuid);
        if let Some(head) = other {
            // Seen: what was queued goes out before the identities are compared (node.md K3).
            if head.queued {
                head.dirty.write_back(self.target.store(&volume));
            }
            let minor = head.minor;
            self.lose_head(minor);
        }
        true
    }

    fn remove_controller(&mut self, index: u32) -> bool {
        let Some(at) = self.node.controllers.iter().position(|controller| controller.index == index) else {
            return false;
        };
        let controller = self.node.controllers.remove(at);
        if let Some(session) = controller.session {
            self.target.end_session(session);
        }
        if !self.node.controllers.iter().any(|other| other.nqn == controller.nqn) {
            let minor = self.node.heads.iter().find(|h| h.nqn == controller.nqn && !h.gone).map(|h| h.minor);
            minor.into_iter().for_each(|minor| self.lose_head(minor));
        }
        true
    }

    /// The head leaves sysfs and its unwritten pages are lost; its number is free once nobody has it open.
    fn lose_head(&mut self, minor: u32) {
        if let Some(head) = self.node.heads.iter_mut().find(|head| head.minor == minor) {
            head.gone = true;
            head.queued = false;
            head.lost |= head.dirty.drop_all();
        }
        self.node.mounts.iter_mut().for_each(|mount| mount.what.outlive(minor));
        self.free_head(minor);
    }

    pub(super) fn free_head(&mut self, minor: u32) {
        let used = self.node.superblocks.iter().any(|superblock| superblock.minor == minor)
            || self.node.holds.values().any(|held| *held == minor);
        self.node.heads.retain(|head| head.minor != minor || used || !head.gone);
    }

    pub(super) fn connect(&mut self, text: &str) -> std::result::Result<Output, Stop> {
        let controller = self.parse_connect(text).ok_or_else(|| errno("connect", EINVAL))?;
        let same = |other: &Controller| {
            other.nqn == controller.nqn
                && other.host_nqn == controller.host_nqn
                && other.address == controller.address
        };
        let mixed = |other: &Controller| {
            (other.host_id == controller.host_id) != (other.host_nqn == controller.host_nqn)
        };
        if self.node.controllers.iter().any(same) {
            return Err(errno("connect", EALREADY).into());
        }
        if self.node.version == KernelVersion::V6_12 && self.node.controllers.iter().any(mixed) {
            return Err(errno("connect", EINVAL).into());
        }
        if !self.reaches(controller.address) {
            return Err(errno("connect", ECONNREFUSED).into());
        }
        if !matches!(self.target.ask(&controller.nqn, &controller.host_nqn), Answer::Accepted(_)) {
            return Err(errno("connect", EIO).into());
        }
        let session = self.target.open_session(&controller.nqn, &controller.host_nqn);
        let (nqn, host) = (controller.nqn.clone(), controller.host_nqn.clone());
        self.node.controllers.push(Controller { session: Some(session), ..controller });
        self.read_namespace(&nqn, &host);
        self.effect(format!("connect {nqn}"))?;
        Ok(Output::Done)
    }

    fn parse_connect(&self, text: &str) -> Option<Controller> {
        let seconds = |name| option(text, name).and_then(|value| value.parse::<i64>().ok());
        let taken = |index: &u32| self.node.controllers.iter().any(|other| other.index == *index);
        Some(Controller {
            index: (1..).find(|index| !taken(index))?,
            nqn: option(text, "nqn")?.to_owned(),
            host_nqn: option(text, "hostnqn")?.to_owned(),
            host_id: option(text, "hostid")?.to_owned(),
            address: SocketAddr::new(
                option(text, "traddr")?.parse().ok()?,
                option(text, "trsvcid")?.parse().ok()?,
            ),
            session: None,
            lost_at: None,
            loss_timeout: u64::try_from(seconds("ctrl_loss_tmo")?).ok().map(Duration::from_secs),
            keep_alive: Duration::from_secs(u64::try_from(seconds("keep_alive_tmo")?).ok()?),
        })
    }

    /// Identify of the one namespace: a head is made, or takes the size.
    fn read_namespace(&mut self, nqn: &str, host: &str) {
        let Answer::Accepted(export) = self.target.ask(nqn, host) else { return };
        let (uuid, volume, bytes) = (export.namespace_uuid, export.volume.clone(), export.bytes);
        let mut present = self.node.heads.iter_mut().filter(|head| !head.gone);
        if let Some(head) = present.find(|head| head.nqn == nqn) {
            head.bytes = bytes;
            return;
        }
        // Duplicate ids: the same namespace under another NQN gives no block device (node.md K1).
        if self.node.heads.iter().any(|head| !head.gone && head.uuid == uuid) {
            return;
        }
        let taken = |minor: &u32| self.node.heads.iter().any(|head| head.minor == *minor);
        let Some(minor) = (self.node.first_minor..).find(|minor| !taken(minor)) else { return };
        self.node.heads.push(Head {
            minor,
            nqn: nqn.to_owned(),
            uuid,
            volume,
            bytes,
            gone: false,
            dirty: Default::default(),
            queued: false,
            lost: false,
            told: false,
        });
    }

    pub(super) fn rescan(&mut self, name: &str) -> std::result::Result<Output, Stop> {
        let named = |controller: &&Controller| format!("nvme{}", controller.index) == name;
        let controller = self.node.controllers.iter().find(named).ok_or_else(|| missing(name))?;
        if self.usable(controller) {
            let (nqn, host) = (controller.nqn.clone(), controller.host_nqn.clone());
            self.read_namespace(&nqn, &host);
            self.effect(format!("rescan {name}"))?;
        }
        Ok(Output::Done)
    }

    pub(super) fn disconnect(&mut self, nqn: &str) -> std::result::Result<Output, Stop> {
        if nqn == LOCAL_DRIVE {
            self.node.local_drive = false;
        }
        while let Some(index) = self.node.controllers.iter().find(|c| c.nqn == nqn).map(|c| c.index) {
            self.remove_controller(index);
            self.effect(format!("disconnect {nqn}"))?;
        }
        Ok(Output::Done)
    }

    /// When something happens by time alone.
    pub(super) fn next_timer(&self) -> Option<Instant> {
        let timers = self.node.controllers.iter().filter_map(|c| Some(c.lost_at? + c.loss_timeout?));
        timers.filter(|timer| *timer > self.now).min()
    }

    /// The head that a device is, by name and number; neither alone will do.
    pub(super) fn open(&self, device: &Device) -> Result<u32> {
        let head = self.node.heads.iter().find(|head| !head.gone && head.device() == *device);
        head.map(|head| head.minor).ok_or_else(|| {
            Error::new(ErrorKind::Missing, format!("{device} is not there or is another device"))
        })
    }

    pub(super) fn head(&mut self, minor: u32) -> Result<&mut Head> {
        self.node.heads.iter_mut().find(|head| head.minor == minor).ok_or_else(|| errno("I/O", EIO))
    }
}

impl Head {
    pub(super) fn device(&self) -> Device {
        let (minor, nqn) = (self.minor, Some(self.nqn.clone()));
        Device { name: format!("nvme{minor}n1"), major: MAJOR, minor, nqn }
    }

    fn namespace(&self) -> Namespace {
        Namespace { id: 1, device: self.device(), bytes: self.bytes }
    }
}

fn local_drive() -> Subsystem {
    let controller =
        crate::Controller { name: "nvme0".into(), state: ControllerState::Live, address: String::new() };
    let nqn = Some(LOCAL_DRIVE.to_owned());
    let device = Device { name: "nvme0n1".into(), major: MAJOR, minor: 0, nqn };
    let namespace = Namespace { id: 1, device, bytes: 64 << 30 };
    Subsystem { nqn: LOCAL_DRIVE.into(), controllers: vec![controller], namespaces: vec![namespace] }
}
