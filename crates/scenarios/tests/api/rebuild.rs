//! A leader that starts: from the device's records and VolumeAttachments, those in flight too, before its first
//! publish; and the reconciler after it, woken by watches.

use std::time::{Duration, Instant};

use scenarios::{Cluster, ClusterOptions};
use serde_json::{Value, json};
use testbed::objects::Usage;
use testbed::wait_until;

use super::SOON;
use crate::by_hand::block_volume;
use crate::leadership_pair::{
    forget, inject, pod_on, release, tear_off, wait_for_attachment, wait_until_met,
};

/// One controller whose reconciler looks by itself an hour later, and which leaves the device alone otherwise.
fn quiet() -> ClusterOptions {
    let flags = [
        ["--attachment-reconcile-interval", "60m"],
        ["--attachment-grace-period", "1s"],
        ["--figures-interval", "0s"],
        ["--poll-interval", "2s"],
    ];
    ClusterOptions {
        controller: flags.concat().into_iter().map(str::to_owned).collect(),
        ..ClusterOptions::default()
    }
}

#[test]
fn a_leader_reads_what_is_attached_and_what_is_in_flight_before_its_first_publish() {
    let cluster = Cluster::start(&quiet()).unwrap();
    let (api, pod) = (&cluster.control_plane, &cluster.pods[0]);
    for node in ["a", "b"] {
        cluster.add_node(node).unwrap();
    }
    let volumes = ["stays", "torn", "leaves", "comes"].map(|claim| {
        let volume = cluster.provision(claim, "64Mi", Usage::BLOCK).unwrap();
        (claim, volume["metadata"]["name"].as_str().unwrap().to_owned(), block_volume(&volume))
    });
    let [stays, torn, leaves, comes] = &volumes;
    for (claim, name, _) in [stays, torn, leaves] {
        pod_on(&cluster, claim, "a", claim);
        api.wait_until_attached(name, "a", SOON).unwrap();
    }
    let nqn = nqn_of(&cluster, &stays.1);

    // While nobody serves: one attachment is wanted, one torn off, one given up.
    pod.kill();
    pod_on(&cluster, "comes", "b", "comes");
    wait_for_attachment(&cluster, &comes.1, "b", |_| true);
    for claim in ["torn", "leaves"] {
        api.delete_pod(claim).unwrap();
    }
    wait_for_attachment(&cluster, &leaves.1, "a", |found| !found["metadata"]["deletionTimestamp"].is_null());
    wait_for_attachment(&cluster, &torn.1, "a", |found| !found["metadata"]["deletionTimestamp"].is_null());
    tear_off(&cluster, &torn.1, "a");

    // The last step before all is read is held: what is read has begun and not ended.
    let barrier = json!({ "action": { "hold": {} }, "match": { "path": "/rest/system/identity" } });
    let held = inject(&cluster, &barrier);
    forget(&cluster);
    pod.restart().unwrap();
    let began = Instant::now();
    wait_until_met(&cluster, held);
    let refused = pod.controller.csi.attach(&comes.2, "b").unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unavailable);
    assert!(refused.message().contains("still reads what is attached"), "{}", refused.message());
    assert!(!pod.controller.is_ready() && pod.sidecars.attacher.is_running());
    let log = cluster.device.log().unwrap();
    assert!(log.iter().all(|request| request.method != "PATCH"), "written before all was read");
    let waiting = api.attachment(&comes.1, "b").unwrap().unwrap();
    assert_ne!(waiting["status"]["attached"], true);
    eprintln!("held at the barrier {:.1?} after the start: {}", began.elapsed(), refused.message());

    release(&cluster, held);
    pod.controller.wait_until_ready(SOON).unwrap();
    let ready = began.elapsed();
    api.wait_until_attached(&comes.1, "b", SOON).unwrap();
    let came = began.elapsed();
    api.wait_until_detached(&leaves.1, "a", SOON).unwrap();
    let wanted = [nqn.clone(), nqn_of(&cluster, &comes.1)];
    wait_until("only what is wanted is exported", SOON, || {
        let exports = cluster.device.exports().unwrap();
        Ok((exports.len() == 2 && wanted.iter().all(|nqn| exports.contains(nqn))).then_some(()))
    })
    .unwrap();
    let done = began.elapsed();
    eprintln!(
        "ready {ready:.1?}, the one in flight attached {came:.1?}, what nobody wants closed {done:.1?}"
    );
    let log = pod.controller.log();
    eprintln!("{}", log.lines().rfind(|line| line.contains("Rebuilt")).unwrap());
    // What stays was never touched.
    assert_eq!(nqn_of(&cluster, &stays.1), nqn);
    let written =
        [stays, torn, leaves, comes].map(|(_, _, made)| writes_to(&cluster, &made.volume.volume_id));
    assert_eq!(written, [0, 1, 1, 1]);
}

#[test]
fn the_reconciler_is_woken_by_nodes_and_by_the_devices_return() {
    let cluster = Cluster::start(&quiet()).unwrap();
    let (api, pod) = (&cluster.control_plane, &cluster.pods[0]);
    for node in ["a", "b", "c"] {
        cluster.add_node(node).unwrap();
    }
    let volume = cluster.provision("data", "64Mi", Usage::BLOCK).unwrap();
    let name = volume["metadata"]["name"].as_str().unwrap().to_owned();
    pod_on(&cluster, "user", "a", "data");
    api.wait_until_attached(&name, "a", SOON).unwrap();

    let woken = |what: &str, cause: &dyn Fn()| {
        let before = quiet_looks(&cluster);
        let began = Instant::now();
        cause();
        wait_until(what, SOON, || Ok((looks(&cluster) > before).then_some(()))).unwrap();
        eprintln!("{what}: looked {:.1?} later", began.elapsed());
    };
    woken("a node was deleted", &|| api.delete_node("c").unwrap());
    woken("a node is not ready", &|| api.set_ready("b", "False").unwrap());

    // Torn off while the device is away: nobody can be told, and the watch's news is spent.
    cluster.device.process().kill();
    pod.wait_for_log("the device", SOON).unwrap();
    wait_until("the device is missed", SOON, || Ok((!pod.controller.is_ready()).then_some(()))).unwrap();
    api.delete_pod("user").unwrap();
    wait_for_attachment(&cluster, &name, "a", |found| !found["metadata"]["deletionTimestamp"].is_null());
    tear_off(&cluster, &name, "a");
    cluster.device.process().start().unwrap();
    let began = Instant::now();
    wait_until("what nobody wants is closed", SOON, || {
        // It does not answer before it has started.
        Ok(cluster.device.exports().ok().filter(Vec::is_empty).map(drop))
    })
    .unwrap();
    eprintln!("the device is back: what nobody wants closed {:.1?} later", began.elapsed());
}

/// Looks of the reconciler so far, once no more come by themselves: what happened before is looked at by now.
fn quiet_looks(cluster: &Cluster) -> u64 {
    let (mut seen, mut since) = (looks(cluster), Instant::now());
    wait_until("no more looks", SOON, || {
        let now = looks(cluster);
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
        // Longer than the pause between two looks, of 3 s.
        Ok((since.elapsed() > Duration::from_secs(6)).then_some(seen))
    })
    .unwrap()
}

fn looks(cluster: &Cluster) -> u64 {
    let text = cluster.pods[0].scrape().unwrap();
    let counts = text.lines().filter(|line| {
        line.starts_with("rds_csi_attachment_") && line.contains("_count{") && line.contains("\"reconcile\"")
    });
    counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

fn nqn_of(cluster: &Cluster, volume: &str) -> String {
    let all = cluster.admin().get(&["volumeattachments"]).unwrap().unwrap();
    let of = all["items"].as_array().unwrap().iter().find(|found| {
        found["spec"]["source"]["persistentVolumeName"] == volume
            && found["metadata"]["deletionTimestamp"].is_null()
    });
    of.unwrap()["status"]["attachmentMetadata"]["nvme_nqn"].as_str().unwrap().to_owned()
}

/// How often a volume's row was written.
fn writes_to(cluster: &Cluster, slot: &str) -> usize {
    let state = cluster.device.control("GET", "/state", &Value::Null).unwrap();
    let row = state["disks"].as_array().unwrap().iter().find(|disk| disk["slot"] == slot).unwrap();
    let path = format!("/rest/disk/{}", row[".id"].as_str().unwrap());
    let log = cluster.device.log().unwrap();
    log.iter().filter(|request| request.method == "PATCH" && request.path.replace("%2A", "*") == path).count()
}
