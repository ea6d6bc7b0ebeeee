//! What runs beside the calls tells whether the device can be served, and never ends by itself.

use std::time::Duration;

use csi_server::ReadyState;
use tokio_util::sync::CancellationToken;

use routeros_sim::device::RosePackage;

use crate::harness::{Device, Driver, config, start};

/// Watches while `story` is told.
async fn watching(driver: &Driver, story: impl Future<Output = ()>) {
    let stop = CancellationToken::new();
    let watch = driver.controller.watch(|| "admin".into(), Duration::from_secs(60), stop.clone());
    tokio::join!(watch, async {
        story.await;
        stop.cancel();
    });
}

async fn becomes(driver: &Driver, wanted: impl Fn(&ReadyState) -> bool) -> ReadyState {
    driver.readiness.subscribe().wait_for(|state| wanted(state)).await.unwrap().clone()
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
async fn a_configuration_that_cannot_work_is_refused_at_start() {
    let mut without = config("a");
    without.base_paths.clear();
    assert!(without.check().is_err());
    let mut inverted = config("a");
    inverted.limits.min = inverted.limits.max + 1;
    assert!(inverted.check().unwrap_err().to_string().contains("min <= default <= max"));
}
