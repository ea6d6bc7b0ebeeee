//! What is known after a failure: the difference between "no" and "perhaps".

use std::time::Duration;

use routeros::{Client, DiskChange, Error, ErrorKind, Outcome, RestTransport};
use tokio::time::Instant;

use crate::device::{Device, Step, disk, ok, refusal};

fn unexport() -> DiskChange {
    DiskChange::export(None)
}

async fn read(client: &Client<RestTransport>) -> Error {
    client.disk_by_slot("v1").await.unwrap_err()
}

async fn write(client: &Client<RestTransport>) -> Error {
    client.set_disk(&"*2B".parse().unwrap(), "v1", &unexport()).await.unwrap_err()
}

/// A read and a write that meet the same fault: both fail alike, but only the write may have happened.
async fn check(fault: fn() -> Step, kind: ErrorKind) {
    let client = Device::new([fault()]).client();
    let error = read(&client).await;
    assert_eq!((error.kind(), error.outcome()), (kind, Outcome::NotApplied), "{error}");
    let client = Device::new([fault()]).client();
    let error = write(&client).await;
    assert_eq!((error.kind(), error.outcome()), (kind, Outcome::Unknown), "{error}");
    assert!(error.to_string().contains("set /disk *2B at http://rds.test"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_reply_lost_after_the_effect_is_an_unknown_outcome() {
    check(|| Step::Drop, ErrorKind::Unreachable).await;
}

#[tokio::test(start_paused = true)]
async fn a_reply_cut_short_is_an_unknown_outcome() {
    check(|| Step::Cut, ErrorKind::Unreachable).await;
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_does_not_come_is_an_unknown_outcome_at_the_deadline() {
    check(|| Step::Hang, ErrorKind::Deadline).await;
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_is_not_json_is_an_unknown_outcome() {
    check(|| ok("<html>"), ErrorKind::Malformed).await;
}

#[tokio::test(start_paused = true)]
async fn a_reply_without_end_is_cut_off_and_an_unknown_outcome() {
    check(|| Step::Endless, ErrorKind::TooLarge).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_closed_by_the_device_is_an_unknown_outcome() {
    check(|| refusal(400, "Session closed"), ErrorKind::SessionClosed).await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_answer_to_a_read_is_not_absence() {
    let error = read(&Device::new([ok("")]).client()).await;
    assert_eq!(error.kind(), ErrorKind::Malformed);
}

#[tokio::test(start_paused = true)]
async fn a_connection_refused_is_a_write_not_applied() {
    let device = Device::new([]);
    device.refuse_connections();
    let error = write(&device.client()).await;
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unreachable, Outcome::NotApplied));
    assert!(error.is_retriable());
}

#[tokio::test(start_paused = true)]
async fn a_request_still_queued_at_its_deadline_was_not_applied_and_is_never_sent() {
    let device = Device::new([Step::Hang]);
    let client = device.client_with(1);
    let hanging = tokio::spawn({
        let client = client.clone();
        async move { client.disks().await }
    });
    device.received(1).await;
    let error = write(&client.until(Instant::now() + Duration::from_secs(1))).await;
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Deadline, Outcome::NotApplied));
    assert_eq!(device.lines().len(), 1);
    hanging.abort();
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_deadline_has_passed_is_never_sent() {
    let device = Device::new([ok("{}")]);
    let error = write(&device.client().until(Instant::now())).await;
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Deadline, Outcome::NotApplied));
    assert!(device.lines().is_empty());
}

#[tokio::test(start_paused = true)]
async fn at_its_deadline_a_requests_connection_is_aborted() {
    let device = Device::new([Step::Hang, ok(format!("[{}]", disk("v1", "")))]);
    let client = device.client();
    let start = Instant::now();
    write(&client.until(start + Duration::from_secs(2))).await;
    assert_eq!(start.elapsed().as_secs(), 2);
    device.ended_by_client(1).await;
    client.disk_by_slot("v1").await.unwrap().unwrap();
    assert_eq!(device.connections(), 2);
}
