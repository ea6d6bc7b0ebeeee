//! Every open question, answered both ways, as it shows on the wire or to a host.

use routeros_sim::plane::record::ConnectError;
use routeros_sim::{Assumptions, Config, Handle, Simulator};
use serde_json::{Value, json};

use crate::client::{Client, Reply};

const PORT: u16 = 4420;
const NQN: &str = "nqn.2000-02.com.mikrotik:v";
const HOST: &str = "nqn.2014-08.org.nvmexpress:uuid:a";
const OTHER: &str = "nqn.2014-08.org.nvmexpress:uuid:b";

struct Device {
    _simulator: Simulator,
    handle: Handle,
    client: Client,
}

/// A device that answers one question this way.
async fn device(assumption: &str) -> Device {
    let mut assumptions = Assumptions::default();
    assumptions.assume(assumption).unwrap();
    let simulator = Simulator::start(Config { assumptions, ..Config::default() }).await.unwrap();
    let client = Client::connect(&simulator).await;
    Device { handle: simulator.handle(), client, _simulator: simulator }
}

impl Device {
    async fn exported(&mut self) -> String {
        let id = self.client.add("v").await;
        let reply = self.export(&id).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        id
    }

    async fn export(&mut self, id: &str) -> Reply {
        self.client.set(id, json!({ "nvme-tcp-export": "yes", "nvme-tcp-server-nqn": NQN })).await
    }

    async fn post(&mut self, command: &str, body: Value) -> Reply {
        self.client.json("POST", &format!("/rest/disk/{command}"), body).await
    }

    async fn file(&mut self, slot: &str, size: &str) -> Reply {
        let path = format!("raid10/{slot}.img");
        self.post("add", json!({ "type": "file", "slot": slot, "file-path": path, "file-size": size })).await
    }

    fn shown(&self, property: &str) -> Option<String> {
        self.handle.disk("v").unwrap().get(property).cloned()
    }
}

fn ok(reply: &Reply) -> bool {
    reply.status < 300
}

#[tokio::test]
async fn slot_length_is_the_longest_name_taken() {
    let cases =
        [("32", 32, true), ("32", 33, false), ("40", 40, true), ("40", 41, false), ("none", 99, true)];
    for (value, length, taken) in cases {
        let mut device = device(&format!("slot-length={value}")).await;
        let reply = device.file(&"s".repeat(length), "4096").await;
        assert_eq!(ok(&reply), taken, "{value} {length}: {reply:?}");
    }
}

#[tokio::test]
async fn duplicate_slots_and_nqns_are_refused_or_accepted() {
    for (value, taken) in [("refused", false), ("accepted", true)] {
        let mut slots = device(&format!("duplicate-slot={value}")).await;
        slots.file("a", "4096").await;
        let body = json!({ "type": "file", "slot": "a", "file-path": "raid10/b.img", "file-size": "4096" });
        let reply = slots.post("add", body).await;
        assert_eq!(ok(&reply), taken, "{value}: {reply:?}");

        let mut names = device(&format!("duplicate-nqn={value}")).await;
        names.exported().await;
        let second = names.client.add("w").await;
        assert_eq!(ok(&names.export(&second).await), taken, "{value}");
        let served = names.handle.exports();
        assert_eq!((served.len(), served[0].image.as_str()), (1, "raid10/v.img"));
    }
}

#[tokio::test]
async fn an_existing_file_is_adopted_refused_or_truncated() {
    let cases =
        [("adopted", true, Some("8192")), ("refused", false, None), ("truncated", true, Some("4096"))];
    for (value, taken, size) in cases {
        let mut device = device(&format!("existing-file={value}")).await;
        device.handle.seed_file(None, "raid10/v.img", 8192).unwrap();
        assert_eq!(ok(&device.file("v", "4096").await), taken, "{value}");
        if taken {
            assert_eq!(device.shown("size").as_deref(), size, "{value}");
        }
    }
}

#[tokio::test]
async fn a_file_size_is_exact_or_rounded_up() {
    for (value, size) in [("exact", "5000"), ("rounded", "8192")] {
        let mut device = device(&format!("file-size={value}")).await;
        device.file("v", "5000").await;
        assert_eq!(device.shown("file-size").as_deref(), Some(size), "{value}");
    }
}

#[tokio::test]
async fn an_image_takes_its_room_when_written_or_at_once() {
    for (value, free) in [("sparse", 100 << 30), ("preallocated", 99 << 30)] {
        let mut device = device(&format!("image={value}")).await;
        assert!(ok(&device.file("v", "1G").await));
        let pool = device.handle.disk("raid10").unwrap();
        assert_eq!(pool["free"].parse::<u64>().unwrap(), free, "{value}");
        assert_eq!(ok(&device.file("w", "1T").await), value == "sparse");
    }
}

#[tokio::test]
async fn a_comment_is_kept_refused_cut_or_cleaned() {
    let long = "x".repeat(300);
    let cases = [
        ("255-ascii", "{\"a\":1}", Some("{\"a\":1}".to_owned())),
        ("255-ascii", long.as_str(), None),
        ("255-ascii", "é", None),
        ("longer", long.as_str(), Some(long.clone())),
        ("cut", long.as_str(), Some("x".repeat(128))),
        ("charset", "{\"a\":1}", Some("__a_:1_".to_owned())),
    ];
    for (value, comment, kept) in cases {
        let mut device = device(&format!("comment={value}")).await;
        let id = device.client.add("v").await;
        let reply = device.client.set(&id, json!({ "comment": comment })).await;
        assert_eq!(ok(&reply), kept.is_some(), "{value} {comment}");
        assert_eq!(device.shown("comment"), kept, "{value} {comment}");
    }
}

#[tokio::test]
async fn a_set_of_many_with_one_refused_is_nothing_or_the_part_before_it() {
    for (value, comment) in [("all-or-nothing", None), ("partial", Some("a".to_owned()))] {
        let mut device = device(&format!("set-many={value}")).await;
        device.client.add("v").await;
        let body = json!({ "numbers": "v", "comment": "a", "nvme-tcp-server-port": "no", "swap": "yes" });
        // serde_json sorts by name, so what comes before and after the refused one is known.
        let reply = device.post("set", body).await;
        assert_eq!(reply.status, 400);
        assert_eq!(device.shown("comment"), comment, "{value}");
        assert_eq!(device.shown("swap").as_deref(), Some("false"), "{value}");
    }
}

#[tokio::test]
async fn a_changed_nqn_is_refused_served_at_once_or_at_the_next_export() {
    let next = "nqn.2000-02.com.mikrotik:next";
    for (value, taken, served) in
        [("refused", false, NQN), ("applied", true, next), ("at-next-export", true, NQN)]
    {
        let mut device = device(&format!("nqn-change-while-exported={value}")).await;
        let id = device.exported().await;
        let reply = device.client.set(&id, json!({ "nvme-tcp-server-nqn": next })).await;
        assert_eq!(ok(&reply), taken, "{value}");
        assert_eq!(device.handle.exports()[0].nqn, served, "{value}");
        if value == "at-next-export" {
            assert_eq!(device.shown("nvme-tcp-server-nqn").as_deref(), Some(next));
            device.client.set(&id, json!({ "nvme-tcp-export": "no" })).await;
            device.client.set(&id, json!({ "nvme-tcp-export": "yes" })).await;
            assert_eq!(device.handle.exports()[0].nqn, next);
        }
    }
}

#[tokio::test]
async fn an_unexport_ends_sessions_or_leaves_them() {
    let cases =
        [("returns-early", 0), ("drains", 0), ("disables-namespace-first", 0), ("leaves-live-sessions", 1)];
    for (value, sessions) in cases {
        let mut device = device(&format!("unexport={value}")).await;
        let id = device.exported().await;
        device.handle.connect(PORT, NQN, HOST).unwrap();
        device.client.set(&id, json!({ "nvme-tcp-export": "no" })).await;
        assert_eq!(device.handle.sessions().len(), sessions, "{value}");
        assert_eq!(device.handle.connect(PORT, NQN, OTHER), Err(ConnectError::Refused), "{value}");
    }
}

#[tokio::test]
async fn the_nqn_of_a_closed_export_is_hidden_kept_or_cleared() {
    for (value, shown, again) in [("hidden", None, NQN), ("kept", Some(NQN), NQN), ("cleared", None, "")] {
        let mut device = device(&format!("nqn-after-unexport={value}")).await;
        let id = device.exported().await;
        device.client.set(&id, json!({ "nvme-tcp-export": "no" })).await;
        assert_eq!(device.shown("nvme-tcp-server-nqn").as_deref(), shown, "{value}");
        device.client.set(&id, json!({ "nvme-tcp-export": "yes" })).await;
        // A cleared name gives way to the device's own, which here is the same text: its slot is `v`.
        let expected = if again.is_empty() { "nqn.2000-02.com.mikrotik:v" } else { again };
        assert_eq!(device.handle.exports()[0].nqn, expected, "{value}");
    }
}

#[tokio::test]
async fn a_list_of_hosts_is_one_name_or_many_and_ends_sessions_or_not() {
    let cases = [
        ("one", false, 1),
        ("comma", true, 1),
        ("one-ends-sessions", false, 0),
        ("comma-ends-sessions", true, 0),
    ];
    for (value, many, left) in cases {
        let mut device = device(&format!("allow-list={value}")).await;
        let id = device.exported().await;
        device.handle.connect(PORT, NQN, "nqn.other").unwrap();
        let list = format!("{HOST},{OTHER}");
        device.client.set(&id, json!({ "nvme-tcp-server-allow-host-name": list })).await;
        assert_eq!(device.handle.sessions().len(), left, "{value}");
        assert_eq!(device.handle.connect(PORT, NQN, OTHER).is_ok(), many, "{value}");
        let refused = device.handle.connect(PORT, NQN, "nqn.third");
        assert_eq!(refused, Err(ConnectError::HostNotAllowed), "{value}");
    }
}

#[tokio::test]
async fn a_namespace_keeps_its_identity_over_boots_or_exports_or_not() {
    for (value, over_boot, over_export) in
        [("persistent", true, true), ("per-export", true, false), ("per-boot", false, true)]
    {
        let mut device = device(&format!("namespace-id={value}")).await;
        let id = device.exported().await;
        let first = device.handle.exports()[0].identity.clone();
        device.client.set(&id, json!({ "nvme-tcp-export": "no" })).await;
        device.export(&id).await;
        let second = device.handle.exports()[0].identity.clone();
        assert_eq!(first == second, over_export, "{value}");
        device.handle.reboot(Default::default()).await.unwrap();
        assert_eq!(second == device.handle.exports()[0].identity, over_boot, "{value}");
    }
}

#[tokio::test]
async fn a_host_that_reconnects_during_a_boot_meets_a_closed_port_or_an_unknown_nqn() {
    let cases = [("exports-first", ConnectError::Refused), ("listens-first", ConnectError::UnknownNqn)];
    for (value, error) in cases {
        let mut device = device(&format!("boot={value}")).await;
        device.exported().await;
        device.handle.power_off(false).await.unwrap();
        assert_eq!(device.handle.connect(PORT, NQN, HOST), Err(ConnectError::Refused), "{value}");
        let handle = device.handle.clone();
        let booting =
            tokio::spawn(async move { handle.power_on(std::time::Duration::from_secs(3600)).await });
        while !device.handle.is_on() {
            tokio::task::yield_now().await;
        }
        assert_eq!(device.handle.connect(PORT, NQN, HOST), Err(error), "{value}");
        booting.abort();
    }
}

#[tokio::test]
async fn growth_is_announced_or_asked_for_or_waits_for_the_next_export() {
    for (value, told, asked) in [("identify", 1, 2), ("announced", 2, 2), ("re-export", 1, 1)] {
        let mut device = device(&format!("growth={value}")).await;
        let id = device.exported().await;
        device.handle.connect(PORT, NQN, HOST).unwrap();
        device.client.set(&id, json!({ "file-size": "2M" })).await;
        assert_eq!(device.handle.sessions()[0].size >> 20, told, "{value}");
        assert_eq!(device.handle.connect(PORT, NQN, HOST).unwrap().size >> 20, asked, "{value}");
        device.client.set(&id, json!({ "nvme-tcp-export": "no" })).await;
        device.export(&id).await;
        assert_eq!(device.handle.connect(PORT, NQN, HOST).unwrap().size >> 20, 2, "{value}");
    }
}

#[tokio::test]
async fn a_connected_disk_is_not_removed_or_is() {
    for (value, status, sessions) in [("refused", 400, 1), ("applied", 204, 0)] {
        let mut device = device(&format!("remove-while-connected={value}")).await;
        let id = device.exported().await;
        device.handle.connect(PORT, NQN, HOST).unwrap();
        let reply = device.client.delete(&format!("/rest/disk/{id}")).await;
        assert_eq!((reply.status, device.handle.sessions().len()), (status, sessions), "{value}");
    }
}

#[tokio::test]
async fn a_power_cut_keeps_or_reverts_the_last_configuration() {
    for (value, exported) in [("keeps", false), ("reverts", true)] {
        let mut device = device(&format!("durability={value}")).await;
        let id = device.exported().await;
        device.client.set(&id, json!({ "nvme-tcp-export": "no" })).await;
        let cut = routeros_sim::Reboot { power_cut: true, ..Default::default() };
        device.handle.reboot(cut).await.unwrap();
        assert_eq!(device.handle.exports().len() == 1, exported, "{value}");
        assert_eq!(device.shown("nvme-tcp-export").as_deref(), Some(if exported { "true" } else { "false" }));
    }
}

#[tokio::test]
async fn discard_reaches_the_image_or_is_not_offered() {
    for (value, offered) in [("punches-holes", true), ("ignored", false)] {
        let mut device = device(&format!("discard={value}")).await;
        device.exported().await;
        assert_eq!(device.handle.exports()[0].discard, offered, "{value}");
    }
}

#[tokio::test]
async fn copy_from_copies_properties_and_only_perhaps_data() {
    for (value, bytes) in [("properties", &[0; 4]), ("data", b"data")] {
        let state = tempfile::tempdir().unwrap();
        let mut assumptions = Assumptions::default();
        assumptions.set("copy-from", value).unwrap();
        let config = Config { assumptions, state: Some(state.path().to_owned()), ..Config::default() };
        let simulator = Simulator::start(config).await.unwrap();
        let mut client = Client::connect(&simulator).await;
        client.add("v").await;
        let images = Config::images_of(state.path()).join("raid10");
        let source = std::fs::OpenOptions::new().write(true).open(images.join("v.img")).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&source, b"data", 0).unwrap();

        let body = json!({ "copy-from": "v", "slot": "w", "file-path": "raid10/w.img" });
        assert!(ok(&client.json("POST", "/rest/disk/add", body).await));

        let w = simulator.handle().disk("w").unwrap();
        assert_eq!((w["type"].as_str(), w["mount-filesystem"].as_str()), ("file", "false"));
        let copy = std::fs::read(images.join("w.img")).unwrap();
        assert_eq!((copy.len(), &copy[..4]), (1 << 20, &bytes[..]), "{value}");
    }
}

#[tokio::test]
async fn a_file_copy_takes_room_shares_it_or_is_no_command() {
    for (value, status, taken) in [("full", 200, 1 << 20), ("reflink", 200, 0), ("absent", 400, 0)] {
        let mut device = device(&format!("file-copy={value}")).await;
        device.handle.assume("image", "preallocated").unwrap();
        device.client.add("v").await;
        let free = |handle: &Handle| handle.disk("raid10").unwrap()["free"].parse::<u64>().unwrap();
        let before = free(&device.handle);
        let body = json!({ "numbers": "raid10/v.img", "name": "raid10/copy.img" });
        let reply = device.client.json("POST", "/rest/file/copy", body).await;
        assert_eq!((reply.status, before - free(&device.handle)), (status, taken), "{value}: {reply:?}");
    }
}

#[tokio::test]
async fn an_export_without_a_name_gets_one_of_the_device() {
    for (value, nqn) in [("prefixed", "nqn.2000-02.com.mikrotik:v"), ("slot", "v")] {
        let mut device = device(&format!("default-nqn={value}")).await;
        let id = device.client.add("v").await;
        device.client.set(&id, json!({ "nvme-tcp-export": "yes" })).await;
        assert_eq!(device.handle.exports()[0].nqn, nqn);
        assert_eq!(device.shown("nvme-tcp-server-nqn").as_deref(), Some(nqn));
    }
}

#[tokio::test]
async fn a_used_file_is_not_removed_or_is() {
    for (value, status) in [("refused", 400), ("applied", 204)] {
        let mut device = device(&format!("remove-used-file={value}")).await;
        device.client.add("v").await;
        assert_eq!(device.client.delete("/rest/file/raid10%2Fv.img").await.status, status, "{value}");
    }
}

#[tokio::test]
async fn a_smaller_size_is_refused_or_cuts_the_image() {
    for (value, status, size) in [("refused", 400, "1048576"), ("applied", 200, "4096")] {
        let mut device = device(&format!("shrink={value}")).await;
        let id = device.client.add("v").await;
        assert_eq!(device.client.set(&id, json!({ "file-size": "4096" })).await.status, status, "{value}");
        assert_eq!(device.shown("size").as_deref(), Some(size), "{value}");
    }
}

#[tokio::test]
async fn a_missing_directory_is_made_or_the_add_refused() {
    for (value, status, files) in [("created", 200, 3), ("refused", 400, 0)] {
        let mut device = device(&format!("missing-directory={value}")).await;
        let body =
            json!({ "type": "file", "slot": "v", "file-path": "raid10/a/b/v.img", "file-size": "4096" });
        assert_eq!(device.post("add", body).await.status, status, "{value}");
        assert_eq!(device.handle.files().len(), files, "{value}");
    }
}

#[tokio::test]
async fn a_connection_is_kept_or_closed_after_each_answer() {
    for (value, kept) in [("kept", true), ("closed", false)] {
        let mut device = device(&format!("keep-alive={value}")).await;
        assert_eq!(device.client.get("/rest/disk").await.status, 200);
        let second = device.client.send("GET", "/rest/disk", &[], None).await;
        assert_eq!(second.is_ok(), kept, "{value}");
    }
}
