//! Kubernetes' own external storage suite in a whole cluster: a line a spec, and a report of all.
#![expect(
    clippy::disallowed_methods,
    reason = "test support: it starts the programs under test and waits for them"
)]

mod images;
mod progress;
mod report;
mod suite;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;
use microvm::Kernel;
use scenarios::{WholeCluster, ended, with_consoles};
use testbed::Tools;

use crate::report::Run;
use crate::suite::{Selection, Specs, Suite};

/// Specs that move a pod to another node need two.
const NODES: [&str; 2] = ["a", "b"];

/// Runs Kubernetes' external storage suite against the driver in a whole cluster: the dozen of deploy/e2e/chosen.txt, where
/// no other specs are asked for.
#[derive(Parser)]
struct Arguments {
    /// Words that a spec's name has to match (regular expressions, any of them).
    #[arg(long)]
    focus: Vec<String>,
    /// Every spec.
    #[arg(long, conflicts_with = "focus")]
    all: bool,
    /// Of those, the ones that Kubernetes calls slow as well.
    #[arg(long)]
    slow: bool,
    /// Ends the suite after this time (as 90m), with a report of what was run until then.
    #[arg(long, default_value = "12h")]
    at_most: String,
    /// How many specs run at once: one alone leaves the processors idle half of its time.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    at_once: u8,
    /// Where the reports go.
    #[arg(long, default_value = "target/external")]
    folder: PathBuf,
}

fn main() -> ExitCode {
    ended(run())
}

fn run() -> Result<bool> {
    let arguments = Arguments::parse();
    let selection = selection(&arguments)?;
    let tools = Tools::from_environment()?;
    let suite = Suite::new(&tools, &arguments.folder)?;
    let selected = suite.count(&selection)?;
    println!("{selected} specs are selected");
    let cluster = WholeCluster::boot(Kernel::V6_12, &NODES, &WholeCluster::options())?;
    let green = images::import(&cluster, &tools, &suite.images()?)
        .and_then(|()| is_green(&cluster, &suite, &selection, selected, &arguments.folder));
    with_consoles(green, cluster.nodes.iter().map(|node| &node.guest).chain([&cluster.rds.guest]))
}

fn is_green(
    cluster: &WholeCluster,
    suite: &Suite,
    selection: &Selection,
    selected: u64,
    folder: &Path,
) -> Result<bool> {
    let report = suite.run(selection, cluster.admin().kubeconfig())?;
    let run = Run::of(&report, Kernel::V6_12, suite.version()?)?;
    let path = run.keep(folder)?;
    for failure in run.failures() {
        println!("\n{failure}");
    }
    println!("report: {}; all that was said: {}", path.display(), suite.log().display());
    println!("external: {} passed, {} failed", run.passed(), run.failed());
    // Those that were chosen by their names are for this driver; of others some skip themselves.
    let wanted = if matches!(selection.specs, Specs::Named(_)) { selected } else { 1 };
    let is_green = run.failed() == 0 && run.passed() as u64 >= wanted;
    if run.failed() == 0 && !is_green {
        println!("of {selected} only {} were run to their end", run.passed());
    }
    Ok(is_green)
}

fn selection(arguments: &Arguments) -> Result<Selection> {
    let is_asked = arguments.all || !arguments.focus.is_empty();
    ensure!(is_asked || !arguments.slow, "--slow goes with --all or --focus: the dozen is named");
    let specs = if is_asked {
        Specs::Like { focus: arguments.focus.clone(), slow: arguments.slow }
    } else {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/e2e/chosen.txt");
        Specs::Named(std::fs::read_to_string(path)?.lines().map(str::to_owned).collect())
    };
    Ok(Selection { specs, at_most: arguments.at_most.clone(), at_once: arguments.at_once })
}
