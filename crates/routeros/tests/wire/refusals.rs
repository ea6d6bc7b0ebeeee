//! Writes are by id, compared with what came of them, and a hidden reason is asked for.

use routeros::{
    Client, DiskChange, DiskRow, Error, ErrorKind, ItemId, NewDisk, NvmeTcpExport, Outcome, Resolution,
    RestTransport, Write,
};

use crate::device::{Device, Step, disk, ok, refusal};

const HIDDEN: &str = "missing or invalid resource identifier";
const GENERATION: &str = "nqn.2026-10.test:v1.0123456789abcdef";

fn id() -> ItemId {
    "*2B".parse().unwrap()
}

fn exported(nqn: &str) -> String {
    let more = r#","nvme-tcp-export":"true","nvme-tcp-server-port":"4420","nvme-tcp-server-nqn":"#;
    disk("v1", &format!(r#"{more}"{nqn}""#))
}

fn export() -> DiskChange {
    DiskChange::export(Some(NvmeTcpExport {
        nqn: GENERATION.into(),
        port: 4420,
        allow_host_name: String::new(),
    }))
}

async fn set(client: &Client<RestTransport>) -> Result<DiskRow, Error> {
    client.set_disk(&id(), "v1", &export()).await
}

/// The whole conversation of one `set`: its result and the methods that were sent.
async fn conversation(script: impl IntoIterator<Item = Step>) -> (Result<DiskRow, Error>, Vec<String>) {
    let device = Device::new(script);
    let result = set(&device.client()).await;
    let methods = device.lines().iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    (result, methods)
}

#[tokio::test(start_paused = true)]
async fn a_set_is_one_request_by_id_and_its_reply_is_the_row() {
    let device = Device::new([ok(exported(GENERATION))]);
    let row = set(&device.client()).await.unwrap();
    assert_eq!(
        (row.nvme_tcp_server_nqn.as_deref(), row.nvme_tcp_server_port),
        (Some(GENERATION), Some(4420))
    );
    let seen = device.seen();
    assert_eq!((seen.len(), seen[0].line.as_str()), (1, "PATCH /rest/disk/*2B"));
    let body = r#"{"nvme-tcp-export":"true","nvme-tcp-server-port":"4420","nvme-tcp-server-nqn":"nqn.2026-10.test:v1.0123456789abcdef","nvme-tcp-server-allow-host-name":""}"#;
    assert_eq!(seen[0].body, body);
}

#[tokio::test(start_paused = true)]
async fn a_hidden_reason_is_asked_for_in_the_consoles_words() {
    let script =
        [refusal(400, HIDDEN), ok(format!("[{}]", disk("v1", ""))), refusal(400, "failure: nqn in use")];
    let (result, methods) = conversation(script).await;
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Refused, Outcome::NotApplied));
    assert!(error.device_text().unwrap().contains("nqn in use"), "{error}");
    assert_eq!(methods, ["PATCH", "GET", "POST"]);
}

#[tokio::test(start_paused = true)]
async fn a_hidden_reason_for_a_disk_that_is_gone_is_not_found() {
    let (result, methods) = conversation([refusal(400, HIDDEN), ok("[]")]).await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(methods, ["PATCH", "GET"]);
}

#[tokio::test(start_paused = true)]
async fn a_hidden_reason_for_an_id_that_is_another_disks_ends_without_a_second_write() {
    let (result, methods) =
        conversation([refusal(400, HIDDEN), ok(format!("[{}]", disk("other", "")))]).await;
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Mismatch, Outcome::NotApplied));
    assert_eq!(methods, ["PATCH", "GET"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_set_that_is_there_already_is_a_success() {
    let (result, _) = conversation([refusal(400, HIDDEN), ok(format!("[{}]", exported(GENERATION)))]).await;
    assert!(result.unwrap().nvme_tcp_export);
}

#[tokio::test(start_paused = true)]
async fn a_set_that_only_the_consoles_form_does_is_read_back() {
    let before = ok(format!("[{}]", disk("v1", "")));
    let script = [refusal(400, HIDDEN), before, ok("[]"), ok(format!("[{}]", exported(GENERATION)))];
    let (result, methods) = conversation(script).await;
    assert!(result.unwrap().nvme_tcp_export);
    assert_eq!(methods, ["PATCH", "GET", "POST", "GET"]);
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_is_not_as_sent_says_that_the_device_acted() {
    for reply in [exported("nqn.other"), disk("v1", ""), exported(GENERATION).replace("\"v1\"", "\"other\"")]
    {
        let (result, _) = conversation([ok(reply)]).await;
        let error = result.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Mismatch, Outcome::Applied), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hostile_value_is_refused_before_anything_is_sent() {
    let device = Device::new([]);
    let client = device.client();
    let hostile = ["v1\n", "../v1", "a b", "\"", "", &"x".repeat(300)];
    for slot in hostile {
        let new = NewDisk {
            slot: slot.into(),
            file_path: "/raid10/v1.img".into(),
            file_size: 1 << 20,
            comment: String::new(),
            export: None,
        };
        assert_eq!(client.add_disk(&new).await.unwrap_err().kind(), ErrorKind::InvalidInput, "{slot:?}");
    }
    for path in ["/raid10/../x", "/raid10//x", "/raid10/a b", "/", ""] {
        assert_eq!(client.file_by_name(path).await.unwrap_err().kind(), ErrorKind::InvalidInput, "{path:?}");
    }
    assert!(device.lines().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_device_that_ignores_a_filter_is_not_believed() {
    let client = Device::new([ok(format!("[{}]", disk("other", "")))]).client();
    assert_eq!(client.disk_by_slot("v1").await.unwrap_err().kind(), ErrorKind::Malformed);
}

#[tokio::test(start_paused = true)]
async fn two_disks_in_one_slot_are_an_error_and_not_the_first_one() {
    let client = Device::new([ok(format!("[{},{}]", disk("v1", ""), disk("v1", "")))]).client();
    assert_eq!(client.disk_by_slot("v1").await.unwrap_err().kind(), ErrorKind::Malformed);
}

#[tokio::test(start_paused = true)]
async fn a_removal_of_what_is_gone_is_a_success_and_a_refusal_has_its_reason() {
    let gone: [Vec<Step>; 3] = [
        vec![Step::Answer(204, String::new())],
        vec![refusal(404, "")],
        vec![refusal(400, HIDDEN), ok("[]")],
    ];
    for script in gone {
        Device::new(script).client().remove_disk(&id()).await.unwrap();
    }
    let script = [refusal(400, HIDDEN), ok(r#"[{".id":"*2B"}]"#), refusal(400, "failure: device is busy")];
    let error = Device::new(script).client().remove_disk(&id()).await.unwrap_err();
    assert!(error.device_text().unwrap().contains("busy"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn after_an_unknown_outcome_a_read_says_what_happened() {
    let change = export();
    let set = Write::Set { id: &id(), change: &change };
    let remove = Write::Remove { id: &id() };
    let cases = [
        (set, format!("[{}]", exported(GENERATION)), true),
        (set, format!("[{}]", disk("v1", "")), false),
        (set, "[]".to_owned(), false),
        (remove, "[]".to_owned(), true),
        (remove, format!("[{}]", disk("v1", "")), false),
    ];
    for (write, answer, happened) in cases {
        let resolution = Device::new([ok(answer.clone())]).client().resolve(write).await.unwrap();
        assert_eq!(matches!(resolution, Resolution::Happened(_)), happened, "{write:?} {answer}");
    }
}
