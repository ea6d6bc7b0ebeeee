//! The reconciler (R19): what nobody wants is closed, but not while any single one of the conditions fails.

use std::time::Duration;

use csi_controller::AttachmentPolicy;
use routeros::{Client, DiskChange};
use routeros_sim::{Action, Fault, When};
use tonic::Code;
use volume::Record;

use crate::harness::{Device, Driver, Publishing, code};
use crate::kube::{Kube, start};

const GRACE: Duration = Duration::from_secs(30);
const INTERVAL: Duration = Duration::from_secs(300);

/// A volume whose VolumeAttachment was deleted by hand while it is attached to `a`.
async fn abandoned(kube: &Kube, driver: &Driver) -> String {
    let id = driver.made("pvc-1").await;
    kube.attach(driver, Publishing::of(&id, "rds:a")).await.unwrap();
    kube.delete_want(&id, "a");
    kube.events();
    id
}

#[tokio::test(start_paused = true)]
async fn what_nobody_wants_is_closed_after_the_grace_and_said() {
    let (_device, kube, driver) = start(&["a"]).await;
    driver
        .leading(&kube, async {
            let id = abandoned(&kube, &driver).await;
            kube.delete_node("a");
            kube.wake();
            tokio::time::sleep(GRACE - Duration::from_secs(1)).await;
            assert!(driver.is_exported(&id), "it is too young");
            tokio::time::sleep(Duration::from_secs(4)).await;
            assert!(!driver.is_exported(&id));
            let said = format!("StaleAttachmentCleared [{id}]: Cleared stale attachment from deleted node a");
            assert_eq!(kube.events(), [said]);
            assert_eq!(kube.mirrored(&id), Some(None));
            assert_eq!(driver.metric("rds_csi_attachment_reconcile_total{action=\"clear_stale\"}"), 1.0);
            assert_eq!(driver.metric("rds_csi_attachment_stale_cleared_total"), 1.0);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn without_any_watch_the_regular_look_finds_it() {
    let (_device, kube, driver) = start(&["a"]).await;
    driver
        .leading(&kube, async {
            let id = abandoned(&kube, &driver).await;
            tokio::time::sleep(INTERVAL + GRACE + Duration::from_secs(5)).await;
            assert!(!driver.is_exported(&id));
        })
        .await;
}

/// A while in which the reconciler looks again and again.
async fn looked_at(kube: &Kube) {
    for _ in 0..4 {
        kube.wake();
        tokio::time::sleep(GRACE).await;
    }
}

/// Whether the abandoned volume stays open with this in the way, and is closed without it.
async fn blocks(kube: &Kube, driver: &Driver, set: impl Fn(&str), unset: impl Fn(&str)) {
    let id = abandoned(kube, driver).await;
    set(&id);
    looked_at(kube).await;
    assert!(driver.is_exported(&id));
    unset(&id);
    looked_at(kube).await;
    assert!(!driver.is_exported(&id));
}

#[tokio::test(start_paused = true)]
async fn an_attachment_that_stands_keeps_it_open() {
    let (_device, kube, driver) = start(&["a"]).await;
    driver
        .leading(&kube, async {
            blocks(&kube, &driver, |id| kube.want(id, "a"), |id| kube.delete_want(id, "a")).await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_attachment_of_its_node_that_maps_to_nothing_keeps_it_open_and_one_of_another_node_does_not() {
    let (_device, kube, driver) = start(&["a", "b"]).await;
    driver
        .leading(&kube, async {
            kube.set_unmapped("b", true);
            blocks(&kube, &driver, |_| kube.set_unmapped("a", true), |_| kube.set_unmapped("a", false)).await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_does_not_answer_keeps_it_open() {
    let (_device, kube, driver) = start(&["a"]).await;
    driver
        .leading(&kube, async {
            blocks(&kube, &driver, |_| kube.set_silent(true), |_| kube.set_silent(false)).await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn watches_that_are_not_in_sync_keep_it_open_though_everything_is_answered() {
    let (_device, kube, driver) = start(&["a"]).await;
    driver
        .leading(&kube, async {
            blocks(&kube, &driver, |_| kube.set_synced(false), |_| kube.set_synced(true)).await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_was_old_enough_before_the_watches_were_in_sync_is_closed_without_another_call_for_it() {
    let (_device, kube, driver) = start(&["a"]).await;
    driver
        .leading(&kube, async {
            let id = abandoned(&kube, &driver).await;
            kube.set_synced(false);
            looked_at(&kube).await;
            assert!(driver.is_exported(&id));
            kube.set_synced(true);
            tokio::time::sleep(Duration::from_secs(20)).await;
            assert!(!driver.is_exported(&id));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn without_any_grace_nothing_is_closed_before_the_watches_are_in_sync_and_what_stands_is_restored() {
    let (device, kube, _) = start(&["a"]).await;
    let policy = AttachmentPolicy { grace: Duration::ZERO, ..AttachmentPolicy::default() };
    let driver = device
        .driver_in(&kube, crate::harness::config("a"))
        .with(|controller| controller.with_attachments(policy));
    driver
        .leading(&kube, async {
            let (stray, shut) = (driver.made("stray").await, driver.made("shut").await);
            let free = driver.disk(&stray)["comment"].clone();
            for id in [&stray, &shut] {
                kube.attach(&driver, Publishing::of(id, "rds:a")).await.unwrap();
            }
            kube.set_synced(false);
            let comment = DiskChange { comment: Some(free), ..DiskChange::default() };
            by_hand(&device, &stray, comment).await;
            kube.delete_want(&stray, "a");
            by_hand(&device, &shut, DiskChange::export(None)).await;
            looked_at(&kube).await;
            assert!(driver.is_exported(&stray) && driver.is_exported(&shut));
            kube.set_synced(true);
            looked_at(&kube).await;
            assert!(!driver.is_exported(&stray) && driver.is_exported(&shut));
        })
        .await;
}

/// What a person changes on the device.
async fn by_hand(device: &Device, id: &str, change: DiskChange) {
    let operator = Client::new(device.transport().0);
    let row = operator.disk_by_slot(id).await.unwrap().unwrap();
    operator.set_disk(&row.id, id, &change).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_due_while_this_leader_is_doubted_is_looked_at_after_it() {
    let (_device, kube, driver) = start(&["a"]).await;
    driver
        .leading(&kube, async {
            let id = abandoned(&kube, &driver).await;
            kube.wake();
            tokio::time::sleep(Duration::from_secs(5)).await;
            kube.lose_lease();
            tokio::time::sleep(GRACE).await;
            assert!(driver.is_exported(&id));
            kube.lead_for(INTERVAL * 10);
            tokio::time::sleep(Duration::from_secs(20)).await;
            assert!(!driver.is_exported(&id));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_was_wanted_meanwhile_begins_to_age_anew() {
    let (_device, kube, driver) = start(&["a"]).await;
    driver
        .leading(&kube, async {
            let id = abandoned(&kube, &driver).await;
            for _ in 0..5 {
                kube.wake();
                tokio::time::sleep(GRACE - Duration::from_secs(5)).await;
                kube.attach(&driver, Publishing::of(&id, "rds:a")).await.unwrap();
                kube.delete_want(&id, "a");
            }
            assert!(driver.is_exported(&id));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_a_call_works_on_is_left_alone() {
    let (_device, kube, driver) = start(&["a"]).await;
    driver
        .leading(&kube, async {
            let id = abandoned(&kube, &driver).await;
            kube.want(&id, "a");
            let held = Fault::once(Action::Hold { when: When::Before }).on("GET", "disk");
            let hold = driver.handle.faults().inject(held);
            let publish = driver.publish(Publishing::of(&id, "rds:a"));
            let look = async {
                while driver.handle.faults().met(hold) == 0 {
                    tokio::task::yield_now().await;
                }
                // Its VolumeAttachment is gone again while the call still runs.
                kube.delete_want(&id, "a");
                kube.wake();
                tokio::time::sleep(Duration::from_secs(20)).await;
                driver.handle.faults().release(None);
            };
            let (published, ()) = tokio::join!(publish, look);
            published.unwrap();
            assert!(driver.is_exported(&id));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_export_that_was_closed_on_the_device_is_opened_again_when_the_device_is_back() {
    let (device, kube, driver) = start(&["a"]).await;
    driver
        .leading(&kube, async {
            let id = driver.made("pvc-1").await;
            let nqn = kube.attach(&driver, Publishing::of(&id, "rds:a")).await.unwrap();
            by_hand(&device, &id, DiskChange::export(None)).await;
            device.handle.power_off(false).await.unwrap();
            tokio::time::sleep(Duration::from_secs(120)).await;
            device.handle.power_on(Duration::ZERO).await.unwrap();
            driver.becomes(|state| *state == csi_server::ReadyState::Ready).await;
            tokio::time::sleep(Duration::from_secs(5)).await;
            assert_eq!(driver.handle.exports()[0].nqn, nqn);
            assert_eq!(driver.metric("rds_csi_attachment_reconcile_total{action=\"restore_export\"}"), 1.0);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_damaged_record_is_neither_closed_nor_opened_and_stops_no_rebuild() {
    let (device, kube, driver) = start(&["a"]).await;
    let mut damaged = String::new();
    driver
        .leading(&kube, async {
            damaged = driver.made("pvc-1").await;
            kube.attach(&driver, Publishing::of(&damaged, "rds:a")).await.unwrap();
            let comment = Some(format!("{} x", driver.disk(&damaged)["comment"]));
            by_hand(&device, &damaged, DiskChange { comment, ..DiskChange::default() }).await;
            kube.delete_want(&damaged, "a");
            looked_at(&kube).await;
            assert!(driver.is_exported(&damaged));
        })
        .await;
    let next = device.driver_in(&kube, crate::harness::config("a"));
    next.leading(&kube, async {
        assert!(next.is_exported(&damaged));
        assert_eq!(code(next.unpublish(&damaged, "rds:a").await), Code::FailedPrecondition);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_the_looks_at_once() {
    let (_device, kube, driver) = start(&["a"]).await;
    let stopped = tokio::time::Instant::now();
    driver
        .leading(&kube, async {
            abandoned(&kube, &driver).await;
            driver
                .handle
                .faults()
                .inject(Fault::always(Action::Hold { when: When::Before }).on("GET", "disk"));
            kube.wake();
            tokio::time::sleep(Duration::from_secs(2)).await;
        })
        .await;
    assert!(stopped.elapsed() < Duration::from_secs(4), "{:?}", stopped.elapsed());
    driver.handle.faults().release(None);
}

#[tokio::test(start_paused = true)]
async fn a_stray_export_is_closed_after_the_grace_too() {
    let (device, kube, driver) = start(&["a"]).await;
    driver
        .leading(&kube, async {
            let id = driver.made("pvc-1").await;
            let free = driver.disk(&id)["comment"].clone();
            kube.attach(&driver, Publishing::of(&id, "rds:a")).await.unwrap();
            by_hand(&device, &id, DiskChange { comment: Some(free), ..DiskChange::default() }).await;
            kube.delete_want(&id, "a");
            looked_at(&kube).await;
            assert!(!driver.is_exported(&id));
            let record = Record::parse(&driver.disk(&id)["comment"]).unwrap().unwrap();
            assert!(record.unproven, "{record}");
            assert_eq!(driver.metric("rds_csi_attachment_reconcile_total{action=\"close_export\"}"), 1.0);
        })
        .await;
}
