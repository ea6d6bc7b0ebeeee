//! A node that loses power, and a driver that is killed, in mid-work.

use std::time::Duration;

use microvm::{Kernel, MIB};
use scenarios::{DRIVER_PID, Made, Node, Shape};

use super::pod::{self, Writer};
use super::shared;

pub(crate) fn powerless_in_mid_write(kernel: Kernel) {
    let system = shared(kernel);
    let system = system.as_ref().unwrap();
    let node = system.node("a");
    let made = system.create("powerless", 64 * MIB, &Shape::filesystem("ext4")).unwrap();
    let (attached, target) = pod::start(system, &made, "a");
    let writer = Writer::start_with_dirty_pages(node, &target, "a");
    node.reboot().unwrap();
    let acknowledged = writer.acknowledged();

    assert_eq!(system.csi().attach(&made, "a").unwrap(), attached, "its attachment is as it was");
    pod::mount(node, &made, &attached);
    node.guest.sh("dmesg | grep 'EXT4-fs.*recovery complete'").unwrap();
    let kept = pod::records(node, &made, "a");
    eprintln!("{acknowledged} records were acknowledged, {kept} are there after the journal's replay");
    assert!(kept >= acknowledged);
    pod::write(node, &made, "a", kept + 10);
    pod::end(system, &made, "a");
    pod::assert_clean(system, &made);
    system.csi().delete(&made.volume.volume_id).unwrap();
}

/// From the start of a call to after its end, in steps: a call takes up to a second in a guest.
const MOMENTS: [u64; 8] = [0, 30, 60, 120, 200, 300, 500, 800];

/// The size of the volume in that round: well more than in the one before.
fn grown(round: usize) -> i64 {
    let mib = 64 * (round as u64 + 2);
    i64::try_from(mib * MIB).unwrap()
}

/// Kills the driver at moments of each call of a volume's life: the retry finds what was done and does the rest.
pub(crate) fn killed_at_moments_of_every_call(kernel: Kernel) {
    let system = shared(kernel);
    let system = system.as_ref().unwrap();
    let node = system.node("a");
    let made = system.create("killed", 64 * MIB, &Shape::filesystem("ext4")).unwrap();
    let (attached, _) = pod::start(system, &made, "a");
    pod::unmount(node, &made);
    let (staging, target) = (Node::staging(&made), Node::target(&made));
    for (round, moment) in MOMENTS.into_iter().enumerate() {
        let after = Duration::from_millis(moment);
        killed(node, after, round, || drop(node.csi.stage(&made, &attached, &staging)));
        pod::mount(node, &made, &attached);
        node.csi.unpublish(&made, &target).unwrap();
        killed(node, after, round, || drop(node.csi.publish(&made, &attached, &staging, &target)));
        pod::mount(node, &made, &attached);
        let bytes = system.csi().grow(&made, grown(round)).unwrap();
        killed(node, after, round, || drop(node.csi.grow_on_node(&made, &staging, &target, bytes)));
        pod::retried("grown", || Ok(node.csi.grow_on_node(&made, &staging, &target, bytes)?));
        let total = node.csi.stats(&made, &staging, &target).unwrap().usage[0].total;
        assert!(total > bytes * 3 / 4, "{total} bytes of {bytes} after {after:?}");
        node.guest.sh(&format!("echo {round} > {target}/round")).unwrap();
        killed(node, after, round, || drop(node.csi.unpublish(&made, &target)));
        node.csi.unpublish(&made, &target).unwrap();
        killed(node, after, round, || drop(node.csi.unstage(&made, &staging)));
        pod::unmount(node, &made);
        assert_eq!(node.subsystems().unwrap(), [""; 0], "nothing is left after {after:?}");
        assert_kept(node, &made, &attached, round);
        eprintln!("killed after {after:?} of each call: converged, kept, nothing left");
    }
    system.csi().detach(&made, "a").unwrap();
    system.csi().delete(&made.volume.volume_id).unwrap();
}

/// Nobody synced it: each unstage did, or its retry.
fn assert_kept(node: &Node, made: &Made, attached: &scenarios::Attached, round: usize) {
    let target = pod::mount(node, made, attached);
    assert_eq!(node.guest.sh(&format!("cat {target}/round")).unwrap(), round.to_string());
    pod::unmount(node, made);
}

/// SIGKILL so long after a call has begun: to the driver, and every second time to its helpers as well, as when its
/// container ends.
fn killed(node: &Node, after: Duration, round: usize, call: impl FnOnce()) {
    let whom = if round.is_multiple_of(2) { DRIVER_PID } else { "pidof rds-csi" };
    let kill = format!("echo ready; sleep {}; kill -9 $({whom})", after.as_secs_f64());
    let killer = node.guest.spawn(&kill).unwrap();
    killer.wait_for_stdout("ready\n", Duration::from_secs(60)).unwrap();
    call();
    assert!(killer.wait(Duration::from_secs(60)).unwrap().success());
    node.start_driver().unwrap();
}
