//! What an operator misspells or forgets is said on the object that is looked at, with what to do; put right, it is served,
//! and nothing is left of it.

use anyhow::{Context, Result, ensure};
use scenarios::{NAMESPACE, STORAGE_CLASS, Steps, WholeCluster, shell_pod};
use serde_json::{Value, json};
use testbed::objects::{self, Usage};

use crate::reasons::{Reasons, Said};
use crate::said::{self, NODE};

/// Reasons of the Events that it makes.
pub(crate) const SAYS: Reasons = Reasons::just(&[
    "VolumeAttached",
    "VolumeDetached",
    "ConnectionFailure",
    "RDSDisconnected",
    "RDSReconnected",
]);

const MISSPELT: &str = "misspelt";
const CLAIM: &str = "forgotten";
/// Nothing is connected on the node; who looks for the module finds none.
const TAKE_MODULE: &str = "for file in $(find /lib/modules/ -name 'nvme-tcp.ko*'); do mv $file $file.away; done; \
                           busybox rmmod nvme_tcp";
const BRING_MODULE: &str = "for file in $(find /lib/modules/ -name 'nvme-tcp.ko*.away'); do mv $file ${file%.away}; \
                            done; modprobe nvme_tcp";
const SECRET: [&str; 4] = ["-n", NAMESPACE, "secret", "rds-credentials"];

pub(crate) fn told(cluster: &WholeCluster, steps: &mut Steps) -> Option<()> {
    let class = |parameters| objects::storage_class(MISSPELT, scenarios::DRIVER, parameters);
    let parameter = class(&[("nvmeAdress", "10.0.0.1")]);
    wrong_class(cluster, steps, "nvmeAdress", &parameter, &["nvmeAdress", "nvmeAddress"])?;
    let mut option = class(&[]);
    option["mountOptions"] = json!(["noatime", "norecovery"]);
    wrong_class(
        cluster,
        steps,
        "a mount option that no node takes",
        &option,
        &["norecovery", "mountOptions"],
    )?;
    forgotten_module(cluster, steps)?;
    misspelt_flag(cluster, steps)?;
    wrong_password(cluster, steps)
}

/// A class with something wrong in it, which its PVC tells in these words.
fn wrong_class(
    cluster: &WholeCluster,
    steps: &mut Steps,
    what: &str,
    class: &Value,
    words: &[&str],
) -> Option<()> {
    steps
        .step(&format!("a StorageClass with {what}: its PVC says what is wrong, and nothing is made"), || {
            let images = cluster.rds.images()?;
            cluster.admin().create(class)?;
            cluster.admin().create(&objects::claim(MISSPELT, MISSPELT, "64Mi", Usage::FILESYSTEM))?;
            cluster.control_plane.wait_for_event("ProvisioningFailed", WholeCluster::SOON, |event| {
                event.name == MISSPELT && words.iter().all(|word| event.message.contains(word))
            })?;
            ensure!(cluster.rds.images()? == images, "{:?}", cluster.rds.images()?);
            cluster.admin().run(&["delete", "pvc", MISSPELT])?;
            cluster.admin().run(&["delete", "storageclass", MISSPELT])?;
            anyhow::Ok(())
        })
        .map(drop)
}

fn forgotten_module(cluster: &WholeCluster, steps: &mut Steps) -> Option<()> {
    steps.step("PVC is bound; a node that has no nvme_tcp", || {
        cluster.bind(&objects::claim(CLAIM, STORAGE_CLASS, "64Mi", Usage::FILESYSTEM))?;
        Ok::<_, anyhow::Error>(cluster.node("a").guest.sh(TAKE_MODULE)?)
    });
    let told = steps.step("a pod there waits: the PVC and the pod say which module to load", || {
        cluster.admin().create(&shell_pod(CLAIM, "a", &[CLAIM], "true"))?;
        let words = ["the nvme_tcp module is not loaded", "modprobe nvme_tcp"];
        said::of_claim(cluster, CLAIM, ("Warning", "ConnectionFailure", NODE), &words)?;
        cluster.control_plane.wait_for_event("FailedMount", WholeCluster::SOON, |event| {
            event.name == CLAIM && words.iter().all(|word| event.message.contains(word))
        })?;
        anyhow::Ok(())
    });
    steps.step("it is loaded: the pod runs", || {
        cluster.node("a").guest.sh(BRING_MODULE)?;
        cluster.wait_until_running(CLAIM, WholeCluster::SOON)
    })?;
    told?;
    steps.step("pod and PVC deleted: nothing of them is on the RDS", || {
        cluster.end_pod(CLAIM)?;
        cluster.wait_until_all_detached()?;
        cluster.delete_claim(CLAIM)
    })
}

fn misspelt_flag(cluster: &WholeCluster, steps: &mut Steps) -> Option<()> {
    let said = steps.step("a flag that there is not: the pod ends, and its status says why", || {
        cluster.admin().create(&json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": MISSPELT, "namespace": "default" },
            "spec": {
                "restartPolicy": "Never",
                "containers": [{
                    "name": "rds-csi", "image": cluster.driver_image()?, "imagePullPolicy": "Never",
                    "args": ["node", "--endpiont=unix:///csi.sock"],
                    "terminationMessagePolicy": "FallbackToLogsOnError",
                }],
            },
        }))?;
        let failed = ["--for=jsonpath={.status.phase}=Failed", &format!("pod/{MISSPELT}")];
        cluster.admin().wait(&failed, WholeCluster::SOON)?;
        let why = "jsonpath={.status.containerStatuses[0].state.terminated.message}";
        let said = cluster.admin().run(&["get", "pod", MISSPELT, "-o", why])?;
        let last = said.trim_end().lines().last().unwrap_or_default();
        ensure!(last.contains("--endpiont"), "its last line is not why: {said}");
        anyhow::Ok(last.to_owned())
    });
    println!("{}", said.as_deref().unwrap_or_default());
    steps.step("it is deleted", || cluster.end_pod(MISSPELT))?;
    said.map(drop)
}

fn wrong_password(cluster: &WholeCluster, steps: &mut Steps) -> Option<()> {
    let before = steps.step("what was said until now is read", || Said::so_far(cluster))?;
    let right = steps.step("the Secret gets a password that the device does not take", || {
        let get = [&["get"][..], &SECRET, &["-o", "jsonpath={.data.password}"]].concat();
        let right = cluster.admin().run(&get)?;
        set_password(cluster, "d3Jvbmc=")?;
        anyhow::Ok(right)
    })?;
    let told = steps.step("the leader says so on its pod, and stays ready", || {
        println!("{}", before.of_controller(cluster, ("Warning", "RDSDisconnected"), "may not log in")?);
        let leader = cluster.leader()?.context("no leader")?;
        Ok::<_, anyhow::Error>(cluster.admin().wait(
            &["-n", NAMESPACE, &format!("pod/{leader}"), "--for=condition=Ready"],
            WholeCluster::SOON,
        )?)
    });
    steps.step("the right one: it is served again", || {
        set_password(cluster, &right)?;
        before.of_controller(cluster, ("Normal", "RDSReconnected"), "")?;
        cluster.bind(&objects::claim(CLAIM, STORAGE_CLASS, "16Mi", Usage::FILESYSTEM))?;
        cluster.delete_claim(CLAIM)
    })?;
    told
}

/// Base64, as the API shows it.
fn set_password(cluster: &WholeCluster, password: &str) -> Result<()> {
    let patch = json!({ "data": { "password": password } }).to_string();
    cluster.admin().run(&[&["patch"][..], &SECRET, &["-p", &patch]].concat())?;
    Ok(())
}
