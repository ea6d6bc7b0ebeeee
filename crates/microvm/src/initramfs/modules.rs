//! Kernel modules: which, what they need, and the indexes by which the guest finds them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::{Node, Tree};
use crate::kernel::Unpacked;
use crate::{Error, Result};

/// Loaded by each guest at boot, in this order: its devices, and both ends of NVMe/TCP.
const AT_BOOT: [&str; 7] =
    ["virtio_pci", "virtio_blk", "virtio_net", "configfs", "nvme_tcp", "nvmet_tcp", "loop"];

/// Loaded by the kernel or by `modprobe` when they are asked for: a guest that does not need them boots
/// seconds earlier (xfs 1.5 s, btrfs 1 s without KVM).
const ON_DEMAND: [&str; 9] =
    ["xfs", "btrfs", "dm_mod", "dm_delay", "dm_flakey", "dm_crypt", "dm_snapshot", "overlay", "veth"];

/// Adds the modules with all they need, their indexes, and the list of those to load at boot: every guest's, and
/// these further ones.
pub(crate) fn add(tree: &mut Tree, kernel: &Unpacked, further: &[String]) -> Result<()> {
    let index = Index::read(kernel)?;
    let at_boot: Vec<&str> = AT_BOOT.into_iter().chain(further.iter().map(String::as_str)).collect();
    let wanted = [&at_boot[..], &ON_DEMAND].concat();
    let files = index.closure(&wanted).map_err(Error::Provision)?;
    let directory = format!("/lib/modules/{}", kernel.release);
    for file in &files {
        let from = kernel.modules.join(file);
        let node = if file.ends_with(".xz") { Node::Unxz { from } } else { Node::Copy { from } };
        tree.insert(&format!("{directory}/{}", plain(file)), node);
    }
    tree.bytes(&format!("{directory}/modules.dep"), 0o644, index.dependencies_of(&files));
    tree.bytes(&format!("{directory}/modules.alias"), 0o644, index.aliases_of(&files));
    let at_boot: Vec<&str> = at_boot.into_iter().filter(|name| !index.builtin.contains(*name)).collect();
    tree.bytes("/etc/microvm/modules", 0o644, at_boot.join(" "));
    Ok(())
}

/// What `depmod` knows of a kernel's modules.
struct Index {
    /// File by module name.
    files: BTreeMap<String, String>,
    /// Files that a file needs, the farthest last.
    needs: BTreeMap<String, Vec<String>>,
    builtin: BTreeSet<String>,
    aliases: String,
}

impl Index {
    fn read(kernel: &Unpacked) -> Result<Self> {
        let read = |name: &str| {
            let path = kernel.modules.join(name);
            fs::read_to_string(&path).map_err(Error::host(path.display().to_string()))
        };
        Ok(Self::parse(&read("modules.dep")?, &read("modules.builtin")?, read("modules.alias")?))
    }

    fn parse(dependencies: &str, builtin: &str, aliases: String) -> Self {
        let needs: BTreeMap<String, Vec<String>> = dependencies
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(file, needed)| (file.to_owned(), needed.split_whitespace().map(str::to_owned).collect()))
            .collect();
        let files = needs.keys().map(|file| (module_name(file), file.clone())).collect();
        Self { files, needs, builtin: builtin.lines().map(module_name).collect(), aliases }
    }

    /// The files of these modules and of all that they need; modules built into the kernel have none.
    fn closure(&self, modules: &[&str]) -> std::result::Result<BTreeSet<String>, String> {
        let mut closure = BTreeSet::new();
        for module in modules.iter().filter(|name| !self.builtin.contains(**name)) {
            let file = self.files.get(*module).ok_or_else(|| format!("the kernel has no module {module}"))?;
            closure.insert(file.clone());
            closure.extend(self.needs[file].iter().cloned());
        }
        Ok(closure)
    }

    fn dependencies_of(&self, files: &BTreeSet<String>) -> String {
        let line = |file: &String| {
            let needs: Vec<&str> = self.needs[file].iter().map(|needed| plain(needed)).collect();
            format!("{}: {}\n", plain(file), needs.join(" "))
        };
        files.iter().map(line).collect()
    }

    fn aliases_of(&self, files: &BTreeSet<String>) -> String {
        let names: BTreeSet<String> = files.iter().map(|file| module_name(file)).collect();
        let ours = |line: &&str| line.rsplit(' ').next().is_some_and(|name| names.contains(name));
        self.aliases.lines().filter(ours).map(|line| format!("{line}\n")).collect()
    }
}

/// The file in the guest, which is not compressed.
fn plain(file: &str) -> &str {
    file.strip_suffix(".xz").unwrap_or(file)
}

/// `kernel/drivers/nvme/host/nvme-tcp.ko.xz` is the module `nvme_tcp`.
fn module_name(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.split(".ko").next().unwrap_or(name).replace('-', "_")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::Index;

    fn index() -> Index {
        let dependencies = "kernel/a/nvme-tcp.ko.xz: kernel/a/nvme-fabrics.ko.xz\n\
                            kernel/a/nvme-fabrics.ko.xz:\nkernel/b/other.ko.xz:\n";
        let aliases = "alias fs-other other\nalias nvme-of nvme_tcp\n";
        Index::parse(dependencies, "kernel/c/virtio_pci.ko\n", aliases.to_owned())
    }

    #[test]
    fn a_module_comes_with_what_it_needs_and_nothing_else() {
        let files = index().closure(&["nvme_tcp", "virtio_pci"]).unwrap();
        assert_eq!(
            index().dependencies_of(&files),
            "kernel/a/nvme-fabrics.ko: \nkernel/a/nvme-tcp.ko: kernel/a/nvme-fabrics.ko\n"
        );
        assert_eq!(index().aliases_of(&files), "alias nvme-of nvme_tcp\n");
    }

    #[test]
    fn a_module_that_is_neither_file_nor_built_in_is_said() {
        assert_eq!(index().closure(&["zfs"]), Err("the kernel has no module zfs".to_owned()));
    }
}
