//! The RDS: a guest whose kernel is the NVMe/TCP target, with the simulator as its RouterOS.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result};
use microvm::{Background, Forward, GIB, Guest, GuestBuilder, Lab};
use serde_json::Value;
use tempfile::TempDir;

use crate::{Target, binary, http};

/// The user that the driver logs in as.
pub(crate) const USER: &str = "rds-csi";
/// Its password, in this test only.
pub(crate) const PASSWORD: &str = "a-password-of-tests";
/// Where the simulator's TLS port is in the guest.
const HTTPS_PORT: u16 = 443;
/// Where its control port is.
const CONTROL_PORT: u16 = 8444;
/// By which the simulator's port listens before its exports are there, and which it keeps; no host is allowed on it.
const SIMULATORS_OWN: &str = "nqn.2014-08.org.nvmexpress:rds-sim.boots";
/// Where the simulator keeps its state and its images: a file system with direct I/O.
const STATE: &str = "/pool";
/// Its certificate and key, there.
const CERTIFICATE: &str = "certificate.pem key.pem";
/// Where others wait, there.
const OLD: &str = "certificate.old";
/// Likewise.
const NEW: &str = "certificate.new";
/// What the simulated pool has: less than the disk below it, so that it is never the disk that is full.
const POOL_BYTES: u64 = 6 * GIB;
/// Every guest is emulated: the simulator's start took 1 s at most, a slow machine gets ten times that.
const START: Duration = Duration::from_secs(180);

/// The RDS guest.
#[derive(Debug)]
pub struct Rds {
    /// The guest.
    pub guest: Guest,
    https: Forward,
    control: Forward,
    arguments: String,
    pool: Pool,
    simulator: Mutex<Option<Background>>,
}

/// What is between the pool's file system and its disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pool {
    /// Nothing.
    #[default]
    Plain,
    /// A device that can hold writes back: [`Rds::delay_writes`].
    Delayed,
}

impl Pool {
    /// Where its file system is.
    fn device(self) -> &'static str {
        match self {
            Self::Plain => "/dev/vda",
            Self::Delayed => "/dev/mapper/pool",
        }
    }

    /// Makes the device, from the guest's boot to its end.
    fn open(self, guest: &Guest) -> Result<()> {
        if self == Self::Delayed {
            let table = table(Duration::ZERO);
            guest.sh(&format!("modprobe dm_delay && dmsetup create pool --table \"{table}\""))?;
        }
        Ok(())
    }
}

/// The table of a pool whose reads are served at once and whose writes are held back, for a shell.
fn table(writes: Duration) -> String {
    format!("0 $(blockdev --getsz /dev/vda) delay /dev/vda 0 0 /dev/vda 0 {}", writes.as_millis())
}

impl Rds {
    /// The guest, to be booted with the others.
    ///
    /// # Errors
    /// Where the simulator was not built.
    pub(crate) fn guest(lab: &Lab) -> Result<GuestBuilder> {
        let simulator = binary("rds-sim")?;
        Ok(lab.guest("rds").disk("pool", 8 * GIB).binary(simulator, "/usr/bin/rds-sim").file(
            "/etc/rds-sim/password",
            0o600,
            PASSWORD,
        ))
    }

    /// Makes such a pool and starts the simulator; `arguments` are appended to its own.
    ///
    /// # Errors
    /// Where it does not come up.
    pub(crate) fn start(guest: Guest, pool: Pool, arguments: &str) -> Result<Self> {
        pool.open(&guest)?;
        guest.sh(&format!("mkfs.xfs -q -f {}", pool.device()))?;
        let (https, control) = (guest.forward_tcp(HTTPS_PORT)?, guest.forward_tcp(CONTROL_PORT)?);
        let arguments = arguments.to_owned();
        let rds = Self { guest, https, control, arguments, pool, simulator: Mutex::default() };
        rds.mount()?;
        rds.start_simulator()?;
        Ok(rds)
    }

    fn mount(&self) -> Result<()> {
        let device = self.pool.device();
        self.guest.sh(&format!("mkdir -p {STATE} && modprobe -q xfs; mount -t xfs {device} {STATE}"))?;
        Ok(())
    }

    /// From now on every write to the disks lands so much later than it came. Of a [`Pool::Delayed`] only.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn delay_writes(&self, by: Duration) -> Result<()> {
        let table = table(by);
        // Without a flush the writes that are held already are not waited for.
        let line = format!(
            "dmsetup load pool --table \"{table}\" && dmsetup suspend --nolockfs --noflush pool && \
             dmsetup resume pool"
        );
        self.guest.sh(&line)?;
        Ok(())
    }

    /// Cuts the guest's power. Of its configuration it keeps everything, as `durability=keeps` has it.
    ///
    /// # Errors
    /// Where the guest does not answer.
    pub fn cut_power(&self) -> Result<()> {
        self.stop_simulator();
        self.guest.sh("sync")?;
        self.guest.kill();
        Ok(())
    }

    /// Boots it after [`Rds::cut_power`], with its disks, and starts the simulator.
    ///
    /// # Errors
    /// Where either does not come up.
    pub fn boot_again(&self) -> Result<()> {
        self.guest.boot_again()?;
        self.pool.open(&self.guest)?;
        self.mount()?;
        self.start_simulator()
    }

    /// Starts the simulator, again after [`Rds::stop_simulator`] or a reboot.
    ///
    /// # Errors
    /// Where it does not say that it is ready.
    pub fn start_simulator(&self) -> Result<()> {
        let address = self.guest.address();
        let line = format!(
            "exec rds-sim --https 0.0.0.0:{HTTPS_PORT} --certificate-name {address} --control 127.0.0.1:{CONTROL_PORT} \
             --state {STATE} --user {USER} --password-file /etc/rds-sim/password --pool raid10:{POOL_BYTES} \
             --directory raid10/csi --data-plane nvmet --data-address {address} {}",
            self.arguments
        );
        let simulator = self.guest.spawn(&line)?;
        simulator.wait_for_stdout("\"fingerprint\"", START).with_context(|| self.guest.console_tail())?;
        *self.lock() = Some(simulator);
        Ok(())
    }

    /// Kills the simulator: its exports stay with the kernel, its state in its directory.
    pub fn stop_simulator(&self) {
        self.lock().take();
    }

    /// The management address, on this machine's loopback.
    #[must_use]
    pub fn management(&self) -> String {
        format!("https://localhost:{}", self.https.address().port())
    }

    /// The control port for faults, on this machine's loopback.
    #[must_use]
    pub fn control(&self) -> std::net::SocketAddr {
        self.control.address()
    }

    /// The data address for volumes.
    #[must_use]
    pub fn data_address(&self) -> String {
        format!("{}:4420", self.guest.address())
    }

    /// Where a controller on this machine finds the device; the folder holds its certificate.
    pub(crate) fn target(&self) -> Result<(Target, TempDir)> {
        let folder = tempfile::tempdir()?;
        let certificate = folder.path().join("device.pem");
        std::fs::write(&certificate, self.certificate()?)?;
        let (management, data_address) = (self.management(), self.data_address());
        Ok((Target { management, certificate, data_address }, folder))
    }

    /// The device's certificate, in PEM.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn certificate(&self) -> Result<Vec<u8>> {
        Ok(self.guest.read_file(&format!("{STATE}/certificate.pem"))?)
    }

    /// Has the simulator make another certificate, for [`Rds::change_certificate`]; answers it, in PEM.
    ///
    /// # Errors
    /// Where the simulator does not come up again.
    pub fn make_certificate(&self) -> Result<Vec<u8>> {
        self.restarted_after(&format!("mkdir -p {OLD} && mv {CERTIFICATE} {OLD}"))?;
        self.restarted_after(&format!("mkdir -p {NEW} && mv {CERTIFICATE} {NEW} && mv {OLD}/* ."))?;
        Ok(self.guest.read_file(&format!("{STATE}/{NEW}/certificate.pem"))?)
    }

    /// Serves the other certificate from now on.
    ///
    /// # Errors
    /// Where there is none, or the simulator does not come up again.
    pub fn change_certificate(&self) -> Result<()> {
        self.restarted_after(&format!("mv {NEW}/* ."))
    }

    /// Something is done in the folder of the simulator's state while it does not run.
    fn restarted_after(&self, line: &str) -> Result<()> {
        self.stop_simulator();
        self.guest.sh(&format!("cd {STATE} && {line}"))?;
        self.start_simulator()
    }

    /// The management address in the guests' network.
    #[must_use]
    pub fn management_in_the_lab(&self) -> String {
        format!("https://{}:{HTTPS_PORT}", self.guest.address())
    }

    /// Images on the pool, by name.
    ///
    /// # Errors
    /// Where the guest does not answer.
    pub fn images(&self) -> Result<Vec<String>> {
        let list = self.guest.sh(&format!("find {STATE} -name '*.img'"))?;
        Ok(list.lines().map(str::to_owned).collect())
    }

    /// The image of a volume.
    ///
    /// # Errors
    /// Where there is none, or the guest does not answer.
    pub fn image_of(&self, volume: &str) -> Result<String> {
        let found = self.images()?.into_iter().find(|image| image.contains(volume));
        found.with_context(|| format!("no image of {volume}"))
    }

    /// NQNs that the kernel exports on a port, but for the simulator's own.
    ///
    /// # Errors
    /// Where the guest does not answer.
    pub fn exports(&self) -> Result<Vec<String>> {
        let list = self.guest.sh("ls /sys/kernel/config/nvmet/ports/*/subsystems/ 2>/dev/null; true")?;
        let is_export = |line: &&str| line.starts_with("nqn.") && *line != SIMULATORS_OWN;
        Ok(list.lines().filter(is_export).map(str::to_owned).collect())
    }

    /// All that it has of any volume: rows of `/disk`, images, exports of the kernel, each in a word.
    ///
    /// # Errors
    /// Where the guest or the simulator does not answer.
    pub fn held(&self) -> Result<BTreeSet<String>> {
        let state: Value = serde_json::from_str(&http::request(self.control(), "GET", "/state", "")?)?;
        let slots = state["disks"].as_array().into_iter().flatten().filter_map(|row| row["slot"].as_str());
        let rows = slots.map(|slot| format!("/disk {slot}"));
        Ok(rows.chain(self.images()?).chain(self.exports()?).collect())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Background>> {
        self.simulator.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
