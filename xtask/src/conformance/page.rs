//! The page: what was run, and each spec.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use super::Specs;
use super::outcome::{Outcome, Verdict};

const HEAD: &str = "# Conformance

Kubernetes' own external storage suite, spec by spec. Made by `cargo xtask conformance` from the reports of
`cargo xtask test external`: do not edit. What the driver says it can do, by which specs skip themselves, is in
[deploy/e2e/driver.yaml](../deploy/e2e/driver.yaml), each with its reason.

```sh
cargo xtask test external                                    # a dozen, of each kind one (deploy/e2e/chosen.txt): in CI
cargo xtask test external --all                              # all but slow and disruptive specs
cargo xtask test external --focus 'volume-expand' --slow     # by name
```

It boots an RDS and two nodes with real kubelets in guests, without KVM: times are the emulator's. Images are made here, and
nothing is pulled. A spec that is not for this driver skips itself, by what the file above says. A run that was ended early
says nothing of the specs that it had not finished. The whole log is `target/external/e2e.log`.
";

/// When a run was, and on what.
#[derive(Debug)]
pub(crate) struct Run {
    started: String,
    kubernetes: String,
    kernel: String,
}

impl Run {
    /// Of a report.
    pub(crate) fn of(report: &Value) -> Self {
        let text = |field: &str| report[field].as_str().unwrap_or("unknown").to_owned();
        Self { started: text("started"), kubernetes: text("kubernetes"), kernel: text("kernel") }
    }
}

/// The whole page.
pub(crate) fn page(specs: &Specs, runs: &[Run], reasons: &BTreeMap<String, String>) -> String {
    let mut page = HEAD.to_owned();
    page.push_str(&format!("\n{}\n", totals(specs)));
    let set = |field: fn(&Run) -> &str| runs.iter().map(field).collect::<BTreeSet<_>>();
    let join = |values: BTreeSet<&str>| values.into_iter().collect::<Vec<_>>().join(", ");
    let (first, last) = (runs.first(), runs.last());
    let day = |run: Option<&Run>| run.and_then(|run| run.started.get(..10)).unwrap_or_default().to_owned();
    // Writing to a String cannot fail.
    let _ = writeln!(
        page,
        "\nKubernetes {}, Linux {} in the guests; {} runs, {} to {}.",
        join(set(|run| &run.kubernetes)),
        join(set(|run| &run.kernel)),
        runs.len(),
        day(first),
        day(last),
    );
    page.push_str(&ran(specs, reasons));
    page.push_str(&lists(specs));
    page
}

fn totals(specs: &Specs) -> String {
    let count = |wanted: fn(&Verdict<'_>) -> bool| {
        specs.values().filter(|outcome| wanted(&outcome.verdict())).count()
    };
    format!(
        "{} passed, {} failed, {} not for this driver, {} not run",
        count(|verdict| *verdict == Verdict::Passed),
        count(|verdict| matches!(verdict, Verdict::Failed(_))),
        count(|verdict| matches!(verdict, Verdict::Skipped(_))),
        count(|verdict| *verdict == Verdict::NotRun),
    )
}

/// The table of what was run; failed ones with the suite's words and ours.
fn ran(specs: &Specs, reasons: &BTreeMap<String, String>) -> String {
    let mut table =
        "\n## Run\n\n| result | seconds | pattern | spec |\n| --- | ---: | --- | --- |\n".to_owned();
    for (name, outcome) in specs {
        let (pattern, spec) = parts(name);
        let why = match outcome.verdict() {
            Verdict::Passed => String::new(),
            Verdict::Failed(words) => format!(": `{words}`{}", reason(name, reasons)),
            Verdict::Skipped(_) | Verdict::NotRun => continue,
        };
        table.push_str(&row(outcome, pattern, &format!("{spec}{why}")));
    }
    table
}

fn row(outcome: &Outcome, pattern: &str, spec: &str) -> String {
    format!("| {} | {} | {pattern} | {spec} |\n", outcome.result(), outcome.seconds())
}

fn reason(name: &str, reasons: &BTreeMap<String, String>) -> String {
    let known = reasons.iter().find(|(part, _)| name.contains(part.as_str()));
    known.map(|(_, why)| format!("; {why}")).unwrap_or_default()
}

/// What was not run, by its reason.
fn lists(specs: &Specs) -> String {
    let mut by_reason: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, outcome) in specs {
        let why = match outcome.verdict() {
            Verdict::Passed | Verdict::Failed(_) => continue,
            Verdict::Skipped(words) => format!("Not for this driver: {words}"),
            Verdict::NotRun => format!("Not run: {}", not_run(name)),
        };
        let (pattern, spec) = parts(name);
        by_reason.entry(why).or_default().push(format!("- {pattern}: {spec}\n"));
    }
    let mut text = "\n## Not run\n".to_owned();
    for (why, specs) in by_reason {
        let _ = write!(
            text,
            "\n<details><summary>{why} ({})</summary>\n\n{}\n</details>\n",
            specs.len(),
            specs.concat()
        );
    }
    text
}

/// Why a spec that could have been run was not.
fn not_run(name: &str) -> &'static str {
    if name.contains("[Feature:Windows]") {
        "of Windows nodes"
    } else if name.contains("[Disruptive]") {
        "stops a node's kubelet over SSH and by systemd, and nodes in guests have neither"
    } else if name.contains("[Feature:SELinux]") {
        "needs nodes with SELinux, some of them a feature of Kubernetes that is off by default"
    } else if name.contains("[Slow]") {
        "slow, so only with --slow"
    } else {
        "for lack of time; nothing is known to be in the way"
    }
}

/// The pattern of a volume and what the spec says of it: `External Storage [Driver: x] [Testpattern: PATTERN] SPEC`.
fn parts(name: &str) -> (&str, &str) {
    let found = name.split_once("[Testpattern: ").and_then(|(_, rest)| rest.split_once("] "));
    let (pattern, spec) = found.unwrap_or(("", name));
    (pattern.trim(), spec)
}
