//! The management connection (R28): however the device is away, calls end in time and say so, it is missed and found
//! once, and served within seconds of its return.

use std::time::Duration;

use csi_grpc::v1::ControllerPublishVolumeRequest;
use csi_grpc::v1::controller_server::Controller as _;
use csi_server::{CallDeadline, ReadyState};
use routeros_sim::{Action, Fault, When};
use tokio::time::{Instant, sleep};
use tonic::{Code, Request, Status};

use crate::harness::{Device, Driver, Publishing, mount};
use crate::kube::{Kube, start};

const HOUR: Duration = Duration::from_secs(3600);
/// What a call may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// From the device's return to its service (issue 6, demand 10).
const BACK: Duration = Duration::from_secs(5);
/// Requests of a return: one small read, four for version, package and policies, the pools, and the reconciler's list.
const REQUESTS: usize = 7;

/// How a device can be away.
#[derive(Clone, Copy, Debug)]
enum Outage {
    /// Nobody listens.
    Off,
    /// It takes requests and answers none, until it does.
    Silent,
    /// The same, until somebody switches it off and on.
    Hung,
    /// Every reply is lost.
    Cut,
    /// The password was changed on the device; in the end it is in the file, too.
    Locked,
    /// It answers that it cannot serve.
    Failing,
}

impl Outage {
    const ALL: [Self; 6] = [Self::Off, Self::Silent, Self::Hung, Self::Cut, Self::Locked, Self::Failing];

    async fn begin(self, device: &Device) {
        let action = match self {
            Self::Off => return device.handle.power_off(false).await.unwrap(),
            Self::Locked => return device.set_password("of-yesterday"),
            Self::Silent | Self::Hung => Action::Hold { when: When::Before },
            Self::Cut => Action::DropReply,
            Self::Failing => Action::Fail { status: 503, detail: String::new() },
        };
        device.handle.faults().inject(Fault::always(action));
    }

    async fn end(self, device: &Device) {
        match self {
            Self::Off => {}
            Self::Hung => device.handle.power_off(false).await.unwrap(),
            Self::Locked => device.set_password("admin"),
            Self::Silent | Self::Cut | Self::Failing => {}
        }
        device.handle.faults().release(None);
        if matches!(self, Self::Off | Self::Hung) {
            device.handle.power_on(Duration::ZERO).await.unwrap();
        }
    }
}

/// A publish to node a, and that it ended in time.
async fn publish(driver: &Driver, id: &str) -> Result<String, Status> {
    let mut request = Request::new(ControllerPublishVolumeRequest {
        volume_id: id.into(),
        node_id: "rds:a".into(),
        volume_capability: Some(mount("")),
        ..Default::default()
    });
    let began = Instant::now();
    request.extensions_mut().insert(CallDeadline(began + DEADLINE));
    let answer = driver.controller.controller_publish_volume(request).await;
    // A timer's tick later at most.
    assert!(began.elapsed() <= DEADLINE + Duration::from_millis(2), "{:?}", began.elapsed());
    answer.map(|answer| answer.into_inner().publish_context["nvme_nqn"].clone())
}

async fn is_refused(driver: &Driver, id: &str, outage: Outage) {
    let refused = publish(driver, id).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{outage:?}: {refused}");
}

fn is_ready(state: &ReadyState) -> bool {
    *state == ReadyState::Ready
}

/// Everything that was said, which must be this.
fn said(kube: &Kube, expected: &[&str], when: &str) {
    let events = kube.events();
    let reasons: Vec<_> = events.iter().filter_map(|event| event.split(' ').next()).collect();
    assert_eq!(reasons, expected, "{when}: {events:?}");
}

/// The device's own clock, by a request that has just come.
struct Clock(Instant, u64);

impl Clock {
    fn of(device: &Device) -> Self {
        Self(Instant::now(), device.handle.faults().requests().last().unwrap().came_millis)
    }

    fn millis(&self, at: Instant) -> u64 {
        self.1 + u64::try_from((at - self.0).as_millis()).unwrap()
    }
}

/// The device returns: it is served in time, and met by no crowd.
async fn is_found(device: &Device, driver: &Driver, clock: &Clock, outage: Outage) {
    // On the paused clock a device that starts may be found before its start returns.
    let back = Instant::now();
    outage.end(device).await;
    driver.becomes(is_ready).await;
    assert!(back.elapsed() <= BACK, "{outage:?}: served after {:?}", back.elapsed());
    sleep(BACK).await;
    let since = clock.millis(back);
    let requests = device.handle.faults().requests();
    let requests: Vec<_> = requests.iter().filter(|request| request.came_millis > since).collect();
    assert!((1..=REQUESTS).contains(&requests.len()), "{outage:?}: {requests:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_away_for_an_hour_in_any_way_is_missed_once_and_found_once_and_served_within_seconds()
 {
    for outage in Outage::ALL {
        let (device, kube, driver) = start(&["a"]).await;
        driver
            .leading(&kube, async {
                let id = driver.made("pvc-1").await;
                let nqn = kube.attach(&driver, Publishing::of(&id, "rds:a")).await.unwrap();
                let clock = Clock::of(&device);
                kube.events();
                outage.begin(&device).await;
                is_refused(&driver, &id, outage).await;
                driver.becomes(|state| !is_ready(state)).await;
                said(&kube, &["RDSDisconnected"], &format!("{outage:?} begins"));
                sleep(HOUR).await;
                is_refused(&driver, &id, outage).await;
                said(&kube, &[], &format!("{outage:?} lasts"));
                is_found(&device, &driver, &clock, outage).await;
                said(&kube, &["RDSReconnected"], &format!("{outage:?} is over"));
                assert_eq!(publish(&driver, &id).await.unwrap(), nqn, "{outage:?}");
            })
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_away_at_the_start_is_missed_once_and_found_once_and_served_within_seconds() {
    for outage in Outage::ALL {
        let (device, kube, driver) = start(&["a"]).await;
        outage.begin(&device).await;
        driver
            .watching(async {
                sleep(HOUR).await;
                assert!(!is_ready(&driver.readiness.state()), "{outage:?}");
                is_refused(&driver, "rds-x", outage).await;
                said(&kube, &["RDSDisconnected"], &format!("{outage:?} at the start"));
                outage.end(&device).await;
                let back = Instant::now();
                driver.becomes(is_ready).await;
                assert!(back.elapsed() <= BACK, "{outage:?}: served after {:?}", back.elapsed());
                let expected = ["RDSReconnected", "StartupReconciliation"];
                said(&kube, &expected, &format!("{outage:?} is over"));
            })
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_that_comes_and_goes_every_second_is_missed_and_found_in_turn_and_not_at_every_turn() {
    const TURNS: usize = 300;
    let (device, kube, driver) = start(&["a"]).await;
    driver
        .leading(&kube, async {
            let id = driver.made("pvc-1").await;
            let nqn = kube.attach(&driver, Publishing::of(&id, "rds:a")).await.unwrap();
            kube.events();
            let mut answers = [0, 0];
            for turn in 0..TURNS {
                device.handle.power_off(false).await.unwrap();
                sleep(Duration::from_secs(1)).await;
                if turn % 2 == 0 {
                    is_refused(&driver, &id, Outage::Off).await;
                    answers[0] += 1;
                }
                device.handle.power_on(Duration::ZERO).await.unwrap();
                // Not in step with the poll.
                sleep(Duration::from_millis(1_010)).await;
                answers[1] += usize::from(publish(&driver, &id).await.is_ok_and(|now| now == nqn));
            }
            assert_eq!(answers, [TURNS / 2, TURNS], "it is served whenever it is there");
            driver.becomes(is_ready).await;
            let events = kube.events();
            let mut edges = ["RDSDisconnected", "RDSReconnected"].iter().cycle();
            assert!(events.iter().all(|event| event.starts_with(edges.next().unwrap())), "{events:?}");
            // Its absence is met by the poll of every minute, and found over within seconds.
            let minutes = TURNS * 2 / 60;
            assert!((2..=2 * minutes + 2).contains(&events.len()), "{events:?}");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_password_that_is_written_while_the_device_refuses_is_tried_at_once() {
    let (device, _kube, driver) = start(&["a"]).await;
    device.set_password("of-yesterday");
    driver
        .watching(async {
            sleep(HOUR).await;
            let tries = "rds_csi_rds_reconnect_total{status=\"failure\"}";
            let tried = driver.metric(tries);
            assert!(
                (100.0..=260.0).contains(&tried),
                "a refused login is a line in the device's log: {tried}"
            );
            device.set_password("admin");
            let written = Instant::now();
            driver.becomes(is_ready).await;
            assert!(written.elapsed() <= Duration::from_secs(2), "{:?}", written.elapsed());
        })
        .await;
}
