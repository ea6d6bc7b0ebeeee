//! Builds the guest's agent, a program of its own, and leaves it where `include_bytes!` finds it: a test
//! binary of any crate then carries it, whatever that crate was built for.
#![expect(
    clippy::disallowed_methods,
    reason = "a build script is started with its configuration in the environment"
)]

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=src/agent/main.rs");
    println!("cargo::rerun-if-changed=src/wire.rs");
    let variable = |name: &str| env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"));
    let out = PathBuf::from(variable("OUT_DIR")).join("agent");
    // Static, so that nothing which a test puts into its guest can keep the agent from starting.
    let status = Command::new(variable("RUSTC"))
        .args(["--edition=2024", "--crate-name=microvm_agent", "-Copt-level=s", "-Cstrip=symbols"])
        .args(["-Cpanic=abort", "-Ctarget-feature=+crt-static", "--target", &variable("TARGET")])
        .arg("-o")
        .arg(&out)
        .arg("src/agent/main.rs")
        .status()
        .expect("rustc starts");
    assert!(status.success(), "the guest's agent does not compile");
}
