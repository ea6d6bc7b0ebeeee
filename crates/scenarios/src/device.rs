//! A device without a data plane: the simulator as a process of this machine, for what needs no kernel.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;
use testbed::{Launch, Process};

use crate::folder::Folder;
use crate::rds::{PASSWORD, USER};
use crate::{binary, http};

/// Where a controller finds its device.
#[derive(Clone, Debug)]
pub struct Target {
    /// The management address, a URL.
    pub management: String,
    /// The device's certificate, in PEM.
    pub certificate: PathBuf,
    /// Where nodes connect, `host:port`.
    pub data_address: String,
}

impl Target {
    /// Where its management is on this machine's loopback.
    pub(crate) fn port(&self) -> Result<SocketAddr> {
        let port = self.management.rsplit(':').next().and_then(|port| port.parse().ok());
        let port = port.with_context(|| format!("no port in {}", self.management))?;
        Ok(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    /// The same device by another port of loopback: its certificate is one for that too.
    pub(crate) fn by(&self, address: SocketAddr) -> Self {
        Self { management: format!("https://localhost:{}", address.port()), ..self.clone() }
    }
}

/// `rds-sim` without a data plane.
#[derive(Debug)]
pub struct Device {
    process: Process,
    target: Target,
    control: SocketAddr,
    folder: Folder,
}

/// A request that the device has begun to serve.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DeviceRequest {
    /// Counted in the order of their turns.
    pub number: u64,
    /// When it had come, in milliseconds since the device's start.
    pub came_millis: u64,
    /// When its turn came.
    pub turn_millis: u64,
    /// Who sent it.
    pub peer: SocketAddr,
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Its body.
    pub body: String,
}

/// It is up within milliseconds; a slow machine gets many times that.
const START: Duration = Duration::from_secs(30);

impl Device {
    /// Starts one with these further flags, in a temporary folder.
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn start(flags: &[String]) -> Result<Self> {
        Self::start_in(Folder::own()?, flags)
    }

    /// As [`Device::start`], in that folder.
    pub(crate) fn start_in(folder: Folder, flags: &[String]) -> Result<Self> {
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("password"), PASSWORD)?;
        // Kept over a restart: controllers must find it again.
        let [https, control] = testbed::free_ports([127, 0, 0, 1].into())?;
        let control = SocketAddr::from(([127, 0, 0, 1], control));
        let process = Launch::new("rds-sim", &binary("rds-sim")?)
            .arguments(["--data-plane", "none", "--pool", "raid10:100T", "--directory", "raid10/csi"])
            .arguments(["--user", USER, "--https", &format!("127.0.0.1:{https}")])
            .arguments(["--control", &control.to_string()])
            .argument("--state")
            .argument(path("state"))
            .argument("--password-file")
            .argument(path("password"))
            .arguments(flags)
            .start(folder.path())?;
        process.wait_for_log("\"fingerprint\"", START)?;
        let target = Target {
            management: format!("https://localhost:{https}"),
            certificate: path("state").join("certificate.pem"),
            data_address: "127.0.0.1:4420".into(),
        };
        Ok(Self { process, target, control, folder })
    }

    /// Where controllers find it.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Who may log in: the user's name and password.
    #[must_use]
    pub fn login(&self) -> (&'static str, &'static str) {
        (USER, PASSWORD)
    }

    /// Its process: killing it is a crash, and it starts again on the same ports with its state.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Asks its control port; see the README of `routeros-sim`. `Null` sends nothing.
    ///
    /// # Errors
    /// Where it refuses, or does not answer.
    pub fn control(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = http::request(self.control, method, path, &body)?;
        if answer.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&answer).with_context(|| answer)
    }

    /// How many requests it has had.
    ///
    /// # Errors
    /// Where it does not say.
    pub fn requests(&self) -> Result<u64> {
        let answer = self.control("GET", "/requests", &Value::Null)?;
        answer["count"].as_u64().with_context(|| format!("no count in {answer}"))
    }

    /// The last thousand requests that it has begun to serve, in that order.
    ///
    /// # Errors
    /// Where it does not say.
    pub fn log(&self) -> Result<Vec<DeviceRequest>> {
        let mut answer = self.control("GET", "/requests", &Value::Null)?;
        Ok(serde_json::from_value(answer["requests"].take())?)
    }

    /// NQNs that it exports, of what there is a data plane for or would be.
    ///
    /// # Errors
    /// Where it does not say.
    pub fn exports(&self) -> Result<Vec<String>> {
        let nqns =
            self.state("exports")?.into_iter().filter_map(|export| Some(export["nqn"].as_str()?.to_owned()));
        Ok(nqns.collect())
    }

    /// Slots of the volumes that it has: its disks whose data is a file.
    ///
    /// # Errors
    /// Where it does not say.
    pub fn volumes(&self) -> Result<Vec<String>> {
        let files = self.state("disks")?.into_iter().filter(|disk| disk["type"] == "file");
        Ok(files.filter_map(|disk| Some(disk["slot"].as_str()?.to_owned())).collect())
    }

    fn state(&self, of: &str) -> Result<Vec<Value>> {
        let mut state = self.control("GET", "/state", &Value::Null)?;
        match state[of].take() {
            Value::Array(items) => Ok(items),
            other => bail!("{of} of the device: {other}"),
        }
    }

    /// Where it keeps its state.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}
