//! One operation per volume at a time (CSI specification, "Error Scheme": ABORTED).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tonic::Status;

/// The operations that are running now, by volume id or volume name.
///
/// Clones share the same set.
#[derive(Clone, Debug, Default)]
pub struct InFlight {
    pending: Arc<Mutex<Pending>>,
}

/// Operation by key.
type Pending = HashMap<String, &'static str>;

/// Holds a key until it is dropped, however the operation ends (a panic included).
#[derive(Debug)]
#[must_use = "the operation counts as ended as soon as the guard is dropped"]
pub struct InFlightGuard {
    pending: Arc<Mutex<Pending>>,
    key: String,
}

impl InFlight {
    /// Claims `key` (a volume id, or a name where there is no id yet) for `operation` (the
    /// RPC's name, such as `CreateVolume`, for the message that a second caller gets).
    ///
    /// # Errors
    /// ABORTED while another operation holds the key; the caller should retry.
    pub fn try_start(&self, key: &str, operation: &'static str) -> Result<InFlightGuard, Status> {
        match lock(&self.pending).entry(key.to_owned()) {
            Entry::Occupied(holder) => Err(Status::aborted(format!(
                "{} is still running for volume {key:?}; retry {operation} later",
                holder.get()
            ))),
            Entry::Vacant(free) => {
                free.insert(operation);
                Ok(InFlightGuard { pending: Arc::clone(&self.pending), key: key.to_owned() })
            }
        }
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        lock(&self.pending).remove(&self.key);
    }
}

/// The map is whole after every statement, so a panic elsewhere does not spoil it.
fn lock(pending: &Mutex<Pending>) -> MutexGuard<'_, Pending> {
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_second_operation_on_a_volume_is_told_which_one_runs() {
        let in_flight = InFlight::default();
        let _guard = in_flight.try_start("pvc-1", "NodeStageVolume").unwrap();
        let refused = in_flight.clone().try_start("pvc-1", "NodeUnstageVolume").unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Aborted);
        assert_eq!(
            refused.message(),
            "NodeStageVolume is still running for volume \"pvc-1\"; retry NodeUnstageVolume later"
        );
    }

    #[test]
    fn volumes_do_not_wait_for_each_other() {
        let in_flight = InFlight::default();
        let _one = in_flight.try_start("pvc-1", "CreateVolume").unwrap();
        let _two = in_flight.try_start("pvc-2", "CreateVolume").unwrap();
    }

    #[test]
    fn a_dropped_guard_frees_the_volume_even_after_a_panic() {
        let in_flight = InFlight::default();
        let held = in_flight.clone();
        let panicked = std::thread::spawn(move || {
            let _guard = held.try_start("pvc-1", "CreateVolume").unwrap();
            panic!("in the middle");
        });
        assert!(panicked.join().is_err());
        drop(in_flight.try_start("pvc-1", "DeleteVolume").unwrap());
        let _again = in_flight.try_start("pvc-1", "DeleteVolume").unwrap();
    }
}
