//! Modules of the kernel that are loaded before there is trouble.

use tokio::time::Instant;
use volume::{FsType, Slot};

use crate::op::Op;
use crate::{Error, ErrorKind, Result, Volume};

use super::Linux;

/// Whose work it is where helpers are named: no volume's.
const OWN: &str = "file-systems";

impl Linux {
    /// Has the kernel load a file system's module. Later it may hang: while a volume's device is silent the kernel's scan of its
    /// namespace waits for it, and whoever loads any module waits for all scans (`async_synchronize_full`; seen on 6.12). A
    /// healthy volume's first mount would wait with them.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] where the kernel has no such file system: those volumes will not be mounted here.
    /// [`ErrorKind::Abandoned`] where it hangs already.
    pub async fn load_filesystem(&self, fs: FsType, deadline: Instant) -> Result<()> {
        let slot = Slot::parse(OWN).map_err(|error| Error::new(ErrorKind::Malformed, error.to_string()))?;
        self.dispatcher.run(Volume { slot: &slot, deadline }, Op::Load { fs }).await?.done()
    }
}
