//! Taking back a disk that the device made otherwise than told.

use routeros::{Error, ErrorKind, Outcome, Transport, normalised_path};
use tokio::time::Instant;
use tonic::Status;

use super::wanted::Wanted;
use crate::writes::Sent;
use crate::{Controller, device_error};

impl<T: Transport> Controller<T> {
    /// The device made the disk otherwise than told, such as with a comment cut. This call made it and told nobody,
    /// so it is removed again.
    pub(super) async fn take_back_add(&self, wanted: &Wanted, error: &Error, deadline: Instant) -> Status {
        let doing = format!("making volume {} of {:?}", wanted.slot, wanted.name);
        if error.kind() != ErrorKind::Mismatch {
            return device_error::status(&doing, error);
        }
        match self.remove_added(wanted, deadline).await {
            Ok(()) => {
                tracing::warn!("{doing}: {error}; it was removed again");
                Status::internal(format!(
                    "{doing}: {error}; it was removed again. This device cannot be served so"
                ))
            }
            Err(status) => Status::unavailable(format!(
                "{doing}: {error}; removing it again failed: {}",
                status.message()
            )),
        }
    }

    async fn remove_added(&self, wanted: &Wanted, deadline: Instant) -> Result<(), Status> {
        let slot = &wanted.slot;
        let failed = |error: Error| device_error::status(&format!("removing volume {slot} again"), &error);
        let client = self.client.until(deadline);
        let path = wanted.path();
        if let Some(row) = client.disk_by_slot(slot.as_str()).await.map_err(failed)? {
            let is_this = row
                .file_path
                .as_deref()
                .is_some_and(|shown| normalised_path(shown) == normalised_path(&path));
            if !is_this {
                return Err(Status::unavailable(format!("disk {slot} lies in another file than {path}")));
            }
            let sending = self.writes.sending();
            client.remove_disk(&row.id).await.map_err(|error| {
                if error.outcome() == Outcome::Unknown {
                    self.writes.doubt(slot, sending, Sent::Remove);
                }
                failed(error)
            })?;
        }
        self.remove_image(slot, &path, deadline).await
    }
}
