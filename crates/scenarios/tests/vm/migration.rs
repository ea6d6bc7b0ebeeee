//! A live migration whose target is forced off while it writes. One export serves both nodes, so it is not fenced while
//! the source stays (attachments.md, "Unpublish"); what is done instead, and that the end of the export fences it.

use std::time::{Duration, Instant};

use microvm::Kernel;
use scenarios::{ClusterOptions, DRIVER, GuestCluster, Node, PodVolume, VirtualMachine};
use testbed::Event;
use testbed::objects::Usage;

use super::fencing::is_refused;
use super::{pod, raw};

/// A bound claim of a machine's disk.
const CLAIM: &str = "disk";
/// Where the source writes on the disk, and where the target does.
const BLOCKS: [u64; 2] = [0, 1];
/// What a fenced node had sent would land within seconds, if it could.
const LATE: Duration = Duration::from_secs(10);

/// By default on the kernel that most nodes have: a control plane with guests takes a minute.
#[test]
fn a_forced_off_target_of_a_migration_writes_on_and_keeps_others_away_until_the_source_leaves() {
    forced_off(Kernel::V6_12);
}

pub(crate) fn forced_off(kernel: Kernel) {
    let start = Instant::now();
    let cluster = GuestCluster::boot(kernel, &["a", "b"], &ClusterOptions::default()).unwrap();
    cluster.control_plane.add_node("c", DRIVER, "rds:c").unwrap();
    eprintln!(
        "booted a cluster with an RDS and two nodes on {} in {:.1?}",
        kernel.version(),
        start.elapsed()
    );
    let migrating = Migrating::start(&cluster);
    let [source, target] = migrating.writers();

    migrating.force_the_target_off();
    migrating.is_not_fenced(&source, &target);
    migrating.refuses_a_further_node();
    migrating.refuses_a_further_pod();
    source.end();
    migrating.is_fenced_once_the_source_has_left(target);
}

/// A machine that runs on node a and migrates to node b.
struct Migrating<'a> {
    cluster: &'a GuestCluster,
    machine: VirtualMachine,
    volume: PodVolume,
}

impl<'a> Migrating<'a> {
    fn start(cluster: &'a GuestCluster) -> Self {
        cluster.provision(CLAIM, "64Mi", Usage::SHARED_BLOCK).unwrap();
        let machine = VirtualMachine::new("machine", 1);
        let volume = launch(cluster, &machine, "a");
        assert_eq!(
            launch(cluster, &machine, "b").attached.context["nvme_nqn"],
            volume.attached.context["nvme_nqn"]
        );
        Self { cluster, machine, volume }
    }

    /// On both nodes. (A target waits with that for its source; this one is a machine that has lost its mind.)
    fn writers(&self) -> [raw::Writer; 2] {
        ["a", "b"].map(|name| {
            let block = BLOCKS[usize::from(name == "b")];
            raw::Writer::start(self.cluster.node(name), &self.device(), name, block)
        })
    }

    /// Its kubelet is silent; somebody deletes its pod, and the attachment that Kubernetes waits for.
    fn force_the_target_off(&self) {
        let (api, volume) = (&self.cluster.control_plane, &self.volume.persistent_volume);
        api.set_ready("b", "Unknown").unwrap();
        api.delete_pod(&self.machine.launcher_name("b")).unwrap();
        let attachment = api.attachment(volume, "b").unwrap().unwrap();
        let name = attachment["metadata"]["name"].as_str().unwrap();
        api.kubectl(&["delete", "volumeattachment", name, "--wait=false"]).unwrap();
        api.wait_until_detached(volume, "b", GuestCluster::SOON).unwrap();
        let start =
            format!("[{}]: Node b left without being seen to have let go", self.volume.made.volume.volume_id);
        let is_said = |event: &Event| event.name == CLAIM && event.message.starts_with(&start);
        api.wait_for_event("MigrationFailed", GuestCluster::SOON, is_said).unwrap();
        eprint!("{}", api.event_lines("MigrationFailed").unwrap());
    }

    /// What it writes lands, and the source is not touched by any of it.
    fn is_not_fenced(&self, source: &raw::Writer, target: &raw::Writer) {
        assert_eq!(self.exports(), [self.nqn()]);
        let detached = target.written();
        [source, target].into_iter().for_each(raw::Writer::goes_on);
        let read = self.read_on_a(BLOCKS[1]);
        eprintln!("b had written {detached} records when it was detached; a reads {read:?}");
        assert!(number(&read, "b") > detached, "{read:?}");
        assert_eq!(self.cluster.node("a").subsystems().unwrap(), [self.nqn()]);
    }

    fn refuses_a_further_node(&self) {
        let (api, volume) = (&self.cluster.control_plane, &self.volume.persistent_volume);
        let unique = format!("kubernetes.io/csi/{DRIVER}^{}", self.volume.made.volume.volume_id);
        api.set_in_use("c", &unique, true).unwrap();
        api.admin().create(&self.machine.launcher("c", &[CLAIM])).unwrap();
        let refused = testbed::wait_until("node c is refused", GuestCluster::SOON, || {
            Ok(api.attachment(volume, "c")?.as_ref().and_then(testbed::refusal))
        });
        let refused = refused.unwrap();
        eprintln!("node c: {refused}");
        assert!(
            refused.contains("node b left without being seen to have let go and is not fenced"),
            "{refused}"
        );
        api.delete_pod(&self.machine.launcher_name("c")).unwrap();
        api.set_in_use("c", &unique, false).unwrap();
        api.wait_until_detached(volume, "c", GuestCluster::SOON).unwrap();
        assert_eq!(self.exports(), [self.nqn()]);
    }

    /// On the node that stays; what has the volume there keeps it.
    fn refuses_a_further_pod(&self) {
        let (node, made) = (self.cluster.node("a"), &self.volume.made);
        let publish =
            |target: &str| node.csi.publish(made, &self.volume.attached, &Node::staging(made), target);
        let further = "/var/lib/kubelet/pods/further/device";
        node.guest.sh("mkdir -p /var/lib/kubelet/pods/further").unwrap();
        // A busy API server may not answer in time, which is a refusal as well.
        let refused = testbed::wait_until("a further pod is refused for node b", GuestCluster::SOON, || {
            let refused = publish(further).unwrap_err();
            assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused}");
            Ok(refused.message().contains("node b left this volume without proof").then_some(refused))
        });
        eprintln!("a further pod on a: {}", refused.unwrap());
        publish(&self.device()).unwrap();
    }

    /// The last holder's end closes the export, and the session of the one that was forced off with it.
    fn is_fenced_once_the_source_has_left(&self, target: raw::Writer) {
        let (cluster, b) = (self.cluster, self.cluster.node("b"));
        b.guest.sh("dmesg -c > /dev/null").unwrap();
        self.end_on_a(&self.volume);
        is_refused(b);
        let acknowledged = target.written();
        let again = launch(cluster, &self.machine, "a");
        assert_ne!(again.attached.context["nvme_nqn"], self.nqn(), "what b has opens nothing");
        let read = self.read_on_a(BLOCKS[1]);
        eprintln!("b had {acknowledged} records acknowledged when it was fenced; a reads {read:?}");
        assert!(number(&read, "b") >= acknowledged, "{read:?}");
        cluster.node("a").guest.sh(&format!("sleep {}", LATE.as_secs())).unwrap();
        assert_eq!(self.read_on_a(BLOCKS[1]), read, "nothing of b landed since a started again");

        drop(target);
        pod::unmount(b, &self.volume.made);
        assert_eq!(b.subsystems().unwrap(), [""; 0]);
        self.end_on_a(&again);
        assert_eq!(self.exports(), [""; 0]);
    }

    fn end_on_a(&self, volume: &PodVolume) {
        let launcher = self.machine.launcher_name("a");
        pod::retried("ended", || self.cluster.end_pod(&launcher, "a", volume));
    }

    fn read_on_a(&self, block: u64) -> String {
        raw::read(self.cluster.node("a"), &self.device(), block)
    }

    fn exports(&self) -> Vec<String> {
        self.cluster.rds.exports().unwrap()
    }

    fn nqn(&self) -> String {
        self.volume.attached.context["nvme_nqn"].clone()
    }

    /// Where a pod has the disk, on either node.
    fn device(&self) -> String {
        Node::target(&self.volume.made)
    }
}

/// A launcher of the machine comes to a node and has the disk there.
fn launch(cluster: &GuestCluster, machine: &VirtualMachine, node: &str) -> PodVolume {
    cluster.control_plane.admin().create(&machine.launcher(node, &[CLAIM])).unwrap();
    let volume = cluster.kubelet(node).admit(&machine.launcher_name(node)).unwrap();
    pod::mount(cluster.node(node), &volume.made, &volume.attached);
    volume
}

/// The number of a writer's record.
fn number(record: &str, who: &str) -> u64 {
    record.strip_prefix(&format!("{who}-")).unwrap().parse().unwrap()
}
