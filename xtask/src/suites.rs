//! The suites of `cargo xtask test`, the demo and the benchmark.

mod api;
mod chaos;
mod chart;
mod cluster;
mod emulator;
mod external;
mod lanes;
mod lint;
mod sanity;
mod unit;
mod vm;

use std::cell::OnceCell;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::binaries::{self, BINARIES};
use crate::image::{self, IMAGE};
use crate::machine::{self, Needed};
use crate::process::{cargo, run, run_seeing};
use crate::tally::Tally;
use crate::test_programs::TestPrograms;

/// A suite that can be run by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Suite {
    /// Formatting, lints, crate edges, licences.
    Lint,
    /// Rungs 1 to 3: pure functions, client and simulator, the whole system in one process.
    Unit,
    /// Rung 4: csi-sanity against the shipped binary.
    Sanity,
    /// Rung 5: a real Kubernetes API with the real sidecars.
    Api,
    /// Rung 6: real kernels in guests.
    Vm,
    /// Long outages and many hangs, in guests, and the guests' own tests on 6.1. By hand: it takes minutes.
    Outages,
    /// Three nodes under whatever can happen to them, drawn from a seed. By hand: it takes as long as it is given.
    Chaos,
    /// The chart: rendered, refused, taken by a real API server, installed.
    Chart,
    /// Rung 7: a whole cluster, with real kubelets in guests. By hand: it takes minutes.
    Cluster,
    /// Kubernetes' own external storage suite in such a cluster: a dozen of its specs, or those that are asked for.
    External,
}

/// What guests need of the machine; their kernels are fetched by the crate `microvm`.
const GUESTS: &[Needed] = &[
    Needed { program: "qemu-system-x86_64", package: "qemu-system-x86" },
    Needed { program: "busybox", package: "busybox-static" },
    Needed { program: "mkfs.xfs", package: "xfsprogs" },
    Needed { program: "mkfs.ext4", package: "e2fsprogs" },
    Needed { program: "losetup", package: "mount" },
    Needed { program: "dmsetup", package: "dmsetup" },
];

/// A run of all has an hour, where everything is built for it too. On a machine that is so slow that it is over before the
/// last suite, which builds most, that one is left to be run by itself: whoever runs it may end it at a limit of his own.
const BEFORE_THE_LAST: Duration = Duration::from_secs(55 * 60);

/// Runs one suite, or all, and ends with their count. The arguments are the suite's.
pub(crate) fn test(suite: Option<Suite>, arguments: &[String]) -> Result<()> {
    let takes_arguments = matches!(suite, Some(Suite::Chaos | Suite::Cluster | Suite::External));
    ensure!(
        takes_arguments || arguments.is_empty(),
        "only the suites chaos, cluster and external have arguments"
    );
    let all = [Suite::Lint, Suite::Unit, Suite::Sanity, Suite::Api, Suite::Chart, Suite::Vm, Suite::External];
    let chosen = suite.map_or(all.to_vec(), |suite| vec![suite]);
    let (mut total, mut red, begun) = (Tally::default(), Vec::new(), Instant::now());
    let programs = OnceCell::new();
    for suite in &chosen {
        let name = format!("{suite:?}").to_lowercase();
        if is_left_out(*suite, chosen.len(), begun.elapsed()) {
            println!(
                "== suite {name}: LEFT OUT, since this run is at its hour's end: cargo xtask test {name}"
            );
            continue;
        }
        println!("== suite {name}");
        let start = Instant::now();
        let tally = match suite {
            Suite::Lint => lint::run(),
            Suite::Unit => unit::run(built(&programs)?),
            Suite::Sanity => sanity::run(built(&programs)?),
            Suite::Api => api::run(built(&programs)?),
            Suite::Vm => vm::run(built(&programs)?),
            Suite::Outages => vm::run_by_hand(built(&programs)?),
            Suite::Chaos => chaos::run(built(&programs)?, arguments),
            Suite::Chart => chart::run(built(&programs)?),
            Suite::Cluster => cluster::run(built(&programs)?, arguments),
            Suite::External => external::run(arguments),
        }?;
        println!("== suite {name}: {tally} in {} s", start.elapsed().as_secs());
        if !tally.is_green() {
            red.push(name);
        }
        total += tally;
    }
    print!("{}", total.failures);
    println!("{total}");
    if !red.is_empty() {
        bail!("not green: {}", red.join(", "));
    }
    Ok(())
}

/// Whether a suite, of so many, is not begun after this time.
fn is_left_out(suite: Suite, of: usize, after: Duration) -> bool {
    of > 1 && suite == Suite::External && after > BEFORE_THE_LAST
}

/// The test programs, built at their first use.
fn built(programs: &OnceCell<TestPrograms>) -> Result<&TestPrograms> {
    if let Some(programs) = programs.get() {
        return Ok(programs);
    }
    let built = TestPrograms::build()?;
    Ok(programs.get_or_init(|| built))
}

/// Builds the programs of Kubernetes and prints the variables for a test by hand. The image is there once `cargo xtask
/// image` has built it.
pub(crate) fn tools() -> Result<()> {
    println!("export {}={}", api::TOOLS, cluster::tools()?.display());
    println!("export {BINARIES}={}", binaries::target()?.join("debug").display());
    println!("export {IMAGE}={}", image::archive()?.display());
    Ok(())
}

/// Shows one volume's life in guests, or one claim's in a cluster of them.
pub(crate) fn demo(kernel: &str, cluster: bool, keep: bool) -> Result<()> {
    machine::install(GUESTS)?;
    let demo = &mut cargo();
    demo.args(["run", "--quiet", "-p", "scenarios", "--bin"]);
    if cluster {
        machine::install(api::NEEDED)?;
        demo.args(["demo_cluster", "--", kernel]).args(keep.then_some("--keep"));
        demo.env(api::TOOLS, cluster::tools()?).env(IMAGE, image::of_the_release()?);
    } else {
        demo.args(["demo", "--", kernel]);
    }
    demo.env(BINARIES, binaries::release()?);
    println!("building the demo");
    run(demo)
}

/// Measures, as ratios in one run: the named groups of figures, or all.
pub(crate) fn bench(groups: &[String]) -> Result<()> {
    machine::install(GUESTS)?;
    machine::install(api::NEEDED)?;
    let (tools, folder) = (api::tools()?, binaries::release()?);
    println!("building the benchmark (release)");
    run(cargo()
        .args(["run", "--release", "--quiet", "-p", "scenarios", "--bin", "bench", "--"])
        .args(groups)
        .env(api::TOOLS, tools)
        .env(BINARIES, folder))
}

/// Runs a test command, passing its lines on; a command that failed without a failed test counts one.
fn counted(command: &mut Command) -> Result<Tally> {
    counted_seeing(command, |_| ())
}

/// The same, with each line shown to `see` as well.
fn counted_seeing(command: &mut Command, mut see: impl FnMut(&str)) -> Result<Tally> {
    let mut tally = Tally::default();
    let succeeded = run_seeing(command, |line| {
        tally.see(line);
        see(line);
    })?;
    if !succeeded && tally.failed == 0 {
        println!("{command:?} failed");
        tally.failed = 1;
    }
    Ok(tally)
}

/// Runs a check that has no count of its own: one test.
fn check(name: &str, command: &mut Command) -> Result<Tally> {
    println!("-- {name}");
    Ok(Tally::step(run_seeing(command, |_| ())?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{BEFORE_THE_LAST, Suite, is_left_out};

    #[test]
    fn only_the_last_suite_of_a_run_that_is_at_its_end_is_left_out() {
        let late = BEFORE_THE_LAST + Duration::from_secs(1);
        assert!(is_left_out(Suite::External, 7, late));
        assert!(!is_left_out(Suite::External, 7, BEFORE_THE_LAST) && !is_left_out(Suite::Vm, 7, late));
        assert!(!is_left_out(Suite::External, 1, late), "it was asked for");
    }
}
