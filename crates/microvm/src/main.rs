//! `microvm 6.1|6.12 COMMAND`: runs a shell command in a fresh guest, says on standard error how long the boot
//! took, and ends with the command's exit code. To try something on a real kernel by hand.

use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, io};

use io::Write;
use microvm::{Error, GIB, Kernel, Lab, Output, Result};

/// Nobody waits longer for a command by hand.
const LONGEST: Duration = Duration::from_secs(3600);

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [version, command] = &arguments[..] else {
        eprintln!("usage: microvm 6.1|6.12 COMMAND");
        return ExitCode::from(2);
    };
    match run(version, command) {
        Ok(output) => {
            // A reader that has gone wants no more.
            let _ =
                io::stdout().write_all(&output.stdout).and_then(|()| io::stderr().write_all(&output.stderr));
            output
                .status
                .code()
                .and_then(|code| u8::try_from(code).ok())
                .map_or(ExitCode::FAILURE, ExitCode::from)
        }
        Err(error) => {
            eprintln!("microvm: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(version: &str, command: &str) -> Result<Output> {
    let kernel = Kernel::ALL.into_iter().find(|kernel| kernel.version() == version);
    let kernel = kernel.ok_or_else(|| Error::Provision(format!("no kernel {version:?}: 6.1 or 6.12")))?;
    let started = Instant::now();
    let guest = Lab::new(kernel)?.guest("guest").disk("scratch", GIB).boot()?;
    let process = guest.process_id().unwrap_or_default();
    eprintln!("microvm: up after {:.1} s, QEMU is process {process}", started.elapsed().as_secs_f32());
    guest.command(command).deadline(LONGEST).run()
}
