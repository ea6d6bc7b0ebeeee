//! ListVolumes and ControllerGetVolume.

use csi_grpc::v1::ControllerGetVolumeRequest;
use csi_grpc::v1::controller_server::Controller as _;
use routeros_sim::{Action, Fault};
use tonic::{Code, Request};

use crate::harness::{Publishing, code, slot, start};
use crate::kube;

#[tokio::test(start_paused = true)]
async fn pages_cover_every_volume_once_and_in_order() {
    let (_device, driver) = start().await;
    let mut made = Vec::new();
    for n in 0..7 {
        made.push(driver.made(&format!("pvc-{n}")).await);
    }
    made.sort();
    let (mut listed, mut token) = (Vec::new(), String::new());
    loop {
        let page = driver.list(3, &token).await.unwrap();
        assert!(page.entries.len() <= 3);
        listed.extend(page.entries.into_iter().map(|entry| entry.volume.unwrap().volume_id));
        token = page.next_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(listed, made);
    assert_eq!(driver.list(0, "").await.unwrap().entries.len(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_volume_is_listed_with_its_holders() {
    let (_device, driver) = start().await;
    let id = driver.made("pvc-1").await;
    driver.publish(Publishing::of(&id, "rds:a")).await.unwrap();
    let listed = driver.list(0, "").await.unwrap().entries.remove(0);
    assert_eq!(listed.status.unwrap().published_node_ids, ["rds:a"]);
    let get = Request::new(ControllerGetVolumeRequest { volume_id: id });
    let got = driver.controller.controller_get_volume(get).await.unwrap().into_inner();
    assert_eq!(got.status.unwrap().published_node_ids, ["rds:a"]);
    assert_eq!(got.volume, listed.volume);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_token_is_aborted_and_a_negative_page_refused() {
    let (_device, driver) = start().await;
    for token in ["invalid-token", "after:", "after:../x", "\u{0}"] {
        assert_eq!(code(driver.list(0, token).await), Code::Aborted, "{token:?}");
    }
    assert_eq!(code(driver.list(-1, "").await), Code::InvalidArgument);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_breaks_off_is_no_list() {
    let (_device, driver) = start().await;
    driver.made("pvc-1").await;
    driver.handle.faults().inject(Fault::always(Action::DropReply).on("GET", "disk"));
    assert_eq!(code(driver.list(0, "").await), Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_volume_with_a_damaged_record_is_listed_since_absent_means_detached() {
    let (_device, driver) = start().await;
    let id = slot("a", "pvc-1");
    let path = format!("/raid10/csi/{id}.img");
    let row = [("slot", id.as_str()), ("file-path", &path), ("file-size", "1024"), ("comment", "rds1 cut")];
    driver.handle.seed_disk(&row).unwrap();
    driver
        .handle
        .seed_disk(&[("slot", "foreign"), ("file-path", "/raid10/f.img"), ("file-size", "1024")])
        .unwrap();
    let listed = driver.list(0, "").await.unwrap().entries;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].volume.as_ref().unwrap().volume_id, id);
}

/// A name of which no two fit a record, so that one is hashed.
fn long_name(letter: &str) -> String {
    letter.repeat(120)
}

#[tokio::test(start_paused = true)]
async fn a_holder_whose_name_did_not_fit_is_listed_by_its_attachment_or_not_at_all() {
    let (a, b) = (long_name("a"), long_name("b"));
    let (_device, kube, driver) = kube::start(&[&a, &b]).await;
    driver
        .leading(&kube, async {
            let id = driver.made("pvc-1").await;
            kube.set_machines(attachment::Machines::Same);
            for node in [&a, &b] {
                kube.attach(&driver, Publishing::shared_block(&id, &format!("rds:{node}"))).await.unwrap();
            }
            let listed = driver.list(0, "").await.unwrap().entries.remove(0);
            let mut ids = listed.status.unwrap().published_node_ids;
            ids.sort();
            assert_eq!(ids, [format!("rds:{a}"), format!("rds:{b}")]);
            kube.set_silent(true);
            assert_eq!(code(driver.list(0, "").await), Code::Unavailable, "absent would mean detached");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_no_record_tells_of_is_listed_by_its_attachments() {
    let (device, kube, driver) = kube::start(&["a"]).await;
    driver
        .leading(&kube, async {
            let id = driver.made("pvc-1").await;
            kube.attach(&driver, Publishing::of(&id, "rds:a")).await.unwrap();
            let operator = routeros::Client::new(device.transport().0);
            let row = operator.disk_by_slot(&id).await.unwrap().unwrap();
            let damaged = routeros::DiskChange { comment: Some("rds1 cut".into()), ..Default::default() };
            operator.set_disk(&row.id, &id, &damaged).await.unwrap();
            let listed = driver.list(0, "").await.unwrap().entries.remove(0);
            assert_eq!(listed.status.unwrap().published_node_ids, ["rds:a"]);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_listed_before_it_is_known_what_persistent_volumes_name() {
    let (_device, kube, driver) = kube::start(&["a"]).await;
    driver
        .leading(&kube, async {
            let marked = driver.made("pvc-1").await;
            // Neither slot tells whose it is.
            for (slot, comment) in [(kube::ADOPTED, ""), (kube::DAMAGED, "rds1 cut"), ("foreign", "")] {
                let path = format!("/raid10/{slot}.img");
                let row = [("slot", slot), ("file-path", &path), ("file-size", "1024"), ("comment", comment)];
                driver.handle.seed_disk(&row).unwrap();
            }
            kube.set_synced(false);
            assert_eq!(code(driver.list(0, "").await), Code::Unavailable);
            kube.set_synced(true);
            let listed = driver.list(0, "").await.unwrap().entries;
            let ids: Vec<_> = listed.into_iter().map(|entry| entry.volume.unwrap().volume_id).collect();
            assert_eq!(ids, [kube::DAMAGED, kube::ADOPTED, &marked]);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn without_kubernetes_a_name_that_did_not_fit_fails_the_list() {
    let (_device, driver) = start().await;
    let id = driver.made("pvc-1").await;
    let node = format!("rds:{}", "a".repeat(253));
    driver.publish(Publishing::of(&id, &node)).await.unwrap();
    assert_eq!(code(driver.list(0, "").await), Code::Unavailable);
}
