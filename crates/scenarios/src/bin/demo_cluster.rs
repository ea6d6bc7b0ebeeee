//! One claim's whole life in a whole cluster, with real kubelets: a line a step, and the Events that it made.
//! `demo_cluster KERNEL --keep` leaves the cluster running for somebody to play with.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use microvm::Kernel;
use scenarios::{BUSYBOX, ClusterOptions, Steps, WholeCluster, shell_pod};
use serde_json::Value;
use testbed::objects::{self, Usage};

/// What is written on node a and read on node b.
const PAYLOAD_MIB: u64 = 8;

fn main() -> Result<ExitCode> {
    let keep = std::env::args().any(|argument| argument == "--keep");
    Steps::demo(|kernel, steps| {
        let cluster = boot(kernel, steps)?;
        let lived = life(&cluster, steps);
        if keep {
            steps.step("something to begin with is written", || playground(&cluster))?;
            play();
        }
        lived
    })
}

fn boot(kernel: Kernel, steps: &mut Steps) -> Option<WholeCluster> {
    let line = format!(
        "a Kubernetes control plane, rds-csi with its sidecars, an RDS, and nodes a and b with kubelets on Linux {}",
        kernel.version()
    );
    // As the chart has it: a standby beside the one that leads.
    let options = ClusterOptions { replicas: 2, ..WholeCluster::options() };
    steps.step(&line, || WholeCluster::boot(kernel, &["a", "b"], &options))
}

/// Every step; a failed one ends the life, since the next would prove nothing.
fn life(cluster: &WholeCluster, steps: &mut Steps) -> Option<()> {
    let volume = steps.step("PVC of 256 MiB: external-provisioner makes its PV", || {
        cluster.provision("data", "256Mi", Usage::FILESYSTEM)
    })?;
    let volume = volume["metadata"]["name"].as_str().unwrap_or_default();
    let write = format!(
        "dd if=/dev/urandom of=/data/payload bs=1M count={PAYLOAD_MIB} conv=fsync && sha256sum /data/payload >/data/sum"
    );
    start(cluster, &shell_pod("writer", "a", &["data"], &write), volume, steps)?;
    let written = steps
        .step(&format!("it writes {PAYLOAD_MIB} MiB, with their checksum"), || sum(cluster, "writer"))?;
    end(cluster, "writer", steps)?;
    start(cluster, &shell_pod("reader", "b", &["data"], "true"), volume, steps)?;
    steps.step("the same checksum on b", || {
        let read = sum(cluster, "reader")?;
        ensure!(read == written, "{written} became {read}");
        Ok(())
    })?;
    end(cluster, "reader", steps)?;
    steps.step("PVC deleted: its PV goes, and with it the volume on the RDS", || {
        cluster.delete_claim("data")
    })?;
    let events = steps.step("kubectl get events: each side has said what happened", || events(cluster))?;
    println!("\n{}\n", events.trim_end());
    Some(())
}

fn start(cluster: &WholeCluster, pod: &Value, volume: &str, steps: &mut Steps) -> Option<()> {
    let (name, node) =
        (text(&pod["metadata"]["name"]), text(&pod["spec"]["nodeSelector"]["kubernetes.io/hostname"]));
    steps.step(
        &format!(
            "pod {name} is scheduled on {node}: a VolumeAttachment, and external-attacher exports the volume"
        ),
        || {
            cluster.admin().create(pod)?;
            let attachment = cluster.control_plane.wait_until_attached(volume, node, WholeCluster::SOON)?;
            let nqn = text(&attachment["status"]["attachmentMetadata"]["nvme_nqn"]);
            let exports = cluster.rds.exports()?;
            ensure!(exports == [nqn], "the target exports {exports:?}, the VolumeAttachment says {nqn}");
            Ok(())
        },
    )?;
    steps.step(&format!("pod {name} runs on {node} with the volume"), || {
        cluster.wait_until_running(name, WholeCluster::SOON)
    })
}

/// The payload's checksum, which has to be the one that was written with it.
fn sum(cluster: &WholeCluster, pod: &str) -> Result<String> {
    cluster.exec(pod, "until [ -s /data/sum ]; do sleep 1; done; sha256sum -c -s /data/sum && cat /data/sum")
}

fn end(cluster: &WholeCluster, pod: &str, steps: &mut Steps) -> Option<()> {
    steps.step(
        &format!("pod {pod} deleted: unmounted, disconnected, VolumeAttachment gone, export closed"),
        || {
            cluster.end_pod(pod)?;
            cluster.wait_until_all_detached()
        },
    )
}

/// All that there are, in the order in which they came; the driver's own have to be there.
fn events(cluster: &WholeCluster) -> Result<String> {
    for reason in ["StartupReconciliation", "VolumeAttached", "VolumeDetached"] {
        cluster.control_plane.wait_for_event(reason, WholeCluster::SOON, |_| true)?;
    }
    Ok(cluster.control_plane.kubectl(&["get", "events", "-A", "--sort-by=.metadata.creationTimestamp"])?)
}

/// Writes a claim and a pod for somebody to begin with, and prints how kubectl reaches the cluster.
fn playground(cluster: &WholeCluster) -> Result<()> {
    let claim = objects::claim("playground", "rds-ext4", "64Mi", Usage::FILESYSTEM);
    let pod = shell_pod("playground", "a", &["playground"], "date >>/playground/log");
    let file = cluster.control_plane.folder().join("playground.yaml");
    std::fs::write(&file, objects::list(vec![claim, pod]).to_string())?;
    let kubectl = cluster.admin().line();
    println!(
        "the cluster is yours, until Enter or Ctrl-C:\n\n\
         {kubectl} get pods -A\n\
         {kubectl} apply -f {}    # a claim, and a pod on node a that writes to it\n\
         {kubectl} get storageclasses\n\n\
         Nothing is pulled: your pods take the image {BUSYBOX}, with imagePullPolicy: Never.\n",
        file.display()
    );
    Ok(())
}

/// Leaves the cluster to somebody until Enter is pressed. An interrupt ends it too: what it is made of ends with this
/// process.
fn play() {
    let mut line = String::new();
    // Where there is no input, there is nobody to press Enter.
    if matches!(std::io::stdin().read_line(&mut line), Ok(0) | Err(_)) {
        loop {
            std::thread::park();
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
