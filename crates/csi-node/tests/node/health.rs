//! Outages and stale mounts, said once each on the claim (node.md rule 8; requirements R3, R5).

use csi_grpc::v1::node_server::Node as _;
use csi_grpc::v1::{NodeGetVolumeStatsRequest, VolumeCondition};
use host::fake::KernelVersion;
use tokio::time::{Duration, advance};
use volume::{Event, Involved, Reason};

use crate::bench::{Bench, KERNELS, Vol, call, claim, text};

/// Looks every second for so long.
async fn watch(bench: &Bench, seconds: u64) {
    for _ in 0..seconds {
        bench.node.check_health().await;
        advance(Duration::from_secs(1)).await;
    }
}

/// What was said on the claim since the last look.
fn heard(bench: &Bench) -> Vec<(Reason, String)> {
    let said = |event: Event| {
        assert_eq!(event.involved, Involved::Claim(claim()));
        (event.reason, event.message)
    };
    bench.heard.take().into_iter().map(said).collect()
}

pub(crate) async fn condition(bench: &Bench, vol: &Vol, pod: &str) -> VolumeCondition {
    let request = NodeGetVolumeStatsRequest {
        volume_id: vol.id.into(),
        volume_path: text(&vol.target(pod)),
        ..NodeGetVolumeStatsRequest::default()
    };
    bench.node.node_get_volume_stats(call(request)).await.unwrap().into_inner().volume_condition.unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_lasts_is_said_once_and_so_is_its_end_and_a_short_one_is_not() {
    let lost = "[a] on [worker-1]: Connection to 10.0.0.1:4420 failed: it was lost";
    for (version, vol, restarts) in
        [(KernelVersion::V6_1, Vol::ext4("a"), false), (KernelVersion::V6_12, Vol::block("a"), true)]
    {
        let mut bench = Bench::in_use(version, &vol).await;
        for (seconds, attempts) in [(1, 0), (30, 6), (120, 24)] {
            watch(&bench, 3).await;
            bench.fabric.stop();
            watch(&bench, seconds / 2).await;
            if restarts && seconds == 1 {
                // The claim is known from the record.
                bench.restart();
            }
            watch(&bench, seconds - seconds / 2).await;
            bench.fabric.start();
            watch(&bench, 30).await;
            let heard = heard(&bench);
            if seconds == 1 {
                assert_eq!(heard, []);
                continue;
            }
            assert_eq!(heard.len(), 2, "{heard:?}");
            assert!(heard[0].0 == Reason::ConnectionFailure && heard[0].1.starts_with(lost), "{heard:?}");
            let recovered =
                format!("[a] on [worker-1]: Connection to 10.0.0.1:4420 recovered after {attempts} attempts");
            assert_eq!(heard[1], (Reason::ConnectionRecovery, recovered));
        }
        assert!(!condition(&bench, &vol, "p").await.abnormal);
    }
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_a_box_refuses_when_it_is_back_is_stale_and_is_served_again_to_the_next_pod() {
    for vol in [Vol::ext4("a"), Vol::xfs("a"), Vol::block("a")] {
        // The kernel removes the controllers at the first refusal (node.md K2).
        let bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
        bench.node.check_health().await;
        bench.fabric.unexport(&vol.nqn());
        watch(&bench, 60).await;
        let said = heard(&bench);
        let reasons: Vec<Reason> = said.iter().map(|(reason, _)| *reason).collect();
        assert_eq!(reasons, [Reason::ConnectionFailure, Reason::StaleMountDetected], "{said:?}");
        assert!(said[0].1.contains("the kernel gave it up"), "{said:?}");
        let stale = "[a] on [worker-1]: Stale mount detected - old device: 259:1, new device: none; it cannot be healed \
                     under the pods that have it open, so delete them: /kubelet/pods/p/a/mount";
        assert_eq!(said[1].1, stale);
        let VolumeCondition { abnormal, message } = condition(&bench, &vol, "p").await;
        assert!(abnormal && message.contains("delete them: /kubelet/pods/p/a/mount"), "{message}");
        assert!(bench.scrape().await.contains("rds_csi_stale_mounts_detected_total 1"));

        bench.unpublish(&vol, "p").await.unwrap();
        bench.unstage(&vol).await.unwrap();
        bench.export(&vol);
        bench.stage(&vol).await.unwrap();
        bench.publish(&vol, "q").await.unwrap();
        watch(&bench, 3).await;
        let said = heard(&bench);
        let reasons = said.iter().map(|(reason, _)| *reason);
        let (lost, others): (Vec<_>, Vec<_>) =
            reasons.partition(|reason| *reason == Reason::UnwrittenDataLost);
        assert!(!lost.is_empty() && others == [Reason::ConnectionRecovery], "{said:?}");
        assert!(!condition(&bench, &vol, "q").await.abnormal);
    }
}

#[tokio::test(start_paused = true)]
async fn what_calls_do_and_what_a_boot_left_is_neither_an_outage_nor_stale() {
    for version in KERNELS {
        for vol in [Vol::ext4("a"), Vol::block("a")] {
            let mut bench = Bench::in_use(version, &vol).await;
            watch(&bench, 2).await;
            bench.unpublish(&vol, "p").await.unwrap();
            watch(&bench, 2).await;
            bench.unstage(&vol).await.unwrap();
            watch(&bench, 2).await;
            bench.stage(&vol).await.unwrap();
            bench.power_loss();
            watch(&bench, 60).await;
            bench.stage(&vol).await.unwrap();
            watch(&bench, 2).await;
            assert_eq!(heard(&bench), []);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_a_call_works_on_is_looked_at_after_it() {
    let vol = Vol::ext4("a");
    let bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
    bench.node.check_health().await;
    bench.kernel.hang("bind");
    let (published, due) = tokio::join!(bench.publish(&vol, "q"), async {
        tokio::task::yield_now().await;
        bench.fabric.unexport(&vol.nqn());
        bench.node.check_health().await
    });
    published.unwrap_err();
    assert!(due.is_some_and(|due| due <= Duration::from_secs(2)), "{due:?}");
    bench.heard.take();
    bench.node.check_health().await;
    assert_eq!(heard(&bench)[0].0, Reason::ConnectionFailure);
}

#[tokio::test(start_paused = true)]
async fn what_an_unstage_that_has_not_ended_took_away_is_not_stale() {
    let vol = Vol::ext4("a");
    let bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
    bench.unpublish(&vol, "p").await.unwrap();
    bench.kernel.copy_to_foreign_namespace(&vol.staging());
    // The mount is out of the table, and the file system lives on.
    bench.unstage(&vol).await.unwrap_err();
    watch(&bench, 10).await;
    assert_eq!(heard(&bench), []);
    bench.kernel.end_foreign_namespaces();

    // It is wanted here after all: what goes away now is stale again.
    bench.stage(&vol).await.unwrap();
    bench.publish(&vol, "p").await.unwrap();
    bench.fabric.unexport(&vol.nqn());
    watch(&bench, 60).await;
    assert!(heard(&bench).iter().any(|(reason, _)| *reason == Reason::StaleMountDetected));
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_a_call_kept_from_being_looked_at_is_said_after_it() {
    let vol = Vol::ext4("a");
    let bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
    bench.node.check_health().await;
    bench.kernel.hang("bind");
    let meanwhile = async {
        bench.fabric.unexport(&vol.nqn());
        watch(&bench, 5).await;
        bench.kernel.unhang("bind");
    };
    drop(tokio::join!(bench.publish(&vol, "q"), meanwhile));
    assert_eq!(heard(&bench), [], "the call has it");
    watch(&bench, 5).await;
    let said = heard(&bench);
    assert!(said.iter().any(|(reason, _)| *reason == Reason::ConnectionFailure), "{said:?}");
}
