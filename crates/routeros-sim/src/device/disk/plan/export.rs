//! What a change of a row does to its export.
//!
//! ```text
//!              wants an export              name or port changed: closed, then served anew
//!   closed ───────────────────────► served ◄──────┐
//!     ▲                               │ ──────────┘
//!     └───────────────────────────────┘ hosts or size changed: served on
//!              wants none, row removed
//! ```

use crate::assumptions::{Assumptions, Growth, NamespaceId, NqnAfterUnexport, NqnChange, Unexport};
use crate::device::disk::Disk;
use crate::device::plan::{Effect, Step};
use crate::plane::{Export, NamespaceIdentity};

/// The effects between two states of a row; settles what `after` serves.
pub(super) fn transition(assumptions: &Assumptions, before: &Disk, after: &mut Disk) -> Vec<Step> {
    match (before.live.clone(), after.wants_export()) {
        (None, false) => Vec::new(),
        (None, true) => opened(assumptions, after),
        (Some(live), false) => closed(assumptions, live, after),
        (Some(live), true) => kept(assumptions, live, after),
    }
}

/// Starts to serve a row that wants it.
pub(super) fn opened(assumptions: &Assumptions, after: &mut Disk) -> Vec<Step> {
    if !after.wants_export() {
        return Vec::new();
    }
    if assumptions.namespace_id == NamespaceId::PerExport {
        after.identity = NamespaceIdentity::fresh();
    }
    let export = after.export(assumptions);
    after.live = Some(export.clone());
    vec![Step::Do(Effect::Export(export))]
}

fn closed(assumptions: &Assumptions, live: Export, after: &mut Disk) -> Vec<Step> {
    after.live = None;
    if assumptions.nqn_after_unexport == NqnAfterUnexport::Cleared {
        after.nvme.nqn = None;
    }
    vec![Step::Do(Effect::Unexport { export: live, how: assumptions.unexport })]
}

fn kept(assumptions: &Assumptions, live: Export, after: &mut Disk) -> Vec<Step> {
    let mut wanted = after.export(assumptions);
    if assumptions.nqn_change == NqnChange::AtNextExport {
        wanted.nqn.clone_from(&live.nqn);
    }
    if wanted.nqn != live.nqn || wanted.port != live.port {
        // A name that is no longer served keeps no session, whatever a plain unexport would do.
        let how = match assumptions.unexport {
            Unexport::LeavesSessions => Unexport::ReturnsEarly,
            how => how,
        };
        let mut steps = vec![Step::Do(Effect::Unexport { export: live, how })];
        steps.extend(opened(assumptions, after));
        return steps;
    }
    let mut steps = Vec::new();
    if wanted.size != live.size && assumptions.growth == Growth::ReExport {
        wanted.size = live.size;
    }
    if wanted.hosts != live.hosts {
        let end_sessions = assumptions.allow_list.ends_sessions();
        steps.push(Step::Do(Effect::AllowHosts { export: wanted.clone(), end_sessions }));
    }
    if wanted.size != live.size {
        steps.push(Step::Do(Effect::Grow { export: wanted.clone(), how: assumptions.growth }));
    }
    after.live = Some(wanted);
    steps
}

/// A row as it is after a boot, and what it then serves.
pub(crate) fn boot(assumptions: &Assumptions, disk: &Disk) -> (Disk, Option<Export>) {
    let mut booted = Disk { live: None, ..disk.clone() };
    if assumptions.namespace_id == NamespaceId::PerBoot {
        booted.identity = NamespaceIdentity::fresh();
    }
    if booted.wants_export() {
        booted.live = Some(booted.export(assumptions));
    }
    let export = booted.live.clone();
    (booted, export)
}
