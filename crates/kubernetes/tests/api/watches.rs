//! What watches keep, and what they wake for.

use std::time::Duration;

use kubernetes::{ATTACHED_AT, ATTACHED_NODE, Changes, Claims, Mirror};
use serde_json::{Value, json};
use testbed::objects::{self, Usage};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use volume::{NodeId, Slot};

use super::{DRIVER, admin, attached, client, control_plane, persistent_volume, until};

async fn woken(changes: &Changes) {
    timeout(Duration::from_secs(60), changes.changed()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_follows_persistent_volumes_and_the_mirror_writes_on_them() {
    let (client, stop) = (client("rds-csi-controller").await, CancellationToken::new());
    let claims = Claims::watch(client.clone(), DRIVER, stop.clone());
    claims.synced().await;
    let slot = Slot::parse("pvc-index").unwrap();
    assert_eq!(claims.claim(&slot), None);
    // First: a claim takes any volume that fits and is nobody's.
    persistent_volume("index-pv", "pvc-index", Some("index-claim"));
    admin(&objects::claim("index-claim", "", "1Gi", Usage::SHARED_BLOCK));
    let object = control_plane().admin().get(&["pvc", "index-claim"]).unwrap().unwrap();
    let uid = object["metadata"]["uid"].as_str().unwrap();
    let claim = until("bound", || claims.claim(&slot).filter(|claim| claim.uid == uid)).await;
    assert_eq!((claim.namespace.as_str(), claim.name.as_str()), ("default", "index-claim"));

    let mirror = Mirror::start(client, claims.clone(), stop.clone());
    let annotations = || {
        let object = control_plane().admin().get(&["pv", "index-pv"]).unwrap().unwrap();
        object["metadata"]["annotations"].clone()
    };
    mirror.set(&slot, NodeId::of_node("index-node").as_ref());
    until("annotated", || (annotations()[ATTACHED_NODE] == "index-node").then_some(())).await;
    let at = annotations()[ATTACHED_AT].as_str().unwrap().to_owned();
    assert!(at.starts_with("20") && at.ends_with('Z'), "{at}");
    mirror.set(&slot, None);
    until("taken away", || (annotations().get(ATTACHED_NODE).is_none_or(Value::is_null)).then_some(())).await;

    control_plane().kubectl(&["delete", "pv", "index-pv", "--wait=false"]).unwrap();
    let finalizers = json!({"metadata": {"finalizers": null}});
    control_plane().admin().patch(&["pv", "index-pv"], &finalizers).unwrap();
    until("forgotten", || claims.persistent_volumes(&slot).is_empty().then_some(())).await;
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_fail_or_go_and_attachments_torn_off_wake() {
    let (client, stop) = (client("rds-csi-controller").await, CancellationToken::new());
    control_plane().add_node("wake-a", DRIVER, "rds:wake-a").unwrap();
    persistent_volume("wake-pv", "pvc-wake", None);
    attached("wake-va", "wake-a", "wake-pv", "");
    let changes = Changes::watch(client, DRIVER, stop.clone());
    until("both lists have come", || changes.awaited().is_none().then_some(())).await;
    // Both first lists wake; then other tests may, which is no harm.
    woken(&changes).await;
    control_plane().set_ready("wake-a", "False").unwrap();
    woken(&changes).await;
    control_plane().taint_out_of_service("wake-a").unwrap();
    woken(&changes).await;
    control_plane().kubectl(&["delete", "volumeattachment", "wake-va"]).unwrap();
    woken(&changes).await;
    control_plane().delete_node("wake-a").unwrap();
    woken(&changes).await;
    stop.cancel();
}
