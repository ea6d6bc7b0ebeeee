//! Parts of a suite that run at the same time, since each of them mostly waits.

use std::thread;

use anyhow::{Result, anyhow};

use crate::tally::Tally;

/// A crate's tests: those of these names, or without any all that have no name in another part.
pub(super) type Part = (&'static str, &'static [&'static str]);

/// What a part's test program is to be told, of all parts of the suite.
pub(super) fn filter<'a>(
    (of, names): &'a Part,
    all: impl IntoIterator<Item = &'a Part>,
) -> Vec<&'static str> {
    if !names.is_empty() {
        return names.to_vec();
    }
    let others = all.into_iter().filter(|(name, _)| name == of).flat_map(|(_, names)| *names);
    others.flat_map(|name| ["--skip", name]).collect()
}

/// Runs a lane's parts, one after the other; what they counted together.
pub(super) fn in_turn(parts: &[Part], run: impl Fn(&Part) -> Result<Tally>) -> Result<Tally> {
    let mut tally = Tally::default();
    for part in parts {
        tally += run(part)?;
    }
    Ok(tally)
}

/// Runs the lanes, each in a thread of its own, to the end of all of them; what they counted together.
pub(super) fn side_by_side<L>(lanes: impl IntoIterator<Item = L>) -> Result<Tally>
where
    L: FnOnce() -> Result<Tally> + Send,
{
    thread::scope(|scope| {
        let lanes: Vec<_> = lanes.into_iter().map(|lane| scope.spawn(lane)).collect();
        let ends: Vec<_> = lanes.into_iter().map(thread::ScopedJoinHandle::join).collect();
        let mut tally = Tally::default();
        for end in ends {
            tally += end.map_err(|_| anyhow!("a lane's thread panicked"))??;
        }
        Ok(tally)
    })
}
