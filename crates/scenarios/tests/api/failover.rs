//! Two controllers, one Lease: who leads serves, and when it is gone the other does, after what was sent has landed.

use std::time::{Duration, Instant};

use scenarios::{Cluster, ClusterOptions};
use serde_json::json;
use testbed::objects::Usage;

use super::SOON;
use crate::leadership_pair::{
    forget, inject, pair, pod_on, provision_reviving, release, roles, senders, tear_off, wait_for_attachment,
    wait_until_met, writes,
};

/// Where the device serves a user's requests in order, with the Lease that ships (15 s).
const TAKE_OVER: Duration = Duration::from_secs(30);
/// Where that is not known, and the device's cap of 60 s is waited for.
const CAUTIOUS_TAKE_OVER: Duration = Duration::from_secs(90);

/// The Lease as it ships.
fn shipped() -> ClusterOptions {
    ClusterOptions { lease: "15s", ..ClusterOptions::default() }
}

#[test]
fn when_the_leaders_pod_is_killed_the_other_provisions_and_attaches() {
    let cluster = pair(&shipped());
    cluster.provision("before", "64Mi", Usage::BLOCK).unwrap();
    let (leader, standby) = roles(&cluster);

    leader.kill();
    let killed = Instant::now();
    pod_on(&cluster, "user", "a", "before");
    cluster.provision("after", "64Mi", Usage::BLOCK).unwrap();
    let provisioned = killed.elapsed();
    let attached = attached_after(&cluster, "before", "a", killed);
    eprintln!(
        "the whole pod: provisioned {provisioned:.1?} and attached {attached:.1?} after the leader's end"
    );
    assert!(provisioned.max(attached) < TAKE_OVER, "{provisioned:?} {attached:?}");
    assert!(standby.controller.is_ready());
}

#[test]
fn when_only_the_leaders_process_is_killed_its_sidecars_find_the_one_that_comes_after_it() {
    let cluster = pair(&shipped());
    cluster.provision("before", "64Mi", Usage::BLOCK).unwrap();
    let (first, second) = roles(&cluster);

    first.controller.process.kill();
    let killed = Instant::now();
    pod_on(&cluster, "user", "a", "before");
    // Its kubelet starts it again at once; the sidecars beside it never ended.
    let provisioned = provision_reviving(&cluster, "after", &[first]);
    let attached = attached_after(&cluster, "before", "a", killed);
    eprintln!(
        "the process: provisioned {provisioned:.1?} and attached {attached:.1?} after the leader's end"
    );
    assert!(provisioned.max(attached) < TAKE_OVER, "{provisioned:?} {attached:?}");

    // Who leads now is gone for good, so the first pod's own sidecars must find its restarted controller.
    let (leader, standby) = roles(&cluster);
    leader.kill();
    let killed = Instant::now();
    let provisioned = provision_reviving(&cluster, "again", &[standby]);
    pod_on(&cluster, "other", "b", "again");
    let attached = attached_after(&cluster, "again", "b", killed);
    eprintln!(
        "its own restarted controller: provisioned {provisioned:.1?} and attached {attached:.1?} after"
    );
    assert!(provisioned < TAKE_OVER, "{provisioned:?}");
    assert_eq!([first, second].iter().filter(|pod| pod.controller.is_ready()).count(), 1);
}

#[test]
fn a_write_of_the_old_leader_that_lands_late_comes_before_the_new_ones_decision() {
    let cluster = pair(&ClusterOptions::default());
    let volume = cluster.provision("data", "64Mi", Usage::BLOCK).unwrap();
    let name = volume["metadata"]["name"].as_str().unwrap();
    let (old, new) = roles(&cluster);
    let held = inject(
        &cluster,
        &json!({ "action": { "hold": {} }, "times": 1, "match": { "method": "PATCH", "path": "/rest/disk/" } }),
    );
    forget(&cluster);
    pod_on(&cluster, "user", "a", "data");
    wait_until_met(&cluster, held);

    // The write for `a` is accepted and not applied; meanwhile nobody wants `a` any more, and `b` is wanted. The attacher
    // outlives its controller until it has said that the attach failed: the attach/detach controller, not told, would wait
    // two minutes for it, for a VolumeAttachment that is gone as well.
    old.controller.process.kill();
    let killed = Instant::now();
    wait_for_attachment(&cluster, name, "a", |found| found["status"]["attachError"].is_object());
    old.kill();
    cluster.control_plane.delete_pod("user").unwrap();
    tear_off(&cluster, name, "a");
    pod_on(&cluster, "other", "b", "data");
    new.wait_for_log("this process leads", SOON).unwrap();
    let elected = killed.elapsed();
    assert!(!new.controller.is_ready() && writes(&cluster).len() == 1, "decided without what was accepted");
    release(&cluster, held);
    let attached = attached_after(&cluster, "data", "b", killed);
    eprintln!("in order: led {elected:.1?} and attached {attached:.1?} after the old leader's end");

    assert_eq!(senders(&cluster), [old.name(), new.name()]);
    // Opened for `a`, closed for nobody, opened for `b` under another generation.
    let writes = writes(&cluster);
    let opened: Vec<&str> = writes.iter().filter_map(|write| write["nvme-tcp-server-nqn"].as_str()).collect();
    let exports: Vec<&str> = writes.iter().filter_map(|write| write["nvme-tcp-export"].as_str()).collect();
    assert_eq!(exports, ["true", "false", "true"]);
    assert_ne!(opened.first(), opened.last());
    assert_eq!(cluster.device.exports().unwrap(), [*opened.last().unwrap()]);
}

#[test]
fn where_no_order_is_known_a_late_write_is_waited_for_by_the_devices_cap() {
    // The device lets others overtake what outlived its cap; the write lands 70 s after it was sent.
    let order = |text: &str| vec![text.to_owned()];
    let cluster = pair(&ClusterOptions {
        controller: ["--device", "order=unknown"].map(str::to_owned).to_vec(),
        simulator: [order("--assume"), order("order=none")].concat(),
        ..shipped()
    });
    cluster.provision("data", "64Mi", Usage::BLOCK).unwrap();
    let (old, new) = roles(&cluster);
    let late = json!({
        "action": { "latency": { "millis": 70_000 } }, "times": 1,
        "match": { "method": "PATCH", "path": "/rest/disk/" },
    });
    inject(&cluster, &late);
    forget(&cluster);
    pod_on(&cluster, "user", "a", "data");
    testbed::wait_until("the write is sent", SOON, || Ok((!writes(&cluster).is_empty()).then_some(())))
        .unwrap();

    old.kill();
    let killed = Instant::now();
    cluster
        .admin()
        .create(&testbed::objects::claim("after", scenarios::STORAGE_CLASS, "64Mi", Usage::BLOCK))
        .unwrap();
    cluster.control_plane.wait_until_bound("after", 2 * SOON).unwrap();
    let provisioned = killed.elapsed();
    let attached = attached_after(&cluster, "data", "a", killed);
    eprintln!(
        "order unknown: provisioned {provisioned:.1?} and attached {attached:.1?} after the leader's end"
    );
    assert!(provisioned.max(attached) < CAUTIOUS_TAKE_OVER, "{provisioned:?} {attached:?}");
    assert_eq!(senders(&cluster), [old.name(), new.name()]);
    let writes = writes(&cluster);
    let generations: Vec<_> =
        writes.iter().filter_map(|write| write["nvme-tcp-server-nqn"].as_str()).collect();
    assert_eq!(
        generations,
        cluster.device.exports().unwrap(),
        "two generations for one attachment: {writes:#?}"
    );
}

/// How long after `since` the volume of a claim is attached to a node.
fn attached_after(cluster: &Cluster, claim: &str, node: &str, since: Instant) -> Duration {
    let volume = cluster.control_plane.wait_until_bound(claim, SOON).unwrap();
    cluster.control_plane.wait_until_attached(&volume, node, SOON).unwrap();
    since.elapsed()
}
