//! Parts of a suite that run at the same time, since each of them mostly waits.

use std::thread;

use anyhow::{Result, anyhow};

use crate::tally::Tally;

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
