//! What runs beside the calls tells whether the device can be served, and never ends by itself.

use std::time::Duration;

use csi_server::ReadyState;
use routeros_sim::device::RosePackage;
use routeros_sim::{Action, Fault, When};
use tokio::time::Instant;

use crate::harness::{Device, Driver, config, start};

async fn watching(driver: &Driver, story: impl Future<Output = ()>) {
    driver.watching(story).await;
}

async fn becomes(driver: &Driver, wanted: impl Fn(&ReadyState) -> bool) -> ReadyState {
    driver.becomes(wanted).await
}

fn is_ready(state: &ReadyState) -> bool {
    *state == ReadyState::Ready
}

#[tokio::test(start_paused = true)]
async fn a_device_that_goes_and_comes_back_is_not_ready_and_ready_again() {
    let (_device, driver) = start().await;
    watching(&driver, async {
        becomes(&driver, is_ready).await;
        driver.handle.power_off(false).await.unwrap();
        becomes(&driver, |state| !is_ready(state)).await;
        driver.handle.power_on(Duration::ZERO).await.unwrap();
        becomes(&driver, is_ready).await;
    })
    .await;
}

fn metric(driver: &Driver, name: &str) -> f64 {
    driver.metric(name)
}

const FAILURES: &str = "rds_csi_rds_reconnect_total{status=\"failure\"}";
const SUCCESSES: &str = "rds_csi_rds_reconnect_total{status=\"success\"}";

#[tokio::test(start_paused = true)]
async fn every_try_is_counted_and_they_grow_rare_but_never_end() {
    let (_device, driver) = start().await;
    watching(&driver, async {
        becomes(&driver, is_ready).await;
        assert_eq!((metric(&driver, SUCCESSES), metric(&driver, FAILURES)), (1.0, 0.0));
        driver.handle.power_off(false).await.unwrap();
        becomes(&driver, |state| !is_ready(state)).await;
        tokio::time::sleep(Duration::from_secs(600)).await;
        let first = metric(&driver, FAILURES);
        assert!((140.0..=310.0).contains(&first), "{first} in 10 minutes: 0.5 s at first, 2 to 4 s at last");
        tokio::time::sleep(Duration::from_secs(86_400)).await;
        let day = metric(&driver, FAILURES) - first;
        assert!((21_000.0..=43_200.0).contains(&day), "{day} in a day");
        driver.handle.power_on(Duration::ZERO).await.unwrap();
        becomes(&driver, is_ready).await;
    })
    .await;
    assert_eq!(metric(&driver, SUCCESSES), 2.0);
    assert_eq!(metric(&driver, "rds_csi_rds_reconnect_duration_seconds_count"), 2.0);
    let outage = metric(&driver, "rds_csi_rds_reconnect_duration_seconds_sum");
    assert!((87_000.0..87_100.0).contains(&outage), "{outage} s");
}

#[tokio::test(start_paused = true)]
async fn a_device_that_falls_silent_is_noticed_within_the_interval_and_the_read_timeout() {
    let (_device, driver) = start().await;
    watching(&driver, async {
        becomes(&driver, is_ready).await;
        let silent = Instant::now();
        driver.handle.faults().inject(Fault::always(Action::Hold { when: When::Before }));
        becomes(&driver, |state| !is_ready(state)).await;
        assert!(silent.elapsed() <= Duration::from_secs(60 + 30) + Duration::from_millis(100));
        driver.handle.faults().release(None);
        becomes(&driver, is_ready).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_reason_tells_the_whole_chain_of_causes_and_is_news_once() {
    let (_device, driver) = start().await;
    watching(&driver, async {
        becomes(&driver, is_ready).await;
        driver.handle.power_off(false).await.unwrap();
        // What was read when it broke is one reason, what every try after it meets the next.
        let mut changes = driver.readiness.subscribe();
        while metric(&driver, FAILURES) < 2.0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let ReadyState::NotReady(reason) = changes.borrow_and_update().clone() else { panic!("ready") };
        assert!(reason.contains(": "), "{reason}");
        let tries = metric(&driver, FAILURES);
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert!(metric(&driver, FAILURES) > tries + 10.0);
        assert!(!changes.has_changed().unwrap(), "{:?}", changes.borrow_and_update());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_missing_policy_is_said_with_what_to_do() {
    let (_device, driver) = start().await;
    driver.handle.seed_policies("admin", "read,api,rest-api").unwrap();
    let lacking = "user \"admin\" lacks write: add it to the policy of its group";
    watching(&driver, async {
        becomes(&driver, |state| *state == ReadyState::NotReady(lacking.into())).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_old_version_or_a_missing_package_is_said() {
    for (version, rose, said) in [
        ("7.20", RosePackage::Enabled, "older than 7.21"),
        ("7.24", RosePackage::Missing, "rose-storage is missing"),
    ] {
        let version = version.parse().unwrap();
        let device = Device::start_as(routeros_sim::Config { version, rose, ..Default::default() }).await;
        let driver = device.driver(config("a"));
        let is_said =
            |state: &ReadyState| matches!(state, ReadyState::NotReady(reason) if reason.contains(said));
        watching(&driver, async {
            becomes(&driver, is_said).await;
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_watch_reads_the_pools_so_that_no_create_has_to() {
    let (_device, driver) = start().await;
    watching(&driver, async {
        becomes(&driver, is_ready).await;
        let (_, requests) =
            driver.requests_of(driver.create(crate::harness::creation("pvc-1", 1 << 30))).await;
        assert_eq!(requests, 3);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn capacity_is_answered_from_memory_while_the_watch_keeps_it_fresh() {
    let (_device, driver) = start().await;
    assert_eq!(driver.requests_of(driver.capacity()).await.1, 1, "nobody reads by the clock");
    watching(&driver, async {
        becomes(&driver, is_ready).await;
        let (before, requests) = driver.requests_of(driver.capacity()).await;
        assert_eq!(requests, 0);
        driver.made("pvc-1").await;
        assert_eq!(driver.capacity().await.unwrap(), before - crate::harness::GIB);
        driver.handle.power_off(false).await.unwrap();
        tokio::time::sleep(Duration::from_secs(121)).await;
        assert!(driver.capacity().await.is_err(), "what is remembered is too old");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_configuration_that_cannot_work_is_refused_at_start() {
    let mut without = config("a");
    without.base_paths.clear();
    assert!(without.check().is_err());
    let mut inverted = config("a");
    inverted.limits.min = inverted.limits.max + 1;
    assert!(inverted.check().unwrap_err().to_string().contains("min <= default <= max"));
}
