//! Nothing outlives who started it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;
use std::{fs, thread};

use testbed::{ControlPlane, Error, Tools, wait_until};

use super::start;

/// The kernel kills within milliseconds; a busy machine may be late with the burial.
const SOON: Duration = Duration::from_secs(30);

#[test]
fn a_control_plane_ends_with_a_test_that_panics() {
    let (sender, receiver) = channel();
    let test = thread::spawn(move || {
        let api = start();
        let processes: Vec<u32> = api.processes().into_iter().filter_map(testbed::Process::id).collect();
        sender.send((processes, api.folder().to_owned())).unwrap();
        assert_eq!(api.kubectl(&["get", "nodes"]).unwrap(), "what it does not say");
    });
    let (processes, folder) = receiver.recv().unwrap();
    assert!(test.join().is_err());
    assert_eq!(processes.len(), 4);
    for process in processes {
        assert!(is_gone(process));
    }
    assert!(!folder.exists());
}

#[test]
fn a_control_plane_lives_on_when_the_thread_that_started_it_has_ended() {
    let api = thread::spawn(start).join().unwrap();
    api.kubectl(&["get", "nodes"]).unwrap();
    assert!(api.processes().into_iter().all(testbed::Process::is_running));
}

#[test]
fn a_control_plane_and_its_folder_end_with_a_process_that_is_killed_or_interrupted() {
    for signal in ["KILL", "INT"] {
        let temporary = tempfile::tempdir().unwrap();
        let (mut owner, processes) = somebody(temporary.path());
        assert_eq!(processes.len(), 4);
        assert!(processes.iter().all(|process| !is_gone(*process)));
        assert_ne!(fs::read_dir(temporary.path()).unwrap().count(), 0);
        let sent = Command::new("kill").args([format!("-{signal}"), owner.id().to_string()]).status();
        assert!(sent.unwrap().success());
        owner.wait().unwrap();
        wait_until(&format!("SIG{signal} leaves nothing"), SOON, || {
            let left = fs::read_dir(temporary.path()).unwrap().count();
            Ok((left == 0 && processes.iter().all(|process| is_gone(*process))).then_some(()))
        })
        .unwrap();
    }
}

#[test]
fn tools_that_are_not_there_are_an_error_and_nothing_is_skipped() {
    let temporary = tempfile::tempdir().unwrap();
    let output = command(temporary.path()).env("TESTBED_TOOLS", temporary.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(
        said.contains("kubectl is not in TESTBED_TOOLS") && said.contains("cargo xtask test api"),
        "{said}"
    );
}

#[test]
fn a_server_that_ends_at_its_start_is_an_error_with_its_log() {
    let options =
        testbed::Options { api_server: vec!["--no-such-flag".into()], ..testbed::Options::default() };
    let error = ControlPlane::start_with(&Tools::from_environment().unwrap(), &options).unwrap_err();
    assert!(matches!(error, Error::Ended { .. }), "{error}");
    assert!(error.to_string().contains("unknown flag: --no-such-flag"), "{error}");
}

/// This crate's own program with a control plane, and the control plane's processes.
fn somebody(temporary: &Path) -> (Child, Vec<u32>) {
    let mut owner = command(temporary).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(owner.stderr.take().unwrap()).lines().map_while(Result::ok);
    let process = |line: String| line.split_once(" is process ")?.1.parse().ok();
    let processes = lines.take_while(|line| !line.starts_with("ready")).filter_map(process).collect();
    (owner, processes)
}

fn command(temporary: &Path) -> Command {
    // A test run in the background of a shell ignores SIGINT, and so would what it starts.
    let mut command = Command::new("env");
    command.args(["--default-signal=INT", env!("CARGO_BIN_EXE_testbed")]).env("TMPDIR", temporary);
    command.stdout(Stdio::null());
    command
}

/// True if there is no such process, or only its entry in the table.
fn is_gone(process: u32) -> bool {
    let state = fs::read_to_string(format!("/proc/{process}/stat"));
    state.map_or(true, |state| state.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")))
}
