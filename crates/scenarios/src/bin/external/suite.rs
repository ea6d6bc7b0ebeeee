//! Kubernetes' program of tests, and how it is told what to run against what.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testbed::Tools;

use crate::progress::Progress;
use crate::report;

/// The registry of the images that are made here. It is nowhere: nodes have them, and pull none.
const REGISTRY: &str = "localhost/e2e";
/// What the names of all specs of the suite have.
const SUITE: &str = "External.Storage";

/// Which specs are run.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    /// By their names.
    pub(crate) specs: Specs,
    /// After which time the suite ends, as Go writes it.
    pub(crate) at_most: String,
    /// How many are run at once.
    pub(crate) at_once: u8,
}

/// How specs are told from the others.
#[derive(Clone, Debug)]
pub(crate) enum Specs {
    /// What a name of each ends with. One chosen by its name is wanted, slow or not.
    Named(Vec<String>),
    /// Regular expressions, of which a name matches one; all match none.
    Like {
        focus: Vec<String>,
        /// Whether those are run that Kubernetes calls slow.
        slow: bool,
    },
}

/// The suite, with its files.
#[derive(Debug)]
pub(crate) struct Suite {
    ginkgo: PathBuf,
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
        let [ginkgo, program, kubectl] = ["ginkgo", "e2e.test", "kubectl"].map(|name| tools.program(name));
        let (ginkgo, program, kubectl) = (ginkgo?, program?, kubectl?);
        Ok(Self { ginkgo, program, kubectl, driver, registries, folder })
    }

    /// The version of Kubernetes that it is of.
    pub(crate) fn version(&self) -> Result<String> {
        // The first lines are of its driver file.
        let said = output(self.command().arg("--version"))?;
        Ok(said.lines().last().context("e2e.test has no version")?.to_owned())
    }

    /// The names of all images of Kubernetes' tests that are made here.
    pub(crate) fn images(&self) -> Result<Vec<String>> {
        let listed = output(self.command().arg("--list-images"))?;
        let prefix = format!("{REGISTRY}/");
        Ok(listed.lines().filter(|line| line.starts_with(&prefix)).map(str::to_owned).collect())
    }

    /// How many specs a selection has, those included that skip themselves. One that has a name which no spec has is
    /// refused.
    pub(crate) fn count(&self, selection: &Selection) -> Result<u64> {
        let folder = self.folder.join("dry");
        forget_report(&folder)?;
        let mut dry = self.command();
        dry.args(selection.arguments().map(|argument| format!("--ginkgo.{argument}")))
            .arg("--ginkgo.dry-run");
        output(dry.args(reports(&folder)))?;
        let report = read_report(&folder)?;
        if let Specs::Named(names) = &selection.specs {
            each_names_one(names, &report::storage_names(&report)?)?;
        }
        report[0]["PreRunStats"]["SpecsThatWillRun"].as_u64().context("a report without its count")
    }

    /// Runs the specs, a line each; answers ginkgo's report.
    pub(crate) fn run(&self, selection: &Selection, kubeconfig: &Path) -> Result<Value> {
        // What a run before this one left must not be taken for its report.
        forget_report(&self.folder)?;
        let mut log = File::create(self.log())?;
        let mut suite = Command::new(&self.ginkgo);
        suite.args(selection.arguments().map(|argument| format!("--{argument}")));
        suite.args(["-v", "--no-color", &format!("--procs={}", selection.at_once)]);
        suite.arg(&self.program).arg("--").args(self.arguments()).args(reports(&self.folder));
        suite.arg(format!("--kubeconfig={}", kubeconfig.display())).current_dir(&self.folder);
        let mut running = suite.stdout(Stdio::piped()).spawn().context("ginkgo")?;
        let mut progress = Progress::default();
        for line in BufReader::new(running.stdout.take().context("a piped stream")?).lines() {
            let line = line?;
            writeln!(log, "{line}")?;
            if let Some(spec) = progress.see(&line) {
                println!("{spec}");
            }
        }
        let status = running.wait()?;
        println!("ginkgo ended with {status}");
        read_report(&self.folder)
    }

    /// Where what the suite says is kept.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("e2e.log")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(self.arguments()).current_dir(&self.folder);
        command
    }

    /// What the program has to know, whatever it does.
    fn arguments(&self) -> [String; 4] {
        [
            format!("--storage.testdriver={}", self.driver.display()),
            format!("--kube-test-repo-list={}", self.registries.display()),
            format!("--kubectl-path={}", self.kubectl.display()),
            "--provider=skeleton".to_owned(),
        ]
    }
}

impl Selection {
    /// Ginkgo's, without the dashes before them.
    fn arguments(&self) -> [String; 3] {
        let (any, slow) = match &self.specs {
            Specs::Named(names) => (names.iter().map(|name| format!("{}$", literal(name))).collect(), true),
            Specs::Like { focus, slow } => (focus.clone(), *slow),
        };
        let focus = if any.is_empty() { SUITE.to_owned() } else { format!("{SUITE}.*(?:{})", any.join("|")) };
        let skip = if slow { r"\[Disruptive\]" } else { r"\[Disruptive\]|\[Slow\]" };
        [format!("focus={focus}"), format!("skip={skip}"), format!("timeout={}", self.at_most)]
    }
}

/// Whether each ending is one spec's, and of no other.
fn each_names_one(endings: &[String], specs: &[String]) -> Result<()> {
    for ending in endings {
        let of = specs.iter().filter(|spec| spec.ends_with(ending.as_str())).count();
        ensure!(of == 1, "{ending:?} is the name of {of} specs");
    }
    Ok(())
}

/// A regular expression that only this matches.
fn literal(text: &str) -> String {
    let escaped = |sign: char| match sign {
        '[' | ']' | '(' | ')' | '.' | '*' | '+' | '?' | '|' | '^' | '$' | '\\' | '{' | '}' => {
            vec!['\\', sign]
        }
        _ => vec![sign],
    };
    text.chars().flat_map(escaped).collect()
}

/// Where the program leaves ginkgo's report.
fn reports(folder: &Path) -> [String; 2] {
    [format!("--report-dir={}", folder.display()), "--report-complete-ginkgo".to_owned()]
}

/// What it prints.
fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let (status, errors) = (output.status, String::from_utf8_lossy(&output.stderr));
    ensure!(status.success(), "{command:?}: {status}\n{said}{errors}");
    Ok(said)
}

/// The suite's own file for clusters that reach no registry: which is to be taken for which.
fn registries_at(registry: &str) -> Value {
    json!({ "promoterE2eRegistry": registry, "gcRegistry": registry })
}

/// Where ginkgo's report is, below the folder that it was given.
const REPORT: &str = "ginkgo/report.json";

fn forget_report(folder: &Path) -> Result<()> {
    match std::fs::remove_file(folder.join(REPORT)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn read_report(folder: &Path) -> Result<Value> {
    let path = folder.join(REPORT);
    let report = std::fs::read(&path).with_context(|| path.display().to_string())?;
    serde_json::from_slice(&report).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn an_ending_that_is_not_one_specs_is_refused() {
        let specs = [
            "[Driver: rds] (ext4)] volumes should store data",
            "[Driver: rds] (xfs)] volumes should store data",
        ];
        let specs = specs.map(str::to_owned);
        let check =
            |ending: &str| each_names_one(&[ending.to_owned()], &specs).map_err(|error| error.to_string());
        check("(xfs)] volumes should store data").unwrap();
        assert_eq!(check("should store data").unwrap_err(), "\"should store data\" is the name of 2 specs");
        assert_eq!(check("should keep data").unwrap_err(), "\"should keep data\" is the name of 0 specs");
    }
}
