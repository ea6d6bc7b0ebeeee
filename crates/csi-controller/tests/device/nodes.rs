//! Publish and unpublish with a Kubernetes to ask: who the host is, and whether it was seen to let go.

use std::time::Duration;

use attachment::NodeFacts;
use tokio::time::Instant;
use tonic::Code;

use crate::harness::{Publishing, code};
use crate::kube::{node_id, start};

#[tokio::test(start_paused = true)]
async fn a_host_is_known_by_its_live_node_and_a_recreated_one_is_another() {
    let (_device, kube, driver) = start(&["a"]).await;
    driver
        .leading(&kube, async {
            let id = driver.made("pvc-1").await;
            kube.want(&id, "a");
            let first = driver.publish(Publishing::of(&id, "rds:a")).await.unwrap();
            assert_eq!(first["pvc_uid"], "uid-pvc");
            assert_eq!(driver.publish(Publishing::of(&id, "rds:a")).await.unwrap(), first);
            kube.detach(&driver, &id, "a").await.unwrap();
            kube.delete_node("a");
            kube.add_node("a", "another-uid");
            kube.want(&id, "a");
            let second = driver.publish(Publishing::of(&id, "rds:a")).await.unwrap();
            assert_ne!((&second["host_nqn"], &second["nvme_nqn"]), (&first["host_nqn"], &first["nvme_nqn"]));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_not_there_is_not_found_and_one_that_nobody_answers_for_is_unavailable() {
    let (_device, kube, driver) = start(&["a"]).await;
    driver
        .leading(&kube, async {
            let id = driver.made("pvc-1").await;
            let before = driver.disk(&id);
            assert_eq!(code(driver.publish(Publishing::of(&id, "rds:gone")).await), Code::NotFound);
            kube.set_silent(true);
            assert_eq!(code(driver.publish(Publishing::of(&id, "rds:a")).await), Code::Unavailable);
            assert_eq!(driver.disk(&id), before, "nothing was changed");
            kube.set_silent(false);
            kube.attach(&driver, Publishing::of(&id, "rds:a")).await.unwrap();
            let held = driver.disk(&id);
            kube.set_silent(true);
            assert_eq!(code(driver.unpublish(&id, "rds:a").await), Code::Unavailable);
            assert_eq!(driver.disk(&id), held, "nothing was changed");
        })
        .await;
}

/// How long the next node waits after `a` left a volume in this state.
async fn wait_after(facts: impl FnOnce(&mut NodeFacts), deleted: bool) -> Duration {
    let (_device, kube, driver) = start(&["a", "b"]).await;
    let mut waited = Duration::ZERO;
    driver
        .leading(&kube, async {
            let id = driver.made("pvc-1").await;
            kube.attach(&driver, Publishing::of(&id, "rds:a")).await.unwrap();
            kube.set_node("a", facts);
            if deleted {
                kube.delete_node("a");
            }
            kube.detach(&driver, &id, "a").await.unwrap();
            let started = Instant::now();
            kube.attach(&driver, Publishing::of(&id, "rds:b")).await.unwrap();
            waited = started.elapsed();
        })
        .await;
    waited
}

#[tokio::test(start_paused = true)]
async fn only_a_node_that_was_seen_to_let_go_spares_the_next_one_the_settle() {
    assert!(wait_after(|_| {}, false).await < Duration::from_secs(1));
    let settle = Duration::from_secs(5);
    assert!(wait_after(|facts| facts.ready = false, false).await >= settle);
    assert!(wait_after(|facts| facts.in_use = true, false).await >= settle);
    assert!(wait_after(|facts| facts.out_of_service = true, false).await >= settle);
    assert!(wait_after(|_| {}, true).await >= settle, "the Node is gone");
}

#[tokio::test(start_paused = true)]
async fn what_happens_is_said_on_the_claim_and_mirrored_on_the_volume() {
    let (_device, kube, driver) = start(&["a", "b"]).await;
    driver
        .leading(&kube, async {
            let id = driver.made("pvc-1").await;
            kube.attach(&driver, Publishing::of(&id, "rds:a")).await.unwrap();
            let events = kube.events();
            assert_eq!(events.len(), 1);
            let expected = format!("VolumeAttached [{id}]: Attached to node a (duration: ");
            assert!(events[0].starts_with(&expected) && events[0].ends_with("ms)"), "{events:?}");
            assert_eq!(kube.mirrored(&id), Some(Some(node_id("a"))));
            driver.publish(Publishing::of(&id, "rds:a")).await.unwrap();
            assert_eq!(kube.events(), [""; 0], "a retry that succeeds is no event");

            kube.want(&id, "b");
            assert_eq!(code(driver.publish(Publishing::of(&id, "rds:b")).await), Code::FailedPrecondition);
            let refused = format!(
                "AttachmentConflict [{id}]: Attachment to node b rejected - volume already attached to node a. \
                 Delete the pod on a to release the volume."
            );
            assert_eq!(kube.events(), [refused]);
            assert_eq!(driver.metric("rds_csi_attachment_conflicts_total"), 1.0);

            kube.detach(&driver, &id, "a").await.unwrap();
            assert_eq!(kube.events(), [format!("VolumeDetached [{id}]: Detached from node a")]);
            assert_eq!(kube.mirrored(&id), Some(None));
            driver.unpublish(&id, "rds:a").await.unwrap();
            assert_eq!(kube.events(), [""; 0]);
            kube.attach(&driver, Publishing::of(&id, "rds:b")).await.unwrap();
            assert_eq!(driver.metric("rds_csi_attachment_grace_period_used_total"), 1.0);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_a_lost_reply_hid_is_said_by_the_retry_and_once() {
    let (_device, kube, driver) = start(&["a"]).await;
    driver
        .leading(&kube, async {
            let id = driver.made("pvc-1").await;
            let lose = || {
                let fault = routeros_sim::Fault::once(routeros_sim::Action::DropReply);
                driver.handle.faults().inject(fault.on("PATCH", "disk"));
            };
            lose();
            assert_eq!(code(kube.attach(&driver, Publishing::of(&id, "rds:a")).await), Code::Unavailable);
            assert_eq!(kube.events(), [""; 0]);
            for said in [1, 0] {
                kube.attach(&driver, Publishing::of(&id, "rds:a")).await.unwrap();
                assert_eq!(kube.events().len(), said);
            }
            lose();
            assert_eq!(code(driver.unpublish(&id, "rds:a").await), Code::Unavailable);
            for said in [1, 0] {
                driver.unpublish(&id, "rds:a").await.unwrap();
                assert_eq!(kube.events().len(), said);
            }
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_nobody_was_granted_needs_no_list_and_every_other_one_does() {
    let (_device, kube, driver) = start(&["a", "b"]).await;
    driver
        .leading(&kube, async {
            let id = driver.made("pvc-1").await;
            let lists = kube.lists();
            kube.want(&id, "a");
            let ((), requests) = driver
                .requests_of(async { kube.attach(&driver, Publishing::of(&id, "rds:a")).await.map(drop) })
                .await;
            assert_eq!((kube.lists() - lists, requests), (0, 2), "one read and one write");
            kube.detach(&driver, &id, "a").await.unwrap();
            let lists = kube.lists();
            kube.attach(&driver, Publishing::of(&id, "rds:b")).await.unwrap();
            assert_eq!(kube.lists() - lists, 1, "its VolumeAttachment may say attached still");
        })
        .await;
}
