//! The controller: `rds-csi controller` as it ships, a process of this machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use testbed::{Launch, Process};

use crate::device::Target;
use crate::folder::Folder;
use crate::rds::{PASSWORD, USER};
use crate::{Csi, binary};

/// The cluster that volumes of the scenarios belong to.
pub const CLUSTER_ID: &str = "a-cluster-of-tests";
/// A controller is ready within half a second; a slow machine gets many times that.
const START: Duration = Duration::from_secs(180);

/// A running controller.
#[derive(Debug)]
pub struct Controller {
    /// Its socket.
    pub csi: Csi,
    /// Its process.
    pub process: Process,
    socket: PathBuf,
    _folder: Folder,
}

impl Controller {
    /// Starts one for a device in a temporary folder, and waits until it is ready. `arguments` are appended.
    ///
    /// # Errors
    /// Where it does not get ready.
    pub fn start(device: &Target, arguments: &[String]) -> Result<Self> {
        let controller = Self::start_in(Folder::own()?, device, "off", arguments, &[])?;
        controller.wait_until_ready(START)?;
        Ok(controller)
    }

    /// Starts one in that folder, with its metrics at that address (or `off`), and waits until it answers, ready or
    /// not.
    pub(crate) fn start_in(
        folder: Folder,
        device: &Target,
        metrics: &str,
        arguments: &[String],
        environment: &[(&str, String)],
    ) -> Result<Self> {
        let path = |name: &str| folder.path().join(name).display().to_string();
        write_secret(&folder.path().join("user"), USER)?;
        write_secret(&folder.path().join("password"), PASSWORD)?;
        let all = flags(&[
            ("endpoint", format!("unix://{}", path("csi.sock"))),
            ("address", device.management.clone()),
            ("ca-file", device.certificate.display().to_string()),
            ("user-file", path("user")),
            ("password-file", path("password")),
            ("nvme-address", device.data_address.clone()),
            ("metrics-address", metrics.to_owned()),
        ]);
        let launch = Launch::new("controller", &binary("rds-csi")?).arguments(all).arguments(arguments);
        let launch = environment.iter().fold(launch, |launch, (name, value)| launch.variable(name, value));
        let socket = folder.path().join("csi.sock");
        let process = launch.start(folder.path())?;
        let controller = Self { csi: Csi::unix(&socket), process, socket, _folder: folder };
        controller.wait_until_serving()?;
        Ok(controller)
    }

    /// SIGKILLs it and starts another with the same configuration; waits until that one answers, ready or not.
    ///
    /// # Errors
    /// Where that one does not come up.
    pub fn crash_and_restart(&self) -> Result<()> {
        self.process.start()?;
        self.wait_until_serving()
    }

    /// Its socket's path.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Its process id.
    ///
    /// # Panics
    /// Where it was killed.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id().unwrap_or_else(|| panic!("the controller was killed"))
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Whether it says that it is ready; not where it does not answer.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.csi.probe().unwrap_or(false)
    }

    /// Waits until it says that it is ready.
    ///
    /// # Errors
    /// Where it does not in time, with the end of its log.
    pub fn wait_until_ready(&self, within: Duration) -> Result<()> {
        Ok(self.process.wait_until("is ready", within, || Ok(self.is_ready().then_some(())))?)
    }

    fn wait_until_serving(&self) -> Result<()> {
        Ok(self.process.wait_until("answers", START, || Ok(self.csi.probe().ok().map(drop)))?)
    }
}

/// The command line of a controller: what every scenario has, and what is given.
pub(crate) fn flags(given: &[(&str, String)]) -> Vec<String> {
    // The simulator serves a user in order by default, and was told so: no write waits for the device's 60 s.
    let always = [("cluster-id", CLUSTER_ID), ("base-path", "/raid10/csi"), ("device", "order=fifo")];
    let always = always.map(|(flag, value)| (flag, value.to_owned()));
    let pairs = always.iter().chain(given).flat_map(|(flag, value)| [format!("--{flag}"), value.clone()]);
    std::iter::once("controller".to_owned()).chain(pairs).collect()
}

fn write_secret(path: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let file = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path);
    let mut file = file.with_context(|| format!("make {}", path.display()))?;
    Ok(file.write_all(text.as_bytes())?)
}
