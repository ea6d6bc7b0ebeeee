//! The mirror of attachments on PVs.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Method;
use kubernetes::{ATTACHED_AT, ATTACHED_NODE, Claims, Client, Mirror};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use volume::{NodeId, Slot};

use crate::server::{Answer, Asked, Log, list, ok, refused, server};

const DRIVER: &str = "rds.csi.srvlab.io";

/// A cluster with the PV `pv-1` of the volume `pvc-1`; patches are answered with `patched`.
fn cluster(patched: impl Fn() -> Answer + Clone + Send + Sync + 'static) -> (Client, Log) {
    server(move |Asked { method, path, .. }| {
        let patched = patched.clone();
        async move {
            if method == Method::PATCH {
                return patched();
            }
            if path.contains("watch") {
                // A watch on which nothing happens.
                sleep(Duration::from_secs(3600)).await;
            }
            let csi = json!({"driver": DRIVER, "volumeHandle": "pvc-1"});
            ok(list(&[json!({"metadata": {"name": "pv-1"}, "spec": {"csi": csi}})]))
        }
    })
}

fn mirror(client: Client, stop: &CancellationToken) -> Mirror {
    let claims = Claims::watch(client.clone(), DRIVER, stop.clone());
    Mirror::start(client, claims, stop.clone())
}

async fn patches(log: &Log, count: usize) -> Vec<Value> {
    let sent = async {
        loop {
            let bodies = log.bodies(&Method::PATCH);
            if bodies.len() >= count {
                return bodies;
            }
            sleep(Duration::from_millis(1)).await;
        }
    };
    // Of the paused clock: far beyond every pause.
    timeout(Duration::from_secs(100), sent).await.unwrap()
}

fn taken() -> Answer {
    ok(json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv-1"}}))
}

fn annotation<'a>(patch: &'a Value, name: &str) -> &'a Value {
    &patch["metadata"]["annotations"][name]
}

#[tokio::test(start_paused = true)]
async fn an_attachment_is_written_and_taken_away() {
    let (client, log) = cluster(taken);
    let stop = CancellationToken::new();
    let mirror = mirror(client, &stop);
    let slot = Slot::parse("pvc-1").unwrap();
    mirror.set(&slot, NodeId::of_node("a").as_ref());
    let first = patches(&log, 1).await.remove(0);
    assert_eq!(annotation(&first, ATTACHED_NODE), "a");
    let at = annotation(&first, ATTACHED_AT).as_str().unwrap();
    assert!(at.len() == "2026-01-01T00:00:00Z".len() && at.ends_with('Z'), "{at}");
    mirror.set(&slot, None);
    let second = patches(&log, 2).await.remove(1);
    assert_eq!(second, json!({"metadata": {"annotations": {ATTACHED_NODE: null, ATTACHED_AT: null}}}));
    assert!(log.all().iter().any(|asked| asked.path.starts_with("/api/v1/persistentvolumes/pv-1?")));
    stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn while_the_server_is_away_only_the_latest_state_waits() {
    let code = Arc::new(AtomicU16::new(503));
    let answered = Arc::clone(&code);
    let (client, log) = cluster(move || match answered.load(Ordering::Relaxed) {
        200 => taken(),
        code => refused(code),
    });
    let stop = CancellationToken::new();
    let mirror = mirror(client, &stop);
    let slot = Slot::parse("pvc-1").unwrap();
    mirror.set(&slot, NodeId::of_node("a").as_ref());
    patches(&log, 3).await;
    mirror.set(&slot, NodeId::of_node("b").as_ref());
    let failed = log.bodies(&Method::PATCH).len();
    code.store(200, Ordering::Relaxed);
    let last = patches(&log, failed + 1).await.pop().unwrap();
    assert_eq!(annotation(&last, ATTACHED_NODE), "b");
    stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_or_unknown_does_not_hold_up_the_next() {
    let (client, log) = cluster(|| refused(403));
    let stop = CancellationToken::new();
    let mirror = mirror(client, &stop);
    mirror.set(&Slot::parse("pvc-0").unwrap(), NodeId::of_node("a").as_ref());
    mirror.set(&Slot::parse("pvc-1").unwrap(), NodeId::of_node("a").as_ref());
    patches(&log, 1).await;
    mirror.set(&Slot::parse("pvc-1").unwrap(), None);
    patches(&log, 2).await;
    stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_comes_back_and_refuses_until_it_knows_the_roles_gets_the_state() {
    let answers = Arc::new(Mutex::new([503, 401, 403, 403].into_iter()));
    let (client, log) = cluster(move || answers.lock().unwrap().next().map_or_else(taken, refused));
    let stop = CancellationToken::new();
    let mirror = mirror(client, &stop);
    let slot = Slot::parse("pvc-1").unwrap();
    mirror.set(&slot, NodeId::of_node("a").as_ref());
    let last = patches(&log, 5).await.pop().unwrap();
    assert_eq!(annotation(&last, ATTACHED_NODE), "a");
    stop.cancel();
}
