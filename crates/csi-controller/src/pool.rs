//! The room that was promised (design decision 17): images are sparse, and a pool that fills up kills every file
//! system on it.
//!
//! Of each pool the size and the free bytes are known as last read, and of each image its full size, whoever made
//! it; docs/adr/0003 says what that leaves. A create reserves its bytes before it asks the device, so that many at
//! once cannot promise the same room.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use routeros::{DiskRow, REQUEST_CAP};
use thiserror::Error;
use tokio::time::Instant;
use tonic::Status;

use crate::PoolReserve;

/// What is known of all pools.
#[derive(Default)]
pub(crate) struct Pools {
    known: Mutex<Known>,
    /// What is never promised.
    pub(crate) reserve: PoolReserve,
}

#[derive(Default)]
struct Known {
    read: Option<Reading>,
    /// When that reading was begun.
    asked: Option<Instant>,
    /// Until when the reading is as good as a new one.
    fresh_until: Option<Instant>,
    /// How long a reading is fresh: as long as the next is awaited, nothing where nobody reads by the clock.
    fresh_for: Duration,
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

impl Reading {
    fn promised_to(&self, slot: &str, pool: &str) -> u64 {
        self.images.get(slot).filter(|image| image.pool == pool).map_or(0, |image| image.bytes)
    }
}

impl Pools {
    /// Takes a reading that was begun at `asked`, unless a later one was taken before: what that one ended to
    /// promise, this one may not show.
    pub(crate) fn install(&self, reading: Reading, asked: Instant) {
        let mut known = self.lock();
        if known.asked.is_some_and(|newest| asked < newest) {
            return;
        }
        known.asked = Some(asked);
        known.own.retain(|_, promise| promise.shown_after.is_none_or(|after| asked <= after));
        known.read = Some(reading);
        known.fresh_until = Some(Instant::now() + known.fresh_for);
    }

    /// From now on the pools are read at this interval.
    pub(crate) fn read_every(&self, interval: Duration) {
        self.lock().fresh_for = interval;
    }

    /// Whether the last reading is not older than the interval.
    pub(crate) fn is_fresh(&self) -> bool {
        self.lock().fresh_until.is_some_and(|until| Instant::now() < until)
    }

    /// Bytes that can still be promised in a pool.
    pub(crate) fn left(&self, pool: &str) -> Result<u64, PoolError> {
        self.lock().left(pool, self.reserve).ok_or_else(|| PoolError::Unknown(pool.to_owned()))
    }

    /// Takes `bytes` in all for the image of a slot, before they are asked for.
    pub(crate) fn reserve(&self, pool: &str, slot: &str, bytes: u64) -> Result<Reservation<'_>, PoolError> {
        let mut known = self.lock();
        let left = known.left(pool, self.reserve).ok_or_else(|| PoolError::Unknown(pool.to_owned()))?;
        // What an image has already was promised before: only the rest needs room.
        let wanted = bytes.saturating_sub(known.promised_to(slot, pool));
        if wanted > left {
            return Err(PoolError::Full { pool: pool.to_owned(), left, wanted });
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
    /// What a pool has left to promise (docs/adr/0003).
    fn left(&self, pool: &str, reserve: PoolReserve) -> Option<u64> {
        let read = self.read.as_ref()?;
        let mount = read.mounts.get(pool)?;
        let images = read.images.values().filter(|image| image.pool == pool);
        let promised = images.map(|image| image.bytes).fold(0, u64::saturating_add);
        let used = mount.size.saturating_sub(mount.free);
        let other = used.saturating_sub(promised);
        let own = self.own.iter().filter(|(_, promise)| promise.image.pool == pool);
        let under_way = own
            .map(|(slot, promise)| promise.image.bytes.saturating_sub(read.promised_to(slot, pool)))
            .fold(0, u64::saturating_add);
        let taken = [reserve.of(mount.size), promised, under_way, other];
        Some(taken.into_iter().fold(mount.size, u64::saturating_sub))
    }

    /// Bytes that the image of a slot has in a pool, or was promised there.
    fn promised_to(&self, slot: &str, pool: &str) -> u64 {
        let own = self.own.get(slot).filter(|promise| promise.image.pool == pool);
        let own = own.map_or(0, |promise| promise.image.bytes);
        own.max(self.read.as_ref().map_or(0, |read| read.promised_to(slot, pool)))
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

    fn reading(free: u64, images: &[(&str, u64)]) -> Reading {
        let mut reading = Reading::default();
        reading.mounts.insert("raid".into(), Mount { size: 10 * GIB, free });
        for (slot, bytes) in images {
            reading.images.insert((*slot).to_owned(), Image { pool: "raid".into(), bytes: *bytes });
        }
        reading
    }

    fn pools(free: u64, images: &[(&str, u64)]) -> Pools {
        let pools = Pools { reserve: PoolReserve::percent(0).unwrap(), ..Pools::default() };
        pools.install(reading(free, images), Instant::now());
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
    async fn the_reserve_is_never_promised_and_what_others_keep_is_not_ours() {
        for (percent, free, image, left) in
            [(5, 100, 40, 55), (5, 100, 98, 0), (50, 100, 0, 50), (0, 30, 40, 30)]
        {
            let mut pools = pools(free * GIB / 10, &[("a", image * GIB / 10)]);
            pools.reserve = PoolReserve::percent(percent).unwrap();
            let off = pools.left("raid").unwrap().abs_diff(left * GIB / 10);
            assert!(off <= 100, "{percent} {free} {image}: {off} more than rounding");
        }
    }

    #[tokio::test]
    async fn what_is_under_way_is_promised_beside_what_others_keep() {
        let pools = pools(6 * GIB, &[]);
        pools.reserve("raid", "a", 4 * GIB).unwrap().keep();
        assert_eq!(pools.left("raid"), Ok(2 * GIB));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reading_that_was_overtaken_by_a_later_one_is_not_taken() {
        let begun = Instant::now();
        let pools = pools(10 * GIB, &[]);
        pools.reserve("raid", "a", 4 * GIB).unwrap().keep();
        tokio::time::advance(Duration::from_secs(1)).await;
        pools.install(reading(10 * GIB, &[("a", 4 * GIB)]), Instant::now());
        pools.install(reading(10 * GIB, &[]), begun);
        assert_eq!(pools.left("raid"), Ok(6 * GIB));
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
