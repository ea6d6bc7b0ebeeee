//! No guest outlives who booted it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use microvm::{Kernel, Lab};

/// The kernel kills within milliseconds; a busy machine may be late with the burial.
const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_guest_ends_with_a_test_that_panics() {
    let lab = Lab::new(Kernel::V6_1).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    let test = thread::spawn(move || {
        let guest = lab.guest("one").boot().unwrap();
        sender.send(guest.process_id().unwrap()).unwrap();
        assert_eq!(guest.sh("echo as expected").unwrap(), "by nobody");
    });
    let process = receiver.recv().unwrap();
    assert!(test.join().is_err());
    assert!(is_gone(process));
}

#[test]
fn a_guest_lives_on_when_the_thread_that_booted_it_has_ended() {
    let lab = Lab::new(Kernel::V6_1).unwrap();
    let guest = thread::spawn(move || lab.guest("one").boot().unwrap()).join().unwrap();
    assert_eq!(guest.sh("echo alive").unwrap(), "alive");
}

#[test]
fn a_guest_that_cannot_boot_says_so_with_its_console_and_is_ended() {
    let lab = Lab::new(Kernel::V6_1).unwrap();
    // Without an /init of ours the kernel finds nothing to run.
    let error = lab.guest("one").file("/init", 0o755, "#!/bin/sh\nexit 3\n").boot().unwrap_err().to_string();
    assert!(error.contains("ended while it booted") && error.contains("Kernel panic"), "{error}");
}

#[test]
fn a_guest_ends_with_a_process_that_is_killed_or_interrupted() {
    for signal in ["KILL", "INT"] {
        let temporary = tempfile::tempdir().unwrap();
        let (mut owner, qemu) = somebody_with_a_guest(temporary.path());
        assert!(!is_gone(qemu));
        let sent =
            Command::new("kill").args([format!("-{signal}"), owner.id().to_string()]).status().unwrap();
        assert!(sent.success());
        owner.wait().unwrap();
        let deadline = Instant::now() + SOON;
        while !is_gone(qemu) {
            assert!(Instant::now() < deadline, "QEMU {qemu} outlives its owner's SIG{signal}");
            thread::yield_now();
        }
    }
}

#[test]
fn what_a_killed_process_left_on_the_disk_is_removed_by_the_next_lab() {
    let temporary = tempfile::tempdir().unwrap();
    let (mut owner, _) = somebody_with_a_guest(temporary.path());
    let left = temporary.path().join(format!("microvm-{}-0", owner.id()));
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(left.join("1-guest/scratch.img").exists());
    let mut next = somebody(temporary.path(), "true");
    assert!(next.wait().unwrap().success());
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}

/// This crate's own program with a guest, and that guest's process.
fn somebody_with_a_guest(temporary: &Path) -> (Child, u32) {
    let mut owner = somebody(temporary, "sleep 1000");
    let lines = BufReader::new(owner.stderr.take().unwrap()).lines();
    let up = lines.map_while(Result::ok).find(|line| line.contains("QEMU is process")).unwrap();
    (owner, up.rsplit(' ').next().unwrap().parse().unwrap())
}

fn somebody(temporary: &Path, command: &str) -> Child {
    // A test run in the background of a shell ignores SIGINT, and so would what it starts.
    Command::new("env")
        .args(["--default-signal=INT", env!("CARGO_BIN_EXE_microvm"), "6.1", command])
        .env("TMPDIR", temporary)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// True if there is no such process, or only its entry in the table.
fn is_gone(process: u32) -> bool {
    let state = fs::read_to_string(format!("/proc/{process}/stat"));
    state.map_or(true, |state| state.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")))
}
