//! A lab: guests that share a network and a directory, and end together.

mod directory;

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::hub::Hub;
use crate::process::Keeper;
use crate::provision::Cache;
use crate::{Guest, GuestBuilder, Kernel, Result};
use directory::Directory;

/// Guests that share a data network and a directory of the host.
///
/// Dropping it does not end its guests: each [`Guest`] keeps what it needs alive.
#[derive(Clone, Debug)]
pub struct Lab {
    pub(crate) shared: Arc<Shared>,
}

/// What the guests of a lab have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) kernel: Kernel,
    pub(crate) cache: Cache,
    pub(crate) hub: Arc<Hub>,
    pub(crate) keeper: Keeper,
    pub(crate) directory: Directory,
    /// Held while an initramfs is written: guests of the same content share one file.
    pub(crate) writing: Mutex<()>,
    guests: AtomicU8,
}

impl Lab {
    /// A lab whose guests run this kernel. Provisions the host if it lacks something (see
    /// [`provision`](crate::provision())).
    ///
    /// # Errors
    /// The host could not be provisioned, or its temporary directory cannot be written.
    pub fn new(kernel: Kernel) -> Result<Self> {
        let cache = Cache::open()?;
        cache.kernel(kernel)?;
        let shared = Shared {
            kernel,
            cache,
            hub: Arc::default(),
            keeper: Keeper::new(),
            directory: Directory::new()?,
            writing: Mutex::default(),
            guests: AtomicU8::new(0),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// A guest to be configured and booted. Its address in the data network is `10.77.0.N`, N counting from 1
    /// in the order of these calls.
    ///
    /// # Panics
    /// With more than 200 guests: a lab is small.
    pub fn guest(&self, name: &str) -> GuestBuilder {
        let number = self.shared.guests.fetch_add(1, Ordering::SeqCst) + 1;
        assert!(number <= 200, "a lab has at most 200 guests");
        GuestBuilder::new(Arc::clone(&self.shared), name, number)
    }

    /// Boots several guests at once, which takes little longer than booting one.
    ///
    /// # Errors
    /// The first guest's that did not boot; the others are ended.
    pub fn boot<const N: usize>(&self, guests: [GuestBuilder; N]) -> Result<[Guest; N]> {
        let booted = self.boot_all(guests.into())?;
        Ok(booted.try_into().unwrap_or_else(|_| unreachable!("as many guests as builders")))
    }

    /// As [`Self::boot`], for a number of guests that is known at run time only.
    ///
    /// # Errors
    /// As [`Self::boot`].
    pub fn boot_all(&self, guests: Vec<GuestBuilder>) -> Result<Vec<Guest>> {
        thread::scope(|scope| {
            let boots: Vec<_> = guests.into_iter().map(|guest| scope.spawn(move || guest.boot())).collect();
            let join = |boot: thread::ScopedJoinHandle<'_, Result<Guest>>| {
                boot.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            let booted: Vec<Result<Guest>> = boots.into_iter().map(join).collect();
            booted.into_iter().collect()
        })
    }
}

/// A guest's address in the data network.
pub(crate) fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, number)
}
