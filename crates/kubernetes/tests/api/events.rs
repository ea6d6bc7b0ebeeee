//! Events, read back as people read them.

use std::time::Duration;

use kubernetes::{Connection, EventRecorder, OwnPod, Reporter, connect};
use prometheus_client::registry::Registry;
use serde_json::Value;
use testbed::Proxy;
use testbed::objects::{self, Usage};
use tokio::time::Instant;
use volume::{Claim, Event, Events as _, Involved, Reason};

use super::{NAMESPACE, admin, client, control_plane, soon, until};

async fn recorder(account: &'static str) -> EventRecorder {
    let own_pod =
        OwnPod { namespace: NAMESPACE.to_owned(), name: format!("{account}-0"), uid: String::new() };
    let reporter = Reporter { component: account, instance: own_pod.name.clone(), own_pod: Some(own_pod) };
    EventRecorder::start(client(account).await, reporter, &mut Registry::default())
}

fn claim(name: &str) -> Involved {
    let object = admin(&objects::claim(name, "none", "1Gi", Usage::BLOCK));
    let uid = object["metadata"]["uid"].as_str().unwrap().to_owned();
    Involved::Claim(Claim { namespace: "default".to_owned(), name: name.to_owned(), uid })
}

fn post(recorder: &EventRecorder, reason: Reason, involved: &Involved, message: &str) {
    recorder.post(Event { reason, involved: involved.clone(), message: message.to_owned() });
}

/// Events of the core API, as kubectl reads them, of one object and one of our reasons.
fn events(namespace: &str, name: &str) -> Vec<Value> {
    let selector = format!("involvedObject.name={name},reason!=ProvisioningFailed");
    let list = control_plane().admin().get(&["events", "-n", namespace, "--field-selector", &selector]);
    list.unwrap().map_or(Vec::new(), |list| list["items"].as_array().unwrap().clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_on_a_claim_is_read_back_with_all_that_the_table_says() {
    let recorder = recorder("rds-csi-controller").await;
    let involved = claim("event-claim");
    post(&recorder, Reason::AttachmentConflict, &involved, "[v]: to a");
    post(&recorder, Reason::AttachmentConflict, &involved, "[v]: to a");
    post(&recorder, Reason::AttachmentConflict, &involved, "[v]: to a");
    post(&recorder, Reason::VolumeAttached, &involved, "[v]: Attached to node b (duration: 3)");
    recorder.drain(soon()).await;

    let seen = events("default", "event-claim");
    let conflict = seen.iter().find(|event| event["reason"] == "AttachmentConflict").unwrap();
    assert_eq!(conflict["type"], "Warning");
    assert_eq!(conflict["message"], "[v]: to a");
    assert_eq!(conflict["reportingComponent"], "rds-csi-controller");
    assert_eq!(conflict["reportingInstance"], "rds-csi-controller-0");
    assert_eq!(conflict["involvedObject"]["kind"], "PersistentVolumeClaim");
    assert_eq!(conflict["series"]["count"], 3);
    let ours: Vec<_> =
        seen.iter().filter(|event| event["reportingComponent"] == "rds-csi-controller").collect();
    assert_eq!(ours.len(), 2, "{seen:#?}");
    let described = control_plane().kubectl(&["describe", "pvc", "event-claim"]).unwrap();
    assert!(described.contains("Attached to node b (duration: 3)"), "{described}");
    println!("{}", control_plane().kubectl(&["get", "events"]).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_posts_on_claims_and_on_its_node_in_default() {
    let recorder = recorder("rds-csi-node").await;
    let node = Involved::Node { name: "event-node".to_owned(), uid: "some-uid".to_owned() };
    post(&recorder, Reason::ConnectionFailure, &node, "m");
    post(&recorder, Reason::ConnectionFailure, &node, "m");
    post(&recorder, Reason::StartupReconciliation, &Involved::OwnPod, "rebuilt");
    recorder.drain(soon()).await;
    let seen = events("default", "event-node");
    assert_eq!((seen.len(), &seen[0]["series"]["count"]), (1, &2.into()), "{seen:#?}");
    let own = events(NAMESPACE, "rds-csi-node-0");
    assert_eq!((own.len(), &own[0]["involvedObject"]["kind"]), (1, &"Pod".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_messages_that_are_too_long_are_taken_all_the_same() {
    let recorder = recorder("rds-csi-controller").await;
    let name = format!("{}.x", "n".repeat(251));
    let involved =
        Involved::Claim(Claim { namespace: "default".to_owned(), name: name.clone(), uid: String::new() });
    post(&recorder, Reason::MountFailure, &involved, &"long ".repeat(1000));
    recorder.drain(soon()).await;
    assert_eq!(events("default", &name).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_is_gone_costs_nothing_but_its_event() {
    let recorder = recorder("rds-csi-controller").await;
    let gone =
        Involved::Claim(Claim { namespace: "gone".to_owned(), name: "c".to_owned(), uid: String::new() });
    let involved = claim("event-after");
    post(&recorder, Reason::VolumeDetached, &gone, "m");
    post(&recorder, Reason::VolumeDetached, &involved, "m");
    recorder.drain(soon()).await;
    let ours = |event: &&Value| event["reason"] == "VolumeDetached";
    assert_eq!(events("default", "event-after").iter().filter(ours).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_is_slow_and_then_away_holds_up_nobody_and_gets_all_in_the_end() {
    let (control_plane, involved) = (control_plane(), claim("event-away"));
    let proxy = Proxy::start(control_plane.address()).unwrap();
    let account = "rds-csi-controller";
    let kubeconfig =
        control_plane.kubeconfig_of_service_account(NAMESPACE, account, proxy.address()).unwrap();
    let client = connect(&Connection::Kubeconfig(kubeconfig), "kubernetes-tests/0").await.unwrap();
    let reporter = Reporter { component: account, instance: "p".to_owned(), own_pod: None };
    let recorder = EventRecorder::start(client, reporter, &mut Registry::default());
    proxy.delay(Duration::from_secs(5));
    let started = Instant::now();
    post(&recorder, Reason::VolumeAttached, &involved, "slow");
    assert!(started.elapsed() < Duration::from_millis(100));
    let ours = || events("default", "event-away").iter().filter(|event| event["type"] == "Normal").count();
    until("posted slowly", || (ours() == 1).then_some(())).await;
    assert!(started.elapsed() > Duration::from_secs(5));
    proxy.cut();
    for number in 0..20 {
        post(&recorder, Reason::VolumeAttached, &involved, &format!("away {}", number % 4));
    }
    proxy.restore();
    recorder.drain(soon()).await;
    assert_eq!(ours(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_events_a_second_are_sustained() {
    let recorder = recorder("rds-csi-controller").await;
    let (involved, started) = (claim("event-many"), Instant::now());
    for number in 0..500 {
        post(&recorder, Reason::VolumeAttached, &involved, &format!("{}", number % 5));
    }
    let posted = started.elapsed();
    recorder.drain(soon()).await;
    println!("500 events handed over in {posted:?}, posted after {:?}", started.elapsed());
    assert!(posted < Duration::from_secs(1));
    let seen = events("default", "event-many");
    let counts: Vec<_> = seen.iter().filter_map(|event| event["series"]["count"].as_i64()).collect();
    assert_eq!(counts, [100; 5]);
}
