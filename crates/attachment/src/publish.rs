//! Publish (attachments.md, "Publish" 1 to 6).

use volume::NodeRef;

use crate::halt::Halt;
use crate::state::{MAX_HOLDERS, is_same};
use crate::{
    Change, ExportChange, Facts, KubernetesFacts, Later, Observed, Plan, Publish, Refusal, State, Terms,
    claims, ending,
};

mod attach;
mod machines;
mod others;

/// The Node that the request was made for must be there, and be that one.
pub(crate) fn check_node(ask: &Publish, facts: &Facts) -> Result<(), Halt> {
    let Some(known) = facts.kubernetes() else { return Ok(()) };
    match known.node(&ask.node)? {
        None => Err(Refusal::NoNode(ask.node.clone()).into()),
        Some(node) if node.uid.is_none() || node.uid != ask.uid => {
            Err(Later::NodeChanged(ask.node.clone()).into())
        }
        Some(_) => Ok(()),
    }
}

/// No holder, not exported: what stands in Kubernetes is put back, else the node gets it (1).
pub(crate) fn free(
    observed: &Observed,
    ask: &Publish,
    facts: &Facts,
    terms: &Terms<'_>,
) -> Result<Plan, Halt> {
    if let Some(known) = facts.kubernetes()
        && let Some(change) = claims::restored(observed, Some(&ask.node), known, terms)?
    {
        return Ok(Plan::Restore(change));
    }
    Ok(attach::open(observed, ask, terms))
}

/// Exported without a holder: it is the export of the node whose VolumeAttachment stands, else nobody's (4).
pub(crate) fn stray(
    observed: &Observed,
    ask: &Publish,
    facts: &Facts,
    terms: &Terms<'_>,
) -> Result<Plan, Halt> {
    if let Some(known) = facts.kubernetes() {
        if let Some(change) = claims::restored(observed, Some(&ask.node), known, terms)? {
            return Ok(Plan::Restore(change));
        }
        let unmapped = &known.attachments()?.unmapped;
        if !unmapped.is_empty() {
            return Err(Later::Unmapped(unmapped.iter().cloned().collect()).into());
        }
    }
    Ok(Plan::Close(ending::closed(observed, true, terms)))
}

/// There are holders: the node is one, joins them, takes over from those that are gone, or is refused (2, 3, 5).
pub(crate) fn held(
    observed: &Observed,
    ask: &Publish,
    facts: &Facts,
    terms: &Terms<'_>,
) -> Result<Plan, Halt> {
    let others = observed.others(ask);
    let standing = standing(observed, ask, &others);
    match (standing, facts.kubernetes()) {
        (Standing::Holder, known) => {
            if let Some(known) = known
                && observed.state(terms) == State::Shut
            {
                not_leaving(ask, known)?;
            }
            Ok(attach::again(observed, ask, terms))
        }
        // Nobody can be asked whether both serve one machine.
        (Standing::Guest, None) => Err(Refusal::Held(others).into()),
        (Standing::Refused(refusal), None) => Err(refusal.into()),
        (standing, Some(known)) => {
            if let Some(plan) = others::make_way(observed, ask, &others, known, terms)? {
                return Ok(plan);
            }
            beside(observed, ask, &others, standing, known, terms)
        }
    }
}

/// Every other holder has the volume.
fn beside(
    observed: &Observed,
    ask: &Publish,
    others: &[NodeRef],
    standing: Standing,
    known: &KubernetesFacts,
    terms: &Terms<'_>,
) -> Result<Plan, Halt> {
    match standing {
        Standing::Holder => Ok(attach::again(observed, ask, terms)),
        Standing::Guest => {
            let migrates = machines::may_join(others, known, terms)?;
            Ok(attach::join(observed, ask, migrates, terms))
        }
        Standing::Refused(refusal @ Refusal::Unfenced(_)) => match ending::fenced(&observed.record, known)? {
            Some(record) => Ok(Plan::Note(Change { record, export: ExportChange::Keep })),
            None => Err(refusal.into()),
        },
        Standing::Refused(refusal) => Err(refusal.into()),
    }
}

/// Nothing is opened again for a node whose VolumeAttachment is being deleted.
fn not_leaving(ask: &Publish, known: &KubernetesFacts) -> Result<(), Halt> {
    let mut wants = known.attachments()?.wants.iter().filter(|want| want.node == ask.node).peekable();
    let is_leaving = wants.peek().is_some() && wants.all(|want| want.deleting);
    if is_leaving { Err(Later::Detaching(vec![ask.holder()]).into()) } else { Ok(()) }
}

/// How a node stands to a volume that has holders.
enum Standing {
    /// It is one of them.
    Holder,
    /// It may become the second.
    Guest,
    /// It may not.
    Refused(Refusal),
}

impl Observed {
    fn others(&self, ask: &Publish) -> Vec<NodeRef> {
        let other = |holder: &&NodeRef| !is_same(holder, &ask.node, ask.uid);
        self.record.holders.iter().filter(other).cloned().collect()
    }
}

/// How the node that asks stands to the holders that are recorded, should all of them have the volume.
fn standing(observed: &Observed, ask: &Publish, others: &[NodeRef]) -> Standing {
    let record = &observed.record;
    let other = |member: &&NodeRef| !is_same(member, &ask.node, ask.uid);
    let unfenced: Vec<_> = record.left.iter().filter(other).cloned().collect();
    let is_holder = others.len() < record.holders.len();
    // Who had it as a file system, or gets it as one, has it alone: two writers of one destroy it. And who was
    // given it for itself does not know of a second writer.
    let only_block = ask.block && record.published.is_block_only() && record.shared;
    let was_recreated = !is_holder && others.iter().any(|holder| holder.is_named(&ask.node));
    if is_holder && (ask.block || (others.is_empty() && unfenced.is_empty())) {
        return Standing::Holder;
    }
    let may_join = ask.shared && only_block && !was_recreated;
    Standing::Refused(match (is_holder, may_join) {
        (false, true) if others.len() >= MAX_HOLDERS => Refusal::Full(others.to_vec()),
        (false, true) if unfenced.is_empty() => return Standing::Guest,
        (false, true) => Refusal::Unfenced(unfenced),
        (true, _) if others.is_empty() => Refusal::Unfenced(unfenced),
        _ => Refusal::Held(others.to_vec()),
    })
}
