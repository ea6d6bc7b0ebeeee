//! The other holders of a volume that a node asks for (attachments.md, "Publish" 3 and 5).

use volume::NodeRef;

use crate::halt::Halt;
use crate::known::Parting;
use crate::{Change, ExportChange, KubernetesFacts, Later, Observed, Plan, Publish, Terms, Want, ending};

/// How another holder stands while a node asks.
enum Other {
    /// Its VolumeAttachment is gone, its machine is off by somebody's word, or its Node was recreated.
    Gone,
    /// Its VolumeAttachment is being deleted.
    Leaving,
    /// It has the volume.
    There,
}

/// What is to be done about the other holders before anything else; `None`: all of them have the volume.
pub(super) fn make_way(
    observed: &Observed,
    ask: &Publish,
    others: &[NodeRef],
    known: &KubernetesFacts,
    terms: &Terms<'_>,
) -> Result<Option<Plan>, Halt> {
    let (mut gone, mut leaving) = (Vec::new(), Vec::new());
    for member in others {
        match stands(member, ask, observed, known)? {
            Other::Gone => gone.push(member.clone()),
            Other::Leaving => leaving.push(member.clone()),
            Other::There => {}
        }
    }
    match (gone.is_empty(), leaving.is_empty()) {
        (false, _) => take_over(observed, &gone, known, terms).map(Some),
        (true, false) => Err(Later::Detaching(leaving).into()),
        (true, true) => Ok(None),
    }
}

fn stands(
    member: &NodeRef,
    ask: &Publish,
    observed: &Observed,
    known: &KubernetesFacts,
) -> Result<Other, Halt> {
    let attachments = known.attachments()?;
    let wants: Vec<&Want> = attachments.of(member).collect();
    if member.is_named(&ask.node) {
        let stands =
            |want: &&&Want| want.attached && !want.deleting && want.generation == observed.record.generation;
        return match wants.iter().find(stands) {
            // Its pods may run on: the attachment of before was never interrupted.
            Some(want) => {
                Err(Later::Recreated { node: ask.node.clone(), attachment: want.name.clone() }.into())
            }
            None => Ok(Other::Gone),
        };
    }
    let Some(first) = wants.first() else {
        let unmapped = attachments.unmapped.iter().filter(|node| member.is_named(node));
        let unmapped: Vec<_> = unmapped.cloned().collect();
        return if unmapped.is_empty() { Ok(Other::Gone) } else { Err(Later::Unmapped(unmapped).into()) };
    };
    if Parting::of(member, known.node(&first.node)?) == Parting::OutOfService {
        return Ok(Other::Gone);
    }
    Ok(if wants.iter().all(|want| want.deleting) { Other::Leaving } else { Other::There })
}

/// Members that are gone are dropped. Behind the last of them the export closes, as unproven, and the next decision
/// settles and mints; the export of one that stays is not touched.
fn take_over(
    observed: &Observed,
    gone: &[NodeRef],
    known: &KubernetesFacts,
    terms: &Terms<'_>,
) -> Result<Plan, Halt> {
    let staying: Vec<_> =
        observed.record.holders.iter().filter(|holder| !gone.contains(holder)).cloned().collect();
    if !staying.is_empty() {
        let record = ending::without(&observed.record, &known.partings(gone, None)?, staying);
        return Ok(Plan::Note(Change { record, export: ExportChange::Keep }));
    }
    let heirs = ending::heirs(observed, gone, known, terms)?;
    if heirs.is_empty() {
        return Ok(Plan::Close(ending::closed(observed, true, terms)));
    }
    let partings = known.partings(gone, None)?;
    Ok(Plan::Restore(ending::last_off(observed, &partings, heirs, terms)))
}
