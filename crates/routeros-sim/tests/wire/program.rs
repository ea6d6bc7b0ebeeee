//! `rds-sim` as a process.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

#[test]
fn the_program_says_where_it_serves_and_ends_in_good_order_on_sigterm() {
    let state = tempfile::tempdir().unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_rds-sim"))
        .args(["--http", "127.0.0.1:0", "--control", "127.0.0.1:0", "--data-plane", "none", "--state"])
        .arg(state.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(program.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    for address in ["http", "https", "control"] {
        assert!(std::net::TcpStream::connect(ready[address].as_str().unwrap()).is_ok(), "{address}");
    }
    assert_eq!(ready["fingerprint"].as_str().unwrap().len(), 64);
    let certificate = std::fs::read_to_string(ready["certificate"].as_str().unwrap()).unwrap();
    assert!(certificate.starts_with("-----BEGIN CERTIFICATE-----"));
    let id = rustix::process::Pid::from_child(&program);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert!(program.wait().unwrap().success());
}

#[test]
fn what_the_program_cannot_do_it_says_in_one_line() {
    let cases = [
        (["--assume", "slot-length=33"], "it can be: 32, 40, none"),
        (
            ["--assume", "weather=fine"],
            "no assumption is called `weather`; there are: slot-length, duplicate-slot",
        ),
        (["--control", "0.0.0.0:0"], "must be on a loopback address, not 0.0.0.0:0"),
        (["--pool", "raid10"], "is not of the form slot:size[:fs[:type]]"),
    ];
    for (flags, reason) in cases {
        let output = Command::new(env!("CARGO_BIN_EXE_rds-sim"))
            .args(flags)
            .args(["--data-plane", "none"])
            .env_remove("RUST_BACKTRACE")
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(reason), "{flags:?}: {said}");
        assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{flags:?}: {said}");
    }
}
