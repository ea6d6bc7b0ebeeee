//! Connections that nothing on the node accounts for, beside some that are not ours.

use microvm::Background;
use scenarios::{GuestCluster, Node, PodVolume};
use testbed::Event;

use super::super::wait_until;
use super::{PATH, wait_for};

/// Where the disks that the driver has nothing to do with are exported: beside the simulator's own port.
const PORT: u16 = 4421;
/// A disk of the same box that the node itself uses, as its root may be: no mark of any cluster.
const OWN: &str = "nqn.2000-02.com.mikrotik:node-root";
/// A volume of another cluster on the same box.
const OTHERS: &str = "nqn.2000-02.com.mikrotik:rds-00112233-abcdefghijklmnopqrs.00000000000000ab";

/// The node's own disk, which is mounted and written to from before the driver's start to the end.
pub(super) struct OwnDisk(Background);

impl OwnDisk {
    fn mount(node: &Node) -> Self {
        let device = format!("/dev/$(basename {}/nvme*n1)", subsystem(OWN));
        let line = format!("mkfs.ext4 -q {device} && mkdir -p /mnt/own && mount {device} /mnt/own");
        node.guest.sh(&line).unwrap();
        let write = "i=0; while i=$((i+1)); do echo $i > /tmp/own && \
                     dd if=/tmp/own of=/mnt/own/file conv=fsync 2>/dev/null || exit 1; echo $i; done";
        Self(node.guest.spawn(write).unwrap())
    }

    /// It writes on, to the same mount of the same disk.
    pub(super) fn assert_in_use(&self, node: &Node) {
        assert!(node.subsystems().unwrap().contains(&OWN.to_owned()));
        let said = String::from_utf8(self.0.stdout()).unwrap();
        let last: u64 = said.lines().last().map_or(0, |line| line.parse().unwrap());
        self.0.wait_for_stdout(&format!("\n{}\n", last + 2), PATH).unwrap();
    }
}

/// All are connected before the driver starts, and the API server is away then. The volume is attached, but not staged.
pub(super) fn one_is_cut_once_the_api_server_answers_and_nothing_else_is(
    cluster: &GuestCluster,
    volume: &PodVolume,
) -> OwnDisk {
    let (node, orphan) = (cluster.node("a"), &orphan_beside(volume));
    node.kill_driver();
    for nqn in [OWN, OTHERS, orphan] {
        export(cluster, nqn);
        connect(cluster, nqn);
    }
    let own = OwnDisk::mount(node);
    cluster.control_plane.stop_api_server();
    node.start_driver().unwrap();
    it_is_kept_while_nobody_says_that_its_attachment_is_over(node, orphan);
    cluster.control_plane.start_api_server().unwrap();

    let detected = wait_for(cluster, "OrphanDetected", "a");
    let cleaned = wait_for(cluster, "OrphanCleaned", "a");
    for (event, level) in [(&detected, "Warning"), (&cleaned, "Normal")] {
        let Event { kind, name, component, instance, namespace, .. } = event;
        let whose = (kind.as_str(), name.as_str(), component.as_str(), instance.as_str(), namespace.as_str());
        assert_eq!(whose, ("Node", "a", "rds-csi-node", "a", "default"));
        assert_eq!(event.level, level);
        assert!(event.message.starts_with(&format!("[a]: Orphaned connection {orphan}")), "{event:?}");
    }
    let mut left = node.subsystems().unwrap();
    left.sort_unstable();
    assert_eq!(left, [OWN, OTHERS]);
    for reason in ["OrphanDetected", "OrphanCleaned"] {
        assert_eq!(cluster.control_plane.events(reason).unwrap().len(), 1, "{reason}: of nothing else");
    }
    own.assert_in_use(node);
    own
}

/// Its grace passes meanwhile.
fn it_is_kept_while_nobody_says_that_its_attachment_is_over(node: &Node, orphan: &str) {
    let kept = "an orphaned connection is kept";
    testbed::wait_until(kept, PATH, || Ok(node.log().contains(kept).then_some(()))).unwrap();
    let log = node.log();
    let line = log.lines().find(|line| line.contains(kept)).unwrap();
    assert!(line.contains(orphan) && line.contains("whether its attachment is over is not known"), "{line}");
    eprintln!("{line}");
    let mut there = node.subsystems().unwrap();
    there.sort_unstable();
    let mut all = [OWN, OTHERS, orphan];
    all.sort_unstable();
    assert_eq!(there, all);
}

/// A volume of this cluster that nothing knows: one letter from one that is there.
fn orphan_beside(volume: &PodVolume) -> String {
    let mut slot = volume.made.volume.volume_id.clone();
    let last = slot.pop().unwrap();
    format!("nqn.2000-02.com.mikrotik:{slot}{}.00000000000000cd", if last == 'a' { 'b' } else { 'a' })
}

/// Exports a disk on the box by hand.
fn export(cluster: &GuestCluster, nqn: &str) {
    let address = cluster.rds.guest.address();
    let line = format!(
        "image=/pool/{nqn} && truncate -s 64M $image && loop=$(losetup -f) && losetup $loop $image && \
         cd /sys/kernel/config/nvmet && if [ ! -d ports/{PORT} ]; then mkdir ports/{PORT} && cd ports/{PORT} && \
         echo tcp > addr_trtype && echo ipv4 > addr_adrfam && echo {address} > addr_traddr && \
         echo {PORT} > addr_trsvcid && cd ../..; fi && \
         mkdir subsystems/{nqn} && cd subsystems/{nqn} && echo 1 > attr_allow_any_host && mkdir namespaces/1 && \
         echo -n $loop > namespaces/1/device_path && echo 1 > namespaces/1/enable && \
         ln -s /sys/kernel/config/nvmet/subsystems/{nqn} /sys/kernel/config/nvmet/ports/{PORT}/subsystems/{nqn}"
    );
    cluster.rds.guest.sh(&line).unwrap();
}

/// Connects it as a node's own tools would, and waits until it has a device.
fn connect(cluster: &GuestCluster, nqn: &str) {
    let (guest, address) = (&cluster.node("a").guest, cluster.rds.guest.address());
    let options = format!("transport=tcp,traddr={address},trsvcid={PORT},nqn={nqn},reconnect_delay=2");
    guest.sh(&format!("echo {options} > /dev/nvme-fabrics")).unwrap();
    wait_until(guest, &format!("ls -d {}/nvme*n1 > /dev/null", subsystem(nqn)), PATH);
}

/// Where sysfs has a subsystem, for a shell.
fn subsystem(nqn: &str) -> String {
    format!("$(dirname $(grep -lx {nqn} /sys/class/nvme-subsystem/*/subsysnqn))")
}
