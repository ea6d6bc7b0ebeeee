//! Orphans (node.md rule 13): said at once, cut after a grace where their attachment is known to be over, and never what
//! is another's.

use csi_node::Standing;
use host::fake::{Export, KernelVersion};
use host::{Connection, Host as _, Nvme as _, Volume};
use tokio::time::{Duration, Instant, advance};
use uuid::Uuid;
use volume::{Event, Generation, HostIdentity, Involved, Nqn, Reason, Slot, Tunables};

use crate::bench::{Bench, CALL, ORPHAN_GRACE, PREFIX, SIZE, Vol};
use crate::kubernetes::{FakeAttachments, Server};

/// A volume of this cluster, one of another, and one without a mark.
const OURS: &str = "rds-00112233-abcdefghijklmnopqrs";
const ANOTHERS: &str = "rds-44556677-abcdefghijklmnopqrs";
const UNMARKED: &str = "pvc-0b7e4b39-6a5a-4e0c-8f7e-1c2d3e4f5a6b";

fn asked() -> (Bench, FakeAttachments) {
    let attachments = FakeAttachments::new();
    attachments.set_standing(Standing::Gone);
    (Bench::new(KernelVersion::V6_12).asking(&attachments), attachments)
}

/// Connects an NQN behind the driver's back.
async fn connect(bench: &Bench, nqn: &str) {
    bench.fabric.export(Export {
        nqn: nqn.into(),
        volume: nqn.into(),
        namespace_uuid: Uuid::new_v5(&Uuid::nil(), nqn.as_bytes()),
        bytes: SIZE,
        allowed_hosts: None,
    });
    let connection = Connection {
        nqn: Nqn::parse(nqn).unwrap(),
        address: "10.0.0.1:4420".parse().unwrap(),
        host: HostIdentity::from_id(Uuid::from_u128(77)),
        tunables: Tunables::default(),
    };
    let slot = Slot::parse("by-hand").unwrap();
    let volume = Volume { slot: &slot, deadline: Instant::now() + CALL };
    bench.kernel.connect(volume, &connection).await.unwrap();
    bench.kernel.join(volume).await.unwrap();
}

fn is_connected(bench: &Bench, nqn: &str) -> bool {
    !bench.fabric.sessions(nqn).is_empty()
}

/// Sweeps now and after the grace; the reasons of what was said.
async fn sweep_twice(bench: &Bench) -> Vec<Reason> {
    bench.node.sweep_orphans().await;
    advance(ORPHAN_GRACE).await;
    bench.node.sweep_orphans().await;
    bench.heard.take().into_iter().map(|event| event.reason).collect()
}

#[tokio::test(start_paused = true)]
async fn an_orphan_is_said_on_the_node_and_cut_after_its_grace() {
    let (bench, _) = asked();
    let nqn = format!("{PREFIX}:{OURS}.00000000000000ab");
    connect(&bench, &nqn).await;
    assert_eq!(bench.node.sweep_orphans().await, Some(ORPHAN_GRACE));
    let Event { reason, involved, message } = bench.heard.take().remove(0);
    let worker = Involved::Node { name: "worker-1".into(), uid: "worker-1".into() };
    assert_eq!((reason, involved), (Reason::OrphanDetected, worker.clone()));
    assert!(message.starts_with("[worker-1]: ") && message.contains(&nqn), "{message}");

    advance(ORPHAN_GRACE - Duration::from_secs(1)).await;
    bench.node.sweep_orphans().await;
    assert!(is_connected(&bench, &nqn));
    advance(Duration::from_secs(1)).await;
    assert_eq!(bench.node.sweep_orphans().await, None);
    bench.assert_clean();
    let heard = bench.heard.take();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!((heard[0].reason, &heard[0].involved), (Reason::OrphanCleaned, &worker));
    assert!(heard[0].message.contains(&nqn), "{heard:?}");
    assert!(bench.scrape().await.contains("rds_csi_orphans_cleaned_total 1"));
}

#[tokio::test(start_paused = true)]
async fn what_is_another_clusters_or_of_another_prefix_is_neither_said_nor_touched() {
    let (bench, attachments) = asked();
    let foreign = [
        format!("{PREFIX}:{ANOTHERS}.00000000000000ab"),
        format!("{PREFIX}:{UNMARKED}"),
        format!("{PREFIX}:node-root"),
        format!("nqn.2000-02.com.other:{OURS}.00000000000000ab"),
    ];
    for nqn in &foreign {
        connect(&bench, nqn).await;
    }
    assert_eq!(sweep_twice(&bench).await, []);
    assert!(foreign.iter().all(|nqn| is_connected(&bench, nqn)));
    bench.assert_nothing_foreign_touched();
    // The mark was asked for, no attachment was.
    assert_eq!(attachments.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_orphan_whose_attachment_stands_or_is_not_known_is_said_and_kept() {
    let generation = |bits| Standing::Attached(Some(Generation::from_bits(bits)));
    for (standing, server, is_cut) in [
        (Standing::Gone, Server::Answers, true),
        (generation(2), Server::Answers, true),
        (generation(0xab), Server::Answers, false),
        (Standing::Attached(None), Server::Answers, false),
        (Standing::Gone, Server::Refuses, false),
        (Standing::Gone, Server::Hangs, false),
    ] {
        let (bench, attachments) = asked();
        let nqn = format!("{PREFIX}:{OURS}.00000000000000ab");
        connect(&bench, &nqn).await;
        bench.node.sweep_orphans().await;
        attachments.set_standing(standing);
        attachments.set_server(server);
        advance(ORPHAN_GRACE).await;
        let again = bench.node.sweep_orphans().await;
        assert_eq!(
            (is_connected(&bench, &nqn), again.is_some()),
            (!is_cut, !is_cut),
            "{standing:?} {server:?}"
        );
        let said: Vec<Reason> = bench.heard.take().into_iter().map(|event| event.reason).collect();
        assert_eq!(said[0], Reason::OrphanDetected);
        assert_eq!(said.len(), if is_cut { 2 } else { 1 }, "{said:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_anybody_to_ask_nothing_is_an_orphan() {
    let bench = Bench::new(KernelVersion::V6_12);
    let nqn = format!("{PREFIX}:{OURS}");
    connect(&bench, &nqn).await;
    assert_eq!(sweep_twice(&bench).await, []);
    assert!(is_connected(&bench, &nqn));
}

#[tokio::test(start_paused = true)]
async fn what_is_recorded_mounted_or_held_is_kept() {
    for vol in [Vol::ext4(OURS), Vol::block(OURS)] {
        let (bench, _) = asked();
        bench.export(&vol);
        bench.stage(&vol).await.unwrap();
        bench.publish(&vol, "p").await.unwrap();
        assert_eq!(sweep_twice(&bench).await, [], "recorded");

        let record = bench.state.path().join(format!("stages/{OURS}.json"));
        let kept = std::fs::read(&record).unwrap();
        std::fs::remove_file(&record).unwrap();
        assert_eq!(sweep_twice(&bench).await, [], "mounted or bound");
        std::fs::write(&record, "damaged").unwrap();
        assert_eq!(sweep_twice(&bench).await, [], "a record that cannot be read may be its");

        std::fs::write(&record, kept).unwrap();
        if !vol.as_block {
            bench.kernel.copy_to_foreign_namespace(&vol.target("p"));
            bench.unpublish(&vol, "p").await.unwrap();
            bench.unstage(&vol).await.unwrap_err();
            std::fs::remove_file(&record).unwrap();
            assert_eq!(sweep_twice(&bench).await, [Reason::OrphanDetected], "held in another namespace");
        }
        assert!(is_connected(&bench, &vol.nqn()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stage_in_progress_is_no_orphan_and_an_orphan_that_is_staged_is_one_no_more() {
    let vol = Vol::ext4(OURS);
    let (bench, _) = asked();
    bench.export(&vol);
    bench.kernel.hang("mkfs");
    let (staged, said) = tokio::join!(bench.stage(&vol), sweep_twice(&bench));
    staged.unwrap_err();
    assert_eq!(said, []);
    bench.kernel.unhang("mkfs");

    std::fs::remove_file(bench.state.path().join(format!("stages/{OURS}.json"))).unwrap();
    bench.heard.take();
    bench.node.sweep_orphans().await;
    assert_eq!(bench.heard.take()[0].reason, Reason::OrphanDetected);
    bench.stage(&vol).await.unwrap();
    advance(ORPHAN_GRACE).await;
    assert_eq!(bench.node.sweep_orphans().await, None);
    assert!(is_connected(&bench, &vol.nqn()));
}
