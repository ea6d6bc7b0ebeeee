//! A volume's whole life.

use std::time::Duration;

use tokio::time::Instant;
use tonic::Code;

use crate::harness::{GIB, Publishing, code, creation, range, slot, start};

#[tokio::test(start_paused = true)]
async fn a_new_volume_has_exact_bytes_and_every_dangerous_setting_off() {
    let (_device, driver) = start().await;
    let volume = driver.create(creation("pvc-1", 100 * (1 << 20) + 1)).await.unwrap();
    assert_eq!((volume.capacity_bytes, volume.volume_id.as_str()), (101 << 20, slot("a", "pvc-1").as_str()));
    let disk = driver.disk(&volume.volume_id);
    assert_eq!(disk["file-size"], (101 << 20).to_string());
    assert_eq!(disk["file-path"], format!("/raid10/csi/{}.img", volume.volume_id));
    for off in ["mount-filesystem", "smb-sharing", "nfs-sharing", "media-sharing", "nvme-tcp-export"] {
        assert_eq!(disk[off], "false", "{off}");
    }
    assert!(disk["comment"].starts_with("rds1 "));
    assert_eq!(volume.volume_context["createdBytes"], (101 << 20).to_string());
}

#[tokio::test(start_paused = true)]
async fn from_create_to_delete_nothing_is_left() {
    let (_device, driver) = start().await;
    let id = driver.made("pvc-1").await;
    let context = driver.publish(Publishing::of(&id, "rds:a")).await.unwrap();
    let exported = driver.handle.exports();
    assert_eq!(exported.len(), 1);
    assert_eq!((exported[0].nqn.as_str(), exported[0].port), (context["nvme_nqn"].as_str(), 4420));
    assert_eq!(context["size_bytes"], GIB.to_string());
    assert_eq!(driver.publish(Publishing::of(&id, "rds:a")).await.unwrap(), context, "a retry");
    assert_eq!(code(driver.publish(Publishing::of(&id, "rds:b")).await), Code::FailedPrecondition);
    assert_eq!(code(driver.delete(&id).await), Code::FailedPrecondition);
    assert_eq!(driver.expand(&id, 2 * GIB, 0).await.unwrap(), 2 * GIB);
    assert!(driver.is_exported(&id), "grown online");
    driver.unpublish(&id, "rds:a").await.unwrap();
    assert!(driver.handle.exports().is_empty() && !driver.is_exported(&id));
    driver.delete(&id).await.unwrap();
    assert_eq!(driver.leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn every_call_may_be_made_twice() {
    let (_device, driver) = start().await;
    let first = driver.create(creation("pvc-1", GIB)).await.unwrap();
    assert_eq!(driver.create(creation("pvc-1", GIB)).await.unwrap(), first);
    let id = first.volume_id;
    driver.publish(Publishing::of(&id, "rds:a")).await.unwrap();
    for _ in 0..2 {
        assert_eq!(driver.expand(&id, 2 * GIB, 0).await.unwrap(), 2 * GIB);
    }
    for _ in 0..2 {
        driver.unpublish(&id, "rds:a").await.unwrap();
    }
    for _ in 0..2 {
        driver.delete(&id).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_volume_never_shrinks() {
    let (_device, driver) = start().await;
    let id = driver.made("pvc-1").await;
    assert_eq!(driver.expand(&id, GIB / 2, 0).await.unwrap(), GIB);
    assert_eq!(code(driver.expand(&id, GIB / 4, GIB / 2).await), Code::OutOfRange);
    assert_eq!(driver.disk(&id)["file-size"], GIB.to_string());
}

#[tokio::test(start_paused = true)]
async fn one_name_is_one_volume_whatever_else_is_asked() {
    let (_device, driver) = start().await;
    driver.made("pvc-1").await;
    for other in [GIB / 2, 2 * GIB] {
        assert_eq!(code(driver.create(creation("pvc-1", other)).await), Code::AlreadyExists, "{other}");
    }
    let mut limited = creation("pvc-1", GIB / 2);
    limited.capacity_range = range(GIB / 2, GIB / 2);
    assert_eq!(code(driver.create(limited).await), Code::AlreadyExists);
}

#[tokio::test(start_paused = true)]
async fn a_hand_over_waits_for_what_the_old_node_sent_and_mints_anew() {
    let (_device, driver) = start().await;
    let id = driver.made("pvc-1").await;
    let first = driver.publish(Publishing::of(&id, "rds:a")).await.unwrap();
    driver.unpublish(&id, "rds:a").await.unwrap();
    let closed = Instant::now();
    let second = driver.publish(Publishing::of(&id, "rds:b")).await.unwrap();
    assert!(closed.elapsed() >= Duration::from_secs(5), "{:?}", closed.elapsed());
    assert_ne!(first["nvme_nqn"], second["nvme_nqn"]);
    assert_ne!(first["host_id"], second["host_id"]);
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_was_never_attached_needs_no_wait() {
    let (_device, driver) = start().await;
    let id = driver.made("pvc-1").await;
    let started = Instant::now();
    driver.publish(Publishing::of(&id, "rds:a")).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(1));
}
