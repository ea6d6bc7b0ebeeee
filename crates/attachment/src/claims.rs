//! What VolumeAttachments say of a volume without a holder (attachments.md, "Publish" 1 and 4).

use volume::{Fencing, NodeId, NodeRef, Record};

use crate::halt::Halt;
use crate::state::MAX_HOLDERS;
use crate::{Change, ExportChange, KubernetesFacts, Later, NodeFacts, Observed, Terms, Want};

/// The attachment that stands in Kubernetes and that the device has lost, to be put back under the very generation
/// that it was given; `None`: none stands. `asking` is the node that asks for the volume.
pub(crate) fn restored(
    observed: &Observed,
    asking: Option<&NodeId>,
    known: &KubernetesFacts,
    terms: &Terms<'_>,
) -> Result<Option<Change>, Halt> {
    let standing: Vec<&Want> = known.attachments()?.standing().collect();
    let nodes = known.nodes(standing.iter().map(|want| &want.node))?;
    let claims = standing.iter().copied().zip(nodes).filter(|(want, node)| {
        // A machine that is off by somebody's word has nothing any more; nor has the node that asks a claim against
        // itself by an attachment that others have overtaken.
        let is_off = node.is_some_and(|node| node.out_of_service);
        let own_past = Some(&want.node) == asking && is_overtaken(want, &observed.record);
        !is_off && !own_past
    });
    let (wants, nodes): (Vec<_>, Vec<_>) = claims.unzip();
    let Some(first) = wants.first() else { return Ok(None) };
    if may_be_overtaken(first, &standing, observed) {
        return Err(
            Later::contradiction(&standing, "which of their generations came last is not known").into()
        );
    }
    if let Some(why) = speaks_against(&wants, &nodes, observed, terms) {
        return Err(Later::contradiction(&wants, why).into());
    }
    let holder =
        |(want, node): (&&Want, &Option<&NodeFacts>)| NodeRef::new(&want.node, node.and_then(|it| it.uid));
    let mut record = Record {
        generation: first.generation,
        holders: wants.iter().zip(&nodes).map(holder).collect(),
        left: Vec::new(),
        ..observed.record.clone()
    };
    if first.generation.is_some() {
        record.ended = None;
    }
    record.shared = record.holders.len() > 1;
    let nqn = terms.nqn(record.generation);
    let export = match observed.export {
        Some(_) => ExportChange::Keep,
        // Which hosts were listed is not known here, and a holder that is refused loses its file system.
        None => ExportChange::Open { nqn, allow: Vec::new() },
    };
    Ok(Some(Change { record, export }))
}

/// Why these claims cannot be met: then nothing is closed, opened or granted.
fn speaks_against(
    wants: &[&Want],
    nodes: &[Option<&NodeFacts>],
    observed: &Observed,
    terms: &Terms<'_>,
) -> Option<&'static str> {
    let generation = wants.first()?.generation;
    let exported = observed.export.as_ref().map(|export| export.nqn.as_str());
    let nqn = terms.nqn(generation);
    let may_share = observed.record.published.is_block_only();
    if nodes.iter().any(|node| node.is_none_or(|node| node.uid.is_none())) {
        return Some("its Node is gone");
    }
    if wants.iter().any(|want| want.generation != generation) {
        return Some("another one names another generation");
    }
    if wants.len() > MAX_HOLDERS || (wants.len() > 1 && !may_share) {
        return Some("that many nodes never share this volume");
    }
    if wants.iter().any(|want| is_overtaken(want, &observed.record)) {
        return Some("the volume was given to another node since");
    }
    if exported.is_some_and(|exported| exported != nqn.as_str()) {
        return Some("the volume is exported under another name");
    }
    if generation.is_none() && exported.is_none() && terms.fencing != Fencing::Off {
        return Some("its attachment metadata does not tell the generation");
    }
    None
}

/// Whether this claim may be the past of another VolumeAttachment, and nothing tells: neither what is exported, nor
/// the record, which tells no last generation only where somebody wrote it anew, or the device lost it. Whose machine
/// is off claims nothing, but may well be who came last.
fn may_be_overtaken(claim: &Want, standing: &[&Want], observed: &Observed) -> bool {
    let nothing_tells = observed.export.is_none() && observed.record.ended.is_none();
    nothing_tells && standing.iter().any(|want| want.generation != claim.generation)
}

/// Whether the record knows of a later generation than that of this VolumeAttachment.
fn is_overtaken(want: &Want, record: &Record) -> bool {
    want.generation.is_some() && record.ended.is_some() && want.generation != record.ended
}
