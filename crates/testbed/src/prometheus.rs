//! A real Prometheus: what it takes from a program's metrics is what an operator has.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::{Error, Launch, Process, Result, Tools, free_ports, wait_until};

/// It serves within a second or two; a busy machine gets many times that.
const START: Duration = Duration::from_secs(60);
/// Scraped so often that a test sees the next figures soon.
const INTERVAL: &str = "2s";

/// What is scraped, at `/metrics`.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where it is reached.
    pub address: SocketAddr,
    /// Labels of all its series.
    pub labels: Vec<(&'static str, String)>,
}

/// A running Prometheus, without alerts. It ends when this is dropped.
#[derive(Debug)]
pub struct Prometheus {
    _process: Process,
    address: SocketAddr,
    promtool: PathBuf,
}

impl Prometheus {
    /// Starts one with its files in that folder, and waits until it serves.
    ///
    /// # Errors
    /// Where the programs `prometheus` and `promtool` are not there, or it does not serve.
    pub fn start(tools: &Tools, folder: &Path, targets: &[Target]) -> Result<Self> {
        let [port] = free_ports(Ipv4Addr::LOCALHOST.into())?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let file = folder.join("prometheus.json");
        std::fs::write(&file, configuration(targets).to_string())
            .map_err(Error::host(file.display().to_string()))?;
        let process = Launch::new("prometheus", &tools.program("prometheus")?)
            .argument(format!("--config.file={}", file.display()))
            .argument(format!("--storage.tsdb.path={}", folder.join("prometheus").display()))
            .argument(format!("--web.listen-address={address}"))
            .start(folder)?;
        process.wait_for_log("Server is ready to receive web requests", START)?;
        Ok(Self { _process: process, address, promtool: tools.program("promtool")? })
    }

    /// Where it serves.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What an expression of PromQL is now: series with their labels (`metric`) and `value`.
    ///
    /// # Errors
    /// An expression that is none; where it does not answer.
    pub fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let server = format!("http://{}", self.address);
        let promtool = &mut Command::new(&self.promtool);
        promtool.args(["query", "instant", "--format=json", &server, expression]);
        let output = promtool.output().map_err(Error::host("promtool"))?;
        let (said, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let none = || Error::Answer { what: format!("no series: {errors}"), answer: said.clone().into() };
        serde_json::from_str(&said).map_err(|_| none())
    }

    /// Waits until an expression is so for a number of series; answers them.
    ///
    /// # Errors
    /// Where it is not in time, with the last series that were seen.
    pub fn wait_for(&self, expression: &str, series: usize, within: Duration) -> Result<Vec<Value>> {
        let mut last = Vec::new();
        let found = wait_until(&format!("{series} series of {expression}"), within, || {
            last = self.query(expression)?;
            Ok((last.len() == series).then(|| last.clone()))
        });
        found.map_err(|error| match error {
            Error::Late { what, within, .. } => {
                Error::Late { what, within, last: Value::from(last).to_string() }
            }
            other => other,
        })
    }
}

/// JSON is YAML.
fn configuration(targets: &[Target]) -> Value {
    let configs: Vec<_> = targets.iter().map(static_config).collect();
    json!({
        "global": { "scrape_interval": INTERVAL, "scrape_timeout": INTERVAL },
        "scrape_configs": [{ "job_name": "targets", "static_configs": configs }],
    })
}

fn static_config(target: &Target) -> Value {
    let labels = target.labels.iter().map(|(name, value)| ((*name).to_owned(), value.as_str().into()));
    json!({ "targets": [target.address], "labels": Value::Object(labels.collect()) })
}
