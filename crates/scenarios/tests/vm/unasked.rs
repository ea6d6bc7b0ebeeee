//! What a node does unasked, and that Kubernetes hears of it: outages, stale mounts, orphans. What is not ours stays.

use std::time::Duration;

use microvm::{Background, Kernel};
use scenarios::{ClusterOptions, GuestCluster, Node, PodVolume};
use testbed::Event;
use testbed::objects::Usage;

use super::events::assert_is_of;
use super::wait_until;

/// Keep-alive notices a cut link after 8 s, which is said 10 s later; a reconnect takes up to 5 s. Guests are slow.
const PATH: Duration = Duration::from_secs(300);
/// What ships leaves orphans alone for five minutes.
const GRACE: &str = "10s";
/// Where the disks that the driver has nothing to do with are exported: beside the simulator's own port.
const PORT: u16 = 4421;
/// A disk of the same box that the node itself uses, as its root may be: no mark of any cluster.
const OWN: &str = "nqn.2000-02.com.mikrotik:node-root";
/// A volume of another cluster on the same box.
const OTHERS: &str = "nqn.2000-02.com.mikrotik:rds-00112233-abcdefghijklmnopqrs.00000000000000ab";

/// On one kernel: a control plane with guests takes a minute, and what is said is no kernel's doing.
#[test]
fn what_a_node_finds_unasked_is_said_and_a_disk_of_the_same_box_that_is_not_ours_stays() {
    let options = ClusterOptions {
        node: ["--orphan-grace", GRACE].map(str::to_owned).into(),
        ..ClusterOptions::default()
    };
    let cluster = GuestCluster::boot(Kernel::V6_12, &["a"], &options).unwrap();
    cluster.provision("found", "64Mi", Usage::FILESYSTEM).unwrap();
    let volume = cluster.admit_pod("found", "a", "found").unwrap();

    let own = an_orphan_is_cut_and_nothing_else(&cluster, &orphan_beside(&volume));
    an_outage_is_said_and_its_end(&cluster, &volume);
    a_stale_mount_is_said_and_that_it_could_not_be_recovered(&cluster, &volume);
    own.assert_in_use(cluster.node("a"));
    for reason in
        ["OrphanDetected", "OrphanCleaned", "ConnectionRecovery", "StaleMountDetected", "RecoveryFailed"]
    {
        eprint!("{}", cluster.control_plane.event_lines(reason).unwrap());
    }
}

/// A volume of this cluster that nothing knows: one letter from one that is there.
fn orphan_beside(volume: &PodVolume) -> String {
    let mut slot = volume.made.volume.volume_id.clone();
    let last = slot.pop().unwrap();
    format!("nqn.2000-02.com.mikrotik:{slot}{}.00000000000000cd", if last == 'a' { 'b' } else { 'a' })
}

/// The node's own disk, which is mounted and written to from before the driver's start to the end.
struct OwnDisk(Background);

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
    fn assert_in_use(&self, node: &Node) {
        assert!(node.subsystems().unwrap().contains(&OWN.to_owned()));
        let said = String::from_utf8(self.0.stdout()).unwrap();
        let last: u64 = said.lines().last().map_or(0, |line| line.parse().unwrap());
        self.0.wait_for_stdout(&format!("\n{}\n", last + 2), PATH).unwrap();
    }
}

/// All are connected before the driver starts. The volume is attached, but not staged.
fn an_orphan_is_cut_and_nothing_else(cluster: &GuestCluster, orphan: &str) -> OwnDisk {
    let node = cluster.node("a");
    node.kill_driver();
    for nqn in [OWN, OTHERS, orphan] {
        export(cluster, nqn);
        connect(cluster, nqn);
    }
    let own = OwnDisk::mount(node);
    node.start_driver().unwrap();

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

fn an_outage_is_said_and_its_end(cluster: &GuestCluster, volume: &PodVolume) {
    cluster.kubelet("a").mount(volume).unwrap();
    let link = cluster.rds.guest.link();
    link.cut();
    let lost = wait_for(cluster, "ConnectionFailure", "found");
    assert!(lost.message.contains("failed: it was lost"), "{lost:?}");
    link.restore();
    let back = wait_for(cluster, "ConnectionRecovery", "found");
    let (id, address) = (&volume.made.volume.volume_id, cluster.rds.data_address());
    let start = format!("[{id}] on [a]: Connection to {address} recovered after ");
    assert!(back.message.starts_with(&start) && back.message.ends_with(" attempts"), "{back:?}");
    assert_is_of(cluster, &lost, "Warning", "found");
    assert_is_of(cluster, &back, "Normal", "found");
}

/// The kernel gives the connection up; the next pod comes while the device is out of reach.
fn a_stale_mount_is_said_and_that_it_could_not_be_recovered(cluster: &GuestCluster, volume: &PodVolume) {
    let (node, made) = (cluster.node("a"), &volume.made);
    node.guest.sh(&format!("echo kept > {}/file && sync", Node::target(made))).unwrap();
    let nqn = &volume.attached.context["nvme_nqn"];
    let give_up =
        format!("echo 1 > $(dirname $(grep -lx {nqn} /sys/class/nvme/*/subsysnqn))/delete_controller");
    node.guest.sh(&give_up).unwrap();
    let stale = wait_for(cluster, "StaleMountDetected", "found");
    let start = format!("[{}] on [a]: Stale mount detected - old device: ", made.volume.volume_id);
    assert!(stale.message.starts_with(&start) && stale.message.contains("new device: none"), "{stale:?}");
    assert_is_of(cluster, &stale, "Normal", "found");

    node.csi.unpublish(made, &Node::target(made)).unwrap();
    let publish = || node.csi.publish(made, &volume.attached, &Node::staging(made), &Node::target(made));
    let link = cluster.rds.guest.link();
    link.cut();
    let refused = publish().unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused}");
    let failed = wait_for(cluster, "RecoveryFailed", "found");
    let start = format!("[{}] on [a]: Recovery failed after ", made.volume.volume_id);
    assert!(failed.message.starts_with(&start), "{failed:?}");
    assert_is_of(cluster, &failed, "Warning", "found");
    link.restore();

    let served = testbed::wait_until("the next pod has the volume", PATH, || {
        Ok(publish().inspect_err(|error| eprintln!("not yet: {error}")).ok())
    });
    served.unwrap();
    assert_eq!(node.guest.sh(&format!("cat {}/file", Node::target(made))).unwrap(), "kept");
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

fn wait_for(cluster: &GuestCluster, reason: &str, of: &str) -> Event {
    let event = cluster.control_plane.wait_for_event(reason, PATH, |event| event.name == of);
    event.unwrap_or_else(|error| panic!("{error}\n{}", cluster.node("a").log()))
}
