//! From a configuration and a state directory to a device that serves.

use std::io;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::Shared;
use super::login::Logins;
use crate::config::{Config, PoolConfig, UserConfig};
use crate::device::Device;
use crate::device::disk::{Disk, Pool};
use crate::device::file::{File, normal};
use crate::device::plan::Change;
use crate::device::user::{Group, User, policies};
use crate::fault::Faults;
use crate::images::{Directory, Images, Memory};
use crate::journal::{self, Journal};
use crate::lane::Lanes;
use crate::machine::Machine;
use crate::plane::record::Recording;

/// Boots a device with whatever its state directory holds.
pub(super) fn cold(config: Config) -> io::Result<Shared> {
    let images: Arc<dyn Images> = match &config.state {
        Some(directory) => Arc::new(Directory::new(&Config::images_of(directory))?),
        None => Arc::new(Memory::default()),
    };
    let device = device(&config, images.as_ref())?;
    let journal = match &config.state {
        Some(directory) => journal::start(directory, &device)?,
        None => Journal::None,
    };
    let recording = config.plane.is_none().then(|| Arc::new(Recording::default()));
    let plane = match (&config.plane, &recording) {
        (Some(plane), _) => plane.clone(),
        (None, recording) => recording.clone().unwrap_or_default(),
    };
    let machine = Arc::new(Machine::new(device, config.assumptions.clone(), journal, images, plane));
    machine.power_off(false)?;
    machine.listen_first()?;
    machine.serve_exports();
    Ok(Shared {
        machine,
        recording,
        faults: Faults::default(),
        lanes: Lanes::default(),
        logins: Logins::default(),
        power: watch::Sender::new(true),
        latency: Mutex::new(config.latency),
        session_cap: config.session_cap,
        rest_plain: config.rest_plain,
    })
}

fn device(config: &Config, images: &dyn Images) -> io::Result<Device> {
    let stored = config.state.as_deref().map(journal::load).transpose()?.flatten();
    let mut device = stored.unwrap_or_else(|| Device::new(config.version, config.rose));
    (device.version, device.rose) = (config.version, config.rose);
    for pool in &config.pools {
        add_pool(&mut device, pool, images)?;
    }
    for directory in &config.directories {
        add_directory(&mut device, directory, images)?;
    }
    for user in &config.users {
        add_user(&mut device, user)?;
    }
    Ok(device)
}

fn add_pool(device: &mut Device, config: &PoolConfig, images: &dyn Images) -> io::Result<()> {
    let slot = normal(&config.slot).filter(|slot| !slot.contains('/'));
    let slot = slot.ok_or_else(|| io::Error::other(format!("`{}` is no name of a pool", config.slot)))?;
    images.make_directory(slot)?;
    let pool = Pool { fs: config.fs.clone(), size: config.size };
    let disk = match device.disk(slot) {
        Some(there) => Disk { pool: Some(pool), ..there.clone() },
        None => Disk::pool(device.next_id(), &config.kind, slot, pool),
    };
    device.apply(Change::PutDisk(Box::new(disk)));
    Ok(())
}

fn add_directory(device: &mut Device, path: &str, images: &dyn Images) -> io::Result<()> {
    let path = normal(path).ok_or_else(|| io::Error::other(format!("`{path}` is no directory's name")))?;
    let ends = path.match_indices('/').skip(1).map(|(end, _)| end).chain([path.len()]);
    for directory in ends.map(|end| &path[..end]).filter(|directory| directory.contains('/')) {
        images.make_directory(directory)?;
        if device.file(directory).is_none() {
            let (id, path) = (device.next_id(), directory.to_owned());
            device.apply(Change::PutFile(File { id, path, directory: true, size: 0, modified: 0 }));
        }
    }
    Ok(())
}

fn add_user(device: &mut Device, config: &UserConfig) -> io::Result<()> {
    let group = match device.group(&config.policies) {
        Some(group) => group.name.clone(),
        None => {
            let policies = policies(&config.policies).map_err(io::Error::other)?;
            let name = format!("{}-policies", config.name);
            let id = device.group(&name).map_or(device.next_id(), |group| group.id);
            device.apply(Change::PutGroup(Group { id, name: name.clone(), policies }));
            name
        }
    };
    let id = device.user(&config.name).map_or(device.next_id(), |user| user.id);
    device.apply(Change::PutUser(User {
        id,
        name: config.name.clone(),
        group,
        password: config.password.clone(),
        address: String::new(),
        disabled: false,
    }));
    Ok(())
}
