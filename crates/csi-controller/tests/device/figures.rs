//! The device's own figures, polled from a simulated device and scraped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use csi_controller::Figures;
use prometheus_client::registry::Registry;
use routeros::{Client, RestTransport};
use routeros_sim::{Action, Fault, Handle, Traffic, When};
use tokio_util::sync::CancellationToken;
use volume::{ClusterId, Record};

use crate::harness::{Device, config, slot};

const INTERVAL: Duration = Duration::from_secs(15);

/// What a busy disk moves between two readings, and what of it is under way.
const MOVED: Traffic = Traffic {
    read_ops: 300,
    read_bytes: 300 * 4096,
    read_millis: 600,
    write_ops: 150,
    write_bytes: 150 * 8192,
    write_millis: 450,
    in_flight_ops: 3,
    active_millis: 900,
    wait_millis: 1_800,
};

/// A device whose figures are polled.
struct Polled {
    device: Device,
    registry: Registry,
    may_send: Arc<AtomicBool>,
    stop: CancellationToken,
    polls: tokio::task::JoinHandle<()>,
}

/// Polls a device, once each [`INTERVAL`]; nothing has run yet.
async fn polled() -> Polled {
    let device = Device::start().await;
    let mut registry = Registry::default();
    let client: Client<RestTransport> = Client::new(device.transport().0);
    let figures = Figures::register(client, &config("a"), INTERVAL, &mut registry);
    let (may_send, stop) = (Arc::new(AtomicBool::new(true)), CancellationToken::new());
    let (gate, stopped) = (may_send.clone(), stop.clone());
    let polls =
        tokio::spawn(async move { figures.poll(move || gate.load(Ordering::Relaxed), stopped).await });
    Polled { device, registry, may_send, stop, polls }
}

impl Polled {
    fn handle(&self) -> &Handle {
        &self.device.handle
    }

    /// A volume on the device; its slot.
    fn volume(&self, cluster: &str, name: &str, exported: bool) -> String {
        let slot = slot(cluster, name);
        let record = Record::new(ClusterId::parse(cluster).unwrap().hash()).to_comment().unwrap();
        let path = format!("raid10/csi/{slot}.img");
        let row = [
            ("slot", slot.as_str()),
            ("file-path", &path),
            ("file-size", "16777216"),
            ("comment", &record),
            ("nvme-tcp-server-nqn", &format!("nqn.2000-02.com.mikrotik:{slot}")),
            ("nvme-tcp-export", if exported { "yes" } else { "no" }),
        ];
        self.handle().seed_disk(&row).unwrap();
        slot
    }

    fn moves(&self, slot: &str) {
        self.handle().add_traffic(slot, &MOVED).unwrap();
    }

    /// Waits until the device has answered everything of the next poll.
    async fn next(&self) {
        let begun = self.handle().faults().count();
        while self.handle().faults().count() == begun {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    /// The lines of the device's series, of a scrape that waits for nothing.
    fn scrape(&self) -> Vec<String> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text.lines().filter(|line| line.starts_with("rds_")).map(str::to_owned).collect()
    }

    /// The value of a disk's series; `None` where it is absent.
    fn figure(&self, name: &str, slot: &str) -> Option<f64> {
        let start = format!("rds_disk_{name}{{slot=\"{slot}\"}} ");
        self.scrape().iter().find_map(|line| line.strip_prefix(&start)?.parse().ok())
    }
}

const RATES: [&str; 8] = [
    "read_ops_per_second",
    "write_ops_per_second",
    "read_bytes_per_second",
    "write_bytes_per_second",
    "read_latency_milliseconds",
    "write_latency_milliseconds",
    "wait_latency_milliseconds",
    "active_time_milliseconds",
];

impl Polled {
    fn rates(&self, slot: &str) -> [Option<f64>; 8] {
        RATES.map(|name| self.figure(name, slot))
    }
}

/// What [`MOVED`] in one [`INTERVAL`] comes to.
const EXPECTED: [f64; 8] = [20.0, 10.0, 81_920.0, 81_920.0, 2.0, 3.0, 4.0, 60.0];

fn is_expected(rates: [Option<f64>; 8]) -> bool {
    rates.iter().zip(EXPECTED).all(|(seen, expected)| {
        // The poll comes by the clock to within the time that the device takes.
        seen.is_some_and(|seen| (seen - expected).abs() <= expected * 0.01)
    })
}

#[tokio::test(start_paused = true)]
async fn before_the_first_reading_there_is_no_series_of_the_device_at_all() {
    let polled = polled().await;
    let hold = polled.handle().faults().inject(Fault::always(Action::Hold { when: When::Before }));
    polled.next().await;
    assert_eq!(polled.scrape(), Vec::<String>::new());
    polled.handle().faults().release(Some(hold));
}

#[tokio::test(start_paused = true)]
async fn the_second_reading_makes_rates_of_totals_under_the_described_names() {
    let polled = polled().await;
    let volume = polled.volume("a", "pvc-1", true);
    polled.moves(&volume);
    polled.next().await;
    assert_eq!(polled.rates(&volume), [None; 8], "a total since boot is no rate");
    assert_eq!(polled.figure("in_flight_operations", &volume), Some(3.0));
    polled.moves(&volume);
    polled.next().await;
    assert!(is_expected(polled.rates(&volume)), "{:?}", polled.scrape());
    polled.next().await;
    let [reads, _, bytes, _, latency, ..] = polled.rates(&volume);
    assert_eq!((reads, bytes, latency), (Some(0.0), Some(0.0), None), "a quiet disk has no latency");
}

#[tokio::test(start_paused = true)]
async fn only_exported_volumes_of_this_cluster_and_the_pools_of_its_base_paths_are_shown() {
    let polled = polled().await;
    let ours = polled.volume("a", "pvc-1", true);
    let detached = polled.volume("a", "pvc-2", false);
    let theirs = polled.volume("b", "pvc-1", true);
    let bare = [
        ("slot", "bare"),
        ("file-path", "raid10/bare.img"),
        ("file-size", "4096"),
        ("nvme-tcp-export", "yes"),
    ];
    polled.handle().seed_disk(&bare).unwrap();
    polled.handle().seed_disk(&[("type", "raid"), ("slot", "attic"), ("size", "1073741824")]).unwrap();
    polled.next().await;
    let shown = |slot: &str| polled.scrape().iter().any(|line| line.contains(&format!("\"{slot}\"")));
    assert!(shown(&ours) && shown("raid10"), "{:?}", polled.scrape());
    for other in [detached.as_str(), theirs.as_str(), "bare", "attic"] {
        assert!(!shown(other), "{other} in {:?}", polled.scrape());
    }
    let size = "rds_hardware_disk_pool_size_bytes{slot=\"raid10\"} 107374182400".to_owned();
    assert!(polled.scrape().contains(&size), "{:?}", polled.scrape());
    assert!(
        polled
            .scrape()
            .iter()
            .any(|line| line.starts_with("rds_hardware_disk_pool_used_bytes{slot=\"raid10\"} "))
    );
}

#[tokio::test(start_paused = true)]
async fn a_reboot_makes_a_gap_and_never_a_spike() {
    let polled = polled().await;
    let volume = polled.volume("a", "pvc-1", true);
    // Hardly used before, and much after the boot: no total goes backwards.
    polled.next().await;
    polled.next().await;
    assert_eq!(polled.figure("read_ops_per_second", &volume), Some(0.0));
    polled.handle().reboot(routeros_sim::Reboot::default()).await.unwrap();
    for _ in 0..1000 {
        polled.moves(&volume);
    }
    polled.next().await;
    assert_eq!(polled.rates(&volume), [None; 8]);
    assert_eq!(polled.figure("in_flight_operations", &volume), Some(3.0));
    polled.moves(&volume);
    polled.next().await;
    assert!(is_expected(polled.rates(&volume)), "{:?}", polled.scrape());
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_is_used_again_begins_anew() {
    let polled = polled().await;
    let volume = polled.volume("a", "pvc-1", true);
    polled.next().await;
    let id = polled.handle().disk(&volume).unwrap()[".id"].clone();
    Client::new(polled.device.transport().0).remove_disk(&id.parse().unwrap()).await.unwrap();
    assert_eq!(polled.volume("a", "pvc-1", true), volume);
    polled.moves(&volume);
    polled.next().await;
    assert_eq!(polled.rates(&volume), [None; 8]);
}

#[tokio::test(start_paused = true)]
async fn counters_that_the_list_does_not_show_come_by_the_monitor_as_far_as_it_answers() {
    for (several, shown) in [("each", 2), ("first", 1)] {
        let polled = polled().await;
        polled.handle().assume("disk-counters", "monitored").unwrap();
        polled.handle().assume("monitor-several", several).unwrap();
        let volumes = ["pvc-1", "pvc-2"].map(|name| polled.volume("a", name, true));
        polled.next().await;
        volumes.iter().for_each(|volume| polled.moves(volume));
        polled.next().await;
        let with_rates = volumes.iter().filter(|volume| is_expected(polled.rates(volume))).count();
        // The pool is asked for too, and its row comes first.
        assert_eq!(with_rates, if several == "each" { shown } else { 0 }, "{several}: {:?}", polled.scrape());
        assert_eq!(polled.figure("read_ops_per_second", "raid10"), Some(0.0), "{several}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_who_may_not_monitor_costs_the_disks_only() {
    let polled = polled().await;
    polled.handle().assume("disk-counters", "monitored").unwrap();
    polled.handle().seed_policies("admin", "read,write,api,rest-api").unwrap();
    polled.volume("a", "pvc-1", true);
    polled.next().await;
    let scrape = polled.scrape();
    assert!(!scrape.iter().any(|line| line.starts_with("rds_disk_")), "{scrape:?}");
    assert!(scrape.contains(&"rds_hardware_cpu_temperature_celsius 48.0".to_owned()), "{scrape:?}");
    assert!(scrape.iter().any(|line| line.starts_with("rds_hardware_disk_pool_size_bytes")), "{scrape:?}");
}

#[tokio::test(start_paused = true)]
async fn the_hardware_is_shown_as_far_as_the_model_has_it() {
    let all = [
        "cpu_temperature_celsius 48.0",
        "board_temperature_celsius 36.0",
        "fan1_speed_rpm 4290.0",
        "fan2_speed_rpm 4320.0",
        "psu1_power_watts 71.5",
        "psu2_power_watts 69.0",
        "psu1_temperature_celsius 33.0",
        "psu2_temperature_celsius 34.0",
    ];
    let few = ["cpu_temperature_celsius 51.0", "fan1_speed_rpm 0.0"];
    for (model, expected) in [("rack", all.as_slice()), ("small", few.as_slice()), ("none", &[])] {
        let polled = polled().await;
        polled.handle().assume("health-sensors", model).unwrap();
        polled.next().await;
        let hardware: Vec<_> = polled
            .scrape()
            .iter()
            .filter_map(|line| Some(line.strip_prefix("rds_hardware_")?.to_owned()))
            .collect();
        let sensors: Vec<_> = hardware.into_iter().filter(|line| !line.starts_with("disk_pool")).collect();
        assert_eq!(sensors, expected, "{model}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_poll_is_one_request_each_however_many_volumes_there_are() {
    for (counters, requests) in [("named", 3), ("monitored", 4)] {
        let polled = polled().await;
        polled.handle().assume("disk-counters", counters).unwrap();
        for volume in 0..50 {
            polled.volume("a", &format!("pvc-{volume}"), true);
        }
        polled.next().await;
        let before = polled.handle().faults().count();
        polled.next().await;
        assert_eq!(polled.handle().faults().count() - before, requests, "{counters}");
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_device_hangs_a_scrape_has_the_last_reading_until_it_is_old() {
    let polled = polled().await;
    let volume = polled.volume("a", "pvc-1", true);
    polled.next().await;
    polled.moves(&volume);
    polled.next().await;
    let before = polled.scrape();
    let hold = polled.handle().faults().inject(Fault::always(Action::Hold { when: When::Before }));
    while polled.handle().faults().met(hold) == 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // The scrape is no future: it has ended here, and the device still holds the poll.
    assert_eq!(polled.scrape(), before);
    tokio::time::sleep(3 * INTERVAL).await;
    assert_eq!(polled.scrape(), Vec::<String>::new(), "what is old is not shown");
    polled.handle().faults().release(Some(hold));
    polled.next().await;
    assert_eq!(polled.rates(&volume), [None; 8], "an average over the gap says nothing of now");
    assert_eq!(polled.figure("in_flight_operations", &volume), Some(3.0));
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_may_not_send_asks_nothing_and_shows_nothing() {
    let polled = polled().await;
    let volume = polled.volume("a", "pvc-1", true);
    polled.next().await;
    assert!(!polled.scrape().is_empty());
    polled.may_send.store(false, Ordering::Relaxed);
    tokio::time::sleep(INTERVAL).await;
    let before = polled.handle().faults().count();
    polled.moves(&volume);
    tokio::time::sleep(10 * INTERVAL).await;
    assert_eq!((polled.handle().faults().count(), polled.scrape()), (before, Vec::new()));
    polled.may_send.store(true, Ordering::Relaxed);
    polled.next().await;
    assert_eq!(polled.rates(&volume), [None; 8], "what moved while another led is no rate of now");
}

#[tokio::test(start_paused = true)]
async fn the_poll_ends_at_once_even_while_the_device_hangs_and_takes_its_figures_along() {
    let polled = polled().await;
    polled.next().await;
    let hold = polled.handle().faults().inject(Fault::always(Action::Hold { when: When::Before }));
    while polled.handle().faults().met(hold) == 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    polled.stop.cancel();
    let Polled { registry, polls, .. } = polled;
    polls.await.unwrap();
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(!text.contains("rds_"), "{text}");
}
