//! How an attachment ends: for all, or for one member while another stays.

use volume::{Fencing, NodeRef, Record};

use crate::halt::Halt;
use crate::known::Parting;
use crate::state::{MAX_HOLDERS, is_among};
use crate::{Change, ExportChange, KubernetesFacts, Later, Observed, Terms, Want};

/// The record and export after nobody has the volume any more. The export of mode `off` stays.
pub(crate) fn closed(observed: &Observed, unproven: bool, terms: &Terms<'_>) -> Change {
    let mut record = ended(&observed.record);
    record.unproven = unproven;
    let is_fixed = |nqn: &str| nqn == terms.nqn(None).as_str();
    let stays_open =
        terms.fencing == Fencing::Off && observed.export.as_ref().is_some_and(|export| is_fixed(&export.nqn));
    Change { record, export: if stays_open { ExportChange::Keep } else { ExportChange::Close } }
}

/// The record once its generation is over.
fn ended(record: &Record) -> Record {
    Record {
        generation: None,
        ended: record.generation.or(record.ended),
        migration: None,
        shared: false,
        holders: Vec::new(),
        left: Vec::new(),
        ..record.clone()
    }
}

/// The record after members are off while `staying` stay. The session of one that is off does not end while the
/// export stands for the others: it stays in the record until it is fenced, and leaves the generation unproven.
pub(crate) fn without(record: &Record, off: &[(NodeRef, Parting)], staying: Vec<NodeRef>) -> Record {
    let mut record = Record { holders: staying, ..record.clone() };
    for (member, parting) in off {
        record.unproven |= *parting != Parting::Proven;
        if *parting == Parting::Unproven {
            record.left.push(member.clone());
        }
    }
    let holders = &record.holders;
    record.left.retain(|member| !is_among(member, holders));
    if record.holders.len() < MAX_HOLDERS {
        record.migration = None;
    }
    record
}

/// The record without those who had left and are fenced since; `None`: nothing changed.
pub(crate) fn fenced(record: &Record, known: &KubernetesFacts) -> Result<Option<Record>, Halt> {
    let mut partings = known.partings(&record.left, None)?;
    partings.retain(|(_, parting)| *parting == Parting::Unproven);
    let left: Vec<NodeRef> = partings.into_iter().map(|(member, _)| member).collect();
    // How the rest of the generation ends does not prove how they left.
    let change = left.len() < record.left.len();
    Ok(change.then(|| Record { left, unproven: true, ..record.clone() }))
}

/// The last holders are off: the export closes and its generation is erased, unless a VolumeAttachment that stands
/// names it. One member that left unproven makes the whole generation unproven.
pub(crate) fn last_off(
    observed: &Observed,
    off: &[(NodeRef, Parting)],
    heirs: Vec<NodeRef>,
    terms: &Terms<'_>,
) -> Change {
    if !heirs.is_empty() {
        let mut record = without(&observed.record, off, heirs);
        record.shared |= record.holders.len() > 1;
        if let Some(generation) = observed.open_generation(terms) {
            record.generation = generation;
        }
        return Change { record, export: ExportChange::Keep };
    }
    let before = &observed.record;
    let any = off.iter().any(|(_, parting)| *parting != Parting::Proven);
    closed(observed, before.unproven || any || !before.left.is_empty(), terms)
}

/// Who has what is exported now, or what is recorded where nothing is exported, by VolumeAttachments that stand,
/// but for those who are `off`: they keep an export open that is about to be closed behind others.
pub(crate) fn heirs(
    observed: &Observed,
    off: &[NodeRef],
    known: &KubernetesFacts,
    terms: &Terms<'_>,
) -> Result<Vec<NodeRef>, Halt> {
    let Some(generation) = observed.open_generation(terms) else { return Ok(Vec::new()) };
    let is_off = |want: &&Want| off.iter().any(|member| member.is_named(&want.node));
    let users: Vec<_> = known
        .attachments()?
        .standing()
        .filter(|want| want.generation == generation && !is_off(want))
        .collect();
    let nodes = known.nodes(users.iter().map(|want| &want.node))?;
    let mut heirs = Vec::new();
    for (want, node) in users.iter().zip(nodes) {
        match node.map(|node| (node.uid, node.out_of_service)) {
            Some((_, true)) => {}
            Some((uid @ Some(_), false)) => heirs.push(NodeRef::new(&want.node, uid)),
            Some((None, false)) | None => {
                return Err(Later::contradiction(&users, "its Node is gone").into());
            }
        }
    }
    // In mode `off` every VolumeAttachment that stands names what is exported.
    if heirs.len() > 1 && !observed.record.published.is_block_only() {
        return Err(Later::contradiction(&users, "nodes never share what was a file system").into());
    }
    if heirs.len() > MAX_HOLDERS {
        return Err(Later::contradiction(&users, "two nodes at most may share a volume").into());
    }
    let left = &observed.record.left;
    // Beside somebody who left unproven nobody comes but itself.
    let strangers =
        heirs.iter().any(|heir| !is_among(heir, left)) || left.iter().any(|it| !is_among(it, &heirs));
    if !heirs.is_empty() && !left.is_empty() && strangers {
        return Err(Later::contradiction(&users, "a member that left is not fenced").into());
    }
    Ok(heirs)
}
