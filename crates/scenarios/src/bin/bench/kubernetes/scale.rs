//! A start with 10,000 attachments on 500 nodes: the time, the memory, and what a PersistentVolume costs while it is
//! only watched.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use scenarios::{CLUSTER_ID, Cluster, ControllerPod};
use serde_json::Value;
use testbed::{objects, wait_until};
use volume::{ClusterId, Slot};

use super::api::{Api, Write};
use super::sample;
use super::volumes::{self, Held};
use crate::device;
use crate::listing::memory_mib;
use crate::report::Report;

/// Attachments, and volumes.
const VOLUMES: usize = 10_000;
/// Nodes that hold them.
const NODES: usize = 500;
/// Nodes that hold nothing. Each that is deleted calls for a pass of the reconciler; one that meets the reading of the
/// figures waits for it at the device, which serves one request after another, so that one alone tells little.
const SPARES: [&str; 5] = ["spare-a", "spare-b", "spare-c", "spare-d", "spare-e"];
/// PersistentVolumes of the first of two looks at memory.
const FEW: usize = 1_000;
/// A leader is there when the Lease of the one before has run out, and has read everything.
const READY: Duration = Duration::from_secs(120);
/// After this long a process that has nothing to do is idle.
const IDLE_AFTER: Duration = Duration::from_secs(5);
/// Told by what the reconciler did since the start.
const PASSES: &str = "rds_csi_attachment_operation_duration_seconds_count{operation=\"reconcile\"}";
/// Seconds of all of them.
const PASSES_TOOK: &str = "rds_csi_attachment_operation_duration_seconds_sum{operation=\"reconcile\"}";

/// Fills the cluster, and starts its controller thrice.
pub(super) fn measure(report: &mut Report, cluster: &Cluster, api: &Api) -> Result<()> {
    let pod = &cluster.pods[0];
    let [scheduler, controller_manager, _, _] = cluster.control_plane.processes();
    // They would write to each object that is made here.
    scheduler.kill();
    controller_manager.kill();
    pod.controller.process.kill();
    let cluster_id = ClusterId::parse(CLUSTER_ID)?;
    let name = |number: &usize| format!("scaled-{number}");
    let volumes: Vec<_> = (0..VOLUMES).collect();
    let persistent_volumes = |numbers: &[usize]| -> Vec<Write> {
        let slots = numbers.iter().map(|number| Slot::for_volume(&cluster_id, &name(number)));
        slots.map(|slot| volumes::persistent_volume(slot.as_str(), Some(slot.as_str()))).collect()
    };

    println!("making {VOLUMES} attachments on {NODES} nodes, with etcd and the API server");
    let (few, more) = volumes.split_at(FEW);
    fill(api, "PersistentVolumes", &persistent_volumes(few))?;
    let with_few = idle_memory(pod)?;
    pod.controller.process.kill();
    fill(api, "PersistentVolumes", &persistent_volumes(more))?;
    let with_all = idle_memory(pod)?;
    pod.controller.process.kill();
    let watched = (with_all - with_few) * 1024.0 * 1000.0 / more.len() as f64;
    report.tell("controller's resident memory per 1,000 watched PersistentVolumes", watched, "KiB");

    attach_all(cluster, api, &volumes.iter().map(name).collect::<Vec<_>>())?;
    pod.controller.crash_and_restart()?;
    pod.controller.wait_until_ready(READY)?;
    tell_rebuild(report, pod)?;
    // What else begins at a start reads the device too, which serves one after the other.
    std::thread::sleep(IDLE_AFTER);
    tell_reconcile(report, cluster)?;
    let peak = memory_mib(pod.controller.process_id(), "VmHWM")?;
    report.at_most(&format!("controller's peak resident memory, {}", about()), peak, "MiB", 48.0);
    Ok(())
}

fn fill(api: &Api, what: &str, writes: &[Write]) -> Result<Vec<Value>> {
    let start = Instant::now();
    let made = api.write(writes)?;
    println!("made {} {what} in {:.1} s", made.len(), start.elapsed().as_secs_f64());
    Ok(made)
}

/// Starts the controller and answers what it keeps, in MiB, when it has nothing more to do.
fn idle_memory(pod: &ControllerPod) -> Result<f64> {
    pod.controller.crash_and_restart()?;
    pod.controller.wait_until_ready(READY)?;
    std::thread::sleep(IDLE_AFTER);
    memory_mib(pod.controller.process_id(), "VmRSS")
}

/// Nodes, VolumeAttachments and exported disks for those volumes.
fn attach_all(cluster: &Cluster, api: &Api, volumes: &[String]) -> Result<()> {
    let node = |number| objects::node(&format!("worker-{number}.example.org"), "127.0.0.1");
    let nodes: Vec<_> = (0..NODES).map(|number| ("POST", "/api/v1/nodes".to_owned(), node(number))).collect();
    let nodes = fill(api, "Nodes", &nodes)?;
    api.write(&SPARES.map(|spare| ("POST", "/api/v1/nodes".to_owned(), objects::node(spare, "127.0.0.1"))))?;
    let by_node = volumes.iter().zip(nodes.iter().cycle());
    let held = by_node.clone().map(|(name, node)| Held::by(node, name)).collect::<Result<Vec<_>>>()?;
    let wanted = held.iter().zip(nodes.iter().cycle()).map(|(held, node)| {
        volumes::wanted(held.slot.as_str(), node["metadata"]["name"].as_str().unwrap_or_default())
    });
    let wanted = fill(api, "VolumeAttachments", &wanted.collect::<Vec<_>>())?;
    let attached = wanted.into_iter().zip(&held).map(|(object, held)| volumes::attached(object, &held.nqn));
    fill(api, "states of VolumeAttachments", &attached.collect::<Vec<_>>())?;

    let mut raw = device::raw(&cluster.device)?;
    let start = Instant::now();
    for held in &held {
        raw.send("PUT", "/rest/disk", Some(&held.disk()?))?;
    }
    println!("made {} disks in {:.1} s", held.len(), start.elapsed().as_secs_f64());
    Ok(())
}

/// What the figures are about.
fn about() -> String {
    format!("{VOLUMES} attachments, {NODES} nodes, real API server")
}

/// How long the rebuild took, as the controller says it.
fn tell_rebuild(report: &mut Report, pod: &ControllerPod) -> Result<()> {
    let said = format!("Rebuilt {VOLUMES} attachments of {VOLUMES} volumes in ");
    let log = pod.controller.log();
    let (_, after) = log.rsplit_once(&said).with_context(|| format!("no {said:?} in the log"))?;
    let (millis, done) = after.split_once("ms: ").context("a rebuild without its time")?;
    let nothing = "0 stale cleared, 0 exports closed, 0 restored";
    ensure!(done.starts_with(nothing), "what stands is left as it is, yet: {done}");
    report.at_most(&format!("rebuild, {}", about()), millis.parse::<f64>()? / 1000.0, "s", 1.0);
    Ok(())
}

/// How long a pass of the reconciler takes that a deleted node calls for: the median.
fn tell_reconcile(report: &mut Report, cluster: &Cluster) -> Result<()> {
    let mut took = SPARES.iter().map(|spare| pass(cluster, spare)).collect::<Result<Vec<_>>>()?;
    let failed = "attachments cannot be looked after now";
    ensure!(
        !cluster.pods[0].controller.log().contains(failed),
        "a pass of the reconciler failed: its time is none"
    );
    took.sort_by(f64::total_cmp);
    println!("passes of the reconciler took {took:.3?} s");
    report.at_most(&format!("reconcile, {}", about()), took[took.len() / 2], "s", 1.0);
    Ok(())
}

/// Deletes a node, and answers the seconds that the pass took.
fn pass(cluster: &Cluster, spare: &str) -> Result<f64> {
    let pod = &cluster.pods[0];
    let (before, took_before) = (sample(pod, PASSES)?, sample(pod, PASSES_TOOK)?);
    cluster.control_plane.delete_node(spare)?;
    let (passes, took) = wait_until("the reconciler has looked", READY, || {
        let read = |series| sample(pod, series).map_err(|error| testbed::Error::Tools(error.to_string()));
        let passes = read(PASSES)?;
        Ok((passes > before).then_some((passes - before, read(PASSES_TOOK)? - took_before)))
    })?;
    Ok(took / passes)
}
