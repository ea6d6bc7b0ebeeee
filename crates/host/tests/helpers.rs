//! Helper processes of the real dispatcher: abandoned, joined, taken over by the next driver.
//!
//! A FIFO in the place of a device is what hangs: opening it waits for a writer.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use host::linux::{Config, Linux};
use host::{Block, Connection, Device, ErrorKind, Host, Nvme, Range, Volume};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::Instant;
use volume::{HostIdentity, Nqn, Slot, Tunables};

struct Bench {
    root: TempDir,
    linux: Linux,
}

fn linux(root: &Path) -> Linux {
    Linux::new(Config {
        helper: env!("CARGO_BIN_EXE_host-test-helper").into(),
        arguments: Vec::new(),
        runtime: root.join("run"),
        sys: root.join("sys"),
        dev: root.join("dev"),
    })
    .unwrap()
}

impl Bench {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("sys/class")).unwrap();
        std::fs::create_dir(root.path().join("dev")).unwrap();
        let made = std::process::Command::new("mkfifo").arg(root.path().join("dev/nvme7n1")).status();
        assert!(made.unwrap().success());
        let linux = linux(root.path());
        Self { root, linux }
    }

    /// Lets the helper that waits for a writer go on.
    fn let_go(&self) {
        drop(
            std::fs::File::options()
                .read(true)
                .write(true)
                .open(self.root.path().join("dev/nvme7n1"))
                .unwrap(),
        );
    }
}

fn fifo() -> Device {
    Device { name: "nvme7n1".into(), major: 259, minor: 7 }
}

fn within(slot: &Slot, time: Duration) -> Volume<'_> {
    Volume { slot, deadline: Instant::now() + time }
}

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_hung_helper_is_abandoned_and_its_volume_waits_while_others_go_on() {
    let bench = Bench::new();
    let (slot, other) = (Slot::parse("a").unwrap(), Slot::parse("b").unwrap());
    for _ in 0..2 {
        let abandoned = bench.linux.flush(within(&slot, SHORT), &fifo()).await.unwrap_err();
        assert_eq!(abandoned.kind, ErrorKind::Abandoned, "{abandoned}");
    }
    let stuck = bench.linux.stuck();
    assert_eq!((stuck.len(), stuck[0].operation.as_str(), &stuck[0].slot), (1, "flush", &slot));
    assert!(stuck[0].pid.is_some(), "one helper, found by both calls");
    let range = Range { offset: 0, length: 4096 };
    let pending = bench.linux.read(within(&slot, SHORT), &fifo(), range).await.unwrap_err();
    assert_eq!(pending.kind, ErrorKind::Pending, "{pending}");
    bench.linux.disconnect(within(&slot, LONG), "nqn.test:vol").await.unwrap();
    let missing = Device { name: "none".into(), ..fifo() };
    assert_eq!(bench.linux.flush(within(&other, LONG), &missing).await.unwrap_err().kind, ErrorKind::Missing);
    bench.let_go();
    bench.linux.join(within(&slot, LONG)).await.unwrap();
    assert_eq!(bench.linux.stuck(), []);
}

#[tokio::test]
async fn the_next_driver_finds_what_hangs_and_has_its_answer() {
    let bench = Bench::new();
    let slot = Slot::parse("a").unwrap();
    bench.linux.flush(within(&slot, SHORT), &fifo()).await.unwrap_err();
    let next = linux(bench.root.path());
    assert_eq!(next.stuck(), bench.linux.stuck());
    assert_eq!(next.join(within(&slot, SHORT)).await.unwrap_err().kind, ErrorKind::Abandoned);
    let device = fifo();
    let (joined, ()) = tokio::join!(next.flush(within(&slot, LONG), &device), async { bench.let_go() });
    // The helper's own answer: what it opened at last is no block device.
    assert_eq!(joined.unwrap_err().kind, ErrorKind::Missing);
    assert_eq!(linux(bench.root.path()).stuck(), []);
}

#[tokio::test]
async fn a_helper_that_is_killed_is_an_error_and_not_a_success() {
    let bench = Bench::new();
    let slot = Slot::parse("a").unwrap();
    bench.linux.flush(within(&slot, SHORT), &fifo()).await.unwrap_err();
    let pid = bench.linux.stuck()[0].pid.unwrap();
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL).unwrap();
    let died = bench.linux.flush(within(&slot, LONG), &fifo()).await.unwrap_err();
    assert_eq!(died.kind, ErrorKind::Refused(None));
    assert!(died.message.contains("died"), "{died}");
}

#[tokio::test]
async fn a_node_without_nvme_over_tcp_says_what_to_load() {
    let bench = Bench::new();
    let connection = Connection {
        nqn: Nqn::parse("nqn.test:vol").unwrap(),
        address: "127.0.0.1:4420".parse().unwrap(),
        host: HostIdentity::from_id(uuid::Uuid::nil()),
        tunables: Tunables::default(),
    };
    let slot = Slot::parse("a").unwrap();
    let refused = bench.linux.connect(within(&slot, LONG), &connection).await.unwrap_err();
    assert!(refused.message.contains("nvme_tcp"), "{refused}");
    assert_eq!(bench.linux.subsystems().await.unwrap(), []);
    bench.linux.disconnect(within(&slot, LONG), "nqn.test:vol").await.unwrap();
}
