//! NodeExpandVolume.

use csi_grpc::v1::node_server::Node as _;
use csi_grpc::v1::{CapacityRange, NodeExpandVolumeRequest};
use host::fake::KernelVersion;
use tonic::{Code, Status};

use crate::bench::{Bench, SIZE, Vol, call, text};

async fn expand(bench: &Bench, vol: &Vol, bytes: u64) -> Result<i64, Status> {
    let request = NodeExpandVolumeRequest {
        volume_id: vol.id.into(),
        volume_path: text(&vol.target("p")),
        staging_target_path: text(&vol.staging()),
        capacity_range: Some(CapacityRange { required_bytes: bytes.try_into().unwrap(), limit_bytes: 0 }),
        ..NodeExpandVolumeRequest::default()
    };
    let answer = bench.node.node_expand_volume(call(request)).await?;
    Ok(answer.into_inner().capacity_bytes)
}

#[tokio::test(start_paused = true)]
async fn a_volume_grows_under_its_pod() {
    for vol in [Vol::ext4("a"), Vol::xfs("a"), Vol::block("a")] {
        let bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
        bench.fabric.resize(&vol.nqn(), 2 * SIZE);
        for _ in 0..2 {
            assert_eq!(expand(&bench, &vol, 2 * SIZE).await.unwrap() as u64, 2 * SIZE);
        }
        let grown_at = format!("grow {} to {}", vol.staging().display(), 2 * SIZE);
        assert_eq!(bench.kernel.effects().log().contains(&grown_at), !vol.as_block);
    }
}

#[tokio::test(start_paused = true)]
async fn growth_that_the_target_does_not_show_yet_waits_for_the_next_attachment() {
    let vol = Vol::ext4("a");
    let bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
    let refused = expand(&bench, &vol, 2 * SIZE).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("next attachment"), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_volume_whose_path_is_down_grows_later() {
    let vol = Vol::ext4("a");
    let bench = Bench::in_use(KernelVersion::V6_1, &vol).await;
    bench.fabric.stop();
    assert_eq!(expand(&bench, &vol, 2 * SIZE).await.unwrap_err().code(), Code::Unavailable);
    bench.fabric.start();
    bench.fabric.resize(&vol.nqn(), 2 * SIZE);
    expand(&bench, &vol, 2 * SIZE).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_unknown_volume_is_not_found() {
    let bench = Bench::new(KernelVersion::V6_12);
    assert_eq!(expand(&bench, &Vol::ext4("a"), SIZE).await.unwrap_err().code(), Code::NotFound);
}
