//! What a guest is made of.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::machine::{Machine, Specification};
use crate::initramfs::{self, Node, Tree};
use crate::lab::Shared;
use crate::lock::lock;
use crate::{Guest, Kernel, Result};

/// Bytes in a mebibyte.
pub const MIB: u64 = 1 << 20;

/// Bytes in a gibibyte.
pub const GIB: u64 = 1 << 30;

/// Enough for a kernel, our tools and one of our binaries with debug information.
const MEMORY_MIB: u32 = 512;

/// A guest to be configured and booted.
#[derive(Debug)]
#[must_use = "a guest is there once it is booted"]
pub struct GuestBuilder {
    lab: Arc<Shared>,
    name: String,
    number: u8,
    kernel: Kernel,
    memory_mib: u32,
    cpus: u8,
    disks: Vec<(String, u64)>,
    binaries: Vec<(PathBuf, String)>,
    files: Tree,
    host_ports: Vec<u16>,
    root: Option<PathBuf>,
    modules: Vec<String>,
}

impl GuestBuilder {
    pub(crate) fn new(lab: Arc<Shared>, name: &str, number: u8) -> Self {
        Self {
            kernel: lab.kernel,
            lab,
            name: name.to_owned(),
            number,
            memory_mib: MEMORY_MIB,
            cpus: 1,
            disks: Vec::new(),
            binaries: Vec::new(),
            files: Tree::default(),
            host_ports: Vec::new(),
            root: None,
            modules: Vec::new(),
        }
    }

    /// Another kernel than the lab's.
    pub fn kernel(mut self, kernel: Kernel) -> Self {
        self.kernel = kernel;
        self
    }

    /// Its memory in MiB (512 if not said). Its files are in memory too, and may take half of it.
    pub fn memory_mib(mut self, memory_mib: u32) -> Self {
        self.memory_mib = memory_mib;
        self
    }

    /// The number of its processors (1 if not said: emulation leaves little to share).
    pub fn cpus(mut self, cpus: u8) -> Self {
        self.cpus = cpus;
        self
    }

    /// An empty disk of this many bytes, sparse on the host, kept over [`Guest::kill`] and
    /// [`Guest::boot_again`]. The first is `/dev/vda`, the second `/dev/vdb`; the name is its serial number.
    pub fn disk(mut self, name: &str, bytes: u64) -> Self {
        self.disks.push((name.to_owned(), bytes));
        self
    }

    /// A program of the host with its shared libraries, at an absolute path in the guest.
    pub fn binary(mut self, from: impl AsRef<Path>, to: &str) -> Self {
        self.binaries.push((from.as_ref().to_owned(), to.to_owned()));
        self
    }

    /// A file with this content and mode, at an absolute path in the guest.
    pub fn file(mut self, path: &str, mode: u32, content: impl Into<Vec<u8>>) -> Self {
        self.files.bytes(path, mode, content);
        self
    }

    /// Lets the guest reach this TCP port of the host's loopback, at [`HOST`](crate::HOST) and the same port.
    pub fn host_port(mut self, port: u16) -> Self {
        self.host_ports.push(port);
        self
    }

    /// A root file system: an image of ext4 on the host, which the guest changes for itself alone. What it flushed is
    /// kept over [`Guest::kill`] and [`Guest::boot_again`]; what it did not, as on any disk, may be lost. Binaries and files that were asked for are copied into it at each boot. Without one the root is
    /// in memory, from busybox and the tools of the file systems.
    pub fn root(mut self, image: impl Into<PathBuf>) -> Self {
        self.root = Some(image.into());
        self
    }

    /// A further module of the kernel, loaded at boot.
    pub fn module(mut self, name: &str) -> Self {
        self.modules.push(name.to_owned());
        self
    }

    /// Boots the guest and waits until it takes commands.
    ///
    /// # Errors
    /// [`Error::Boot`](crate::Error::Boot) with the end of the console; the host's errors.
    pub fn boot(self) -> Result<Guest> {
        let kernel = self.lab.cache.kernel(self.kernel)?;
        let base = initramfs::base(&self.lab.cache, &kernel)?;
        let mut additions = self.files;
        for (from, to) in &self.binaries {
            initramfs::add_libraries(&mut additions, &[from])?;
            additions.insert(to, Node::Copy { from: from.clone() });
        }
        if self.root.is_some() {
            let paths: String = additions.paths().iter().map(|path| format!("{path}\n")).collect();
            additions.bytes("/etc/microvm/additions", 0o644, paths);
        }
        initramfs::add_modules(&mut additions, &kernel, &self.modules)?;
        let initramfs = {
            let _writing = lock(&self.lab.writing);
            initramfs::complete(&base, &additions, self.lab.directory.path())?
        };
        let specification = Specification {
            name: self.name,
            number: self.number,
            memory_mib: self.memory_mib,
            cpus: self.cpus,
            image: kernel.image,
            initramfs,
            disks: self.disks,
            host_ports: self.host_ports,
            root: self.root,
        };
        let machine = Arc::new(Machine::new(self.lab, specification)?);
        let guest = Guest { machine };
        guest.machine.start()?;
        Ok(guest)
    }
}
