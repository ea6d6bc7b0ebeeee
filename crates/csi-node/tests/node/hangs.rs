//! What hangs holds its own volume only, and answers come before the caller gives up (node.md rule 7).

use host::fake::KernelVersion;
use tokio::time::Instant;
use tonic::Code;

use crate::bench::{Bench, CALL, Vol};

#[tokio::test(start_paused = true)]
async fn a_hung_volume_answers_in_time_with_a_retriable_code_and_others_go_on() {
    for operation in ["connect", "read", "mkfs", "mount", "sync", "unmount", "disconnect"] {
        let (hung, other) = (Vol::ext4("a"), Vol::ext4("b"));
        let bench = Bench::new(KernelVersion::V6_1);
        bench.export(&hung);
        bench.export(&other);
        let unstages = ["sync", "unmount", "disconnect"].contains(&operation);
        if unstages {
            bench.stage(&hung).await.unwrap();
            bench.stage(&other).await.unwrap();
        }
        bench.kernel.hang(operation);
        let started = Instant::now();
        let refused = if unstages { bench.unstage(&hung).await } else { bench.stage(&hung).await };
        assert!(started.elapsed() < CALL, "{operation}");
        assert_eq!(refused.unwrap_err().code(), Code::DeadlineExceeded, "{operation}");

        // The fake hangs every new operation of that name, so the other volume does another thing.
        if unstages {
            bench.publish(&other, "p").await.unwrap();
        }
        bench.kernel.unhang(operation);
        if unstages {
            bench.unstage(&hung).await.unwrap()
        } else {
            bench.stage(&hung).await.unwrap()
        }
        assert_eq!(bench.fabric.sessions(&hung.nqn()).len(), usize::from(!unstages), "{operation}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_one_volume_does_not_delay_another() {
    let (lost, well) = (Vol::ext4("a"), Vol::ext4("b"));
    let bench = Bench::in_use(KernelVersion::V6_1, &lost).await;
    bench.export(&well);
    bench.stage(&well).await.unwrap();
    bench.unpublish(&lost, "p").await.unwrap();
    // Only this export goes; 6.1 goes on trying.
    bench.fabric.unexport(&lost.nqn());
    let (held, served) = tokio::join!(bench.unstage(&lost), async {
        bench.publish(&well, "q").await.unwrap();
        bench.kernel.write_file(&well.target("q"), "g", b"x").unwrap();
        bench.unpublish(&well, "q").await.unwrap();
        let started = Instant::now();
        bench.unstage(&well).await.unwrap();
        started.elapsed()
    });
    assert_eq!(held.unwrap_err().code(), Code::Unavailable);
    assert!(served.as_secs() < 1);
}

#[tokio::test(start_paused = true)]
async fn a_second_call_for_a_busy_volume_is_told_which_one_runs() {
    let vol = Vol::ext4("a");
    let bench = Bench::new(KernelVersion::V6_1);
    bench.export(&vol);
    bench.kernel.hang("connect");
    let (first, second) = tokio::join!(bench.stage(&vol), bench.unstage(&vol));
    assert_eq!(first.unwrap_err().code(), Code::DeadlineExceeded);
    let second = second.unwrap_err();
    assert_eq!(second.code(), Code::Aborted);
    assert!(second.message().contains("NodeStageVolume is still running"), "{second:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connect_that_was_abandoned_is_joined_and_undone_by_the_unstage() {
    let vol = Vol::ext4("a");
    let bench = Bench::new(KernelVersion::V6_12);
    bench.export(&vol);
    bench.kernel.hang("connect");
    bench.stage(&vol).await.unwrap_err();
    let refused = bench.unstage(&vol).await.unwrap_err();
    assert_eq!(refused.code(), Code::DeadlineExceeded, "{refused:?}");
    bench.kernel.unhang("connect");
    bench.unstage(&vol).await.unwrap();
    bench.assert_clean();
}
