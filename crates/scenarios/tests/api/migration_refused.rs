//! A second node that is refused: R18 gives one to live migration, and to nobody by chance.

use scenarios::{Cluster, ClusterOptions, STORAGE_CLASS, VirtualMachine};
use serde_json::Value;
use testbed::objects::{self, Usage};

use super::SOON;
use super::migration_world::{Disk, active};

/// What is said to a second node that is no migration's.
const NOT_ONE_MACHINE: &str = "a second node gets it only for the live migration of one virtual machine";
/// What is said to it where nobody may know.
const NOT_KNOWN: &str =
    "whether this is the live migration of one virtual machine is not known, since pods may not be read";

fn start(arguments: &[&str]) -> Cluster {
    let controller = arguments.iter().map(|&argument| argument.to_owned()).collect();
    let cluster = Cluster::start(&ClusterOptions { controller, ..ClusterOptions::default() }).unwrap();
    ["a", "b", "c"].iter().for_each(|node| drop(cluster.add_node(node).unwrap()));
    cluster
}

/// A pod of no machine comes to a node.
fn run_plain_pod(cluster: &Cluster, disk: &Disk<'_>, node: &str) {
    let name = format!("plain-{}-{node}", disk.claim);
    disk.set_in_use(node, true);
    cluster.admin().create(&objects::block_pod(&name, Some(node), &[disk.claim])).unwrap();
}

/// Takes from the controller the right to read pods, as an administrator who does not run KubeVirt.
fn forbid_pods(cluster: &Cluster) {
    let name = ["clusterrole", "rds-csi-controller"];
    let mut role = cluster.admin().get(&name).unwrap().unwrap();
    let rules = role["rules"].as_array_mut().unwrap();
    let count = rules.len();
    rules.retain(|rule| rule["resources"] != Value::from(vec!["pods"]));
    assert_eq!(rules.len() + 1, count);
    cluster.admin().patch(&name, &serde_json::json!({ "rules": role["rules"] })).unwrap();
    let account = "--as=system:serviceaccount:rds-csi:rds-csi-controller";
    let may = || cluster.control_plane.kubectl(&["auth", "can-i", "list", "pods", account]);
    testbed::wait_until("pods may not be read", SOON, || Ok(may().is_err().then_some(()))).unwrap();
}

fn warnings_of_pods(cluster: &Cluster) -> usize {
    cluster.pods[0]
        .controller
        .log()
        .lines()
        .filter(|line| line.contains("pods may not be read, so that"))
        .count()
}

#[test]
fn pods_of_another_machine_or_of_none_get_no_second_node() {
    let cluster = start(&[]);
    let (one, other) = (VirtualMachine::new("one", 1), VirtualMachine::new("other", 2));
    let disk = Disk::shared(&cluster, "disk");
    disk.launch(&one, "a");
    let nqn = disk.wait_until_attached("a");
    disk.launch(&other, "b");
    let said = disk.wait_until_refused("b");
    assert!(said.contains(NOT_ONE_MACHINE), "{said}");
    // Even the machine's own target has to wait while a stranger wants the same disk.
    disk.launch(&one, "c");
    disk.wait_until_refused("c");
    disk.end(&one, "c");
    disk.end(&other, "b");
    ["b", "c"].iter().for_each(|node| disk.wait_until_detached(node));
    run_plain_pod(&cluster, &disk, "b");
    disk.wait_until_refused("b");
    assert_eq!((disk.exports(), active(&cluster)), (vec![nqn], 0.0));
    disk.print_events();

    let plain = Disk::shared(&cluster, "plain");
    run_plain_pod(&cluster, &plain, "a");
    plain.wait_until_attached("a");
    run_plain_pod(&cluster, &plain, "b");
    let said = plain.wait_until_refused("b");
    assert!(said.contains(NOT_ONE_MACHINE), "{said}");
    plain.print_events();
    assert_eq!(disk.said("MigrationStarted"), []);
    assert_eq!(plain.said("MigrationStarted"), []);
}

#[test]
fn plain_pods_share_where_that_is_allowed_and_a_machine_beside_them_does_not() {
    let cluster = start(&["--rwx-plain-pods"]);
    let plain = Disk::shared(&cluster, "plain");
    run_plain_pod(&cluster, &plain, "a");
    let nqn = plain.wait_until_attached("a");
    run_plain_pod(&cluster, &plain, "b");
    assert_eq!(plain.wait_until_attached("b"), nqn);
    run_plain_pod(&cluster, &plain, "c");
    let said = plain.wait_until_refused("c");
    assert!(said.contains("two nodes at most"), "{said}");
    assert_eq!((plain.exports(), plain.said("MigrationStarted"), active(&cluster)), (vec![nqn], vec![], 0.0));

    let disk = Disk::shared(&cluster, "disk");
    disk.launch(&VirtualMachine::new("one", 1), "a");
    disk.wait_until_attached("a");
    run_plain_pod(&cluster, &disk, "b");
    let said = disk.wait_until_refused("b");
    assert!(said.contains(NOT_ONE_MACHINE), "{said}");
    [plain, disk].iter().for_each(Disk::print_events);
}

#[test]
fn where_pods_may_not_be_read_a_second_node_is_refused_and_that_is_logged_once() {
    let cluster = start(&[]);
    forbid_pods(&cluster);
    let machine = VirtualMachine::new("one", 1);
    for claim in ["first", "second"] {
        let disk = Disk::shared(&cluster, claim);
        disk.launch(&machine, "a");
        let nqn = disk.wait_until_attached("a");
        disk.launch(&machine, "b");
        let said = disk.wait_until_refused("b");
        assert!(said.contains(NOT_KNOWN), "{said}");
        assert_eq!(disk.exports(), [nqn]);
        disk.print_events();
        ["a", "b"].iter().for_each(|node| disk.end(&machine, node));
    }
    assert_eq!(warnings_of_pods(&cluster), 1);
}

#[test]
fn where_pods_may_not_be_read_a_second_node_is_allowed_if_so_configured() {
    let cluster = start(&["--pods-unreadable", "allow"]);
    forbid_pods(&cluster);
    let (machine, disk) = (VirtualMachine::new("one", 1), Disk::shared(&cluster, "disk"));
    disk.launch(&machine, "a");
    let nqn = disk.wait_until_attached("a");
    disk.launch(&machine, "b");
    assert_eq!(disk.wait_until_attached("b"), nqn);
    disk.wait_for_event(
        "MigrationStarted",
        &format!("[{}]: Migration started from node a to node b", disk.handle),
    );
    disk.launch(&machine, "c");
    disk.wait_until_refused("c");
    assert_eq!(warnings_of_pods(&cluster), 1);
    disk.print_events();
}

#[test]
fn what_is_not_shared_block_gets_no_second_node_whatever_the_pods_say() {
    let cluster = start(&["--rwx-plain-pods", "--pods-unreadable", "allow"]);
    for (claim, usage) in [("block", Usage::BLOCK), ("files", Usage::FILESYSTEM)] {
        let machine = VirtualMachine::new(claim, 1);
        let disk = Disk::make(&cluster, claim, STORAGE_CLASS, usage);
        let launch = |node| match usage {
            Usage::BLOCK => disk.launch(&machine, node),
            _ => disk.launch_with_files(&machine, node),
        };
        launch("a");
        let nqn = disk.wait_until_attached("a");
        launch("b");
        // The attach/detach controller asks for nothing here; so somebody else does.
        disk.attach_by_hand("b");
        let said = disk.wait_until_refused("b");
        assert!(said.contains("already attached to node a; delete the pod there"), "{said}");
        // Nor does it help to call it shared when it is in use.
        cluster.admin().patch(&["pv", disk.persistent_volume()], &shared_by_many()).unwrap();
        disk.attach_by_hand("c");
        eprintln!("{}", disk.wait_for_refusal("c"));
        assert_eq!(disk.exports(), [nqn]);
        disk.print_events();
    }
    assert_eq!(active(&cluster), 0.0);

    // A file system for many is not even made.
    let usage = Usage { access_mode: "ReadWriteMany", volume_mode: "Filesystem" };
    cluster.admin().create(&objects::claim("shared-files", STORAGE_CLASS, "64Mi", usage)).unwrap();
    let failed = cluster
        .control_plane
        .wait_for_event("ProvisioningFailed", SOON, |event| event.name == "shared-files");
    eprintln!("{}", failed.unwrap().message);
    assert_eq!(cluster.device.volumes().unwrap().len(), 2);
}

fn shared_by_many() -> Value {
    serde_json::json!({ "spec": { "accessModes": ["ReadWriteMany"] } })
}
