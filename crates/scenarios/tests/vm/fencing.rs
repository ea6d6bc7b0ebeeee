//! A node that is detached while it still writes.

use std::time::Duration;

use microvm::{Kernel, MIB};
use scenarios::{Made, Node, Shape, System};

use super::pod::{self, Writer};
use super::{REFUSED, on_each_kernel, raw, shared, wait_until};

on_each_kernel!(nothing_of_a_detached_node_lands_after_the_next_one_has_started);

#[test]
fn a_fenced_pods_acknowledged_records_are_kept_and_nothing_of_it_lands_later() {
    fenced_in_both_modes(Kernel::V6_12);
}

#[test]
fn with_fencing_off_a_detached_node_writes_on_after_the_next_one_has_started() {
    unfenced(Kernel::V6_12);
}

fn nothing_of_a_detached_node_lands_after_the_next_one_has_started(kernel: Kernel) {
    let system = shared(kernel);
    let system = system.as_ref().unwrap();
    let (a, b) = (system.node("a"), system.node("b"));
    let made = system.create("fenced", 64 * MIB, &Shape::block()).unwrap();
    let (old, target) = pod::start(system, &made, "a");
    let writer = raw::Writer::start(a, &target, "a", 0);
    a.guest.sh("dmesg -c > /dev/null").unwrap();

    system.csi().detach(&made, "a").unwrap();
    assert_eq!(system.rds.exports().unwrap(), [""; 0], "unpublish closes the export under the writer");
    let (new, target_b) = pod::start(system, &made, "b");
    assert_ne!(old.context["nvme_nqn"], new.context["nvme_nqn"]);
    let first = raw::read(b, &target_b, 0);
    assert!(first.starts_with("a-"), "the last record of a is there: {first:?}");

    is_refused(a);
    assert_eq!(raw::read(b, &target_b, 0), first, "nothing of a landed since b started");

    raw::write(b, &target_b, 0, "b-is-here");
    assert_eq!(raw::read(b, &target_b, 0), "b-is-here");
    drop(writer);
    pod::end(system, &made, "b");
    system.csi().delete(&made.volume.volume_id).unwrap();
    a.reboot().unwrap();
    pod::unmount(a, &made);
}

/// What `off` does not promise (docs/security.md): the export stands for ever, so nothing ends the old node's session.
/// Who may have the volume is still decided by the record.
pub(crate) fn unfenced(kernel: Kernel) {
    let mut system = shared(kernel);
    let system = system.as_mut().unwrap();
    system.replace_controller(&["--fencing", "off"].map(str::to_owned)).unwrap();
    let (a, b) = (system.node("a"), system.node("b"));
    let made = system.create("unfenced", 64 * MIB, &Shape::block()).unwrap();
    let (old, target) = pod::start(system, &made, "a");
    let writer = raw::Writer::start(a, &target, "a", 0);

    system.csi().detach(&made, "a").unwrap();
    let nqn = &old.context["nvme_nqn"];
    assert_eq!(system.rds.exports().unwrap(), [nqn.as_str()], "the export stands under the writer");
    let (new, target_b) = pod::start(system, &made, "b");
    assert_eq!(new.context["nvme_nqn"], *nqn);
    raw::write(b, &target_b, 0, "b-is-here");
    writer.goes_on();
    let read = raw::read(b, &target_b, 0);
    assert!(read.starts_with("a-"), "what b wrote last is gone: {read:?}");
    wait_until(&a.guest, "grep -q live /sys/class/nvme/nvme*/state", Duration::from_secs(60));
    eprintln!("off: b wrote \"b-is-here\" and then read {read:?}; a's controller is live, under {nqn}");
    let refused = system.csi().attach(&made, "a").unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition, "b has it: {refused}");

    writer.end();
    pod::unmount(a, &made);
    pod::end(system, &made, "b");
    system.csi().delete(&made.volume.volume_id).unwrap();
    assert_eq!(system.rds.exports().unwrap(), [""; 0]);
    system.replace_controller(&[]).unwrap();
}

/// How late writes land on the device while node a is fenced.
const LATE: Duration = Duration::from_secs(2);
/// The wait after it was: a device whose writes land later than that is not fenced (attachments.md, "Settle").
const SETTLE: &str = "10s";

/// Node a cannot be told anything, but reaches the device: it writes on. What Kubernetes does of a force-detach is
/// ControllerUnpublish for a node that did not unstage; what it says of it to node a later, the operator says here.
pub(crate) fn fenced_in_both_modes(kernel: Kernel) {
    let mut system = shared(kernel);
    let system = system.as_mut().unwrap();
    for mode in ["generation", "host-nqn"] {
        let arguments = ["--fencing", mode, "--fence-settle", SETTLE];
        system.replace_controller(&arguments.map(str::to_owned)).unwrap();
        fence_a_pod_that_writes(system, mode);
    }
    system.replace_controller(&[]).unwrap();
}

fn fence_a_pod_that_writes(system: &System, mode: &str) {
    let (a, b) = (system.node("a"), system.node("b"));
    let made = system.create(&format!("fenced-{mode}"), 64 * MIB, &Shape::filesystem("ext4")).unwrap();
    let (old, target) = pod::start(system, &made, "a");
    let writer = Writer::start_with_dirty_pages(a, &target, "a");
    hold_its_writes(system, &writer);
    a.guest.sh("dmesg -c > /dev/null").unwrap();

    system.csi().detach(&made, "a").unwrap();
    let new = system.csi().attach(&made, "b").unwrap();
    assert_ne!(old.context["nvme_nqn"], new.context["nvme_nqn"], "{mode}");
    let image = Image::of(system, &made);
    let given_to_b = image.checksum();
    is_refused(a);
    // What was held when b got the volume would have landed by now.
    image.let_time_pass(LATE * 2);
    assert_eq!(image.checksum(), given_to_b, "{mode}: nothing of a landed since b may start");
    system.rds.delay_writes(Duration::ZERO).unwrap();

    pod::mount(b, &made, &new);
    let kept = pod::records(b, &made, "a");
    pod::write(b, &made, "b", 20);
    let acknowledged = writer.kill();
    assert!(kept >= acknowledged, "{mode}: {kept} records are there, {acknowledged} were acknowledged");
    eprintln!("{mode}: a had {acknowledged} records acknowledged, b found {kept}");

    node_a_lets_go(a, &made);
    pod::end(system, &made, "b");
    pod::assert_clean(system, &made);
    let (again, _) = pod::start(system, &made, "a");
    assert!(![&old, &new].iter().any(|other| other.context["nvme_nqn"] == again.context["nvme_nqn"]));
    assert_eq!((pod::records(a, &made, "a"), pod::records(a, &made, "b")), (kept, 20), "{mode}");
    pod::end(system, &made, "a");
    system.csi().delete(&made.volume.volume_id).unwrap();
}

/// From now on the device's writes land late. Each record takes several of them, one after the other, and the next
/// begins where one ends: as soon as a record was late as a whole, a write is always on its way. (The kernel's own
/// count of what is in flight at the device mapper is not asked: a run waited for it two minutes in vain.)
fn hold_its_writes(system: &System, writer: &Writer) {
    system.rds.delay_writes(LATE).unwrap();
    let late = |_| writer.wait_beyond(writer.acknowledged(), Duration::from_secs(120)) >= LATE;
    assert!((0..100).any(late), "a hundred records, and none was late");
}

/// A node that is fenced tries again every 5 s (reconnect_delay) and is refused; on 6.12 its controller is then gone.
pub(crate) fn is_refused(node: &Node) {
    let live = "! grep -q live /sys/class/nvme/*/state 2>/dev/null";
    wait_until(&node.guest, &format!("dmesg | grep -q -e {REFUSED} && {live}"), Duration::from_secs(120));
}

/// Ends what is left of the pod on node a, whose own word that all is over comes from the operator.
pub(crate) fn node_a_lets_go(a: &Node, made: &Made) {
    let (id, before) = (&made.volume.volume_id, a.log().len());
    let word = format!("rds-csi declare-fenced --endpoint unix://{} {id}", a.socket());
    eprintln!("{}", a.guest.sh(&word).unwrap());
    pod::unmount(a, made);
    let log = a.log();
    assert!(log[before..].contains("data that was not written yet may be lost"), "{}", &log[before..]);
    assert_eq!(a.subsystems().unwrap(), [""; 0]);
}

/// The bytes of a volume, as the device has them.
struct Image<'a> {
    system: &'a System,
    path: String,
}

impl<'a> Image<'a> {
    fn of(system: &'a System, made: &Made) -> Self {
        Self { system, path: system.rds.image_of(&made.volume.volume_id).unwrap() }
    }

    /// Past the page cache: exports are written past it, too.
    fn checksum(&self) -> String {
        let read = format!("dd if={} bs=1M iflag=direct 2>/dev/null | md5sum", self.path);
        self.system.rds.guest.sh(&read).unwrap()
    }

    /// By the device's own clock, since its delays go by that.
    fn let_time_pass(&self, time: Duration) {
        self.system.rds.guest.sh(&format!("sleep {}", time.as_secs())).unwrap();
    }
}
