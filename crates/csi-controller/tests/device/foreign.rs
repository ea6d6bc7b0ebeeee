//! Nothing without this cluster's mark is ever changed or removed.

use routeros::DiskChange;
use tonic::Code;
use volume::{ClusterId, Generation, Record};

use crate::harness::{Driver, GIB, Publishing, code, config, creation, slot, start};

/// Everything on the device, to be compared.
fn state(driver: &Driver) -> String {
    format!("{:?} {:?}", driver.handle.disks(), driver.handle.files())
}

fn record(cluster: &str) -> String {
    Record::new(ClusterId::parse(cluster).unwrap().hash()).to_comment().unwrap()
}

fn seed(driver: &Driver, slot: &str, path: &str, comment: &str) {
    let row = [
        ("type", "file"),
        ("slot", slot),
        ("file-path", path),
        ("file-size", "1073741824"),
        ("comment", comment),
    ];
    driver.handle.seed_disk(&row).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_disk_without_our_record_is_refused_by_every_call_and_untouched() {
    let (_device, driver) = start().await;
    let id = slot("a", "pvc-1");
    for (comment, create) in [
        (String::new(), Code::Unavailable),
        ("an operator's words".into(), Code::Unavailable),
        (record("b"), Code::AlreadyExists),
        ("rds1 cut".into(), Code::Unavailable),
        ("rds2 of a later version".into(), Code::Unavailable),
    ] {
        let (_device, driver) = start().await;
        seed(&driver, &id, &format!("/raid10/csi/{id}.img"), &comment);
        let before = state(&driver);
        assert_eq!(code(driver.create(creation("pvc-1", GIB)).await), create, "{comment:?}");
        assert_eq!(code(driver.publish(Publishing::of(&id, "rds:a")).await), Code::FailedPrecondition);
        assert_eq!(code(driver.unpublish(&id, "rds:a").await), Code::FailedPrecondition);
        assert_eq!(code(driver.expand(&id, 2 * GIB, 0).await), Code::FailedPrecondition);
        assert_eq!(code(driver.delete(&id).await), Code::FailedPrecondition);
        assert_eq!(state(&driver), before, "{comment:?}");
    }
    assert_eq!(driver.leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_damaged_record_is_refused_with_the_line_that_repairs_it() {
    let (_device, driver) = start().await;
    let id = slot("a", "pvc-1");
    seed(&driver, &id, &format!("/raid10/csi/{id}.img"), "rds1 damaged");
    let refused = driver.publish(Publishing::of(&id, "rds:a")).await.unwrap_err();
    let repaired = repaired(refused.message());
    assert!(repaired.unproven && repaired.published.block, "waited for, and never formatted");
    assert_eq!(repaired.ended, None, "nothing is exported, and nobody knows what was");
}

#[tokio::test(start_paused = true)]
async fn the_line_that_repairs_a_record_tells_which_generation_it_ends() {
    let (device, driver) = start().await;
    let id = driver.made("pvc-1").await;
    let context = driver.publish(Publishing::of(&id, "rds:a")).await.unwrap();
    device.handle.assume("nqn-after-unexport", "kept").unwrap();
    let operator = routeros::Client::new(device.transport().0);
    let row = operator.disk_by_slot(&id).await.unwrap().unwrap();
    let (_, generation) = context["nvme_nqn"].rsplit_once('.').unwrap();
    let damaged = DiskChange { comment: Some("rds1 cut".into()), ..Default::default() };
    let elsewhere = format!("nqn.2000-02.com.mikrotik:{}.{generation}", slot("a", "pvc-2"));
    let closed = DiskChange { nvme_tcp_export: Some(false), ..Default::default() };
    let renamed = DiskChange {
        nvme_tcp_export: Some(true),
        nvme_tcp_server_nqn: Some(elsewhere),
        ..Default::default()
    };
    // What came before it is overtaken; what nothing shows to be the last one is not said to be it.
    for (change, ended) in [(damaged, Generation::parse(generation)), (closed, None), (renamed, None)] {
        operator.set_disk(&row.id, &id, &change).await.unwrap();
        let refused = driver.publish(Publishing::of(&id, "rds:b")).await.unwrap_err();
        let repaired = repaired(refused.message());
        assert!(repaired.holders.is_empty() && repaired.unproven);
        assert_eq!(repaired.ended, ended, "{change:?}");
    }
}

/// The record of the line that a refusal shows.
fn repaired(refusal: &str) -> Record {
    let (_, repair) = refusal.split_once("/disk set ").unwrap();
    let (_, comment) = repair.split_once("comment=\"").unwrap();
    Record::parse(comment.trim_end_matches('"')).unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn two_clusters_on_one_device_do_not_see_each_other() {
    let (device, a) = start().await;
    let b = device.driver(config("b"));
    let (of_a, of_b) = (a.made("pvc-1").await, b.made("pvc-1").await);
    assert_ne!(of_a, of_b);
    assert_eq!(code(b.delete(&of_a).await), Code::FailedPrecondition);
    assert_eq!(code(b.publish(Publishing::of(&of_a, "rds:a")).await), Code::FailedPrecondition);
    assert_eq!(b.list(0, "").await.unwrap().entries.len(), 1);
    b.delete(&of_b).await.unwrap();
    assert!(a.handle.disk(&of_a).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_there_already_is_never_adopted() {
    let (_device, driver) = start().await;
    let path = format!("raid10/csi/{}.img", slot("a", "pvc-1"));
    driver.handle.seed_file(None, &path, 123_456).unwrap();
    let before = state(&driver);
    assert_eq!(code(driver.create(creation("pvc-1", GIB)).await), Code::FailedPrecondition);
    assert_eq!(state(&driver), before);
}

#[tokio::test(start_paused = true)]
async fn a_delete_whose_disk_is_gone_removes_the_computed_file_and_no_other() {
    let (_device, driver) = start().await;
    let id = slot("a", "pvc-1");
    driver.handle.seed_file(None, &format!("raid10/csi/{id}.img"), 1).unwrap();
    driver.handle.seed_file(None, &format!("raid10/csi/{id}.img.bak"), 1).unwrap();
    driver.handle.seed_file(None, "raid10/csi/other.img", 1).unwrap();
    driver.delete(&id).await.unwrap();
    let left = driver.leftovers();
    assert_eq!(left.len(), 2, "{left:?}");
    let foreign = slot("b", "pvc-1");
    driver.handle.seed_file(None, &format!("raid10/csi/{foreign}.img"), 1).unwrap();
    driver.delete(&foreign).await.unwrap();
    assert_eq!(driver.leftovers().len(), 3, "another cluster's file stays");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_another_disk_uses_is_not_removed() {
    let (_device, driver) = start().await;
    driver.handle.assume("remove-used-file", "applied").unwrap();
    let id = driver.made("pvc-1").await;
    seed(&driver, "copy", &format!("/raid10/csi/{id}.img"), "");
    assert_eq!(code(driver.delete(&id).await), Code::FailedPrecondition);
    assert_eq!(
        code(driver.delete(&id).await),
        Code::FailedPrecondition,
        "and at the retry, its own disk gone"
    );
    assert!(driver.leftovers().contains(&format!("raid10/csi/{id}.img")));
}

#[tokio::test(start_paused = true)]
async fn the_file_of_a_volume_that_lies_elsewhere_stays() {
    let (_device, driver) = start().await;
    let id = slot("a", "pvc-1");
    seed(&driver, &id, "/raid10/elsewhere.img", &record("a"));
    assert_eq!(code(driver.create(creation("pvc-1", GIB)).await), Code::AlreadyExists);
    driver.delete(&id).await.unwrap();
    assert_eq!(driver.leftovers(), ["raid10/elsewhere.img"]);
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_was_left_with_a_dangerous_setting_is_mended_before_it_is_handed_out() {
    let (_device, driver) = start().await;
    let id = slot("a", "pvc-1");
    seed(&driver, &id, &format!("/raid10/csi/{id}.img"), &record("a"));
    assert_eq!(driver.disk(&id)["mount-filesystem"], "true");
    driver.made("pvc-1").await;
    assert_eq!(driver.disk(&id)["mount-filesystem"], "false");
}
