//! A device and a controller for the measurements that need no kernel: both processes of this machine.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use scenarios::{Controller, binary};
use serde_json::Value;
use tempfile::TempDir;

use crate::raw::Raw;

/// The user of the measurements.
const USER: &str = "rds-csi";
const PASSWORD: &str = "a-password-of-tests";

/// `rds-sim` without a data plane, and what is needed to talk to it.
pub(crate) struct Device {
    process: Child,
    address: SocketAddr,
    control: SocketAddr,
    certificate: PathBuf,
    folder: TempDir,
}

impl Device {
    /// Starts one with these further flags.
    pub(crate) fn start(flags: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("password"), PASSWORD)?;
        let command = &mut Command::new(binary("rds-sim")?);
        command.args(["--control", "127.0.0.1:0", "--data-plane", "none", "--pool", "raid10:100T"]);
        command.args(["--directory", "raid10/csi", "--user", USER]);
        command.arg("--state").arg(path("state")).arg("--password-file").arg(path("password")).args(flags);
        let mut process =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().context("start rds-sim")?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("a piped stream")?).read_line(&mut line)?;
        let ready: Value = serde_json::from_str(&line).with_context(|| format!("rds-sim said {line:?}"))?;
        let text = |key: &str| ready[key].as_str().with_context(|| format!("rds-sim told no {key}"));
        let (address, control) = (text("https")?.parse()?, text("control")?.parse()?);
        let certificate = text("certificate")?.into();
        Ok(Self { process, address, control, certificate, folder })
    }

    /// A raw client.
    pub(crate) fn raw(&self) -> Result<Raw> {
        Raw::new(&format!("localhost:{}", self.address.port()), &self.certificate, USER, PASSWORD)
    }

    /// How many requests the device has had.
    pub(crate) fn requests(&self) -> Result<u64> {
        let mut stream = TcpStream::connect(self.control)?;
        stream.write_all(b"GET /requests HTTP/1.1\r\nHost: control\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").context("a body")?;
        let answer: Value = serde_json::from_str(body).with_context(|| body.to_owned())?;
        answer["count"].as_u64().with_context(|| format!("no count in {answer}"))
    }

    /// A driver.
    pub(crate) fn controller(&self) -> Result<Controller> {
        let management = format!("https://localhost:{}", self.address.port());
        Controller::start(&management, &self.certificate, "127.0.0.1:4420", &[])
    }

    /// Where the device keeps its state.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // Already gone is as good as killed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
