//! A kernel in memory that keeps the promises of [`crate::Host`], for the tests of other crates.
//!
//! One [`FakeFabric`] is a target with its stored bytes; each [`FakeKernel`] is one node. All of
//! them live in one world under one lock, so a schedule of calls and faults gives one outcome. What kernels
//! were seen to do (node.md K1 to K14) is done here too, above all what loses data: dirty pages that no
//! path can take, a mountinfo that is empty while the superblock lives, device numbers used again.
//!
//! A [`FakeKernel`] is the driver's hold on its node: after a crash ([`Effects`]) none of its calls
//! ever ends, and [`FakeKernel::restart_driver`] gives the next driver's.

mod block;
mod controls;
mod effects;
mod fabric;
mod filesystem;
mod image;
mod kernel;
mod mount;
mod node;
mod nvme;
mod pod;
mod run;
mod store;
mod world;

pub use effects::Effects;
pub use fabric::{Export, FakeFabric};
pub use kernel::FakeKernel;
pub use node::{Format, KernelVersion};
pub use nvme::LOCAL_DRIVE;
