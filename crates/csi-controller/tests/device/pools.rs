//! Room that is promised once.

use std::sync::Arc;

use tonic::Code;

use crate::harness::{GIB, code, creation, start};

#[tokio::test(start_paused = true)]
async fn many_creates_at_once_never_promise_more_than_there_is() {
    let (_device, driver) = start().await;
    let driver = Arc::new(driver);
    let mut creates = tokio::task::JoinSet::new();
    for n in 0..64 {
        let driver = driver.clone();
        creates.spawn(async move { driver.create(creation(&format!("pvc-{n}"), 4 * GIB)).await });
    }
    let (made, refused): (Vec<_>, Vec<_>) = creates.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!((made.len(), refused.len()), (23, 41), "a pool of 100 GiB with a reserve of 5");
    for status in refused {
        assert_eq!(code(status), Code::ResourceExhausted);
    }
}

#[tokio::test(start_paused = true)]
async fn capacity_is_what_the_promises_leave() {
    let (_device, driver) = start().await;
    let empty = driver.capacity().await.unwrap();
    let id = driver.made("pvc-1").await;
    assert_eq!(driver.capacity().await.unwrap(), empty - GIB);
    driver.expand(&id, 3 * GIB, 0).await.unwrap();
    assert_eq!(driver.capacity().await.unwrap(), empty - 3 * GIB);
    driver.delete(&id).await.unwrap();
    assert_eq!(driver.capacity().await.unwrap(), empty);
}

#[tokio::test(start_paused = true)]
async fn a_new_controller_rebuilds_what_was_promised_from_the_device() {
    let (device, driver) = start().await;
    driver.create(creation("pvc-1", 60 * GIB)).await.unwrap();
    let next = device.driver(crate::harness::config("a"));
    assert_eq!(code(next.create(creation("pvc-2", 60 * GIB)).await), Code::ResourceExhausted);
}
