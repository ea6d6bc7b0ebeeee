//! ControllerPublishVolume and ControllerUnpublishVolume with the API server in the path, against the same without.

use std::time::Duration;

use anyhow::Result;
use microvm::MIB;
use scenarios::{Cluster, Csi, Made, Shape};

use super::api::Api;
use super::volumes;
use crate::calls::timed;
use crate::device::{self, Device};
use crate::report::{Report, median_ratio};

/// Alternating pairs: enough for a median on a shared machine.
const PAIRS: usize = 15;
/// The node's name, on both sides.
const NODE: &str = "a";

/// Publish and unpublish.
type Times = (Duration, Duration);

/// Measures at 0 and 20 ms of device time.
pub(super) fn measure(report: &mut Report, cluster: &Cluster, api: &Api) -> Result<()> {
    let with = &cluster.pods[0].controller.csi;
    // A device of its own: two controllers of one cluster would look after each other's attachments.
    let device = Device::start(&[])?;
    let without = device.controller()?;
    cluster.add_node(NODE)?;
    for millis in [0, 20] {
        let (own, others) = (make(with, millis)?, make(&without.csi, millis)?);
        let claims = own.iter().map(|made| {
            let volume = &made.volume.volume_id;
            volumes::persistent_volume(volume, Some(volume))
        });
        api.write(&claims.collect::<Vec<_>>())?;
        device::slow_down(&cluster.device, millis)?;
        device.slow_down(millis)?;
        let pairs =
            own.iter().zip(&others).map(|(own, other)| Ok((round(with, own)?, round(&without.csi, other)?)));
        let pairs = pairs.collect::<Result<Vec<(Times, Times)>>>()?;
        device::slow_down(&cluster.device, 0)?;
        device.slow_down(0)?;
        tell(report, millis, &pairs);
    }
    Ok(())
}

/// Fresh volumes: without Kubernetes no detach is proven, and a volume's next publish would settle first.
fn make(csi: &Csi, millis: u64) -> Result<Vec<Made>> {
    let size = i64::try_from(64 * MIB)?;
    let create = |round| Ok(csi.create(&format!("publish-{millis}-{round}"), size, &Shape::block())?);
    (0..=PAIRS).map(create).collect()
}

fn round(csi: &Csi, made: &Made) -> Result<Times> {
    let (_, publish) = timed(|| csi.attach(made, NODE))?;
    let (_, unpublish) = timed(|| csi.detach(made, NODE))?;
    Ok((publish, unpublish))
}

fn tell(report: &mut Report, millis: u64, pairs: &[(Times, Times)]) {
    // The first round is thrown away: connections are warm after it.
    let pairs = &pairs[1..];
    let publish: Vec<_> = pairs.iter().map(|(with, without)| (with.0, without.0)).collect();
    let unpublish: Vec<_> = pairs.iter().map(|(with, without)| (with.1, without.1)).collect();
    for (call, pairs) in [("ControllerPublishVolume", publish), ("ControllerUnpublishVolume", unpublish)] {
        let name = format!("{call} with the API server / without, device {millis}ms");
        report.tell(&name, median_ratio(&pairs), "x");
    }
}
