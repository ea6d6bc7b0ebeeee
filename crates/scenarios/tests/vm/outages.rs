//! The device out of reach, or rebooted, under a pod that writes.

use std::time::Duration;

use microvm::{Kernel, MIB};
use scenarios::{Attached, Made, Node, Shape, System, http};

use super::hangs::METRICS;
use super::pod::{self, Writer};
use super::{BACKING_FILES, shared, wait_until};

/// A reconnect takes up to 5 s after the device's return, an fsync some more; a busy machine gets many times that.
const RETURN: Duration = Duration::from_secs(120);
/// The device listens for so long before its exports are there: four tries of a node (reconnect_delay).
const IMPORT: Duration = Duration::from_secs(30);
/// What a node's kernel says of a device that turns it away, and of no link that is cut.
const TURNED_AWAY: &str = "'Connect.*Invalid' -e 'Removing ctrl'";

/// By default on the kernel that most nodes have.
#[test]
fn a_write_is_held_while_the_device_is_out_of_reach_for_30_s() {
    out_of_reach(Kernel::V6_12, &[30]);
}

/// 6.12 drops its controllers at the first refusal, 6.1 never does (node.md K2).
#[test]
fn a_volume_is_served_again_after_a_reboot_of_a_device_that_listens_first() {
    rebooted(Kernel::V6_12);
}

/// A pod writes with fsync over outages of so many seconds: it is held, not failed, and goes on by itself.
pub(crate) fn out_of_reach(kernel: Kernel, outages: &[u64]) {
    let system = shared(kernel);
    let system = system.as_ref().unwrap();
    let node = system.node("a");
    let made = system.create("held", 64 * MIB, &Shape::filesystem("ext4")).unwrap();
    let (_, target) = pod::start(system, &made, "a");
    let mounted = mounts(node);
    let writer = Writer::start(node, &target, "a");
    for seconds in outages {
        let link = system.rds.guest.link();
        let said_before = node.log().len();
        link.cut();
        // By the guest's own clock: its kernel counts keep-alives by that.
        node.guest.command(&format!("sleep {seconds}")).deadline(RETURN * 2).run().unwrap();
        let (before, times) = (writer.acknowledged(), usize::from(*seconds >= LASTING));
        assert_eq!(down(node), times, "the gauge of what is tried again");
        link.restore();
        let took = writer.wait_beyond(before + 10, RETURN);
        if times > 0 {
            wait_until_said(node, said_before, &[RECOVERED]);
        }
        let said = said(node, said_before);
        eprintln!("out of reach for {seconds} s: ten records {took:.1?} after the return; said: {said:?}");
        assert_eq!(said, [(LOST, times), (RECOVERED, times), (GIVEN_UP, 0)]);
        assert_eq!(down(node), 0);
    }
    assert_eq!(mounts(node), mounted, "nothing was mounted anew");
    let acknowledged = writer.kill();
    wait_until(&node.guest, "! pidof recorder", RETURN);
    assert!(pod::records(node, &made, "a") >= acknowledged, "{acknowledged} records");
    pod::end(system, &made, "a");
    pod::assert_clean(system, &made);
    system.csi().delete(&made.volume.volume_id).unwrap();
}

/// How many connections the node's metrics have as down.
fn down(node: &Node) -> usize {
    let metrics = node.guest.sh(&format!("{METRICS} | grep '^rds_csi_nvme_connections_down '")).unwrap();
    metrics.rsplit(' ').next().unwrap().trim().parse().unwrap()
}

/// The device loses power under a pod that writes, and answers before it knows its exports.
pub(crate) fn rebooted(kernel: Kernel) {
    let system = shared(kernel);
    let system = system.as_ref().unwrap();
    let node = system.node("a");
    let made = system.create("rebooted", 64 * MIB, &Shape::filesystem("ext4")).unwrap();
    let (attached, target) = pod::start(system, &made, "a");
    let writer = Writer::start(node, &target, "a");
    node.guest.sh("dmesg -c > /dev/null").unwrap();

    let said_before = node.log().len();
    reboot_listening_first(system, node);
    let acknowledged = if kernel == Kernel::V6_12 {
        // Where its loss was said, it is not said again that the kernel gave it up; what it left is.
        wait_until_said(node, said_before, &[GIVEN_UP, "Stale mount detected"]);
        let [(_, lost), _, (_, given_up)] = said(node, said_before);
        assert!(lost + given_up > 0, "{}", &node.log()[said_before..]);
        wait_until(&node.guest, "! pidof recorder", RETURN);
        assert_eq!(controllers(node), "", "the kernel removed the controller");
        writer.kill()
    } else {
        let before = writer.acknowledged();
        eprintln!("ten records {:.1?} after the exports' return", writer.wait_beyond(before + 10, RETURN));
        writer.kill()
    };
    wait_until(&node.guest, "! pidof recorder", RETURN);
    served_again(system, &made, &attached, acknowledged);
    system.csi().delete(&made.volume.volume_id).unwrap();
}

/// Cuts the device's power and boots it; answers when its exports are back and the node has been refused before.
fn reboot_listening_first(system: &System, node: &Node) {
    let (rds, link) = (&system.rds, system.rds.guest.link());
    rds.cut_power().unwrap();
    link.cut();
    rds.boot_again().unwrap();
    let assume = r#"{"boot":"listens-first"}"#;
    http::request(rds.control(), "POST", "/assumptions", assume).unwrap();
    let reboot = format!(r#"{{"exports-millis":{}}}"#, IMPORT.as_millis());
    std::thread::scope(|scope| {
        let reboot = scope.spawn(|| http::request(rds.control(), "POST", "/reboot", &reboot));
        let no_exports =
            format!("test -z \"$({BACKING_FILES})\" && test -e /sys/kernel/config/nvmet/ports/4420");
        wait_until(&rds.guest, &no_exports, RETURN);
        link.restore();
        wait_until(&node.guest, &format!("dmesg | grep -q -e {TURNED_AWAY}"), RETURN);
        reboot.join().unwrap().unwrap();
    });
}

/// The pod is gone; the next one on the node has the volume without anybody's hand, with every record.
fn served_again(system: &System, made: &Made, attached: &Attached, acknowledged: u64) {
    let node = system.node("a");
    pod::unmount(node, made);
    assert_eq!(system.csi().attach(made, "a").unwrap(), *attached, "it is still attached");
    pod::mount(node, made, attached);
    let kept = pod::records(node, made, "a");
    eprintln!("{acknowledged} records were acknowledged, {kept} are there");
    assert!(kept >= acknowledged);
    pod::write(node, made, "a", kept + 10);
    pod::end(system, made, "a");
    pod::assert_clean(system, made);
}

/// What is said of an outage on the claim, where one is known, and in the log: that it began, that it ended, or that the kernel
/// gave up.
const LOST: &str = "failed: it was lost";
const RECOVERED: &str = "recovered after";
const GIVEN_UP: &str = "failed: the kernel gave it up";
/// Seconds after which an outage is said: keep-alive tells it within 10 s, and 10 s are waited for its end.
const LASTING: u64 = 25;

/// How often each of them was said.
fn said(node: &Node, since: usize) -> [(&'static str, usize); 3] {
    let log = node.log();
    [LOST, RECOVERED, GIVEN_UP].map(|word| (word, log[since..].matches(word).count()))
}

fn wait_until_said(node: &Node, since: usize, words: &[&str]) {
    let is_said = || words.iter().any(|word| node.log()[since..].contains(word));
    let waited = testbed::wait_until(&words.join(" or "), RETURN, || Ok(is_said().then_some(())));
    waited.unwrap_or_else(|error| panic!("{error}: {}", &node.log()[since..]));
}

/// Mounts of volumes, with their ids: a mount made anew has another.
fn mounts(node: &Node) -> String {
    node.guest.sh("grep nvme /proc/self/mountinfo").unwrap()
}

fn controllers(node: &Node) -> String {
    node.guest.sh("cat /sys/class/nvme/nvme*/state 2>/dev/null; true").unwrap()
}
