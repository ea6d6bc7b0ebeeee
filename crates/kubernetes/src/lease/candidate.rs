//! What to do about the Lease: pure, with the time as an argument.

use std::time::Duration;

use super::{Observed, Terms};
use crate::BootTime;

/// A duration in a Lease is believed up to this: longer ones are nonsense and would stop everybody.
const LONGEST_DURATION: Duration = Duration::from_secs(60);

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// There is no Lease: make one that nobody holds, with this many transitions. Only a version can be watched for
    /// whether it changes; that there is none, and again none, does not mean that there was none in between.
    Announce(u32),
    /// Hold the Lease that was read, with this many transitions.
    Take(u32),
    /// Hold on to the Lease, with this many transitions: write over what was read, or make it again.
    Keep(u32),
    /// Look again after this long.
    Wait(Duration),
    /// Leadership is over; the process ends.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tenure {
    Contending,
    Leading {
        until: BootTime,
        transitions: u32,
    },
    /// Lost or released: for good.
    Over,
}

/// What was read last.
#[derive(Clone, Debug)]
struct Sight {
    lease: Option<Observed>,
    /// When this very version was first read.
    since: BootTime,
    /// When it was last read.
    last: BootTime,
}

/// One process that wants to lead.
#[derive(Clone, Debug)]
pub struct Candidate {
    identity: String,
    terms: Terms,
    tenure: Tenure,
    sight: Option<Sight>,
    /// The longest duration of any Lease seen: who wrote the present one may have worked under another.
    longest: Duration,
    /// The most transitions seen in any Lease; `None`: none was ever seen.
    highest: Option<u32>,
    /// At least this was in a record.
    floor: u32,
}

impl Candidate {
    /// `identity` is of one process and of none after it.
    #[must_use]
    pub fn new(identity: impl Into<String>, terms: Terms) -> Self {
        Self {
            identity: identity.into(),
            terms,
            tenure: Tenure::Contending,
            sight: None,
            longest: terms.duration,
            highest: None,
            floor: 0,
        }
    }

    /// Takes over what was just read (`None`: there is no Lease) and decides. `now` is after the answer came.
    pub fn observe(&mut self, lease: Option<Observed>, now: BootTime) -> Decision {
        if let Some(lease) = &lease {
            self.longest = self.longest.max(lease.duration.min(LONGEST_DURATION));
            self.highest = self.highest.max(Some(lease.transitions));
        }
        self.expire(now);
        let decision = match self.tenure {
            Tenure::Over => Decision::Lost,
            Tenure::Leading { transitions, .. } => self.keep(lease.as_ref(), transitions),
            Tenure::Contending => self.contend(lease.as_ref(), now),
        };
        self.remember(lease, now);
        decision
    }

    /// A write that [`Self::observe`] asked for has succeeded; it was sent after `started`, answered before `now`.
    pub fn wrote(&mut self, transitions: u32, started: BootTime, now: BootTime) {
        self.expire(now);
        if self.tenure != Tenure::Over {
            let until = started.after(self.terms.duration.saturating_sub(self.terms.margin));
            self.tenure = Tenure::Leading { until, transitions };
            self.expire(now);
        }
    }

    /// Stops leading of its own will, for good. Says whether it led.
    pub fn release(&mut self, now: BootTime) -> bool {
        self.expire(now);
        let led = matches!(self.tenure, Tenure::Leading { .. });
        self.tenure = Tenure::Over;
        led
    }

    /// Until when requests may be sent; `None`: not at all.
    #[must_use]
    pub fn sends_until(&self, now: BootTime) -> Option<BootTime> {
        match self.tenure {
            Tenure::Leading { until, .. } if !until.left(now).is_zero() => Some(until),
            _ => None,
        }
    }

    /// Whether it led and does so no more, or was released.
    #[must_use]
    pub fn is_over(&self, now: BootTime) -> bool {
        match self.tenure {
            Tenure::Leading { until, .. } => until.left(now).is_zero(),
            tenure => tenure == Tenure::Over,
        }
    }

    /// The term for records: the higher of the Lease's transitions and what records held, plus one; 0 before the
    /// first leadership.
    #[must_use]
    pub fn term(&self) -> u32 {
        match self.tenure {
            Tenure::Leading { transitions, .. } => transitions.max(self.floor).saturating_add(1),
            _ => 0,
        }
    }

    /// A record holds this term.
    pub fn raise_term(&mut self, seen: u32) {
        self.floor = self.floor.max(seen);
    }

    /// Who it is.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    fn expire(&mut self, now: BootTime) {
        if self.is_over(now) {
            self.tenure = Tenure::Over;
        }
    }

    fn keep(&mut self, lease: Option<&Observed>, transitions: u32) -> Decision {
        // An older copy may have been put back: the count must not follow it down.
        let transitions = transitions.max(self.highest.unwrap_or(0));
        let foreign = lease.is_some_and(|lease| !lease.holder.is_empty() && lease.holder != self.identity);
        if foreign {
            self.tenure = Tenure::Over;
            return Decision::Lost;
        }
        // Where it was deleted or emptied: nobody can have taken it within the time that is still ours.
        Decision::Keep(transitions)
    }

    fn contend(&self, lease: Option<&Observed>, now: BootTime) -> Decision {
        if lease.is_none() {
            return Decision::Announce(self.highest.unwrap_or(0));
        }
        let unchanged = self.sight.as_ref().filter(|sight| sight.lease.as_ref() == lease);
        let since = unchanged.map_or(now, |sight| sight.since);
        let left = since.after(self.longest).left(now);
        if !left.is_zero() && !self.was_released(lease, now) {
            return Decision::Wait(left.min(self.terms.poll));
        }
        Decision::Take(self.highest.unwrap_or(0).saturating_add(1))
    }

    /// The holder that was seen a moment ago has signed its release: an identity signs once, as its last act. What
    /// was released before anybody looked is waited for: it may come from a backup, with a leader at work.
    fn was_released(&self, lease: Option<&Observed>, now: BootTime) -> bool {
        let Some((lease, sight)) = lease.zip(self.sight.as_ref()) else { return false };
        let Some(before) = &sight.lease else { return false };
        let just_seen = !sight.last.after(self.terms.duration).left(now).is_zero();
        let signed = lease.released_by.as_deref() == Some(before.holder.as_str());
        just_seen && lease.holder.is_empty() && !before.holder.is_empty() && signed
    }

    fn remember(&mut self, lease: Option<Observed>, now: BootTime) {
        match &mut self.sight {
            Some(sight) if sight.lease == lease => sight.last = now,
            sight => *sight = Some(Sight { lease, since: now, last: now }),
        }
    }
}
