//! Devices that come back under another number, and numbers that another volume gets: a volume is found by its NQN only
//! (node.md rule 1).

use std::time::Duration;

use microvm::{Background, Kernel, MIB};
use scenarios::{Attached, Made, Node, Shape, System};

use super::pod::{self, Writer};
use super::{shared, wait_until};

/// The shortest that serves the purpose: so long after the loss of its path the kernel removes a controller.
const CTRL_LOSS_TMO: &str = "5";
/// Two keep-alives of 5 s, and that; a busy machine gets many times it.
const GIVEN_UP: Duration = Duration::from_secs(300);

/// By default on the kernel that most nodes have.
#[test]
fn an_outage_longer_than_ctrl_loss_tmo_is_an_error_and_the_volume_is_served_again_under_another_number() {
    given_up(Kernel::V6_12, &[End::Outage]);
}

#[test]
fn a_raw_block_volume_whose_number_another_one_got_is_never_served_from_it() {
    taken_over(Kernel::V6_12);
}

/// How a volume's controller ends under a pod.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// The path is lost for longer than `ctrl_loss_tmo`.
    Outage,
    /// Somebody deletes it, as `nvme disconnect` does.
    Delete,
}

/// The kernel gives a volume up under a pod that writes, and somebody holds the old device.
pub(crate) fn given_up(kernel: Kernel, ends: &[End]) {
    let system = shared(kernel);
    let system = system.as_ref().unwrap();
    for end in ends {
        ends_under_a_pod(system, *end);
    }
}

fn ends_under_a_pod(system: &System, end: End) {
    let node = system.node("a");
    let (made, attached) = attach(system, "given-up", &Shape::filesystem("ext4"));
    let target = pod::mount(node, &made, &attached);
    let old = pod::mounted_number(node, &target);
    let writer = Writer::start_with_dirty_pages(node, &target, "a");
    let holder = hold_the_device(node);
    match end {
        End::Outage => wait_until_given_up(system, node),
        End::Delete => drop(
            node.guest.sh("for c in /sys/class/nvme/nvme*; do echo 1 > $c/delete_controller; done").unwrap(),
        ),
    }
    wait_until(&node.guest, "! pidof recorder", GIVEN_UP);
    let acknowledged = writer.kill();

    let stats = node.csi.stats(&made, &Node::staging(&made), &target).unwrap();
    let condition = stats.volume_condition.unwrap();
    assert!(condition.abnormal, "{condition:?}");
    eprintln!("{end:?}: {}", condition.message);
    let before = node.log().len();
    pod::unmount(node, &made);
    assert!(node.log()[before..].contains("data that was not written yet may be lost"), "its loss is said");

    let target = pod::mount(node, &made, &attached);
    let new = pod::mounted_number(node, &target);
    assert_ne!(new, old, "the old one is held");
    let kept = pod::records(node, &made, "a");
    assert!(kept >= acknowledged, "{kept} records are there, {acknowledged} were acknowledged");
    pod::write(node, &made, "a", kept + 10);
    grows_and_is_well(system, &made, &target);
    eprintln!("device {old} became {new}: {acknowledged} records were acknowledged, {kept} are there");

    holder.kill().unwrap();
    pod::end(system, &made, "a");
    pod::assert_clean(system, &made);
    system.csi().delete(&made.volume.volume_id).unwrap();
}

fn grows_and_is_well(system: &System, made: &Made, target: &str) {
    let (node, staging) = (system.node("a"), Node::staging(made));
    let stats = || node.csi.stats(made, &staging, target).unwrap();
    let before = stats().usage[0].total;
    let bytes = system.csi().grow(made, i64::try_from(2 * SIZE).unwrap()).unwrap();
    node.csi.grow_on_node(made, &staging, target, bytes).unwrap();
    let after = stats();
    assert!(after.usage[0].total > before, "it grew: {after:?}");
    assert!(!after.volume_condition.as_ref().unwrap().abnormal, "{after:?}");
}

/// The kernel gives a raw block volume up, nobody holds its number any more, and the next volume gets it.
pub(crate) fn taken_over(kernel: Kernel) {
    let system = shared(kernel);
    let system = system.as_ref().unwrap();
    let node = system.node("a");
    let (first, attached) = attach(system, "first", &Shape::block());
    let target = pod::mount(node, &first, &attached);
    mark(node, &target, "of-the-first");
    let number = bound_number(node, &target);
    wait_until_given_up(system, node);
    node.guest.sh(KILL_HOLDERS).unwrap();

    let (second, attached_second) = attach(system, "second", &Shape::block());
    let target_second = pod::mount(node, &second, &attached_second);
    assert_eq!(bound_number(node, &target_second), number, "the premise: the second got the first's number");
    mark(node, &target_second, "of-the-second");

    let staging = Node::staging(&first);
    let before = node.log().len();
    pod::retried("published", || Ok(node.csi.publish(&first, &attached, &staging, &target)?));
    eprintln!("a publish of the first: {}", &node.log()[before..]);
    assert_ne!(bound_number(node, &target), number);
    assert_eq!(marked(node, &target), "of-the-first");
    assert_eq!(marked(node, &target_second), "of-the-second");
    for made in [&first, &second] {
        pod::end(system, made, "a");
        system.csi().delete(&made.volume.volume_id).unwrap();
    }
}

const SIZE: u64 = 64 * MIB;

/// A volume of a StorageClass with a short `ctrlLossTmo`.
fn attach(system: &System, name: &str, shape: &Shape) -> (Made, Attached) {
    let mut made = system.create(name, SIZE, shape).unwrap();
    made.volume.volume_context.insert("ctrlLossTmo".into(), CTRL_LOSS_TMO.into());
    let attached = system.csi().attach(&made, "a").unwrap();
    (made, attached)
}

/// Cuts the path until no controller is left.
fn wait_until_given_up(system: &System, node: &Node) {
    let link = system.rds.guest.link();
    link.cut();
    wait_until(&node.guest, "! ls /sys/class/nvme/nvme* 2>/dev/null", GIVEN_UP);
    link.restore();
}

/// Somebody else's open descriptor of the node's one NVMe device.
fn hold_the_device(node: &Node) -> Background {
    let holder = node.guest.spawn("exec 3< $(ls /dev/nvme*n1); echo held; exec sleep 3600").unwrap();
    holder.wait_for_stdout("held", GIVEN_UP).unwrap();
    holder
}

/// Holders are helpers: what is known of them is that their arguments say so.
const KILL_HOLDERS: &str = "for p in $(pidof rds-csi); do if grep -q hold /proc/$p/cmdline; then kill -9 $p; echo $p; fi; done | grep .";

fn bound_number(node: &Node, target: &str) -> String {
    node.guest.sh(&format!("stat -c %t:%T {target}")).unwrap()
}

fn mark(node: &Node, target: &str, word: &str) {
    let write = "dd bs=4096 count=1 conv=sync oflag=direct";
    node.guest.sh(&format!("printf %s {word} | {write} of={target} 2>/dev/null")).unwrap();
}

fn marked(node: &Node, target: &str) -> String {
    node.guest
        .sh(&format!("dd if={target} bs=4096 count=1 iflag=direct 2>/dev/null | tr -d '\\000'"))
        .unwrap()
}
