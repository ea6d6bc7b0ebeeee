//! Events as fast as refused calls bring them, and what they cost those calls.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use microvm::MIB;
use scenarios::{Cluster, Csi, Made, Shape};
use testbed::wait_until;
use tonic::Code;

use super::api::Api;
use super::{sample, volumes};
use crate::report::Report;

/// Who calls at once, each about a volume of its own.
const CALLERS: usize = 4;
/// Calls of each, and so events: together fewer than may wait, so that none is dropped however slow posting is.
const CALLS: usize = 150;
/// What waits is posted in seconds; a busy machine gets many times that.
const POSTED: Duration = Duration::from_secs(120);
/// The series of what was posted.
const SERIES: &str = "rds_csi_events_posted_total{reason=\"AttachmentConflict\"}";

/// Measures a storm of calls where each is told, between two that are refused silently (volumes without a claim): what
/// drifts in the machine's speed drifts in both.
pub(super) fn measure(report: &mut Report, cluster: &Cluster, api: &Api) -> Result<()> {
    let pod = &cluster.pods[0];
    let csi = &pod.controller.csi;
    cluster.add_node("holder")?;
    cluster.add_node("refused")?;
    let silent = contested(csi, api, "silent", false)?;
    let told = contested(csi, api, "told", true)?;
    let silently = timed_storm(csi, &silent)?;
    // Once each, until the watch has brought the claims.
    wait_until("the claims are known", POSTED, || {
        storm(csi, &told, 1).map_err(|error| testbed::Error::Tools(error.to_string()))?;
        Ok(posted(cluster).filter(|posted| *posted >= CALLERS as f64))
    })?;
    let before = settled(cluster)?;
    let first = Instant::now();
    let telling = timed_storm(csi, &told)?;
    let all = before + (CALLERS * CALLS) as f64;
    let waiting = all - sample(pod, SERIES)?;
    wait_until("all is posted", POSTED, || Ok(posted(cluster).filter(|posted| *posted >= all)))?;
    let rate = (CALLERS * CALLS) as f64 / first.elapsed().as_secs_f64();
    let silently = (silently + timed_storm(csi, &silent)?) / 2;
    let lost = sample(pod, "rds_csi_events_dropped_total{cause=\"QueueFull\"}")?;
    ensure!(lost == 0.0, "{lost} events found the queue full");
    report.tell("events posted, none dropped", rate, "per s");
    report.tell("events that waited when the last call had ended", waiting, "events");
    let cost = telling.as_secs_f64() / silently.as_secs_f64();
    report.tell(&format!("{} refused calls, each with an event / silent", CALLERS * CALLS), cost, "x");
    Ok(())
}

/// Volumes that one node holds, so that any other is refused.
fn contested(csi: &Csi, api: &Api, name: &str, has_claim: bool) -> Result<Vec<Made>> {
    let make = |number| {
        let made = csi.create(&format!("{name}-{number}"), i64::try_from(64 * MIB)?, &Shape::block())?;
        let id = &made.volume.volume_id;
        let claim = has_claim.then_some(id.as_str());
        api.write(&[volumes::persistent_volume(id, claim)])?;
        api.write(&[volumes::wanted(id, "holder")])?;
        csi.attach(&made, "holder")?;
        Ok(made)
    };
    (0..CALLERS).map(make).collect()
}

fn timed_storm(csi: &Csi, volumes: &[Made]) -> Result<Duration> {
    let start = Instant::now();
    storm(csi, volumes, CALLS)?;
    Ok(start.elapsed())
}

/// All callers at once, each with its volume.
fn storm(csi: &Csi, volumes: &[Made], calls: usize) -> Result<()> {
    std::thread::scope(|scope| {
        let caller = |made| scope.spawn(move || (0..calls).try_for_each(|_| refused(csi, made)));
        let callers: Vec<_> = volumes.iter().map(caller).collect();
        callers.into_iter().try_for_each(|caller| caller.join().map_err(|_| anyhow!("a caller panicked"))?)
    })
}

/// One call that is refused for the holder.
fn refused(csi: &Csi, made: &Made) -> Result<()> {
    let status = csi.attach(made, "refused").err().context("a held volume went to another node")?;
    ensure!(status.code() == Code::FailedPrecondition, "{status}");
    Ok(())
}

fn posted(cluster: &Cluster) -> Option<f64> {
    sample(&cluster.pods[0], SERIES).ok()
}

/// How many were posted, when nothing waits any more: each of the calls before has left one.
fn settled(cluster: &Cluster) -> Result<f64> {
    let mut last = f64::NAN;
    Ok(wait_until("nothing waits to be posted", POSTED, || {
        std::thread::sleep(Duration::from_secs(1));
        let now = posted(cluster);
        let same = now.filter(|now| *now == last);
        last = now.unwrap_or(f64::NAN);
        Ok(same)
    })?)
}
