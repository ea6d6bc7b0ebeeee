//! Many raw volumes of one node, called for side by side or one after the other.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use microvm::{Kernel, MIB};
use scenarios::{Attached, Csi, Made, Node, Options, Shape, System};
use tonic::Status;

/// The node that has them all.
pub(super) const NODE: &str = "a";

/// A hundred such fit well into the device's pool of 6 GiB.
const BYTES: u64 = 16 * MIB;

/// A volume, attached.
pub(super) type Volume = (Made, Attached);

/// A device and that one node.
pub(super) fn boot() -> Result<System> {
    System::boot(Kernel::V6_12, &[NODE], &Options::default())
}

/// Makes so many, attaches them, and makes their staging directories as the kubelet does.
pub(super) fn attach(system: &System, count: usize) -> Result<Vec<Volume>> {
    let start = Instant::now();
    let attach = |number| {
        let made = system.create(&format!("one-of-many-{number}"), BYTES, &Shape::block())?;
        let attached = system.csi().attach(&made, NODE)?;
        anyhow::Ok((made, attached))
    };
    let volumes = (0..count).map(attach).collect::<Result<Vec<_>>>()?;
    let paths: Vec<_> = volumes.iter().map(|(made, _)| Node::staging(made)).collect();
    system.node(NODE).guest.sh(&format!("mkdir -p {}", paths.join(" ")))?;
    println!("made and attached {count} volumes in {:.1} s", start.elapsed().as_secs_f64());
    Ok(volumes)
}

/// How calls for each volume went.
pub(super) struct Outcome {
    /// From the first call's begin to the last one's end.
    pub(super) took: Duration,
    pub(super) failures: Vec<Status>,
}

impl Outcome {
    /// How long it took, where nothing failed.
    pub(super) fn time(self) -> Result<Duration> {
        let failed = self.failures.len();
        ensure!(failed == 0, "{failed} calls failed, the first with {}", self.failures[0]);
        Ok(self.took)
    }
}

/// Stages them all, each in a thread of its own.
pub(super) fn stage_at_once(node: &Node, volumes: &[Volume]) -> Outcome {
    let csi = node.csi.over_one_connection();
    at_once(volumes, |volume| stage(&csi, volume))
}

/// Stages one after the other.
pub(super) fn stage_in_a_row(node: &Node, volumes: &[Volume]) -> Outcome {
    let (start, csi) = (Instant::now(), node.csi.over_one_connection());
    let failures = volumes.iter().filter_map(|volume| stage(&csi, volume).err()).collect();
    Outcome { took: start.elapsed(), failures }
}

/// Unstages them all, each in a thread of its own.
pub(super) fn unstage_at_once(node: &Node, volumes: &[Volume]) -> Outcome {
    let csi = node.csi.over_one_connection();
    at_once(volumes, |(made, _)| csi.unstage(made, &Node::staging(made)))
}

fn stage(csi: &Csi, (made, attached): &Volume) -> Result<(), Status> {
    csi.stage(made, attached, &Node::staging(made))
}

fn at_once(volumes: &[Volume], call: impl Fn(&Volume) -> Result<(), Status> + Sync) -> Outcome {
    let (start, call) = (Instant::now(), &call);
    let failures = thread::scope(|scope| {
        let threads: Vec<_> = volumes.iter().map(|volume| scope.spawn(move || call(volume))).collect();
        let ended = threads.into_iter().map(|thread| {
            thread.join().unwrap_or_else(|_| Err(Status::internal("the client's thread panicked")))
        });
        ended.filter_map(Result::err).collect()
    });
    Outcome { took: start.elapsed(), failures }
}
