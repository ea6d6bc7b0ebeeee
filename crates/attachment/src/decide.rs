//! The one function that takes the arrows of [`State`].

use crate::halt::Halt;
use crate::{Facts, Observed, Plan, Request, State, Terms, publish, reconcile, unpublish};

/// The next step for a volume that was read as `observed`, by attachments.md.
///
/// Where a fact is missing the plan is [`Plan::Ask`]: look it up, live, and decide again. Where it is
/// [`Plan::Close`], [`Plan::Restore`], [`Plan::Note`] or [`Plan::Settle`], decide again afterwards, with what is
/// then observed and with facts that are new.
#[must_use]
pub fn decide(observed: &Observed, request: &Request, facts: &Facts, terms: &Terms<'_>) -> Plan {
    if terms.term > 0 && observed.record.term > terms.term {
        return Plan::Outranked(observed.record.term);
    }
    let plan = step(observed, request, facts, terms).unwrap_or_else(Plan::from);
    signed(plan, terms.term)
}

fn step(observed: &Observed, request: &Request, facts: &Facts, terms: &Terms<'_>) -> Result<Plan, Halt> {
    match (request, observed.state(terms)) {
        (Request::Publish(ask), state) => {
            publish::check_node(ask, facts)?;
            match state {
                State::Detached => publish::free(observed, ask, facts, terms),
                State::Stray => publish::stray(observed, ask, facts, terms),
                State::Attached | State::Shut | State::Renamed => publish::held(observed, ask, facts, terms),
            }
        }
        (Request::Unpublish(ask), State::Stray) => unpublish::stray(observed, ask, facts, terms),
        (Request::Unpublish(ask), _) => unpublish::leave(observed, ask, facts, terms),
        (Request::Reconcile(ask), state) => match facts {
            Facts::Standalone => Ok(Plan::Idle),
            Facts::Kubernetes(known) => reconcile::reconcile(observed, state, ask, known, terms),
        },
    }
}

/// Every record that is written carries the term of who wrote it.
fn signed(mut plan: Plan, term: u32) -> Plan {
    if let Plan::Attach(change, _)
    | Plan::Close(change)
    | Plan::Restore(change)
    | Plan::Note(change)
    | Plan::Detach(change) = &mut plan
        && term > 0
    {
        change.record.term = term;
    }
    plan
}
