//! The one door to host processes.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;

use crate::{Error, Result};

/// Runs a program to its end and returns its standard output.
pub(crate) fn output(program: &str, arguments: &[&str], directory: Option<&Path>) -> Result<Vec<u8>> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    if let Some(directory) = directory {
        command.current_dir(directory);
    }
    let line = format!("{program} {}", arguments.join(" "));
    let output = command.output().map_err(Error::host(&line))?;
    succeeded(line, output)
}

/// Runs a program to its end with this input and returns its standard output.
pub(crate) fn filter(program: &str, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>> {
    let line = format!("{program} {}", arguments.join(" "));
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(Error::host(&line))?;
    let stdin = child.stdin.take();
    let output = thread::scope(|scope| {
        // A program that ends early takes no more: its status tells.
        scope.spawn(move || stdin.map(|mut pipe| pipe.write_all(input)));
        child.wait_with_output()
    });
    succeeded(line.clone(), output.map_err(Error::host(line))?)
}

fn succeeded(program: String, output: Output) -> Result<Vec<u8>> {
    if output.status.success() {
        return Ok(output.stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Program { program, status: output.status, stderr })
}

/// As [`output`], as text.
pub(crate) fn text(program: &str, arguments: &[&str]) -> Result<String> {
    output(program, arguments, None).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Starts processes that the kernel kills when this process ends, however it ends.
///
/// The kernel's parent-death signal follows the *thread* that started the process. So one thread starts them
/// all and lives as long as its keeper, whichever short-lived thread asks.
#[derive(Debug)]
pub(crate) struct Keeper {
    requests: mpsc::Sender<Request>,
}

#[derive(Debug)]
struct Request {
    command: Command,
    answer: mpsc::SyncSender<io::Result<Child>>,
}

impl Keeper {
    /// Starts the thread.
    pub(crate) fn new() -> Self {
        let (requests, inbox) = mpsc::channel::<Request>();
        thread::spawn(move || {
            for mut request in inbox {
                // Who asked waits for the answer.
                let _ = request.answer.send(request.command.spawn());
            }
        });
        Self { requests }
    }

    /// Starts a program in a directory and in a process group of its own (a Ctrl-C on the terminal reaches only
    /// us; our end then ends it), its output piped.
    ///
    /// Between the fork and the parent-death signal's arming we may have died: the shell asks who its parent is.
    pub(crate) fn spawn(&self, program: &str, arguments: &[String], directory: &Path) -> Result<Child> {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "sh", "-c", r#"[ "$PPID" = "$0" ] && exec "$@""#])
            .arg(std::process::id().to_string())
            .arg(program)
            .args(arguments)
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let (answer, outcome) = mpsc::sync_channel(1);
        let gone = || Error::host(program)(io::Error::other("the keeper's thread has ended"));
        self.requests.send(Request { command, answer }).map_err(|_| gone())?;
        outcome.recv().map_err(|_| gone())?.map_err(Error::host(program))
    }
}
