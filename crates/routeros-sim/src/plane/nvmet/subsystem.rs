//! One export in the kernel: how it is built, opened, closed and dismantled.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{ConfigTree, LoopDevices};
use crate::plane::Export;

/// An export with the device under it.
pub(super) struct Served {
    pub(super) export: Export,
    pub(super) device: String,
}

/// The kernel's target.
pub(super) struct Target {
    pub(super) tree: Arc<dyn ConfigTree>,
    pub(super) loops: Arc<dyn LoopDevices>,
    pub(super) images: PathBuf,
    pub(super) address: IpAddr,
    /// A port is made for the first subsystem that is linked to it and goes with its last; an export that is closed behind
    /// everybody's back takes it away while another one is opened.
    pub(super) ports: Mutex<()>,
}

impl Target {
    /// Builds an export whole: reachable only as the last step. What a failure leaves is taken down.
    pub(super) fn build(&self, export: &Export) -> io::Result<Served> {
        let image = self.images.join(&export.image);
        let device = self.loops.attach(&image, export.offset, export.discard)?;
        let built = self.configure(export, &device).and_then(|()| self.link(export));
        if let Err(error) = built {
            let undone = self.take_down(&export.nqn).and_then(|()| self.loops.detach(&device));
            if let Err(undone) = undone {
                tracing::error!(error = %undone, nqn = %export.nqn, "half an export is left");
            }
            return Err(error);
        }
        Ok(Served { export: export.clone(), device })
    }

    fn configure(&self, export: &Export, device: &str) -> io::Result<()> {
        let subsystem = format!("subsystems/{}", export.nqn);
        let namespace = format!("{subsystem}/namespaces/1");
        self.tree.make(&subsystem)?;
        self.tree.write(&format!("{subsystem}/attr_serial"), &export.identity.serial)?;
        self.admit(export)?;
        self.tree.make(&namespace)?;
        self.tree.write(&format!("{namespace}/device_path"), device)?;
        self.tree.write(&format!("{namespace}/device_uuid"), &export.identity.uuid.to_string())?;
        self.tree.write(&format!("{namespace}/enable"), "1")
    }

    /// Lets exactly the export's hosts connect. The kernel knows "any" only with an empty list.
    pub(super) fn admit(&self, export: &Export) -> io::Result<()> {
        let subsystem = format!("subsystems/{}", export.nqn);
        let allowed = format!("{subsystem}/allowed_hosts");
        for host in self.tree.list(&allowed).iter().filter(|host| !export.hosts.contains(host)) {
            self.tree.unlink(&format!("{allowed}/{host}"))?;
        }
        let any = export.hosts.is_empty();
        self.tree.write(&format!("{subsystem}/attr_allow_any_host"), if any { "1" } else { "0" })?;
        for host in &export.hosts {
            self.tree.make(&format!("hosts/{host}"))?;
            self.tree.link(&format!("{allowed}/{host}"), &format!("hosts/{host}"))?;
        }
        Ok(())
    }

    /// Refuses every new session; those that live go on.
    pub(super) fn admit_nobody(&self, nqn: &str) -> io::Result<()> {
        let allowed = format!("subsystems/{nqn}/allowed_hosts");
        for host in self.tree.list(&allowed) {
            self.tree.unlink(&format!("{allowed}/{host}"))?;
        }
        self.tree.write(&format!("subsystems/{nqn}/attr_allow_any_host"), "0")
    }

    /// Opens the port for the export.
    pub(super) fn link(&self, export: &Export) -> io::Result<()> {
        let _ports = self.lock_ports();
        self.open_port(export.port)?;
        let (port, nqn) = (export.port, &export.nqn);
        self.tree.link(&format!("ports/{port}/subsystems/{nqn}"), &format!("subsystems/{nqn}"))
    }

    /// Closes it: every session ends, what was accepted may still be written.
    pub(super) fn unlink(&self, export: &Export) -> io::Result<()> {
        self.tree.unlink(&format!("ports/{}/subsystems/{}", export.port, export.nqn))
    }

    fn lock_ports(&self) -> MutexGuard<'_, ()> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_port(&self, port: u16) -> io::Result<()> {
        let path = format!("ports/{port}");
        if self.tree.list("ports").contains(&port.to_string()) {
            return Ok(());
        }
        self.tree.make(&path)?;
        let family = if self.address.is_ipv4() { "ipv4" } else { "ipv6" };
        let attributes = [
            ("addr_trtype", "tcp".to_owned()),
            ("addr_adrfam", family.to_owned()),
            ("addr_traddr", self.address.to_string()),
            ("addr_trsvcid", port.to_string()),
        ];
        attributes.iter().try_for_each(|(name, value)| self.tree.write(&format!("{path}/{name}"), value))
    }

    /// Keeps ports open with a subsystem that admits nobody.
    pub(super) fn hold_ports(&self, placeholder: &str, ports: &[u16]) -> io::Result<()> {
        self.tree.make(&format!("subsystems/{placeholder}"))?;
        self.admit_nobody(placeholder)?;
        let _ports = self.lock_ports();
        for &port in ports {
            self.open_port(port)?;
            let link = format!("ports/{port}/subsystems/{placeholder}");
            self.tree.link(&link, &format!("subsystems/{placeholder}"))?;
        }
        Ok(())
    }

    /// Takes the namespace from under live sessions; returns when no I/O is in it.
    pub(super) fn disable(&self, nqn: &str) -> io::Result<()> {
        self.tree.write(&format!("subsystems/{nqn}/namespaces/1/enable"), "0")
    }

    /// Tells connected hosts that the namespace has changed.
    pub(super) fn announce(&self, nqn: &str) -> io::Result<()> {
        self.tree.write(&format!("subsystems/{nqn}/namespaces/1/revalidate_size"), "1")
    }

    /// Takes an export that no host reaches out of the kernel, after its last write.
    pub(super) fn dismantle(&self, served: &Served) -> io::Result<()> {
        self.take_down(&served.export.nqn)?;
        self.loops.detach(&served.device)?;
        self.close_empty_ports()
    }

    /// Takes a subsystem out of the kernel, linked or not.
    pub(super) fn take_down(&self, nqn: &str) -> io::Result<()> {
        for port in self.tree.list("ports") {
            let link = format!("ports/{port}/subsystems");
            if self.tree.list(&link).iter().any(|each| each == nqn) {
                self.tree.unlink(&format!("{link}/{nqn}"))?;
            }
        }
        let subsystem = format!("subsystems/{nqn}");
        if !self.tree.list("subsystems").iter().any(|each| each == nqn) {
            return Ok(());
        }
        if !self.tree.list(&format!("{subsystem}/namespaces")).is_empty() {
            self.disable(nqn)?;
            self.tree.remove(&format!("{subsystem}/namespaces/1"))?;
        }
        for host in self.tree.list(&format!("{subsystem}/allowed_hosts")) {
            self.tree.unlink(&format!("{subsystem}/allowed_hosts/{host}"))?;
        }
        self.tree.remove(&subsystem)
    }

    /// Removes ports that serve nothing, of the form that this plane makes.
    pub(super) fn close_empty_ports(&self) -> io::Result<()> {
        let _ports = self.lock_ports();
        for port in self.tree.list("ports") {
            let service = self.tree.read(&format!("ports/{port}/addr_trsvcid"));
            let ours = service.is_some_and(|service| service.trim() == port);
            if ours && self.tree.list(&format!("ports/{port}/subsystems")).is_empty() {
                self.tree.remove(&format!("ports/{port}"))?;
            }
        }
        Ok(())
    }

    /// Whether a block device is a loop over one of our images.
    pub(super) fn backs(&self, device: &str) -> bool {
        let attached = self.loops.attached().unwrap_or_default();
        attached.iter().any(|(each, file)| each == device && file.starts_with(&self.images))
    }
}
