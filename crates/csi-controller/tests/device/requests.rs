//! Least requests (design decision 16), counted on the device.

use crate::harness::{GIB, Publishing, creation, start};

#[tokio::test(start_paused = true)]
async fn create_takes_three_requests_publish_and_unpublish_two() {
    let (_device, driver) = start().await;
    // The first create of a process reads the pools besides.
    driver.made("first").await;
    let (volume, requests) = driver.requests_of(driver.create(creation("pvc-1", GIB))).await;
    assert_eq!(requests, 3);
    let id = volume.volume_id;
    let (_, requests) = driver.requests_of(driver.publish(Publishing::of(&id, "rds:a"))).await;
    assert_eq!(requests, 2);
    let (_, requests) = driver.requests_of(driver.expand(&id, 2 * GIB, 0)).await;
    assert_eq!(requests, 2);
    let (_, requests) = driver.requests_of(driver.unpublish(&id, "rds:a")).await;
    assert_eq!(requests, 2);
    // After an unproven end: the wait is not one more reading.
    let (_, requests) = driver.requests_of(driver.publish(Publishing::of(&id, "rds:b"))).await;
    assert_eq!(requests, 2);
    driver.unpublish(&id, "rds:b").await.unwrap();
    // The slot, the disk, the file, its users under both spellings of its path, and the file's removal.
    let (_, requests) = driver.requests_of(driver.delete(&id)).await;
    assert_eq!(requests, 6);
}

#[tokio::test(start_paused = true)]
async fn a_retry_of_what_is_done_only_reads() {
    let (_device, driver) = start().await;
    let id = driver.made("pvc-1").await;
    let (_, requests) = driver.requests_of(driver.create(creation("pvc-1", GIB))).await;
    assert_eq!(requests, 1);
    driver.publish(Publishing::of(&id, "rds:a")).await.unwrap();
    let (_, requests) = driver.requests_of(driver.publish(Publishing::of(&id, "rds:a"))).await;
    assert_eq!(requests, 1);
    driver.unpublish(&id, "rds:a").await.unwrap();
    let (_, requests) = driver.requests_of(driver.unpublish(&id, "rds:a")).await;
    assert_eq!(requests, 1);
}
