//! Who serves and who sends: the leader, once it has read what is attached, and no longer than its lease.

use std::time::Duration;

use csi_controller::{Config, DeviceFacts};
use csi_grpc::v1::controller_server::Controller as _;
use csi_grpc::v1::{ControllerGetCapabilitiesRequest, ControllerGetVolumeRequest, GetCapacityRequest};
use csi_server::ReadyState;
use routeros_sim::{Action, Fault, When};
use tokio::time::Instant;
use tonic::{Code, Request};
use volume::{Record, Slot};

use crate::harness::{Device, Driver, GIB, Publishing, code, config, creation};
use crate::kube::{Kube, start};

fn is_ready(state: &ReadyState) -> bool {
    *state == ReadyState::Ready
}

/// Every call but capabilities; each must be UNAVAILABLE.
async fn all_unavailable(driver: &Driver, id: &str) {
    assert_eq!(code(driver.create(creation("pvc-2", GIB)).await), Code::Unavailable);
    assert_eq!(code(driver.publish(Publishing::of(id, "rds:a")).await), Code::Unavailable);
    assert_eq!(code(driver.unpublish(id, "rds:a").await), Code::Unavailable);
    assert_eq!(code(driver.expand(id, 2 * GIB, 0).await), Code::Unavailable);
    assert_eq!(code(driver.delete(id).await), Code::Unavailable);
    assert_eq!(code(driver.list(0, "").await), Code::Unavailable);
    let get = Request::new(ControllerGetVolumeRequest { volume_id: id.into() });
    assert_eq!(code(driver.controller.controller_get_volume(get).await), Code::Unavailable);
    let capacity = Request::new(GetCapacityRequest::default());
    assert_eq!(code(driver.controller.get_capacity(capacity).await), Code::Unavailable);
    let validate = Request::new(csi_grpc::v1::ValidateVolumeCapabilitiesRequest {
        volume_id: id.into(),
        volume_capabilities: vec![crate::harness::mount("")],
        ..Default::default()
    });
    assert_eq!(code(driver.controller.validate_volume_capabilities(validate).await), Code::Unavailable);
    let capabilities = Request::new(ControllerGetCapabilitiesRequest {});
    driver.controller.controller_get_capabilities(capabilities).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_standby_sends_nothing_and_answers_that_it_is_one() {
    let (_device, kube, driver) = start(&["a"]).await;
    kube.lose_lease();
    let before = driver.handle.faults().count();
    all_unavailable(&driver, "rds-x").await;
    driver
        .watching(async {
            let reason =
                driver.becomes(|state| matches!(state, ReadyState::NotReady(why) if why != "starting")).await;
            assert!(!is_ready(&reason));
        })
        .await;
    assert_eq!(driver.handle.faults().count(), before, "nothing reached the device");
    let said = driver.publish(Publishing::of("rds-x", "rds:a")).await.unwrap_err();
    assert!(said.message().contains("standby"), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_serves_only_after_it_has_read_everything_and_says_so() {
    let (_device, kube, driver) = start(&["a"]).await;
    all_unavailable(&driver, "rds-x").await;
    driver
        .watching(async {
            driver.becomes(is_ready).await;
            let events = kube.events();
            let expected = "StartupReconciliation Rebuilt 0 attachments of 0 volumes in ";
            assert!(events[0].starts_with(expected), "{events:?}");
            assert!(events[0].ends_with("ms: 0 stale cleared, 0 exports closed, 0 restored"), "{events:?}");
            driver.made("pvc-1").await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_of_the_api_server_nothing_is_rebuilt_and_nothing_served() {
    let (_device, kube, driver) = start(&["a"]).await;
    kube.set_silent(true);
    driver
        .watching(async {
            driver
                .becomes(|state| matches!(state, ReadyState::NotReady(why) if why.contains("API server")))
                .await;
            assert_eq!(code(driver.publish(Publishing::of("rds-x", "rds:a")).await), Code::Unavailable);
            kube.set_silent(false);
            driver.becomes(is_ready).await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_waits_from_the_start_of_its_leadership_where_no_order_is_known() {
    let device = Device::start().await;
    let kube = Kube::with_nodes(&["a"]);
    let unknown = Config { device: DeviceFacts::default(), ..config("a") };
    for (config, at_least) in [(unknown, routeros::REQUEST_CAP), (config("a"), Duration::ZERO)] {
        let driver = device.driver_in(&kube, config);
        // A standby for an hour: what the last leader sent may be sent at its end.
        tokio::time::sleep(Duration::from_secs(3600)).await;
        let led = Instant::now();
        driver
            .watching(async {
                driver.becomes(is_ready).await;
            })
            .await;
        let waited = led.elapsed();
        assert!(waited >= at_least && waited < at_least + Duration::from_secs(1), "{waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_write_of_the_last_leader_is_waited_for_before_the_new_one_decides() {
    let device = Device::start().await;
    let kube = Kube::with_nodes(&["a", "b"]);
    let old = device.driver_in(&kube, config("a"));
    old.leading(&kube, async {
        let id = old.made("pvc-1").await;
        let slow = Action::Latency { millis: 20_000, when: When::Before };
        device.handle.faults().inject(Fault::once(slow).on("PATCH", "disk"));
        kube.lead_for(Duration::from_secs(5));
        assert_eq!(code(kube.attach(&old, Publishing::of(&id, "rds:a")).await), Code::Unavailable);
        kube.lead_for(Duration::from_secs(3600));
        let next = device.driver_in(&kube, config("a"));
        next.watching(async {
            next.becomes(is_ready).await;
            kube.want(&id, "b");
            let refused = next.publish(Publishing::of(&id, "rds:b")).await;
            assert_eq!(code(refused), Code::FailedPrecondition, "a's attachment has landed");
        })
        .await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_request_ends_before_the_lease_does_and_nothing_is_sent_after() {
    let (_device, kube, driver) = start(&["a"]).await;
    driver
        .leading(&kube, async {
            let id = driver.made("pvc-1").await;
            kube.want(&id, "a");
            kube.lead_for(Duration::from_secs(10));
            let hold = Fault::once(Action::Hold { when: When::Before }).on("PATCH", "disk");
            driver.handle.faults().inject(hold);
            let started = Instant::now();
            assert_eq!(code(driver.publish(Publishing::of(&id, "rds:a")).await), Code::Unavailable);
            assert_eq!(started.elapsed(), Duration::from_secs(10), "aborted at the lease's end");
            let sent = driver.handle.faults().count();
            all_unavailable(&driver, &id).await;
            tokio::time::sleep(Duration::from_secs(600)).await;
            assert_eq!(
                driver.handle.faults().count(),
                sent,
                "nothing was sent after it, by the watch neither"
            );
            driver.handle.faults().release(None);
        })
        .await;
}

/// Puts another term into a volume's record, as another leader or a person would.
async fn set_term(device: &Device, id: &str, term: u32) {
    let operator = routeros::Client::new(device.transport().0);
    let row = operator.disk_by_slot(id).await.unwrap().unwrap();
    let mut record = Record::parse(row.comment.as_deref().unwrap()).unwrap().unwrap();
    record.term = term;
    let change = routeros::DiskChange { comment: Some(record.to_comment().unwrap()), ..Default::default() };
    operator.set_disk(&row.id, Slot::parse(id).unwrap().as_str(), &change).await.unwrap();
}

fn term_of(driver: &Driver, id: &str) -> u32 {
    Record::parse(&driver.disk(id)["comment"]).unwrap().unwrap().term
}

#[tokio::test(start_paused = true)]
async fn a_record_of_a_higher_term_makes_the_lease_be_read_again_and_stops_nobody_for_ever() {
    let (device, kube, driver) = start(&["a"]).await;
    let mut made = String::new();
    driver
        .leading(&kube, async {
            made = driver.made("pvc-1").await;
            let id = &made;
            kube.attach(&driver, Publishing::of(id, "rds:a")).await.unwrap();
            assert_eq!(term_of(&driver, id), 7);
            set_term(&device, id, 41).await;
            assert_eq!(code(driver.unpublish(id, "rds:a").await), Code::Unavailable);
            assert_eq!(kube.doubts(), 1);
            let sent = driver.handle.faults().count();
            for more in [31, 32] {
                all_unavailable(&driver, id).await;
                kube.lead_for(Duration::from_secs(86_400 * more));
            }
            assert_eq!(
                driver.handle.faults().count(),
                sent,
                "nothing is sent before the Lease was renewed twice"
            );
            driver.unpublish(id, "rds:a").await.unwrap();
            assert_eq!((term_of(&driver, id), kube.doubts()), (42, 1));
        })
        .await;
    let next = device.driver_in(&kube, config("a"));
    next.leading(&kube, async {
        kube.attach(&next, Publishing::of(&made, "rds:a")).await.unwrap();
        assert_eq!((term_of(&next, &made), kube.doubts()), (43, 1), "above all that it has read");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_device_is_said_at_both_of_its_edges() {
    let (_device, kube, driver) = start(&["a"]).await;
    driver
        .leading(&kube, async {
            driver.handle.power_off(false).await.unwrap();
            driver.becomes(|state| !is_ready(state)).await;
            let events = kube.events();
            assert!(
                events[0].starts_with("RDSDisconnected Connection to https://rds.test lost: "),
                "{events:?}"
            );
            assert_eq!(events.len(), 1);
            tokio::time::sleep(Duration::from_secs(120)).await;
            driver.handle.power_on(Duration::ZERO).await.unwrap();
            driver.becomes(is_ready).await;
            let events = kube.events();
            let expected = "RDSReconnected Connection to https://rds.test restored after 1";
            assert!(events[0].starts_with(expected) && events[0].ends_with('s'), "{events:?}");
            assert_eq!(events.len(), 1);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_asks_the_same_few_questions_however_many_attachments_there_are() {
    let (device, kube, driver) = start(&["a", "b"]).await;
    let mut asked = Vec::new();
    for batch in ["few", "more"] {
        driver
            .leading(&kube, async {
                for n in 0..20 {
                    let id = driver.made(&format!("pvc-{batch}-{n}")).await;
                    kube.attach(&driver, Publishing::of(&id, "rds:a")).await.unwrap();
                }
            })
            .await;
        let next = device.driver_in(&kube, config("a"));
        let (requests, lists) = (device.handle.faults().count(), kube.lists());
        next.watching(async {
            next.becomes(is_ready).await;
            asked.push((device.handle.faults().count() - requests, kube.lists() - lists));
        })
        .await;
    }
    assert_eq!(asked[0], asked[1]);
    assert_eq!(asked[0].1, 1, "one list of the VolumeAttachments");
    let events = kube.events();
    assert!(
        events.last().unwrap().starts_with("StartupReconciliation Rebuilt 40 attachments of 40 volumes in ")
    );
}

#[tokio::test(start_paused = true)]
async fn a_take_over_is_no_hand_off() {
    let (_device, kube, driver) = start(&["a", "b"]).await;
    driver
        .leading(&kube, async {
            let id = driver.made("pvc-1").await;
            kube.attach(&driver, Publishing::of(&id, "rds:a")).await.unwrap();
            kube.delete_want(&id, "a");
            kube.attach(&driver, Publishing::of(&id, "rds:b")).await.unwrap();
            assert_eq!(driver.metric("rds_csi_attachment_grace_period_used_total"), 0.0);
        })
        .await;
}
