//! The one function that takes the arrows of [`State`].

use crate::{Facts, Observed, Plan, Request, State, Terms, publish, unpublish};

/// The next step for a volume that was read as `observed`, by attachments.md ("Publish", "Unpublish", "Settle").
///
/// Where the plan is [`Plan::Close`] or [`Plan::Settle`], decide again afterwards, with what is then observed.
#[must_use]
pub fn decide(observed: &Observed, request: &Request, _facts: &Facts, terms: &Terms<'_>) -> Plan {
    match (request, observed.state(terms)) {
        (Request::Publish(ask), State::Detached) => publish::open(observed, ask, terms),
        (Request::Publish(_), State::Stray) => publish::close_stray(observed),
        (Request::Publish(ask), State::Attached | State::Shut | State::Renamed) => {
            match publish::standing(observed, ask) {
                publish::Standing::Holder => publish::again(observed, ask, terms),
                publish::Standing::Guest => publish::join(observed, ask, terms),
                publish::Standing::Refused(refusal) => Plan::Refuse(refusal),
            }
        }
        (Request::Reconcile(_), _) => Plan::Idle,
        (Request::Unpublish(_), State::Stray) => unpublish::from_stray(observed),
        (Request::Unpublish(ask), _) => unpublish::leave(observed, ask, terms),
    }
}
