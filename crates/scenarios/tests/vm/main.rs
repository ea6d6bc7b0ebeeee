//! The driver as it ships, on real kernels' NVMe/TCP: `cargo xtask test vm`.
#![allow(clippy::unwrap_used, reason = "tests")]

mod backing;
mod by_hand;
mod doubt;
mod events;
mod failed;
mod fencing;
mod growth;
mod hangs;
mod interrupted_mkfs;
mod killed;
mod life;
mod migration;
mod moment;
mod no_module;
mod outages;
mod pod;
mod promises;
mod raw;
mod renumbered;
mod restarts;
mod silent;
mod unasked;

use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use microvm::{Guest, Kernel};
use scenarios::{Options, Pool, System};

/// What the kernels say of a controller that was refused.
const REFUSED: &str = "'Connect.*Invalid' -e 'failed to connect' -e 'Failed reconnect' -e 'Removing ctrl'";

/// What lies under a guest's loop devices, without an open of any: one that is open is detached later.
const BACKING_FILES: &str = "cat /sys/block/loop*/loop/backing_file 2>/dev/null; true";

/// Makes one test a kernel of a function that takes the kernel: 6.1 and 6.12 differ where it hurts.
macro_rules! on_each_kernel {
    ($($name:ident),+ $(,)?) => {
        mod linux_6_1 {
            $(#[test] fn $name() { super::$name(microvm::Kernel::V6_1) })+
        }
        mod linux_6_12 {
            $(#[test] fn $name() { super::$name(microvm::Kernel::V6_12) })+
        }
    };
}
pub(crate) use on_each_kernel;

/// Boots a system and says so: a guest takes seconds, and a silent test looks like a hung one.
fn boot(kernel: Kernel, options: &Options) -> System {
    let start = Instant::now();
    let system = System::boot(kernel, &["a", "b"], options).unwrap();
    eprintln!("booted an RDS and two nodes on {} in {:.1?}", kernel.version(), start.elapsed());
    system
}

/// The system with the default options of driver and device that the tests of one kernel share, one at a time: booting is most of a
/// test's time. Each test leaves it as it was; after one that failed the next boots its own.
fn shared(kernel: Kernel) -> Shared {
    static SYSTEMS: [Mutex<Option<System>>; 2] = [Mutex::new(None), Mutex::new(None)];
    let place = &SYSTEMS[usize::from(kernel == Kernel::V6_12)];
    let mut system = place.lock().unwrap_or_else(|poisoned| {
        place.clear_poison();
        let mut system = poisoned.into_inner();
        *system = None;
        system
    });
    system.get_or_insert_with(|| {
        boot(kernel, &Options { programs: programs(), pool: Pool::Delayed, ..Options::default() })
    });
    Shared(system)
}

/// A test's turn with the system of its kernel.
struct Shared(MutexGuard<'static, Option<System>>);

impl Deref for Shared {
    type Target = Option<System>;

    fn deref(&self) -> &Option<System> {
        &self.0
    }
}

impl DerefMut for Shared {
    fn deref_mut(&mut self) -> &mut Option<System> {
        &mut self.0
    }
}

impl Drop for Shared {
    /// A test that failed ends the guests itself: each prints its console then, in this test's output, where a crash that the
    /// emulator made is looked for.
    fn drop(&mut self) {
        if std::thread::panicking() {
            *self.0 = None;
        }
    }
}

/// What pods run, beside what every guest has.
fn programs() -> Vec<(PathBuf, String)> {
    vec![(env!("CARGO_BIN_EXE_recorder").into(), pod::RECORDER.into())]
}

/// Waits until a command in a guest succeeds.
fn wait_until(guest: &Guest, condition: &str, within: Duration) {
    let line = format!("until {condition}; do sleep 0.1; done");
    let output = guest.command(&line).deadline(within).run();
    assert!(
        output.is_ok_and(|output| output.success()),
        "{}: not within {within:?}: {condition}",
        guest.name()
    );
}
