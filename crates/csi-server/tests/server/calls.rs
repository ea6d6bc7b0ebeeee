//! What surrounds a call: its client may leave, its deadline, its panic, its error and its metric.

use std::sync::atomic::Ordering;
use std::time::Duration;

use csi_grpc::v1::CreateVolumeRequest;
use csi_server::{DEFAULT_CALL_DEADLINE, STOP_GRACE};
use tonic::{Code, Request};

use crate::harness::Harness;

fn named(name: &str) -> Request<CreateVolumeRequest> {
    Request::new(CreateVolumeRequest { name: name.into(), ..CreateVolumeRequest::default() })
}

#[tokio::test]
async fn a_call_whose_client_gave_up_still_runs_to_its_end_and_is_counted() {
    let mut harness = Harness::start(STOP_GRACE).await;
    let mut request = named("blocks");
    request.set_timeout(Duration::from_secs(1));
    let given_up = harness.send(request).await.unwrap_err();
    assert!(matches!(given_up.code(), Code::Cancelled | Code::DeadlineExceeded), "{given_up}");
    harness.script.started.notified().await;
    let finished = harness.script.finished.clone();
    assert!(!finished.load(Ordering::SeqCst));

    harness.script.release.notify_one();
    harness.stop().await.unwrap();
    assert!(finished.load(Ordering::SeqCst));
    assert!(harness.metrics().contains("grpc_status_code=\"OK\"} 1\n"), "{}", harness.metrics());
}

#[tokio::test]
async fn a_call_whose_client_is_gone_still_runs_to_its_end() {
    let mut harness = Harness::start(STOP_GRACE).await;
    let mut client = harness.client.clone();
    let caller = tokio::spawn(async move { client.create_volume(named("blocks")).await });
    harness.script.started.notified().await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());

    let finished = harness.script.finished.clone();
    harness.script.release.notify_one();
    harness.stop().await.unwrap();
    assert!(finished.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_handler_sees_its_client_s_deadline_or_the_default_one() {
    let harness = Harness::start(STOP_GRACE).await;
    let by_default: u64 = harness.create("deadline").await.unwrap().parse().unwrap();
    let most = DEFAULT_CALL_DEADLINE.as_secs();
    assert!((most - 5..=most).contains(&by_default), "{by_default}");

    let mut request = named("deadline");
    request.set_timeout(Duration::from_secs(30));
    let asked: u64 = harness.send(request).await.unwrap().parse().unwrap();
    assert!((25..=30).contains(&asked), "{asked}");
}

#[tokio::test]
async fn a_panic_leaves_the_outcome_of_that_call_only_unknown() {
    let harness = Harness::start(STOP_GRACE).await;
    let error = harness.create("panics").await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "not final");
    assert!(!error.message().contains("a bug\""), "the panic's text stays in the log");
    assert_eq!(harness.create("v1").await.unwrap(), "v1");
}

#[tokio::test]
async fn an_error_reaches_the_client_as_the_handler_made_it() {
    let harness = Harness::start(STOP_GRACE).await;
    let error = harness.create("refused").await.unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::FailedPrecondition, "held by nœud-1"));
}

#[tokio::test]
async fn each_call_is_counted_under_its_method_and_its_status() {
    let harness = Harness::start(STOP_GRACE).await;
    harness.create("v1").await.unwrap();
    harness.create("v2").await.unwrap();
    harness.create("refused").await.unwrap_err();
    harness.create("panics").await.unwrap_err();
    let metrics = harness.metrics();
    for (code, count) in [("OK", 2), ("FailedPrecondition", 1), ("Unavailable", 1)] {
        let line = format!(
            "csi_plugin_operations_seconds_count{{driver_name=\"test.example.org\",\
             method_name=\"/csi.v1.Controller/CreateVolume\",grpc_status_code=\"{code}\"}} {count}\n"
        );
        assert!(metrics.contains(&line), "no {line} in:\n{metrics}");
    }
}

#[tokio::test]
async fn an_unknown_method_is_unimplemented() {
    let harness = Harness::start(STOP_GRACE).await;
    let mut node =
        csi_grpc::v1::node_client::NodeClient::new(crate::harness::channel(&harness.endpoint).await);
    let error = node.node_get_info(csi_grpc::v1::NodeGetInfoRequest::default()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unimplemented);
    assert!(harness.metrics().contains("method_name=\"/csi.v1.Node/NodeGetInfo\""), "{}", harness.metrics());
}
