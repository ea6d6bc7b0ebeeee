//! What every guest has.

use std::path::Path;

use super::{Node, Tree, add_libraries, modules};
use crate::kernel::Unpacked;
use crate::{Result, process};

/// The agent, built by `build.rs`.
const AGENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/agent"));

/// The guest's first process.
const INIT: &str = include_str!("../agent/init.sh");

/// What it becomes, once the root file system is the one that stays.
const START: &str = include_str!("../agent/start.sh");

/// Programs of the host's that busybox does not have, or has in another manner than a node of a cluster.
const PROGRAMS: [&str; 17] = [
    "/bin/dash",
    "/sbin/mke2fs",
    "/sbin/e2fsck",
    "/sbin/resize2fs",
    "/sbin/tune2fs",
    "/sbin/dumpe2fs",
    "/sbin/mkfs.xfs",
    "/sbin/xfs_repair",
    "/sbin/xfs_db",
    "/usr/sbin/xfs_growfs",
    "/usr/sbin/xfs_io",
    "/sbin/losetup",
    "/sbin/dmsetup",
    "/sbin/blockdev",
    "/sbin/fsfreeze",
    "/bin/mount",
    "/bin/umount",
];

/// Directories that something is mounted on, or that programs expect.
const DIRECTORIES: [&str; 8] = ["/proc", "/sys", "/dev", "/run", "/tmp", "/mnt", "/root", "/var/lib"];

/// The tree of the base.
pub(crate) fn tree(kernel: &Unpacked) -> Result<Tree> {
    let mut tree = Tree::default();
    for directory in DIRECTORIES {
        tree.insert(directory, Node::Directory);
    }
    tree.bytes("/init", 0o755, INIT);
    tree.bytes("/sbin/microvm-start", 0o755, START);
    tree.bytes("/sbin/microvm-agent", 0o755, AGENT);
    tree.bytes("/etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\n");
    tree.bytes("/etc/group", 0o644, "root:x:0:\n");
    tree.insert("/etc/mtab", Node::Symlink { target: "/proc/self/mounts".into() });
    add_programs(&mut tree)?;
    add_busybox(&mut tree)?;
    modules::add(&mut tree, kernel, &[])?;
    Ok(tree)
}

fn add_programs(tree: &mut Tree) -> Result<()> {
    add_libraries(tree, &PROGRAMS.map(Path::new))?;
    for program in PROGRAMS {
        tree.insert(program, Node::Copy { from: program.into() });
    }
    // Debian's own shell: busybox's prefers its applets to the programs of the same name.
    tree.insert("/bin/sh", Node::Symlink { target: "dash".into() });
    tree.insert("/etc/mke2fs.conf", Node::Copy { from: "/etc/mke2fs.conf".into() });
    for name in ["/sbin/mkfs.ext4", "/sbin/mkfs.ext3", "/sbin/mkfs.ext2"] {
        tree.insert(name, Node::Symlink { target: "mke2fs".into() });
    }
    tree.insert("/sbin/fsck.ext4", Node::Symlink { target: "e2fsck".into() });
    Ok(())
}

/// Busybox under each name that no other program has.
fn add_busybox(tree: &mut Tree) -> Result<()> {
    tree.insert("/bin/busybox", Node::Copy { from: "/bin/busybox".into() });
    for applet in process::text("/bin/busybox", &["--list-full"])?.lines() {
        let name = applet.rsplit('/').next().unwrap_or(applet);
        if !tree.has_program(name) {
            tree.insert(&format!("/{applet}"), Node::Symlink { target: "/bin/busybox".into() });
        }
    }
    Ok(())
}
