//! What nobody knows of the device, both ways: no value loses data, leaks or attaches twice.

use csi_controller::{Config, DeviceFacts};
use routeros_sim::Assumptions;
use tonic::{Code, Status};

use crate::harness::{Device, Driver, GIB, Publishing, code, config, creation, slot};

/// A whole life with a hand-over.
async fn life(driver: &Driver) -> Result<(), Status> {
    let id = driver.create(creation("pvc-1", GIB)).await?.volume_id;
    assert_eq!(id, slot("a", "pvc-1"));
    for node in ["rds:node-a", "rds:node-b"] {
        let context = driver.publish(Publishing::of(&id, node)).await?;
        assert_eq!(driver.publish(Publishing::of(&id, node)).await?, context);
        assert_eq!(code(driver.publish(Publishing::of(&id, "rds:other")).await), Code::FailedPrecondition);
        driver.handle.connect(4420, &context["nvme_nqn"], &context["host_nqn"]).unwrap();
        driver.expand(&id, 2 * GIB, 0).await?;
        driver.unpublish(&id, node).await?;
        assert!(driver.handle.exports().is_empty());
        if let Some(recording) = driver.handle.recording() {
            recording.disconnect(&context["nvme_nqn"], &context["host_nqn"]);
        }
    }
    driver.delete(&id).await
}

#[tokio::test(start_paused = true)]
async fn a_volume_lives_whatever_the_device_does() {
    for question in Assumptions::TABLE {
        for (value, _) in question.values {
            // Without slashes and commas in a comment no holder can be written: see below.
            if (question.name, *value) == ("comment", "charset") {
                continue;
            }
            let device = Device::start().await;
            device.handle.assume(question.name, value).unwrap();
            // The device's order is what is told of it.
            let facts =
                if (question.name, *value) == ("order", "none") { "order=unknown" } else { "order=fifo" };
            let device_facts = DeviceFacts::parse([facts]).unwrap();
            let driver = device.driver(Config { device: device_facts, ..config("a") });
            if let Err(status) = life(&driver).await {
                panic!("{}={value}: {status:?}", question.name);
            }
            assert_eq!(driver.leftovers(), Vec::<String>::new(), "{}={value}", question.name);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_comment_that_does_not_hold_a_record_attaches_nothing_and_leaves_the_volume_whole() {
    let device = Device::start().await;
    device.handle.assume("comment", "charset").unwrap();
    let driver = device.driver(config("a"));
    let id = driver.made("pvc-1").await;
    let before = driver.disk(&id)["comment"].clone();
    assert_eq!(code(driver.publish(Publishing::of(&id, "rds:a")).await), Code::Unavailable);
    assert_eq!(driver.disk(&id)["comment"], before, "the record is as it was");
    assert!(driver.handle.exports().is_empty(), "what was opened is closed");
    driver.delete(&id).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_comment_that_is_cut_under_a_long_name_attaches_nothing() {
    let device = Device::start().await;
    device.handle.assume("comment", "cut").unwrap();
    let driver = device.driver(config("a"));
    let id = driver.made("pvc-1").await;
    let node = format!("rds:{}", "n".repeat(100));
    assert_eq!(code(driver.publish(Publishing::of(&id, &node)).await), Code::Unavailable);
    assert!(driver.handle.exports().is_empty());
    driver.publish(Publishing::of(&id, "rds:a")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn growth_that_shows_only_after_a_re_export_waits_for_the_volume_to_be_detached() {
    let device = Device::start().await;
    device.handle.assume("growth", "re-export").unwrap();
    let facts = DeviceFacts::parse(["order=fifo", "growth=re-export"]).unwrap();
    let driver = device.driver(Config { device: facts, ..config("a") });
    let id = driver.made("pvc-1").await;
    driver.publish(Publishing::of(&id, "rds:a")).await.unwrap();
    assert_eq!(code(driver.expand(&id, 2 * GIB, 0).await), Code::FailedPrecondition);
    assert_eq!(driver.disk(&id)["file-size"], GIB.to_string());
    driver.unpublish(&id, "rds:a").await.unwrap();
    assert_eq!(driver.expand(&id, 2 * GIB, 0).await.unwrap(), 2 * GIB);
    let context = driver.publish(Publishing::of(&id, "rds:a")).await.unwrap();
    assert_eq!(context["size_bytes"], (2 * GIB).to_string());
}

#[tokio::test(start_paused = true)]
async fn two_disks_of_one_slot_are_touched_by_nobody() {
    let device = Device::start().await;
    device.handle.assume("duplicate-slot", "accepted").unwrap();
    let driver = device.driver(config("a"));
    let id = driver.made("pvc-1").await;
    let path = "/raid10/double.img";
    device.handle.seed_disk(&[("slot", id.as_str()), ("file-path", path), ("file-size", "1024")]).unwrap();
    assert_eq!(code(driver.publish(Publishing::of(&id, "rds:a")).await), Code::Unavailable);
    assert_eq!(code(driver.delete(&id).await), Code::Unavailable);
    assert_eq!(driver.leftovers().len(), 4);
}
