//! Figures of `/disk`: reads only.

use super::Client;
use crate::disk::figures::{DiskCounters, DiskFigures, FIGURE_PROPERTIES};
use crate::error::Error;
use crate::identifier::ItemId;
use crate::row::Row;
use crate::transport::{Call, Menu, Transport};

impl<T: Transport> Client<T> {
    /// Gives the figures of every disk to `each` as they arrive: one request.
    ///
    /// # Errors
    /// The request's, or what `each` returned.
    pub async fn for_each_disk_figures<F>(&self, mut each: F) -> Result<(), Error>
    where
        F: FnMut(DiskFigures) -> Result<(), Error> + Send,
    {
        let call = Call::Print { menu: Menu::DISK, query: &[], proplist: FIGURE_PROPERTIES };
        let mut sink = |row: Row| each(DiskFigures::try_from(&row)?);
        self.transport.print_each(call, self.deadline(), &mut sink).await
    }

    /// Gives slot and counters of the disks named, as far as the device answers each: one request of
    /// `/disk/monitor-traffic`, which asks for the policy `test`.
    ///
    /// # Errors
    /// The request's; one disk that is gone ends it for all. What `each` returned.
    pub async fn monitor_disks<F>(&self, ids: &[ItemId], mut each: F) -> Result<(), Error>
    where
        F: FnMut(&str, DiskCounters) -> Result<(), Error> + Send,
    {
        let numbers: Vec<&str> = ids.iter().map(ItemId::as_str).collect();
        // Without `once` it would go on until the device's cap.
        let arguments = [("numbers", numbers.join(",")), ("once", String::new())];
        let call = Call::Command {
            menu: Menu::DISK,
            command: "monitor-traffic",
            arguments: &arguments,
            reads_only: true,
        };
        let mut sink = |row: Row| each(row.required("slot")?, DiskCounters::from(&row));
        self.transport.print_each(call, self.deadline(), &mut sink).await
    }
}
