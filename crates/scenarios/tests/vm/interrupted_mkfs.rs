//! A driver killed while it makes a file system.

use microvm::{Kernel, MIB};
use scenarios::{Node, Shape};

use super::{on_each_kernel, pod, shared};

on_each_kernel!(a_driver_killed_in_mid_mkfs_stages_the_volume_at_the_next_try);

/// Kills the driver and the tool as soon as the tool runs.
const KILLER: &str =
    "until p=$(pidof mke2fs mkfs.ext4 mkfs.xfs); do :; done; kill -9 $p $(pidof rds-csi); echo killed $p";

fn a_driver_killed_in_mid_mkfs_stages_the_volume_at_the_next_try(kernel: Kernel) {
    let system = shared(kernel);
    let system = system.as_ref().unwrap();
    let node = system.node("a");
    for fs in ["ext4", "xfs"] {
        let made = system.create(fs, 320 * MIB, &Shape::filesystem(fs)).unwrap();
        let attached = system.csi().attach(&made, "a").unwrap();
        let killer = node.guest.spawn(KILLER).unwrap();
        let interrupted = node.mount(&made, &attached);
        assert!(interrupted.is_err(), "{fs}: the driver was killed, so no answer came");
        let killed = killer.wait(std::time::Duration::from_secs(30)).unwrap();
        assert!(killed.stdout_text().starts_with("killed "), "{fs}: {killed:?}");

        node.start_driver().unwrap();
        let target = pod::mount(node, &made, &attached);
        node.guest.sh(&format!("echo {fs} > {target}/file && sync")).unwrap();
        pod::unmount(node, &made);
        pod::mount(node, &made, &attached);
        assert_eq!(
            node.guest.sh(&format!("cat {}/file", Node::target(&made))).unwrap(),
            fs,
            "formatted once, kept since"
        );
        pod::end(system, &made, "a");
        system.csi().delete(&made.volume.volume_id).unwrap();
    }
}
