//! What the node promises and only a kernel can show broken: told on one volume, step after step.

use std::time::Duration;

use microvm::{Kernel, MIB};
use scenarios::{Attached, Made, Node, Shape, System};

use super::{pod, shared, wait_until};

/// Keep-alive notices a cut link after 8 s, a reconnect takes up to 5 s more; guests are slow.
const PATH: Duration = Duration::from_secs(90);

#[test]
fn nothing_is_lost_or_left_by_outages_copied_mounts_and_kills() {
    told(Kernel::V6_12);
}

pub(crate) fn told(kernel: Kernel) {
    let system = shared(kernel);
    let system = system.as_ref().unwrap();
    let made = system.create("promises", 64 * MIB, &Shape::filesystem("ext4")).unwrap();
    let attached = system.csi().attach(&made, "a").unwrap();
    let told = Told { system, node: system.node("a"), made };

    told.killed_between_connect_and_mount(&attached);
    told.an_outage_keeps_what_is_unwritten(&attached);
    told.a_copied_mount_keeps_the_volume_connected(&attached);
    told.killed_between_unmount_and_disconnect(&attached);
    told.the_same_node_comes_back_while_its_old_controller_waits(&attached);
    pod::end(system, &told.made, "a");
    assert_eq!(told.node.subsystems().unwrap(), [""; 0], "nothing is left");
    system.csi().delete(&told.made.volume.volume_id).unwrap();
}

/// One volume on one node.
struct Told<'a> {
    system: &'a System,
    node: &'a Node,
    made: Made,
}

impl Told<'_> {
    /// The first stage makes a file system, so the way from connect to mount is long.
    fn killed_between_connect_and_mount(&self, attached: &Attached) {
        let seen = self.killed_when("set -- /sys/class/nvme/nvme*; [ -e \"$1\" ]", || {
            self.node.mount(&self.made, attached).unwrap_err();
        });
        eprintln!("killed between connect and mount: {seen}");
        assert_eq!(seen, "0 mounts", "it was not mounted yet");
        pod::mount(self.node, &self.made, attached);
        pod::write(self.node, &self.made, "a", 10);
    }

    /// Refused while the path is down, with everything kept, and done once it is back.
    fn an_outage_keeps_what_is_unwritten(&self, attached: &Attached) {
        let written = self.write_without_sync();
        let link = self.system.rds.guest.link();
        link.cut();
        self.wait_until_down();
        self.node.csi.unpublish(&self.made, &Node::target(&self.made)).unwrap();
        let refused = self.node.csi.unstage(&self.made, &Node::staging(&self.made)).unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused}");
        assert!(refused.message().contains("what was not written yet is kept"), "{refused}");
        link.restore();
        self.wait_until_live();
        pod::unmount(self.node, &self.made);
        self.assert_kept(attached, &written, "an outage in an unstage");
    }

    /// Where the mount was copied the file system lives on after its unmount, with all that it has not written.
    fn a_copied_mount_keeps_the_volume_connected(&self, attached: &Attached) {
        let written = self.write_without_sync();
        let copy = self.node.guest.spawn("exec unshare -m sh -c 'echo copied; exec sleep 3600'").unwrap();
        copy.wait_for_stdout("copied", PATH).unwrap();
        self.node.csi.unpublish(&self.made, &Node::target(&self.made)).unwrap();
        for _ in 0..2 {
            // Where the guest stood still for longer than a keep-alive it has a path to get back first.
            let refused = testbed::wait_until("an unstage with its path", PATH, || {
                let refused = self.node.csi.unstage(&self.made, &Node::staging(&self.made)).unwrap_err();
                Ok((!refused.message().contains("is not live")).then_some(refused))
            })
            .unwrap();
            assert_eq!(refused.code(), tonic::Code::Aborted, "{refused}");
            assert!(refused.message().contains("still held"), "{refused}");
            assert_eq!(self.node.subsystems().unwrap(), [attached.context["nvme_nqn"].clone()]);
        }
        copy.kill().unwrap();
        copy.wait(PATH).unwrap();
        pod::unmount(self.node, &self.made);
        self.assert_kept(attached, &written, "a copied mount");
    }

    fn killed_between_unmount_and_disconnect(&self, attached: &Attached) {
        let written = self.write_without_sync();
        let seen = self.killed_when("! grep -q globalmount /proc/self/mountinfo", || {
            let _ = self.node.unmount(&self.made);
        });
        eprintln!("killed between unmount and disconnect: {seen}");
        pod::unmount(self.node, &self.made);
        assert_eq!(self.node.subsystems().unwrap(), [""; 0], "the retry disconnects");
        self.assert_kept(attached, &written, "a kill in an unstage");
    }

    /// The namespace has the UUID that the old controller's has (node.md K1).
    fn the_same_node_comes_back_while_its_old_controller_waits(&self, old: &Attached) {
        let uuid = self.uuid();
        let link = self.system.rds.guest.link();
        link.cut();
        self.wait_until_down();
        let id = &self.made;
        self.system.csi().detach(id, "a").unwrap();
        let new = self.system.csi().attach(id, "a").unwrap();
        self.node.csi.unpublish(id, &Node::target(id)).unwrap();
        assert_eq!(self.node.subsystems().unwrap(), [old.context["nvme_nqn"].clone()], "it waits");
        link.restore();
        pod::mount(self.node, id, &new);
        assert_eq!(self.node.subsystems().unwrap(), [new.context["nvme_nqn"].clone()]);
        assert_eq!(self.uuid(), uuid, "the namespace is the same");
        assert_eq!(pod::records(self.node, id, "a"), 10);
    }

    /// Kills the driver and its helpers as soon as a condition holds in a call; what was mounted then.
    fn killed_when(&self, condition: &str, call: impl FnOnce()) -> String {
        let kill = format!(
            "echo ready; until {condition}; do :; done; kill -9 $(pidof rds-csi); \
             echo \"$(grep -c globalmount /proc/self/mountinfo) mounts\""
        );
        let killer = self.node.guest.spawn(&kill).unwrap();
        killer.wait_for_stdout("ready\n", PATH).unwrap();
        call();
        let killed = killer.wait(PATH).unwrap();
        self.node.start_driver().unwrap();
        killed.stdout_text().trim().trim_start_matches("ready\n").to_owned()
    }

    /// A file of random bytes that nobody syncs; its checksum.
    fn write_without_sync(&self) -> String {
        let file = self.file();
        self.node.guest.sh(&format!("head -c 4194304 /dev/urandom > {file}; md5sum < {file}")).unwrap()
    }

    /// Stages the volume again and compares what is there: with an empty page cache, from the device.
    fn assert_kept(&self, attached: &Attached, written: &str, after: &str) {
        assert_eq!(self.node.subsystems().unwrap(), [""; 0], "after {after}");
        pod::mount(self.node, &self.made, attached);
        let read = self.node.guest.sh(&format!("md5sum < {}", self.file())).unwrap();
        assert_eq!(read, written, "after {after}");
        assert_eq!(pod::records(self.node, &self.made, "a"), 10, "after {after}");
        eprintln!("kept over {after}");
    }

    fn file(&self) -> String {
        format!("{}/unsynced", Node::target(&self.made))
    }

    fn uuid(&self) -> String {
        self.node.guest.sh("cat /sys/block/nvme*n1/uuid").unwrap()
    }

    fn wait_until_down(&self) {
        wait_until(&self.node.guest, "! grep -q live /sys/class/nvme/nvme*/state", PATH);
    }

    fn wait_until_live(&self) {
        wait_until(&self.node.guest, "grep -q live /sys/class/nvme/nvme*/state", PATH);
    }
}
