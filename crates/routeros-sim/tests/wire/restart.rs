//! What a state directory keeps.

use std::io::Write;

use routeros_sim::version::Version;
use routeros_sim::{Action, Config, Fault, Simulator, When};
use serde_json::json;

use crate::client::Client;

fn config(state: &tempfile::TempDir) -> Config {
    Config { state: Some(state.path().to_owned()), ..Config::default() }
}

#[tokio::test]
async fn a_crash_keeps_disks_files_ids_and_identities_and_serves_the_exports_again() {
    let state = tempfile::tempdir().unwrap();
    let first = Simulator::start(config(&state)).await.unwrap();
    let mut client = Client::connect(&first).await;
    let id = client.add("v").await;
    client.set(&id, json!({ "nvme-tcp-export": "yes", "comment": "mine" })).await;
    let gone = client.add("gone").await;
    client.delete(&format!("/rest/disk/{gone}")).await;
    let (disks, files, exports) = (first.handle().disks(), first.handle().files(), first.handle().exports());
    drop(first);

    let second = Simulator::start(config(&state)).await.unwrap();
    assert_eq!(second.handle().disks(), disks);
    assert_eq!(second.handle().files(), files);
    assert_eq!(second.handle().exports(), exports);
    let next = Client::connect(&second).await.add("next").await;
    assert!(![&id, &gone].contains(&&next), "an id is used again");
}

#[tokio::test]
async fn a_change_cut_short_by_a_crash_is_as_if_never_begun() {
    let state = tempfile::tempdir().unwrap();
    let first = Simulator::start(config(&state)).await.unwrap();
    Client::connect(&first).await.add("v").await;
    drop(first);
    let mut journal =
        std::fs::OpenOptions::new().append(true).open(state.path().join("journal.jsonl")).unwrap();
    journal.write_all(b"[{\"RemoveDisk\":").unwrap();
    let second = Simulator::start(config(&state)).await.unwrap();
    assert!(second.handle().disk("v").is_some());
}

#[tokio::test]
async fn a_command_that_a_crash_caught_before_its_effect_is_never_done() {
    let state = tempfile::tempdir().unwrap();
    let first = Simulator::start(config(&state)).await.unwrap();
    let hold = Fault::once(Action::Hold { when: When::Before }).on("PUT", "");
    let id = first.handle().faults().inject(hold);
    let (handle, mut client) = (first.handle(), Client::connect(&first).await);
    let asked = tokio::spawn(async move { client.add("v").await });
    while handle.faults().met(id) == 0 {
        tokio::task::yield_now().await;
    }
    drop(first);
    let second = Simulator::start(config(&state)).await.unwrap();
    handle.faults().release(None);
    assert!(asked.await.is_err(), "it was answered");
    assert!(handle.disk("v").is_none() && second.handle().disk("v").is_none());
}

#[tokio::test]
async fn images_are_sparse_files_and_free_room_counts_what_is_written() {
    let state = tempfile::tempdir().unwrap();
    let simulator = Simulator::start(config(&state)).await.unwrap();
    Client::connect(&simulator).await.add("v").await;
    let free = || simulator.handle().disk("raid10").unwrap()["free"].parse::<u64>().unwrap();
    let before = free();
    let image = Config::images_of(state.path()).join("raid10/v.img");
    assert_eq!(std::fs::metadata(&image).unwrap().len(), 1 << 20);
    let file = std::fs::OpenOptions::new().write(true).open(&image).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[1; 65536], 0).unwrap();
    file.sync_all().unwrap();
    assert!((65536..(1 << 20)).contains(&(before - free())), "{before} {}", free());
}

#[tokio::test]
async fn an_older_device_lacks_what_came_later() {
    let config = Config { version: Version::seven(20), ..Config::default() };
    let simulator = Simulator::start(config).await.unwrap();
    let mut client = Client::connect(&simulator).await;
    let id = client.add("v").await;
    let body = json!({ "numbers": id, "nvme-tcp-server-nqn": "nqn.x" });
    let reply = client.json("POST", "/rest/disk/set", body).await;
    assert_eq!(reply.body["detail"], "unknown parameter nvme-tcp-server-nqn");
    assert_eq!(client.get("/rest/system/resource").await.body["version"], "7.20 (stable)");
    let copy = json!({ "numbers": "raid10/v.img", "name": "raid10/w.img" });
    assert_eq!(client.json("POST", "/rest/file/copy", copy).await.body["detail"], "no such command");
}

#[tokio::test]
async fn a_device_without_rose_storage_exports_nothing() {
    use routeros_sim::device::RosePackage;
    for (rose, disabled) in
        [(RosePackage::Disabled, json!([{ "disabled": "true" }])), (RosePackage::Missing, json!([]))]
    {
        let simulator = Simulator::start(Config { rose, ..Config::default() }).await.unwrap();
        let mut client = Client::connect(&simulator).await;
        let mut rows = client.get("/rest/system/package?name=rose-storage&.proplist=disabled").await.body;
        rows.as_array_mut()
            .unwrap()
            .iter_mut()
            .for_each(|row| drop(row.as_object_mut().unwrap().remove(".id")));
        assert_eq!(rows, disabled);
        let id = client.add("v").await;
        assert_eq!(client.set(&id, json!({ "nvme-tcp-export": "yes" })).await.status, 400);
    }
}
