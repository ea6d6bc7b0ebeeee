//! Speed as ratios in one run: the driver against the least that anyone could do.
#![expect(
    clippy::disallowed_methods,
    reason = "test support: it starts the programs under test and waits for them"
)]

mod calls;
mod device;
mod idle;
mod listing;
mod node;
mod raw;
mod report;

use std::path::Path;

use anyhow::Result;
use report::Report;

fn main() -> Result<()> {
    let mut report = Report::default();
    calls::measure(&mut report)?;
    listing::measure(&mut report)?;
    idle::measure(&mut report)?;
    node::measure(&mut report)?;
    report.write(Path::new("target/bench/results.json"))?;
    println!("{} goal(s) missed; written to target/bench/results.json", report.missed());
    Ok(())
}
