//! A pod that writes numbered lines for ever, each on the device before the next: what is lost, or written by somebody
//! who had lost the volume, is seen in them.

use anyhow::{Context, Result, ensure};
use scenarios::WholeCluster;
use testbed::wait_until;

/// The script of a pod with the claim: it goes on where the last writer ended. What it prints is on the device.
pub(crate) fn script(claim: &str) -> String {
    format!(
        "i=$(wc -l 2>/dev/null </{claim}/log || echo 0); while :; do n=$((i + 1)); \
         if echo $n $(hostname) | dd of=/{claim}/log oflag=append conv=notrunc,fsync 2>/dev/null; \
         then i=$n; echo $n; fi; sleep 1; done"
    )
}

/// Waits until the pod's writer has written so many lines more; answers the number of the last.
pub(crate) fn wait_for_lines(cluster: &WholeCluster, pod: &str, more: u64) -> Result<u64> {
    let start = written(cluster, pod).unwrap_or_default();
    let enough = wait_until(&format!("{pod} has written {more} lines"), WholeCluster::SOON, || {
        Ok(written(cluster, pod).filter(|last| *last >= start + more))
    });
    enough.with_context(|| format!("of {start}"))
}

/// The last line that the writer knows to be on the device.
fn written(cluster: &WholeCluster, pod: &str) -> Option<u64> {
    cluster.admin().run(&["logs", pod, "--tail=1"]).ok()?.trim().parse().ok()
}

/// Reads the lines by a pod that has the claim: every number once, in order, up to `last` at least, and no writer's
/// after the next one's first. Answers who wrote.
pub(crate) fn check(cluster: &WholeCluster, pod: &str, claim: &str, last: u64) -> Result<Vec<String>> {
    let log = cluster.exec(pod, &format!("cat /{claim}/log"))?;
    let mut writers: Vec<String> = Vec::new();
    let mut lines = 0;
    for (line, expected) in log.lines().zip(1_u64..) {
        let (number, writer) = line.split_once(' ').with_context(|| format!("line {expected}: {line:?}"))?;
        ensure!(number == expected.to_string(), "line {expected} is {line:?}");
        if writers.last().is_none_or(|before| before != writer) {
            ensure!(
                !writers.iter().any(|before| before == writer),
                "{writer} wrote line {expected} after others"
            );
            writers.push(writer.to_owned());
        }
        lines = expected;
    }
    ensure!(lines >= last, "{last} lines were on the device, {lines} are there");
    Ok(writers)
}
