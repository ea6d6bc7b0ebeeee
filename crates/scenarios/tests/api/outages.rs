//! An API server that is stopped, slow or refuses events: calls go on as if there were no events, and what could not
//! be posted is counted or comes later (requirements R14; issue 4, item 6).

use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use scenarios::{Cluster, ClusterOptions, Csi, Made, Shape};
use serde_json::{Value, json};
use testbed::objects::Usage;
use testbed::wait_until;
use tonic::Code;

use super::by_hand::{attach, block_volume, claim, detach, event_on, said_on, sample};
use super::{SOON, rights};

/// How slow a slow answer is.
const SLOW: Duration = Duration::from_secs(5);
/// What a call to a simulated device takes at most on a machine that is busy with other tests.
const BUSY: Duration = Duration::from_secs(3);
/// More events than wait at most, by far.
const STORM: usize = 1400;

/// One for all: each test leaves it as it was. The Lease outlasts a stopped API server for the time of a test, and a
/// renewal that takes five seconds.
fn cluster() -> &'static Cluster {
    static SHARED: LazyLock<Cluster> = LazyLock::new(|| {
        let controller = vec!["--poll-interval=1s".to_owned()];
        let options = ClusterOptions { lease: "60s", controller, ..ClusterOptions::default() };
        let cluster = Cluster::start(&options).unwrap();
        ["a", "b"].iter().for_each(|node| drop(cluster.add_node(node).unwrap()));
        cluster
    });
    &SHARED
}

fn timed<T>(call: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    (call(), start.elapsed())
}

/// What needs nothing of Kubernetes; answers how long the slowest call took.
fn create_and_delete(csi: &Csi, name: &str) -> Duration {
    let (made, created) = timed(|| csi.create(name, 64 << 20, &Shape::block()).unwrap());
    let ((), deleted) = timed(|| csi.delete(&made.volume.volume_id).unwrap());
    created.max(deleted)
}

fn dropped(cluster: &Cluster, cause: &str) -> u64 {
    sample(cluster, &format!("rds_csi_events_dropped_total{{cause=\"{cause}\"}}"))
}

fn posted(cluster: &Cluster, reason: &str) -> u64 {
    sample(cluster, &format!("rds_csi_events_posted_total{{reason=\"{reason}\"}}"))
}

#[test]
fn events_that_are_refused_are_counted_and_no_call_minds() {
    let cluster = cluster();
    let volume = cluster.provision("refused", "64Mi", Usage::BLOCK).unwrap();
    let object = claim(cluster, "default", "refused");
    let taken = rights::take(cluster, "events.events.k8s.io", "create");
    let before = dropped(cluster, "Refused");
    attach(cluster, "refused-a", "a", &volume);
    detach(cluster, "refused-a");
    let counted = || Ok((dropped(cluster, "Refused") >= before + 2).then_some(()));
    wait_until("both events are counted as refused", SOON, counted).unwrap();
    assert_eq!(said_on(cluster, &object), []);
    cluster.pods[0].wait_for_log("posting events fails", SOON).unwrap();

    taken.give_back(cluster);
    attach(cluster, "refused-b", "b", &volume);
    event_on(cluster, "VolumeAttached", "Normal", &object);
    assert_eq!(said_on(cluster, &object).len(), 1, "what was refused is not said later");
    detach(cluster, "refused-b");
}

#[test]
fn a_stopped_api_server_stops_only_what_must_ask_it_and_gets_the_events_when_it_is_back() {
    let cluster = cluster();
    let (api, pod) = (&cluster.control_plane, &cluster.pods[0]);
    let volume = cluster.provision("stopped", "64Mi", Usage::BLOCK).unwrap();
    let csi = &pod.controller.csi;
    let lost = ["Refused", "Unanswered", "QueueFull"].map(|cause| dropped(cluster, cause));
    let process = pod.controller.process_id();
    api.stop_api_server();
    let slowest = create_and_delete(csi, "made-while-stopped");
    let (refused, took) = timed(|| csi.attach(&block_volume(&volume), "a").unwrap_err());
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    assert!(refused.message().contains("Kubernetes API"), "{refused}");
    eprintln!(
        "stopped: create and delete within {slowest:.1?}; attach after {took:.1?}: {}",
        refused.message()
    );
    assert!(slowest < BUSY && took < BUSY);
    // Events without a call: they wait in the queue.
    cluster.device.process().kill();
    pod.wait_for_log("the device cannot be served", SOON).unwrap();
    cluster.device.process().start().unwrap();
    pod.controller.wait_until_ready(SOON).unwrap();

    api.start_api_server().unwrap();
    event_on(cluster, "RDSDisconnected", "Warning", &pod.object);
    event_on(cluster, "RDSReconnected", "Normal", &pod.object);
    assert_eq!(["Refused", "Unanswered", "QueueFull"].map(|cause| dropped(cluster, cause)), lost);
    attach(cluster, "stopped-a", "a", &volume);
    detach(cluster, "stopped-a");
    assert_eq!(pod.controller.process_id(), process, "the leader went on");
}

#[test]
fn what_takes_the_api_server_five_seconds_takes_no_call_that_long() {
    let cluster = cluster();
    let volume = cluster.provision("slow", "64Mi", Usage::BLOCK).unwrap();
    let (made, object) = (block_volume(&volume), claim(cluster, "default", "slow"));
    let csi = &cluster.pods[0].controller.csi;
    let slow = SlowEvents::begin(cluster);
    let (attached, attaching) = timed(|| csi.attach(&made, "a"));
    let (detached, detaching) = timed(|| csi.detach(&made, "a"));
    slow.end(cluster);
    eprintln!("each event takes {SLOW:?}: attach {attaching:.1?}, detach {detaching:.1?}");
    attached.unwrap();
    detached.unwrap();
    assert!(attaching < BUSY && detaching < BUSY);
    event_on(cluster, "VolumeAttached", "Normal", &object);
    event_on(cluster, "VolumeDetached", "Normal", &object);
}

#[test]
fn where_all_of_the_api_server_is_slow_only_what_asks_it_waits_and_nothing_is_wrong_after() {
    let cluster = cluster();
    let pod = &cluster.pods[0];
    let volume = cluster.provision("sluggish", "64Mi", Usage::BLOCK).unwrap();
    pod.api.delay(SLOW);
    let csi = &pod.controller.csi;
    let slowest = create_and_delete(csi, "made-while-slow");
    let (attached, attaching) = timed(|| csi.attach(&block_volume(&volume), "a"));
    pod.api.restore();
    eprintln!("slow: create and delete within {slowest:.1?}; attach {attaching:.1?}: {attached:?}");
    assert!(slowest < BUSY, "{slowest:?}");
    // It asks for the Node, live; a connection that is opened only now takes longer than one may.
    assert!(attaching >= SLOW && attached.err().is_none_or(|status| status.code() == Code::Unavailable));
    csi.detach(&block_volume(&volume), "a").unwrap();
}

#[test]
fn a_storm_of_events_is_bounded_while_each_takes_five_seconds_and_drains_after() {
    let cluster = cluster();
    let volumes: Vec<Made> = (0..4).map(|number| contested(cluster, number)).collect();
    let csi = &cluster.pods[0].controller.csi;
    let refuse = |made: &Made| loop {
        match timed(|| csi.attach(made, "b").unwrap_err()) {
            // The reconciler looks at this volume just now.
            (status, _) if status.code() == Code::Aborted => {}
            (status, took) => {
                assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
                return took;
            }
        }
    };
    let usual = volumes.iter().map(refuse).max().unwrap();
    let settled = || posted(cluster, "AttachmentConflict") + dropped(cluster, "QueueFull");
    let before = settled();

    let slow = SlowEvents::begin(cluster);
    let storm = |made: &Made| (0..STORM / volumes.len()).map(|_| refuse(made)).max().unwrap();
    let slowest = thread::scope(|scope| {
        let threads: Vec<_> = volumes.iter().map(|made| scope.spawn(|| storm(made))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).max().unwrap()
    });
    let lost = dropped(cluster, "QueueFull");
    eprintln!("{STORM} refusals: the slowest {slowest:.1?} (before: {usual:.1?}); {lost} events dropped");
    assert!(slowest < BUSY, "{slowest:?}");
    assert!(lost > 0, "nothing was dropped");
    slow.end(cluster);

    let (drained, took) = timed(|| {
        let all = before + u64::try_from(STORM).unwrap();
        wait_until("the queue is empty", 4 * SOON, || Ok((settled() >= all).then_some(())))
    });
    drained.unwrap();
    eprintln!("drained within {took:.1?}: {} posted", posted(cluster, "AttachmentConflict"));
    // Repeats are series: one object for each claim.
    let objects = cluster.control_plane.events("AttachmentConflict").unwrap();
    for number in 0..volumes.len() {
        // One more has no UID where the watch had not shown the PersistentVolume yet.
        let uid = &claim(cluster, "default", &format!("storm-{number}"))["metadata"]["uid"];
        let of: Vec<_> = objects.iter().filter(|event| *uid == event.uid).collect();
        assert_eq!(of.len(), 1, "{of:#?}");
        detach(cluster, &format!("storm-{number}-a"));
    }
}

/// A volume that node a has.
fn contested(cluster: &Cluster, number: usize) -> Made {
    let name = format!("storm-{number}");
    let volume = cluster.provision(&name, "64Mi", Usage::BLOCK).unwrap();
    attach(cluster, &format!("{name}-a"), "a", &volume);
    block_volume(&volume)
}

/// An admission webhook that never answers, for the driver's events only: the API server waits for it as long as it
/// was told to, and then takes the event.
struct SlowEvents;

/// The webhook's configuration.
const WEBHOOK: &str = "slow-events";

impl SlowEvents {
    fn begin(cluster: &Cluster) -> Self {
        let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = silent.local_addr().unwrap().port();
        // It hears and says nothing until the other side has enough.
        thread::spawn(move || {
            for mut client in silent.incoming().flatten() {
                thread::spawn(move || while matches!(client.read(&mut [0; 1024]), Ok(1..)) {});
            }
        });
        cluster.admin().create(&webhook(port)).unwrap();
        let is_slow = || Ok((timed(|| event(cluster)).1 >= SLOW).then_some(()));
        wait_until("posting an event is slow", SOON, is_slow).unwrap();
        Self
    }

    fn end(self, cluster: &Cluster) {
        cluster.control_plane.kubectl(&["delete", "validatingwebhookconfiguration", WEBHOOK]).unwrap();
    }
}

fn webhook(port: u16) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": { "name": WEBHOOK },
        "webhooks": [{
            "name": "slow-events.testbed.invalid",
            "clientConfig": { "url": format!("https://127.0.0.1:{port}/") },
            "rules": [{
                "apiGroups": ["events.k8s.io"], "apiVersions": ["v1"], "resources": ["events"],
                "operations": ["CREATE", "UPDATE"],
            }],
            "matchPolicy": "Exact", "failurePolicy": "Ignore", "timeoutSeconds": SLOW.as_secs(),
            "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "matchConditions": [
                { "name": "the-drivers", "expression": "object.reportingController == 'rds-csi-controller'" },
            ],
        }],
    })
}

/// Posts an event in the driver's name.
fn event(cluster: &Cluster) {
    let event = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event",
        "metadata": { "generateName": "slow-", "namespace": "default" },
        "eventTime": "2026-01-01T00:00:00.000000Z", "type": "Normal", "reason": "Slow", "action": "Slow",
        "reportingController": "rds-csi-controller", "reportingInstance": "a-test",
        "regarding": { "apiVersion": "v1", "kind": "Node", "name": "a" },
    });
    cluster.admin().create(&event).unwrap();
}
