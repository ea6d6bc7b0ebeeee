//! State put there by a test: rows with chosen ids, as if they had always been.

use std::io;

use super::Handle;
use crate::device::disk::argument::Argument;
use crate::device::disk::{Disk, Pool};
use crate::device::file::{File, normal};
use crate::device::plan::Change;
use crate::device::user::{Group, POLICIES, policies};
use crate::menu::Trap;
use crate::version::Version;

impl Handle {
    /// Puts a disk there, and its image where it is a file that is missing. `row` has properties that can be
    /// set, `.id` if it matters, and for a pool (`type=raid` or `hardware`) its `size`.
    ///
    /// # Errors
    /// A property that cannot be set, or the effect that failed.
    pub fn seed_disk(&self, row: &[(&str, &str)]) -> Result<(), Trap> {
        let of = |wanted: &str| row.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
        let assumptions = self.assumptions();
        let id = of(".id").map_or(Ok(self.0.machine.device().next_id()), |id| number(id, "*"))?;
        let mut disk = Disk::new(id, of("type").unwrap_or("file"));
        for (name, value) in row.iter().filter(|(name, _)| !matches!(*name, ".id" | "size")) {
            Argument::find(name, Version::LATEST, true)?.apply(&mut disk, value, &assumptions)?;
        }
        if disk.kind == "file" {
            if self.0.machine.device().file(&disk.file_path).is_none() {
                self.seed_file(None, &disk.file_path, disk.file_size).map_err(failed)?;
            }
        } else if let Some(size) = of("size") {
            let size = size.parse().map_err(|_| Trap::invalid_value("size"))?;
            disk.pool = Some(Pool { fs: "xfs".to_owned(), size });
            self.0.machine.images().make_directory(&disk.slot).map_err(failed)?;
        }
        if disk.wants_export() {
            let export = disk.export(&assumptions);
            self.0.machine.plane().export(&export).map_err(failed)?;
            disk.live = Some(export);
        }
        self.0.machine.record(Change::PutDisk(Box::new(disk))).map_err(failed)
    }

    /// Puts a zeroed file there, with the directories above it.
    ///
    /// # Errors
    /// The path is none, or it cannot be made.
    pub fn seed_file(&self, id: Option<&str>, path: &str, size: u64) -> io::Result<()> {
        let path = normal(path).ok_or_else(|| io::Error::other(format!("`{path}` is no file's name")))?;
        let next = self.0.machine.device().next_id();
        let id = id.map_or(Ok(next), |id| number(id, "**")).map_err(io::Error::other)?;
        if let Some((directory, _)) = path.rsplit_once('/') {
            self.0.machine.images().make_directory(directory)?;
        }
        self.0.machine.images().create(path, size, false)?;
        let file = File { id, path: path.to_owned(), directory: false, size, modified: self.now() };
        self.0.machine.record(Change::PutFile(file))
    }

    /// Makes `id` the next that a new row of `/disk` gets; rows of both menus count on from there.
    pub fn seed_next_id(&self, id: u32) {
        self.0.machine.skip_ids(id);
    }

    /// Gives a user exactly these policies, comma-separated; an empty text gives all.
    ///
    /// # Errors
    /// No such user or policy.
    pub fn seed_policies(&self, user: &str, text: &str) -> Result<(), Trap> {
        let policies = match text {
            "" => POLICIES.iter().map(|&policy| policy.to_owned()).collect(),
            text => policies(text)?,
        };
        let (next, user) = {
            let device = self.0.machine.device();
            (device.next_id(), device.user(user).cloned().ok_or(Trap::NoSuchItem)?)
        };
        let name = format!("{}-policies", user.name);
        let group = Group { id: next, name: name.clone(), policies };
        self.0.machine.record(Change::PutGroup(group)).map_err(failed)?;
        self.0.logins.forget();
        let user = crate::device::user::User { group: name, ..user };
        self.0.machine.record(Change::PutUser(user)).map_err(failed)
    }
}

fn failed(error: io::Error) -> Trap {
    Trap::refused(format!("failure: {error}"))
}

fn number(id: &str, prefix: &str) -> Result<u32, Trap> {
    let digits = id.strip_prefix(prefix).ok_or_else(|| Trap::invalid_value(".id"))?;
    u32::from_str_radix(digits, 16).map_err(|_| Trap::invalid_value(".id"))
}
