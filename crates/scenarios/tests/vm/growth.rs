//! Growth under a running pod, and what a reboot makes of it.

use std::time::Duration;

use microvm::{Kernel, MIB};
use scenarios::{Node, Shape};

use super::{on_each_kernel, pod, shared, wait_until};

/// The driver has them loaded when it starts.
const MODULES: Duration = Duration::from_secs(60);

on_each_kernel!(a_volume_grows_while_mounted_and_is_whole_after_the_nodes_reboot);

fn a_volume_grows_while_mounted_and_is_whole_after_the_nodes_reboot(kernel: Kernel) {
    let system = shared(kernel);
    let system = system.as_ref().unwrap();
    let node = system.node("a");
    for fs in ["ext4", "xfs"] {
        let made = system.create(fs, 320 * MIB, &Shape::filesystem(fs)).unwrap();
        let (attached, target) = pod::start(system, &made, "a");
        node.guest
            .sh(&format!("dd if=/dev/urandom of={target}/data bs=1M count=8 conv=fsync 2>/dev/null"))
            .unwrap();
        let written = node.guest.sh(&format!("sha256sum < {target}/data")).unwrap();

        let bytes = system.csi().grow(&made, i64::try_from(640 * MIB).unwrap()).unwrap();
        assert_eq!(bytes, i64::try_from(640 * MIB).unwrap());
        node.csi.grow_on_node(&made, &Node::staging(&made), &target, bytes).unwrap();
        let grown = node.csi.stats(&made, &Node::staging(&made), &target).unwrap().usage[0].total;
        assert!(grown > 500 * 1024 * 1024, "{fs}: {grown} bytes after growing to 640 MiB");

        node.reboot().unwrap();
        assert_eq!(
            system.csi().attach(&made, "a").unwrap().context["nvme_nqn"],
            attached.context["nvme_nqn"]
        );
        pod::mount(node, &made, &attached);
        // Whichever is mounted first: a module that is loaded later waits for every volume that hangs.
        wait_until(&node.guest, "grep -qw ext4 /proc/filesystems && grep -qw xfs /proc/filesystems", MODULES);
        assert_eq!(node.guest.sh(&format!("sha256sum < {target}/data")).unwrap(), written, "{fs}");
        let after = node.csi.stats(&made, &Node::staging(&made), &target).unwrap().usage[0].total;
        assert_eq!(after, grown, "{fs}: as large as before the reboot");
        pod::end(system, &made, "a");
        system.csi().delete(&made.volume.volume_id).unwrap();
    }
}
