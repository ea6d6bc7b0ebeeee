//! What writers were told to be safe, held against what is there.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use crate::action::VolumeNumber;

/// A writer's name, and the number of its last record.
pub(crate) type Run = (String, u64);

/// One pod's writer. Records are numbered per volume: each writer goes on where the one before ended.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Writer {
    name: String,
    /// The last record that it was told to be safe; 0 where none was.
    acknowledged: u64,
    /// The last record of the volume when the next pod found it: nothing of this writer may come later.
    end: Option<u64>,
}

/// Of every volume.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    writers: BTreeMap<VolumeNumber, Vec<Writer>>,
    /// Records of volumes that are gone: acknowledged, and found at the last look.
    gone: Totals,
}

/// Counts of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) acknowledged: u64,
    pub(crate) verified: u64,
}

impl Ledger {
    /// The name of the volume's next writer, which begins now.
    pub(crate) fn begin(&mut self, volume: VolumeNumber) -> String {
        let writers = self.writers.entry(volume).or_default();
        let name = format!("{volume}.{}", writers.len() + 1);
        writers.push(Writer { name: name.clone(), acknowledged: 0, end: None });
        name
    }

    /// Notes what a writer was told; of a volume that is gone by now nothing is noted.
    ///
    /// # Errors
    /// Where the volume was the next pod's by then, and did not hold that record.
    pub(crate) fn acknowledged(&mut self, volume: VolumeNumber, name: &str, number: u64) -> Result<()> {
        let Some(writers) = self.writers.get_mut(&volume) else { return Ok(()) };
        let writer = writers.iter_mut().find(|writer| writer.name == name);
        let writer = writer.with_context(|| format!("{volume} has no writer {name}"))?;
        writer.acknowledged = writer.acknowledged.max(number);
        let end = writer.end.unwrap_or(u64::MAX);
        ensure!(
            number <= end,
            "RECORD LOST: {name} was told that record {number} is safe, the next pod found {end}"
        );
        Ok(())
    }

    /// Compares what is there with what was acknowledged; from now on no earlier writer may add anything.
    ///
    /// # Errors
    /// What was lost, or came from whom nothing was to come.
    pub(crate) fn found(&mut self, volume: VolumeNumber, runs: &[Run]) -> Result<u64> {
        let there = runs.last().map_or(0, |(_, last)| *last);
        let writers = self.writers.entry(volume).or_default();
        let mut found = runs.iter();
        let mut before = 0;
        for writer in &mut *writers {
            let end = writer.end.unwrap_or(there);
            if end > before {
                let run = found.next();
                let is_there = run.is_some_and(|(name, last)| *name == writer.name && *last == end);
                ensure!(is_there, "RECORDS LOST OR CHANGED: of {writer:?} there is {run:?}: {runs:?}");
            }
            ensure!(writer.acknowledged <= end, "RECORDS LOST: of {writer:?} there are {runs:?}");
            (writer.end, before) = (Some(end), end);
        }
        ensure!(found.next().is_none(), "RECORDS OF NOBODY in {volume}: {runs:?}, of {writers:?}");
        Ok(there)
    }

    /// The volume is about to be deleted: its records are counted.
    pub(crate) fn close(&mut self, volume: VolumeNumber) {
        let writers = self.writers.remove(&volume).unwrap_or_default();
        self.gone.acknowledged += writers.iter().map(|writer| writer.acknowledged).max().unwrap_or(0);
        self.gone.verified += writers.last().and_then(|writer| writer.end).unwrap_or(0);
    }

    /// Of the volumes that are gone.
    pub(crate) fn totals(&self) -> Totals {
        self.gone
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const V: VolumeNumber = VolumeNumber(1);

    fn runs(of: &[(&str, u64)]) -> Vec<Run> {
        of.iter().map(|(name, last)| ((*name).to_owned(), *last)).collect()
    }

    /// A ledger in which one writer was told of 10 records, 12 were found, and the next was told of 20.
    fn two_writers() -> Ledger {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.found(V, &[]).unwrap(), 0);
        assert_eq!(ledger.begin(V), "v1.1");
        ledger.acknowledged(V, "v1.1", 10).unwrap();
        ledger.found(V, &runs(&[("v1.1", 12)])).unwrap();
        assert_eq!(ledger.begin(V), "v1.2");
        ledger.acknowledged(V, "v1.2", 20).unwrap();
        ledger
    }

    #[test]
    fn what_is_there_may_be_more_than_what_was_acknowledged() {
        let mut ledger = two_writers();
        assert_eq!(ledger.found(V, &runs(&[("v1.1", 12), ("v1.2", 21)])).unwrap(), 21);
        ledger.close(V);
        assert_eq!(ledger.totals(), Totals { acknowledged: 20, verified: 21 });
    }

    #[test]
    fn whatever_is_lost_or_comes_late_is_told() {
        for bad in [
            runs(&[]),
            runs(&[("v1.1", 9)]),
            runs(&[("v1.1", 12)]),
            runs(&[("v1.1", 12), ("v1.2", 19)]),
            // Nothing is lost of these, but records of the first have landed among those of the second.
            runs(&[("v1.1", 13), ("v1.2", 21)]),
            runs(&[("v1.1", 12), ("v1.2", 15), ("v1.1", 16), ("v1.2", 21)]),
            runs(&[("v1.1", 12), ("v1.2", 21), ("v1.3", 22)]),
        ] {
            two_writers().found(V, &bad).unwrap_err();
        }
    }

    #[test]
    fn a_writer_that_is_told_of_a_record_that_the_next_pod_did_not_find_has_lost_it() {
        let mut ledger = two_writers();
        ledger.acknowledged(V, "v1.1", 12).unwrap();
        ledger.acknowledged(V, "v1.1", 13).unwrap_err();
    }

    #[test]
    fn a_writer_without_a_record_leaves_no_run() {
        let mut ledger = Ledger::default();
        ledger.begin(V);
        assert_eq!(ledger.found(V, &[]).unwrap(), 0);
        ledger.begin(V);
        assert_eq!(ledger.found(V, &runs(&[("v1.2", 3)])).unwrap(), 3);
        ledger.begin(V);
        assert_eq!(ledger.found(V, &runs(&[("v1.2", 3)])).unwrap(), 3);
        ledger.found(V, &runs(&[("v1.1", 3)])).unwrap_err();
    }
}
