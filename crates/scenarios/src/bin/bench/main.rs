//! Speed as ratios in one run: the driver against the least that anyone could do.
#![expect(
    clippy::disallowed_methods,
    reason = "test support: it starts the programs under test and waits for them"
)]

mod calls;
mod device;
mod driver_process;
mod idle;
mod kubernetes;
mod listing;
mod node;
mod raw;
mod report;
mod survival;

use std::path::Path;

use anyhow::{Result, ensure};
use report::Report;

/// What measures one group of figures.
type Measure = fn(&mut Report) -> Result<()>;

/// The groups, in the order of a whole run.
const GROUPS: [(&str, Measure); 8] = [
    ("calls", calls::measure),
    ("listing", listing::measure),
    ("idle", idle::measure),
    ("kubernetes", kubernetes::measure),
    ("node", node::measure),
    ("survival/outages", survival::outages::measure),
    ("survival/stages", survival::stages::measure),
    ("survival/idle", survival::idle::measure),
];

/// Measures the groups that the arguments name, `survival` all that begin so; all of them without an argument.
fn main() -> Result<()> {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let names = GROUPS.map(|(name, _)| name);
    let unknown = asked.iter().find(|asked| !names.iter().any(|name| is_asked(name, asked)));
    ensure!(unknown.is_none(), "no group {:?}: there are {}", unknown, names.join(", "));
    let mut report = Report::default();
    for (name, measure) in GROUPS {
        if asked.is_empty() || asked.iter().any(|asked| is_asked(name, asked)) {
            measure(&mut report)?;
        }
    }
    report.write(Path::new("target/bench/results.json"))?;
    println!("{} goal(s) missed; written to target/bench/results.json", report.missed());
    Ok(())
}

fn is_asked(name: &str, asked: &str) -> bool {
    name.strip_prefix(asked).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::is_asked;

    #[test]
    fn a_group_is_asked_for_by_its_name_or_by_that_of_the_groups_that_it_is_one_of() {
        assert!(["survival/idle", "survival"].iter().all(|asked| is_asked("survival/idle", asked)));
        assert!(!["", "surv", "idle", "survival/idle/"].iter().any(|asked| is_asked("survival/idle", asked)));
        assert!(is_asked("idle", "idle"));
    }
}
