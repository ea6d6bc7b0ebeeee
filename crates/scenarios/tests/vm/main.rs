//! The driver as it ships, on real kernels' NVMe/TCP: `cargo xtask test vm`.
#![allow(clippy::unwrap_used, reason = "tests")]

mod doubt;
mod fencing;
mod growth;
mod interrupted_mkfs;
mod life;

use std::time::{Duration, Instant};

use microvm::{Guest, Kernel};

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
fn boot(kernel: Kernel, nodes: &[&str], options: &scenarios::Options) -> scenarios::System {
    let start = Instant::now();
    let system = scenarios::System::boot(kernel, nodes, options).unwrap();
    eprintln!("booted an RDS and {} node(s) on {} in {:.1?}", nodes.len(), kernel.version(), start.elapsed());
    system
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
