//! Taking back an attachment that the device took otherwise than told: nobody was told of it.

use attachment::{Change, ExportChange};
use routeros::{Error, ErrorKind, Transport};
use tokio::time::Instant;

use crate::Controller;
use crate::observe::Volume;

impl<T: Transport> Controller<T> {
    /// Puts back what was there before a change that the device took otherwise than told. An export that was
    /// opened is closed; one that stood open for another holder stays.
    pub(super) async fn take_back(&self, volume: &Volume, change: &Change, error: &Error, deadline: Instant) {
        if error.kind() != ErrorKind::Mismatch {
            return;
        }
        let allow = volume.observed().export.map(|export| export.allow).unwrap_or_default();
        let export = match &change.export {
            ExportChange::Open { .. } => ExportChange::Close,
            ExportChange::Allow(_) => ExportChange::Allow(allow),
            kept => kept.clone(),
        };
        let before = Change { record: volume.record.clone(), export };
        // The row is looked up again: what came back may have been another one.
        let slot = &volume.slot;
        let taken_back = match self.client.until(deadline).disk_by_id(&volume.row.id).await {
            Ok(Some(row)) if row.slot == slot.as_str() => {
                self.write(volume, &before, 0, deadline).await.map(drop).map_err(|error| error.to_string())
            }
            Ok(_) => Err("the disk is gone".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(failed) = taken_back {
            tracing::warn!("volume {slot}: taking back what the device changed failed: {failed}");
        }
    }
}
