//! Writes that may still come: nothing is answered from a row that one of them can change.

use std::time::Duration;

use routeros_sim::{Action, Fault, When};
use tokio::time::Instant;
use tonic::Code;

use crate::harness::{Device, Driver, Publishing, code, start};

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
