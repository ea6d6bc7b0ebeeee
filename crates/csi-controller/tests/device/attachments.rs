//! Attachments on a device: modes, shared block volumes, strays.

use std::collections::HashMap;
use std::time::Duration;

use attachment::Machines;
use csi_controller::{Config, DeviceFacts};
use csi_grpc::v1::volume_capability::access_mode::Mode;
use tokio::time::Instant;
use tonic::Code;
use volume::Fencing;

use crate::harness::{Device, Driver, Publishing, block, code, config, creation, start};
use crate::kube::{self, Kube};

#[tokio::test(start_paused = true)]
async fn two_nodes_share_a_block_volume_and_the_first_is_not_touched() {
    let (_device, kube, driver) = kube::start(&["a", "b", "c"]).await;
    driver
        .leading(&kube, async {
            let mut request = creation("pvc-1", 1 << 30);
            request.volume_capabilities = vec![block(Mode::MultiNodeMultiWriter)];
            let id = driver.create(request).await.unwrap().volume_id;
            kube.set_machines(Machines::Same);
            let a = attached(&kube, &driver, &id, "a").await;
            driver.handle.connect(4420, &a["nvme_nqn"], &a["host_nqn"]).unwrap();
            let b = attached(&kube, &driver, &id, "b").await;
            assert_eq!((&a["nvme_nqn"], &a["published_as_block"]), (&b["nvme_nqn"], &"true".to_owned()));
            kube.want(&id, "c");
            let third = driver.publish(Publishing::shared_block(&id, "rds:c")).await;
            assert_eq!(code(third), Code::FailedPrecondition);
            kube.detach(&driver, &id, "b").await.unwrap();
            assert_eq!(driver.handle.sessions().len(), 1, "a works on");
            driver.unpublish(&id, "").await.unwrap();
            assert!(driver.handle.sessions().is_empty() && !driver.is_exported(&id));
        })
        .await;
}

/// As a node has a block volume that it may share: the real attacher's calls, and what they hand over.
async fn attached(kube: &Kube, driver: &Driver, id: &str, node: &str) -> HashMap<String, String> {
    let node = format!("rds:{node}");
    kube.attach(driver, Publishing::shared_block(id, &node)).await.unwrap();
    driver.publish(Publishing::shared_block(id, &node)).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn without_kubernetes_nobody_can_tell_a_migration_so_a_second_node_is_refused() {
    let (_device, driver) = start().await;
    let mut request = creation("pvc-1", 1 << 30);
    request.volume_capabilities = vec![block(Mode::MultiNodeMultiWriter)];
    let id = driver.create(request).await.unwrap().volume_id;
    let a = driver.publish(Publishing::shared_block(&id, "rds:a")).await.unwrap();
    driver.handle.connect(4420, &a["nvme_nqn"], &a["host_nqn"]).unwrap();
    assert_eq!(code(driver.publish(Publishing::shared_block(&id, "rds:b")).await), Code::FailedPrecondition);
    assert_eq!(driver.handle.sessions().len(), 1, "a works on");
    driver.unpublish(&id, "rds:a").await.unwrap();
    let b = driver.publish(Publishing::shared_block(&id, "rds:b")).await.unwrap();
    assert_ne!(a["nvme_nqn"], b["nvme_nqn"], "a's session is over");
}

#[tokio::test(start_paused = true)]
async fn in_host_nqn_only_the_holder_gets_in() {
    let device = Device::start().await;
    let driver = device.driver(Config { fencing: Fencing::HostNqn, ..config("a") });
    let id = driver.made("pvc-1").await;
    let context = driver.publish(Publishing::of(&id, "rds:a")).await.unwrap();
    driver
        .handle
        .connect(4420, &context["nvme_nqn"], "nqn.2014-08.org.nvmexpress:uuid:stranger")
        .unwrap_err();
    driver.handle.connect(4420, &context["nvme_nqn"], &context["host_nqn"]).unwrap();
}

#[tokio::test(start_paused = true)]
async fn in_host_nqn_a_list_that_is_known_to_grow_lets_the_second_node_in() {
    let device = Device::start().await;
    device.handle.assume("allow-list", "comma").unwrap();
    let facts = DeviceFacts::parse(["order=fifo", "allow-list=comma"]).unwrap();
    let kube = Kube::with_nodes(&["a", "b"]);
    kube.set_machines(Machines::Same);
    let driver = device.driver_in(&kube, Config { fencing: Fencing::HostNqn, device: facts, ..config("a") });
    driver
        .leading(&kube, async {
            let id = driver.made("pvc-1").await;
            for node in ["a", "b"] {
                let context = attached(&kube, &driver, &id, node).await;
                driver.handle.connect(4420, &context["nvme_nqn"], &context["host_nqn"]).unwrap();
            }
            assert_eq!(driver.handle.sessions().len(), 2);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn in_mode_off_a_volume_is_always_exported_and_still_has_one_holder() {
    let device = Device::start().await;
    let driver = device.driver(Config { fencing: Fencing::Off, ..config("a") });
    let id = driver.made("pvc-1").await;
    assert!(driver.is_exported(&id));
    let context = driver.publish(Publishing::of(&id, "rds:a")).await.unwrap();
    assert_eq!(context["nvme_nqn"], format!("nqn.2000-02.com.mikrotik:{id}"));
    assert_eq!(code(driver.publish(Publishing::of(&id, "rds:b")).await), Code::FailedPrecondition);
    driver.unpublish(&id, "rds:a").await.unwrap();
    assert!(driver.is_exported(&id));
    driver.delete(&id).await.unwrap();
    assert_eq!(driver.leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_change_of_mode_acts_when_the_volume_is_free() {
    let device = Device::start().await;
    let off = device.driver(Config { fencing: Fencing::Off, ..config("a") });
    let id = off.made("pvc-1").await;
    let held = off.publish(Publishing::of(&id, "rds:a")).await.unwrap();
    let generation = device.driver(config("a"));
    assert_eq!(generation.publish(Publishing::of(&id, "rds:a")).await.unwrap(), held, "its holder keeps it");
    generation.unpublish(&id, "rds:a").await.unwrap();
    assert!(!generation.is_exported(&id));
    let fresh = generation.publish(Publishing::of(&id, "rds:a")).await.unwrap();
    assert_ne!(fresh["nvme_nqn"], held["nvme_nqn"]);
}

#[tokio::test(start_paused = true)]
async fn an_export_that_nobody_holds_is_closed_and_waited_for_before_anybody_gets_the_volume() {
    let device = Device::start().await;
    let off = device.driver(Config { fencing: Fencing::Off, ..config("a") });
    let id = off.made("pvc-1").await;
    let stranger = "nqn.2014-08.org.nvmexpress:uuid:old";
    device.handle.connect(4420, &format!("nqn.2000-02.com.mikrotik:{id}"), stranger).unwrap();
    let driver = device.driver(config("a"));
    let started = Instant::now();
    let context = driver.publish(Publishing::of(&id, "rds:a")).await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(5));
    assert!(driver.handle.sessions().is_empty(), "the old session ended");
    assert_eq!(driver.handle.exports()[0].nqn, context["nvme_nqn"]);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_drains_needs_no_settle() {
    let device = Device::start().await;
    let facts = DeviceFacts::parse(["order=fifo", "unexport=drains"]).unwrap();
    let driver = device.driver(Config { device: facts, ..config("a") });
    let id = driver.made("pvc-1").await;
    driver.publish(Publishing::of(&id, "rds:a")).await.unwrap();
    driver.unpublish(&id, "rds:a").await.unwrap();
    let started = Instant::now();
    driver.publish(Publishing::of(&id, "rds:b")).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn attachments_and_conflicts_are_counted() {
    let (_device, driver) = start().await;
    let id = driver.made("pvc-1").await;
    driver.publish(Publishing::of(&id, "rds:a")).await.unwrap();
    driver.publish(Publishing::of(&id, "rds:b")).await.unwrap_err();
    driver.unpublish(&id, "rds:a").await.unwrap();
    let metrics = driver.metrics();
    for line in [
        "rds_csi_attachment_attach_total{status=\"success\"} 1",
        "rds_csi_attachment_attach_total{status=\"failure\"} 1",
        "rds_csi_attachment_detach_total{status=\"success\"} 1",
        "rds_csi_attachment_conflicts_total 1",
        "rds_csi_attachment_operation_duration_seconds_count{operation=\"attach\"} 2",
        "rds_csi_volume_operations_total{operation=\"create\",status=\"success\"} 1",
        "rds_csi_volume_operation_duration_seconds_count{operation=\"create\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_a_stranger_has_connected_is_closed_before_it_is_deleted() {
    let device = Device::start().await;
    let driver = device.driver(Config { fencing: Fencing::Off, ..config("a") });
    let id = driver.made("pvc-1").await;
    let stranger = "nqn.2014-08.org.nvmexpress:uuid:old";
    device.handle.connect(4420, &format!("nqn.2000-02.com.mikrotik:{id}"), stranger).unwrap();
    driver.delete(&id).await.unwrap();
    assert_eq!(driver.leftovers(), Vec::<String>::new());
    assert!(driver.handle.sessions().is_empty());
}
