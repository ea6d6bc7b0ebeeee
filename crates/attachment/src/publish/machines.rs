//! Whether a second node may have a block volume beside the first (R18).

use volume::NodeRef;

use crate::halt::Halt;
use crate::{KubernetesFacts, Machines, PodsUnreadable, Question, Refusal, Terms};

/// Whether it may join, and if it does, whether that is a live migration.
pub(super) fn may_join(others: &[NodeRef], known: &KubernetesFacts, terms: &Terms<'_>) -> Result<bool, Halt> {
    match known.machines {
        None => Err(Halt::Ask(Question::Machines)),
        Some(Machines::Same) => Ok(true),
        Some(Machines::NoMachine) if terms.rwx_plain_pods => Ok(false),
        Some(Machines::NoMachine | Machines::Different) => {
            Err(Refusal::NotOneMachine(others.to_vec()).into())
        }
        Some(Machines::Forbidden) if terms.pods_unreadable == PodsUnreadable::Allow => Ok(true),
        Some(Machines::Forbidden) => Err(Refusal::PodsUnreadable(others.to_vec()).into()),
    }
}
