//! The controller's calls: decide, look up, write, and what may go wrong between.

use std::time::Duration;

use attachment::{
    Attached, Change, ExportChange, Facts, KubernetesFacts, Later, Leaving, Observed, Plan, Publish,
    Question, Refusal, Request, Unpublish, decide,
};
use volume::Generation;

use crate::cluster::{Cluster, node};
use crate::invariants;
use crate::step::Fault;
use crate::truth::interrupt;
use crate::world::World;

/// More steps than any call may take before it has come to an end.
const STEPS: u32 = 16;

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Attached(Attached),
    Done,
    /// Refused, to be retried, or dead.
    Failed,
}

impl World {
    pub(crate) fn publish(
        &mut self,
        n: usize,
        odd: bool,
        stale_uid: bool,
        attacher_dies: bool,
        fault: Fault,
    ) {
        let request = self.publishing(n, odd, stale_uid);
        let End::Attached(told) = self.call(&request, fault) else { return };
        let generation = self.generation_of(&told);
        invariants::one_generation_for_one_attachment(self, n, generation);
        if let Some(va) = &mut self.cluster.vas[n]
            && !attacher_dies
        {
            (va.attached, va.generation, va.interrupted) = (true, generation, false);
        }
    }

    pub(crate) fn publishing(&mut self, n: usize, odd: bool, stale_uid: bool) -> Request {
        self.minted += 1;
        let (block, shared) = self.mode(odd);
        let uid = if stale_uid { crate::cluster::uid(0) } else { self.uid_of(n) };
        Request::Publish(Publish {
            node: node(n),
            uid,
            host_nqn: format!("nqn.host:{n}"),
            block,
            shared,
            mint: Generation::from_bits(self.minted),
            migration_timeout: Duration::from_secs(300),
        })
    }

    pub(crate) fn unpublish(&mut self, n: Option<usize>, fault: Fault) {
        let leaving = n.map_or(Leaving::Everybody, |n| Leaving::Node(node(n)));
        let ended = self.call(&Request::Unpublish(Unpublish { leaving }), fault);
        // The attacher lets the VolumeAttachment go once its node is off.
        if ended == End::Done
            && let Some(n) = n
            && self.cluster.vas[n].as_ref().is_some_and(|va| va.deleting)
        {
            self.cluster.vas[n] = None;
        }
    }

    pub(crate) fn reconcile(&mut self, old: bool, fault: Fault) {
        // What it knows to be unwanted, it knows from before the call.
        let request = self.reconciling(old);
        self.call(&request, fault);
    }

    /// A call, from the first reading to its answer.
    pub(crate) fn call(&mut self, request: &Request, fault: Fault) -> End {
        // Nothing is decided while a write may still land.
        self.land();
        let (mut writes, mut questions) = (0, 0);
        let mut known = KubernetesFacts::default();
        for _ in 0..STEPS {
            self.look();
            let plan = decide(&self.observed, request, &Facts::Kubernetes(known.clone()), &self.terms());
            self.seen.insert(kind(&plan, &self.observed));
            let (change, end) = match plan {
                Plan::Ask(question) => {
                    if fault == Fault::Api(questions) {
                        return End::Failed;
                    }
                    questions += 1;
                    self.cluster.answer(&question, &mut known);
                    continue;
                }
                Plan::Outranked(term) => {
                    assert!(term > self.term);
                    self.term = term + 1;
                    continue;
                }
                Plan::Attached(told) => return End::Attached(told),
                Plan::Detached | Plan::Idle => return End::Done,
                Plan::Settle(_) | Plan::Later(_) | Plan::Refuse(_) => return End::Failed,
                Plan::Attach(change, told) => (change, Some(End::Attached(told))),
                Plan::Detach(change) => (change, Some(End::Done)),
                Plan::Close(change) | Plan::Restore(change) | Plan::Note(change) => (change, None),
            };
            if fault == Fault::Crash(writes) {
                self.restart_after_crash();
                return End::Failed;
            }
            invariants::every_write(self, &change, request);
            if fault == Fault::Late(writes) {
                self.closed_at = None;
                self.late = Some((change, request.clone(), self.cluster.clone()));
                return End::Failed;
            }
            let seen = self.cluster.clone();
            self.write(change, request, &seen);
            if fault == Fault::ReplyLost(writes) {
                self.closed_at = None;
                return End::Failed;
            }
            if let Some(end) = end {
                return end;
            }
            writes += 1;
            known = KubernetesFacts::default();
        }
        panic!("no end of {request:?}: {:?}", self.observed)
    }

    /// A write whose outcome was not known lands.
    pub(crate) fn land(&mut self) {
        if let Some((change, request, seen)) = self.late.take() {
            self.write(change, &request, &seen);
            self.closed_at = None;
        }
    }

    /// The device takes a write that was decided when Kubernetes was as `seen`.
    fn write(&mut self, change: Change, request: &Request, seen: &Cluster) {
        let before = self.observed.clone();
        let closes = change.export == ExportChange::Close;
        self.apply(change);
        let (time, after) = (self.time, self.observed.clone());
        self.truth.wrote(&before, &after, seen, time);
        interrupt(&before, &after, request, &mut self.cluster);
        self.closed_at = closes.then_some(time);
    }

    /// What the controller remembers of when it found the volume closed and free.
    fn look(&mut self) {
        let is_free = self.observed.export.is_none() && self.observed.record.holders.is_empty();
        let since = self.closed_at.unwrap_or(self.time);
        self.closed_at = is_free.then_some(since);
    }

    fn restart_after_crash(&mut self) {
        self.closed_at = None;
        self.term += 1;
    }
}

/// What kind of plan that is, for the test that sees all of them.
fn kind(plan: &Plan, observed: &Observed) -> &'static str {
    let is_held = !observed.record.holders.is_empty();
    match plan {
        Plan::Ask(Question::Nodes(_)) => "ask for Nodes",
        Plan::Ask(Question::Attachments) => "ask for VolumeAttachments",
        Plan::Ask(Question::Machines) => "ask for machines",
        Plan::Outranked(_) => "outranked",
        Plan::Attached(_) => "attached",
        Plan::Attach(change, _) if is_held && change.record.holders.len() == 2 => {
            "join, or open again for two"
        }
        Plan::Attach(..) if is_held => "open again, or publish otherwise",
        Plan::Attach(..) => "open",
        Plan::Close(_) if is_held => "take over",
        Plan::Close(_) => "close a stray",
        Plan::Restore(_) if is_held && observed.export.is_none() => "restore the export of holders",
        Plan::Restore(_) if is_held => "restore an heir",
        Plan::Restore(_) if observed.export.is_some() => "restore the holder of a stray",
        Plan::Restore(_) => "restore all",
        Plan::Note(change) if change.record.holders.len() < observed.record.holders.len() => "drop a member",
        Plan::Note(change) if change.record.left.len() < observed.record.left.len() => "a member is fenced",
        Plan::Note(_) => "timed out",
        Plan::Settle(_) => "settle",
        Plan::Detached => "detached",
        Plan::Detach(change) if change.record.left.len() > observed.record.left.len() => "leave unproven",
        Plan::Detach(change) if !change.record.holders.is_empty() => "leave, or to an heir",
        Plan::Detach(_) => "detach",
        Plan::Idle => "idle",
        Plan::Later(Later::Detaching(_)) => "later: detaching",
        Plan::Later(Later::NodeChanged(_)) => "later: Node changed",
        Plan::Later(Later::Recreated { .. }) => "later: recreated",
        Plan::Later(Later::Unmapped(_)) => "later: unmapped",
        Plan::Later(Later::Contradiction { .. }) => "later: contradiction",
        Plan::Refuse(Refusal::NoNode(_)) => "refuse: no Node",
        Plan::Refuse(Refusal::Held(_)) => "refuse: held",
        Plan::Refuse(Refusal::Full(_)) => "refuse: full",
        Plan::Refuse(Refusal::Unfenced(_)) => "refuse: unfenced",
        Plan::Refuse(Refusal::NotOneMachine(_)) => "refuse: not one machine",
        Plan::Refuse(Refusal::PodsUnreadable(_)) => "refuse: pods unreadable",
        Plan::Refuse(Refusal::Renamed { .. }) => "refuse: renamed",
        Plan::Refuse(Refusal::ListCannotGrow) => "refuse: list cannot grow",
    }
}
