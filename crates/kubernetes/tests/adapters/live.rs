//! Nodes, machines, marks and the cluster's UID.

use std::time::Duration;

use attachment::Machines;
use http::{Method, StatusCode};
use kubernetes::{Live, UNFENCED_MEMBER, attachment_name, cluster_uid};
use serde_json::json;
use tokio::time::{Instant, sleep};
use volume::{Claim, NodeId, NqnPrefix, Slot};

use crate::server::{Answer, Asked, Log, list, ok, refused, server};

const DRIVER: &str = "rds.csi.srvlab.io";

fn live(answer: impl Fn(Asked) -> Answer + Send + Sync + 'static) -> (Live, Log) {
    let (client, log) = server(move |asked| std::future::ready(answer(asked)));
    (Live::new(client, DRIVER, NqnPrefix::parse("nqn.2000-02.com.mikrotik").unwrap()), log)
}

fn slot() -> Slot {
    Slot::parse("pvc-1").unwrap()
}

fn node() -> NodeId {
    NodeId::of_node("a").unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

#[tokio::test]
async fn only_a_404_means_that_there_is_no_node() {
    let (live_one, log) = live(|_| {
        ok(json!({"metadata": {"name": "a", "uid": "u"},
            "status": {"volumesInUse": ["kubernetes.io/csi/rds.csi.srvlab.io^pvc-1"]}}))
    });
    let found = live_one.node(&node(), &slot(), soon()).await.unwrap().unwrap();
    assert!(found.facts.in_use && !found.facts.ready && found.uid == "u");
    assert_eq!(log.all()[0].path, "/api/v1/nodes/a");
    assert_eq!(live(|_| refused(404)).0.node(&node(), &slot(), soon()).await, Ok(None));
    for code in [401, 403, 429, 500, 503] {
        let error = live(move |_| refused(code)).0.node(&node(), &slot(), soon()).await.unwrap_err();
        assert!(error.to_string().contains(&code.to_string()), "{error}");
        assert_eq!(error.is_forbidden(), code == 403);
        assert_eq!(error.is_retriable(), code == 429 || code >= 500, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_is_left_at_the_deadline() {
    let (client, _) = server(|_| async {
        sleep(Duration::from_secs(3600)).await;
        refused(404)
    });
    let live = Live::new(client, DRIVER, NqnPrefix::parse("nqn.2000-02.com.mikrotik").unwrap());
    let started = Instant::now();
    let error = live.node(&node(), &slot(), soon()).await.unwrap_err();
    assert_eq!(started.elapsed(), Duration::from_secs(5));
    assert_eq!(error.to_string(), "reading Node a: the Kubernetes API did not answer in time");
}

#[tokio::test]
async fn the_cluster_is_the_uid_of_kube_system() {
    let (client, _) = server(|asked| async move {
        assert_eq!(asked.path, "/api/v1/namespaces/kube-system");
        ok(json!({"metadata": {"uid": "3b1f"}}))
    });
    assert_eq!(cluster_uid(&client, soon()).await.unwrap(), "3b1f");
    let (client, _) = server(|_| std::future::ready(ok(json!({"metadata": {}}))));
    assert!(cluster_uid(&client, soon()).await.is_err());
}

#[tokio::test]
async fn pods_that_may_not_be_read_are_an_answer_and_a_server_that_fails_is_none() {
    let claim = Claim { namespace: "apps".to_owned(), name: "data".to_owned(), uid: String::new() };
    let (plain, log) = live(|_| ok(list(&[])));
    assert_eq!(plain.machines(&claim, &node(), soon()).await, Ok(Machines::NoMachine));
    assert_eq!(log.all()[0].path, "/api/v1/namespaces/apps/pods?&limit=500");
    assert_eq!(live(|_| refused(403)).0.machines(&claim, &node(), soon()).await, Ok(Machines::Forbidden));
    assert!(live(|_| refused(500)).0.machines(&claim, &node(), soon()).await.is_err());
}

#[tokio::test]
async fn the_mark_is_set_and_taken_by_a_merge_patch_of_one_annotation() {
    let (live_one, log) = live(|_| {
        ok(json!({"apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment",
        "metadata": {"name": "x", "annotations": {UNFENCED_MEMBER: "b"}}}))
    });
    assert_eq!(live_one.mark_unfenced(&slot(), &node(), Some("b"), soon()).await, Ok(true));
    assert_eq!(live_one.mark_unfenced(&slot(), &node(), None, soon()).await, Ok(true));
    assert_eq!(live_one.unfenced(&slot(), &node(), soon()).await, Ok(Some("b".to_owned())));
    let patches = log.bodies(&Method::PATCH);
    assert_eq!(patches[0], json!({"metadata": {"annotations": {UNFENCED_MEMBER: "b"}}}));
    assert_eq!(patches[1], json!({"metadata": {"annotations": {UNFENCED_MEMBER: null}}}));
    let name = attachment_name("pvc-1", DRIVER, &node());
    assert!(log.all().iter().all(|asked| asked.path.contains(&name)), "{:?}", log.all());
}

#[tokio::test]
async fn a_mark_on_nothing_is_none_and_a_refusal_is_an_error() {
    let gone = || live(|_| refused(404)).0;
    for mark in [Some("b"), None] {
        assert_eq!(gone().mark_unfenced(&slot(), &node(), mark, soon()).await, Ok(false));
        assert!(live(|_| refused(403)).0.mark_unfenced(&slot(), &node(), mark, soon()).await.is_err());
    }
    assert_eq!(gone().unfenced(&slot(), &node(), soon()).await, Ok(None));
    assert!(live(|_| refused(403)).0.unfenced(&slot(), &node(), soon()).await.is_err());
}

#[tokio::test]
async fn a_404_that_is_not_about_the_object_is_no_answer() {
    let elsewhere = || {
        live(|_| {
            (
                StatusCode::NOT_FOUND,
                json!({"kind": "Status", "status": "Failure", "code": 404, "details": {},
            "reason": "NotFound", "message": "the server could not find the requested resource"}),
            )
        })
        .0
    };
    assert!(elsewhere().node(&node(), &slot(), soon()).await.unwrap_err().is_not_found());
    assert!(elsewhere().attachment(&slot(), &node(), soon()).await.unwrap_err().is_not_found());
    assert!(elsewhere().unfenced(&slot(), &node(), soon()).await.unwrap_err().is_not_found());
    let marked = elsewhere().mark_unfenced(&slot(), &node(), Some("b"), soon()).await;
    assert!(marked.unwrap_err().is_not_found(), "else a pod may come beside a member that is not fenced");
}

#[tokio::test]
async fn a_volume_attachment_that_is_there_and_cannot_be_read_is_not_gone() {
    let nonsense =
        json!({"metadata": {"name": "x"}, "spec": {"attacher": DRIVER, "nodeName": "", "source": {}}});
    let (live, _) = live(move |_| ok(nonsense.clone()));
    assert!(live.attachment(&slot(), &node(), soon()).await.is_err());
}
