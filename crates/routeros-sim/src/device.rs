//! The device as data: every menu's state, plans for commands, and the changes that plans end in. No I/O.

pub mod clock;
pub mod disk;
pub mod file;
pub mod plan;
pub(crate) mod row;
mod system;
pub mod user;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::assumptions::{Assumptions, DiskCounters, MissingDirectory};
use crate::menu::{Command, Menu, Reply, Row, Trap, Verb};
use crate::plane::Sessions;
use crate::version::Version;
use disk::Disk;
use disk::traffic::Traffic;
use file::File;
use plan::{Change, Effect, Plan, Step};
use row::View;
use user::{Caller, Group, User};

/// What only the outside world knows.
pub trait Facts {
    /// Free bytes of the pool `slot` of `size` bytes.
    fn free(&self, slot: &str, size: u64) -> u64;
    /// Whether the pool takes nothing more, not even a sparse file.
    fn is_full(&self, slot: &str) -> bool;
    /// Hosts connected to a subsystem.
    fn sessions(&self, nqn: &str) -> Sessions;
    /// Seconds since 1970 by the device's clock.
    fn now(&self) -> i64;
    /// Seconds since the device booted.
    fn uptime(&self) -> u64;
    /// What the disk with this id has read and written since.
    fn traffic(&self, disk: u32) -> Traffic;
}

/// The state of a device.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Device {
    /// What it runs.
    #[serde(skip, default = "latest")]
    pub version: Version,
    /// Whether the rose-storage package is there and enabled.
    #[serde(skip)]
    pub rose: RosePackage,
    /// `/system/identity`
    pub identity: String,
    /// `/disk`
    pub disks: BTreeMap<u32, Disk>,
    /// `/file`
    pub files: BTreeMap<u32, File>,
    /// `/user`
    pub users: BTreeMap<u32, User>,
    /// `/user/group`
    pub groups: BTreeMap<u32, Group>,
    /// Seconds that its clock is ahead of the host's.
    pub clock_offset: i64,
    /// The last id given in each menu; ids are not used again.
    last_id: u32,
    /// Ids of files by name.
    #[serde(skip)]
    paths: BTreeMap<String, u32>,
}

/// The state of the rose-storage package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RosePackage {
    /// Installed and enabled.
    #[default]
    Enabled,
    /// Installed, not enabled.
    Disabled,
    /// Not installed.
    Missing,
}

/// What a plan is made from.
pub(crate) struct Scene<'a> {
    pub(crate) device: &'a Device,
    pub(crate) assumptions: &'a Assumptions,
    pub(crate) facts: &'a dyn Facts,
}

fn latest() -> Version {
    Version::LATEST
}

impl Device {
    /// An empty device with RouterOS's groups; its ids start where a young device's would.
    pub fn new(version: Version, rose: RosePackage) -> Self {
        let mut device = Self {
            version,
            rose,
            identity: "MikroTik-RDS".to_owned(),
            disks: BTreeMap::new(),
            files: BTreeMap::new(),
            users: BTreeMap::new(),
            groups: BTreeMap::new(),
            clock_offset: 0,
            last_id: 0,
            paths: BTreeMap::new(),
        };
        user::default_groups().into_iter().for_each(|group| device.apply(Change::PutGroup(group)));
        device
    }

    /// Plans one command of `caller`; nothing happens yet.
    ///
    /// # Errors
    /// The command is refused whole.
    pub fn plan(
        &self,
        caller: &Caller,
        command: &Command,
        assumptions: &Assumptions,
        facts: &dyn Facts,
    ) -> Result<Plan, Trap> {
        caller.may(command)?;
        let scene = Scene { device: self, assumptions, facts };
        if matches!(command.verb, Verb::Print) {
            let sensitive = caller.has("sensitive");
            // A full row of a capture has none (S [TF]).
            let counters = assumptions.disk_counters == DiskCounters::Named && command.proplist.is_some();
            let view = View { device: self, assumptions, facts, sensitive, counters };
            return Ok(Plan::answer(self.print(command, &view)));
        }
        match command.menu {
            Menu::Disk => disk::plan::plan(&scene, command),
            Menu::File => file::plan(&scene, command),
            Menu::User | Menu::Group => user::plan(self, command),
            _ => system::plan(command),
        }
    }

    fn print(&self, command: &Command, view: &View<'_>) -> Reply {
        match command.menu {
            Menu::Disk => self.print_disks(command, view),
            Menu::File => row::print(self.files.values(), file::PROPERTIES, command, view),
            Menu::User => row::print(self.users.values(), user::USER_PROPERTIES, command, view),
            Menu::Group => row::print(self.groups.values(), user::GROUP_PROPERTIES, command, view),
            _ => system::print(command, view),
        }
    }

    /// Most prints name one disk: among thousands it is found without asking each for its properties.
    fn print_disks(&self, command: &Command, view: &View<'_>) -> Reply {
        let properties = [disk::property::PROPERTIES, disk::traffic::COUNTERS];
        if let Some(id) = command.query.demanded(".id") {
            return row::print_both(self.disk(id).into_iter(), properties, command, view);
        }
        let slot = command.query.demanded("slot");
        let named = self.disks.values().filter(|disk| slot.is_none_or(|slot| slot == disk.slot));
        row::print_both(named, properties, command, view)
    }

    /// Writes one change down.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::PutDisk(disk) => put(&mut self.disks, &mut self.last_id, disk.id, *disk),
            Change::RemoveDisk(id) => drop(self.disks.remove(&id)),
            Change::PutFile(file) => {
                self.paths.insert(file.path.clone(), file.id);
                put(&mut self.files, &mut self.last_id, file.id, file);
            }
            Change::RemoveFile(id) => {
                if let Some(file) = self.files.remove(&id) {
                    self.paths.remove(&file.path);
                }
            }
            Change::PutUser(user) => put(&mut self.users, &mut self.last_id, user.id, user),
            Change::RemoveUser(id) => drop(self.users.remove(&id)),
            Change::PutGroup(group) => put(&mut self.groups, &mut self.last_id, group.id, group),
            Change::RemoveGroup(id) => drop(self.groups.remove(&id)),
            Change::Identity(name) => self.identity = name,
            Change::ClockOffset(seconds) => self.clock_offset = seconds,
        }
    }

    /// What undoes the configuration part of `change`; files are not configuration.
    pub fn inverse(&self, change: &Change) -> Option<Change> {
        match change {
            Change::PutDisk(disk) => Some(match self.disks.get(&disk.id) {
                Some(before) => Change::PutDisk(Box::new(before.clone())),
                None => Change::RemoveDisk(disk.id),
            }),
            Change::RemoveDisk(id) => self.disks.get(id).map(|disk| Change::PutDisk(Box::new(disk.clone()))),
            Change::Identity(_) => Some(Change::Identity(self.identity.clone())),
            _ => None,
        }
    }

    /// The disk with this id or slot.
    pub fn disk(&self, target: &str) -> Option<&Disk> {
        match target.strip_prefix('*') {
            Some(id) => u32::from_str_radix(id, 16).ok().and_then(|id| self.disks.get(&id)),
            None => self.disks.values().find(|disk| disk.slot == target),
        }
    }

    /// Every disk as REST shows it, passwords too.
    pub fn disk_rows(&self, assumptions: &Assumptions, facts: &dyn Facts) -> Vec<Row> {
        let view = View { device: self, assumptions, facts, sensitive: true, counters: false };
        self.disks.values().map(|disk| row::row(disk, disk::property::PROPERTIES, &view)).collect()
    }

    /// An id that no row has had.
    pub fn next_id(&self) -> u32 {
        self.last_id + 1
    }

    /// Leaves out ids below `next`.
    pub(crate) fn skip_ids(&mut self, next: u32) {
        self.last_id = next.saturating_sub(1).max(self.last_id);
    }

    /// Rebuilds what is not stored.
    pub fn index(&mut self) {
        self.paths = self.files.values().map(|file| (file.path.clone(), file.id)).collect();
    }
}

fn put<T>(rows: &mut BTreeMap<u32, T>, last_id: &mut u32, id: u32, row: T) {
    *last_id = id.max(*last_id);
    rows.insert(id, row);
}

impl Scene<'_> {
    /// The mounted pool that `path` lies on.
    pub(crate) fn pool(&self, path: &str) -> Result<&Disk, Trap> {
        let mount_point = path.split('/').next().unwrap_or_default();
        self.device
            .disks
            .values()
            .find(|disk| disk.pool.is_some() && !disk.disabled && disk.slot == mount_point)
            .filter(|_| path.contains('/'))
            .ok_or_else(|| Trap::refused("failure: no such directory"))
    }

    /// Whether `bytes` more can be taken where `path` lies; a sparse file takes none.
    pub(crate) fn room(&self, path: &str, bytes: u64) -> Result<(), Trap> {
        let pool = self.pool(path)?;
        let size = pool.pool.as_ref().map_or(0, |pool| pool.size);
        let fits = bytes == 0 || self.facts.free(&pool.slot, size) >= bytes;
        if fits && !self.facts.is_full(&pool.slot) {
            return Ok(());
        }
        Err(Trap::refused("failure: no space left on disk"))
    }

    /// What makes the directories above `path` that are not there.
    pub(crate) fn directories_of(&self, path: &str) -> Result<Vec<Step>, Trap> {
        self.pool(path)?;
        let mut steps = Vec::new();
        for (end, _) in path.match_indices('/').skip(1) {
            let directory = &path[..end];
            match self.device.file_at(directory) {
                Some(there) if there.directory => continue,
                Some(_) => return Err(Trap::refused("failure: not a directory")),
                None if self.assumptions.missing_directory == MissingDirectory::Refused => {
                    return Err(Trap::refused("failure: no such directory"));
                }
                None => {}
            }
            let file = self.new_file(&steps, directory, true, 0);
            steps.push(Step::Do(Effect::MakeDirectory { path: directory.to_owned() }));
            steps.push(Step::Record(Change::PutFile(file)));
        }
        Ok(steps)
    }

    /// A row of `/file`, after those that `steps` already make.
    pub(crate) fn new_file(&self, steps: &[Step], path: &str, directory: bool, size: u64) -> File {
        let id = self.id_after(steps);
        File { id, path: path.to_owned(), directory, size, modified: self.facts.now() }
    }

    /// The next id after those that `steps` already give.
    pub(crate) fn id_after(&self, steps: &[Step]) -> u32 {
        let given = steps.iter().filter(|step| matches!(step, Step::Record(_))).count();
        self.device.next_id() + u32::try_from(given).unwrap_or(u32::MAX / 2)
    }
}
