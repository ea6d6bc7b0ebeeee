//! Waiting for the kernel by its uevents.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};

use crate::{Error, ErrorKind, Result};

/// The multicast group of the kernel's own events (not udev's).
const KERNEL: u32 = 1;
/// Longer than any uevent (Linux, UEVENT_BUFFER_SIZE).
const BUFFER: usize = 8192;

/// The kernel's uevents from now on.
pub(crate) struct Uevents(OwnedFd);

impl Uevents {
    pub(crate) fn listen() -> Result<Self> {
        let refused = |error: Errno| {
            Error::new(ErrorKind::Refused(Some(error.raw_os_error())), format!("listen for uevents: {error}"))
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let protocol = Some(netlink::KOBJECT_UEVENT);
        let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, protocol);
        let socket = socket.map_err(refused)?;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, KERNEL)).map_err(refused)?;
        Ok(Self(socket))
    }

    /// Takes every event that waits; whether one was of NVMe, or some were lost, which may have been.
    pub(crate) fn take_nvme(&self) -> std::io::Result<bool> {
        let (mut buffer, mut some) = ([0; BUFFER], false);
        loop {
            match rustix::net::recv(&self.0, &mut buffer[..], RecvFlags::empty()) {
                Ok((length, _)) => some |= is_nvme(&buffer[..length]),
                Err(Errno::AGAIN) => return Ok(some),
                Err(Errno::NOBUFS) => some = true,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Looks after every event until `ready` or the limit; whether it became ready.
    pub(super) fn wait(&self, limit: Duration, mut ready: impl FnMut() -> Result<bool>) -> Result<bool> {
        let end = Instant::now() + limit;
        loop {
            if ready()? {
                return Ok(true);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.next(left)? {
                // Events may not reach this network namespace: one last look.
                return ready();
            }
        }
    }

    /// Waits for events and drops them; whether there were any.
    fn next(&self, limit: Duration) -> Result<bool> {
        let limit = Timespec::try_from(limit).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        let polled = poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&limit));
        let some = match polled {
            Ok(count) => count > 0,
            Err(Errno::INTR) => true,
            Err(error) => {
                return Err(Error::new(ErrorKind::Refused(None), format!("wait for uevents: {error}")));
            }
        };
        let mut buffer = [0; BUFFER];
        // Overrun (ENOBUFS) loses events, but not that there were some.
        while rustix::net::recv(&self.0, &mut buffer[..], RecvFlags::empty()).is_ok() {}
        Ok(some)
    }
}

impl AsRawFd for Uevents {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// `<action>@<path>`, then `KEY=value` each ended by a zero (Linux, lib/kobject_uevent.c). Controllers and subsystems are
/// of the subsystems `nvme…`; a head is a block device by a path that names NVMe.
fn is_nvme(event: &[u8]) -> bool {
    let mut fields = event.split(|byte| *byte == 0);
    let path = fields.next().unwrap_or_default();
    let is_block = path.windows(NVME.len()).any(|part| part == NVME);
    fields.any(|field| {
        let subsystem = field.strip_prefix(b"SUBSYSTEM=".as_slice()).unwrap_or_default();
        subsystem.starts_with(NVME) || subsystem == b"block" && is_block
    })
}

const NVME: &[u8] = b"nvme";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_of_nvme_wakes() {
        for (event, expected) in [
            (&b"change@/devices/virtual/nvme-fabrics/ctl/nvme1\0ACTION=change\0SUBSYSTEM=nvme\0NVME_EVENT=connected\0"[..], true),
            (b"add@/devices/virtual/nvme-subsystem/nvme-subsys1\0SUBSYSTEM=nvme-subsystem\0", true),
            (b"remove@/devices/virtual/nvme-subsystem/nvme-subsys1/nvme1n1\0SUBSYSTEM=block\0", true),
            (b"add@/devices/virtual/block/loop0\0SUBSYSTEM=block\0", false),
            (b"add@/devices/virtual/bdi/nvme\0SUBSYSTEM=bdi\0", false),
            (b"", false),
        ] {
            assert_eq!(is_nvme(event), expected, "{}", String::from_utf8_lossy(event));
        }
    }
}
