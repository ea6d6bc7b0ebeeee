//! The circuit breaker: a volume that fails again and again is left alone for a while, and can always be let go of.

use host::fake::KernelVersion;
use tokio::time::{Duration, advance};
use tonic::{Code, Status};
use volume::Reason;

use crate::bench::{Bench, Vol};

/// A volume that failed so often that it is left alone; what the next call hears.
async fn left_alone(vol: &Vol) -> (Bench, Status) {
    let bench = Bench::new(KernelVersion::V6_12);
    bench.export(vol);
    for _ in 0..3 {
        bench.kernel.fail_next("mount", 5);
        assert!(!bench.stage(vol).await.unwrap_err().message().contains("in a row"));
    }
    let refused = bench.stage(vol).await.unwrap_err();
    (bench, refused)
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_fails_again_and_again_is_left_alone_until_the_time_that_it_says() {
    let vol = Vol::ext4("a");
    let (bench, refused) = left_alone(&vol).await;
    assert_eq!(refused.code(), Code::Unavailable);
    let message = refused.message();
    assert!(
        message.starts_with("the volume could not be staged 3 times in a row and is tried again in 1 s"),
        "{message}"
    );
    assert!(message.contains("mount"), "the last error is named: {message}");
    let reasons: Vec<Reason> = bench.heard.take().into_iter().map(|event| event.reason).collect();
    assert_eq!(reasons, [Reason::MountFailure; 3], "what is left alone is not said again");
    advance(Duration::from_secs(1)).await;
    bench.stage(&vol).await.unwrap();
    bench.kernel.fail_next("subsystems", 5);
    bench.stage(&vol).await.unwrap_err();
    bench.stage(&vol).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_operators_word_and_another_attachment_end_the_pause() {
    let vol = Vol::ext4("a");
    let (bench, _) = left_alone(&vol).await;
    assert_eq!(bench.node.retry_now(&vol.slot()), 3);
    bench.stage(&vol).await.unwrap();
    assert_eq!(bench.node.retry_now(&vol.slot()), 0);

    let (bench, _) = left_alone(&vol).await;
    let next = vol.generation(2);
    bench.fabric.unexport(&vol.nqn());
    bench.export(&next);
    bench.stage(&next).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_is_left_alone_is_unstaged_all_the_same() {
    let vol = Vol::ext4("a");
    let (bench, _) = left_alone(&vol).await;
    bench.unstage(&vol).await.unwrap();
    bench.assert_clean();
    bench.stage(&vol).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_volume_that_fails_is_no_matter_of_another() {
    let (bench, _) = left_alone(&Vol::ext4("a")).await;
    let other = Vol::ext4("b");
    bench.export(&other);
    bench.stage(&other).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_only_a_pod_stands_in_the_way_of_is_done_as_soon_as_the_pod_is_gone() {
    let vol = Vol::ext4("a");
    let bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
    bench.fabric.unexport(&vol.nqn());
    assert!(bench.fabric.sessions(&vol.nqn()).is_empty());
    bench.export(&vol);
    for _ in 0..5 {
        let refused = bench.publish(&vol, "q").await.unwrap_err();
        assert!(refused.message().contains("still used at /kubelet/pods/p/a/mount"), "{refused:?}");
    }
    bench.unpublish(&vol, "p").await.unwrap();
    bench.publish(&vol, "q").await.unwrap();
}
