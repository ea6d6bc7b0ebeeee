//! A command that runs while others do.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::Output;
use crate::guest::machine::Machine;
use crate::lock::lock;
use crate::wire::{self, Kind};
use crate::{Error, Result};

/// Bytes of input in one frame.
const CHUNK: usize = 64 * 1024;

/// A command that runs while others do. It is killed when this is dropped.
#[derive(Debug)]
pub struct Background {
    guest: String,
    command: String,
    connection: TcpStream,
    /// Frames of several threads must not mix.
    sending: Arc<Mutex<TcpStream>>,
    progress: Arc<Progress>,
}

/// What has come from the command; who waits is woken at each change.
#[derive(Debug, Default)]
struct Progress {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// How it ended, or how the connection broke.
    end: Option<std::result::Result<ExitStatus, String>>,
}

impl Background {
    pub(super) fn start(
        machine: &Machine,
        command: String,
        fields: &[String],
        deadline: Duration,
    ) -> Result<Self> {
        let mut connection = machine.connect()?;
        let start = |connection: &mut TcpStream| -> io::Result<Mutex<TcpStream>> {
            connection.set_read_timeout(Some(deadline))?;
            // A paused guest takes no input; who feeds it must not hang.
            connection.set_write_timeout(Some(deadline))?;
            wire::send(connection, Kind::Exec, &wire::join(fields))?;
            match wire::receive(connection)? {
                (Kind::Granted, _) => {}
                (_, reason) => return Err(io::Error::other(String::from_utf8_lossy(&reason).into_owned())),
            }
            connection.set_read_timeout(None)?;
            connection.try_clone().map(Mutex::new)
        };
        let sending = start(&mut connection).map_err(|source| match source.kind() {
            // A read that times out says so in either way (socket(7), SO_RCVTIMEO).
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                let (guest, command) = (machine.name().to_owned(), command.clone());
                Error::Timeout { guest, command, after: deadline, output: String::new() }
            }
            _ => machine.agent_error(&command, source),
        })?;
        let progress = Arc::new(Progress::default());
        let from_guest = connection.try_clone().map_err(Error::host("connection to the agent"))?;
        let recorder = Arc::clone(&progress);
        thread::spawn(move || recorder.record(from_guest));
        Ok(Self {
            guest: machine.name().to_owned(),
            command,
            connection,
            sending: Arc::new(sending),
            progress,
        })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// [`Error::Timeout`], after which it is killed; [`Error::Agent`] if the guest was killed meanwhile.
    pub fn wait(self, within: Duration) -> Result<Output> {
        self.wait_until(within, |state| state.end.is_some())?;
        let state = std::mem::take(&mut *lock(&self.progress.state));
        match state.end {
            Some(Ok(status)) => Ok(Output { status, stdout: state.stdout, stderr: state.stderr }),
            Some(Err(reason)) => Err(self.broken(reason)),
            None => Err(self.broken("no end".to_owned())),
        }
    }

    /// Waits until its standard output holds this text.
    ///
    /// # Errors
    /// [`Error::Timeout`]; [`Error::Agent`] if it ended without having said so.
    pub fn wait_for_stdout(&self, text: &str, within: Duration) -> Result<()> {
        let said = |state: &State| String::from_utf8_lossy(&state.stdout).contains(text);
        self.wait_until(within, |state| said(state) || state.end.is_some())?;
        if said(&lock(&self.progress.state)) {
            return Ok(());
        }
        let output = self.so_far();
        Err(self.broken(format!("ended without saying {text:?}; it said: {output}")))
    }

    /// True once it has ended, or its guest has.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        lock(&self.progress.state).end.is_some()
    }

    /// Its standard output until now.
    #[must_use]
    pub fn stdout(&self) -> Vec<u8> {
        lock(&self.progress.state).stdout.clone()
    }

    /// Its standard error until now.
    #[must_use]
    pub fn stderr(&self) -> Vec<u8> {
        lock(&self.progress.state).stderr.clone()
    }

    /// Sends a signal (by number) to its process group.
    ///
    /// # Errors
    /// [`Error::Agent`] if the guest has ended.
    pub fn signal(&self, number: u8) -> Result<()> {
        self.send(Kind::Signal, number.to_string().as_bytes())
    }

    /// Sends SIGKILL to its process group; [`Self::wait`] tells when it is gone.
    ///
    /// # Errors
    /// [`Error::Agent`] if the guest has ended.
    pub fn kill(&self) -> Result<()> {
        self.signal(9)
    }

    /// Writes to its standard input, if it was kept open ([`Command::open_stdin`](super::Command::open_stdin)).
    ///
    /// # Errors
    /// [`Error::Agent`] if the guest has ended or takes nothing.
    pub fn write_stdin(&self, bytes: &[u8]) -> Result<()> {
        bytes.chunks(CHUNK).try_for_each(|chunk| self.send(Kind::Stdin, chunk))
    }

    /// Ends its standard input.
    ///
    /// # Errors
    /// [`Error::Agent`] if the guest has ended.
    pub fn close_stdin(&self) -> Result<()> {
        self.send(Kind::Stdin, &[])
    }

    /// A command may end without reading its input, and the connection with it: its own end tells.
    pub(super) fn feed_and_close(&self, bytes: &[u8]) {
        let _ = self.write_stdin(bytes).and_then(|()| self.close_stdin());
    }

    fn send(&self, kind: Kind, payload: &[u8]) -> Result<()> {
        wire::send(&mut *lock(&self.sending), kind, payload).map_err(|error| self.broken(error.to_string()))
    }

    fn wait_until(&self, within: Duration, condition: impl Fn(&State) -> bool) -> Result<()> {
        let deadline = Instant::now() + within;
        let mut state = lock(&self.progress.state);
        while !condition(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(state);
                return Err(self.late(within));
            }
            let waited = self.progress.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    fn so_far(&self) -> String {
        let state = lock(&self.progress.state);
        format!("{}{}", String::from_utf8_lossy(&state.stdout), String::from_utf8_lossy(&state.stderr))
    }

    fn late(&self, after: Duration) -> Error {
        let (guest, command) = (self.guest.clone(), self.command.clone());
        Error::Timeout { guest, command, after, output: self.so_far() }
    }

    fn broken(&self, reason: String) -> Error {
        let (guest, command) = (self.guest.clone(), self.command.clone());
        Error::Agent { guest, command, source: io::Error::other(reason) }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // The agent kills the command when its connection ends; a guest that is gone needs no telling.
        let _ = self.connection.shutdown(Shutdown::Both);
    }
}

impl Progress {
    fn record(&self, mut from_guest: TcpStream) {
        loop {
            let frame = wire::receive(&mut from_guest);
            let mut state = lock(&self.state);
            match frame {
                Ok((Kind::Stdout, bytes)) => state.stdout.extend(bytes),
                Ok((Kind::Stderr, bytes)) => state.stderr.extend(bytes),
                Ok((Kind::Exit, status)) => state.end = Some(exit_status(&status)),
                Ok((kind, bytes)) => {
                    state.end = Some(Err(format!("{kind:?}: {}", String::from_utf8_lossy(&bytes))))
                }
                Err(error) => state.end = Some(Err(format!("connection to the agent: {error}"))),
            }
            self.changed.notify_all();
            if state.end.is_some() {
                return;
            }
        }
    }
}

fn exit_status(text: &[u8]) -> std::result::Result<ExitStatus, String> {
    let text = String::from_utf8_lossy(text);
    text.parse().map(ExitStatus::from_raw).map_err(|_| format!("{text:?} is no wait status"))
}
