//! QEMU's process for a guest, and what it needs of the host.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::console::Console;
use super::{qemu, qmp, root};
use crate::hub::Port;
use crate::lab::{self, Shared};
use crate::lock::lock;
use crate::{Error, Result};

/// Longest boot: many times the 9 s that it takes on two idle cores. Four guests that boot beside compilers were seen to
/// take more than 90 s.
const BOOT_DEADLINE: Duration = Duration::from_secs(300);

/// A kernel that measured its clock while the host was short of time was seen to count nine seconds in one, so that all its
/// timeouts came too early. No guest is older than its QEMU, but for what a clock may be off.
const CLOCK_ERROR: Duration = Duration::from_secs(2);
/// Such a guest is booted again, so often in all.
const BOOTS: usize = 10;

/// What a guest is made of, decided.
#[derive(Debug)]
pub(super) struct Specification {
    pub(super) name: String,
    pub(super) number: u8,
    pub(super) memory_mib: u32,
    pub(super) cpus: u8,
    pub(super) image: PathBuf,
    pub(super) initramfs: PathBuf,
    /// Names and bytes.
    pub(super) disks: Vec<(String, u64)>,
    pub(super) host_ports: Vec<u16>,
    pub(super) root: Option<PathBuf>,
}

/// A guest's directory, disks and place at the hub, and its QEMU while it runs.
#[derive(Debug)]
pub(super) struct Machine {
    lab: Arc<Shared>,
    specification: Specification,
    directory: PathBuf,
    console: Console,
    port: Arc<Port>,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    qemu: Child,
    /// Once the agent is ready: where the host reaches it, and how long that took.
    agent: Option<(SocketAddr, Duration)>,
}

impl Machine {
    /// Makes the directory with the disks; nothing runs yet.
    pub(super) fn new(lab: Arc<Shared>, specification: Specification) -> Result<Self> {
        let directory = lab.directory.path().join(format!("{}-{}", specification.number, specification.name));
        let failed = || Error::host(directory.display().to_string());
        fs::create_dir(&directory).map_err(failed())?;
        for (name, bytes) in &specification.disks {
            let disk = File::create(directory.join(format!("{name}.img")));
            disk.and_then(|file| file.set_len(*bytes)).map_err(failed())?;
        }
        if let Some(image) = &specification.root {
            root::over(image, &directory)?;
        }
        let port = lab.hub.port(&directory.join(qemu::DATA))?;
        let console = Console::new(&directory);
        Ok(Self { lab, specification, directory, console, port, running: Mutex::new(None) })
    }

    pub(super) fn name(&self) -> &str {
        &self.specification.name
    }

    pub(super) fn address(&self) -> Ipv4Addr {
        lab::address(self.specification.number)
    }

    pub(super) fn console(&self) -> &Console {
        &self.console
    }

    pub(super) fn port(&self) -> &Port {
        &self.port
    }

    pub(super) fn process_id(&self) -> Option<u32> {
        let mut running = lock(&self.running);
        let qemu = &mut running.as_mut()?.qemu;
        matches!(qemu.try_wait(), Ok(None)).then(|| qemu.id())
    }

    pub(super) fn boot_time(&self) -> Option<Duration> {
        lock(&self.running).as_ref().and_then(|running| running.agent).map(|(_, time)| time)
    }

    /// Boots the guest, again where its clock runs too fast.
    pub(super) fn start(&self) -> Result<()> {
        for _ in 0..BOOTS {
            let started = Instant::now();
            let age = self.boot(started)?;
            if age <= started.elapsed() + CLOCK_ERROR {
                return Ok(());
            }
            eprintln!(
                "{}: {age:?} old after {:?}: its clock is wrong, it boots again",
                self.name(),
                started.elapsed()
            );
            self.stop();
        }
        Err(self.boot_error(&format!("its clock was too fast in {BOOTS} boots")))
    }

    /// Starts QEMU and waits until the agent listens; the guest's age by its own clock.
    fn boot(&self, started: Instant) -> Result<Duration> {
        let mut qemu = self.lab.keeper.spawn(qemu::PROGRAM, &self.arguments(), &self.directory)?;
        let pipes = qemu.stdout.take().zip(qemu.stderr.take());
        // From here on the process is ended with the guest, whatever fails.
        *lock(&self.running) = Some(Running { qemu, agent: None });
        let (output, errors) = pipes.ok_or_else(|| self.boot_error("QEMU's output is not piped"))?;
        let boot = self.console.record(output, errors)?;
        let age = boot.wait(BOOT_DEADLINE).map_err(|reason| self.boot_error(&reason))?;
        let agent = self.agent_port()?;
        if let Some(running) = &mut *lock(&self.running) {
            running.agent = Some((agent, started.elapsed()));
        }
        Ok(age)
    }

    /// Ends QEMU and waits for its end.
    pub(super) fn stop(&self) {
        if let Some(mut running) = lock(&self.running).take() {
            // An error says that it has ended already.
            let _ = running.qemu.kill();
            let _ = running.qemu.wait();
        }
    }

    /// A new connection to the agent.
    pub(super) fn connect(&self) -> Result<TcpStream> {
        let agent = || lock(&self.running).as_ref().and_then(|running| running.agent);
        let (agent, _) = self
            .process_id()
            .and_then(|_| agent())
            .ok_or_else(|| Error::NotRunning(self.name().to_owned()))?;
        let connect = || -> io::Result<TcpStream> {
            let stream = TcpStream::connect(agent)?;
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        connect().map_err(|source| self.agent_error("connect", source))
    }

    /// Asks QEMU's monitor.
    pub(super) fn monitor(&self, command: &str, arguments: &Value) -> Result<Value> {
        if self.process_id().is_none() {
            return Err(Error::NotRunning(self.name().to_owned()));
        }
        qmp::ask(&self.directory.join(qemu::MONITOR), command, arguments).map_err(|error| Error::Monitor {
            guest: self.name().to_owned(),
            reason: format!("{command} {arguments}: {error}"),
        })
    }

    pub(super) fn agent_error(&self, command: &str, source: io::Error) -> Error {
        Error::Agent { guest: self.name().to_owned(), command: command.to_owned(), source }
    }

    fn agent_port(&self) -> Result<SocketAddr> {
        let table = self.monitor("human-monitor-command", &json!({"command-line": "info usernet"}))?;
        let port = table.as_str().and_then(qmp::forwarded_port);
        let port = port.ok_or_else(|| self.boot_error(&format!("no forwarded port in {table}")))?;
        Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    fn boot_error(&self, reason: &str) -> Error {
        Error::Boot {
            guest: self.name().to_owned(),
            reason: reason.to_owned(),
            console: self.console.path().to_owned(),
            tail: self.console.tail(),
        }
    }

    fn arguments(&self) -> Vec<String> {
        let disks: Vec<String> = self.specification.disks.iter().map(|(name, _)| name.clone()).collect();
        qemu::Machine {
            name: &self.specification.name,
            number: self.specification.number,
            memory_mib: self.specification.memory_mib,
            cpus: self.specification.cpus,
            image: &self.specification.image,
            initramfs: &self.specification.initramfs,
            disks: &disks,
            address: self.address(),
            host_ports: &self.specification.host_ports,
            has_root: self.specification.root.is_some(),
        }
        .arguments()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.stop();
        self.lab.hub.remove(&self.port, &self.directory.join(qemu::DATA));
    }
}
