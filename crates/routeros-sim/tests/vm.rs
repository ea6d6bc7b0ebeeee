//! The real data plane: rds-sim in one guest, a host of its exports in another, on both kernels.
#![expect(clippy::disallowed_methods, reason = "tests wait for guests")]
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

#[path = "vm/bench.rs"]
mod bench;
#[path = "vm/cases.rs"]
mod cases;

use microvm::Kernel;

#[test]
fn a_disk_is_exported_closed_grown_and_served_again_after_a_crash_on_linux_6_1() {
    cases::whole_life(Kernel::V6_1);
}

#[test]
fn a_disk_is_exported_closed_grown_and_served_again_after_a_crash_on_linux_6_12() {
    cases::whole_life(Kernel::V6_12);
}

#[test]
fn sessions_growth_hosts_and_boots_are_as_assumed_on_linux_6_1() {
    cases::assumptions(Kernel::V6_1);
}

#[test]
fn sessions_growth_hosts_and_boots_are_as_assumed_on_linux_6_12() {
    cases::assumptions(Kernel::V6_12);
}
