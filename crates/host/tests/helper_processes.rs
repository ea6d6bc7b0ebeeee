//! Helper processes of the real dispatcher: abandoned, joined, taken over by the next driver.
//!
//! A FIFO in the place of a device is what hangs: opening it waits for a writer.
#![allow(clippy::disallowed_methods, reason = "test support makes what is tested on")]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use host::linux::{Config, Linux};
use host::{Block, Connection, Device, ErrorKind, Host, Nvme, Range, Volume};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
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
        cgroup: None,
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

    /// Lets the helper that waits for a writer go on, or that is about to wait.
    async fn let_go(&self) {
        let fifo = self.root.path().join("dev/nvme7n1");
        let met =
            tokio::task::spawn_blocking(move || std::fs::File::options().write(true).open(fifo).map(drop));
        tokio::time::timeout(LONG, met).await.unwrap().unwrap().unwrap();
    }
}

fn fifo() -> Device {
    Device { name: "nvme7n1".into(), major: 259, minor: 7, nqn: None }
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
    bench.let_go().await;
    bench.linux.join(within(&slot, LONG)).await.unwrap();
    assert_eq!(bench.linux.stuck(), []);
}

/// A runtime of its own for a driver that ends: its tasks and its sockets end with it.
fn life() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[test]
fn the_next_driver_finds_what_hangs_and_has_its_answer() {
    let slot = Slot::parse("a").unwrap();
    let (first, second) = (life(), life());
    let bench = first.block_on(async {
        let bench = Bench::new();
        bench.linux.flush(within(&slot, SHORT), &fifo()).await.unwrap_err();
        bench
    });
    let stuck = bench.linux.stuck();
    first.shutdown_background();
    second.block_on(async {
        let next = linux(bench.root.path());
        assert_eq!(next.stuck(), stuck);
        assert_eq!(next.join(within(&slot, SHORT)).await.unwrap_err().kind, ErrorKind::Abandoned);
        let device = fifo();
        let (joined, ()) = tokio::join!(next.flush(within(&slot, LONG), &device), bench.let_go());
        // The helper's own answer: what it opened at last is no block device.
        let joined = joined.unwrap_err();
        assert_eq!(joined.kind, ErrorKind::Missing);
        assert!(joined.message.contains("is now"), "{joined}");
        assert_eq!(linux(bench.root.path()).stuck(), []);
    });
}

/// The process that serves a burst, found as people would.
fn serving(bench: &Bench) -> Vec<Pid> {
    let requests = bench.root.path().join("run/helpers");
    let all = std::fs::read_dir("/proc").unwrap();
    let pids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let reads = |pid: &i32| {
        std::fs::read_link(format!("/proc/{pid}/fd/0")).is_ok_and(|stdin| stdin.starts_with(&requests))
    };
    pids.filter(reads).filter_map(Pid::from_raw).collect()
}

/// Waits for the end of a process, without keeping the driver's tasks from running.
async fn ended(exit: OwnedFd) {
    let waited = tokio::task::spawn_blocking(move || poll(&mut [PollFd::new(&exit, PollFlags::IN)], None));
    tokio::time::timeout(LONG, waited).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_burst_of_operations_has_one_helper_that_ends_with_it() {
    let bench = Bench::new();
    let slot = Slot::parse("a").unwrap();
    let missing = Device { name: "none".into(), ..fifo() };
    let mut served = Vec::new();
    for _ in 0..3 {
        bench.linux.flush(within(&slot, LONG), &missing).await.unwrap_err();
        served.extend(serving(&bench));
        bench.linux.disconnect(within(&slot, LONG), "nqn.test:vol").await.unwrap();
        served.extend(serving(&bench));
    }
    assert_eq!(served.len(), 6);
    assert!(served.iter().all(|pid| *pid == served[0]), "{served:?}");
    bench.linux.join(within(&slot, SHORT)).await.unwrap();
    let exit = pidfd_open(served[0], PidfdFlags::empty()).unwrap();
    ended(exit).await;
    assert_eq!(std::fs::read_dir(bench.root.path().join("run/helpers")).unwrap().count(), 0);
}

#[test]
fn a_helper_that_waits_ends_with_its_driver_and_its_answer_is_nobodys() {
    let slot = Slot::parse("a").unwrap();
    let (first, second) = (life(), life());
    let mut bench = first.block_on(async {
        let bench = Bench::new();
        let missing = Device { name: "none".into(), ..fifo() };
        bench.linux.flush(within(&slot, LONG), &missing).await.unwrap_err();
        bench
    });
    first.shutdown_background();
    second.block_on(async {
        bench.linux = linux(bench.root.path());
        bench.linux.join(within(&slot, LONG)).await.unwrap();
        assert!(serving(&bench).is_empty());
        let abandoned = bench.linux.flush(within(&slot, SHORT), &fifo()).await.unwrap_err();
        assert_eq!(abandoned.kind, ErrorKind::Abandoned, "asked anew: {abandoned}");
        bench.let_go().await;
        bench.linux.join(within(&slot, LONG)).await.unwrap();
    });
}

#[tokio::test]
async fn a_helper_that_was_killed_while_it_waited_is_replaced() {
    let bench = Bench::new();
    let slot = Slot::parse("a").unwrap();
    for _ in 0..2 {
        bench.linux.disconnect(within(&slot, LONG), "nqn.test:vol").await.unwrap();
        let pid = serving(&bench)[0];
        let exit = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
        ended(exit).await;
    }
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
