//! The node plugin is upgraded by helm below running pods, which write on; once more while the device ends no write and
//! a helper of the old plugin hangs in the kernel.

use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use scenarios::{STORAGE_CLASS, Steps, WholeCluster, shell_pod};
use testbed::objects::{self, Usage};
use testbed::wait_until;

use crate::reasons::{COMES_AND_GOES, Reasons};
use crate::writer;

/// What is said of it. A device that ends no write for the kernel's 30 s is a path that was lost; where its target holds up
/// the new connection as well (6.1), it is an outage that lasts.
pub(crate) const SAYS: Reasons =
    Reasons { perhaps: &["ConnectionFailure", "ConnectionRecovery"], ..COMES_AND_GOES };

/// Writes all the while.
const WRITER: &str = "upgraded";
/// Is deleted while no write ends, with bytes that are not on the device.
const STUCK: &str = "upgraded-stuck";
/// Longer than anything here waits.
const FOR_EVER: Duration = Duration::from_secs(3600);
/// A helper that cannot be killed must not hold up the plugin's successor: so soon it serves again.
const SERVES: Duration = Duration::from_secs(30);

pub(crate) fn told(cluster: &WholeCluster, steps: &mut Steps) -> Option<()> {
    steps.step("two PVCs are bound, their pods run on a, one writes", || {
        for (name, script) in [(WRITER, writer::script(WRITER)), (STUCK, "true".to_owned())] {
            cluster.bind(&objects::claim(name, STORAGE_CLASS, "64Mi", Usage::FILESYSTEM))?;
            cluster.run_pod(&shell_pod(name, "a", &[name], &script))?;
        }
        writer::wait_for_lines(cluster, WRITER, 3)
    })?;
    let usual =
        steps.step("helm upgrade: another pod of the plugin serves on a", || upgrade(cluster, "first"))?;
    steps.step("the pod has written on", || still_writes(cluster))?;
    let held_up = while_one_hangs(cluster, steps, usual);
    let released = cluster.rds.delay_writes(Duration::ZERO);
    held_up?;
    steps.step(
        "writes end: the pod writes on, the deleted one's volume is detached, nothing hangs",
        || {
            released?;
            still_writes(cluster)?;
            let volume = cluster.volume_of(STUCK)?;
            cluster.control_plane.wait_until_detached(&volume, "a", WholeCluster::SOON)?;
            let left = stuck(cluster)?;
            ensure!(left.is_empty(), "it hangs still: {left:?}");
            Ok(())
        },
    )?;
    steps.step("pod and PVCs deleted: nothing of them is on the RDS", || {
        cluster.end_pod(WRITER)?;
        cluster.wait_until_all_detached()?;
        [WRITER, STUCK].iter().try_for_each(|claim| cluster.delete_claim(claim))
    })
}

fn while_one_hangs(cluster: &WholeCluster, steps: &mut Steps, usual: Duration) -> Option<()> {
    let helper = steps.step(
        "the device ends no write; a pod with unwritten bytes is deleted: a helper hangs in the kernel",
        || {
            cluster.rds.delay_writes(FOR_EVER)?;
            cluster.exec(STUCK, &format!("dd if=/dev/urandom of=/{STUCK}/late bs=64k count=1"))?;
            cluster.admin().run(&["delete", "pod", STUCK, "--wait=false"])?;
            Ok::<_, anyhow::Error>(wait_until("a helper in D on a", WholeCluster::SOON, || {
                Ok(stuck(cluster).unwrap_or_default().pop_first())
            })?)
        },
    )?;
    steps.step("helm upgrade: another pod of the plugin serves on a all the same", || {
        let time = upgrade(cluster, "second")?;
        let now = stuck(cluster)?;
        ensure!(now.contains(&helper), "{helper} hung, and now {now:?}: nothing was proven");
        println!("without a pod that is ready: {usual:.1?}, and {time:.1?} with a helper that hangs");
        ensure!(time <= SERVES, "it took {time:?}, and {usual:?} with no helper that hangs");
        Ok(())
    })
}

/// Gives the nodes' pods another annotation, and nothing else; answers how long a was without a pod that is ready.
fn upgrade(cluster: &WholeCluster, round: &str) -> Result<Duration> {
    let old = cluster.driver_pod("a")?;
    let (upgraded, time) = thread::scope(|scope| {
        let annotation = format!("node.podAnnotations.round={round}");
        let helm = scope.spawn(move || cluster.release.upgrade(&["--set-string", &annotation]));
        let time = cluster.wait_for_successor("a", &old);
        (helm.join().unwrap_or_else(|panic| resume_unwind(panic)), time)
    });
    upgraded?;
    let new = cluster.driver_pod("a")?;
    cluster.log_of(&new)?.find("serving").with_context(|| format!("{new} does not say that it serves"))?;
    time
}

/// Helpers on a that wait in the kernel where nobody can kill them, each by its process and what it was started as. For a
/// moment every process does: those are meant that do so in two looks.
fn stuck(cluster: &WholeCluster) -> Result<BTreeSet<String>> {
    let look = "for look in first second; do for process in /proc/[0-9]*; do \
                grep -q '^State:.D' $process/status 2>/dev/null && \
                echo $process $(tr '\\0' ' ' <$process/cmdline 2>/dev/null); done; sleep 2; done; true";
    let found = cluster.node("a").guest.sh(look)?;
    let helpers = found.lines().filter(|line| line.contains("rds-csi helper")).map(str::to_owned);
    let mut once = BTreeSet::new();
    Ok(helpers.filter(|helper| !once.insert(helper.clone())).collect())
}

/// It was never restarted, goes on, and every line is there.
fn still_writes(cluster: &WholeCluster) -> Result<()> {
    let last = writer::wait_for_lines(cluster, WRITER, 3)?;
    let writers = writer::check(cluster, WRITER, WRITER, last)?;
    ensure!(writers == [WRITER], "written by {writers:?}");
    let restarts = "jsonpath={.status.containerStatuses[0].restartCount}";
    let restarts = cluster.admin().run(&["get", "pod", WRITER, "-o", restarts])?;
    ensure!(restarts == "0", "it was restarted {restarts} times");
    Ok(())
}
