//! The control plane itself: that it is real, keeps what it acknowledged, and ends with whoever started it.
#![allow(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::disallowed_methods, reason = "tests: programs are started and killed")]

mod ending;
mod outages;
mod serving;

use std::sync::LazyLock;

use testbed::{ControlPlane, Tools};

/// One for the tests that leave it as it was: a start is most of a test's time.
///
/// A static is never dropped; the processes end with this one, and the folder's guard removes what they leave.
fn shared() -> &'static ControlPlane {
    static SHARED: LazyLock<ControlPlane> = LazyLock::new(start);
    &SHARED
}

fn start() -> ControlPlane {
    ControlPlane::start(&Tools::from_environment().unwrap()).unwrap()
}
