//! A stop waits for the calls that run, but not for ever.

use std::time::Duration;

use csi_server::{STOP_GRACE, ServeError};
use tokio::net::UnixStream;

use crate::harness::Harness;

#[tokio::test]
async fn a_stop_lets_the_running_call_answer_and_then_removes_the_socket() {
    let mut harness = Harness::start(STOP_GRACE).await;
    let script = harness.script.clone();
    let path = harness.endpoint.path().to_owned();
    let mut client = harness.client.clone();
    let request = csi_grpc::v1::CreateVolumeRequest { name: "blocks".into(), ..Default::default() };
    let call = tokio::spawn(async move { client.create_volume(request).await });
    script.started.notified().await;

    harness.begin_stop();
    while UnixStream::connect(&path).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(path.exists(), "the socket stays until the calls have ended");
    script.release.notify_one();
    let reply = call.await.unwrap().unwrap();
    assert_eq!(reply.into_inner().volume.unwrap().volume_id, "blocks");
    harness.ended().await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn a_call_that_never_ends_does_not_hold_the_stop_beyond_its_grace() {
    let grace = Duration::from_millis(50);
    let mut harness = Harness::start(grace).await;
    let script = harness.script.clone();
    let mut client = harness.client.clone();
    let request = csi_grpc::v1::CreateVolumeRequest { name: "blocks".into(), ..Default::default() };
    let _call = tokio::spawn(async move { client.create_volume(request).await });
    script.started.notified().await;
    let ended = harness.stop().await;
    assert!(matches!(ended, Err(ServeError::StillRunning { grace: given }) if given == grace), "{ended:?}");
}
