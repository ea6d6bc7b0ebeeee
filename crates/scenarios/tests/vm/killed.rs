//! The controller killed between two of its writes to the device: the CO's retry finds what was done and does the rest.

use microvm::{Kernel, MIB};
use scenarios::{Shape, System};

use super::fencing::{is_refused, node_a_lets_go};
use super::moment::{Held, Moment};
use super::pod::{self, Writer};
use super::shared;

#[test]
fn a_controller_killed_between_the_end_of_an_export_and_the_next_hands_the_volume_over() {
    handed_over(Kernel::V6_12);
}

/// By default on one kernel: the nodes have nothing to do with it.
#[test]
fn a_controller_killed_in_a_deletion_leaves_no_row_no_file_and_no_export() {
    deleted(Kernel::V6_12);
}

/// A row is written by this; the end of an attachment and the next one are one such request each.
const ROW: (&str, &str) = ("PATCH", "/rest/disk/");

/// From a pod that writes on node a to node b, as after a force-detach, and back, as after an orderly end.
pub(crate) fn handed_over(kernel: Kernel) {
    let (before, after) = (Moment::before(ROW.0, ROW.1), Moment::after(ROW.0, ROW.1));
    let system = shared(kernel);
    let system = system.as_ref().unwrap();
    let (csi, a, b) = (system.csi(), system.node("a"), system.node("b"));
    let made = system.create("handed-over", 64 * MIB, &Shape::filesystem("ext4")).unwrap();
    let (old, target) = pod::start(system, &made, "a");
    let writer = Writer::start_with_dirty_pages(a, &target, "a");
    a.guest.sh("dmesg -c > /dev/null").unwrap();

    after.kill(system, &made, || csi.detach(&made, "a"), Held::is_closed);
    csi.detach(&made, "a").unwrap();
    is_refused(a);
    before.kill(system, &made, || csi.attach(&made, "b"), Held::is_closed);
    let late = Held::of(&system.rds, &made);
    assert!(late.is_open_to("b"), "what the dead one sent came in force: {late}");
    let new = csi.attach(&made, "b").unwrap();
    assert_eq!(late.exports, [new.context["nvme_nqn"].as_str()], "and is what b gets");
    assert_ne!(new.context["nvme_nqn"], old.context["nvme_nqn"]);
    pod::mount(b, &made, &new);
    let kept = pod::records(b, &made, "a");
    pod::write(b, &made, "b", 20);
    let acknowledged = writer.kill();
    eprintln!("a had {acknowledged} records acknowledged, b found {kept}");
    assert!(kept >= acknowledged);
    node_a_lets_go(a, &made);

    pod::unmount(b, &made);
    before.kill(system, &made, || csi.detach(&made, "b"), |held| held.is_open_to("b"));
    assert!(Held::of(&system.rds, &made).is_closed(), "what the dead one sent came in force");
    csi.detach(&made, "b").unwrap();
    let opened = after.kill(system, &made, || csi.attach(&made, "a"), |held| held.is_open_to("a"));
    let back = csi.attach(&made, "a").unwrap();
    assert_eq!(opened.exports, [back.context["nvme_nqn"].as_str()], "the one that nobody was told of");
    pod::mount(a, &made, &back);
    assert_eq!((pod::records(a, &made, "a"), pod::records(a, &made, "b")), (kept, 20));
    pod::end(system, &made, "a");
    pod::assert_clean(system, &made);
    csi.delete(&made.volume.volume_id).unwrap();
    assert!(Held::of(&system.rds, &made).is_nothing());
}

/// One volume for each moment between the removal of its disk and the answer that all is gone.
pub(crate) fn deleted(kernel: Kernel) {
    let system = shared(kernel);
    let system = system.as_ref().unwrap();
    let neighbour = system.create("neighbour", 64 * MIB, &Shape::block()).unwrap();
    let without_row = |held: &Held| held.row.is_none() && !held.files.is_empty();
    killed_in_deletion(system, Moment::before("DELETE", "/rest/disk/"), |held| held.is_closed());
    killed_in_deletion(system, Moment::after("DELETE", "/rest/disk/"), without_row);
    killed_in_deletion(system, Moment::before("DELETE", "/rest/file/"), without_row);
    killed_in_deletion(system, Moment::after("DELETE", "/rest/file/"), Held::is_nothing);
    assert!(!Held::of(&system.rds, &neighbour).is_nothing(), "and nothing of another volume");
    system.csi().delete(&neighbour.volume.volume_id).unwrap();
    assert!(Held::of(&system.rds, &neighbour).is_nothing());
}

/// The volume was attached before, so that the device's kernel had it.
fn killed_in_deletion(system: &System, moment: Moment, is_so: impl Fn(&Held) -> bool) {
    let (csi, node) = (system.csi(), system.node("a"));
    let made = system.create("deleted", 64 * MIB, &Shape::block()).unwrap();
    let attached = csi.attach(&made, "a").unwrap();
    let target = pod::mount(node, &made, &attached);
    node.guest.sh(&format!("echo data | dd of={target} conv=notrunc,fsync 2>/dev/null")).unwrap();
    pod::end(system, &made, "a");
    let id = &made.volume.volume_id;
    moment.kill(system, &made, || csi.delete(id), is_so);
    csi.delete(id).unwrap();
    let left = Held::of(&system.rds, &made);
    assert!(left.is_nothing(), "{left}");
}
