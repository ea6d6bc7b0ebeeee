//! Outage or fence (node.md rule 5): may what is unwritten be given up?
//!
//! Only a word from outside decides that, never a path that does not answer. The operator's word is one, a live GET
//! of this node's VolumeAttachment the other: the operator's is kept, since it is given once, and the GET is made anew
//! by each call that has to know.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use host::{Host, Volume};
use volume::Generation;

use crate::Node;
use crate::attachments::{Standing, Unanswered};
use crate::seen::Seen;

/// The generations that the operator declared fenced, by NQN: a word for one attachment is none for the next.
#[derive(Debug, Default)]
pub(crate) struct Fences {
    declared: Mutex<BTreeSet<String>>,
}

impl<H: Host> Node<H> {
    /// Whether the volume's attachments that are here, one at least, are all known to be over for good. Kubernetes is
    /// asked only where a path is down, which is where it matters; without its answer it is an outage.
    pub(crate) async fn is_fenced(&self, volume: Volume<'_>, seen: &Seen) -> bool {
        let nqns = seen.nqns(volume.slot, &self.config.nqn_prefix);
        let names = || nqns.iter().map(String::as_str);
        if self.fences.holds_for(names()) {
            return true;
        }
        if seen.path_down(names()).is_none() {
            return false;
        }
        match self.kubernetes.standing(volume.slot, volume.deadline).await {
            Ok(standing) => names().all(|nqn| is_over(standing, self.generation(nqn))),
            Err(why) => {
                tracing::warn!(volume_id = %volume.slot, %why, "whether the volume was fenced is not known: taken as an outage");
                false
            }
        }
    }

    /// Whether a live GET says that the attachment under this NQN is over; nobody to ask is no word.
    ///
    /// # Errors
    /// Where Kubernetes did not say.
    pub(crate) async fn is_attachment_over(&self, volume: Volume<'_>, nqn: &str) -> Result<bool, Unanswered> {
        let standing = self.kubernetes.standing(volume.slot, volume.deadline).await?;
        Ok(is_over(standing, self.generation(nqn)))
    }

    fn generation(&self, nqn: &str) -> Option<Generation> {
        self.config.nqn_prefix.slot_of(nqn).and_then(|(_, generation)| generation)
    }
}

/// Whether the attachment under this generation is over. An attachment whose generation is not known may be this one.
fn is_over(standing: Option<Standing>, generation: Option<Generation>) -> bool {
    match standing {
        Some(Standing::Gone) => true,
        Some(Standing::Attached(Some(present))) => generation != Some(present),
        Some(Standing::Attached(None)) | None => false,
    }
}

impl Fences {
    /// Takes the operator's word for these generations.
    pub(crate) fn declare(&self, nqns: impl IntoIterator<Item = String>) {
        self.lock().extend(nqns);
    }

    /// Whether these generations, one at least, are all known to be fenced.
    pub(crate) fn holds_for<'a>(&self, nqns: impl IntoIterator<Item = &'a str>) -> bool {
        let declared = self.lock();
        let mut nqns = nqns.into_iter().peekable();
        nqns.peek().is_some() && nqns.all(|nqn| declared.contains(nqn))
    }

    /// Forgets the word: the generation is off this node, and a fixed NQN may come back as another attachment;
    /// or its path is live again, and the word was for an outage that is over.
    pub(crate) fn forget<'a>(&self, nqns: impl IntoIterator<Item = &'a str>) {
        let mut declared = self.lock();
        for nqn in nqns {
            declared.remove(nqn);
        }
    }

    /// The set is whole after every statement, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.declared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
