//! A look over everything reads the VolumeAttachments and the disks side by side: what changes between the two makes
//! no live holder look gone. And the rebuild is the first such look.

use std::time::Duration;

use csi_controller::AttachmentPolicy;
use csi_server::ReadyState;
use tokio::time::sleep;
use tonic::Code;

use crate::harness::{Device, Driver, Publishing, code, config};
use crate::kube::{Kube, start};

/// Longer than the pause between two looks.
const SOON: Duration = Duration::from_secs(4);

/// A controller that closes at once what nobody wants.
fn without_grace(device: &Device, kube: &Kube) -> Driver {
    let policy = AttachmentPolicy { grace: Duration::ZERO, ..AttachmentPolicy::default() };
    device.driver_in(kube, config("a")).with(|controller| controller.with_attachments(policy))
}

fn is_ready(state: &ReadyState) -> bool {
    *state == ReadyState::Ready
}

/// A look that has read the disks and waits for the VolumeAttachments, while `change` happens.
async fn between_the_readings(kube: &Kube, change: impl Future<Output = ()>) {
    // A look that is under way, or in its pause, is over.
    sleep(SOON).await;
    kube.hold_surveys();
    kube.wake();
    kube.survey_waits().await;
    // On the paused clock: until the disks have been read.
    sleep(Duration::from_secs(1)).await;
    change.await;
    kube.release_surveys();
    sleep(SOON).await;
}

fn done(driver: &Driver) -> f64 {
    let of = |action| driver.metric(&format!("rds_csi_attachment_reconcile_total{{action=\"{action}\"}}"));
    ["clear_stale", "close_export", "restore_export"].map(of).iter().sum()
}

#[tokio::test(start_paused = true)]
async fn what_is_attached_between_the_two_readings_of_a_look_stays_as_it_is() {
    let (device, kube, _) = start(&["a", "b"]).await;
    let driver = without_grace(&device, &kube);
    driver
        .leading(&kube, async {
            let id = driver.made("pvc-1").await;
            let mut nqn = String::new();
            between_the_readings(&kube, async {
                nqn = kube.attach(&driver, Publishing::of(&id, "rds:a")).await.unwrap();
            })
            .await;
            assert_eq!((driver.handle.exports()[0].nqn.as_str(), done(&driver)), (nqn.as_str(), 0.0));
            // Its VolumeAttachment is remembered, whatever becomes of the record.
            assert_eq!(code(driver.publish(Publishing::of(&id, "rds:b")).await), Code::FailedPrecondition);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_goes_to_another_node_between_the_two_readings_of_a_look_is_not_taken_from_it() {
    let (device, kube, _) = start(&["a", "b"]).await;
    let driver = without_grace(&device, &kube);
    driver
        .leading(&kube, async {
            let id = driver.made("pvc-1").await;
            kube.attach(&driver, Publishing::of(&id, "rds:a")).await.unwrap();
            let mut nqn = String::new();
            between_the_readings(&kube, async {
                kube.detach(&driver, &id, "a").await.unwrap();
                nqn = kube.attach(&driver, Publishing::of(&id, "rds:b")).await.unwrap();
            })
            .await;
            assert_eq!((driver.handle.exports()[0].nqn.as_str(), done(&driver)), (nqn.as_str(), 0.0));
            between_the_readings(&kube, async { kube.detach(&driver, &id, "b").await.unwrap() }).await;
            assert!(driver.handle.exports().is_empty() && done(&driver) == 0.0);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_torn_off_between_the_two_readings_of_a_look_is_closed_by_it() {
    let (device, kube, _) = start(&["a"]).await;
    let driver = without_grace(&device, &kube);
    driver
        .leading(&kube, async {
            let id = driver.made("pvc-1").await;
            kube.attach(&driver, Publishing::of(&id, "rds:a")).await.unwrap();
            between_the_readings(&kube, async { kube.delete_want(&id, "a") }).await;
            assert!(!driver.is_exported(&id));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_the_watches_told_before_a_rebuild_calls_for_no_second_look() {
    let (_device, kube, driver) = start(&["a"]).await;
    kube.wake();
    driver
        .leading(&kube, async {
            sleep(Duration::from_secs(120)).await;
            assert_eq!(kube.lists(), 1, "the rebuild is the first look");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_the_watches_tell_during_a_rebuild_is_looked_at_right_after_it() {
    let (_device, kube, driver) = start(&["a"]).await;
    kube.hold_surveys();
    driver
        .watching(async {
            kube.survey_waits().await;
            kube.wake();
            kube.release_surveys();
            driver.becomes(is_ready).await;
            sleep(Duration::from_secs(1)).await;
            assert_eq!(kube.lists(), 2, "the rebuild, and the look that was called for");
        })
        .await;
}
