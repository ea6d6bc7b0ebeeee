//! A program in the background that never outlives this process, with its log in a file.

mod keeper;

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Error, Result};

/// The pause between two looks at a condition that no event tells of is as long as the look was, so that one that
/// costs a process does not take the core that it waits for; and between these two.
const PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(500)];
/// How many lines of a log are shown where something failed, where the launch does not say.
const TAIL_LINES: usize = 40;

/// What to start.
#[derive(Clone, Debug)]
pub struct Launch {
    name: String,
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    tail: usize,
}

impl Launch {
    /// A program, under the name that its log and errors have.
    #[must_use]
    pub fn new(name: &str, program: &Path) -> Self {
        Self {
            name: name.to_owned(),
            program: program.to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            tail: TAIL_LINES,
        }
    }

    /// Appends an argument.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Appends arguments.
    #[must_use]
    pub fn arguments<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Shows so many lines of its log where something failed.
    #[must_use]
    pub fn tail(mut self, lines: usize) -> Self {
        self.tail = lines;
        self
    }

    /// Starts it; its log is `NAME.log` in the folder.
    ///
    /// # Errors
    /// Where the log cannot be written or the program not be started.
    pub fn start(self, folder: &Path) -> Result<Process> {
        let log = folder.join(format!("{}.log", self.name));
        let process = Process { launch: self, log, child: Mutex::default() };
        process.start()?;
        Ok(process)
    }

    /// The command. It has a process group of its own: a Ctrl-C on the terminal reaches only us, and our end is
    /// its end. Between the fork and the parent-death signal's arming we may have died, so the shell asks who its
    /// parent is.
    fn command(&self, log: File) -> Result<Command> {
        let failed = || Error::host(format!("the log of {}", self.name));
        let command = &mut Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "sh", "-c", r#"[ "$PPID" = "$0" ] && exec "$@""#])
            .arg(std::process::id().to_string())
            .arg(&self.program)
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(failed())?)
            .stderr(log)
            .process_group(0);
        Ok(std::mem::replace(command, Command::new("true")))
    }
}

/// A program in the background. It is killed when this is dropped and when this process ends, however it ends.
#[derive(Debug)]
pub struct Process {
    launch: Launch,
    log: PathBuf,
    child: Mutex<Option<Child>>,
}

impl Process {
    /// Starts it again with the same arguments, after [`Process::kill`] or its own end; its log goes on.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(&self) -> Result<()> {
        self.kill();
        let failed = |what: &Path| Error::host(what.display().to_string());
        let log = OpenOptions::new().create(true).append(true).open(&self.log).map_err(failed(&self.log))?;
        let child = keeper::spawn(self.launch.command(log)?).map_err(failed(&self.launch.program))?;
        *self.lock() = Some(child);
        Ok(())
    }

    /// SIGKILLs it and waits for its end; nothing where it has ended.
    pub fn kill(&self) {
        if let Some(mut child) = self.lock().take() {
            // Already gone is as good as killed.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGTERMs it and waits for its end.
    ///
    /// # Errors
    /// [`Error::Late`] where it goes on: it is killed then.
    pub fn terminate(&self, within: Duration) -> Result<()> {
        self.signal(Signal::TERM)?;
        let ended = wait_until(&format!("{} ends at SIGTERM", self.name()), within, || {
            Ok((!self.is_running()).then_some(()))
        });
        self.kill();
        ended
    }

    /// Stops it where it is (SIGSTOP): its connections stay and nobody answers.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Its process id; `None` where it was killed.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.lock().as_ref().map(Child::id)
    }

    /// Whether it has not ended.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.lock().is_some() && self.ended().is_none()
    }

    /// The name it was launched under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.launch.name
    }

    /// What it has said, since the first start.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Waits until a condition gives a value, for as long as the process runs.
    ///
    /// # Errors
    /// [`Error::Late`], [`Error::Ended`] with the end of the log, and what the condition fails with.
    pub fn wait_until<T>(
        &self,
        what: &str,
        within: Duration,
        mut condition: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let met = wait_until(&format!("{}: {what}", self.name()), within, || match self.ended() {
            None => condition(),
            Some(status) => Err(Error::Ended {
                name: self.name().to_owned(),
                status: status.to_string(),
                what: what.to_owned(),
                log: self.tail(),
            }),
        });
        met.map_err(|error| match error {
            Error::Late { what, within, .. } => Error::Late { what, within, last: self.tail() },
            other => other,
        })
    }

    /// Waits until its log has these words.
    ///
    /// # Errors
    /// As [`Process::wait_until`].
    pub fn wait_for_log(&self, words: &str, within: Duration) -> Result<()> {
        self.wait_until(&format!("logs {words:?}"), within, || Ok(self.log().contains(words).then_some(())))
    }

    fn ended(&self) -> Option<ExitStatus> {
        self.lock().as_mut().and_then(|child| child.try_wait().ok().flatten())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let id = self.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let sent = id.ok_or(rustix::io::Errno::SRCH).and_then(|id| kill_process(id, signal));
        sent.map_err(|error| Error::host(format!("{signal:?} to {}", self.name()))(error.into()))
    }

    fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(self.launch.tail)..].join("\n")
    }

    /// A test that panicked while it held the lock must still be able to end its processes.
    fn lock(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- end of the log of {} ---\n{}", self.name(), self.tail());
        }
    }
}

/// Looks again and again until there is a value.
///
/// # Errors
/// [`Error::Late`], and what the condition fails with.
pub fn wait_until<T>(
    what: &str,
    within: Duration,
    mut condition: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        let look = Instant::now();
        if let Some(value) = condition()? {
            return Ok(value);
        }
        let pause = look.elapsed().clamp(PAUSES[0], PAUSES[1]);
        if start.elapsed() > within {
            return Err(Error::Late { what: what.to_owned(), within, last: String::new() });
        }
        std::thread::sleep(pause);
    }
}
