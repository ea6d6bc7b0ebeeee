//! Another holder in the way: it has the volume, is leaving, or is gone (attachments.md, "Publish" 1, 3 and 4).

use std::time::Duration;

use routeros::{Client, DiskChange};
use tokio::time::Instant;
use tonic::Code;

use crate::harness::{Device, Driver, Publishing, code};
use crate::kube::{Kube, start};

#[tokio::test(start_paused = true)]
async fn a_holder_is_gone_only_with_its_attachment_or_by_somebodys_word() {
    let (_device, kube, driver) = start(&["a", "b"]).await;
    driver
        .leading(&kube, async {
            let id = driver.made("pvc-1").await;
            kube.attach(&driver, Publishing::of(&id, "rds:a")).await.unwrap();
            kube.want(&id, "b");
            let asked = || driver.publish(Publishing::of(&id, "rds:b"));
            kube.set_node("a", |facts| facts.ready = false);
            assert_eq!(code(asked().await), Code::FailedPrecondition, "NotReady says nothing");
            kube.delete_node("a");
            assert_eq!(code(asked().await), Code::FailedPrecondition, "a deleted Node alone clears nothing");
            kube.set_want(&id, "a", |want| want.deleting = true);
            assert_eq!(code(asked().await), Code::Unavailable, "it is leaving");
            let before = driver.disk(&id);
            kube.set_silent(true);
            assert_eq!(code(asked().await), Code::Unavailable);
            assert_eq!(driver.disk(&id), before);
            kube.set_silent(false);
            kube.events();
            kube.delete_want(&id, "a");
            let started = Instant::now();
            let context = asked().await.unwrap();
            assert!(started.elapsed() >= Duration::from_secs(5), "it is settled first");
            assert_ne!(context["nvme_nqn"], before["nvme-tcp-server-nqn"]);
            let events = kube.events();
            assert_eq!(
                events[0],
                format!("StaleAttachmentCleared [{id}]: Cleared stale attachment from deleted node a")
            );
            assert!(events[1].starts_with("VolumeAttached") && events.len() == 2, "{events:?}");
            assert_eq!(driver.metric("rds_csi_attachment_stale_cleared_total"), 1.0);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_is_out_of_service_makes_way_with_its_attachment_still_there() {
    let (_device, kube, driver) = start(&["a", "b"]).await;
    driver
        .leading(&kube, async {
            let id = driver.made("pvc-1").await;
            let first = kube.attach(&driver, Publishing::of(&id, "rds:a")).await.unwrap();
            kube.set_node("a", |facts| facts.out_of_service = true);
            let second = kube.attach(&driver, Publishing::of(&id, "rds:b")).await.unwrap();
            assert_ne!(first, second);
        })
        .await;
}

/// Somebody closes the export on the device and empties the record, and nothing else.
async fn lose_by_hand(device: &Device, id: &str, free: &str) {
    let operator = Client::new(device.transport().0);
    let row = operator.disk_by_slot(id).await.unwrap().unwrap();
    let by_hand = DiskChange { comment: Some(free.to_owned()), ..DiskChange::export(None) };
    operator.set_disk(&row.id, id, &by_hand).await.unwrap();
}

/// A volume that `a` has by its VolumeAttachment, and of which the device knows nothing any more; the NQN that `a` has.
async fn lost_on_the_device(device: &Device, kube: &Kube, driver: &Driver) -> (String, String) {
    let id = driver.made("pvc-1").await;
    let free = driver.disk(&id)["comment"].clone();
    let nqn = kube.attach(driver, Publishing::of(&id, "rds:a")).await.unwrap();
    lose_by_hand(device, &id, &free).await;
    (id, nqn)
}

#[tokio::test(start_paused = true)]
async fn an_attachment_that_stands_is_restored_before_anybody_else_gets_the_volume() {
    let (device, kube, driver) = start(&["a", "b"]).await;
    driver
        .leading(&kube, async {
            let (id, nqn) = lost_on_the_device(&device, &kube, &driver).await;
            kube.want(&id, "b");
            assert_eq!(code(driver.publish(Publishing::of(&id, "rds:b")).await), Code::FailedPrecondition);
            assert_eq!(driver.handle.exports()[0].nqn, nqn, "under the generation that a has");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_restores_what_stands_before_its_first_answer() {
    let (device, kube, driver) = start(&["a", "b"]).await;
    let mut lost = None;
    driver.leading(&kube, async { lost = Some(lost_on_the_device(&device, &kube, &driver).await) }).await;
    let (id, nqn) = lost.unwrap();
    assert!(!driver.is_exported(&id));
    let next = device.driver_in(&kube, crate::harness::config("a"));
    next.watching(async {
        next.becomes(|state| *state == csi_server::ReadyState::Ready).await;
        assert_eq!(next.handle.exports()[0].nqn, nqn);
        let events = kube.events();
        let said = events.iter().find(|event| event.starts_with("StartupReconciliation")).unwrap();
        assert!(said.contains("0 stale cleared, 0 exports closed, 1 restored"), "{said}");
    })
    .await;
}
