//! What each path of the control port does.

use std::collections::BTreeMap;

use http::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Answer;
use crate::device::disk::traffic::Traffic;
use crate::fault::Fault;
use crate::simulator::{Handle, Reboot};

/// `POST /pool-full`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolFull {
    pool: String,
    full: bool,
}

/// `POST /clock`: one of both.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
enum Clock {
    /// Seconds since 1970.
    Set(i64),
    /// Seconds to move it by.
    Skew(i64),
}

/// `POST /seed`: rows of `/disk`, as they would be set, with `.id` where it matters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Seed {
    disks: Vec<BTreeMap<String, String>>,
}

/// `POST /traffic`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MoreTraffic {
    slot: String,
    more: Traffic,
}

/// `POST /latency`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Latency {
    millis: u64,
}

/// Serves one request.
pub(super) async fn route(handle: &Handle, method: &Method, path: &str, body: &[u8]) -> Answer {
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let done = match (method, segments.as_slice()) {
        (&Method::GET, ["state"]) => Ok(state(handle)),
        (&Method::GET, ["requests"]) => {
            Ok(json!({ "count": handle.faults().count(), "requests": handle.faults().requests() }))
        }
        (&Method::DELETE, ["requests"]) => {
            handle.faults().forget_requests();
            Ok(json!({}))
        }
        (&Method::GET, ["faults"]) => Ok(handle.faults().with_active(|active| json!(active))),
        (&Method::POST, ["faults"]) => {
            parsed(body).map(|fault: Fault| json!({ "id": handle.faults().inject(fault) }))
        }
        (&Method::DELETE, ["faults"]) => Ok(json!({ "released": handle.faults().release(None) })),
        (&Method::DELETE, ["faults", id]) => return release(handle, id),
        (&Method::POST, ["pool-full"]) => parsed(body).map(|asked: PoolFull| {
            handle.set_pool_full(&asked.pool, asked.full);
            json!({})
        }),
        (&Method::POST, ["traffic"]) => parsed(body).and_then(|asked: MoreTraffic| {
            let added = handle.add_traffic(&asked.slot, &asked.more);
            added.map(|()| json!({})).map_err(|error| error.to_string())
        }),
        (&Method::POST, ["latency"]) => parsed(body).map(|asked: Latency| {
            handle.set_latency(std::time::Duration::from_millis(asked.millis));
            json!({})
        }),
        (&Method::POST, ["seed"]) => parsed(body).and_then(|asked| seed(handle, &asked)),
        (&Method::POST, ["clock"]) => parsed(body).and_then(|asked| clock(handle, &asked)),
        (&Method::POST, ["reboot"]) => match parsed::<Reboot>(body) {
            Ok(how) => handle.reboot(how).await.map(|()| json!({})).map_err(|error| error.to_string()),
            Err(error) => Err(error),
        },
        (&Method::GET, ["assumptions"]) => Ok(assumptions(handle)),
        (&Method::POST, ["assumptions"]) => parsed(body).and_then(|answers| assume(handle, &answers)),
        _ => return Answer::error(404, "no such place on the control port; see the README"),
    };
    done.map_or_else(|message| Answer::error(400, &message), Answer::ok)
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

fn state(handle: &Handle) -> Value {
    json!({
        "disks": handle.disks(),
        "files": handle.files(),
        "exports": handle.exports(),
        "sessions": handle.sessions(),
        "clock": handle.now(),
        "data-plane": handle.data_plane(),
    })
}

fn release(handle: &Handle, id: &str) -> Answer {
    match id.parse::<u64>().ok().map(|id| handle.faults().release(Some(id))) {
        Some(released) if released > 0 => Answer::ok(json!({ "released": released })),
        _ => Answer::error(404, "no such fault"),
    }
}

fn seed(handle: &Handle, asked: &Seed) -> Result<Value, String> {
    for disk in &asked.disks {
        let row: Vec<(&str, &str)> = disk.iter().map(|(name, value)| (&**name, &**value)).collect();
        handle.seed_disk(&row).map_err(|error| error.to_string())?;
    }
    Ok(json!({ "seeded": asked.disks.len() }))
}

fn clock(handle: &Handle, asked: &Clock) -> Result<Value, String> {
    let skew = match asked {
        Clock::Set(seconds) => seconds.saturating_sub(handle.now()),
        Clock::Skew(seconds) => *seconds,
    };
    handle.skew_clock(skew).map_err(|error| error.to_string())?;
    Ok(json!({ "clock": handle.now() }))
}

fn assumptions(handle: &Handle) -> Value {
    handle.assumptions().values().into_iter().collect::<BTreeMap<_, _>>().into_iter().collect::<Value>()
}

fn assume(handle: &Handle, answers: &BTreeMap<String, String>) -> Result<Value, String> {
    for (name, value) in answers {
        handle.assume(name, value).map_err(|error| error.to_string())?;
    }
    Ok(assumptions(handle))
}
