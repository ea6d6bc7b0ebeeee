//! Outage or fence (node.md rule 5): only a word from outside drops what is unwritten.

use csi_node::Standing;
use host::fake::KernelVersion;
use tonic::Code;
use volume::Generation;

use crate::bench::{Bench, Vol};
use crate::kubernetes::{FakeAttachments, Server};

async fn lost(vol: &Vol) -> Bench {
    let bench = Bench::in_use(KernelVersion::V6_1, vol).await;
    bench.unpublish(vol, "p").await.unwrap();
    bench.fabric.unexport(&vol.nqn());
    bench
}

#[tokio::test(start_paused = true)]
async fn refusal_alone_is_no_fence_and_the_operators_word_is() {
    for vol in [Vol::ext4("a"), Vol::xfs("a")] {
        let bench = lost(&vol).await;
        assert_eq!(bench.unstage(&vol).await.unwrap_err().code(), Code::Unavailable);
        let declared = bench.node.declare_fenced(&vol.slot()).await.unwrap();
        assert_eq!(declared, [vol.nqn()]);
        bench.unstage(&vol).await.unwrap();
        bench.assert_clean();
        assert!(bench.scrape().await.contains("rds_csi_unwritten_data_losses_total 1"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_fenced_raw_device_can_be_unpublished_without_its_path() {
    let vol = Vol::block("a");
    let bench = Bench::in_use(KernelVersion::V6_1, &vol).await;
    bench.fabric.unexport(&vol.nqn());
    bench.node.declare_fenced(&vol.slot()).await.unwrap();
    bench.unpublish(&vol, "p").await.unwrap();
    bench.unstage(&vol).await.unwrap();
    assert!(bench.fabric.sessions(&vol.nqn()).is_empty() && bench.records().is_empty());
    assert!(!bench.scrape().await.contains("rds_csi_unwritten_data_losses_total 0"));
}

#[tokio::test(start_paused = true)]
async fn an_unmount_that_hangs_already_is_freed_by_the_fence() {
    let vol = Vol::ext4("a");
    let bench = Bench::in_use(KernelVersion::V6_1, &vol).await;
    bench.unpublish(&vol, "p").await.unwrap();
    // Not noticed yet, so the unstage begins and hangs.
    bench.kernel.cut_link();
    assert_eq!(bench.unstage(&vol).await.unwrap_err().code(), Code::DeadlineExceeded);
    assert_eq!(bench.unstage(&vol).await.unwrap_err().code(), Code::DeadlineExceeded);
    bench.node.declare_fenced(&vol.slot()).await.unwrap();
    bench.unstage(&vol).await.unwrap();
    bench.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn a_word_for_one_attachment_is_none_for_the_next() {
    let old = Vol::ext4("a");
    let bench = lost(&old).await;
    bench.node.declare_fenced(&old.slot()).await.unwrap();
    bench.unstage(&old).await.unwrap();
    let new = old.generation(2);
    bench.export(&new);
    bench.stage(&new).await.unwrap();
    bench.kernel.write_file(&new.staging(), "g", b"kept").unwrap();
    bench.fabric.stop();
    assert_eq!(bench.unstage(&new).await.unwrap_err().code(), Code::Unavailable);
    bench.fabric.start();
    bench.unstage(&new).await.unwrap();
    let other = bench.beside("b");
    other.stage(&new).await.unwrap();
    assert_eq!(other.kernel.read_file(&new.staging(), "g").unwrap(), b"kept");
}

#[tokio::test(start_paused = true)]
async fn a_fence_of_a_live_path_still_writes_everything_first() {
    let vol = Vol::ext4("a");
    let bench = Bench::in_use(KernelVersion::V6_1, &vol).await;
    bench.unpublish(&vol, "p").await.unwrap();
    bench.node.declare_fenced(&vol.slot()).await.unwrap();
    bench.unstage(&vol).await.unwrap();
    let other = bench.beside("b");
    other.stage(&vol).await.unwrap();
    assert_eq!(other.kernel.read_file(&vol.staging(), "f").unwrap(), b"bytes");
}

#[tokio::test(start_paused = true)]
async fn a_word_for_one_outage_is_none_for_the_next() {
    let vol = Vol::ext4("a");
    let bench = Bench::in_use(KernelVersion::V6_1, &vol).await;
    bench.fabric.stop();
    bench.node.declare_fenced(&vol.slot()).await.unwrap();
    bench.fabric.start();
    bench.unpublish(&vol, "p").await.unwrap();
    bench.fabric.stop();
    assert_eq!(bench.unstage(&vol).await.unwrap_err().code(), Code::Unavailable);
    bench.fabric.start();
    bench.unstage(&vol).await.unwrap();
    assert!(bench.scrape().await.contains("rds_csi_unwritten_data_losses_total 0"));
}

/// A volume whose path is down for good, with Kubernetes to ask.
async fn lost_asking(vol: &Vol) -> (Bench, FakeAttachments) {
    let attachments = FakeAttachments::new();
    (lost(vol).await.asking(&attachments), attachments)
}

#[tokio::test(start_paused = true)]
async fn an_attachment_that_is_gone_or_another_is_a_fence_and_the_loss_is_said() {
    for standing in [Standing::Gone, Standing::Attached(Some(Generation::from_bits(2)))] {
        let vol = Vol::ext4("a");
        let (bench, attachments) = lost_asking(&vol).await;
        attachments.set_standing(standing);
        bench.unstage(&vol).await.unwrap();
        bench.assert_clean();
        let scrape = bench.scrape().await;
        assert!(scrape.contains("rds_csi_unwritten_data_losses_total 1"), "{standing:?}: {scrape}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_attachment_that_stands_or_is_not_known_is_an_outage_and_nothing_is_dropped() {
    let vol = Vol::ext4("a");
    for (server, standing) in [
        (Server::Answers, Standing::Attached(Some(Generation::from_bits(1)))),
        (Server::Answers, Standing::Attached(None)),
        (Server::Refuses, Standing::Gone),
        (Server::Hangs, Standing::Gone),
    ] {
        let (bench, attachments) = lost_asking(&vol).await;
        attachments.set_server(server);
        attachments.set_standing(standing);
        let refused = bench.unstage(&vol).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{server:?} {standing:?}: {refused:?}");
        bench.export(&vol);
        bench.unstage(&vol).await.unwrap();
        let other = bench.beside("b");
        other.stage(&vol).await.unwrap();
        assert_eq!(other.kernel.read_file(&vol.staging(), "f").unwrap(), b"bytes");
    }
}

#[tokio::test(start_paused = true)]
async fn a_live_path_is_written_out_whatever_became_of_the_attachment_and_nobody_is_asked() {
    let vol = Vol::ext4("a");
    let attachments = FakeAttachments::new();
    attachments.set_standing(Standing::Gone);
    let bench = Bench::in_use(KernelVersion::V6_1, &vol).await.asking(&attachments);
    bench.unpublish(&vol, "p").await.unwrap();
    bench.unstage(&vol).await.unwrap();
    assert_eq!(attachments.asked(), 0);
    let other = bench.beside("b");
    other.stage(&vol).await.unwrap();
    assert_eq!(other.kernel.read_file(&vol.staging(), "f").unwrap(), b"bytes");
}

#[tokio::test(start_paused = true)]
async fn a_raw_device_whose_attachment_is_gone_can_be_unpublished_without_its_path() {
    let vol = Vol::block("a");
    let attachments = FakeAttachments::new();
    let bench = Bench::in_use(KernelVersion::V6_1, &vol).await.asking(&attachments);
    bench.fabric.unexport(&vol.nqn());
    bench.unpublish(&vol, "p").await.unwrap_err();
    attachments.set_standing(Standing::Gone);
    bench.unpublish(&vol, "p").await.unwrap();
    bench.unstage(&vol).await.unwrap();
    assert!(bench.fabric.sessions(&vol.nqn()).is_empty() && bench.records().is_empty());
    assert!(!bench.scrape().await.contains("rds_csi_unwritten_data_losses_total 0"));
}
