//! A password that changes while the client runs.

use routeros::{ErrorKind, Outcome};

use crate::device::{Device, Step, ok};

// base64 of admin:first and admin:second
const FIRST: &str = "Basic YWRtaW46Zmlyc3Q=";
const SECOND: &str = "Basic YWRtaW46c2Vjb25k";

fn authorizations(device: &Device) -> Vec<String> {
    device.seen().into_iter().map(|seen| seen.authorization).collect()
}

#[tokio::test(start_paused = true)]
async fn a_password_changed_in_its_file_is_used_from_the_next_request_on() {
    let device = Device::new([ok("[]"), ok("[]")]);
    let client = device.client();
    client.disks().await.unwrap();
    device.write_password("second");
    client.disks().await.unwrap();
    assert_eq!(authorizations(&device), [FIRST, SECOND]);
}

#[tokio::test(start_paused = true)]
async fn a_request_refused_while_the_password_was_being_changed_is_sent_once_more() {
    let device = Device::new([]);
    let rotating = device.clone();
    device.then(Step::After(
        Box::new(move || rotating.write_password("second")),
        Box::new(Step::Answer(401, String::new())),
    ));
    device.then(ok("[]"));
    device.client().disks().await.unwrap();
    assert_eq!(authorizations(&device), [FIRST, SECOND]);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_is_said_and_not_tried_again() {
    let device = Device::new([Step::Answer(401, String::new()), ok("[]")]);
    let error = device.client().disks().await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Authentication, Outcome::NotApplied));
    assert_eq!(device.lines().len(), 1);
    let shown = format!("{error} {error:?} {:?}", device.client().transport().credentials());
    assert!(!shown.contains("first") && !shown.contains("YWRtaW4"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn a_password_file_that_vanished_is_said_and_nothing_is_sent() {
    let device = Device::new([ok("[]")]);
    let client = device.client();
    std::fs::remove_file(device.password_file()).unwrap();
    let error = client.disks().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains(&*device.password_file().to_string_lossy()), "{error}");
    assert!(device.lines().is_empty());
}
