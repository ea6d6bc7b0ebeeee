//! A file system that dies while its device stays (node.md K9): nothing that is merely looked at shows it.

use std::time::Duration;

use csi_grpc::v1::VolumeCondition;
use microvm::{Kernel, MIB};
use scenarios::{Attached, Made, Node, Shape, System};
use tonic::Code;

use super::backing::Backing;
use super::pod::{self, Writer};
use super::{shared, wait_until};

/// The kernel's log is read every second, and a file system is asked at most every 30 s; a busy machine gets many times that.
const FOUND: Duration = Duration::from_secs(300);

/// What the kernel says of an ext4 and of an xfs that died.
const DEAD: &str = "-e 'Aborting journal' -e 'has been shut down'";

/// By default what most volumes have on the kernel that most nodes have; the others take a minute more.
#[test]
fn a_file_system_that_dies_on_a_device_that_stays_is_found_and_the_next_pod_has_all_that_was_safe() {
    dead_and_mounted_anew(Kernel::V6_12, &["ext4"]);
}

/// The box fails every access to the volume for a moment, as one does whose pool is full (K15) or whose RAID is broken.
pub(crate) fn dead_and_mounted_anew(kernel: Kernel, filesystems: &[&'static str]) {
    let system = shared(kernel);
    let system = system.as_ref().unwrap();
    for fs in filesystems {
        // No xfs is smaller than 300 MiB.
        let mib = if *fs == "xfs" { 320 } else { 64 };
        let made = system.create(&format!("dying-{fs}"), mib * MIB, &Shape::filesystem(fs)).unwrap();
        let attached = system.csi().attach(&made, "a").unwrap();
        let backing = Backing::put_under(system, &attached, &format!("dying-{fs}"));
        let dying = Dying { system, node: system.node("a"), made, attached, backing };
        let acknowledged = dying.dies_under_a_pod("first");
        dying.is_kept_from_the_next_pod_while_the_first_has_it();
        dying.is_mounted_anew_for_the_next_pod(acknowledged);
        let later = dying.dies_under_a_pod("second");
        dying.is_unstaged_with_its_loss_said(later);
        dying.has_its_records("first", acknowledged);
        eprintln!("{fs}: died twice, and {acknowledged} and {later} records are there");
        dying.ends();
    }
}

/// One volume on one node.
struct Dying<'a> {
    system: &'a System,
    node: &'a Node,
    made: Made,
    attached: Attached,
    backing: Backing<'a>,
}

impl Dying<'_> {
    /// Answers how many records the pod was told to be safe.
    fn dies_under_a_pod(&self, who: &str) -> u64 {
        let target = pod::mount(self.node, &self.made, &self.attached);
        self.wait_until_well();
        let writer = Writer::start_with_dirty_pages(self.node, &target, who);
        let before = self.node.log().len();
        self.node.guest.sh("dmesg -c > /dev/null").unwrap();
        self.backing.fail();
        // A write that fails is one thing: its file system dies with the next commit of its journal.
        wait_until(&self.node.guest, &format!("! pidof recorder && dmesg | grep -q {DEAD}"), FOUND);
        self.backing.heal();
        // A busy machine's path may be down for a moment, which is abnormal as well.
        let found = self.wait_for_condition("its file system's death is told", |condition| {
            condition.message.contains("its file system could not write")
        });
        assert!(found.abnormal && found.message.ends_with(&format!("delete them: {target}")), "{found:?}");
        let log = self.node.log();
        for said in ["Stale mount detected - old device", "data that was not written yet may be lost"] {
            assert!(log[before..].contains(said), "no {said:?} in {}", &log[before..]);
        }
        wait_until(&self.node.guest, "grep -q live /sys/class/nvme/nvme*/state", FOUND);
        writer.kill()
    }

    fn is_kept_from_the_next_pod_while_the_first_has_it(&self) {
        let refused = self.publish(&self.other()).unwrap_err();
        assert_eq!(refused.code(), Code::Aborted, "{refused}");
        assert!(refused.message().contains("still used at"), "{refused}");
    }

    /// As the kubelet does it while the volume is to stay on the node: without a stage.
    fn is_mounted_anew_for_the_next_pod(&self, acknowledged: u64) {
        self.node.csi.unpublish(&self.made, &Node::target(&self.made)).unwrap();
        pod::retried("published", || Ok(self.publish(&Node::target(&self.made))?));
        self.has_its_records("first", acknowledged);
        pod::unmount(self.node, &self.made);
    }

    fn is_unstaged_with_its_loss_said(&self, acknowledged: u64) {
        let before = self.node.log().len();
        pod::unmount(self.node, &self.made);
        let log = self.node.log();
        assert!(log[before..].contains("syncing failed"), "{}", &log[before..]);
        assert_eq!(self.node.subsystems().unwrap(), [""; 0], "disconnected");
        pod::mount(self.node, &self.made, &self.attached);
        self.has_its_records("second", acknowledged);
    }

    /// What was safe is there, and the volume takes more.
    fn has_its_records(&self, who: &str, acknowledged: u64) {
        let kept = pod::records(self.node, &self.made, who);
        assert!(kept >= acknowledged, "{kept} records are there, {acknowledged} were acknowledged");
        pod::write(self.node, &self.made, who, kept + 10);
        self.wait_until_well();
    }

    fn ends(self) {
        pod::end(self.system, &self.made, "a");
        self.backing.remove();
        if self.made.shape.fs == Some("ext4") {
            pod::assert_clean(self.system, &self.made);
        }
        self.system.csi().delete(&self.made.volume.volume_id).unwrap();
    }

    fn publish(&self, target: &str) -> Result<(), tonic::Status> {
        self.node.csi.publish(&self.made, &self.attached, &Node::staging(&self.made), target)
    }

    /// Where another pod would see it.
    fn other(&self) -> String {
        Node::target(&self.made).replace("/pods/pod/", "/pods/other/")
    }

    fn wait_until_well(&self) {
        self.wait_for_condition("the volume is well", |condition| !condition.abnormal);
    }

    fn wait_for_condition(&self, what: &str, wanted: impl Fn(&VolumeCondition) -> bool) -> VolumeCondition {
        let (staging, target) = (Node::staging(&self.made), Node::target(&self.made));
        let told = testbed::wait_until(what, FOUND, || {
            let stats = self.node.csi.stats(&self.made, &staging, &target).unwrap();
            Ok(stats.volume_condition.filter(&wanted))
        });
        told.unwrap()
    }
}
