//! Kubernetes' program of tests, and how it is told what to run against what.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testbed::Tools;

use crate::progress::Progress;

/// The registry of the images that are made here. It is nowhere: nodes have them, and pull none.
const REGISTRY: &str = "localhost/e2e";
/// What the names of all specs of the suite have.
const SUITE: &str = "External.Storage";

/// Which specs are run.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    /// Regular expressions, of which a name matches one; all match none.
    pub(crate) focus: Vec<String>,
    /// Whether those are run that Kubernetes calls slow.
    pub(crate) slow: bool,
    /// After which time the suite ends, as Go writes it.
    pub(crate) at_most: String,
}

/// The suite, with its files.
#[derive(Debug)]
pub(crate) struct Suite {
    program: PathBuf,
    kubectl: PathBuf,
    driver: PathBuf,
    registries: PathBuf,
    folder: PathBuf,
}

impl Suite {
    /// The suite, whose reports go into a folder.
    pub(crate) fn new(tools: &Tools, folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let folder = folder.canonicalize()?;
        let registries = folder.join("registries.json");
        std::fs::write(&registries, registries_at(REGISTRY).to_string())?;
        let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/e2e/driver.yaml");
        let driver = driver.canonicalize().with_context(|| driver.display().to_string())?;
        let (program, kubectl) = (tools.program("e2e.test")?, tools.program("kubectl")?);
        Ok(Self { program, kubectl, driver, registries, folder })
    }

    /// The version of Kubernetes that it is of.
    pub(crate) fn version(&self) -> Result<String> {
        Ok(self.output(&["--version".into()])?.trim().to_owned())
    }

    /// The names of all images of Kubernetes' tests that are made here.
    pub(crate) fn images(&self) -> Result<Vec<String>> {
        let listed = self.output(&["--list-images".into()])?;
        let prefix = format!("{REGISTRY}/");
        Ok(listed.lines().filter(|line| line.starts_with(&prefix)).map(str::to_owned).collect())
    }

    /// How many specs a selection has, those included that skip themselves.
    pub(crate) fn count(&self, selection: &Selection) -> Result<u64> {
        let folder = self.folder.join("dry");
        let dry = ["--ginkgo.dry-run".into(), format!("--report-dir={}", folder.display())];
        self.output(&[&self.arguments(selection)[..], &dry].concat())?;
        let report = read_report(&folder)?;
        report[0]["PreRunStats"]["SpecsThatWillRun"].as_u64().context("a report without its count")
    }

    /// Runs the specs, a line each; answers ginkgo's report.
    pub(crate) fn run(&self, selection: &Selection, kubeconfig: &Path) -> Result<Value> {
        let mut log = File::create(self.log())?;
        let mut suite = self.command(&self.arguments(selection));
        suite.arg(format!("--report-dir={}", self.folder.display()));
        suite.arg(format!("--kubeconfig={}", kubeconfig.display())).arg("--ginkgo.v");
        let mut running = suite.stdout(Stdio::piped()).spawn().context("e2e.test")?;
        let mut progress = Progress::default();
        for line in BufReader::new(running.stdout.take().context("a piped stream")?).lines() {
            let line = line?;
            writeln!(log, "{line}")?;
            if let Some(spec) = progress.see(&line) {
                println!("{spec}");
            }
        }
        let status = running.wait()?;
        read_report(&self.folder).with_context(|| format!("e2e.test ended with {status}"))
    }

    /// Where what the suite says is kept.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("e2e.log")
    }

    fn arguments(&self, selection: &Selection) -> Vec<String> {
        let focus = match selection.focus.as_slice() {
            [] => SUITE.to_owned(),
            any => format!("{SUITE}.*(?:{})", any.join("|")),
        };
        let skip = if selection.slow { r"\[Disruptive\]" } else { r"\[Disruptive\]|\[Slow\]" };
        vec![
            format!("--ginkgo.focus={focus}"),
            format!("--ginkgo.skip={skip}"),
            format!("--ginkgo.timeout={}", selection.at_most),
            "--ginkgo.no-color".to_owned(),
            "--report-complete-ginkgo".to_owned(),
        ]
    }

    fn command(&self, arguments: &[String]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg(format!("--storage.testdriver={}", self.driver.display()))
            .arg(format!("--kube-test-repo-list={}", self.registries.display()))
            .arg(format!("--kubectl-path={}", self.kubectl.display()))
            .arg("--provider=skeleton")
            .args(arguments)
            .current_dir(&self.folder);
        command
    }

    fn output(&self, arguments: &[String]) -> Result<String> {
        let output = self.command(arguments).output().context("e2e.test")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let status = output.status;
        ensure!(
            status.success(),
            "e2e.test {arguments:?}: {status}\n{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(said)
    }
}

/// The suite's own file for clusters that reach no registry: which is to be taken for which.
fn registries_at(registry: &str) -> Value {
    json!({ "promoterE2eRegistry": registry, "gcRegistry": registry })
}

/// Ginkgo's report, below the folder that it was given.
fn read_report(folder: &Path) -> Result<Value> {
    let path = folder.join("ginkgo/report.json");
    let report = std::fs::read(&path).with_context(|| path.display().to_string())?;
    serde_json::from_slice(&report).with_context(|| path.display().to_string())
}
