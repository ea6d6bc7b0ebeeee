//! Live migration of a virtual machine (R18), and the member of one that left without being seen to have let go.

use std::time::Duration;

use attachment::Machines;
use tonic::Code;
use volume::Record;

use crate::harness::{Driver, Publishing, code};
use crate::kube::{Kube, node_id, start};

/// A volume that one machine has on `a` and, while it migrates, on `b`.
async fn migrating(kube: &Kube, driver: &Driver) -> String {
    let id = driver.made("pvc-1").await;
    kube.set_machines(Machines::Same);
    let first = kube.attach(driver, Publishing::shared_block(&id, "rds:a")).await.unwrap();
    kube.events();
    assert_eq!(kube.attach(driver, Publishing::shared_block(&id, "rds:b")).await.unwrap(), first);
    let events = kube.events();
    let started = format!("MigrationStarted [{id}]: Migration started from node a to node b (timeout: 300s)");
    assert!(events.contains(&started), "{events:?}");
    assert_eq!(driver.metric("rds_csi_migration_active_migrations"), 1.0);
    id
}

fn record(driver: &Driver, id: &str) -> Record {
    Record::parse(&driver.disk(id)["comment"]).unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_migration_ends_when_the_source_leaves_and_is_aborted_when_the_target_does() {
    for (leaver, said, result) in [
        (
            "a",
            "MigrationCompleted [ID]: Migration completed from node a to node b (duration: 12s)",
            "success",
        ),
        (
            "b",
            "MigrationFailed [ID]: Migration failed from node a to node b: the target left after 12s",
            "failed",
        ),
    ] {
        let (_device, kube, driver) = start(&["a", "b", "c"]).await;
        driver
            .leading(&kube, async {
                let id = migrating(&kube, &driver).await;
                kube.pass(12);
                kube.detach(&driver, &id, leaver).await.unwrap();
                let events = kube.events();
                assert!(events.contains(&said.replace("ID", &id)), "{events:?}");
                assert_eq!(driver.metric("rds_csi_migration_active_migrations"), 0.0);
                let ended = format!("rds_csi_migration_migrations_total{{result=\"{result}\"}}");
                assert_eq!(driver.metric(&ended), 1.0);
                assert!(driver.is_exported(&id) && record(&driver, &id).left.is_empty());
                kube.attach(&driver, Publishing::shared_block(&id, "rds:c")).await.unwrap();
            })
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_machine_or_a_third_node_is_refused_and_pods_that_cannot_be_read_too() {
    let (_device, kube, driver) = start(&["a", "b", "c"]).await;
    driver
        .leading(&kube, async {
            let id = driver.made("pvc-1").await;
            kube.attach(&driver, Publishing::shared_block(&id, "rds:a")).await.unwrap();
            kube.want(&id, "b");
            for machines in [Machines::Different, Machines::NoMachine, Machines::Forbidden] {
                kube.set_machines(machines);
                let refused = driver.publish(Publishing::shared_block(&id, "rds:b")).await;
                assert_eq!(code(refused), Code::FailedPrecondition, "{machines:?}");
            }
            kube.set_machines(Machines::Same);
            driver.publish(Publishing::shared_block(&id, "rds:b")).await.unwrap();
            kube.want(&id, "c");
            let third = driver.publish(Publishing::shared_block(&id, "rds:c")).await;
            assert_eq!(code(third), Code::FailedPrecondition);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_migration_that_takes_too_long_is_said_once_at_its_deadline_and_nothing_is_torn() {
    let (_device, kube, driver) = start(&["a", "b"]).await;
    driver
        .leading(&kube, async {
            let id = migrating(&kube, &driver).await;
            kube.pass(302);
            tokio::time::sleep(Duration::from_secs(299)).await;
            assert_eq!(kube.events(), [""; 0]);
            tokio::time::sleep(Duration::from_secs(4)).await;
            let said = format!(
                "MigrationFailed [{id}]: Migration failed from node a to node b: timed out after 302s; \
                 both nodes keep the volume, and no third gets it"
            );
            assert_eq!(kube.events(), [said]);
            assert_eq!(driver.metric("rds_csi_migration_migrations_total{result=\"timeout\"}"), 1.0);
            assert!(driver.is_exported(&id) && record(&driver, &id).holders.len() == 2);
            tokio::time::sleep(Duration::from_secs(1000)).await;
            assert_eq!(kube.events(), [""; 0]);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_during_a_migration_tears_nothing() {
    let (_device, kube, driver) = start(&["a", "b"]).await;
    driver
        .leading(&kube, async {
            let id = migrating(&kube, &driver).await;
            kube.set_clock(1_000_000 - 3600);
            tokio::time::sleep(Duration::from_secs(1000)).await;
            assert!(driver.is_exported(&id) && record(&driver, &id).holders.len() == 2);
            kube.detach(&driver, &id, "a").await.unwrap();
            assert!(driver.is_exported(&id));
        })
        .await;
}

/// A migration whose source is forced off without being seen to let go.
async fn forced_off(kube: &Kube, driver: &Driver) -> String {
    let id = migrating(kube, driver).await;
    kube.set_node("a", |facts| (facts.ready, facts.in_use) = (false, true));
    kube.set_want(&id, "a", |want| want.deleting = true);
    let before = driver.disk(&id);
    kube.set_silent(true);
    assert_eq!(code(driver.unpublish(&id, "rds:a").await), Code::Unavailable);
    assert_eq!(driver.disk(&id), before, "nobody could be told");
    kube.set_silent(false);
    kube.detach(driver, &id, "a").await.unwrap();
    assert_eq!(kube.mark(&id, "b").as_deref(), Some("a"), "no new pod on the node that stays");
    let events = kube.events();
    assert!(events.iter().any(|event| event.contains("Node a left without being seen")), "{events:?}");
    kube.want(&id, "c");
    let third = driver.publish(Publishing::shared_block(&id, "rds:c")).await;
    assert_eq!(code(third), Code::FailedPrecondition, "no further node");
    assert!(driver.is_exported(&id));
    id
}

#[tokio::test(start_paused = true)]
async fn a_member_that_left_unproven_bars_nodes_and_pods_until_it_is_seen_to_have_let_go() {
    let (_device, kube, driver) = start(&["a", "b", "c"]).await;
    driver
        .leading(&kube, async {
            let id = forced_off(&kube, &driver).await;
            kube.set_node("a", |facts| facts.ready = true);
            kube.wake();
            tokio::time::sleep(Duration::from_secs(5)).await;
            assert!(kube.mark(&id, "b").is_some(), "it still uses the volume");
            // What its kubelet says later on wakes nobody.
            kube.set_node("a", |facts| facts.in_use = false);
            tokio::time::sleep(Duration::from_secs(20)).await;
            assert_eq!(kube.mark(&id, "b"), None);
            assert!(record(&driver, &id).left.is_empty() && driver.is_exported(&id));
            driver.publish(Publishing::shared_block(&id, "rds:c")).await.unwrap();
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_member_that_left_unproven_is_fenced_by_somebodys_word_or_comes_back_or_the_last_one_leaves() {
    let (_device, kube, driver) = start(&["a", "b", "c"]).await;
    driver
        .leading(&kube, async {
            let id = forced_off(&kube, &driver).await;
            kube.set_node("a", |facts| facts.out_of_service = true);
            kube.wake();
            tokio::time::sleep(Duration::from_secs(5)).await;
            assert_eq!((kube.mark(&id, "b"), record(&driver, &id).left.len()), (None, 0));
        })
        .await;
    let (_device, kube, driver) = start(&["a", "b", "c"]).await;
    driver
        .leading(&kube, async {
            let id = forced_off(&kube, &driver).await;
            kube.attach(&driver, Publishing::shared_block(&id, "rds:a")).await.unwrap();
            assert_eq!((kube.mark(&id, "b"), record(&driver, &id).left.len()), (None, 0));
        })
        .await;
    let (_device, kube, driver) = start(&["a", "b", "c"]).await;
    driver
        .leading(&kube, async {
            let id = forced_off(&kube, &driver).await;
            kube.detach(&driver, &id, "b").await.unwrap();
            assert!(!driver.is_exported(&id) && record(&driver, &id).unproven);
            assert_eq!(kube.mirrored(&id), Some(None));
            kube.attach(&driver, Publishing::shared_block(&id, "rds:c")).await.unwrap();
            assert_eq!(kube.mirrored(&id), Some(Some(node_id("c"))));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_attachment_is_made_anew_is_told_again() {
    let (_device, kube, driver) = start(&["a", "b", "c"]).await;
    driver
        .leading(&kube, async {
            let id = forced_off(&kube, &driver).await;
            kube.delete_want(&id, "b");
            kube.forget_mark(&id, "b");
            kube.attach(&driver, Publishing::shared_block(&id, "rds:b")).await.unwrap();
            assert_eq!(kube.mark(&id, "b").as_deref(), Some("a"));
        })
        .await;
}
