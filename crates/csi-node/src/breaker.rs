//! The circuit breaker of a volume: one whose stage fails again and again is left alone for a while, so that it does not
//! storm the node, the target and the API server.
//!
//! ```text
//! closed ──FREE failures in a row──► open for a pause ──over──► one try ──failure──► open for twice as long, at most LONGEST
//!   ▲                                                              │
//!   └──success, another publish context, unstage, operator's word──┘
//! ```
//!
//! Only what stages a volume asks it; nothing that lets go of one does. The kubelet alone never meets it: its own pauses
//! are longer.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::{Duration, Instant};
use tonic::Code;
use volume::{PublishContext, Slot};

use crate::Node;
use crate::error::{Error, Result};
use crate::publish::PublishError;
use crate::request::StageRequest;
use crate::settle::SettleError;
use crate::stage::StageError;

/// Failures in a row that cost nothing: a box that comes back makes one or two.
const FREE: u32 = 3;
/// The pause after the last of them; half of what the kubelet waits then.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// A volume whose trouble is over is served again within this time: half of the kubelet's longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Not tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the volume could not be staged {failures} times in a row and is tried again in {} s (now: rds-csi retry-now {slot}, on \
     the node); the last time: {last}",
    again_in.as_secs_f64().ceil()
)]
pub(crate) struct Open {
    slot: Slot,
    failures: u32,
    again_in: Duration,
    last: String,
}

impl Open {
    /// Always UNAVAILABLE.
    pub(crate) fn code(&self) -> Code {
        Code::Unavailable
    }
}

/// The volumes that fail, by slot.
#[derive(Debug, Default)]
pub(crate) struct Breakers(Mutex<HashMap<Slot, Breaker>>);

/// One volume that failed.
#[derive(Debug)]
struct Breaker {
    context: PublishContext,
    failures: u32,
    last: String,
    opens_again: Instant,
}

impl<H> Node<H> {
    /// Stages a volume, unless it has failed so often that it is left alone, and counts how that ends. One failure a call,
    /// however often the call tried.
    pub(crate) async fn unless_left_alone(
        &self,
        request: &StageRequest,
        stage: impl Future<Output = Result<()>>,
    ) -> Result<()> {
        let StageRequest { slot, publish, .. } = request;
        self.breakers.admit(slot, publish, Instant::now())?;
        let staged = stage.await;
        match &staged {
            Ok(()) => drop(self.breakers.reset(slot)),
            Err(error) if error.is_waiting() || is_refusal(error) => {}
            Err(error) => {
                self.breakers.failed(slot, publish, &error.to_string(), Instant::now(), rand::random());
            }
        }
        staged
    }
}

/// Whether it was refused by what is seen on this node, before the target or the kernel was asked for anything: that
/// storms nobody, and whoever ends the reason (deletes the pod that is named) is not to wait for a pause besides.
fn is_refusal(error: &Error) -> bool {
    match error {
        Error::Settle(SettleError::InUse { .. })
        | Error::Stage(StageError::Incompatible { .. } | StageError::StagingTaken { .. }) => true,
        Error::OnDevice { error, .. } | Error::Publish(PublishError::NotRecovered { error, .. }) => {
            is_refusal(error)
        }
        _ => error.is_final(),
    }
}

impl Breakers {
    /// Whether a stage under this publish context may be tried now.
    pub(crate) fn admit(
        &self,
        slot: &Slot,
        context: &PublishContext,
        now: Instant,
    ) -> std::result::Result<(), Open> {
        let mut all = self.lock();
        // Another attachment has another fate.
        if all.get(slot).is_some_and(|breaker| breaker.context != *context) {
            all.remove(slot);
        }
        match all.get(slot).filter(|breaker| now < breaker.opens_again) {
            None => Ok(()),
            Some(Breaker { failures, last, opens_again, .. }) => {
                let again_in = opens_again.saturating_duration_since(now);
                Err(Open { slot: slot.clone(), failures: *failures, again_in, last: last.clone() })
            }
        }
    }

    /// A try failed. `jitter` of 0 to 1 spreads the volumes of a node that failed at once.
    pub(crate) fn failed(
        &self,
        slot: &Slot,
        context: &PublishContext,
        error: &str,
        now: Instant,
        jitter: f64,
    ) {
        let mut all = self.lock();
        let fresh =
            || Breaker { context: context.clone(), failures: 0, last: String::new(), opens_again: now };
        let breaker = all.entry(slot.clone()).or_insert_with(fresh);
        breaker.failures = breaker.failures.saturating_add(1);
        error.clone_into(&mut breaker.last);
        breaker.opens_again = now + pause(breaker.failures, jitter);
    }

    /// It went well, or it is no matter any more. How many failures are forgotten.
    pub(crate) fn reset(&self, slot: &Slot) -> u32 {
        self.lock().remove(slot).map_or(0, |breaker| breaker.failures)
    }

    /// The map is whole after every statement, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, HashMap<Slot, Breaker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pause after so many failures: half of it is fixed, the other half spread.
fn pause(failures: u32, jitter: f64) -> Duration {
    let Some(doubled) = failures.checked_sub(FREE) else { return Duration::ZERO };
    let full = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(doubled)).min(LONGEST_PAUSE);
    full.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;
    use volume::{DataAddress, Nqn};

    fn context(nqn: &str) -> PublishContext {
        PublishContext {
            nqn: Nqn::parse(nqn).unwrap(),
            address: DataAddress::new("10.0.0.1", 4420).unwrap(),
            host: None,
            size_bytes: None,
            published_as_block: false,
            claim: None,
        }
    }

    #[test]
    fn pauses_double_from_the_third_failure_and_are_capped() {
        for (failures, expected) in
            [(1, 0), (2, 0), (3, 1), (4, 2), (5, 4), (8, 32), (9, 60), (10, 60), (u32::MAX, 60)]
        {
            assert_eq!(pause(failures, 1.0), Duration::from_secs(expected), "{failures}");
        }
    }

    proptest! {
        #[test]
        fn jitter_takes_at_most_half(failures in 0_u32..40, jitter in 0.0_f64..1.0) {
            let (full, jittered) = (pause(failures, 1.0), pause(failures, jitter));
            prop_assert!(jittered <= full && jittered >= full / 2);
        }

        #[test]
        fn what_is_refused_is_admitted_when_it_said_it_would_be(failures in 3_u32..20, jitter in 0.0_f64..1.0) {
            let (breakers, slot, now) = (Breakers::default(), Slot::parse("a").unwrap(), Instant::now());
            let context = context("nqn.test:a");
            for _ in 0..failures {
                breakers.failed(&slot, &context, "why", now, jitter);
            }
            let open = breakers.admit(&slot, &context, now).unwrap_err();
            prop_assert_eq!((open.failures, open.last.as_str()), (failures, "why"));
            prop_assert!(open.again_in <= LONGEST_PAUSE);
            prop_assert!(breakers.admit(&slot, &context, now + open.again_in / 2).is_err());
            prop_assert_eq!(breakers.admit(&slot, &context, now + open.again_in), Ok(()));
        }
    }

    #[test]
    fn a_success_another_context_and_the_operators_word_close_it() {
        let (slot, now) = (Slot::parse("a").unwrap(), Instant::now());
        let (one, two) = (context("nqn.test:a"), context("nqn.test:b"));
        let open = || {
            let breakers = Breakers::default();
            (0..5).for_each(|_| breakers.failed(&slot, &one, "why", now, 0.5));
            assert!(breakers.admit(&slot, &one, now).is_err());
            breakers
        };
        let breakers = open();
        assert_eq!(breakers.admit(&Slot::parse("b").unwrap(), &one, now), Ok(()));
        assert_eq!(breakers.reset(&slot), 5);
        assert_eq!((breakers.admit(&slot, &one, now), breakers.reset(&slot)), (Ok(()), 0));
        let breakers = open();
        assert_eq!(breakers.admit(&slot, &two, now), Ok(()));
        breakers.failed(&slot, &two, "why", now, 0.5);
        assert_eq!(breakers.admit(&slot, &two, now), Ok(()), "it counts anew");
    }

    #[test]
    fn it_says_when_and_what_to_do() {
        let (breakers, slot, now) = (Breakers::default(), Slot::parse("a").unwrap(), Instant::now());
        (0..4).for_each(|_| breakers.failed(&slot, &context("nqn.test:a"), "it is down", now, 1.0));
        let open = breakers.admit(&slot, &context("nqn.test:a"), now).unwrap_err();
        assert_eq!(
            open.to_string(),
            "the volume could not be staged 4 times in a row and is tried again in 2 s (now: rds-csi retry-now a, on the \
             node); the last time: it is down"
        );
    }
}
