//! A member of a migration that is forced off without being seen to have let go, while the other stays
//! (attachments.md, "Unpublish"): whom it keeps away, and each of the ways out.

use scenarios::{Cluster, ClusterOptions, VirtualMachine};

use super::migration_world::{Disk, active};

/// One machine with its disk.
struct Migrating<'a> {
    machine: VirtualMachine,
    disk: Disk<'a>,
    nqn: String,
}

impl<'a> Migrating<'a> {
    /// It runs on `a` and migrates to `b`.
    fn start(cluster: &'a Cluster, name: &'static str, number: u32) -> Self {
        let (machine, disk) = (VirtualMachine::new(name, number), Disk::shared(cluster, name));
        disk.launch(&machine, "a");
        let nqn = disk.wait_until_attached("a");
        disk.launch(&machine, "b");
        assert_eq!(disk.wait_until_attached("b"), nqn);
        Self { machine, disk, nqn }
    }

    /// `b` is dead: somebody deletes its pod, and the attachment that Kubernetes waits for.
    fn force_off(&self) {
        self.disk.forget(&self.machine, "b");
        self.disk.detach_by_hand("b");
        self.disk.wait_until_detached("b");
        let start = format!(
            "[{}]: Node b left without being seen to have let go, while node a stays. Until ",
            self.disk.handle
        );
        let said = self.disk.wait_for_event("MigrationFailed", &start);
        assert_eq!(said.level, "Warning");
        assert!(said.message.ends_with("no further node and no new pod on a gets the volume."), "{said:?}");
        self.is_alone();
    }

    /// Neither a further node nor a further pod; and the one that stays is not touched.
    fn is_alone(&self) {
        assert_eq!(self.disk.mark("a").as_deref(), Some("b"), "no new pod on the node that stays");
        assert_eq!(self.disk.exports(), [self.nqn.as_str()]);
        assert!(self.disk.is_attached("a"));
    }

    /// A further node is refused, and the target leaves it again.
    fn refuses_a_further_node(&self) {
        self.disk.launch(&self.machine, "c");
        let said = self.disk.wait_until_refused("c");
        assert!(said.contains("node b left without being seen to have let go and is not fenced"), "{said}");
        self.disk.end(&self.machine, "c");
        self.disk.wait_until_detached("c");
        self.is_alone();
    }

    /// What barred nodes and pods is over: the next migration goes to another node.
    fn is_free(&self) {
        self.disk.wait_until_unmarked("a");
        self.disk.launch(&self.machine, "c");
        assert_eq!(self.disk.wait_until_attached("c"), self.nqn, "what stays was never touched");
        let start = format!("[{}]: Migration started from node a to node c", self.disk.handle);
        self.disk.wait_for_event("MigrationStarted", &start);
        assert_eq!((self.disk.mark("a"), self.disk.mark("c")), (None, None));
        self.disk.print_events();
    }
}

#[test]
fn a_member_that_is_forced_off_bars_nodes_and_pods_until_one_of_the_ways_out() {
    let cluster = Cluster::start(&ClusterOptions::default()).unwrap();
    ["a", "b", "c"].iter().for_each(|node| drop(cluster.add_node(node).unwrap()));
    let api = &cluster.control_plane;
    let start = |name, number| Migrating::start(&cluster, name, number);
    let (returns, tainted, last) = (start("returns", 1), start("tainted", 2), start("last", 3));
    assert_eq!(active(&cluster), 3.0);
    api.set_ready("b", "Unknown").unwrap();
    for one in [&returns, &tainted, &last] {
        one.force_off();
        one.refuses_a_further_node();
    }
    assert_eq!(active(&cluster), 0.0);

    // The last holder leaves: the export closes, and with it the session of the one that is dead.
    last.disk.end(&last.machine, "a");
    last.disk.wait_until_detached("a");
    assert_eq!(last.disk.exports(), [""; 0]);
    last.disk.launch(&last.machine, "c");
    assert_ne!(last.disk.wait_until_attached("c"), last.nqn, "what the dead one had opens nothing");
    assert_eq!(last.disk.mark("c"), None);
    last.disk.launch(&last.machine, "a");
    last.disk.wait_until_attached("a");
    last.disk.print_events();

    // It is Ready again; but only when it is seen not to use the volume it keeps nobody off.
    api.set_ready("b", "True").unwrap();
    returns.is_alone();
    returns.refuses_a_further_node();
    returns.disk.set_in_use("b", false);
    returns.is_free();
    tainted.is_alone();

    // Somebody says that the machine is off.
    api.taint_out_of_service("b").unwrap();
    tainted.is_free();
}

#[test]
fn a_member_whose_node_is_said_to_be_off_keeps_nobody_off() {
    let cluster = Cluster::start(&ClusterOptions::default()).unwrap();
    ["a", "b", "c"].iter().for_each(|node| drop(cluster.add_node(node).unwrap()));
    let one = Migrating::start(&cluster, "one", 1);
    cluster.control_plane.set_ready("b", "Unknown").unwrap();
    cluster.control_plane.taint_out_of_service("b").unwrap();
    one.disk.forget(&one.machine, "b");
    // By that word Kubernetes detaches it itself, in use or not.
    one.disk.wait_until_detached("b");
    assert_eq!((one.disk.mark("a"), one.disk.exports()), (None, vec![one.nqn.clone()]));
    one.is_free();
}
