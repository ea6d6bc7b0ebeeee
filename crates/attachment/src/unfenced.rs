//! Members that left without being seen to have let go, while another stays.

use volume::{NodeRef, Record};

/// A node that must not get further pods of a volume: who left may still write beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StayingAlone<'a> {
    /// Who stays: its VolumeAttachment is annotated.
    pub staying: &'a [NodeRef],
    /// Who left unproven, and is not fenced.
    pub unfenced: &'a [NodeRef],
}

/// Whether new pods are to be kept off a node that stays; `None`: remove the annotation.
#[must_use]
pub fn must_stay_alone(record: &Record) -> Option<StayingAlone<'_>> {
    let alone = !record.left.is_empty() && !record.holders.is_empty();
    alone.then_some(StayingAlone { staying: &record.holders, unfenced: &record.left })
}
