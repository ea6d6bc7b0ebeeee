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
        if let Some(before) = lock(&self.plugged).replace(plugged) {
            // It may be gone already: its guest was killed.
            let _ = before.stream.shutdown(Shutdown::Both);
        }
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
        *lock(&port.plugged) = None;
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
