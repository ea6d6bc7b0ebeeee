//! A control plane to try things on: `TESTBED_TOOLS=… testbed` prints its kubeconfig file and keeps it until it is
//! interrupted.

use std::io::Read as _;
use std::process::ExitCode;

use testbed::{ControlPlane, Tools};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("testbed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> testbed::Result<()> {
    let control_plane = ControlPlane::start(&Tools::from_environment()?)?;
    println!("export KUBECONFIG={}", control_plane.admin().kubeconfig().display());
    for process in control_plane.processes() {
        eprintln!("{} is process {}", process.name(), process.id().unwrap_or_default());
    }
    eprintln!("ready; the end of the input or Ctrl-C ends it");
    // Whatever it is, its end is the end.
    let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
    Ok(())
}
