//! One claim's whole life in a Kubernetes cluster, a line a step, and the Events that it made.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use microvm::Kernel;
use scenarios::{ClusterOptions, GuestCluster, Node, PodVolume, Steps};
use testbed::objects::Usage;

/// What is written on node a and read on node b.
const PAYLOAD_MIB: u64 = 24;

fn main() -> Result<ExitCode> {
    Steps::demo(run)
}

/// Every step; a failed one ends the life, since the next would prove nothing.
fn run(kernel: Kernel, steps: &mut Steps) -> Option<()> {
    let boot = format!(
        "start a Kubernetes control plane, and rds-csi with its sidecars; boot an RDS and nodes a and b on Linux {}",
        kernel.version()
    );
    let cluster =
        steps.step(&boot, || GuestCluster::boot(kernel, &["a", "b"], &ClusterOptions::default()))?;
    steps.step("PVC of 256 MiB: external-provisioner makes its PV", || {
        cluster.provision("data", "256Mi", Usage::FILESYSTEM)
    })?;
    let on_a = attach(&cluster, "first", "a", steps)?;
    let checksum = write_on_a(&cluster, &on_a, steps)?;
    end(&cluster, "first", "a", &on_a, steps)?;
    let on_b = attach(&cluster, "second", "b", steps)?;
    mount_on_b(&cluster, &on_b, &checksum, steps)?;
    end(&cluster, "second", "b", &on_b, steps)?;
    delete(&cluster, &on_b, steps)?;
    let events = steps.step("kubectl get events: each side has said what happened", || events(&cluster))?;
    println!("\n{}\n", events.trim_end());
    Some(())
}

fn attach(cluster: &GuestCluster, pod: &str, node: &str, steps: &mut Steps) -> Option<PodVolume> {
    let line = format!(
        "pod {pod} is bound to node {node}: the attach/detach controller makes a VolumeAttachment, external-attacher \
         calls ControllerPublish"
    );
    steps.step(&line, || {
        let volume = cluster.admit_pod(pod, node, "data")?;
        let nqn = volume.attached.context.get("nvme_nqn").cloned().unwrap_or_default();
        let exports = cluster.rds.exports()?;
        ensure!(exports == [nqn.clone()], "the target exports {exports:?}, the VolumeAttachment says {nqn}");
        Ok(volume)
    })
}

fn write_on_a(cluster: &GuestCluster, volume: &PodVolume, steps: &mut Steps) -> Option<String> {
    let (node, kubelet) = (cluster.node("a"), cluster.kubelet("a"));
    let target = steps.step("NodeStage and NodePublish on a: connected, formatted, mounted", || {
        let target = kubelet.mount(volume)?;
        cluster.control_plane.set_pod_phase("first", "Running")?;
        anyhow::Ok(target)
    })?;
    let write = format!("dd if=/dev/urandom of={target}/payload bs=1M count={PAYLOAD_MIB} conv=fsync 2>&1");
    steps.step(&format!("write {PAYLOAD_MIB} MiB on a, checksum"), || {
        node.guest.sh(&write)?;
        sum(node, &target)
    })
}

fn mount_on_b(cluster: &GuestCluster, volume: &PodVolume, checksum: &str, steps: &mut Steps) -> Option<()> {
    let kubelet = cluster.kubelet("b");
    steps.step("the RDS's data link is cut: NodeStage on b fails, nothing is left of it", || {
        cluster.rds.guest.link().cut();
        let tried = kubelet.mount(volume);
        cluster.rds.guest.link().restore();
        ensure!(tried.is_err(), "staged over a link that was cut");
        let left = cluster.node("b").subsystems()?;
        ensure!(left.is_empty(), "node b has {left:?}");
        Ok(())
    })?;
    steps.step("the link is back, and kubelet's retry mounts it on b: the same checksum", || {
        let target = kubelet.mount(volume)?;
        cluster.control_plane.set_pod_phase("second", "Running")?;
        let there = sum(cluster.node("b"), &target)?;
        ensure!(there == checksum, "{checksum} became {there}");
        Ok(())
    })
}

fn end(cluster: &GuestCluster, pod: &str, node: &str, volume: &PodVolume, steps: &mut Steps) -> Option<()> {
    let line = format!(
        "pod {pod} deleted: synced, unmounted, disconnected on {node}; VolumeAttachment gone, export closed"
    );
    steps.step(&line, || {
        cluster.end_pod(pod, node, volume)?;
        let (left, exports) = (cluster.node(node).subsystems()?, cluster.rds.exports()?);
        ensure!(left.is_empty() && exports.is_empty(), "left: {left:?} on {node}, exported {exports:?}");
        Ok(())
    })
}

fn delete(cluster: &GuestCluster, volume: &PodVolume, steps: &mut Steps) -> Option<()> {
    steps
        .step("PVC deleted: its PV goes, and with it the volume", || cluster.delete_claim("data", volume))?;
    steps.step("nothing is left: no image, no export, no NVMe subsystem, no mount", || {
        let (images, exports) = (cluster.rds.images()?, cluster.rds.exports()?);
        ensure!(images.is_empty() && exports.is_empty(), "on the RDS: {images:?} {exports:?}");
        cluster.nodes.iter().try_for_each(nothing_left)
    })
}

fn nothing_left(node: &Node) -> Result<()> {
    let (subsystems, mounts) = (node.subsystems()?, node.guest.sh("grep nvme /proc/self/mountinfo; true")?);
    ensure!(subsystems.is_empty() && mounts.is_empty(), "on {}: {subsystems:?} {mounts}", node.guest.name());
    Ok(())
}

/// All that there are, in the order in which they came; the driver's own have to be there.
fn events(cluster: &GuestCluster) -> Result<String> {
    for reason in ["StartupReconciliation", "VolumeAttached", "ConnectionFailure", "VolumeDetached"] {
        cluster.control_plane.wait_for_event(reason, GuestCluster::SOON, |_| true)?;
    }
    Ok(cluster.control_plane.kubectl(&["get", "events", "-A", "--sort-by=.metadata.creationTimestamp"])?)
}

fn sum(node: &Node, target: &str) -> Result<String> {
    Ok(node.guest.sh(&format!("sha256sum < {target}/payload"))?)
}
