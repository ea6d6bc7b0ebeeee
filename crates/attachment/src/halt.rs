//! Where a decision ends before it has come to a change.

use crate::{Later, Plan, Question, Refusal};

/// What has to be known first, or why there is nothing to do.
pub(crate) enum Halt {
    /// A fact is missing.
    Ask(Question),
    /// Not now.
    Later(Later),
    /// No.
    Refuse(Refusal),
}

impl From<Halt> for Plan {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Ask(question) => Self::Ask(question),
            Halt::Later(later) => Self::Later(later),
            Halt::Refuse(refusal) => Self::Refuse(refusal),
        }
    }
}

impl From<Later> for Halt {
    fn from(later: Later) -> Self {
        Self::Later(later)
    }
}

impl From<Refusal> for Halt {
    fn from(refusal: Refusal) -> Self {
        Self::Refuse(refusal)
    }
}
