//! What became of each spec.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use microvm::Kernel;
use serde_json::{Value, json};

/// What ginkgo says of the spec that ran when the suite's time was over.
const SUITE_TIMEOUT: &str = "suite timeout occurred";

/// One run of the suite: its storage specs as `cargo xtask conformance` reads them.
#[derive(Debug)]
pub(crate) struct Run {
    started: String,
    kubernetes: String,
    kernel: &'static str,
    specs: Vec<Spec>,
}

/// A spec.
#[derive(Debug)]
struct Spec {
    name: String,
    /// Ginkgo's: passed, failed, skipped, timedout, …
    state: String,
    seconds: f64,
    /// Why it failed, or why it skipped itself.
    message: Option<String>,
}

impl Run {
    /// Reads ginkgo's report of a run on this kernel, of Kubernetes' suite of that version.
    pub(crate) fn of(report: &Value, kernel: Kernel, kubernetes: String) -> Result<Self> {
        let suite = report.get(0).context("a report without a suite")?;
        let started = suite["StartTime"].as_str().context("a suite without its start")?.to_owned();
        let specs = storage_specs(report)?.map(Spec::of).collect();
        Ok(Self { started, kubernetes, kernel: kernel.version(), specs })
    }

    /// Keeps it beside the others of a folder; answers its path.
    pub(crate) fn keep(&self, folder: &Path) -> Result<PathBuf> {
        let specs: Vec<Value> = self.specs.iter().map(Spec::json).collect();
        let run = json!({
            "started": self.started, "kubernetes": self.kubernetes, "kernel": self.kernel, "specs": specs,
        });
        // As in 2026-11-21T22:30:00: in the order of their times.
        let name = self.started.get(..19).unwrap_or(&self.started).replace(':', "-");
        let path = folder.join(format!("run-{name}.json"));
        std::fs::write(&path, serde_json::to_vec_pretty(&run)?)?;
        Ok(path)
    }

    /// How many passed.
    pub(crate) fn passed(&self) -> usize {
        self.specs.iter().filter(|spec| spec.state == "passed").count()
    }

    /// How many failed, in whatever way.
    pub(crate) fn failed(&self) -> usize {
        self.specs.iter().filter(|spec| spec.has_failed()).count()
    }

    /// The failed ones, each with the suite's words.
    pub(crate) fn failures(&self) -> impl Iterator<Item = String> {
        let failed = self.specs.iter().filter(|spec| spec.has_failed());
        failed.map(|spec| format!("{}: {}", spec.name, spec.message.as_deref().unwrap_or(&spec.state)))
    }
}

impl Spec {
    fn of(report: &Value) -> Self {
        let message = report["Failure"]["Message"].as_str().map(str::to_owned);
        let state = report["State"].as_str().unwrap_or_default();
        let was_cut_short =
            state == "interrupted" || message.as_ref().is_some_and(|words| words.contains(SUITE_TIMEOUT));
        Self {
            name: name_of(report),
            state: if was_cut_short { "skipped" } else { state }.to_owned(),
            // Of nanoseconds.
            seconds: report["RunTime"].as_f64().unwrap_or_default() / 1e9,
            message: message.filter(|_| !was_cut_short),
        }
    }

    fn has_failed(&self) -> bool {
        !matches!(self.state.as_str(), "passed" | "skipped" | "pending")
    }

    fn json(&self) -> Value {
        json!({ "name": self.name, "state": self.state, "seconds": self.seconds, "message": self.message })
    }
}

/// Whole names of the external storage suite, as ginkgo's report has them.
pub(crate) fn storage_names(report: &Value) -> Result<Vec<String>> {
    Ok(storage_specs(report)?.map(name_of).collect())
}

/// The specs of the external storage suite. Drivers of Kubernetes' own have specs of the same endings in the report.
fn storage_specs(report: &Value) -> Result<impl Iterator<Item = &Value>> {
    let specs = report[0]["SpecReports"].as_array().context("a report without specs")?;
    Ok(specs.iter().filter(|spec| name_of(spec).starts_with("External Storage")))
}

fn name_of(spec: &Value) -> String {
    let parents = spec["ContainerHierarchyTexts"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let texts = parents.chain(spec["LeafNodeText"].as_str()).filter(|text| !text.is_empty());
    texts.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn only_storage_specs_count_and_what_is_neither_passed_nor_skipped_has_failed() {
        let spec = |suite: &str, state: &str| json!({ "ContainerHierarchyTexts": [suite], "LeafNodeText": state, "State": state, "RunTime": 2e9 });
        let specs = ["passed", "failed", "timedout", "skipped", "interrupted"];
        let specs = specs.map(|state| spec("External Storage", state));
        let specs = [&specs[..], &[spec("[sig-apps] Deployment", "failed")]].concat();
        let report = json!([{ "StartTime": "2026-11-21T22:30:00.5Z", "SpecReports": specs }]);
        let run = Run::of(&report, Kernel::V6_12, "v1.36.3".to_owned()).unwrap();
        assert_eq!((run.passed(), run.failed()), (1, 2));
        assert_eq!(storage_names(&report).unwrap().len(), 5);
        assert_eq!(run.failures().next().unwrap(), "External Storage failed: failed");
    }
}
