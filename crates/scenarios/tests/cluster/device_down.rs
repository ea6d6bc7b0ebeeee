//! The device is away, its management and its data, while claims are made and a pod is deleted: nothing is lost, and
//! all is settled after its return.

use anyhow::ensure;
use scenarios::{STORAGE_CLASS, Steps, WholeCluster, shell_pod};
use testbed::objects::{self, Usage};

use crate::reasons::{Reasons, Said};
use crate::said;
use crate::writer;

const NEW: [&str; 3] = ["down-new-0", "down-new-1", "down-new-2"];

/// Reasons of the Events that it makes.
pub(crate) const SAYS: Reasons = Reasons::just(&[
    "VolumeAttached",
    "VolumeDetached",
    "RDSDisconnected",
    "RDSReconnected",
    "ConnectionFailure",
    "ConnectionRecovery",
]);

pub(crate) fn told(cluster: &WholeCluster, steps: &mut Steps) -> Option<()> {
    steps.step("two PVCs are bound, pods on a and b write to them", || {
        for (name, node) in [("down-ends", "a"), ("down-stays", "b")] {
            cluster.bind(&objects::claim(name, STORAGE_CLASS, "64Mi", Usage::FILESYSTEM))?;
            cluster.run_pod(&shell_pod(name, node, &[name], &writer::script(name)))?;
        }
        writer::wait_for_lines(cluster, "down-stays", 3)
    })?;
    let before = steps.step("what was said until now is read", || Said::so_far(cluster))?;
    let ended_at = steps.step("the device is away: management is dead, the data link is cut", || {
        let written = writer::wait_for_lines(cluster, "down-ends", 3)?;
        cluster.rds.stop_simulator();
        cluster.rds.guest.link().cut();
        anyhow::Ok(written)
    })?;
    let told = away(cluster, steps, &before);
    steps.step("the device is back", || {
        cluster.rds.guest.link().restore();
        cluster.rds.start_simulator()
    })?;
    told?;
    settled(cluster, steps, &before, ended_at)?;
    deleted(cluster, steps)
}

fn away(cluster: &WholeCluster, steps: &mut Steps, before: &Said) -> Option<()> {
    let lost = steps.step("event: RDSDisconnected on the leader's Pod", || {
        before.of_controller(cluster, ("Warning", "RDSDisconnected"), " lost: ")
    })?;
    println!("{lost}");
    steps.step("three PVCs are made, the pod on a is deleted", || {
        let all = NEW.map(|name| objects::claim(name, STORAGE_CLASS, "16Mi", Usage::FILESYSTEM));
        cluster.admin().create(&objects::list(all.to_vec()))?;
        cluster.admin().run(&["delete", "pod", "down-ends", "--wait=false"])
    })?;
    steps.step("no PVC is bound, and each says why", || {
        for claim in NEW {
            cluster.control_plane.wait_for_event("ProvisioningFailed", WholeCluster::SOON, |event| {
                event.name == claim && event.level == "Warning"
            })?;
            let phase = cluster.admin().run(&["get", "pvc", claim, "-o", "jsonpath={.status.phase}"])?;
            ensure!(phase == "Pending", "{claim} is {phase}");
        }
        Ok(())
    })?;
    steps.step("what the pod on a had written is not given up: its volume stays attached", || {
        let volume = cluster.volume_of("down-ends")?;
        let attachment = cluster.control_plane.attachment(&volume, "a")?;
        ensure!(attachment.is_some(), "{volume} was detached from a, which cannot have synced it");
        Ok(())
    })
}

fn settled(cluster: &WholeCluster, steps: &mut Steps, before: &Said, ended_at: u64) -> Option<()> {
    steps.step("event: RDSReconnected", || {
        before.of_controller(cluster, ("Normal", "RDSReconnected"), " restored after ")
    })?;
    steps.step("the three PVCs are bound, and a pod runs with one of them", || {
        for claim in NEW {
            cluster.control_plane.wait_until_bound(claim, WholeCluster::SOON)?;
        }
        cluster.run_pod(&shell_pod(NEW[0], "a", &[NEW[0]], "true"))?;
        cluster.end_pod(NEW[0])
    })?;
    steps.step("the deleted pod is gone, and its volume detached", || {
        cluster.admin().wait(&["pod/down-ends", "--for=delete"], WholeCluster::SOON)?;
        let volume = cluster.volume_of("down-ends")?;
        cluster.control_plane.wait_until_detached(&volume, "a", WholeCluster::SOON)?;
        said::detached(cluster, "down-ends", "a")
    })?;
    steps.step("events: the pod on b had lost its connection, and has it again", || {
        for (level, reason) in [("Warning", "ConnectionFailure"), ("Normal", "ConnectionRecovery")] {
            said::of_claim(
                cluster,
                "down-stays",
                (level, reason, said::NODE),
                &["] on [b]: Connection to "],
            )?;
        }
        anyhow::Ok(())
    })?;
    steps.step("the pod on b goes on writing; none of its lines is lost", || {
        let last = writer::wait_for_lines(cluster, "down-stays", 3)?;
        writer::check(cluster, "down-stays", "down-stays", last)
    })?;
    steps.step("nor one of the pod that was deleted", || {
        cluster.run_pod(&shell_pod("down-reads", "b", &["down-ends"], "true"))?;
        writer::check(cluster, "down-reads", "down-ends", ended_at)
    })?;
    Some(())
}

fn deleted(cluster: &WholeCluster, steps: &mut Steps) -> Option<()> {
    steps.step("pods and PVCs deleted: nothing of them is on the RDS", || {
        cluster.end_pod("down-reads")?;
        cluster.end_pod("down-stays")?;
        cluster.wait_until_all_detached()?;
        ["down-ends", "down-stays"].iter().chain(&NEW).try_for_each(|claim| cluster.delete_claim(claim))
    })
}
