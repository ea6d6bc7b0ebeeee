//! The controller: `rds-csi controller` as it ships, a process of this machine.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::rds::{PASSWORD, USER};
use crate::{Csi, binary};

/// The cluster that volumes of the scenarios belong to.
pub const CLUSTER_ID: &str = "a-cluster-of-tests";
/// A controller is ready within half a second; a slow machine gets many times that.
const START: Duration = Duration::from_secs(30);
/// How often a socket that is not there yet is tried: there is no kernel event for "answers".
const TRY_EVERY: Duration = Duration::from_millis(20);

/// A running controller.
#[derive(Debug)]
pub struct Controller {
    /// Its socket.
    pub csi: Csi,
    folder: TempDir,
    arguments: Vec<String>,
    process: Child,
}

impl Controller {
    /// Starts one for a device at `management` whose certificate is in `certificate`, and waits until it
    /// is ready. `arguments` are appended.
    ///
    /// # Errors
    /// Where it does not get ready.
    pub fn start(
        management: &str,
        certificate: &Path,
        data_address: &str,
        arguments: &[String],
    ) -> Result<Self> {
        let folder = tempfile::tempdir().context("a folder for the controller")?;
        let secret = |name: &str, text: &str| write_secret(&folder.path().join(name), text);
        let (user, password) = (secret("user", USER)?, secret("password", PASSWORD)?);
        let path = |path: &Path| path.display().to_string();
        let mut all = flags(&[
            ("endpoint", format!("unix://{}", path(&folder.path().join("csi.sock")))),
            ("address", management.to_owned()),
            ("ca-file", path(certificate)),
            ("user-file", path(&user)),
            ("password-file", path(&password)),
            ("nvme-address", data_address.to_owned()),
        ]);
        all.extend_from_slice(arguments);
        let process = spawn(&all, folder.path())?;
        let csi = Csi::unix(&folder.path().join("csi.sock"));
        let mut controller = Self { csi, folder, arguments: all, process };
        controller.wait_until_ready()?;
        Ok(controller)
    }

    /// SIGKILLs it and starts another with the same configuration.
    ///
    /// # Errors
    /// Where that one does not get ready.
    pub fn crash_and_restart(&mut self) -> Result<()> {
        self.stop();
        self.process = spawn(&self.arguments, self.folder.path())?;
        self.wait_until_ready()
    }

    /// Its process id.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let start = Instant::now();
        while !self.csi.probe().unwrap_or(false) {
            if let Some(status) = self.process.try_wait()? {
                bail!("the controller ended with {status}:\n{}", self.log());
            }
            if start.elapsed() > START {
                bail!("the controller is not ready after {START:?}:\n{}", self.log());
            }
            std::thread::sleep(TRY_EVERY);
        }
        Ok(())
    }

    fn stop(&mut self) {
        // Already gone is as good as killed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            eprintln!("--- log of the controller ---\n{}\n--- end of log ---", self.log());
        }
    }
}

/// The command line of a controller: what every scenario has, and what is given.
pub(crate) fn flags(given: &[(&str, String)]) -> Vec<String> {
    // The simulator serves a user in order by default, and was told so: no write waits for the device's 60 s.
    let always = [
        ("cluster-id", CLUSTER_ID),
        ("base-path", "/raid10/csi"),
        ("metrics-address", "off"),
        ("device", "order=fifo"),
    ];
    let always = always.map(|(flag, value)| (flag, value.to_owned()));
    let pairs = always.iter().chain(given).flat_map(|(flag, value)| [format!("--{flag}"), value.clone()]);
    std::iter::once("controller".to_owned()).chain(pairs).collect()
}

fn spawn(arguments: &[String], folder: &Path) -> Result<Child> {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("log"))?;
    let command = &mut Command::new(binary("rds-csi")?);
    command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn().context("start rds-csi controller")
}

fn write_secret(path: &Path, text: &str) -> Result<PathBuf> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(path.to_owned())
}
