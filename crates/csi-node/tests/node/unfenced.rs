//! A migration member that was forced off keeps new pods from the node that stays (attachments.md, "Unpublish").

use csi_grpc::v1::volume_capability::access_mode::Mode;
use host::fake::KernelVersion;
use tokio::time::Instant;
use tonic::Code;

use crate::bench::{Bench, CALL, Vol};
use crate::kubernetes::{FakeAttachments, Server};

fn shared() -> Vol {
    Vol { mode: Mode::MultiNodeMultiWriter, ..Vol::block("a") }
}

/// A node that has the volume staged and published to pod `p`.
async fn in_use(vol: &Vol) -> (Bench, FakeAttachments) {
    let attachments = FakeAttachments::new();
    let bench = Bench::in_use(KernelVersion::V6_12, vol).await.asking(&attachments);
    (bench, attachments)
}

#[tokio::test(start_paused = true)]
async fn no_new_pod_gets_the_device_while_a_member_is_not_fenced_and_one_does_after() {
    let vol = shared();
    let (bench, attachments) = in_use(&vol).await;
    attachments.annotate(Some("worker-2"));
    let effects = bench.kernel.effects().count();
    let refused = bench.publish(&vol, "q").await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    for said in ["node worker-2 left", "Ready again", "node.kubernetes.io/out-of-service", "the last node"] {
        assert!(refused.message().contains(said), "{said}: {refused:?}");
    }
    assert_eq!(bench.kernel.effects().count(), effects, "{:?}", bench.kernel.effects().log());
    assert!(!bench.kernel.exists(&vol.target("q")));

    attachments.annotate(None);
    bench.publish(&vol, "q").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_member_that_a_hand_wrote_as_nothing_or_too_much_keeps_pods_off_all_the_same() {
    let vol = shared();
    let (bench, attachments) = in_use(&vol).await;
    let long = "x".repeat(100_000);
    for member in ["", "no node\n", &long] {
        attachments.annotate(Some(member));
        let refused = bench.publish(&vol, "q").await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{member:.20}");
        assert!(refused.message().len() < 900, "{} bytes", refused.message().len());
        assert!(!refused.message().contains('\n'), "{refused:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_has_the_device_keeps_it_and_nobody_is_asked() {
    let vol = shared();
    let (bench, attachments) = in_use(&vol).await;
    attachments.annotate(Some("worker-2"));
    attachments.set_server(Server::Refuses);
    bench.publish(&vol, "p").await.unwrap();
    assert_eq!(attachments.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_pod_whose_device_was_renumbered_counts_as_new_and_is_left_as_it_is() {
    let vol = shared();
    let (bench, attachments) = in_use(&vol).await;
    bench.kernel.fsync_block(&vol.target("p")).unwrap();
    bench.fabric.unexport(&vol.nqn());
    bench.export(&vol);
    bench.kernel.renumber_from(9);
    bench.stage(&vol).await.unwrap();
    attachments.annotate(Some("worker-2"));
    let effects = bench.kernel.effects().count();
    let refused = bench.publish(&vol, "p").await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    assert_eq!(bench.kernel.effects().count(), effects, "{:?}", bench.kernel.effects().log());

    attachments.annotate(None);
    bench.publish(&vol, "p").await.unwrap();
    assert_eq!(bench.kernel.read_block(&vol.target("p"), 1 << 20, 5).unwrap(), b"bytes");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_keeps_new_pods_off_in_time() {
    let vol = shared();
    for server in [Server::Refuses, Server::Hangs] {
        let (bench, attachments) = in_use(&vol).await;
        attachments.set_server(server);
        let started = Instant::now();
        let refused = bench.publish(&vol, "q").await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{server:?}: {refused:?}");
        assert!(started.elapsed() < CALL / 2, "{server:?}");
        assert!(!bench.kernel.exists(&vol.target("q")));
        attachments.set_server(Server::Answers);
        bench.publish(&vol, "q").await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn no_other_access_mode_asks() {
    let modes = [Mode::SingleNodeWriter, Mode::SingleNodeMultiWriter, Mode::SingleNodeReaderOnly];
    for (vol, mode) in
        [Vol::block("a"), Vol::ext4("a")].into_iter().flat_map(|vol| modes.map(|mode| (vol.clone(), mode)))
    {
        let vol = Vol { mode, ..vol };
        let attachments = FakeAttachments::new();
        attachments.annotate(Some("worker-2"));
        attachments.set_server(Server::Refuses);
        let bench = Bench::new(KernelVersion::V6_12).asking(&attachments);
        bench.export(&vol);
        bench.stage(&vol).await.unwrap();
        bench.publish(&vol, "p").await.unwrap();
        assert_eq!(attachments.asked(), 0, "{mode:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_kubernetes_a_shared_device_is_published() {
    let vol = shared();
    let bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
    bench.publish(&vol, "q").await.unwrap();
}
