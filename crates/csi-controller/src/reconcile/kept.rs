//! What a look over everything keeps of each volume until the list of VolumeAttachments is there: small, since there are
//! thousands.

use attachment::{Export, Observed, Terms};
use volume::{Record, Slot};

/// A volume as it was read.
pub(super) struct Kept {
    pub(super) slot: Slot,
    pub(super) record: Record,
    export: KeptExport,
}

/// Nearly every export has the name that its record tells, and no list: these need no room.
enum KeptExport {
    Closed,
    AsRecorded,
    Other(Box<Export>),
}

impl Kept {
    /// Of a volume that was observed under these terms.
    pub(super) fn of(observed: Observed, terms: &Terms<'_>) -> Self {
        let Observed { record, export } = observed;
        let recorded = as_recorded(&record, terms);
        let export = match export {
            None => KeptExport::Closed,
            Some(export) if export == recorded => KeptExport::AsRecorded,
            Some(export) => KeptExport::Other(Box::new(export)),
        };
        Self { slot: terms.slot.clone(), record, export }
    }

    /// What was observed, under terms of the same installation.
    pub(super) fn into_observed(self, terms: &Terms<'_>) -> Observed {
        let export = match self.export {
            KeptExport::Closed => None,
            KeptExport::AsRecorded => Some(as_recorded(&self.record, terms)),
            KeptExport::Other(export) => Some(*export),
        };
        Observed { record: self.record, export }
    }
}

fn as_recorded(record: &Record, terms: &Terms<'_>) -> Export {
    Export { nqn: terms.nqn(record.generation).to_string(), allow: Vec::new() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::time::Duration;

    use attachment::{AllowList, PodsUnreadable};
    use volume::{ClusterId, Fencing, Generation, NqnPrefix};

    use super::*;

    #[test]
    fn what_was_observed_comes_back_as_it_was() {
        let prefix = NqnPrefix::parse("nqn.2000-02.com.mikrotik").unwrap();
        let slot = Slot::parse("pvc-1").unwrap();
        let terms = Terms {
            fencing: Fencing::Off,
            allow_list: AllowList::Comma,
            prefix: &prefix,
            slot: &slot,
            settle_left: Duration::ZERO,
            grace: Duration::ZERO,
            now: 0,
            term: 0,
            rwx_plain_pods: false,
            pods_unreadable: PodsUnreadable::Refuse,
        };
        let (older, newer) = (Generation::from_bits(1), Generation::from_bits(2));
        let nqn = |generation| terms.nqn(generation).to_string();
        let exports =
            [None, Some(nqn(None)), Some(nqn(Some(older))), Some(nqn(Some(newer))), Some("x".into())];
        for generation in [None, Some(newer)] {
            for allow in [vec![], vec!["host".to_owned()]] {
                for nqn in exports.clone() {
                    let cluster = ClusterId::parse("c").unwrap().hash();
                    let record = Record { generation, ..Record::new(cluster) };
                    let export = nqn.map(|nqn| Export { nqn, allow: allow.clone() });
                    let observed = Observed { record, export };
                    let kept = Kept::of(observed.clone(), &terms);
                    assert_eq!(kept.slot, slot);
                    assert_eq!(kept.into_observed(&terms), observed);
                }
            }
        }
    }
}
