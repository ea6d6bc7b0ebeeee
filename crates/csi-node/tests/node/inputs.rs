//! Bad input: INVALID_ARGUMENT before anything is touched, with one line that says where.

use csi_grpc::v1::node_server::Node as _;
use csi_grpc::v1::volume_capability::access_mode::Mode;
use csi_grpc::v1::{NodeStageVolumeRequest, NodeUnpublishVolumeRequest, NodeUnstageVolumeRequest};
use host::fake::KernelVersion;
use tonic::Code;

use crate::bench::{Bench, Vol, call};

type Spoil = fn(&mut NodeStageVolumeRequest);

const SPOILED: [(&str, Spoil); 22] = [
    ("volume_id", |request| request.volume_id.clear()),
    ("volume_id", |request| request.volume_id = "../a".into()),
    ("volume_id", |request| request.volume_id = "a\nb".into()),
    ("volume_id", |request| request.volume_id = "\"a\"".into()),
    ("volume_id", |request| request.volume_id = "x".repeat(300)),
    ("staging_target_path", |request| request.staging_target_path.clear()),
    ("staging_target_path", |request| request.staging_target_path = "a/b".into()),
    ("staging_target_path", |request| request.staging_target_path = "/a/../b".into()),
    ("staging_target_path", |request| request.staging_target_path = "/a/./b".into()),
    ("staging_target_path", |request| request.staging_target_path = "/".into()),
    ("staging_target_path", |request| request.staging_target_path = "/a\0b".into()),
    ("staging_target_path", |request| request.staging_target_path = format!("/{}", "x".repeat(5000))),
    ("volume_capability", |request| request.volume_capability = None),
    ("access_mode", |request| request.volume_capability.as_mut().unwrap().access_mode = None),
    ("several nodes", |request| {
        let mode = request.volume_capability.as_mut().unwrap().access_mode.as_mut().unwrap();
        mode.mode = Mode::MultiNodeMultiWriter.into();
    }),
    ("btrfs", |request| request.volume_capability = Some(Vol { fs: "btrfs", ..Vol::ext4("a") }.capability())),
    ("nvme_nqn", |request| drop(request.publish_context.remove("nvme_nqn"))),
    ("nvme_nqn", |request| drop(request.publish_context.insert("nvme_nqn".into(), "nqn.x:a,b".into()))),
    ("nvme_nqn", |request| drop(request.publish_context.insert("nvme_nqn".into(), Vol::ext4("b").nqn()))),
    ("nvme_address", |request| drop(request.publish_context.remove("nvme_address"))),
    ("size_bytes", |request| drop(request.publish_context.insert("size_bytes".into(), "-1".into()))),
    ("createdBytes", |request| drop(request.volume_context.insert("createdBytes".into(), "1G".into()))),
];

#[tokio::test(start_paused = true)]
async fn a_malformed_stage_is_refused_for_good_before_anything_is_touched() {
    let vol = Vol::ext4("a");
    let bench = Bench::new(KernelVersion::V6_12);
    bench.export(&vol);
    for (said, spoil) in SPOILED {
        let mut request = vol.stage_request();
        spoil(&mut request);
        let refused = bench.stage_with(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
        assert!(refused.message().contains(said), "{said} in {refused:?}");
        assert!(!refused.message().contains('\n'), "{refused:?}");
    }
    assert_eq!(bench.kernel.effects().log(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_malformed_stage_of_a_volume_that_is_here_is_never_final() {
    let vol = Vol::ext4("a");
    let bench = Bench::in_use(KernelVersion::V6_12, &vol).await;
    for (said, spoil) in SPOILED.into_iter().filter(|(said, _)| *said != "volume_id") {
        let mut request = vol.stage_request();
        spoil(&mut request);
        let refused = bench.stage_with(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::Aborted, "{said}: {refused:?}");
    }
    assert_eq!(bench.kernel.read_file(&vol.target("p"), "f").unwrap(), b"bytes");
}

#[tokio::test(start_paused = true)]
async fn malformed_ids_and_paths_are_refused_by_every_call() {
    let bench = Bench::new(KernelVersion::V6_12);
    for (volume_id, path) in [("", "/a"), ("../a", "/a"), ("a", ""), ("a", "a"), ("a", "/a/.."), ("a", "/")] {
        let (volume_id, path) = (volume_id.to_owned(), path.to_owned());
        let unstage =
            NodeUnstageVolumeRequest { volume_id: volume_id.clone(), staging_target_path: path.clone() };
        let unpublish =
            NodeUnpublishVolumeRequest { volume_id: volume_id.clone(), target_path: path.clone() };
        let mut publish = Vol::ext4("a").publish_request("p");
        (publish.volume_id, publish.target_path) = (volume_id, path);
        let codes = [
            bench.node.node_unstage_volume(call(unstage)).await.unwrap_err().code(),
            bench.node.node_unpublish_volume(call(unpublish)).await.unwrap_err().code(),
            bench.node.node_publish_volume(call(publish)).await.unwrap_err().code(),
        ];
        assert_eq!(codes, [Code::InvalidArgument; 3]);
    }
}

/// A disk of the node that is full or read-only takes no record, and so nothing is connected that nobody would know of.
#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_written_stops_every_call_before_its_first_effect() {
    let vol = Vol::ext4("a");
    let bench = Bench::new(KernelVersion::V6_12);
    bench.export(&vol);
    let in_the_way = bench.state.path().join("stages/a.tmp");
    std::fs::create_dir(&in_the_way).unwrap();
    let refused = bench.stage(&vol).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    assert!(refused.message().contains("stages/a.json"), "{refused:?}");
    assert_eq!(bench.kernel.effects().log(), Vec::<String>::new());
    bench.unstage(&vol).await.unwrap();

    std::fs::remove_dir(&in_the_way).unwrap();
    bench.stage(&vol).await.unwrap();
    std::fs::create_dir(&in_the_way).unwrap();
    let refused = bench.unstage(&vol).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    assert!(!bench.fabric.sessions(&vol.nqn()).is_empty(), "what is still recorded is still connected");
    std::fs::remove_dir(&in_the_way).unwrap();
    bench.unstage(&vol).await.unwrap();
    bench.assert_clean();
}
