//! Controller calls against the same requests sent raw.

use std::time::{Duration, Instant};

use anyhow::Result;
use microvm::MIB;
use scenarios::{CLUSTER_ID, Controller, Shape};
use serde_json::{Value, json};
use volume::{ClusterId, Generation, NqnPrefix, Record, Slot};

use crate::device::Device;
use crate::raw::Raw;
use crate::report::{Report, median, median_ratio};

/// Alternating pairs of driver and raw: enough for a median on a shared machine.
const PAIRS: usize = 15;
/// How much longer than the raw requests a call may take, at 20 ms of device time.
const GOAL: f64 = 1.05;
/// Creates that arrive at once: a StatefulSet of some size, or a node's drain.
const AT_ONCE: usize = 64;

/// The four calls, in the order of a volume's life.
const CALLS: [&str; 4] =
    ["CreateVolume", "ControllerPublishVolume", "ControllerUnpublishVolume", "DeleteVolume"];

/// Measures at 0 and 20 ms of device time, with connections kept and closed per answer.
pub(crate) fn measure(report: &mut Report) -> Result<()> {
    for (latency, keep_alive) in [("0ms", "kept"), ("20ms", "kept"), ("20ms", "closed")] {
        let assumption = format!("keep-alive={}", if keep_alive == "kept" { "kept" } else { "closed" });
        let device = Device::start(&["--latency", latency, "--assume", &assumption])?;
        let (controller, mut raw) = (device.controller()?, device.raw()?);
        let mut pairs: [Vec<(Duration, Duration)>; 4] = Default::default();
        // One round is thrown away: connections and pages are warm after it.
        for round in 0..=PAIRS {
            let driver = driver_round(&controller, round)?;
            let least = raw_round(&mut raw, round)?;
            if round > 0 {
                for (call, pair) in pairs.iter_mut().zip(driver.into_iter().zip(least)) {
                    call.push(pair);
                }
            }
        }
        for (name, pairs) in CALLS.iter().zip(&pairs) {
            let name = format!("{name} / raw requests, device {latency}, connections {keep_alive}");
            // A delete looks twice more than it must: that the row is gone, and that no other row uses the file.
            match latency {
                "20ms" if !name.starts_with("Delete") => {
                    report.at_most(&name, median_ratio(pairs), "x", GOAL)
                }
                _ => report.tell(&name, median_ratio(pairs), "x"),
            }
        }
    }
    requests(report)?;
    at_once(report)
}

/// Requests per call, as the device counts them.
fn requests(report: &mut Report) -> Result<()> {
    let device = Device::start(&[])?;
    let controller = device.controller()?;
    driver_round(&controller, 0)?;
    let csi = &controller.csi;
    let count = |run: &dyn Fn() -> Result<()>| {
        let before = device.requests()?;
        run()?;
        anyhow::Ok((device.requests()? - before) as f64)
    };
    let made = csi.create("counted", 1 << 26, &Shape::filesystem("ext4"))?;
    let create = count(&|| Ok(csi.create("counted-too", 1 << 26, &Shape::filesystem("ext4")).map(drop)?))?;
    let publish = count(&|| Ok(csi.attach(&made, "a").map(drop)?))?;
    let unpublish = count(&|| Ok(csi.detach(&made, "a")?))?;
    let delete = count(&|| Ok(csi.delete(&made.volume.volume_id)?))?;
    report.at_most("requests of CreateVolume", create, "requests", 3.0);
    report.at_most("requests of ControllerPublishVolume", publish, "requests", 2.0);
    report.at_most("requests of ControllerUnpublishVolume", unpublish, "requests", 2.0);
    report.tell("requests of DeleteVolume", delete, "requests");
    Ok(())
}

/// What a call answers, and how long it took.
pub(crate) fn timed<T, E: Into<anyhow::Error>>(run: impl FnOnce() -> Result<T, E>) -> Result<(T, Duration)> {
    let start = Instant::now();
    let value = run().map_err(Into::into)?;
    Ok((value, start.elapsed()))
}

fn driver_round(controller: &Controller, round: usize) -> Result<[Duration; 4]> {
    let csi = &controller.csi;
    let size = i64::try_from(64 * MIB)?;
    let (made, create) = timed(|| csi.create(&format!("driver-{round}"), size, &Shape::filesystem("ext4")))?;
    let (_, publish) = timed(|| csi.attach(&made, "a"))?;
    let (_, unpublish) = timed(|| csi.detach(&made, "a"))?;
    let (_, delete) = timed(|| csi.delete(&made.volume.volume_id))?;
    Ok([create, publish, unpublish, delete])
}

/// The same effects by the least requests that look before they write.
fn raw_round(raw: &mut Raw, round: usize) -> Result<[Duration; 4]> {
    let cluster = ClusterId::parse(CLUSTER_ID)?;
    let slot = Slot::for_volume(&cluster, &format!("raw-{round}"));
    let find = format!("/rest/disk?slot={slot}");
    let (id, create) = timed(|| {
        raw.send("GET", &find, None)?;
        raw.send("GET", &format!("/rest/file?name=raid10/csi/{slot}.img"), None)?;
        let made = raw.send(
            "PUT",
            "/rest/disk",
            Some(&new_disk(&slot, &Record::new(cluster.hash()).to_comment()?)),
        )?;
        anyhow::Ok(made[".id"].as_str().unwrap_or_default().to_owned())
    })?;
    let row = format!("/rest/disk/{id}");
    let nqn = NqnPrefix::parse("nqn.2000-02.com.mikrotik")?.generation(&slot, Generation::random());
    let export = json!({"nvme-tcp-export": "true", "nvme-tcp-server-port": "4420", "nvme-tcp-server-nqn": nqn.as_str()});
    let (_, publish) = timed(|| look_and_write(raw, &find, &row, &export))?;
    let (_, unpublish) = timed(|| look_and_write(raw, &find, &row, &json!({"nvme-tcp-export": "false"})))?;
    let (_, delete) = timed(|| {
        raw.send("GET", &find, None)?;
        raw.send("DELETE", &row, None)?;
        let files = raw.send("GET", &format!("/rest/file?name=raid10/csi/{slot}.img"), None)?;
        let file = files[0][".id"].as_str().unwrap_or_default().to_owned();
        raw.send("DELETE", &format!("/rest/file/{file}"), None)
    })?;
    Ok([create, publish, unpublish, delete])
}

fn look_and_write(raw: &mut Raw, find: &str, row: &str, change: &Value) -> Result<Value> {
    raw.send("GET", find, None)?;
    raw.send("PATCH", row, Some(change))
}

/// A disk as the driver makes it.
pub(crate) fn new_disk(slot: &Slot, comment: &str) -> Value {
    json!({
        "type": "file", "slot": slot.as_str(), "file-path": format!("/raid10/csi/{slot}.img"),
        "file-size": (64 * MIB).to_string(), "mount-filesystem": "false", "smb-sharing": "false",
        "nfs-sharing": "false", "media-sharing": "false", "comment": comment,
    })
}

/// Many creates at once against the same number of raw creates in a row: the device serialises a user's requests.
fn at_once(report: &mut Report) -> Result<()> {
    let device = Device::start(&["--latency", "20ms"])?;
    let (controller, mut raw) = (device.controller()?, device.raw()?);
    let csi = &controller.csi;
    let start = Instant::now();
    let results: Vec<_> = std::thread::scope(|scope| {
        let create = |number: usize| {
            move || csi.create(&format!("at-once-{number}"), 1 << 26, &Shape::filesystem("ext4"))
        };
        let threads: Vec<_> = (0..AT_ONCE).map(|number| scope.spawn(create(number))).collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    });
    let together = start.elapsed();
    for result in results {
        result.map_err(|_| anyhow::anyhow!("a client panicked"))??;
    }
    let cluster = ClusterId::parse(CLUSTER_ID)?;
    let start = Instant::now();
    for number in 0..AT_ONCE {
        let slot = Slot::for_volume(&cluster, &format!("in-a-row-{number}"));
        raw.send("GET", &format!("/rest/disk?slot={slot}"), None)?;
        raw.send("GET", &format!("/rest/file?name=raid10/csi/{slot}.img"), None)?;
        raw.send("PUT", "/rest/disk", Some(&new_disk(&slot, "raw")))?;
    }
    let ratio = together.as_secs_f64() / start.elapsed().as_secs_f64();
    report.tell(&format!("{AT_ONCE} CreateVolume at once / raw in a row, device 20ms"), ratio, "x");
    report.tell(
        &format!("{AT_ONCE} CreateVolume at once, each"),
        median(vec![together]) / AT_ONCE as f64 * 1e3,
        "ms",
    );
    Ok(())
}
