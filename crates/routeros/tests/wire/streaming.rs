//! Long lists are read as they come.

use std::fmt::Write;
use std::sync::Arc;

use routeros::{Error, ErrorKind};
use tokio::sync::Semaphore;

use crate::device::{Device, Step, disk, ok};

#[tokio::test(start_paused = true)]
async fn the_first_row_is_given_out_before_the_second_has_come() {
    let gate = Arc::new(Semaphore::new(0));
    let (first, second) = (format!("[{},", disk("v1", "")), format!("{}]", disk("v2", "")));
    let client = Device::new([Step::InTwo(first, Arc::clone(&gate), second)]).client();
    let mut slots = Vec::new();
    client
        .for_each_disk(|row| {
            gate.add_permits(1);
            slots.push(row.slot);
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(slots, ["v1", "v2"]);
}

#[tokio::test]
async fn ten_thousand_disks_are_read() {
    let mut body = String::from("[");
    for n in 0..10_000 {
        let comma = if n == 0 { "" } else { "," };
        write!(body, "{comma}{}", disk(&format!("v{n}"), r#","size":"1073741824","comment":"a record""#))
            .unwrap();
    }
    let client = Device::new([ok(body + "]")]).client();
    let mut bytes = 0;
    client
        .for_each_disk(|row| {
            bytes += row.size.unwrap_or_default();
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(bytes, 10_000 << 30);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_cannot_be_read_ends_the_list_and_is_named() {
    let body = format!("[{},{}]", disk("v1", ""), disk("v2", r#","size":"1024.0GiB""#));
    let error = Device::new([ok(body)]).client().disks().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
    assert!(error.to_string().contains(r#"row "*2B" has property "size" = "1024.0GiB""#), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_caller_can_end_a_list() {
    let client = Device::new([ok(format!("[{},{}]", disk("v1", ""), disk("v2", "")))]).client();
    let mut seen = 0;
    let ended = client.for_each_disk(|_| {
        seen += 1;
        Err(Error::new(ErrorKind::InvalidInput, "enough"))
    });
    assert_eq!(ended.await.unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(seen, 1);
}
