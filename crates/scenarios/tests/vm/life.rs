//! A volume's whole life, for every use.

use std::time::Duration;

use microvm::{Kernel, MIB};
use scenarios::{Node, Shape, System};

use super::{on_each_kernel, shared, wait_until};

on_each_kernel!(
    a_volume_of_every_kind_lives_from_creation_to_nothing_left,
    a_second_node_is_refused_while_the_first_holds_the_volume,
);

fn a_volume_of_every_kind_lives_from_creation_to_nothing_left(kernel: Kernel) {
    let system = shared(kernel);
    let system = system.as_ref().unwrap();
    for shape in [Shape::filesystem("ext4"), Shape::filesystem("xfs"), Shape::block()] {
        let name = shape.fs.unwrap_or("block");
        let made = system.create(name, 320 * MIB, &shape).unwrap();
        let (first, target) = system.start_pod(&made, "a").unwrap();
        let file = if shape.fs.is_some() { format!("{target}/data") } else { target.clone() };
        let node = system.node("a");
        node.guest
            .sh(&format!("dd if=/dev/urandom of={file} bs=1M count=8 conv=fsync,notrunc 2>/dev/null"))
            .unwrap();
        let written = node.guest.sh(&format!("head -c 8388608 {file} | sha256sum")).unwrap();
        let stats = node.csi.stats(&made, &Node::staging(&made), &target).unwrap();
        assert!(stats.usage.iter().any(|usage| usage.total > 200 * 1024 * 1024), "{name}: {stats:?}");
        system.end_pod(&made, "a").unwrap();
        assert_eq!(node.subsystems().unwrap(), [""; 0], "{name}: node a is disconnected");

        let (second, _) = system.start_pod(&made, "b").unwrap();
        assert_ne!(first.context["nvme_nqn"], second.context["nvme_nqn"], "{name}: a fresh generation");
        let read = system.node("b").guest.sh(&format!("head -c 8388608 {file} | sha256sum")).unwrap();
        assert_eq!(read, written, "{name}");
        system.end_pod(&made, "b").unwrap();
        system.csi().delete(&made.volume.volume_id).unwrap();
        assert_nothing_left(system, name);
    }
}

fn a_second_node_is_refused_while_the_first_holds_the_volume(kernel: Kernel) {
    let system = shared(kernel);
    let system = system.as_ref().unwrap();
    let made = system.create("one-writer", 64 * MIB, &Shape::filesystem("ext4")).unwrap();
    let (attached, target) = system.start_pod(&made, "a").unwrap();
    let refused = system.csi().attach(&made, "b").unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition, "{refused}");
    assert!(refused.message().contains('a'), "it names the holder: {refused}");
    assert_eq!(system.csi().attach(&made, "a").unwrap(), attached, "a retry gets the same context");
    system.node("a").guest.sh(&format!("echo still-writing > {target}/file && sync")).unwrap();
    let held = system.csi().delete(&made.volume.volume_id).unwrap_err();
    assert_eq!(held.code(), tonic::Code::FailedPrecondition, "{held}");
    system.end_pod(&made, "a").unwrap();
    system.csi().delete(&made.volume.volume_id).unwrap();
}

/// Helpers end after two idle seconds; guests are slow.
const IDLE_HELPERS_END: Duration = Duration::from_secs(20);

fn assert_nothing_left(system: &System, name: &str) {
    assert_eq!(system.rds.images().unwrap(), [""; 0], "{name}: images");
    assert_eq!(system.rds.exports().unwrap(), [""; 0], "{name}: exports");
    for node in &system.nodes {
        assert_eq!(node.subsystems().unwrap(), [""; 0], "{name}: subsystems of {}", node.guest.name());
        let mounts =
            node.guest.sh("grep -e nvme -e kubernetes.io/csi -e /pods/ /proc/self/mountinfo; true").unwrap();
        assert_eq!(mounts, "", "{name}: mounts of {}", node.guest.name());
        // The driver is looked for as well: a list that shows nothing would prove nothing. The
        // brackets keep the words of this very command from being found.
        let no_helpers = "ps -o args > /tmp/ps && grep -q '[r]ds-csi node' /tmp/ps && ! grep -q '[r]ds-csi helper' /tmp/ps";
        wait_until(&node.guest, no_helpers, IDLE_HELPERS_END);
    }
}
