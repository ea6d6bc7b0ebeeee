//! docs/conformance.md, from the reports that `cargo xtask test external` leaves in `target/external`.

mod outcome;
mod page;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::binaries::target;
use outcome::Outcome;

/// What is written.
const PAGE: &str = "docs/conformance.md";
/// What is known of specs that fail: a JSON object of a part of their names to the reason.
const REASONS: &str = "deploy/e2e/reasons.json";

/// Every spec of the suite, by its name, as all runs left it.
type Specs = BTreeMap<String, Outcome>;

/// Reads all reports, in the order of their times, and writes the page.
pub(crate) fn run() -> Result<()> {
    let folder = target()?.join("external");
    let reports = reports(&folder)?;
    ensure!(!reports.is_empty(), "no report in {}: run `cargo xtask test external`", folder.display());
    let mut specs = Specs::new();
    let mut runs = Vec::new();
    for path in &reports {
        let report: Value = serde_json::from_slice(&fs::read(path)?)?;
        add(&mut specs, &report).with_context(|| path.display().to_string())?;
        runs.push(page::Run::of(&report));
    }
    let reasons: BTreeMap<String, String> =
        serde_json::from_slice(&fs::read(REASONS).context(REASONS)?).context(REASONS)?;
    fs::write(PAGE, page::page(&specs, &runs, &reasons))?;
    println!("{PAGE}: {} specs of {} reports", specs.len(), reports.len());
    Ok(())
}

fn reports(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let is_run = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("run-"))
    };
    let mut runs: Vec<PathBuf> = paths.into_iter().filter(is_run).collect();
    runs.sort();
    Ok(runs)
}

/// Adds what became of each spec in a run.
fn add(specs: &mut Specs, report: &Value) -> Result<()> {
    for spec in report["specs"].as_array().context("a report without specs")? {
        let name = spec["name"].as_str().context("a spec without a name")?;
        specs.entry(name.to_owned()).or_default().see(spec);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::*;

    fn spec(name: &str, state: &str, message: Option<&str>) -> Value {
        json!({ "name": name, "state": state, "seconds": 20.4, "message": message })
    }

    #[test]
    fn a_page_has_each_spec_as_its_runs_left_it() {
        let prefix = "External Storage [Driver: rds.csi.srvlab.io] [Testpattern: Dynamic PV (default fs)]";
        let name = |rest: &str| format!("{prefix} {rest}");
        let first = json!({ "started": "2026-11-21T22:30:00Z", "kernel": "6.12", "specs": [
            spec(&name("volumes should store data"), "failed", Some("Timed out.\nmore")),
            spec(&name("volumes should be clear"), "failed", Some("no such file\nmore")),
            spec(&name("subPath should be seen [Slow]"), "skipped", None),
            spec(&name("topology should be"), "skipped", Some("no topology - skipping")),
        ]});
        let second = json!({ "started": "2026-11-21T23:00:00Z", "kernel": "6.12", "specs": [
            spec(&name("volumes should store data"), "passed", None),
            spec(&name("volumes should be clear"), "skipped", None),
        ]});
        let mut specs = Specs::new();
        add(&mut specs, &first).unwrap();
        add(&mut specs, &second).unwrap();
        let runs = [page::Run::of(&first), page::Run::of(&second)];
        let reasons = BTreeMap::from([("be clear".to_owned(), "the guest has no such file".to_owned())]);
        let page = page::page(&specs, &runs, &reasons);
        for line in [
            "| passed 1 of 2 | 20 | Dynamic PV (default fs) | volumes should store data |",
            "| **FAILED** | 20 | Dynamic PV (default fs) | volumes should be clear: `no such file`; the guest has no such file |",
            "- Dynamic PV (default fs): subPath should be seen [Slow]",
            "- Dynamic PV (default fs): topology should be",
            "1 passed, 1 failed, 1 not for this driver, 1 not run",
        ] {
            assert!(page.contains(line), "no {line:?} in {page}");
        }
    }
}
