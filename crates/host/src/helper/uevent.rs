//! Waiting for the kernel by its uevents.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};

use crate::{Error, ErrorKind, Result};

/// The multicast group of the kernel's own events (not udev's).
const KERNEL: u32 = 1;
/// Longer than any uevent (Linux, UEVENT_BUFFER_SIZE).
const BUFFER: usize = 8192;

/// The kernel's uevents from now on.
pub(super) struct Uevents(OwnedFd);

impl Uevents {
    pub(super) fn listen() -> Result<Self> {
        let refused = |error: rustix::io::Errno| {
            Error::new(ErrorKind::Refused(Some(error.raw_os_error())), format!("listen for uevents: {error}"))
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let protocol = Some(netlink::KOBJECT_UEVENT);
        let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, protocol);
        let socket = socket.map_err(refused)?;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, KERNEL)).map_err(refused)?;
        Ok(Self(socket))
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
            Err(rustix::io::Errno::INTR) => true,
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
