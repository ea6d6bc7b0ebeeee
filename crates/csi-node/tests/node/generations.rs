//! Generations of an attachment: only what the target accepts is current, and the rest is settled
//! before it is used (node.md rule 2).

use host::fake::{Export, KernelVersion};
use host::{Connection, Nvme as _, Volume};
use tokio::time::Instant;
use tonic::Code;
use uuid::Uuid;
use volume::{HostIdentity, Nqn, Tunables};

use crate::bench::{Bench, CALL, KERNELS, Vol};

/// Moves the export to another generation, as the controller does.
fn hand_over(bench: &Bench, from: &Vol, to: &Vol) {
    bench.fabric.unexport(&from.nqn());
    bench.export(to);
}

#[tokio::test(start_paused = true)]
async fn a_superseded_generation_is_settled_before_the_new_one_is_connected() {
    for version in KERNELS {
        for old in [Vol::ext4("a"), Vol::xfs("a"), Vol::block("a")] {
            let bench = Bench::in_use(version, &old).await;
            bench.unpublish(&old, "p").await.unwrap();
            let new = old.generation(2);
            hand_over(&bench, &old, &new);
            bench.stage(&new).await.unwrap();
            bench.publish(&new, "q").await.unwrap();
            bench.unpublish(&new, "q").await.unwrap();
            bench.unstage(&new).await.unwrap();
            bench.assert_clean();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_hangs_in_a_superseded_path_is_freed_by_settling_it() {
    let old = Vol::ext4("a");
    let bench = Bench::in_use(KernelVersion::V6_1, &old).await;
    bench.unpublish(&old, "p").await.unwrap();
    let new = old.generation(2);
    bench.kernel.cut_link();
    assert_eq!(bench.unstage(&old).await.unwrap_err().code(), Code::DeadlineExceeded);
    hand_over(&bench, &old, &new);
    bench.kernel.mend_link();
    bench.stage(&new).await.unwrap();
    bench.unstage(&new).await.unwrap();
    bench.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn a_pod_on_an_older_generation_is_named_and_keeps_its_volume() {
    for old in [Vol::ext4("a"), Vol::block("a")] {
        let bench = Bench::in_use(KernelVersion::V6_1, &old).await;
        let new = old.generation(2);
        hand_over(&bench, &old, &new);
        let refused = bench.stage(&new).await.unwrap_err();
        assert_eq!(refused.code(), Code::Aborted);
        assert!(refused.message().contains("/kubelet/pods/p/a/mount"), "{refused:?}");
        assert!(bench.fabric.sessions(&new.nqn()).is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_delayed_call_with_an_older_generation_touches_nothing() {
    let (old, new) = (Vol::ext4("a"), Vol::ext4("a").generation(2));
    let bench = Bench::in_use(KernelVersion::V6_12, &new).await;
    let effects = bench.kernel.effects().count();
    let refused = bench.stage(&old).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.message().contains(&old.nqn()), "{refused:?}");
    assert_eq!(bench.kernel.effects().count(), effects);
    assert_eq!(bench.kernel.read_file(&new.target("p"), "f").unwrap(), b"bytes");
}

#[tokio::test(start_paused = true)]
async fn a_retry_never_gives_a_staged_volume_a_second_connection() {
    let vol = Vol::ext4("a");
    let bench = Bench::new(KernelVersion::V6_12);
    bench.export(&vol);
    bench.kernel.fail_next("mount", 5);
    bench.stage(&vol).await.unwrap_err();
    bench.stage(&vol).await.unwrap();
    assert_eq!(bench.fabric.sessions(&vol.nqn()).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_controller_in_any_state_is_never_connected_beside() {
    let vol = Vol::ext4("a");
    let bench = Bench::in_use(KernelVersion::V6_1, &vol).await;
    bench.fabric.stop();
    let refused = bench.stage(&vol).await.unwrap_err();
    assert!(refused.message().contains("not live"), "{refused:?}");
    bench.fabric.start();
    bench.stage(&vol).await.unwrap();
    assert_eq!(bench.fabric.sessions(&vol.nqn()).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_came_back_under_a_new_device_is_mounted_from_that_one() {
    let vol = Vol::ext4("a");
    let bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
    bench.kernel.fsync(&vol.target("p")).unwrap();
    bench.unpublish(&vol, "p").await.unwrap();
    // Refused once, so removed by the kernel; then exported again as it was.
    bench.fabric.unexport(&vol.nqn());
    bench.export(&vol);
    bench.kernel.renumber_from(9);
    bench.stage(&vol).await.unwrap();
    bench.publish(&vol, "p").await.unwrap();
    assert_eq!(bench.kernel.read_file(&vol.target("p"), "f").unwrap(), b"bytes");
    bench.unpublish(&vol, "p").await.unwrap();
    bench.unstage(&vol).await.unwrap();
    bench.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn a_foreign_nqn_with_a_similar_prefix_is_left_alone() {
    let vol = Vol::ext4("a");
    let bench = Bench::new(KernelVersion::V6_12);
    bench.export(&vol);
    let slot = volume::Slot::parse("foreign").unwrap();
    let foreign = [
        format!("nqn.2000-02.com.mikrotik-x:{}", vol.id),
        format!("{}x", vol.nqn()),
        "nqn.2000-02.com.mikrotik:a.b.0000000000000001".to_owned(),
        "nqn.2000-02.com.mikrotik:aa.0000000000000001".to_owned(),
    ];
    for (index, nqn) in foreign.iter().enumerate() {
        bench.fabric.export(Export {
            nqn: nqn.clone(),
            volume: format!("foreign-{index}"),
            namespace_uuid: Uuid::from_u128(index as u128 + 1000),
            bytes: crate::bench::MIB,
            allowed_hosts: None,
        });
        let connection = Connection {
            nqn: Nqn::parse(nqn).unwrap(),
            address: "10.0.0.1:4420".parse().unwrap(),
            host: HostIdentity::from_id(Uuid::from_u128(77)),
            tunables: Tunables::default(),
        };
        let volume = Volume { slot: &slot, deadline: Instant::now() + CALL };
        bench.kernel.connect(volume, &connection).await.unwrap();
    }
    bench.stage(&vol).await.unwrap();
    bench.unstage(&vol).await.unwrap();
    for nqn in &foreign {
        assert_eq!(bench.fabric.sessions(nqn).len(), 1, "{nqn}");
    }
    bench.assert_nothing_foreign_touched();
}

#[tokio::test(start_paused = true)]
async fn a_live_superseded_path_is_not_disconnected_under_who_still_holds_it() {
    let old = Vol::ext4("a");
    let bench = Bench::in_use(KernelVersion::V6_1, &old).await;
    bench.unpublish(&old, "p").await.unwrap();
    bench.kernel.copy_to_foreign_namespace(&old.staging());
    // Unmounted here, and held elsewhere.
    bench.unstage(&old).await.unwrap_err();
    let new = old.generation(2);
    bench.export(&new);
    let refused = bench.stage(&new).await.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted, "{refused:?}");
    assert_eq!(bench.fabric.sessions(&old.nqn()).len(), 1);
    bench.kernel.end_foreign_namespaces();
    bench.stage(&new).await.unwrap();
    assert_eq!(bench.kernel.read_file(&new.staging(), "f").unwrap(), b"bytes");
}
