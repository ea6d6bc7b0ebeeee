//! Stale mounts at a publish: staged anew for the next pod, and never under one that has them open.

use host::fake::KernelVersion;
use tonic::Code;
use volume::Reason;

use crate::bench::{Bench, Vol};

/// The kernel removed the connection of a volume whose pod is gone, but for the kubelet it is staged still.
async fn stale(vol: &Vol) -> Bench {
    let bench = Bench::in_use(KernelVersion::V6_12, vol).await;
    if !vol.as_block {
        bench.kernel.fsync(&vol.target("p")).unwrap();
    }
    bench.unpublish(vol, "p").await.unwrap();
    bench.fabric.unexport(&vol.nqn());
    assert!(bench.fabric.sessions(&vol.nqn()).is_empty());
    bench
}

#[tokio::test(start_paused = true)]
async fn the_next_pod_gets_a_stale_volume_staged_anew_with_what_was_written() {
    for vol in [Vol::ext4("a"), Vol::xfs("a"), Vol::block("a")] {
        let bench = stale(&vol).await;
        bench.export(&vol);
        bench.kernel.renumber_from(40);
        bench.publish(&vol, "q").await.unwrap();
        if vol.as_block {
            assert_eq!(bench.fabric.stored("a", 1 << 20, 5), b"bytes");
        } else {
            assert_eq!(bench.kernel.read_file(&vol.target("q"), "f").unwrap(), b"bytes");
        }
        let reasons: Vec<_> = bench.heard.take().into_iter().map(|event| event.reason).collect();
        // What was staged is given up unsynced; of a raw device everything was flushed when its pod left.
        let expected: &[Reason] = if vol.as_block { &[] } else { &[Reason::UnwrittenDataLost] };
        assert_eq!(reasons, expected);
        assert!(bench.scrape().await.contains("rds_csi_stale_recoveries_total{status=\"success\"} 1"));
        bench.unpublish(&vol, "q").await.unwrap();
        bench.unstage(&vol).await.unwrap();
        bench.assert_clean();
    }
}

#[tokio::test(start_paused = true)]
async fn a_recovery_that_fails_is_tried_a_few_times_and_said_once() {
    let vol = Vol::ext4("a");
    let bench = stale(&vol).await;
    let refused = bench.publish(&vol, "q").await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    let heard = bench.heard.take();
    assert_eq!(heard.len(), 1, "{heard:?}");
    let start =
        "[a] on [worker-1]: Recovery failed after 3 attempts: target 10.0.0.1:4420 answers, but knows no ";
    assert!(heard[0].reason == Reason::RecoveryFailed && heard[0].message.starts_with(start), "{heard:?}");
    assert!(bench.scrape().await.contains("rds_csi_stale_recoveries_total{status=\"failure\"} 1"));
    bench.export(&vol);
    bench.publish(&vol, "q").await.unwrap();
    assert_eq!(bench.kernel.read_file(&vol.target("q"), "f").unwrap(), b"bytes");
}

#[tokio::test(start_paused = true)]
async fn what_a_pod_has_open_is_not_taken_from_it() {
    let vol = Vol::ext4("a");
    let bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
    bench.fabric.unexport(&vol.nqn());
    assert!(bench.fabric.sessions(&vol.nqn()).is_empty());
    bench.export(&vol);
    let effects = bench.kernel.effects().count();
    let refused = bench.publish(&vol, "q").await.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted);
    assert!(refused.message().contains("still used at /kubelet/pods/p/a/mount"), "{refused:?}");
    assert!(refused.message().contains("after 1 attempts"), "{refused:?}");
    assert_eq!(bench.kernel.effects().count(), effects, "{:?}", bench.kernel.effects().log());

    bench.unpublish(&vol, "p").await.unwrap();
    bench.publish(&vol, "q").await.unwrap();
    bench.kernel.write_file(&vol.target("q"), "g", b"new").unwrap();
}
