//! The Lease: who is cut off has stopped before another starts, whatever becomes of the Lease object, and a leader
//! that ends of its own will hands over at once.

use std::time::{Duration, Instant};

use scenarios::{Cluster, ClusterOptions, ControllerPod, NAMESPACE, STORAGE_CLASS};
use serde_json::{Value, json};
use testbed::objects::{self, Usage};
use testbed::{Proxy, wait_until};
use volume::Record;

use super::SOON;
use crate::leadership_pair::{
    forget, inject, pair, pod_on, provision_reviving, release, roles, senders, wait_for_leader,
    wait_until_met, writes,
};

/// The Lease, as kubectl finds it.
const LEASE: [&str; 4] = ["lease", "-n", NAMESPACE, scenarios::DRIVER];

#[test]
fn a_leader_cut_off_from_the_api_has_stopped_sending_before_the_other_starts() {
    let cluster = pair(&ClusterOptions::default());
    let mut claims = 0;
    for (how, cut_off) in
        [("connections break", Proxy::cut as fn(&Proxy)), ("nobody answers", Proxy::freeze as fn(&Proxy))]
    {
        // Its sidecars are at work, not still waiting for their controller.
        cluster.provision(&format!("data-{claims}"), "64Mi", Usage::BLOCK).unwrap();
        claims += 1;
        let (old, new) = roles(&cluster);
        forget(&cluster);
        cut_off(&old.api);
        let cut = Instant::now();
        // Its sidecars go on calling it.
        while !new.controller.is_ready() {
            assert!(cut.elapsed() < SOON, "{how}: nobody took over");
            let claim = objects::claim(&format!("data-{claims}"), STORAGE_CLASS, "64Mi", Usage::BLOCK);
            cluster.admin().create(&claim).unwrap();
            claims += 1;
        }
        let took = cut.elapsed();
        assert_eq!(senders(&cluster), [old.name(), new.name()], "{how}");
        let (last, first) = (old.sent_to(&cluster.device).unwrap(), new.sent_to(&cluster.device).unwrap());
        let ended = last.iter().map(|request| request.turn_millis).max().unwrap();
        let began = first.iter().map(|request| request.came_millis).min().unwrap();
        eprintln!(
            "{how}: {} requests of the old leader, the last {} ms before the other's first; ready after {took:.1?}",
            last.len(),
            began - ended
        );
        assert!(last.iter().any(|request| request.method == "PUT"), "{how}: nothing was asked of it");
        assert!(ended < began, "{how}");
        old.controller
            .process
            .wait_for_log("is lost", SOON)
            .unwrap_or_else(|_| assert!(!old.controller.is_ready()));
        old.api.restore();
        old.revive().unwrap();
    }
    wait_until("every claim bound", SOON, || {
        cluster.pods.iter().for_each(|pod| pod.revive().unwrap());
        let all = cluster.admin().get(&["pvc", "-n", "default"])?.unwrap_or_default();
        let bound =
            all["items"].as_array().into_iter().flatten().filter(|claim| claim["status"]["phase"] == "Bound");
        Ok((bound.count() == claims).then_some(()))
    })
    .unwrap();
    assert_eq!(cluster.device.volumes().unwrap().len(), claims);
}

#[test]
fn a_leader_that_stands_still_over_its_leases_end_with_a_write_under_way_sends_nothing_when_it_wakes() {
    let cluster = pair(&ClusterOptions::default());
    let volume = cluster.provision("data", "64Mi", Usage::BLOCK).unwrap();
    let name = volume["metadata"]["name"].as_str().unwrap();
    let (old, new) = roles(&cluster);
    let on_a_row = json!({ "method": "PATCH", "path": "/rest/disk/" });
    let held = inject(&cluster, &json!({ "action": { "hold": {} }, "times": 1, "match": on_a_row }));
    forget(&cluster);
    pod_on(&cluster, "user", "a", "data");
    wait_until_met(&cluster, held);

    // Its machine stands still, with its connections; the device has the write, and does not serve it yet.
    old.controller.process.pause().unwrap();
    let frozen = Instant::now();
    new.wait_for_log("this process leads", SOON).unwrap();
    assert!(!new.controller.is_ready() && writes(&cluster).len() == 1, "decided before the write has landed");
    release(&cluster, held);
    new.controller.wait_until_ready(SOON).unwrap();
    let led = frozen.elapsed();

    // It wakes with the answer to its write, in the belief that it leads.
    old.controller.process.resume().unwrap();
    let woken = Instant::now();
    let ended = || Ok((!old.controller.process.is_running()).then_some(()));
    wait_until("the one that woke has ended", SOON, ended).unwrap();
    let noticed = woken.elapsed();
    assert!(old.controller.log().contains("is lost"));
    // The other's attacher attaches what the old one's was never answered, and no third is asked.
    cluster.control_plane.wait_until_attached(name, "a", SOON).unwrap();
    eprintln!("stood still: the other ready after {led:.1?}; awake, it ended after {noticed:.1?}");
    assert_eq!(senders(&cluster), [old.name(), new.name()]);
    let nqn = |write: &Value| write["nvme-tcp-server-nqn"].as_str().map(str::to_owned);
    let opened: Vec<_> = writes(&cluster).iter().filter_map(nqn).collect();
    assert_eq!(opened, cluster.device.exports().unwrap(), "one write, one generation, of the old leader");
}

#[test]
fn whatever_becomes_of_the_lease_somebody_leads_and_never_two() {
    let cluster = pair(&ClusterOptions::default());
    let backup = cluster.admin().get(&LEASE).unwrap().unwrap();
    let spec = |spec: &Value| {
        let mut lease = backup.clone();
        lease["metadata"] = json!({ "name": scenarios::DRIVER, "namespace": NAMESPACE });
        for (field, value) in spec.as_object().unwrap() {
            lease["spec"][field] = value.clone();
        }
        lease
    };
    let (past, future) = ("2001-01-01T00:00:00.000000Z", "2099-01-01T00:00:00.000000Z");
    let cases = [
        ("deleted", None),
        (
            "a backup",
            Some(spec(&json!({ "leaseTransitions": 0, "holderIdentity": "long-gone_1", "renewTime": past }))),
        ),
        ("renewed in 2099", Some(spec(&json!({ "holderIdentity": "nobody-known", "renewTime": future })))),
        (
            "of nobody",
            Some(spec(&json!({ "holderIdentity": null, "renewTime": future, "leaseTransitions": 7 }))),
        ),
        (
            "an hour long",
            Some(spec(&json!({ "holderIdentity": "nobody-known", "leaseDurationSeconds": 3600 }))),
        ),
    ];
    let mut last_term = 0;
    for (number, (case, lease)) in cases.into_iter().enumerate() {
        forget(&cluster);
        let before = identity(&cluster);
        let began = Instant::now();
        match &lease {
            None => drop(cluster.control_plane.kubectl(&[["delete"].as_slice(), &LEASE].concat()).unwrap()),
            Some(lease) => put(&cluster, lease),
        }
        // Somebody is asked all the while.
        let pods: Vec<&ControllerPod> = cluster.pods.iter().collect();
        let claim = format!("data-{number}");
        provision_reviving(&cluster, &claim, &pods);
        let served = began.elapsed();
        wait_until(&format!("{case}: a leader's name in the Lease"), 2 * SOON, || {
            cluster.pods.iter().for_each(|pod| pod.revive().unwrap());
            let holder = identity(&cluster);
            Ok(cluster.pods.iter().any(|pod| holder.starts_with(pod.name())).then_some(()))
        })
        .unwrap();
        wait_for_leader(&cluster, 2 * SOON);
        pod_on(&cluster, &claim, "a", &claim);
        let volume = cluster.control_plane.wait_until_bound(&claim, SOON).unwrap();
        // An attacher ends at its next call, where it had none to its controller's predecessor.
        wait_until(&format!("{case}: attached"), SOON, || {
            cluster.pods.iter().for_each(|pod| pod.revive().unwrap());
            let found = cluster.control_plane.attachment(&volume, "a")?.unwrap_or_default();
            Ok((found["status"]["attached"] == true).then_some(()))
        })
        .unwrap();
        let (senders, term) = (senders(&cluster), highest_term(&cluster));
        let after = identity(&cluster);
        eprintln!(
            "{case}: {before} -> {after}, provisioned {served:.1?} later, sent: {senders:?}, term {term}"
        );
        // Each began to send once: nobody came in between, and nobody came back.
        assert!(senders.len() <= 2, "{case}: {senders:?}");
        // What a later leader writes must not look older than what an earlier one wrote.
        let is_another = before != after;
        assert!(term > last_term || term == last_term && !is_another, "{case}: {term} after {last_term}");
        last_term = term;
        roles(&cluster);
    }
}

#[test]
fn a_leader_that_is_told_to_stop_hands_over_after_its_last_request() {
    // Nothing else is under way, which would be taken after it.
    let quiet = ["--poll-interval", "60m", "--figures-interval", "0s"];
    let controller = quiet.map(str::to_owned).to_vec();
    let cluster = pair(&ClusterOptions { lease: "15s", controller, ..ClusterOptions::default() });
    let (old, new) = roles(&cluster);
    forget(&cluster);
    // A request under way, which takes longer than a standby needs to see a Lease that is free.
    let millis = 3_000;
    let slow =
        json!({ "action": { "latency": { "millis": millis } }, "times": 1, "match": { "method": "PUT" } });
    inject(&cluster, &slow);
    cluster.admin().create(&objects::claim("data", STORAGE_CLASS, "64Mi", Usage::BLOCK)).unwrap();
    let sent =
        || Ok(cluster.device.log().unwrap().iter().any(|request| request.method == "PUT").then_some(()));
    wait_until("a request that takes long", SOON, sent).unwrap();

    let told = Instant::now();
    old.controller.process.terminate(SOON).unwrap();
    let ended = told.elapsed();
    new.controller.wait_until_ready(SOON).unwrap();
    let led = told.elapsed();
    cluster.control_plane.wait_until_bound("data", SOON).unwrap();
    let last = old.sent_to(&cluster.device).unwrap().iter().map(|request| request.turn_millis).max().unwrap();
    let first =
        new.sent_to(&cluster.device).unwrap().iter().map(|request| request.came_millis).min().unwrap();
    eprintln!(
        "SIGTERM: ended {ended:.1?}, the other ready {led:.1?} later; its first request {} ms after",
        first - last
    );
    assert_eq!(senders(&cluster), [old.name(), new.name()]);
    assert!(first >= last + millis, "the Lease was given back while a request was under way");
    assert!(led < Duration::from_secs(15), "the Lease was not given back: {led:?}");
}

#[test]
fn the_reconciler_stops_at_once_in_the_middle_of_a_look() {
    // Nobody else asks for the list that a look begins with, which is not answered.
    let quiet = ["--poll-interval", "60m", "--figures-interval", "0s"];
    let controller = quiet.map(str::to_owned).to_vec();
    let cluster = pair(&ClusterOptions { controller, ..ClusterOptions::default() });
    let (old, new) = roles(&cluster);
    let held =
        inject(&cluster, &json!({ "action": { "hold": {} }, "times": 1, "match": { "path": "/rest/disk" } }));
    cluster.control_plane.delete_node("b").unwrap();
    wait_until_met(&cluster, held);
    let told = Instant::now();
    old.controller.process.terminate(SOON).unwrap();
    let ended = told.elapsed();
    release(&cluster, held);
    new.controller.wait_until_ready(SOON).unwrap();
    eprintln!("SIGTERM in a look: ended {ended:.1?}, the other ready {:.1?} later", told.elapsed());
    // A look may take 30 s, and what is under way at the end 4.
    assert!(ended < Duration::from_secs(20), "{ended:?}");
}

/// Puts a Lease there as a person restores one: whatever is there is written over.
fn put(cluster: &Cluster, lease: &Value) {
    let file = cluster.control_plane.folder().join("lease.json");
    std::fs::write(&file, lease.to_string()).unwrap();
    cluster.control_plane.kubectl(&["replace", "-f", file.to_str().unwrap()]).unwrap();
}

/// Whose name is in the Lease; empty where nobody's is.
fn identity(cluster: &Cluster) -> String {
    let lease = cluster.admin().get(&LEASE).unwrap().unwrap_or_default();
    lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
}

/// The highest term of any record.
fn highest_term(cluster: &Cluster) -> u32 {
    let state = cluster.device.control("GET", "/state", &Value::Null).unwrap();
    let comments = state["disks"].as_array().unwrap().iter().filter_map(|disk| disk["comment"].as_str());
    let records = comments.filter_map(|comment| Record::parse(comment).ok().flatten());
    records.map(|record| record.term).max().unwrap_or(0)
}
