//! Live migration of KubeVirt's machines (R18), how it ends, and what is said of it (R11), with real Pods, Nodes and
//! VolumeAttachments.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use scenarios::{Cluster, ClusterOptions, VirtualMachine};

use super::migration_world::{Disk, active, ended, figure};

/// What the class of these tests gives a migration.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How often the duration of a migration was measured.
const TIMED: &str = "rds_csi_migration_duration_seconds_count";

/// One for the tests that end all that they begin; it ends with this process.
fn shared() -> &'static Cluster {
    static SHARED: LazyLock<Cluster> = LazyLock::new(|| {
        let cluster = Cluster::start(&ClusterOptions::default()).unwrap();
        ["a", "b", "c"].iter().for_each(|node| drop(cluster.add_node(node).unwrap()));
        cluster
    });
    &SHARED
}

/// Starts a migration of a machine that runs on `a` to `b`; answers the NQN that both have.
fn migrate(cluster: &Cluster, disk: &Disk<'_>, machine: &VirtualMachine) -> String {
    disk.launch(machine, "a");
    let nqn = disk.wait_until_attached("a");
    assert_eq!(disk.exports(), [nqn.as_str()]);
    assert_eq!(active(cluster), 0.0);
    cluster.device.control("DELETE", "/requests", &serde_json::Value::Null).unwrap();
    disk.launch(machine, "b");
    assert_eq!(disk.wait_until_attached("b"), nqn, "both have one generation");
    assert_eq!(disk.exports(), [nqn.as_str()]);
    let said = "Migration started from node a to node b (timeout: 30s)";
    let started = disk.wait_for_event("MigrationStarted", &format!("[{}]: {said}", disk.handle));
    assert_eq!((started.level.as_str(), started.component.as_str()), ("Normal", "rds-csi-controller"));
    assert_eq!(active(cluster), 1.0);
    nqn
}

#[test]
fn a_migration_is_completed_when_its_source_has_left() {
    let (cluster, machine) = (shared(), VirtualMachine::new("completed", 1));
    let disk = Disk::hasty(cluster, "completed");
    let (successes, timed) = (ended(cluster, "success"), figure(cluster, TIMED));
    let nqn = migrate(cluster, &disk, &machine);

    disk.end(&machine, "a");
    disk.wait_until_detached("a");
    let start = format!("[{}]: Migration completed from node a to node b (duration: ", disk.handle);
    let completed = disk.wait_for_event("MigrationCompleted", &start);
    assert_eq!(completed.level, "Normal");
    let seconds = completed.message.strip_prefix(&start).and_then(|rest| rest.strip_suffix("s)")).unwrap();
    assert!(seconds.parse::<u64>().unwrap() < TIMEOUT.as_secs(), "{}", completed.message);
    assert_eq!((disk.exports(), disk.export_writes()), (vec![nqn], 0), "the target has it as before");
    assert_eq!((ended(cluster, "success"), active(cluster)), (successes + 1.0, 0.0));
    assert_eq!(figure(cluster, TIMED), timed + 1.0);

    disk.end(&machine, "b");
    disk.wait_until_detached("b");
    assert_eq!((disk.exports(), disk.export_writes()), (vec![], 1));
    disk.print_events();
}

#[test]
fn a_migration_whose_target_leaves_has_failed_and_its_source_is_not_touched() {
    let (cluster, machine) = (shared(), VirtualMachine::new("aborted", 2));
    let disk = Disk::hasty(cluster, "aborted");
    let failures = ended(cluster, "failed");
    let nqn = migrate(cluster, &disk, &machine);

    disk.end(&machine, "b");
    disk.wait_until_detached("b");
    let start = format!("[{}]: Migration failed from node a to node b: the target left after ", disk.handle);
    assert_eq!(disk.wait_for_event("MigrationFailed", &start).level, "Warning");
    assert_eq!((disk.exports(), disk.export_writes()), (vec![nqn.clone()], 0), "not even for a moment");
    assert_eq!((ended(cluster, "failed"), active(cluster)), (failures + 1.0, 0.0));

    // The next try joins what the source has had all the time.
    disk.launch(&machine, "c");
    assert_eq!(disk.wait_until_attached("c"), nqn);
    ["a", "c"].iter().for_each(|node| disk.end(&machine, node));
    ["a", "c"].iter().for_each(|node| disk.wait_until_detached(node));
    disk.print_events();
}

#[test]
fn a_migration_that_takes_too_long_is_said_once_and_nothing_is_torn() {
    let (cluster, machine) = (shared(), VirtualMachine::new("late", 3));
    let disk = Disk::hasty(cluster, "late");
    let nqn = migrate(cluster, &disk, &machine);
    let began = Instant::now();
    // Its deadline is in the record: another controller keeps it.
    cluster.pods[0].kill();
    cluster.pods[0].restart().unwrap();
    cluster.wait_for_leader().unwrap();
    assert_eq!(active(cluster), 1.0);

    let start = format!("[{}]: Migration failed from node a to node b: timed out after ", disk.handle);
    let failed = disk.wait_for_event("MigrationFailed", &start);
    assert!(began.elapsed() + Duration::from_secs(5) > TIMEOUT, "{:?}", began.elapsed());
    assert!(failed.message.ends_with("; both nodes keep the volume, and no third gets it"), "{failed:?}");
    assert_eq!(ended(cluster, "timeout"), 1.0);

    disk.launch(&machine, "c");
    let said = disk.wait_until_refused("c");
    assert!(said.contains("two nodes at most may share a volume"), "{said}");
    assert!(disk.is_attached("a") && disk.is_attached("b"));
    assert_eq!((disk.exports(), disk.export_writes()), (vec![nqn], 0));

    ["c", "a", "b"].iter().for_each(|node| disk.end(&machine, node));
    ["c", "a", "b"].iter().for_each(|node| disk.wait_until_detached(node));
    assert_eq!(disk.said("MigrationFailed"), [(failed.message, 1)]);
    assert_eq!(disk.said("MigrationCompleted"), []);
    assert_eq!((ended(cluster, "timeout"), active(cluster)), (1.0, 0.0));
    disk.print_events();
}

#[test]
fn a_hot_plugged_volume_follows_its_machine() {
    let (cluster, machine) = (shared(), VirtualMachine::new("plugged", 4));
    let disk = Disk::hasty(cluster, "plugged");
    disk.plug(&machine, "a");
    let nqn = disk.wait_until_attached("a");
    let stranger = VirtualMachine::new("stranger", 5);
    disk.plug(&stranger, "b");
    let said = disk.wait_until_refused("b");
    assert!(said.contains("only for the live migration of one virtual machine"), "{said}");
    disk.unplug(&stranger, "b");
    disk.wait_until_detached("b");

    disk.plug(&machine, "c");
    assert_eq!(disk.wait_until_attached("c"), nqn);
    disk.wait_for_event(
        "MigrationStarted",
        &format!("[{}]: Migration started from node a to node c", disk.handle),
    );
    for node in ["a", "c"] {
        disk.unplug(&machine, node);
        disk.wait_until_detached(node);
    }
    disk.wait_for_event(
        "MigrationCompleted",
        &format!("[{}]: Migration completed from node a to node c", disk.handle),
    );
    disk.print_events();
}
