//! A moment of the controller's work at which it is killed: one of its requests is held at the device.

use std::fmt::{self, Display, Formatter};
use std::thread;
use std::time::Duration;

use scenarios::{Made, Rds, System, http};
use serde_json::{Value, json};
use tonic::Status;
use volume::Record;

/// A call comes to its request within seconds, and 5 s later where it settles first; guests are slow.
const COMES: Duration = Duration::from_secs(120);

/// The next request of that method on a path of that beginning, on one side of its effect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    method: &'static str,
    path: &'static str,
    side: &'static str,
}

impl Moment {
    /// It has not come in force, and does once it is let go: late, for whoever sent it is dead by then.
    pub(crate) const fn before(method: &'static str, path: &'static str) -> Self {
        Self { method, path, side: "before" }
    }

    /// It has come in force, and nobody hears of it.
    pub(crate) const fn after(method: &'static str, path: &'static str) -> Self {
        Self { method, path, side: "after" }
    }

    /// Makes a call, kills the controller when the request is held and what the device has of the volume is as
    /// `is_so` wants it, starts another controller and lets the request go. Answers what the device had while there was
    /// no controller.
    pub(crate) fn kill<T: Send + fmt::Debug>(
        self,
        system: &System,
        made: &Made,
        call: impl FnOnce() -> Result<T, Status> + Send,
        is_so: impl Fn(&Held) -> bool,
    ) -> Held {
        let rds = &system.rds;
        let fault = self.hold(rds);
        let held = thread::scope(|scope| {
            let call = scope.spawn(call);
            wait(&format!("{self}"), || has_met(rds, fault) && is_so(&Held::of(rds, made)));
            system.controller.process.kill();
            let failed = call.join().unwrap().unwrap_err();
            let held = Held::of(rds, made);
            eprintln!("killed {self}: {held}; the call ended with {:?}", failed.code());
            held
        });
        assert!(is_so(&held), "{held}");
        system.controller.crash_and_restart().unwrap();
        ask(rds, "DELETE", &format!("/faults/{fault}"), &Value::Null);
        system.controller.wait_until_ready(COMES).unwrap();
        held
    }

    /// Answers the number of the fault.
    fn hold(self, rds: &Rds) -> u64 {
        let matching = json!({ "method": self.method, "path": self.path });
        let fault = json!({ "action": { "hold": { "when": self.side } }, "times": 1, "match": matching });
        ask(rds, "POST", "/faults", &fault)["id"].as_u64().unwrap()
    }
}

impl Display for Moment {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        write!(to, "{} the effect of {} {}", self.side, self.method, self.path)
    }
}

/// What the device has of a volume.
#[derive(Debug)]
pub(crate) struct Held {
    /// What its row says, and whether that is exported by the row; `None`: there is no row.
    pub(crate) row: Option<(Record, bool)>,
    /// NQNs under which the kernel exports it.
    pub(crate) exports: Vec<String>,
    /// Its image, and loop devices over that.
    pub(crate) files: Vec<String>,
}

impl Held {
    /// What there is now.
    pub(crate) fn of(rds: &Rds, made: &Made) -> Self {
        let id = &made.volume.volume_id;
        let state = ask(rds, "GET", "/state", &Value::Null);
        let row = state["disks"].as_array().unwrap().iter().find(|row| row["slot"] == **id).map(|row| {
            let record = Record::parse(row["comment"].as_str().unwrap()).unwrap().unwrap();
            (record, row["nvme-tcp-export"] == "true")
        });
        let of_volume = |names: Vec<String>| names.into_iter().filter(|name| name.contains(id)).collect();
        let loops = rds.guest.sh(super::BACKING_FILES).unwrap();
        let files = rds.images().unwrap().into_iter().chain(loops.lines().map(str::to_owned));
        Self { row, exports: of_volume(rds.exports().unwrap()), files: of_volume(files.collect()) }
    }

    /// It has a row that nobody holds, exported neither by its row nor by the kernel, its generation erased.
    pub(crate) fn is_closed(&self) -> bool {
        let row = self.row.as_ref();
        let free = |(record, open): &(Record, bool)| {
            record.holders.is_empty() && record.generation.is_none() && !open
        };
        row.is_some_and(free) && self.exports.is_empty()
    }

    /// One node of no UID holds it, and it is exported under one NQN.
    pub(crate) fn is_open_to(&self, node: &str) -> bool {
        let held = |(record, open): &(Record, bool)| {
            *open && record.holders.iter().map(ToString::to_string).eq([format!("{node}/-")])
        };
        self.row.as_ref().is_some_and(held) && self.exports.len() == 1
    }

    /// Nothing at all.
    pub(crate) fn is_nothing(&self) -> bool {
        self.row.is_none() && self.exports.is_empty() && self.files.is_empty()
    }
}

impl Display for Held {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        match &self.row {
            None => write!(to, "no row")?,
            Some((record, open)) => write!(to, "a row (record {record}; exported: {open})")?,
        }
        write!(to, ", exports of the kernel: {:?}, files: {:?}", self.exports, self.files)
    }
}

fn has_met(rds: &Rds, fault: u64) -> bool {
    let faults = ask(rds, "GET", "/faults", &Value::Null);
    faults.as_array().unwrap().iter().any(|one| one["id"] == fault && one["met"] == 1)
}

fn wait(what: &str, mut condition: impl FnMut() -> bool) {
    testbed::wait_until(what, COMES, || Ok(condition().then_some(()))).unwrap();
}

/// Asks the control port.
fn ask(rds: &Rds, method: &str, path: &str, body: &Value) -> Value {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    serde_json::from_str(&http::request(rds.control(), method, path, &body).unwrap()).unwrap()
}
