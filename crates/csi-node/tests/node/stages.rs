//! NodeStageVolume.

use host::fake::KernelVersion;
use tonic::Code;

use crate::bench::{Bench, KERNELS, MIB, SIZE, Vol};

#[tokio::test(start_paused = true)]
async fn a_volume_lives_from_blank_to_bytes_that_survive_and_leaves_nothing() {
    for version in KERNELS {
        for vol in [Vol::ext4("a"), Vol::xfs("a")] {
            let bench = Bench::in_use(version, &vol).await;
            bench.unpublish(&vol, "p").await.unwrap();
            bench.unstage(&vol).await.unwrap();
            bench.assert_clean();
            assert!(!bench.kernel.exists(&vol.target("p")));

            let next = vol.generation(2);
            bench.fabric.unexport(&vol.nqn());
            bench.export(&next);
            let other = bench.beside("b");
            other.stage(&next).await.unwrap();
            assert_eq!(other.kernel.read_file(&next.staging(), "f").unwrap(), b"bytes");
            assert_eq!(other.kernel.formats(), []);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stage_asked_for_again_changes_nothing() {
    for vol in [Vol::ext4("a"), Vol::xfs("a"), Vol::block("a")] {
        let bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
        let effects = bench.kernel.effects().count();
        bench.stage(&vol).await.unwrap();
        assert_eq!(bench.kernel.effects().count(), effects, "{:?}", bench.kernel.effects().log());
    }
}

#[tokio::test(start_paused = true)]
async fn a_volume_staged_as_something_else_is_refused_with_a_code_that_is_not_final() {
    let staged = Vol::ext4("a");
    let bench = Bench::in_use(KernelVersion::V6_12, &staged).await;
    let read_only = Vol { flags: vec!["ro".into()], ..Vol::ext4("a") };
    for other in [Vol::xfs("a"), Vol::block("a"), read_only] {
        let refused = bench.stage(&other).await.unwrap_err();
        assert_eq!(refused.code(), Code::Aborted, "{refused:?}");
        assert!(refused.message().contains("ext4 at /kubelet/plugins/csi/a/globalmount"), "{refused:?}");
    }
    assert_eq!(bench.kernel.read_file(&staged.target("p"), "f").unwrap(), b"bytes");
}

#[tokio::test(start_paused = true)]
async fn the_target_says_why_and_nothing_is_touched() {
    let vol = Vol::ext4("a");
    let bench = Bench::new(KernelVersion::V6_12);
    let refused = bench.stage(&vol).await.unwrap_err();
    assert!(refused.message().contains("knows no nqn"), "{refused:?}");

    bench.export(&vol);
    let mut export = bench.fabric.exports().remove(0);
    export.allowed_hosts = Some(vec!["nqn.2014-08.org.nvmexpress:uuid:other".into()]);
    bench.fabric.export(export);
    let refused = bench.stage(&vol).await.unwrap_err();
    assert!(refused.message().contains("refuses host"), "{refused:?}");

    bench.fabric.stop();
    let refused = bench.stage(&vol).await.unwrap_err();
    assert!(refused.message().contains("does not answer"), "{refused:?}");
    assert_eq!(refused.code(), Code::Unavailable);

    assert_eq!(bench.kernel.effects().log(), Vec::<String>::new());
    bench.assert_clean();
    let scrape = bench.scrape().await;
    assert!(scrape.contains("rds_csi_nvme_connects_total{status=\"failure\"} 3"), "{scrape}");
}

#[tokio::test(start_paused = true)]
async fn a_device_smaller_than_the_volume_is_refused_and_one_that_grew_is_not() {
    let vol = Vol::ext4("a");
    let bench = Bench::new(KernelVersion::V6_12);
    bench.export(&Vol { size: SIZE / 2, ..vol.clone() });
    let refused = bench.stage(&vol).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.message().contains(&format!("less than the {SIZE}")), "{refused:?}");
    assert!(bench.fabric.is_blank("a"));

    bench.fabric.resize(&vol.nqn(), SIZE + 64 * MIB);
    bench.stage(&vol).await.unwrap();
    let scrape = bench.scrape().await;
    assert!(scrape.contains("rds_csi_nvme_connections_active 1"), "{scrape}");
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_grew_while_detached_is_grown_when_it_is_mounted() {
    for vol in [Vol::ext4("a"), Vol::xfs("a")] {
        let bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
        bench.unpublish(&vol, "p").await.unwrap();
        bench.unstage(&vol).await.unwrap();
        let grown = Vol { size: 2 * SIZE, ..vol.generation(2) };
        bench.fabric.unexport(&vol.nqn());
        bench.export(&grown);
        bench.stage(&grown).await.unwrap();
        let grown_at = format!("grow {} to {}", grown.staging().display(), 2 * SIZE);
        assert!(bench.kernel.effects().log().contains(&grown_at));
        assert_eq!(bench.kernel.read_file(&grown.staging(), "f").unwrap(), b"bytes");
    }
}

#[tokio::test(start_paused = true)]
async fn a_staging_path_that_is_another_volumes_is_never_mounted_over() {
    let (one, two) = (Vol::ext4("a"), Vol::ext4("b"));
    let bench = Bench::in_use(KernelVersion::V6_12, &one).await;
    bench.export(&two);
    let mut request = two.stage_request();
    request.staging_target_path = one.stage_request().staging_target_path;
    let refused = bench.stage_with(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted);
    assert!(refused.message().contains("another device"), "{refused:?}");
    assert!(bench.fabric.is_blank("b"));
    assert_eq!(bench.kernel.read_file(&one.staging(), "f").unwrap(), b"bytes");
}

#[tokio::test(start_paused = true)]
async fn a_context_without_a_host_identity_gets_the_one_kept_among_the_records() {
    let vol = Vol::block("a");
    let mut bench = Bench::new(KernelVersion::V6_12);
    bench.export(&vol);
    let mut request = vol.stage_request();
    request.publish_context.remove("host_id");
    request.publish_context.remove("host_nqn");
    bench.stage_with(request.clone()).await.unwrap();
    let first = bench.fabric.sessions(&vol.nqn());
    assert_eq!(first.len(), 1);
    bench.unstage(&vol).await.unwrap();
    bench.restart();
    bench.stage_with(request).await.unwrap();
    assert_eq!(bench.fabric.sessions(&vol.nqn()), first);
}

#[tokio::test(start_paused = true)]
async fn a_staged_volume_is_staged_again_after_the_node_booted_with_other_numbers() {
    let vol = Vol::ext4("a");
    let mut bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
    bench.kernel.fsync(&vol.target("p")).unwrap();
    bench.kernel.renumber_from(7);
    bench.power_loss();
    bench.stage(&vol).await.unwrap();
    bench.publish(&vol, "p").await.unwrap();
    assert_eq!(bench.kernel.read_file(&vol.target("p"), "f").unwrap(), b"bytes");
    assert_eq!(bench.kernel.formats().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_boot_a_volume_may_be_staged_with_other_options_than_before() {
    let vol = Vol::ext4("a");
    let mut bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
    let other = Vol { flags: vec!["noatime".into()], ..vol.clone() };
    assert_eq!(bench.stage(&other).await.unwrap_err().code(), Code::Aborted, "it is staged");
    bench.power_loss();
    bench.stage(&other).await.unwrap();
    bench.publish(&other, "p").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_record_knows_the_device_before_anything_is_mounted_from_it() {
    let vol = Vol::ext4("a");
    let bench = Bench::new(KernelVersion::V6_12);
    bench.export(&vol);
    bench.kernel.fail_next("mount", 5);
    bench.stage(&vol).await.unwrap_err();
    let record = std::fs::read(bench.state.path().join("stages/a.json")).unwrap();
    let record = String::from_utf8(record).unwrap();
    assert!(record.contains("staging\"") && record.contains("259"), "{record}");
}
