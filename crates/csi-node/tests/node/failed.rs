//! File systems that fail while their device stays (node.md K9): found by a sync where there is a suspicion, said, and mounted
//! anew for the next pod.

use csi_grpc::v1::VolumeCondition;
use host::Host as _;
use tokio::time::{Duration, advance};
use tonic::Code;
use volume::Reason;

use crate::bench::{Bench, KERNELS, Vol};
use crate::health::condition;

/// Looks every second for so long.
async fn watch(bench: &Bench, seconds: u64) {
    for _ in 0..seconds {
        bench.node.check_health().await;
        advance(Duration::from_secs(1)).await;
    }
}

fn heard(bench: &Bench) -> Vec<(Reason, String)> {
    bench.heard.take().into_iter().map(|event| (event.reason, event.message)).collect()
}

/// What was said of the stale mount, once, after what was said of the loss.
fn said_after_its_loss(bench: &Bench) -> String {
    let said = heard(bench);
    let reasons: Vec<_> = said.iter().map(|(reason, _)| *reason).collect();
    assert_eq!(reasons, [Reason::UnwrittenDataLost, Reason::StaleMountDetected], "{said:?}");
    assert!(said[0].1.starts_with(LOST), "{said:?}");
    said[1].1.clone()
}

/// How often a file system was asked.
fn asked(bench: &Bench) -> usize {
    bench.kernel.effects().log().iter().filter(|effect| effect.starts_with("sync ")).count()
}

/// A pod has it, and has written and synced `f`.
async fn in_use(version: host::fake::KernelVersion, vol: &Vol) -> Bench {
    let bench = Bench::in_use(version, vol).await;
    bench.kernel.fsync(&vol.target("p")).unwrap();
    watch(&bench, 2).await;
    assert_eq!(heard(&bench), []);
    bench
}

const SAID: &str = "[a] on [worker-1]: Stale mount detected - old device: 259:1, new device: /dev/nvme";
const LOST: &str = "[a] on [worker-1]: Data that was not written yet may be lost: ";
const FOR_THE_POD: &str =
    "it cannot be healed under the pods that have it open, so delete them: /kubelet/pods/p/a/mount";

#[tokio::test(start_paused = true)]
async fn a_file_system_that_fails_is_said_once_and_is_whole_again_for_the_next_pod() {
    for (version, vol) in KERNELS.into_iter().zip([Vol::ext4("a"), Vol::xfs("a")]) {
        let bench = in_use(version, &vol).await;
        bench.kernel.shut_down_filesystem(&vol.target("p"));
        watch(&bench, 40).await;
        let message = said_after_its_loss(&bench);
        assert!(
            message.starts_with(SAID) && message.contains("its file system could not write"),
            "{message}"
        );
        assert!(message.ends_with(FOR_THE_POD), "{message}");
        let VolumeCondition { abnormal, message } = condition(&bench, &vol, "p").await;
        assert!(abnormal && message.ends_with(FOR_THE_POD), "{message}");
        let scrape = bench.scrape().await;
        for line in ["rds_csi_stale_mounts_detected_total 1", "rds_csi_unwritten_data_losses_total 1"] {
            assert!(scrape.contains(line), "{line}: {scrape}");
        }

        let effects = bench.kernel.effects().count();
        let refused = bench.publish(&vol, "q").await.unwrap_err();
        assert_eq!(refused.code(), Code::Aborted);
        assert!(refused.message().contains("still used at /kubelet/pods/p/a/mount"), "{refused:?}");
        assert_eq!(bench.kernel.effects().count(), effects, "nothing is taken from the pod");
        heard(&bench);

        bench.unpublish(&vol, "p").await.unwrap();
        bench.publish(&vol, "q").await.unwrap();
        assert_eq!(bench.kernel.read_file(&vol.target("q"), "f").unwrap(), b"bytes");
        bench.kernel.write_file(&vol.target("q"), "g", b"new").unwrap();
        bench.kernel.fsync(&vol.target("q")).unwrap();
        watch(&bench, 40).await;
        assert_eq!(heard(&bench), []);
        assert!(!condition(&bench, &vol, "q").await.abnormal);
        bench.unpublish(&vol, "q").await.unwrap();
        bench.unstage(&vol).await.unwrap();
        bench.assert_clean();
    }
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_every_file_system_is_asked_once_and_what_failed_unheard_is_found() {
    for version in KERNELS {
        let vol = Vol::ext4("a");
        let mut bench = in_use(version, &vol).await;
        let outage = async |bench: &Bench| {
            bench.fabric.stop();
            watch(bench, 5).await;
            bench.fabric.start();
            watch(bench, 40).await;
        };
        let before = asked(&bench);
        outage(&bench).await;
        assert_eq!((asked(&bench) - before, heard(&bench)), (1, vec![]), "it is well");

        bench.kernel.shut_down_filesystem(&vol.target("p"));
        // The log was not heard, or was flooded.
        bench.kernel.complaints().await;
        bench.restart();
        watch(&bench, 40).await;
        assert_eq!(heard(&bench), [], "what is not known is not said");
        outage(&bench).await;
        let message = said_after_its_loss(&bench);
        assert!(message.contains("could not write"), "{message}");
        bench.unpublish(&vol, "p").await.unwrap();
        bench.unstage(&vol).await.unwrap();
        bench.assert_clean();
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_file_system_that_is_held_elsewhere_is_not_given_to_the_next_pod() {
    let vol = Vol::ext4("a");
    let bench = in_use(KERNELS[1], &vol).await;
    bench.kernel.copy_to_foreign_namespace(&vol.target("p"));
    bench.kernel.shut_down_filesystem(&vol.target("p"));
    watch(&bench, 2).await;
    bench.unpublish(&vol, "p").await.unwrap();
    for _ in 0..2 {
        let refused = bench.publish(&vol, "q").await.unwrap_err();
        assert_eq!(refused.code(), Code::Aborted);
        assert!(refused.message().contains("in another mount namespace"), "{refused:?}");
    }
    bench.kernel.end_foreign_namespaces();
    bench.publish(&vol, "q").await.unwrap();
    bench.kernel.write_file(&vol.target("q"), "g", b"new").unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_answer_is_asked_again_later_and_holds_up_no_other_volume() {
    let (vol, other) = (Vol::ext4("a"), Vol::ext4("b"));
    let bench = in_use(KERNELS[1], &vol).await;
    bench.kernel.hang("check");
    bench.kernel.shut_down_filesystem(&vol.target("p"));
    watch(&bench, 2).await;
    assert_eq!(heard(&bench), [], "no answer is no finding");
    bench.export(&other);
    bench.stage(&other).await.unwrap();
    bench.publish(&other, "q").await.unwrap();
    bench.kernel.unhang("check");
    watch(&bench, 40).await;
    let message = said_after_its_loss(&bench);
    assert!(message.starts_with(SAID), "{message}");
}
