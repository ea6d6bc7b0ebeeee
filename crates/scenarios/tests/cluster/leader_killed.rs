//! The leading controller is killed, and its pod with the sidecars, in the middle of ten claims: the other makes the
//! rest, and none twice.

use anyhow::{Context, Result, ensure};
use scenarios::{NAMESPACE, STORAGE_CLASS, Steps, WholeCluster, http};
use testbed::objects::{self, Usage};
use testbed::wait_until;

use crate::reasons::Reasons;
use crate::said::CONTROLLER;

/// So slow that ten disks take seconds: each needs some requests, which the device serves one after the other.
const SLOW: &str = r#"{"millis": 300}"#;
const FAST: &str = r#"{"millis": 0}"#;
/// As many as are there when the leader is killed, at least.
const BEGUN: usize = 2;

/// What is said of it: nothing of volumes, which no node gets.
pub(crate) const SAYS: Reasons = Reasons::just(&["StartupReconciliation"]);

pub(crate) fn told(cluster: &WholeCluster, steps: &mut Steps) -> Option<()> {
    let claims: Vec<String> = (0..10).map(|number| format!("ten-{number}")).collect();
    let before = steps.step("the device's disks are counted", || cluster.rds.images())?.len();
    let held = cluster.rds.held();
    let killed = steps.step("ten PVCs at once; the leader is killed in the middle", || {
        http::request(cluster.rds.control(), "POST", "/latency", SLOW)?;
        let all = claims.iter().map(|name| objects::claim(name, STORAGE_CLASS, "16Mi", Usage::BLOCK));
        cluster.admin().create(&objects::list(all.collect()))?;
        kill_after(cluster, before + BEGUN, before + claims.len())
    });
    let fast = http::request(cluster.rds.control(), "POST", "/latency", FAST);
    let killed = killed?;
    let next = steps.step("the other leads", || {
        fast?;
        Ok::<_, anyhow::Error>(wait_until("another leads", WholeCluster::SOON, || {
            Ok(cluster.leader().ok().flatten().filter(|leader| *leader != killed))
        })?)
    })?;
    steps.step("all ten are bound, by ten disks", || {
        for claim in &claims {
            cluster.control_plane.wait_until_bound(claim, WholeCluster::SOON)?;
        }
        let images = cluster.rds.images()?;
        ensure!(images.len() == before + claims.len(), "{before} disks became {}: {images:#?}", images.len());
        // A row and its image each; nothing is exported.
        let (held, now) = (held?, cluster.rds.held()?);
        ensure!(now.len() == held.len() + 2 * claims.len(), "{held:#?} became {now:#?}");
        Ok(())
    })?;
    steps.step("event: the new leader has rebuilt what was there", || {
        cluster.control_plane.wait_for_event("StartupReconciliation", WholeCluster::SOON, |event| {
            (event.kind.as_str(), event.name.as_str()) == ("Pod", next.as_str())
                && (event.level.as_str(), event.component.as_str()) == ("Normal", CONTROLLER)
        })
    })?;
    steps.step("another has come in the place of the killed one", || {
        let deployment = "deployment/rds-csi-controller";
        cluster
            .admin()
            .wait(&["-n", NAMESPACE, deployment, "--for=condition=Available"], WholeCluster::SOON)?;
        let pods = cluster.controller_pods()?;
        ensure!(pods.len() == 2 && !pods.contains(&killed), "controllers: {pods:?}, {killed} was killed");
        Ok(())
    })?;
    steps.step("PVCs deleted: as many disks as before", || {
        claims.iter().try_for_each(|claim| cluster.delete_claim(claim))?;
        let images = cluster.rds.images()?;
        ensure!(images.len() == before, "{before} disks became {}: {images:#?}", images.len());
        Ok(())
    })
}

/// Kills the leader once so many disks are there, but not all of them; answers its name.
fn kill_after(cluster: &WholeCluster, some: usize, all: usize) -> Result<String> {
    let leader = cluster.leader()?.context("nobody leads")?;
    let of = ["get", "pod", "-n", NAMESPACE, &leader, "-o", "jsonpath={.spec.nodeName}"];
    let node = cluster.admin().run(&of)?;
    wait_until("the first disks are there", WholeCluster::SOON, || {
        Ok(cluster.rds.images().is_ok_and(|images| images.len() >= some).then_some(()))
    })?;
    cluster.node(&node).guest.sh("pkill -KILL -f '^/usr/bin/rds-csi controller '")?;
    let there = cluster.rds.images()?.len();
    cluster.delete_pod_of_driver(&leader, &["--grace-period=0", "--force"])?;
    ensure!(there < all, "it was killed too late: {there} disks were there");
    Ok(leader)
}
