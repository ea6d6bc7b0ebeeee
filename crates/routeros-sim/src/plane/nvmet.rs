//! The kernel's own NVMe/TCP target, through configfs, on loop devices with direct I/O.
//!
//! One subsystem per exported disk with namespace 1; one nvmet port per TCP port, named by its number. A port
//! listens from its first subsystem to its last, so the order of exports at boot is what hosts see.

mod configfs;
mod loops;
mod subsystem;

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

pub use configfs::{ConfigTree, Configfs};
pub use loops::{LoopDevices, Losetup};

use super::{DataPlane, Export, Sessions};
use crate::assumptions::{Growth, Unexport};
use subsystem::{Served, Target};

/// Where the kernel says who is connected, from 6.11 on.
const DEBUGFS: &str = "/sys/kernel/debug/nvmet";

/// The subsystem that keeps a port open while the device boots; no host is allowed on it.
const PLACEHOLDER: &str = "nqn.2014-08.org.nvmexpress:rds-sim.boots";

/// The nvmet data plane.
pub struct Nvmet {
    target: Arc<Target>,
    served: Mutex<BTreeMap<String, Served>>,
    /// Exports that are closed for hosts and whose last writes are still under way.
    closing: Mutex<Vec<(String, JoinHandle<()>)>>,
}

impl Nvmet {
    /// The target of this kernel, for images below `images`, listening on `address`.
    ///
    /// # Errors
    /// The kernel has none, or it may not be used.
    pub fn open(images: &Path, address: IpAddr) -> io::Result<Self> {
        Ok(Self::on(Arc::new(Configfs::mounted()?), Arc::new(Losetup), images, address))
    }

    /// A target of the given parts.
    pub fn on(
        tree: Arc<dyn ConfigTree>,
        loops: Arc<dyn LoopDevices>,
        images: &Path,
        address: IpAddr,
    ) -> Self {
        let target = Target { tree, loops, images: images.to_owned(), address, ports: Mutex::default() };
        Self { target: Arc::new(target), served: Mutex::default(), closing: Mutex::default() }
    }

    fn served(&self) -> MutexGuard<'_, BTreeMap<String, Served>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the last writes of the exports that are closing, of one name or of all.
    fn wait_for_closing(&self, nqn: Option<&str>) {
        let closing = {
            let mut closing = self.closing.lock().unwrap_or_else(PoisonError::into_inner);
            let meant = |(each, _): &mut (String, _)| nqn.is_none_or(|nqn| nqn == each);
            closing.extract_if(.., meant).collect::<Vec<_>>()
        };
        for (_, thread) in closing {
            if thread.join().is_err() {
                tracing::error!("closing an export panicked");
            }
        }
    }

    /// Takes down what hosts no longer reach, without anybody waiting.
    fn close_behind(&self, served: Served) {
        let target = self.target.clone();
        let nqn = served.export.nqn.clone();
        let thread = std::thread::spawn(move || {
            if let Err(error) = target.dismantle(&served) {
                tracing::error!(nqn = %served.export.nqn, %error, "a closed export is still there");
            }
        });
        self.closing.lock().unwrap_or_else(PoisonError::into_inner).push((nqn, thread));
    }

    /// The backing files of `images` that an earlier process left in the kernel.
    fn clear_leftovers(&self) -> io::Result<()> {
        let target = &self.target;
        for nqn in target.tree.list("subsystems") {
            let device = target.tree.read(&format!("subsystems/{nqn}/namespaces/1/device_path"));
            let ours = device.as_deref().is_some_and(|device| target.backs(device.trim()));
            if ours || nqn == PLACEHOLDER {
                target.take_down(&nqn)?;
            }
        }
        target.close_empty_ports()?;
        let loops = target.loops.attached()?;
        let of_ours = loops.iter().filter(|(_, file)| file.starts_with(&target.images));
        of_ours.map(|(device, _)| device).try_for_each(|device| target.loops.detach(device))
    }
}

impl DataPlane for Nvmet {
    fn export(&self, export: &Export) -> io::Result<()> {
        // Only one of the same name: another's late writes are what hosts must reckon with.
        self.wait_for_closing(Some(&export.nqn));
        let mut served = self.served();
        match served.get_mut(&export.nqn) {
            // The first export of a name keeps it.
            Some(there) if there.export.disk != export.disk => Ok(()),
            // Closed with its sessions left alive: open for new ones again.
            Some(there) => {
                self.target.admit(export)?;
                there.export.clone_from(export);
                Ok(())
            }
            None => {
                let built = self.target.build(export)?;
                served.insert(export.nqn.clone(), built);
                Ok(())
            }
        }
    }

    fn unexport(&self, export: &Export, how: Unexport) -> io::Result<()> {
        let mut all = self.served();
        if all.get(&export.nqn).is_none_or(|served| served.export.disk != export.disk) {
            return Ok(());
        }
        if how == Unexport::LeavesSessions {
            return self.target.admit_nobody(&export.nqn);
        }
        if how == Unexport::DisablesNamespace {
            self.target.disable(&export.nqn)?;
        }
        self.target.unlink(export)?;
        let Some(served) = all.remove(&export.nqn) else { return Ok(()) };
        if how == Unexport::ReturnsEarly {
            self.close_behind(served);
            return Ok(());
        }
        self.target.dismantle(&served)
    }

    fn allow_hosts(&self, export: &Export, end_sessions: bool) -> io::Result<()> {
        let mut all = self.served();
        let Some(served) = all.get_mut(&export.nqn).filter(|served| served.export.disk == export.disk) else {
            return Ok(());
        };
        self.target.admit(export)?;
        if end_sessions {
            // nvmet ends no single session: all end, and those still allowed connect again.
            self.target.unlink(export)?;
            self.target.link(export)?;
        }
        served.export.clone_from(export);
        Ok(())
    }

    fn grow(&self, export: &Export, how: Growth) -> io::Result<()> {
        let all = self.served();
        match all.get(&export.nqn) {
            Some(served) if how != Growth::ReExport => {
                self.target.loops.refresh(&served.device)?;
                match how {
                    Growth::Announced => self.target.announce(&export.nqn),
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn listen(&self, ports: &[u16]) -> io::Result<()> {
        self.target.hold_ports(PLACEHOLDER, ports)
    }

    fn reset(&self) -> io::Result<()> {
        self.wait_for_closing(None);
        let served = std::mem::take(&mut *self.served());
        for each in served.values() {
            self.target.take_down(&each.export.nqn)?;
            self.target.loops.detach(&each.device)?;
        }
        self.clear_leftovers()
    }

    fn sessions(&self, nqn: &str) -> Sessions {
        connected(&PathBuf::from(DEBUGFS).join(nqn)).map_or(Sessions::Unknown, Sessions::Known)
    }

    fn describe(&self) -> String {
        format!("nvmet on {}", self.target.address)
    }
}

/// Host NQNs of a subsystem by debugfs; `None` where the kernel does not tell.
fn connected(directory: &Path) -> Option<Vec<String>> {
    let controllers = std::fs::read_dir(directory).ok()?.flatten();
    let host = |path: PathBuf| std::fs::read_to_string(path.join("hostnqn")).ok();
    Some(controllers.filter_map(|entry| host(entry.path())).map(|host| host.trim().to_owned()).collect())
}

#[cfg(test)]
mod tests;
