//! Removing the file of a volume: one file by its computed path, never anything recursive, and only after reading
//! that no disk uses it (design decision 5).

use routeros::{Error, Outcome, Transport};
use tokio::time::Instant;
use tonic::Status;
use volume::Slot;

use crate::writes::Sent;
use crate::{Controller, device_error};

impl<T: Transport> Controller<T> {
    /// Removes the file at `path`, which is a computed one of `slot`; one that is not there is a success.
    ///
    /// # Errors
    /// FAILED_PRECONDITION where a disk uses the file, or it is a directory.
    pub(crate) async fn remove_image(
        &self,
        slot: &Slot,
        path: &str,
        deadline: Instant,
    ) -> Result<(), Status> {
        let failed =
            |error: Error| device_error::status(&format!("removing {path} of volume {slot}"), &error);
        let client = self.client.until(deadline);
        let Some(file) = client.file_by_name(path).await.map_err(failed)? else { return Ok(()) };
        if file.is_directory() {
            let text =
                format!("{path}, where the image of volume {slot} was, is a directory: it is not touched");
            return Err(Status::failed_precondition(text));
        }
        if let Some(user) = client.disks_by_file_path(path).await.map_err(failed)?.first() {
            return Err(Status::failed_precondition(format!(
                "{path} of volume {slot} is used by disk {:?}, so it is not removed; remove that disk first",
                user.slot
            )));
        }
        let sending = self.writes.sending();
        client.remove_file(&file.id).await.map_err(|error| {
            if error.outcome() == Outcome::Unknown {
                // Ids of files may be those of their paths: a late removal must not meet the next volume's image.
                self.writes.doubt(slot, sending, Sent::RemoveImage);
            }
            failed(error)
        })
    }
}
