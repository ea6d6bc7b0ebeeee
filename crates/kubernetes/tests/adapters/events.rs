//! The event queue: what it posts, and that it holds up nobody.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, StatusCode};
use kubernetes::{EventRecorder, OwnPod, Reporter};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use volume::{Claim, Event, Events as _, Involved, Reason};

use crate::server::{Answer, Asked, Log, ok, refused, server};

struct Bench {
    recorder: EventRecorder,
    registry: Registry,
    log: Log,
}

impl Bench {
    fn new<A: Future<Output = Answer> + Send + 'static>(
        answer: impl Fn(Asked) -> A + Send + Sync + 'static,
    ) -> Self {
        let (client, log) = server(answer);
        let mut registry = Registry::default();
        let own_pod = OwnPod {
            namespace: "rds".to_owned(),
            name: "controller-0".to_owned(),
            uid: "pod-uid".to_owned(),
        };
        let reporter = Reporter {
            component: "rds-csi-controller",
            instance: own_pod.name.clone(),
            own_pod: Some(own_pod),
        };
        Self { recorder: EventRecorder::start(client, reporter, &mut registry), registry, log }
    }

    fn post(&self, reason: Reason, involved: Involved, message: &str) {
        self.recorder.post(Event { reason, involved, message: message.to_owned() });
    }

    async fn drain(&self) {
        self.recorder.drain(Instant::now() + Duration::from_secs(100_000)).await;
    }

    fn metric(&self, series: &str) -> u64 {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
        value.unwrap_or_default()
    }
}

fn claim() -> Involved {
    let (namespace, name) = ("apps".to_owned(), "data".to_owned());
    Involved::Claim(Claim { namespace, name, uid: "claim-uid".to_owned() })
}

/// What the API server stores: it takes events, and changes to events that it has.
fn store() -> impl Fn(Asked) -> std::future::Ready<Answer> {
    let stored: Mutex<HashMap<String, Value>> = Mutex::default();
    move |Asked { method, path, body }| {
        let mut stored = stored.lock().unwrap();
        let path = path.split('?').next().unwrap().to_owned();
        std::future::ready(match method {
            Method::POST => {
                let name = body["metadata"]["name"].as_str().unwrap();
                stored.insert(format!("{path}/{name}"), body.clone());
                (StatusCode::CREATED, body)
            }
            _ => match stored.get_mut(&path) {
                Some(event) => {
                    event["series"] = body["series"].clone();
                    ok(event.clone())
                }
                None => refused(404),
            },
        })
    }
}

fn field<'a>(event: &'a Value, path: &str) -> &'a str {
    event.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn an_event_says_who_what_and_whom_in_its_objects_namespace() {
    let bench = Bench::new(store());
    bench.post(Reason::VolumeAttached, claim(), "[v]: Attached to node a (duration: 3)");
    bench.post(Reason::MountFailure, Involved::Node { name: "a".to_owned(), uid: String::new() }, "m");
    bench.post(Reason::RdsDisconnected, Involved::OwnPod, "gone");
    bench.drain().await;
    let paths: Vec<_> = bench.log.all().into_iter().map(|asked| asked.path).collect();
    let path = |namespace| format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events?");
    assert_eq!(paths, [path("apps"), path("default"), path("rds")]);
    let events = bench.log.bodies(&Method::POST);
    let [on_claim, on_node, on_pod] = events.as_slice() else { panic!("{events:?}") };
    for (field_path, expected) in [
        ("/regarding/kind", "PersistentVolumeClaim"),
        ("/regarding/namespace", "apps"),
        ("/regarding/name", "data"),
        ("/regarding/uid", "claim-uid"),
        ("/reason", "VolumeAttached"),
        ("/type", "Normal"),
        ("/note", "[v]: Attached to node a (duration: 3)"),
        ("/reportingController", "rds-csi-controller"),
        ("/reportingInstance", "controller-0"),
        ("/metadata/namespace", "apps"),
    ] {
        assert_eq!(field(on_claim, field_path), expected, "{field_path}");
    }
    assert_eq!((field(on_node, "/regarding/kind"), field(on_node, "/type")), ("Node", "Warning"));
    assert_eq!(field(on_node, "/metadata/namespace"), "default");
    assert_eq!(
        (field(on_pod, "/regarding/name"), field(on_pod, "/regarding/uid")),
        ("controller-0", "pod-uid")
    );
    assert_eq!(bench.metric(r#"rds_csi_events_posted_total{reason="VolumeAttached"}"#), 1);
    assert_eq!(bench.metric(r#"rds_csi_events_posted_total{reason="RDSDisconnected"}"#), 1);
}

#[tokio::test(start_paused = true)]
async fn repeats_are_one_series_and_another_message_is_another_event() {
    let bench = Bench::new(store());
    for message in ["to a", "to a", "to b", "to a"] {
        bench.post(Reason::AttachmentConflict, claim(), message);
    }
    bench.drain().await;
    let notes: Vec<_> = bench.log.bodies(&Method::POST).iter().map(|event| event["note"].clone()).collect();
    assert_eq!(notes, ["to a", "to b"]);
    let counts: Vec<_> =
        bench.log.bodies(&Method::PATCH).iter().map(|patch| patch["series"]["count"].clone()).collect();
    assert_eq!(counts, [2, 3]);
    assert_eq!(bench.metric(r#"rds_csi_events_posted_total{reason="AttachmentConflict"}"#), 4);
}

#[tokio::test(start_paused = true)]
async fn a_repeat_of_an_event_that_was_deleted_is_a_new_one() {
    let bench = Bench::new(|asked| {
        std::future::ready(if asked.method == Method::POST { ok(asked.body) } else { refused(404) })
    });
    bench.post(Reason::VolumeDetached, claim(), "m");
    bench.post(Reason::VolumeDetached, claim(), "m");
    bench.drain().await;
    assert_eq!(bench.log.bodies(&Method::POST).len(), 2);
    assert_eq!(bench.metric(r#"rds_csi_events_posted_total{reason="VolumeDetached"}"#), 2);
}

#[tokio::test(start_paused = true)]
async fn a_slow_server_holds_up_nobody_and_gets_what_the_queue_holds() {
    let bench = Bench::new(|asked| async {
        sleep(Duration::from_secs(5)).await;
        ok(asked.body)
    });
    let started = std::time::Instant::now();
    for number in 0..1500 {
        bench.post(Reason::VolumeAttached, claim(), &number.to_string());
    }
    assert!(started.elapsed() < Duration::from_secs(1), "posting waited: {:?}", started.elapsed());
    assert_eq!(bench.metric(r#"rds_csi_events_dropped_total{cause="QueueFull"}"#), 500);
    bench.drain().await;
    assert_eq!(bench.metric(r#"rds_csi_events_posted_total{reason="VolumeAttached"}"#), 1000);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_counted_and_not_repeated() {
    let bench = Bench::new(|_| std::future::ready(refused(403)));
    bench.post(Reason::VolumeAttached, claim(), "m");
    bench.post(Reason::VolumeDetached, claim(), "m");
    bench.drain().await;
    assert_eq!(bench.log.all().len(), 2);
    assert_eq!(bench.metric(r#"rds_csi_events_dropped_total{cause="Refused"}"#), 2);
}

#[tokio::test(start_paused = true)]
async fn the_queue_drains_when_the_server_is_back() {
    let code = Arc::new(AtomicU16::new(500));
    let answered = Arc::clone(&code);
    let bench = Bench::new(move |asked| {
        let code = answered.load(Ordering::Relaxed);
        std::future::ready(if code == 200 { ok(asked.body) } else { refused(code) })
    });
    for number in 0..50 {
        bench.post(Reason::VolumeAttached, claim(), &number.to_string());
    }
    sleep(Duration::from_secs(60)).await;
    assert_eq!(bench.metric(r#"rds_csi_events_posted_total{reason="VolumeAttached"}"#), 0);
    code.store(200, Ordering::Relaxed);
    bench.drain().await;
    assert_eq!(bench.metric(r#"rds_csi_events_posted_total{reason="VolumeAttached"}"#), 50);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_comes_back_and_refuses_until_it_knows_the_roles_gets_the_event() {
    let answers = Mutex::new([503, 401, 403, 403].into_iter());
    let bench = Bench::new(move |asked| {
        let code = answers.lock().unwrap().next();
        std::future::ready(code.map_or_else(|| ok(asked.body), refused))
    });
    bench.post(Reason::VolumeAttached, claim(), "m");
    bench.drain().await;
    assert_eq!(bench.metric(r#"rds_csi_events_posted_total{reason="VolumeAttached"}"#), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_lost_after_the_effect_makes_no_second_event() {
    let stored = store();
    let lose = AtomicU16::new(1);
    let bench = Bench::new(move |asked| {
        let known = asked.method == Method::POST && lose.fetch_sub(1, Ordering::Relaxed) != 1;
        let answer = stored(asked);
        async move {
            if known {
                refused(409)
            } else {
                drop(answer.await);
                refused(504)
            }
        }
    });
    bench.post(Reason::VolumeAttached, claim(), "m");
    bench.drain().await;
    let names: Vec<_> =
        bench.log.bodies(&Method::POST).iter().map(|event| event["metadata"]["name"].clone()).collect();
    assert!(names.len() == 2 && names[0] == names[1], "{names:?}");
    assert_eq!(bench.metric(r#"rds_csi_events_posted_total{reason="VolumeAttached"}"#), 1);
}

#[tokio::test(start_paused = true)]
async fn at_shutdown_a_dead_server_is_not_waited_for() {
    let bench = Bench::new(|_| async {
        sleep(Duration::from_secs(100_000)).await;
        refused(500)
    });
    bench.post(Reason::VolumeAttached, claim(), "m");
    let started = Instant::now();
    bench.recorder.drain(started + Duration::from_secs(2)).await;
    assert_eq!(started.elapsed(), Duration::from_secs(2));
    bench.post(Reason::VolumeAttached, claim(), "after the end");
}

#[tokio::test(start_paused = true)]
async fn what_is_too_long_for_the_api_server_is_cut() {
    let bench = Bench::new(store());
    let (namespace, name) = ("apps".to_owned(), format!("{}.x", "n".repeat(251)));
    let involved = Involved::Claim(Claim { namespace, name, uid: String::new() });
    bench.post(Reason::MountFailure, involved, &"ä".repeat(1000));
    bench.drain().await;
    let event = bench.log.bodies(&Method::POST).remove(0);
    let (name, note) = (field(&event, "/metadata/name"), field(&event, "/note"));
    assert!(name.len() <= 253 && !name.contains(".."), "{name}");
    assert!(note.len() <= 1024 && note.ends_with("ä…"), "{note}");
    assert_eq!(
        event["regarding"],
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "namespace": "apps", "name": format!("{}.x", "n".repeat(251))})
    );
}
