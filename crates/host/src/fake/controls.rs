//! What a test does to a node, and what it looks at.

use std::path::Path;

use super::FakeKernel;
use super::effects::Effects;
use super::node::{Entry, Format, Node, What};
use super::world::Kernel;

/// Every operation that can be failed; those that run in a helper can be hung as well.
const HELPED: [&str; 18] = [
    "connect",
    "rescan",
    "disconnect",
    "read",
    "scan",
    "write",
    "is-free",
    "flush",
    "hold",
    "release",
    "mkfs",
    "grow",
    "sync",
    "check",
    "usage",
    "mount",
    "bind",
    "unmount",
];
const IMMEDIATE: [&str; 8] =
    ["subsystems", "states", "resolve", "mounts", "device_at", "make_dir", "make_file", "remove_empty"];

impl FakeKernel {
    /// Has the next `operation` fail with an errno, before it did anything.
    ///
    /// # Panics
    /// Where there is no such operation.
    pub fn fail_next(&self, operation: &str, errno: i32) {
        assert!(HELPED.contains(&operation) || IMMEDIATE.contains(&operation), "no operation {operation}");
        self.with(|kernel| kernel.node.failures.push((operation.to_owned(), errno)));
    }

    /// Has every `operation` hang before it does anything, until [`FakeKernel::unhang`].
    ///
    /// # Panics
    /// Where there is no such operation in a helper.
    pub fn hang(&self, operation: &str) {
        assert!(HELPED.contains(&operation), "{operation} does not run in a helper");
        self.with(|kernel| kernel.node.hung.insert(operation.to_owned()));
    }

    /// Lets what hangs go on, awaited by somebody or not.
    pub fn unhang(&self, operation: &str) {
        self.with(|kernel| kernel.node.hung.remove(operation));
    }

    /// Cuts the link: I/O waits, and the controllers notice after two missed keep-alives.
    pub fn cut_link(&self) {
        self.with(|kernel| kernel.node.link = false);
    }

    /// Mends the link: controllers reconnect at once.
    pub fn mend_link(&self) {
        self.with(|kernel| kernel.node.link = true);
    }

    /// Kills the driver's container and starts the next one: helpers in D and their effects to come
    /// stay, the other helpers, results not fetched and held descriptors are gone, mounts stay.
    #[must_use]
    pub fn restart_driver(&self) -> Self {
        let effects = Effects::new();
        self.with(|kernel| {
            kernel.node.effects.crash();
            kernel.node.effects = effects.clone();
            kernel.drop_holds();
            kernel.node.helpers.retain(|_, helper| helper.outcome.get().is_none());
        });
        Self { shared: self.shared.clone(), node: self.node, effects }
    }

    /// Pulls the plug and boots: page cache, connections, mounts and helpers are gone; paths stay.
    #[must_use]
    pub fn power_loss(&self) -> Self {
        let effects = Effects::new();
        self.with(|kernel| {
            kernel.node.effects.crash();
            kernel.end_sessions();
            let fresh = Node::new(&kernel.node.name, kernel.node.version);
            let old = std::mem::replace(kernel.node, fresh);
            kernel.node.paths = old.paths;
            kernel.node.formats = old.formats;
            kernel.node.local_drive = old.local_drive;
            kernel.node.first_minor = old.first_minor;
            kernel.node.effects = effects.clone();
        });
        Self { shared: self.shared.clone(), node: self.node, effects }
    }

    /// Device numbers begin at this minor from now on: as after a boot with other devices.
    pub fn renumber_from(&self, minor: u32) {
        self.with(|kernel| kernel.node.first_minor = minor);
    }

    /// Shuts down the file system that is mounted at `target`, as after I/O errors: its device stays, the kernel's log
    /// names it, statfs and mountinfo say nothing (node.md K9).
    ///
    /// # Panics
    /// Where no file system is mounted there.
    pub fn shut_down_filesystem(&self, target: &Path) {
        let shut = self.with(|kernel| kernel.shut_down(target));
        assert!(shut.is_ok(), "no file system is mounted at {}", target.display());
    }

    /// Copies the mount at `target` into a mount namespace that the driver cannot see.
    ///
    /// # Panics
    /// Where no file system is mounted there.
    pub fn copy_to_foreign_namespace(&self, target: &Path) {
        let copied = self.with(|kernel| {
            let minor = kernel.mounted(target).ok();
            let superblock =
                kernel.node.superblocks.iter_mut().find(|superblock| Some(superblock.minor) == minor);
            superblock.map(|superblock| superblock.foreign += 1)
        });
        assert!(copied.is_some(), "no file system is mounted at {}", target.display());
    }

    /// Ends every foreign mount namespace.
    pub fn end_foreign_namespaces(&self) {
        self.with(|kernel| {
            kernel.node.superblocks.iter_mut().for_each(|superblock| superblock.foreign = 0);
        });
    }

    /// Puts something of somebody else's at a path: neither a directory nor an empty file.
    pub fn put_foreign(&self, path: &Path) {
        self.with(|kernel| kernel.node.paths.insert(path.to_owned(), Entry::Foreign));
    }

    /// Whether there is anything at a path of the kubelet's.
    #[must_use]
    pub fn exists(&self, path: &Path) -> bool {
        self.look(|kernel| kernel.node.paths.contains_key(path))
    }

    /// Every mkfs that was asked for on this node.
    #[must_use]
    pub fn formats(&self) -> Vec<Format> {
        self.look(|kernel| kernel.node.formats.clone())
    }

    /// Whether the drive that the node boots from is still connected.
    #[must_use]
    pub fn has_local_drive(&self) -> bool {
        self.look(|kernel| kernel.node.local_drive)
    }

    /// The name that the node was made with.
    #[must_use]
    pub fn name(&self) -> String {
        self.look(|kernel| kernel.node.name.clone())
    }

    /// What is left of volumes on this node, for tests that want nothing: one line each.
    #[must_use]
    pub fn leftovers(&self) -> Vec<String> {
        self.look(|kernel| kernel.leftovers())
    }
}

impl Kernel<'_> {
    fn drop_holds(&mut self) {
        let held: Vec<u32> = std::mem::take(&mut self.node.holds).into_values().collect();
        held.into_iter().for_each(|minor| self.free_head(minor));
    }

    fn end_sessions(&mut self) {
        for controller in &self.node.controllers {
            controller.session.into_iter().for_each(|session| self.target.end_session(session));
        }
    }

    fn leftovers(&self) -> Vec<String> {
        let node = &self.node;
        let mounts = node.mounts.iter().map(|mount| match mount.what {
            What::Filesystem(_) => format!("mount {}", mount.target.display()),
            What::DeviceNode(..) => format!("device node {}", mount.target.display()),
        });
        let controllers =
            node.controllers.iter().map(|controller| format!("controller of {}", controller.nqn));
        let heads = node.heads.iter().map(|head| format!("head {} of {}", head.device(), head.nqn));
        let superblocks =
            node.superblocks.iter().map(|superblock| format!("superblock of minor {}", superblock.minor));
        let holds = node.holds.keys().map(|target| format!("hold for {}", target.display()));
        let helpers =
            node.helpers.iter().map(|((slot, _), helper)| format!("helper {} of {slot}", helper.op.name()));
        mounts.chain(controllers).chain(heads).chain(superblocks).chain(holds).chain(helpers).collect()
    }
}
