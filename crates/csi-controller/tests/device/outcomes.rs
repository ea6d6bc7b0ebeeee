//! Lost replies, slow and absent devices: a timeout is an unknown outcome, and what could not be read is not absent.

use std::time::Duration;

use csi_controller::DeviceFacts;
use csi_grpc::v1::controller_server::Controller as _;
use csi_grpc::v1::{ControllerGetVolumeRequest, GetCapacityRequest};
use routeros_sim::{Action, Fault, Reboot, When};
use tokio::time::Instant;
use tonic::{Code, Request, Status};

use crate::harness::{Device, Driver, GIB, Publishing, code, config, creation, slot, start};

/// Calls again while the answer is one after which the CO does so.
async fn until_done<R, F: Future<Output = Result<R, Status>>>(call: impl Fn() -> F) -> R {
    for _ in 0..40 {
        match call().await {
            Ok(done) => return done,
            Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status:?}"),
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    panic!("it never converged");
}

/// A whole life in which the reply to each n-th write is lost after its effect.
async fn life_with_lost_replies(driver: &Driver, lost: &Fault) {
    let faults = driver.handle.faults();
    let lose = || faults.inject(lost.clone());
    lose();
    let id = until_done(|| driver.create(creation("pvc-1", GIB))).await.volume_id;
    lose();
    let context = until_done(|| driver.publish(Publishing::of(&id, "rds:a"))).await;
    let exports = driver.handle.exports();
    assert_eq!((exports.len(), exports[0].nqn.as_str()), (1, context["nvme_nqn"].as_str()));
    lose();
    assert_eq!(until_done(|| driver.expand(&id, 2 * GIB, 0)).await, 2 * GIB);
    lose();
    until_done(|| driver.unpublish(&id, "rds:a")).await;
    assert!(driver.handle.exports().is_empty());
    lose();
    until_done(|| driver.delete(&id)).await;
    faults.release(None);
    assert_eq!(driver.leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_reply_lost_after_each_write_leaks_nothing_and_attaches_once() {
    for facts in [vec![], vec!["order=fifo"]] {
        for method in ["PUT", "PATCH", "DELETE"] {
            let device = Device::start().await;
            let known = DeviceFacts::parse(facts.clone()).unwrap();
            let driver = device.driver(csi_controller::Config { device: known, ..config("a") });
            life_with_lost_replies(&driver, &Fault::once(Action::DropReply).on(method, "")).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_write_is_unavailable_and_never_final() {
    let (_device, driver) = start().await;
    driver.handle.faults().inject(Fault::once(Action::DropReply).on("PUT", "disk"));
    assert_eq!(code(driver.create(creation("pvc-1", GIB)).await), Code::Unavailable);
    assert_eq!(driver.made("pvc-1").await, slot("a", "pvc-1"));
}

#[tokio::test(start_paused = true)]
async fn a_publish_whose_reply_was_lost_gives_the_generation_that_the_device_has() {
    let (_device, driver) = start().await;
    let id = driver.made("pvc-1").await;
    driver.handle.faults().inject(Fault::once(Action::DropReply).on("PATCH", "disk"));
    assert_eq!(code(driver.publish(Publishing::of(&id, "rds:a")).await), Code::Unavailable);
    let shown = driver.disk(&id)["nvme-tcp-server-nqn"].clone();
    assert_eq!(driver.publish(Publishing::of(&id, "rds:a")).await.unwrap()["nvme_nqn"], shown);
}

/// A request of this method takes effect only after the client gave up; another user's requests do not wait for it.
fn slow(device: &Device, method: &str) {
    let slow = Action::Latency { millis: 55_000, when: When::Before };
    device.handle.faults().inject(Fault::once(slow).on(method, "disk"));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_may_still_come_keeps_others_from_its_row_until_the_devices_cap() {
    let (device, driver) = start().await;
    let id = driver.made("pvc-1").await;
    slow(&device, "PATCH");
    assert_eq!(code(driver.publish(Publishing::of(&id, "rds:a")).await), Code::Unavailable);
    device.set_user("other");
    assert!(!driver.disk(&id)["comment"].contains("ha/-"), "it has not come yet");
    let second = driver.publish(Publishing::of(&id, "rds:b")).await;
    assert_eq!(code(second), Code::FailedPrecondition, "a's came, and b waited for it");
    let record = driver.disk(&id)["comment"].clone();
    assert!(record.contains("ha/-") && !record.contains("hb/-"), "{record}");
}

#[tokio::test(start_paused = true)]
async fn a_new_controller_waits_for_what_the_last_one_may_have_sent() {
    let device = Device::start().await;
    let unknown = csi_controller::Config { device: DeviceFacts::default(), ..config("a") };
    let driver = device.driver(unknown);
    let started = Instant::now();
    driver.made("pvc-1").await;
    assert!(started.elapsed() >= routeros::REQUEST_CAP);
    let started = Instant::now();
    device.driver(config("a")).made("pvc-2").await;
    assert!(started.elapsed() < Duration::from_secs(1), "order=fifo: each write follows a reading");
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_away_makes_every_call_unavailable() {
    let (_device, driver) = start().await;
    let id = driver.made("pvc-1").await;
    driver.handle.power_off(false).await.unwrap();
    assert_eq!(code(driver.create(creation("pvc-2", GIB)).await), Code::Unavailable);
    assert_eq!(code(driver.publish(Publishing::of(&id, "rds:a")).await), Code::Unavailable);
    assert_eq!(code(driver.unpublish(&id, "rds:a").await), Code::Unavailable);
    assert_eq!(code(driver.expand(&id, 2 * GIB, 0).await), Code::Unavailable);
    assert_eq!(code(driver.delete(&id).await), Code::Unavailable);
    assert_eq!(code(driver.list(0, "").await), Code::Unavailable);
    let get = ControllerGetVolumeRequest { volume_id: id };
    assert_eq!(code(driver.controller.controller_get_volume(Request::new(get)).await), Code::Unavailable);
    let capacity = driver.controller.get_capacity(Request::new(GetCapacityRequest::default())).await;
    assert_eq!(code(capacity), Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_or_a_missing_policy_is_never_final() {
    let (device, driver) = start().await;
    device.set_password("wrong");
    let refused = driver.create(creation("pvc-1", GIB)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.message().contains("password"), "{}", refused.message());
    device.set_password("admin");
    driver.made("pvc-1").await;
    driver.handle.seed_policies("admin", "read,api,rest-api").unwrap();
    let refused = driver.create(creation("pvc-2", GIB)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{}", refused.message());
    assert!(refused.message().contains("polic"), "{}", refused.message());
}

#[tokio::test(start_paused = true)]
async fn a_reboot_changes_nothing_of_an_attachment() {
    let (_device, driver) = start().await;
    let id = driver.made("pvc-1").await;
    let context = driver.publish(Publishing::of(&id, "rds:a")).await.unwrap();
    driver.handle.reboot(Reboot { down_millis: 20_000, ..Reboot::default() }).await.unwrap();
    assert_eq!(driver.publish(Publishing::of(&id, "rds:a")).await.unwrap(), context);
    assert_eq!(driver.handle.exports()[0].nqn, context["nvme_nqn"]);
}

#[tokio::test(start_paused = true)]
async fn a_new_controller_knows_the_holder_from_the_device_alone() {
    let (device, driver) = start().await;
    let id = driver.made("pvc-1").await;
    let context = driver.publish(Publishing::of(&id, "rds:a")).await.unwrap();
    let next = device.driver(config("a"));
    assert_eq!(next.publish(Publishing::of(&id, "rds:a")).await.unwrap(), context);
    assert_eq!(code(next.publish(Publishing::of(&id, "rds:b")).await), Code::FailedPrecondition);
    driver.unpublish(&id, "rds:a").await.unwrap();
    let third = device.driver(config("a"));
    let started = Instant::now();
    third.publish(Publishing::of(&id, "rds:b")).await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(5), "the record says that the last one left unproven");
}

#[tokio::test(start_paused = true)]
async fn a_settle_longer_than_the_call_is_unavailable_with_the_seconds_left() {
    let device = Device::start().await;
    let slow = csi_controller::Config { fence_settle: Duration::from_secs(300), ..config("a") };
    let driver = device.driver(slow);
    let id = driver.made("pvc-1").await;
    driver.publish(Publishing::of(&id, "rds:a")).await.unwrap();
    driver.unpublish(&id, "rds:a").await.unwrap();
    let refused = driver.publish(Publishing::of(&id, "rds:b")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.message().ends_with("try again in 300 s"), "{}", refused.message());
}

#[tokio::test(start_paused = true)]
async fn a_generation_whose_outcome_was_unknown_is_not_used_again_after_its_end() {
    let (_device, driver) = start().await;
    let id = driver.made("pvc-1").await;
    driver.handle.faults().inject(Fault::once(Action::DropReply).on("PATCH", "disk"));
    driver.publish(Publishing::of(&id, "rds:a")).await.unwrap_err();
    let lost = driver.disk(&id)["nvme-tcp-server-nqn"].clone();
    driver.unpublish(&id, "rds:a").await.unwrap();
    assert_ne!(driver.publish(Publishing::of(&id, "rds:a")).await.unwrap()["nvme_nqn"], lost);
}

#[tokio::test(start_paused = true)]
async fn a_create_that_may_still_come_is_waited_for_by_delete_and_leaks_nothing() {
    let (device, driver) = start().await;
    slow(&device, "PUT");
    assert_eq!(code(driver.create(creation("pvc-1", GIB)).await), Code::Unavailable);
    device.set_user("other");
    assert_eq!(driver.leftovers(), Vec::<String>::new(), "it has not come yet");
    driver.delete(&slot("a", "pvc-1")).await.unwrap();
    tokio::time::sleep(routeros::REQUEST_CAP).await;
    assert_eq!(driver.leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_unpublish_that_may_still_come_does_not_close_the_next_attachment() {
    let (device, driver) = start().await;
    let id = driver.made("pvc-1").await;
    driver.publish(Publishing::of(&id, "rds:a")).await.unwrap();
    slow(&device, "PATCH");
    assert_eq!(code(driver.unpublish(&id, "rds:a").await), Code::Unavailable);
    device.set_user("other");
    driver.unpublish(&id, "rds:a").await.unwrap();
    let context = driver.publish(Publishing::of(&id, "rds:b")).await.unwrap();
    tokio::time::sleep(routeros::REQUEST_CAP).await;
    assert_eq!(driver.handle.exports()[0].nqn, context["nvme_nqn"]);
}

#[tokio::test(start_paused = true)]
async fn a_second_call_about_a_volume_is_aborted_while_the_first_runs() {
    let (_device, driver) = start().await;
    let id = driver.made("pvc-1").await;
    let hold =
        driver.handle.faults().inject(Fault::once(Action::Hold { when: When::Before }).on("PATCH", "disk"));
    let second = async {
        while driver.handle.faults().met(hold) == 0 {
            tokio::task::yield_now().await;
        }
        let refused = driver.unpublish(&id, "rds:a").await;
        driver.handle.faults().release(None);
        refused
    };
    let (first, second) = tokio::join!(driver.publish(Publishing::of(&id, "rds:a")), second);
    first.unwrap();
    assert_eq!(code(second), Code::Aborted);
}
