//! What is said through Events: failures of stage and publish, one event each (requirements R1, R4, R15).

use std::collections::HashMap;

use csi_grpc::v1::node_server::Node as _;
use csi_grpc::v1::volume_capability::access_mode::Mode;
use csi_grpc::v1::{NodePublishVolumeRequest, NodeStageVolumeRequest};
use host::fake::KernelVersion;
use volume::{Claim, Event, Involved, Reason};

use crate::bench::{Bench, Vol, call, claim};
use crate::kubernetes::{FakeAttachments, Server};

/// Linux: EIO.
const EIO: i32 = 5;
/// What an event must never say.
const SECRET: &str = "hunter2";

fn exported(vol: &Vol) -> Bench {
    let bench = Bench::new(KernelVersion::V6_12);
    bench.export(vol);
    bench
}

/// The only event that was heard.
fn the_event(bench: &Bench) -> Event {
    let mut heard = bench.heard.take();
    assert_eq!(heard.len(), 1, "{heard:?}");
    heard.remove(0)
}

#[track_caller]
fn assert_said(bench: &Bench, reason: Reason, message: &str) {
    let event = the_event(bench);
    assert_eq!(event, Event { reason, involved: Involved::Claim(claim()), message: message.into() });
}

async fn stage_with_secret(bench: &Bench, vol: &Vol) {
    let secrets = HashMap::from([("passphrase".to_owned(), SECRET.to_owned())]);
    bench.stage_with(NodeStageVolumeRequest { secrets, ..vol.stage_request() }).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_fails_is_said_with_its_target_and_once() {
    let vol = Vol::ext4("a");
    let nqn = vol.nqn();
    let bench = exported(&vol);
    bench.fabric.unexport(&nqn);
    stage_with_secret(&bench, &vol).await;
    assert_said(
        &bench,
        Reason::ConnectionFailure,
        &format!(
            "[a] on [worker-1]: Connection to 10.0.0.1:4420 failed: target 10.0.0.1:4420 answers, but knows no {nqn}: this \
         attachment is not exported (any more); nothing was touched"
        ),
    );

    bench.export(&vol);
    bench.kernel.fail_next("connect", EIO);
    stage_with_secret(&bench, &vol).await;
    let event = the_event(&bench);
    assert_eq!(event.reason, Reason::ConnectionFailure);
    let start = format!("[a] on [worker-1]: Connection to 10.0.0.1:4420 failed: connecting {nqn} at ");
    assert!(event.message.starts_with(&start), "{event:?}");

    bench.fabric.stop();
    stage_with_secret(&bench, &vol).await;
    let event = the_event(&bench);
    assert_eq!(event.reason, Reason::ConnectionFailure);
    assert!(event.message.contains("does not answer"), "{event:?}");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_cannot_be_resolved_is_said_as_the_target_that_was_asked_for() {
    let vol = Vol::ext4("a");
    let bench = exported(&vol);
    bench.kernel.fail_next("resolve", EIO);
    let mut request = vol.stage_request();
    request.publish_context.insert("nvme_address".into(), "rds.example".into());
    bench.stage_with(request).await.unwrap_err();
    let event = the_event(&bench);
    let start = "[a] on [worker-1]: Connection to rds.example:4420 failed: ";
    assert!(event.reason == Reason::ConnectionFailure && event.message.starts_with(start), "{event:?}");
}

#[tokio::test(start_paused = true)]
async fn a_step_that_fails_with_the_device_is_said_with_the_devices_path() {
    for step in ["read", "mkfs", "mount"] {
        let vol = Vol::ext4("a");
        let bench = exported(&vol);
        bench.kernel.fail_next(step, EIO);
        stage_with_secret(&bench, &vol).await;
        let Event { reason, involved, message } = the_event(&bench);
        assert_eq!((reason, involved), (Reason::MountFailure, Involved::Claim(claim())), "{step}");
        assert!(message.starts_with("[a] on [worker-1]: /dev/nvme") && message.contains(step), "{message}");
        assert!(!message.contains(SECRET), "{message}");
    }
    for (vol, step) in [(Vol::ext4("a"), "bind"), (Vol::block("a"), "bind"), (Vol::block("a"), "hold")] {
        let bench = exported(&vol);
        bench.stage(&vol).await.unwrap();
        bench.kernel.fail_next(step, EIO);
        bench.publish(&vol, "p").await.unwrap_err();
        let Event { reason, message, .. } = the_event(&bench);
        assert_eq!(reason, Reason::MountFailure, "{step}");
        assert!(message.contains("/dev/nvme") && message.contains(step), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_before_any_step_is_said_too() {
    let shared = Vol { mode: Mode::MultiNodeMultiWriter, ..Vol::ext4("a") };
    let bench = exported(&shared);
    bench.stage(&shared).await.unwrap_err();
    assert_said(
        &bench,
        Reason::MountFailure,
        "[a] on [worker-1]: volume_capability: a file system cannot be written \
        from several nodes; use volumeMode Block for ReadWriteMany",
    );

    bench.publish(&Vol::ext4("a"), "p").await.unwrap_err();
    assert_said(
        &bench,
        Reason::MountFailure,
        "[a] on [worker-1]: volume a is not staged on this node: NodeStageVolume comes first",
    );

    bench.kernel.fail_next("mounts", EIO);
    bench.stage(&Vol::ext4("a")).await.unwrap_err();
    assert_eq!(the_event(&bench).reason, Reason::MountFailure);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_holds_data_and_a_path_that_is_down_are_said() {
    let vol = Vol::ext4("a");
    let bench = exported(&vol);
    bench.fabric.overwrite("a", 0, b"somebody's bytes");
    bench.stage(&vol).await.unwrap_err();
    let Event { reason, message, .. } = the_event(&bench);
    assert_eq!(reason, Reason::MountFailure);
    assert!(message.contains("is not formatted and not mounted"), "{message}");
    assert_eq!(message.matches("/dev/nvme").count(), 1, "the device is named once: {message}");

    let vol = Vol::ext4("b");
    let bench = Bench::in_use(KernelVersion::V6_1, &vol).await;
    bench.fabric.stop();
    bench.publish(&vol, "q").await.unwrap_err();
    let Event { reason, message, .. } = the_event(&bench);
    assert_eq!(reason, Reason::MountFailure);
    assert!(message.contains("not live"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn what_hangs_past_its_deadline_is_said_and_the_retry_says_the_same() {
    let vol = Vol::ext4("a");
    let bench = exported(&vol);
    bench.kernel.hang("mount");
    bench.stage(&vol).await.unwrap_err();
    assert_eq!(the_event(&bench).reason, Reason::MountFailure);
    bench.stage(&vol).await.unwrap_err();
    let first = the_event(&bench);
    bench.stage(&vol).await.unwrap_err();
    assert_eq!(the_event(&bench), first);
}

#[tokio::test(start_paused = true)]
async fn what_goes_well_is_not_said_and_neither_is_a_retry_that_does() {
    for vol in [Vol::ext4("a"), Vol::block("a")] {
        let bench = exported(&vol);
        bench.kernel.fail_next("connect", EIO);
        bench.stage(&vol).await.unwrap_err();
        bench.heard.take();
        bench.stage(&vol).await.unwrap();
        bench.publish(&vol, "p").await.unwrap();
        bench.publish(&vol, "p").await.unwrap();
        bench.unpublish(&vol, "p").await.unwrap();
        bench.unstage(&vol).await.unwrap();
        assert_eq!(bench.heard.take(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_beside_another_of_the_volume_only_waits_and_says_nothing() {
    let vol = Vol::ext4("a");
    let bench = exported(&vol);
    bench.kernel.hang("connect");
    let (first, second) = tokio::join!(bench.stage(&vol), async {
        let second = bench.publish(&vol, "p").await;
        assert_eq!(bench.heard.take(), []);
        second
    });
    assert!(first.is_err() && second.is_err());
    assert_eq!(the_event(&bench).reason, Reason::ConnectionFailure, "a connect that hangs");
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_being_read_whole_is_no_failure() {
    let vol = Vol::ext4("a");
    let bench = exported(&vol);
    bench.kernel.hang("scan");
    let waiting = bench.stage_after_block(&vol).await.unwrap_err();
    assert!(waiting.message().contains("being read whole"), "{waiting:?}");
    assert_eq!(bench.heard.take(), []);
}

#[tokio::test(start_paused = true)]
async fn an_unfenced_member_is_said_and_a_server_that_does_not_answer_is_not() {
    let vol = Vol { mode: Mode::MultiNodeMultiWriter, ..Vol::block("a") };
    let attachments = FakeAttachments::new();
    let bench = Bench::in_use(KernelVersion::V6_12, &vol).await.asking(&attachments);
    attachments.set_server(Server::Refuses);
    bench.publish(&vol, "q").await.unwrap_err();
    assert_eq!(bench.heard.take(), []);
    attachments.set_server(Server::Answers);
    attachments.annotate(Some("worker-2"));
    bench.publish(&vol, "q").await.unwrap_err();
    let Event { reason, message, .. } = the_event(&bench);
    assert_eq!(reason, Reason::MountFailure);
    assert!(message.contains("node worker-2 left this volume without proof"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn the_claim_is_the_publish_contexts_or_the_one_that_the_volume_was_made_for() {
    let vol = Vol::ext4("a");
    let made_for = |name: &str, value: &str| (format!("csi.storage.k8s.io/pvc/{name}"), value.to_owned());
    let both = vec![made_for("namespace", "tmp"), made_for("name", "prime")];
    let without_uid = Claim { namespace: "tmp".into(), name: "prime".into(), uid: String::new() };
    for (keeps_claim, volume_context, expected) in [
        (true, both.clone(), Some(claim())),
        (false, both, Some(without_uid)),
        (false, vec![made_for("name", "prime")], None),
        (false, vec![made_for("namespace", ""), made_for("name", "prime")], None),
        (false, vec![], None),
    ] {
        let bench = exported(&vol);
        let mut stage = vol.stage_request();
        if !keeps_claim {
            stage.publish_context.retain(|key, _| !key.starts_with("pvc_"));
        }
        stage.volume_context.extend(volume_context);
        let NodeStageVolumeRequest { publish_context, volume_context, .. } = stage.clone();
        let publish =
            NodePublishVolumeRequest { publish_context, volume_context, ..vol.publish_request("p") };
        bench.node.node_publish_volume(call(publish)).await.unwrap_err();
        bench.kernel.fail_next("mount", EIO);
        bench.stage_with(stage).await.unwrap_err();
        let heard = bench.heard.take();
        // One for each of the two calls.
        let expected = expected.map(|claim| vec![Involved::Claim(claim); 2]).unwrap_or_default();
        let whom: Vec<_> = heard.into_iter().map(|event| event.involved).collect();
        assert_eq!(whom, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn of_what_is_no_volume_nothing_is_said() {
    let vol = Vol::ext4("a");
    let bench = exported(&vol);
    for volume_id in ["", "../etc", &"x".repeat(10_000)] {
        bench
            .stage_with(NodeStageVolumeRequest { volume_id: volume_id.into(), ..vol.stage_request() })
            .await
            .unwrap_err();
    }
    assert_eq!(bench.heard.take(), []);
}
