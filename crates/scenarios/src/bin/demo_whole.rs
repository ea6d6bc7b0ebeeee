//! One claim's whole life in a whole cluster, with real kubelets: a line a step, and the Events that it made.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use microvm::Kernel;
use scenarios::{ClusterOptions, Steps, WholeCluster, shell_pod};
use testbed::objects::Usage;

/// A pod with a volume runs within seconds; on two busy cores it may take many times that.
const SOON: Duration = Duration::from_secs(300);
/// What is written on node a and read on node b.
const PAYLOAD_MIB: u64 = 8;

fn main() -> Result<ExitCode> {
    Steps::demo(run)
}

/// Every step; a failed one ends the life, since the next would prove nothing.
fn run(kernel: Kernel, steps: &mut Steps) -> Option<()> {
    let boot = format!(
        "a Kubernetes control plane, rds-csi with its sidecars, an RDS, and nodes a and b with kubelets on Linux {}",
        kernel.version()
    );
    let cluster =
        steps.step(&boot, || WholeCluster::boot(kernel, &["a", "b"], &ClusterOptions::default()))?;
    steps.step("PVC of 256 MiB: external-provisioner makes its PV", || {
        cluster.provision("data", "256Mi", Usage::FILESYSTEM)
    })?;
    let write = format!(
        "dd if=/dev/urandom of=/data/payload bs=1M count={PAYLOAD_MIB} conv=fsync && sha256sum /data/payload >/data/sum"
    );
    steps.step("pod writer runs on a with the volume", || start(&cluster, "writer", "a", &write))?;
    let written = steps
        .step(&format!("it writes {PAYLOAD_MIB} MiB, with their checksum"), || sum(&cluster, "writer"))?;
    steps.step("pod writer deleted: unmounted, disconnected on a", || end(&cluster, "writer"))?;
    steps.step("pod reader runs on b with the volume", || start(&cluster, "reader", "b", "true"))?;
    steps.step("the same checksum on b", || {
        let read = sum(&cluster, "reader")?;
        ensure!(read == written, "{written} became {read}");
        Ok(())
    })?;
    steps.step("pod reader deleted", || end(&cluster, "reader"))?;
    steps.step("PVC deleted: its PV goes, and with it the volume", || delete(&cluster))?;
    let events = steps.step("kubectl get events", || {
        cluster.admin().run(&["get", "events", "-A", "--sort-by=.metadata.creationTimestamp"])
    })?;
    println!("\n{}\n", events.trim_end());
    Some(())
}

fn start(cluster: &WholeCluster, pod: &str, node: &str, script: &str) -> Result<()> {
    cluster.admin().create(&shell_pod(pod, node, &["data"], script))?;
    cluster.wait_until_running(pod, SOON)
}

/// The payload's checksum, which has to be the one that was written with it.
fn sum(cluster: &WholeCluster, pod: &str) -> Result<String> {
    let script = "until [ -s /data/sum ]; do sleep 1; done; sha256sum -c -s /data/sum && cat /data/sum";
    Ok(cluster.admin().run(&["exec", pod, "--", "sh", "-c", script])?)
}

fn end(cluster: &WholeCluster, pod: &str) -> Result<()> {
    cluster.admin().run(&["delete", "pod", pod, "--wait=false"])?;
    Ok(cluster.admin().wait(&[&format!("pod/{pod}"), "--for=delete"], SOON)?)
}

fn delete(cluster: &WholeCluster) -> Result<()> {
    let volume = cluster.admin().run(&["get", "pvc", "data", "-o", "jsonpath={.spec.volumeName}"])?;
    cluster.admin().run(&["delete", "pvc", "data", "--wait=false"])?;
    cluster.admin().wait(&["--for=delete", &format!("pv/{volume}")], SOON)?;
    let (images, exports) = (cluster.rds.images()?, cluster.rds.exports()?);
    ensure!(images.is_empty() && exports.is_empty(), "left on the RDS: {images:?} {exports:?}");
    Ok(())
}
