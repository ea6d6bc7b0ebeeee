//! Test support: guests with a real kernel.
//!
//! A [`Lab`] has a data network, to which its guests are plugged, each under its own address. A [`Guest`] is a
//! QEMU process, started in seconds from busybox, a kernel of Debian's archive, the tools of the file systems
//! and the binaries that a test gives it. It takes commands over a management link of its own, so that cutting
//! the data link never cuts the test off. Where guests cannot run, every call fails; nothing is ever skipped.
//!
//! ```no_run
//! use std::time::Duration;
//! use microvm::{GIB, Kernel, Lab};
//!
//! # fn main() -> microvm::Result<()> {
//! let lab = Lab::new(Kernel::V6_12)?;
//! let [rds, node] = lab.boot([
//!     lab.guest("rds").disk("pool", 4 * GIB).binary("target/debug/rds-sim", "/usr/bin/rds-sim"),
//!     lab.guest("node"),
//! ])?;
//!
//! assert_eq!(rds.sh("blockdev --getsize64 /dev/vda")?, (4 * GIB).to_string());
//! let simulator = rds.spawn("rds-sim --state /var/lib/rds")?;
//! simulator.wait_for_stdout("listening", Duration::from_secs(20))?;
//!
//! node.link().cut();
//! let output = node.run(&format!("ping -c 1 -W 1 {}", rds.address()))?;
//! assert!(!output.success());
//! node.link().restore();
//!
//! rds.kill();
//! rds.boot_again()?; // with the same disks
//! # Ok(())
//! # }
//! ```
//!
//! A guest whose root is in memory has what is said below; [`GuestBuilder::root`] gives it another, a [`RootImage`] for one.
//!
//! In a guest: `/dev/vda`, `/dev/vdb`, … are its disks; `data` and `management` its links; configfs, sysfs and
//! devtmpfs are mounted, NVMe/TCP host and target and loop are loaded, xfs, btrfs and device mapper come when
//! asked for. No time zone, no name service but `/etc/hosts`, no way to the host or the internet.
#![expect(
    clippy::disallowed_methods,
    reason = "test support: it starts guests, keeps folders of its own, and reads its environment"
)]

mod error;
mod guest;
mod hub;
mod initramfs;
mod kernel;
mod lab;
mod lock;
mod process;
mod provision;
mod wire;

pub use error::{Error, Result};
pub use guest::{Background, Command, Dialer, Forward, GIB, Guest, GuestBuilder, HOST, Link, MIB, Output};
pub use initramfs::libraries_of;
pub use kernel::Kernel;
pub use lab::Lab;
pub use provision::{RootImage, provision};
