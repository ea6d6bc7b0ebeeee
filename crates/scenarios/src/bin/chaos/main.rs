//! A device and three nodes under whatever can happen to them, drawn from a seed: `cargo xtask test chaos`.
//!
//! A schedule (`schedule.rs`) draws actions from the seed and from what it knows (`model.rs`); a run carries them out on
//! guests (`run.rs`) and holds every pod's acknowledged records against what is there (`ledger.rs`).

mod action;
mod calls;
mod dice;
mod ledger;
mod model;
mod pod;
mod run;
mod schedule;

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use microvm::Kernel;
use scenarios::{Options, Pool, Steps, System, kernel};

use action::{Action, NODES};
use run::Run;
use schedule::Schedule;

#[derive(Debug, Parser)]
#[command(about = "A device and three nodes under whatever can happen to them")]
struct Arguments {
    /// What the schedule is drawn from; another one each time without it.
    #[arg(long)]
    seed: Option<u64>,
    /// How long actions are begun; the end of everything comes after that.
    #[arg(long, default_value_t = 5)]
    minutes: u64,
    /// The kernel of the guests: 6.1 or 6.12.
    #[arg(long, default_value = "6.12", value_parser = |word: &str| kernel(word).map_err(|error| error.to_string()))]
    kernel: Kernel,
    /// Prints so many actions of the seed and carries none out.
    #[arg(long)]
    print: Option<usize>,
}

fn main() -> Result<ExitCode> {
    let Arguments { seed, minutes, kernel, print } = Arguments::parse();
    let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(()));
    let mut schedule = Schedule::new(seed);
    if let Some(actions) = print {
        (0..actions).for_each(|_| println!("{}", schedule.next()));
        return Ok(ExitCode::SUCCESS);
    }
    let version = kernel.version();
    let again = format!("cargo xtask test chaos --seed {seed} --minutes {minutes} --kernel {version}");
    println!("chaos with seed {seed} on Linux {version} for {minutes} min; again: {again}");
    let mut steps = Steps::new("chaos");
    if told(kernel, &mut schedule, Duration::from_secs(60 * minutes), &mut steps).is_none() {
        println!("NOT GREEN with seed {seed}; again: {again}");
    }
    Ok(if steps.finish() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A run from boot to the proof that nothing is left; `None` where something was not as it must be.
fn told(kernel: Kernel, schedule: &mut Schedule, time: Duration, steps: &mut Steps) -> Option<()> {
    let system = steps.step("boot a device and three nodes", || boot(kernel))?;
    let mut run = Run::new(&system);
    let (start, mut done) = (Instant::now(), Vec::new());
    let mut step = |action: Action, run: &mut Run<'_>| {
        done.push(action);
        let line = format!("[{:4} at {:6.1} s] {action}", done.len(), start.elapsed().as_secs_f64());
        steps.step(&line, || run.carry_out(&action))
    };
    let told = (|| {
        while start.elapsed() < time {
            step(schedule.next(), &mut run)?;
        }
        while let Some(action) = schedule.next_of_the_end() {
            step(action, &mut run)?;
        }
        Some(())
    })();
    let told = told.and_then(|()| steps.step("nothing is left", || run.nothing_is_left()));
    if told.is_none() {
        println!("the schedule so far:");
        done.iter().for_each(|action| println!("  {action}"));
        print_logs(&system);
    }
    print_counts(&run, &done);
    told
}

fn boot(kernel: Kernel) -> Result<System> {
    let recorder = std::env::current_exe().context("this program's path")?.with_file_name("recorder");
    let programs = vec![(recorder, pod::RECORDER.into())];
    System::boot(kernel, &NODES, &Options { programs, pool: Pool::Delayed, ..Options::default() })
}

fn print_counts(run: &Run<'_>, done: &[Action]) {
    let mut kinds: BTreeMap<_, u64> = BTreeMap::new();
    done.iter().for_each(|action| *kinds.entry(action.kind()).or_default() += 1);
    let volumes = kinds.get("create").copied().unwrap_or(0);
    let totals = run.totals();
    println!(
        "{} actions on {volumes} volumes; {} records acknowledged, {} found; {} pods made anew",
        done.len(),
        totals.acknowledged,
        totals.verified,
        run.replaced()
    );
    println!(
        "{}",
        kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect::<Vec<_>>().join(", ")
    );
}

/// Lines of each log that tell what led to a failure.
const LAST_LINES: usize = 60;

fn print_logs(system: &System) {
    print_log("the controller", &system.controller.log());
    for node in &system.nodes {
        print_log(node.guest.name(), &node.log());
        // One that is off or stands still has nothing to say.
        print_log("its kernel", &node.guest.sh("dmesg").unwrap_or_default());
        print_log("its console", &node.guest.console_tail());
    }
    print_log("the device's console", &system.rds.guest.console_tail());
}

fn print_log(of: &str, log: &str) {
    println!("-- log of {of}");
    let lines: Vec<_> = log.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(LAST_LINES)).for_each(|line| println!("{line}"));
}
