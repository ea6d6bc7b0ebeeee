//! Writes that may still come: nothing is answered from a row that one of them can change.

use std::time::Duration;

use csi_controller::{Config, DeviceFacts};
use routeros::{Client, DiskChange};
use routeros_sim::{Action, Fault, When};
use tokio::time::Instant;
use tonic::Code;
use volume::{Fencing, Record};

use crate::harness::{BASE, Device, Driver, GIB, Publishing, code, config, creation, slot, start};

/// A request of this method takes effect only after the client gave up; another user's requests do not wait for it.
fn slow(device: &Device, method: &str) {
    let slow = Action::Latency { millis: 55_000, when: When::Before };
    device.handle.faults().inject(Fault::once(slow).on(method, "disk"));
}

fn lose_reply(driver: &Driver, method: &str) {
    driver.handle.faults().inject(Fault::once(Action::DropReply).on(method, "disk"));
}

#[tokio::test(start_paused = true)]
async fn a_closed_reading_from_before_an_attachment_does_not_shorten_the_settle_after_it() {
    let (device, driver) = start().await;
    let id = driver.made("pvc-1").await;
    slow(&device, "PATCH");
    assert_eq!(code(driver.publish(Publishing::of(&id, "rds:a")).await), Code::Unavailable);
    device.set_user("other");
    driver.publish(Publishing::of(&id, "rds:a")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    lose_reply(&driver, "PATCH");
    assert_eq!(code(driver.unpublish(&id, "rds:a").await), Code::Unavailable);
    driver.unpublish(&id, "rds:a").await.unwrap();
    let started = Instant::now();
    driver.publish(Publishing::of(&id, "rds:b")).await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_holder_is_not_told_of_an_attachment_that_a_pending_unpublish_closes() {
    let (device, driver) = start().await;
    let id = driver.made("pvc-1").await;
    driver.publish(Publishing::of(&id, "rds:a")).await.unwrap();
    slow(&device, "PATCH");
    assert_eq!(code(driver.unpublish(&id, "rds:a").await), Code::Unavailable);
    device.set_user("other");
    let told = driver.publish(Publishing::of(&id, "rds:a")).await.unwrap();
    tokio::time::sleep(routeros::REQUEST_CAP).await;
    assert_eq!(driver.handle.exports()[0].nqn, told["nvme_nqn"]);
}

#[tokio::test(start_paused = true)]
async fn a_new_controller_tells_nobody_of_an_attachment_that_the_last_one_may_close() {
    let (device, driver) = start().await;
    let id = driver.made("pvc-1").await;
    driver.publish(Publishing::of(&id, "rds:a")).await.unwrap();
    slow(&device, "PATCH");
    assert_eq!(code(driver.unpublish(&id, "rds:a").await), Code::Unavailable);
    device.set_user("other");
    let next = device.driver(Config { device: DeviceFacts::default(), ..config("a") });
    let told = next.publish(Publishing::of(&id, "rds:a")).await.unwrap();
    tokio::time::sleep(routeros::REQUEST_CAP).await;
    assert_eq!(next.handle.exports()[0].nqn, told["nvme_nqn"]);
}

#[tokio::test(start_paused = true)]
async fn an_unpublish_waits_for_a_publish_that_may_still_come() {
    let (device, driver) = start().await;
    let id = driver.made("pvc-1").await;
    slow(&device, "PATCH");
    assert_eq!(code(driver.publish(Publishing::of(&id, "rds:a")).await), Code::Unavailable);
    device.set_user("other");
    driver.unpublish(&id, "rds:a").await.unwrap();
    tokio::time::sleep(routeros::REQUEST_CAP).await;
    assert!(driver.handle.exports().is_empty() && !driver.disk(&id)["comment"].contains("ha/-"));
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_a_pending_removal_takes_is_not_handed_out() {
    let (device, driver) = start().await;
    let id = driver.made("pvc-1").await;
    slow(&device, "DELETE");
    assert_eq!(code(driver.delete(&id).await), Code::Unavailable);
    device.set_user("other");
    let again = driver.create(creation("pvc-1", GIB)).await;
    assert_eq!(code(again), Code::FailedPrecondition, "its file is still there, and is never adopted");
    driver.delete(&id).await.unwrap();
    assert_eq!(driver.leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_create_that_may_still_come_is_never_refused_for_good() {
    let (device, driver) = start().await;
    slow(&device, "PUT");
    assert_eq!(code(driver.create(creation("pvc-1", GIB)).await), Code::Unavailable);
    device.set_user("other");
    assert_eq!(code(driver.create(creation("pvc-1", i64::MAX)).await), Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_cannot_be_set_up_is_never_refused_for_good() {
    let (_device, driver) = start().await;
    let id = slot("a", "pvc-1");
    let path = format!("{BASE}/{id}.img");
    let comment = Record::new(config("a").cluster_id.hash()).to_string();
    let size = GIB.to_string();
    let row = [("slot", id.as_str()), ("file-path", &path), ("file-size", &size), ("comment", &comment)];
    driver.handle.seed_disk(&[&row[..], &[("smb-sharing", "yes")]].concat()).unwrap();
    let refusal = Action::Fail { status: 400, detail: "failure: not now".into() };
    driver.handle.faults().inject(Fault::once(refusal).on("PATCH", "disk"));
    assert_eq!(code(driver.create(creation("pvc-1", GIB)).await), Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn what_a_device_took_before_it_refused_the_rest_is_taken_back() {
    let device = Device::start().await;
    device.handle.assume("set-many", "partial").unwrap();
    device.handle.assume("default-nqn", "slot").unwrap();
    let id = device.driver(config("a")).made("pvc-1").await;
    let before = device.handle.disk(&id).unwrap()["comment"].clone();
    let taken = format!("nqn.2000-02.com.mikrotik:{id}");
    let other = [("slot", "other"), ("file-path", "/raid10/other.img"), ("file-size", "1024")];
    device.handle.seed_disk(&[&other[..], &[("nvme-tcp-server-nqn", &taken)]].concat()).unwrap();
    let driver = device.driver(Config { fencing: Fencing::Off, ..config("a") });
    let refused = driver.publish(Publishing::of(&id, "rds:a")).await;
    assert_eq!(code(refused), Code::Unavailable, "the NQN is another disk's, the rest was taken");
    assert_eq!(driver.disk(&id)["comment"], before, "the record names no holder");
    assert!(!driver.is_exported(&id));
}

#[tokio::test(start_paused = true)]
async fn a_generation_whose_end_was_unknown_is_not_used_again() {
    let (_device, driver) = start().await;
    let id = driver.made("pvc-1").await;
    lose_reply(&driver, "PATCH");
    assert_eq!(code(driver.publish(Publishing::of(&id, "rds:a")).await), Code::Unavailable);
    let first = driver.disk(&id)["nvme-tcp-server-nqn"].clone();
    lose_reply(&driver, "PATCH");
    assert_eq!(code(driver.unpublish(&id, "rds:a").await), Code::Unavailable);
    driver.unpublish(&id, "rds:a").await.unwrap();
    assert_ne!(driver.publish(Publishing::of(&id, "rds:a")).await.unwrap()["nvme_nqn"], first);
}

#[tokio::test(start_paused = true)]
async fn a_generation_that_somebody_else_ended_is_not_used_again() {
    let (device, driver) = start().await;
    let id = driver.made("pvc-1").await;
    let free = driver.disk(&id)["comment"].clone();
    lose_reply(&driver, "PATCH");
    assert_eq!(code(driver.publish(Publishing::of(&id, "rds:a")).await), Code::Unavailable);
    let first = driver.disk(&id)["nvme-tcp-server-nqn"].clone();
    let operator = Client::new(device.transport().0);
    let row = operator.disk_by_slot(&id).await.unwrap().unwrap();
    let by_hand = DiskChange { comment: Some(free), ..DiskChange::export(None) };
    operator.set_disk(&row.id, &id, &by_hand).await.unwrap();
    assert_ne!(driver.publish(Publishing::of(&id, "rds:a")).await.unwrap()["nvme_nqn"], first);
}
