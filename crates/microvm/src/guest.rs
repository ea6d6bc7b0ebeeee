//! A guest: boots, runs commands, is cut off, paused and killed.

mod builder;
mod command;
mod console;
mod dialer;
mod files;
mod forward;
mod link;
mod machine;
mod qemu;
mod qmp;
mod root;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

pub use builder::{GIB, GuestBuilder, MIB};
pub use command::{Background, Command, Output};
pub use dialer::Dialer;
pub use forward::Forward;
pub use link::Link;
use machine::Machine;
pub use qemu::HOST;

use crate::Result;

/// A guest with a real kernel.
///
/// ```text
///   boot ──► running ◄──resume── paused
///              │ ▲ └────pause──────▲
///         kill │ │ boot_again
///              ▼ │
///            off (disks are kept)
/// ```
///
/// Dropping it ends its QEMU and waits for that; if a panic is under way, the end of its console is printed
/// first. If this process is killed, the kernel ends QEMU.
#[derive(Debug)]
pub struct Guest {
    machine: Arc<Machine>,
}

impl Guest {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.machine.name()
    }

    /// Its address in the data network (`10.77.0.0/24`).
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.machine.address()
    }

    /// Its console's log, of all its boots; removed with the lab.
    #[must_use]
    pub fn console_log(&self) -> &Path {
        self.machine.console().path()
    }

    /// The last lines of its console.
    #[must_use]
    pub fn console_tail(&self) -> String {
        self.machine.console().tail()
    }

    /// QEMU's process id while the guest is running, paused or not.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.machine.process_id()
    }

    /// How long its last boot took, from QEMU's start until it took commands; none while it is off.
    #[must_use]
    pub fn boot_time(&self) -> Option<Duration> {
        self.machine.boot_time()
    }

    /// A shell command to be configured: input, environment, deadline.
    pub fn command(&self, line: &str) -> Command<'_> {
        Command::new(&self.machine, line)
    }

    /// Runs a shell command to its end, for [`Command::DEADLINE`] at most.
    ///
    /// # Errors
    /// [`crate::Error::Timeout`], and what [`Command::spawn`] says; a status other than 0 is no error.
    pub fn run(&self, line: &str) -> Result<Output> {
        self.command(line).run()
    }

    /// Runs a shell command that has to succeed; returns its standard output without the last line's end.
    ///
    /// # Errors
    /// As [`Self::run`], and [`crate::Error::Failed`] for a status other than 0.
    pub fn sh(&self, line: &str) -> Result<String> {
        let output = self.run(line)?;
        let output = self.succeeded(line.to_owned(), output)?;
        Ok(output.stdout_text().trim_end_matches('\n').to_owned())
    }

    /// Starts a shell command, which is killed when the value is dropped.
    ///
    /// # Errors
    /// As [`Command::spawn`].
    pub fn spawn(&self, line: &str) -> Result<Background> {
        self.command(line).spawn()
    }

    /// Its place at the data network.
    #[must_use]
    pub fn link(&self) -> Link<'_> {
        Link::new(&self.machine)
    }

    /// Stops its processors: the guest hears, says and notices nothing until [`Self::resume`].
    ///
    /// # Errors
    /// [`crate::Error::NotRunning`], [`crate::Error::Monitor`].
    pub fn pause(&self) -> Result<()> {
        self.machine.monitor("stop", &serde_json::json!({})).map(drop)
    }

    /// Lets its processors run on.
    ///
    /// # Errors
    /// [`crate::Error::NotRunning`], [`crate::Error::Monitor`].
    pub fn resume(&self) -> Result<()> {
        self.machine.monitor("cont", &serde_json::json!({})).map(drop)
    }

    /// Cuts its power. What its disks were told to write is kept, all else is lost. Returns when QEMU is gone.
    pub fn kill(&self) {
        self.machine.stop();
    }

    /// Boots it again after [`Self::kill`], or after it ended by itself, with the same disks.
    /// A guest that still runs is killed first.
    ///
    /// # Errors
    /// As [`GuestBuilder::boot`].
    pub fn boot_again(&self) -> Result<()> {
        self.machine.stop();
        self.machine.start()
    }

    /// A port of the host's loopback that leads to a TCP port of the guest's loopback.
    ///
    /// # Errors
    /// [`crate::Error::Host`] if no port can be had.
    pub fn forward_tcp(&self, port: u16) -> Result<Forward> {
        self.forward_to((Ipv4Addr::LOCALHOST, port).into())
    }

    /// A port of the host's loopback that leads to an address that the guest can reach.
    ///
    /// # Errors
    /// [`crate::Error::Host`] if no port can be had.
    pub fn forward_to(&self, address: SocketAddr) -> Result<Forward> {
        Forward::new(&self.machine, format!("tcp:{address}"))
    }

    /// Opens connections from within the guest, for as long as it is there.
    #[must_use]
    pub fn dialer(&self) -> Dialer {
        Dialer::new(&self.machine)
    }

    /// A port of the host's loopback that leads to a Unix socket of the guest.
    ///
    /// # Errors
    /// [`crate::Error::Host`] if no port can be had.
    pub fn forward_unix(&self, path: &str) -> Result<Forward> {
        Forward::new(&self.machine, format!("unix:{path}"))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!(
                "--- console of guest {} ---\n{}\n--- end of console ---",
                self.name(),
                self.console_tail()
            );
        }
        self.machine.stop();
    }
}
