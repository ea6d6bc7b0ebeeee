//! The data network: a hub of Ethernet frames in this process, to which each guest's NIC is plugged.
//!
//! QEMU's `stream` network: a Unix socket per guest, on it four bytes of length (big endian) before each frame.
//! A port that is cut drops frames in both directions; the guest's carrier stays, as when a switch further away
//! fails. Nothing is ever waited for: a port that does not keep up (its guest is paused) loses frames.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::lock::lock;
use crate::{Error, Result};

/// Frames that wait for a port: about what a small switch buffers, 1.5 MB of full frames.
const QUEUE: usize = 1024;

/// The longest frame QEMU sends (its own buffer is of this size).
const LONGEST_FRAME: usize = 4096 + 65536;

/// Ports joined with each other.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    ports: Mutex<Vec<Arc<Port>>>,
}

/// A place at the hub. Who plugs in again takes it over.
#[derive(Debug, Default)]
pub(crate) struct Port {
    cut: AtomicBool,
    closed: AtomicBool,
    plugged: Mutex<Option<Plugged>>,
}

#[derive(Debug)]
struct Plugged {
    frames: SyncSender<Arc<[u8]>>,
    stream: UnixStream,
}

impl Port {
    /// Drops every frame from and to this port from now on, or no longer.
    pub(crate) fn set_cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::SeqCst);
    }

    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::SeqCst)
    }

    fn offer(&self, frame: &Arc<[u8]>) {
        if let Some(plugged) = &*lock(&self.plugged) {
            // A full queue loses the frame, as any switch would.
            let _ = plugged.frames.try_send(Arc::clone(frame));
        }
    }

    /// Starts sending what is offered to a stream, and ends the one before.
    fn plug(self: &Arc<Self>, stream: &UnixStream) -> io::Result<()> {
        let (frames, queue) = mpsc::sync_channel::<Arc<[u8]>>(QUEUE);
        let plugged = Plugged { frames, stream: stream.try_clone()? };
        let mut to_guest = stream.try_clone()?;
        let port = Arc::clone(self);
        thread::spawn(move || {
            for frame in queue {
                if !port.is_cut() && to_guest.write_all(&frame).is_err() {
                    break;
                }
            }
        });
        end(lock(&self.plugged).replace(plugged));
        Ok(())
    }
}

impl Hub {
    /// A new port behind a Unix socket, to which a guest plugs in (again after each start).
    pub(crate) fn port(self: &Arc<Self>, socket: &Path) -> Result<Arc<Port>> {
        let listener = UnixListener::bind(socket).map_err(Error::host(socket.display().to_string()))?;
        let port = Arc::new(Port::default());
        lock(&self.ports).push(Arc::clone(&port));
        let (hub, own) = (Arc::downgrade(self), Arc::clone(&port));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(hub) = hub.upgrade() else { break };
                if own.closed.load(Ordering::SeqCst) {
                    break;
                }
                if own.plug(&stream).is_ok() {
                    let own = Arc::clone(&own);
                    thread::spawn(move || hub.forward_from(&own, stream));
                }
            }
        });
        Ok(port)
    }

    /// Takes a port away; the threads that serve it end.
    pub(crate) fn remove(&self, port: &Arc<Port>, socket: &Path) {
        lock(&self.ports).retain(|known| !Arc::ptr_eq(known, port));
        port.closed.store(true, Ordering::SeqCst);
        end(lock(&port.plugged).take());
        // Wakes the thread that waits for a guest to plug in; if it has ended, nobody needs to be woken.
        let _ = UnixStream::connect(socket);
    }

    fn forward_from(&self, from: &Arc<Port>, mut stream: UnixStream) {
        while let Ok(frame) = read_frame(&mut stream) {
            if from.is_cut() {
                continue;
            }
            let frame: Arc<[u8]> = frame.into();
            for port in lock(&self.ports).iter().filter(|port| !Arc::ptr_eq(port, from) && !port.is_cut()) {
                port.offer(&frame);
            }
        }
    }
}

fn end(plugged: Option<Plugged>) {
    // It may be gone already: its guest was killed.
    let _ = plugged.map(|plugged| plugged.stream.shutdown(Shutdown::Both));
}

/// One frame with its length before it, as it is sent on.
fn read_frame(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = [0; 4];
    stream.read_exact(&mut head)?;
    let length = u32::from_be_bytes(head) as usize;
    if length > LONGEST_FRAME {
        return Err(io::Error::other(format!("frame of {length} bytes")));
    }
    let mut frame = vec![0; 4 + length];
    frame[..4].copy_from_slice(&head);
    stream.read_exact(&mut frame[4..])?;
    Ok(frame)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::path::Path;
    use std::sync::Arc;
    use std::thread;

    use super::{Hub, Port, lock, read_frame};

    fn plug(hub: &Arc<Hub>, socket: &Path) -> (Arc<Port>, UnixStream) {
        let port = hub.port(socket).unwrap();
        let stream = UnixStream::connect(socket).unwrap();
        while lock(&port.plugged).is_none() {
            thread::yield_now();
        }
        (port, stream)
    }

    fn send(stream: &mut UnixStream, content: &[u8]) {
        let length = u32::try_from(content.len()).unwrap();
        stream.write_all(&[&length.to_be_bytes(), content].concat()).unwrap();
    }

    #[test]
    fn a_frame_reaches_every_other_port_but_those_that_are_cut() {
        let directory = tempfile::tempdir().unwrap();
        let hub = Arc::new(Hub::default());
        let (_, mut a) = plug(&hub, &directory.path().join("a"));
        let (b_port, mut b) = plug(&hub, &directory.path().join("b"));
        let (_, mut c) = plug(&hub, &directory.path().join("c"));

        b_port.set_cut(true);
        send(&mut a, b"while cut");
        assert_eq!(read_frame(&mut c).unwrap()[4..], *b"while cut");
        b_port.set_cut(false);
        send(&mut a, b"restored");
        assert_eq!(read_frame(&mut b).unwrap()[4..], *b"restored");
        assert_eq!(read_frame(&mut c).unwrap()[4..], *b"restored");

        // What it sent itself never comes back to it: the first that it hears is another's.
        send(&mut b, b"from b");
        assert_eq!(read_frame(&mut a).unwrap()[4..], *b"from b");
    }

    #[test]
    fn who_plugs_in_again_takes_the_port_over_and_a_port_removed_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("a");
        let hub = Arc::new(Hub::default());
        let (port, mut before) = plug(&hub, &socket);
        let mut after = UnixStream::connect(&socket).unwrap();
        assert!(read_frame(&mut before).is_err());

        hub.remove(&port, &socket);
        assert!(lock(&hub.ports).is_empty());
        drop(port);
        assert!(read_frame(&mut after).is_err());
    }
}
