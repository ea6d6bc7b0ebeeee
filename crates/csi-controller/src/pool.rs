//! The room that was promised (design decision 17): images are sparse, and a pool that fills up kills every file
//! system on it.
//!
//! Of each pool the size and the free bytes are known as last read, and of each image its full size, whoever made
//! it. What is left is the smaller of what is free now and what all promises leave. A create reserves its bytes
//! before it asks the device, so that many at once cannot promise the same room.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use routeros::{DiskRow, REQUEST_CAP};
use thiserror::Error;
use tokio::time::Instant;
use tonic::Status;

/// What is known of all pools.
#[derive(Default)]
pub(crate) struct Pools {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    read: Option<Reading>,
    /// By slot: what this process asked for and no reading may show yet.
    own: HashMap<String, Promise>,
}

/// One reading of all disks.
#[derive(Default)]
pub(crate) struct Reading {
    mounts: HashMap<String, Mount>,
    images: HashMap<String, Image>,
}

#[derive(Clone, Copy)]
struct Mount {
    size: u64,
    free: u64,
}

struct Image {
    pool: String,
    bytes: u64,
}

struct Promise {
    image: Image,
    /// A reading begun after this shows the image, if there is one; `None` while the request is under way.
    shown_after: Option<Instant>,
}

/// Why there is no room.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum PoolError {
    /// The pool's size was not read yet, or it is not mounted.
    #[error("pool {0:?} is not mounted on the device, or was not read yet; is the base path right?")]
    Unknown(String),
    /// The promises leave less.
    #[error("pool {pool:?} has {left} bytes left to promise, {wanted} more are asked for")]
    Full {
        /// The pool.
        pool: String,
        /// Bytes.
        left: u64,
        /// Bytes.
        wanted: u64,
    },
}

/// Bytes that are taken while a request is under way; given back when dropped without a word.
pub(crate) struct Reservation<'a> {
    pools: &'a Pools,
    slot: String,
    before: Option<Promise>,
    kept: bool,
}

impl PoolError {
    /// The code: a pool that is not known may be known later.
    pub(crate) fn status(&self) -> Status {
        match self {
            Self::Unknown(_) => Status::unavailable(self.to_string()),
            Self::Full { .. } => Status::resource_exhausted(self.to_string()),
        }
    }
}

impl Reading {
    /// Takes in one disk.
    pub(crate) fn take(&mut self, disk: &DiskRow) {
        if let (Some(mount), Some(size), Some(free)) = (&disk.mount_point, disk.size, disk.free) {
            self.mounts.insert(mount.trim_matches('/').to_owned(), Mount { size, free });
        }
        if let (Some(path), Some(bytes)) = (&disk.file_path, disk.file_size.or(disk.size)) {
            let pool = path.trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
            self.images.insert(disk.slot.clone(), Image { pool, bytes });
        }
    }
}

impl Pools {
    /// Takes a reading that was begun at `asked`.
    pub(crate) fn install(&self, reading: Reading, asked: Instant) {
        let mut known = self.lock();
        known.own.retain(|_, promise| promise.shown_after.is_none_or(|after| asked <= after));
        known.read = Some(reading);
    }

    /// Bytes that can still be promised in a pool.
    pub(crate) fn left(&self, pool: &str) -> Result<u64, PoolError> {
        self.lock().left(pool, None).ok_or_else(|| PoolError::Unknown(pool.to_owned()))
    }

    /// Takes `bytes` in all for the image of a slot, before they are asked for.
    pub(crate) fn reserve(&self, pool: &str, slot: &str, bytes: u64) -> Result<Reservation<'_>, PoolError> {
        let mut known = self.lock();
        let left = known.left(pool, Some(slot)).ok_or_else(|| PoolError::Unknown(pool.to_owned()))?;
        let grown_from = known.image(slot).map_or(0, |image| image.bytes);
        // What an image has already lies in its own share, so only the rest needs room that is free now.
        if bytes > left.max(grown_from) {
            let wanted = bytes - grown_from;
            return Err(PoolError::Full {
                pool: pool.to_owned(),
                left: left.saturating_sub(grown_from),
                wanted,
            });
        }
        let image = Image { pool: pool.to_owned(), bytes };
        let before = known.own.insert(slot.to_owned(), Promise { image, shown_after: None });
        Ok(Reservation { pools: self, slot: slot.to_owned(), before, kept: false })
    }

    /// The image of a slot is gone.
    pub(crate) fn released(&self, slot: &str) {
        let mut known = self.lock();
        known.own.remove(slot);
        if let Some(read) = &mut known.read {
            read.images.remove(slot);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // The maps are whole after every statement.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// What a pool has left; for the image of `slot`, what it may have in all.
    fn left(&self, pool: &str, slot: Option<&str>) -> Option<u64> {
        let read = self.read.as_ref()?;
        let mount = read.mounts.get(pool)?;
        let others = |name: &&String| Some(name.as_str()) != slot;
        let own = self.own.iter().filter(|(name, promise)| others(name) && promise.image.pool == pool);
        let unread: u64 = own
            .clone()
            .map(|(name, promise)| {
                promise.image.bytes.saturating_sub(read.images.get(name).map_or(0, |i| i.bytes))
            })
            .sum();
        let images = read.images.iter().filter(|(name, image)| others(name) && image.pool == pool);
        let promised = images.map(|(_, image)| image.bytes).fold(unread, u64::saturating_add);
        let mine = slot.and_then(|slot| self.image(slot)).map_or(0, |image| image.bytes);
        let by_promise = mount.size.saturating_sub(promised);
        let by_free = mount.free.saturating_sub(unread).saturating_add(mine);
        Some(by_promise.min(by_free))
    }

    fn image(&self, slot: &str) -> Option<&Image> {
        let own = self.own.get(slot).map(|promise| &promise.image);
        own.or_else(|| self.read.as_ref().and_then(|read| read.images.get(slot)))
    }
}

impl Reservation<'_> {
    /// The device has taken the request: the next reading shows it.
    pub(crate) fn keep(mut self) {
        self.shown_after(Duration::ZERO);
    }

    /// The outcome is unknown: it may still come, up to the device's cap.
    pub(crate) fn keep_in_doubt(mut self) {
        self.shown_after(REQUEST_CAP);
    }

    fn shown_after(&mut self, delay: Duration) {
        self.kept = true;
        if let Some(promise) = self.pools.lock().own.get_mut(&self.slot) {
            promise.shown_after = Some(Instant::now() + delay);
        }
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let mut known = self.pools.lock();
        known.own.remove(&self.slot);
        if let Some(before) = self.before.take() {
            known.own.insert(self.slot.clone(), before);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const GIB: u64 = 1 << 30;

    fn pools(free: u64, images: &[(&str, u64)]) -> Pools {
        let mut reading = Reading::default();
        reading.mounts.insert("raid".into(), Mount { size: 10 * GIB, free });
        for (slot, bytes) in images {
            reading.images.insert((*slot).to_owned(), Image { pool: "raid".into(), bytes: *bytes });
        }
        let pools = Pools::default();
        pools.install(reading, Instant::now());
        pools
    }

    #[tokio::test]
    async fn what_is_left_is_the_smaller_of_free_and_unpromised() {
        assert_eq!(pools(9 * GIB, &[("a", 4 * GIB)]).left("raid"), Ok(6 * GIB));
        assert_eq!(pools(GIB, &[("a", 4 * GIB)]).left("raid"), Ok(GIB));
        assert_eq!(pools(0, &[("a", 20 * GIB)]).left("raid"), Ok(0));
        assert!(matches!(pools(GIB, &[]).left("other"), Err(PoolError::Unknown(_))));
        assert!(matches!(Pools::default().left("raid"), Err(PoolError::Unknown(_))));
    }

    #[tokio::test]
    async fn creates_under_way_cannot_promise_the_same_room() {
        let pools = pools(10 * GIB, &[]);
        let first = pools.reserve("raid", "a", 6 * GIB).unwrap();
        assert!(
            matches!(pools.reserve("raid", "b", 6 * GIB), Err(PoolError::Full { left, .. }) if left == 4 * GIB)
        );
        drop(first);
        pools.reserve("raid", "b", 6 * GIB).unwrap().keep();
        assert_eq!(pools.left("raid"), Ok(4 * GIB));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reading_begun_before_an_answer_does_not_forget_its_promise() {
        let pools = pools(10 * GIB, &[]);
        let asked = Instant::now();
        tokio::time::advance(Duration::from_secs(1)).await;
        pools.reserve("raid", "a", GIB).unwrap().keep();
        let mut empty = Reading::default();
        empty.mounts.insert("raid".into(), Mount { size: 10 * GIB, free: 10 * GIB });
        pools.install(empty, asked);
        assert_eq!(pools.left("raid"), Ok(9 * GIB));
    }

    #[tokio::test(start_paused = true)]
    async fn a_promise_in_doubt_stays_until_the_devices_cap() {
        let pools = pools(10 * GIB, &[]);
        pools.reserve("raid", "a", GIB).unwrap().keep_in_doubt();
        for (seconds, left) in [(59, 9), (2, 10)] {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            let mut empty = Reading::default();
            empty.mounts.insert("raid".into(), Mount { size: 10 * GIB, free: 10 * GIB });
            pools.install(empty, Instant::now());
            assert_eq!(pools.left("raid"), Ok(left * GIB));
        }
    }

    #[tokio::test]
    async fn an_expansion_takes_only_what_is_added_and_gives_it_back_when_refused() {
        let pools = pools(3 * GIB, &[("a", 7 * GIB)]);
        drop(pools.reserve("raid", "a", 10 * GIB).unwrap());
        assert!(pools.reserve("raid", "a", 11 * GIB).is_err());
        assert_eq!(pools.left("raid"), Ok(3 * GIB));
    }

    #[tokio::test]
    async fn a_deleted_image_gives_its_room_back_at_once() {
        let pools = pools(10 * GIB, &[("a", 4 * GIB)]);
        pools.released("a");
        assert_eq!(pools.left("raid"), Ok(10 * GIB));
    }
}
