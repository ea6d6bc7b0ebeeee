//! Bad input: the code that the specification asks for, and no request for what is malformed.

use csi_grpc::v1::controller_server::Controller as _;
use csi_grpc::v1::volume_capability::access_mode::Mode;
use csi_grpc::v1::volume_capability::{AccessType, MountVolume};
use csi_grpc::v1::volume_content_source::{SnapshotSource, Type};
use csi_grpc::v1::*;
use tonic::{Code, Request};

use crate::harness::{GIB, Publishing, block, capability, code, creation, mount, range, start};

type Spoil = fn(&mut CreateVolumeRequest);

const REFUSED_CREATES: &[(&str, Spoil, Code)] = &[
    ("no name", |r| r.name.clear(), Code::InvalidArgument),
    ("a name of 300 characters", |r| r.name = "x".repeat(300), Code::InvalidArgument),
    ("no capability", |r| r.volume_capabilities.clear(), Code::InvalidArgument),
    (
        "an empty capability",
        |r| r.volume_capabilities = vec![VolumeCapability::default()],
        Code::InvalidArgument,
    ),
    ("an unknown file system", |r| r.volume_capabilities = vec![mount("ntfs")], Code::InvalidArgument),
    ("ReadWriteMany of a file system", |r| r.volume_capabilities = vec![many()], Code::InvalidArgument),
    (
        "many readers",
        |r| r.volume_capabilities = vec![block(Mode::MultiNodeReaderOnly)],
        Code::InvalidArgument,
    ),
    ("size 0", |r| r.capacity_range = range(0, 0), Code::InvalidArgument),
    ("a negative size", |r| r.capacity_range = range(-1, 0), Code::InvalidArgument),
    ("a negative limit", |r| r.capacity_range = range(0, -1), Code::InvalidArgument),
    ("a limit below what is required", |r| r.capacity_range = range(2 * GIB, GIB), Code::InvalidArgument),
    ("an unknown parameter", |r| parameter(r, "nvmeAdress", "10.0.0.1"), Code::InvalidArgument),
    ("a malformed parameter", |r| parameter(r, "nvmePort", "http"), Code::InvalidArgument),
    ("a path upwards", |r| parameter(r, "volumePath", "/raid10/../etc"), Code::InvalidArgument),
    (
        "mutable parameters",
        |r| drop(r.mutable_parameters.insert("a".into(), "b".into())),
        Code::InvalidArgument,
    ),
    (
        "a snapshot as source",
        |r| {
            let source = SnapshotSource { snapshot_id: "s".into() };
            r.volume_content_source = Some(VolumeContentSource { r#type: Some(Type::Snapshot(source)) });
        },
        Code::InvalidArgument,
    ),
];

/// What another configuration might serve, or an earlier version has, with the code where the volume was never made.
const REFUSED_HERE: &[(&str, Spoil, Code)] = &[
    ("more than the largest volume", |r| r.capacity_range = range(i64::MAX, 0), Code::OutOfRange),
    ("a limit below the smallest volume", |r| r.capacity_range = range(1, 1), Code::OutOfRange),
    (
        "xfs below 300 MiB",
        |r| {
            r.volume_capabilities = vec![mount("xfs")];
            r.capacity_range = range(1, 200 << 20);
        },
        Code::OutOfRange,
    ),
    (
        "a mount option that no node takes",
        |r| r.volume_capabilities = vec![mount_with(&["noatime", "norecovery"])],
        Code::InvalidArgument,
    ),
    ("a path that is no base path", |r| parameter(r, "volumePath", "/raid10/other"), Code::InvalidArgument),
];

fn mount_with(flags: &[&str]) -> VolumeCapability {
    let mount_flags = flags.iter().map(|&flag| flag.to_owned()).collect();
    let mount = MountVolume { mount_flags, ..MountVolume::default() };
    capability(AccessType::Mount(mount), Mode::SingleNodeWriter)
}

fn many() -> VolumeCapability {
    capability(AccessType::Mount(MountVolume::default()), Mode::MultiNodeMultiWriter)
}

fn parameter(request: &mut CreateVolumeRequest, name: &str, value: &str) {
    request.parameters.insert(name.into(), value.into());
}

#[tokio::test(start_paused = true)]
async fn a_malformed_create_is_refused_before_anything_is_read() {
    let (_device, driver) = start().await;
    for (what, spoil, expected) in REFUSED_CREATES {
        let mut request = creation("pvc-1", GIB);
        spoil(&mut request);
        assert_eq!(code(driver.create(request).await), *expected, "{what}");
    }
    assert_eq!(driver.handle.faults().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_this_configuration_refuses_is_final_only_where_the_volume_was_read_not_to_be_there() {
    let (_device, driver) = start().await;
    for (what, spoil, expected) in REFUSED_HERE {
        let mut request = creation("pvc-1", GIB);
        spoil(&mut request);
        assert_eq!(code(driver.create(request).await), *expected, "{what}");
    }
    assert_eq!(driver.handle.faults().count(), REFUSED_HERE.len() as u64, "one reading each");
    driver.made("pvc-1").await;
    for (what, spoil, _) in REFUSED_HERE {
        let mut request = creation("pvc-1", GIB);
        spoil(&mut request);
        assert_eq!(code(driver.create(request).await), Code::Unavailable, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hostile_name_makes_a_plain_volume() {
    let (_device, driver) = start().await;
    for name in ["../../etc", "a\"b", "a\nb", "$[:quit]", "a;b", "é", " ", &"x".repeat(128)] {
        let volume = driver.create(creation(name, GIB)).await.unwrap();
        assert_eq!(driver.create(creation(name, GIB)).await.unwrap(), volume, "{name:?}");
        driver.delete(&volume.volume_id).await.unwrap();
    }
    assert_eq!(driver.leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_size_that_the_pool_does_not_reach_is_refused_and_nothing_is_made() {
    let (_device, driver) = start().await;
    assert_eq!(code(driver.create(creation("pvc-1", 200 * GIB)).await), Code::ResourceExhausted);
    assert_eq!(driver.leftovers(), Vec::<String>::new());
    let id = driver.made("pvc-2").await;
    assert_eq!(code(driver.expand(&id, 200 * GIB, 0).await), Code::ResourceExhausted);
}

#[tokio::test(start_paused = true)]
async fn a_small_xfs_volume_is_raised_to_what_mkfs_takes() {
    let (_device, driver) = start().await;
    let mut request = creation("pvc-1", 1);
    request.volume_capabilities = vec![mount("xfs")];
    assert_eq!(driver.create(request).await.unwrap().capacity_bytes, 300 << 20);
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_or_was_never_there_has_its_code() {
    let (_device, driver) = start().await;
    for id in ["rds-00000000-aaaaaaaaaaaaaaaaaaa", "../etc", "a\"b", &"x".repeat(300)] {
        assert_eq!(code(driver.publish(Publishing::of(id, "rds:a")).await), Code::NotFound, "{id}");
        assert_eq!(code(driver.expand(id, GIB, 0).await), Code::NotFound, "{id}");
        driver.unpublish(id, "rds:a").await.unwrap();
        driver.delete(id).await.unwrap();
        let get = ControllerGetVolumeRequest { volume_id: id.into() };
        assert_eq!(code(driver.controller.controller_get_volume(Request::new(get)).await), Code::NotFound);
        let validate = ValidateVolumeCapabilitiesRequest {
            volume_id: id.into(),
            volume_capabilities: vec![mount("")],
            ..Default::default()
        };
        let validated = driver.controller.validate_volume_capabilities(Request::new(validate)).await;
        assert_eq!(code(validated), Code::NotFound);
    }
    assert_eq!(code(driver.delete("").await), Code::InvalidArgument);
    assert_eq!(code(driver.unpublish("", "").await), Code::InvalidArgument);
}

#[tokio::test(start_paused = true)]
async fn a_hostile_handle_is_deleted_without_asking_the_device() {
    let (_device, driver) = start().await;
    for id in ["../etc", "a\"b", "A", "*2B"] {
        driver.delete(id).await.unwrap();
    }
    assert_eq!(driver.handle.faults().count(), 0);
}

type SpoilPublish = fn(&mut ControllerPublishVolumeRequest);

const REFUSED_PUBLISHES: &[(&str, SpoilPublish, Code)] = &[
    ("no volume", |r| r.volume_id.clear(), Code::InvalidArgument),
    ("no node", |r| r.node_id.clear(), Code::InvalidArgument),
    ("no capability", |r| r.volume_capability = None, Code::InvalidArgument),
    ("another driver's node", |r| r.node_id = "node-a".into(), Code::NotFound),
    ("a hostile node", |r| r.node_id = "rds:../a".into(), Code::NotFound),
    ("read-only", |r| r.readonly = true, Code::InvalidArgument),
    ("ReadWriteMany of a file system", |r| r.volume_capability = Some(many()), Code::InvalidArgument),
    (
        "a damaged context",
        |r| drop(r.volume_context.insert("nvmeAddress".into(), "a,b".into())),
        Code::InvalidArgument,
    ),
];

#[tokio::test(start_paused = true)]
async fn a_malformed_publish_is_refused_and_attaches_nothing() {
    let (_device, driver) = start().await;
    let id = driver.made("pvc-1").await;
    for (what, spoil, expected) in REFUSED_PUBLISHES {
        let mut request = ControllerPublishVolumeRequest {
            volume_id: id.clone(),
            node_id: "rds:a".into(),
            volume_capability: Some(mount("")),
            ..Default::default()
        };
        spoil(&mut request);
        assert_eq!(code(driver.publish_request(request).await), *expected, "{what}");
    }
    assert!(!driver.is_exported(&id));
}

#[tokio::test(start_paused = true)]
async fn an_expansion_without_a_range_or_beyond_the_limits_is_refused() {
    let (_device, driver) = start().await;
    let id = driver.made("pvc-1").await;
    let request = ControllerExpandVolumeRequest { volume_id: id.clone(), ..Default::default() };
    let expanded = driver.controller.controller_expand_volume(Request::new(request)).await;
    assert_eq!(code(expanded), Code::InvalidArgument);
    assert_eq!(code(driver.expand(&id, -1, 0).await), Code::InvalidArgument);
    assert_eq!(code(driver.expand(&id, 2 * GIB, GIB).await), Code::InvalidArgument);
    assert_eq!(code(driver.expand(&id, i64::MAX, 0).await), Code::OutOfRange);
}

#[tokio::test(start_paused = true)]
async fn validation_confirms_what_is_served_and_says_why_it_does_not() {
    let (_device, driver) = start().await;
    let volume_id = driver.made("pvc-1").await;
    for (asked, is_served) in [
        (mount("ext4"), true),
        (many(), false),
        (block(Mode::MultiNodeMultiWriter), true),
        (mount_with(&["noatime"]), true),
        (mount_with(&["noload"]), false),
    ] {
        let request = ValidateVolumeCapabilitiesRequest {
            volume_id: volume_id.clone(),
            volume_capabilities: vec![asked],
            ..Default::default()
        };
        let answer = driver.controller.validate_volume_capabilities(Request::new(request)).await.unwrap();
        let answer = answer.into_inner();
        assert_eq!((answer.confirmed.is_some(), answer.message.is_empty()), (is_served, is_served));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_advertised_is_unimplemented() {
    let (_device, driver) = start().await;
    let snapshot = driver.controller.create_snapshot(Request::new(CreateSnapshotRequest::default())).await;
    assert_eq!(code(snapshot), Code::Unimplemented);
    let modify = Request::new(ControllerModifyVolumeRequest::default());
    assert_eq!(code(driver.controller.controller_modify_volume(modify).await), Code::Unimplemented);
}
