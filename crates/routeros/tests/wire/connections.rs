//! Connections are kept where the device keeps them, and never make an outcome unknown that need not be.

use std::time::Duration;

use routeros::{Client, DiskChange, Error, ErrorKind, Outcome, RestTransport};

use crate::device::{Device, Step, disk, ok};

async fn write(client: &Client<RestTransport>) -> Result<(), Error> {
    client.set_disk(&"*2B".parse().unwrap(), "v1", &DiskChange::export(None)).await.map(drop)
}

async fn read(client: &Client<RestTransport>) -> Result<(), Error> {
    client.disk_by_slot("v1").await.map(drop)
}

fn list() -> Step {
    ok(format!("[{}]", disk("v1", "")))
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_seen_to_be_kept_serves_reads_and_writes() {
    let device = Device::new([list(), list(), ok(disk("v1", "")), list(), ok(disk("v1", ""))]);
    let client = device.client();
    read(&client).await.unwrap();
    read(&client).await.unwrap();
    write(&client).await.unwrap();
    read(&client).await.unwrap();
    write(&client).await.unwrap();
    assert_eq!(device.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_still_open_after_a_while_serves_a_write() {
    let device = Device::new([ok(disk("v1", "")), ok(disk("v1", ""))]);
    let client = device.client();
    write(&client).await.unwrap();
    tokio::time::advance(Duration::from_secs(2)).await;
    write(&client).await.unwrap();
    assert_eq!(device.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_does_not_rely_on_a_connection_that_was_never_seen_to_be_kept() {
    // The device would close the read's connection under the write.
    let device = Device::new([list(), ok(disk("v1", "")), Step::Drop, ok(disk("v1", ""))]);
    let client = device.client();
    read(&client).await.unwrap();
    write(&client).await.unwrap();
    assert_eq!(device.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_closes_after_each_answer_gets_a_connection_per_request_and_no_outcome_is_unknown() {
    let device = Device::new((0..20).map(|_| Step::AnswerAndClose(200, disk("v1", ""))));
    let client = device.client();
    for _ in 0..20 {
        write(&client).await.unwrap();
    }
    assert_eq!(device.connections(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_write_on_a_kept_connection_that_breaks_is_unknown_and_never_sent_again() {
    let device = Device::new([list(), list(), Step::Drop, ok(disk("v1", "")), list(), ok(disk("v1", ""))]);
    let client = device.client();
    read(&client).await.unwrap();
    read(&client).await.unwrap();
    let error = write(&client).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unreachable, Outcome::Unknown));
    assert_eq!((device.lines().len(), device.connections()), (3, 1));
    // Once bitten: for a while no connection is kept, so that no second outcome is lost that way.
    write(&client).await.unwrap();
    read(&client).await.unwrap();
    write(&client).await.unwrap();
    assert_eq!(device.connections(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_read_on_a_kept_connection_that_breaks_is_made_again_on_a_new_one() {
    let device = Device::new([list(), Step::Drop, list()]);
    let client = device.client();
    read(&client).await.unwrap();
    read(&client).await.unwrap();
    assert_eq!((device.lines().len(), device.connections()), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn a_read_that_breaks_on_a_new_connection_too_is_an_error() {
    let device = Device::new([ok("[]"), Step::Drop, Step::Drop, ok("[]")]);
    let client = device.client();
    assert_eq!(client.disk_by_slot("v1").await.unwrap(), None);
    assert_eq!(client.disk_by_slot("v1").await.unwrap_err().kind(), ErrorKind::Unreachable);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_idle_for_long_is_not_used_again() {
    let device = Device::new([list(), list()]);
    let client = device.client();
    read(&client).await.unwrap();
    tokio::time::advance(Duration::from_secs(31)).await;
    read(&client).await.unwrap();
    assert_eq!(device.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn no_more_requests_are_under_way_than_configured() {
    let device = Device::new((0..8).map(|_| ok("[]")));
    let client = device.client_with(2);
    let calls = (0..8).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { client.disks().await })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
    assert!(device.connections() <= 2, "{}", device.connections());
}
