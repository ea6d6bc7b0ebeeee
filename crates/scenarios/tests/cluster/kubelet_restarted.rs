//! A kubelet that starts again asks for what is published once more, beside the binds that it has made of it itself; so do
//! containers that start again.

use anyhow::{Result, ensure};
use scenarios::{STORAGE_CLASS, Steps, WholeCluster, shell_block_pod, shell_pod};
use serde_json::Value;
use testbed::objects::{self, Usage};
use testbed::wait_until;

/// Claims and pods: a raw device, and a directory of a file system. Each is one pod's.
const BLOCK: &str = "again-block";
const DIRECTORY: &str = "again-directory";
/// Ends when it is told to.
const SCRIPT: &str = "until [ -e /tmp/end ]; do sleep 1; done; exit 0";

pub(crate) fn told(cluster: &WholeCluster, steps: &mut Steps) -> Option<()> {
    steps.step(
        "two ReadWriteOncePod PVCs are bound, block and a subPath of ext4; their pods run on a",
        || {
            for (name, volume_mode) in [(BLOCK, "Block"), (DIRECTORY, "Filesystem")] {
                let usage = Usage { access_mode: "ReadWriteOncePod", volume_mode };
                cluster.bind(&objects::claim(name, STORAGE_CLASS, "64Mi", usage))?;
                cluster.run_pod(&pod(name))?;
            }
            cluster.exec(DIRECTORY, &format!("echo kept >/{DIRECTORY}/file && sync"))
        },
    )?;
    steps.step("the kubelet on a is killed, and starts again", || {
        cluster.node("a").restart_kubelet()?;
        Ok::<_, anyhow::Error>(wait_until("the kubelet serves", WholeCluster::SOON, || {
            Ok(cluster.exec(BLOCK, "true").is_ok().then_some(()))
        })?)
    })?;
    steps.step("each container ends and is started again, with its volume", || {
        for name in [BLOCK, DIRECTORY] {
            starts_again(cluster, name)?;
        }
        let kept = cluster.exec(DIRECTORY, &format!("cat /{DIRECTORY}/file"))?;
        ensure!(kept == "kept\n", "{kept}");
        cluster.exec(BLOCK, &format!("dd if=/dev/{BLOCK} of=/dev/null bs=1M count=1"))
    })?;
    steps.step(
        "the driver on a is killed: its successor holds the device for the pod, and for nobody else",
        || {
            cluster.node("a").kill_driver("node")?;
            let driver = cluster.driver_pod("a")?;
            wait_until("the driver on a serves again", WholeCluster::SOON, || {
                let serves = cluster.log_of(&driver).is_ok_and(|log| log.contains("serving"));
                Ok((serves && restarts(cluster, "rds-csi", &driver).is_ok_and(|times| times > 0))
                    .then_some(()))
            })?;
            ensure!(holders(cluster)? == 1, "{} processes hold one device", holders(cluster)?);
            Ok(())
        },
    )?;
    steps.step("pods and PVCs deleted: nothing of them is on the RDS, nothing is held on a", || {
        for name in [BLOCK, DIRECTORY] {
            cluster.end_pod(name)?;
        }
        cluster.wait_until_all_detached()?;
        ensure!(holders(cluster)? == 0, "{} processes hold what is gone", holders(cluster)?);
        [BLOCK, DIRECTORY].iter().try_for_each(|claim| cluster.delete_claim(claim))
    })
}

fn pod(name: &str) -> Value {
    if name == BLOCK {
        return shell_block_pod(name, "a", &[name], SCRIPT);
    }
    let mut pod = shell_pod(name, "a", &[name], SCRIPT);
    pod["spec"]["containers"][0]["volumeMounts"][0]["subPath"] = "directory".into();
    pod
}

/// Ends the pod's container, and waits until another one runs.
fn starts_again(cluster: &WholeCluster, pod: &str) -> Result<()> {
    cluster.exec(pod, "touch /tmp/end")?;
    wait_until(&format!("another container of {pod}"), WholeCluster::SOON, || {
        Ok(restarts(cluster, "default", pod).is_ok_and(|times| times == 1).then_some(()))
    })?;
    cluster.wait_until_running(pod, WholeCluster::SOON)
}

fn restarts(cluster: &WholeCluster, namespace: &str, pod: &str) -> Result<u32> {
    let path = "jsonpath={.status.containerStatuses[?(@.ready==true)].restartCount}";
    Ok(cluster.admin().run(&["get", "pod", "-n", namespace, pod, "-o", path])?.trim().parse()?)
}

/// How many helpers on a hold devices.
fn holders(cluster: &WholeCluster) -> Result<u32> {
    Ok(cluster.node("a").guest.sh("pgrep -fc '^/usr/bin/rds-csi helper hold' || true")?.trim().parse()?)
}
