//! Mounts whose device is gone, or is not the volume's any more.

use scenarios::{Attached, GuestCluster, Node, PodVolume};

use super::super::events::assert_is_of;
use super::super::pod;
use super::{PATH, wait_for, wait_for_word};

/// The kernel gives the connection up; the next pod comes while the device is out of reach.
pub(super) fn a_stale_mount_is_said_and_that_it_could_not_be_recovered(
    cluster: &GuestCluster,
    volume: &PodVolume,
) {
    let (node, made) = (cluster.node("a"), &volume.made);
    node.guest.sh(&format!("echo kept > {}/file && sync", Node::target(made))).unwrap();
    delete_controller(node, &volume.attached);
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

    the_next_pod_has_what_was_kept(node, volume);
}

/// Under a pod whose connection ended somebody connects the volume anew: what is mounted keeps the old number.
pub(super) fn another_device_behind_the_nqn_is_said_and_the_next_pod_has_it(
    cluster: &GuestCluster,
    volume: &PodVolume,
) {
    let (node, made) = (cluster.node("a"), &volume.made);
    let target = Node::target(made);
    let old = pod::mounted_number(node, &target);
    let options = options_of(node, &volume.attached);
    delete_controller(node, &volume.attached);
    node.guest.sh(&format!("echo {options} > /dev/nvme-fabrics")).unwrap();

    let word = format!("Stale mount detected - old device: {old}, new device: /dev/nvme");
    let stale = wait_for_word(cluster, "StaleMountDetected", "found", &word);
    assert!(stale.message.contains("cannot be healed under the pods"), "{stale:?}");
    assert!(stale.message.contains(&target), "{stale:?}");
    assert_is_of(cluster, &stale, "Normal", "found");
    let stats = node.csi.stats(made, &Node::staging(made), &target).unwrap();
    let condition = stats.volume_condition.unwrap();
    assert!(condition.abnormal && condition.message.contains(&old), "{condition:?}");

    node.csi.unpublish(made, &target).unwrap();
    the_next_pod_has_what_was_kept(node, volume);
    let new = pod::mounted_number(node, &target);
    assert_ne!(new, old);
    eprintln!("{old} became {new}: {}", stale.message);
}

fn the_next_pod_has_what_was_kept(node: &Node, PodVolume { made, attached, .. }: &PodVolume) {
    let target = Node::target(made);
    let served = testbed::wait_until("the next pod has the volume", PATH, || {
        let published = node.csi.publish(made, attached, &Node::staging(made), &target);
        Ok(published.inspect_err(|error| eprintln!("not yet: {error}")).ok())
    });
    served.unwrap();
    assert_eq!(node.guest.sh(&format!("cat {target}/file")).unwrap(), "kept");
}

/// As `nvme disconnect` does.
fn delete_controller(node: &Node, attached: &Attached) {
    node.guest.sh(&format!("echo 1 > {}/delete_controller", controller(attached))).unwrap();
}

/// What `nvme connect` would have to be told to do as the driver did.
fn options_of(node: &Node, attached: &Attached) -> String {
    let context = |key: &str| &attached.context[key];
    let (nqn, address, port) = (context("nvme_nqn"), context("nvme_address"), context("nvme_port"));
    let read = format!("cd {} && echo hostnqn=$(cat hostnqn),hostid=$(cat hostid)", controller(attached));
    let host = node.guest.sh(&read).unwrap();
    format!("nqn={nqn},transport=tcp,traddr={address},trsvcid={port},{host},reconnect_delay=2")
}

/// Where sysfs has the volume's controller, for a shell.
fn controller(attached: &Attached) -> String {
    format!("$(dirname $(grep -lx {} /sys/class/nvme/*/subsysnqn))", attached.context["nvme_nqn"])
}
