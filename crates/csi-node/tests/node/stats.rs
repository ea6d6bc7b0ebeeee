//! NodeGetVolumeStats, NodeGetInfo and NodeGetCapabilities.

use csi_grpc::v1::node_server::Node as _;
use csi_grpc::v1::node_service_capability::{Type, rpc};
use csi_grpc::v1::volume_usage::Unit;
use csi_grpc::v1::{
    NodeGetCapabilitiesRequest, NodeGetInfoRequest, NodeGetVolumeStatsRequest, NodeGetVolumeStatsResponse,
};
use host::fake::KernelVersion;
use tonic::{Code, Status};

use crate::bench::{Bench, SIZE, Vol, call, text};

async fn stats(bench: &Bench, vol: &Vol, path: &str) -> Result<NodeGetVolumeStatsResponse, Status> {
    let request = NodeGetVolumeStatsRequest {
        volume_id: vol.id.into(),
        volume_path: path.into(),
        ..NodeGetVolumeStatsRequest::default()
    };
    Ok(bench.node.node_get_volume_stats(call(request)).await?.into_inner())
}

#[tokio::test(start_paused = true)]
async fn a_file_system_tells_bytes_and_inodes_and_a_device_its_size() {
    for vol in [Vol::ext4("a"), Vol::block("a")] {
        let bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
        let answer = stats(&bench, &vol, &text(&vol.target("p"))).await.unwrap();
        assert!(!answer.volume_condition.unwrap().abnormal);
        let bytes = answer.usage.iter().find(|usage| usage.unit() == Unit::Bytes).unwrap();
        assert_eq!(bytes.total as u64, SIZE);
        assert_eq!(answer.usage.iter().any(|usage| usage.unit() == Unit::Inodes), !vol.as_block);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_not_found() {
    let vol = Vol::ext4("a");
    let bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
    for (vol, path) in [(&vol, "/kubelet/nowhere"), (&vol, "some/path"), (&Vol::ext4("b"), "some/path")] {
        assert_eq!(stats(&bench, vol, path).await.unwrap_err().code(), Code::NotFound);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_path_is_an_abnormal_condition_and_no_hang() {
    for vol in [Vol::ext4("a"), Vol::block("a")] {
        let bench = Bench::in_use(KernelVersion::V6_1, &vol).await;
        bench.fabric.stop();
        bench.kernel.hang("usage");
        let condition = stats(&bench, &vol, &text(&vol.target("p"))).await.unwrap().volume_condition.unwrap();
        assert!(condition.abnormal);
        assert!(condition.message.contains("not live"), "{condition:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_says_who_it_is_and_only_what_it_serves() {
    let bench = Bench::new(KernelVersion::V6_12);
    let info = bench.node.node_get_info(call(NodeGetInfoRequest {})).await.unwrap().into_inner();
    assert_eq!((info.node_id.as_str(), info.max_volumes_per_node), ("rds:worker-1", 64));
    let answer = bench.node.node_get_capabilities(call(NodeGetCapabilitiesRequest {})).await.unwrap();
    let offered: Vec<rpc::Type> = answer
        .into_inner()
        .capabilities
        .into_iter()
        .map(|capability| match capability.r#type {
            Some(Type::Rpc(rpc)) => rpc.r#type(),
            None => rpc::Type::Unknown,
        })
        .collect();
    assert!(
        offered.contains(&rpc::Type::StageUnstageVolume) && offered.contains(&rpc::Type::VolumeCondition)
    );
    assert!(!offered.contains(&rpc::Type::GetVolumeHealth));
}
