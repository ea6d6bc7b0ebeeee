//! The one way to the device: no request outlives the time in which this process may send (attachments.md,
//! "Leadership").

use std::sync::Arc;

use routeros::{Client, Transport};
use tokio::time::Instant;

use crate::lead::Lead;

/// The device's client, which is only ever handed out with an end.
pub(crate) struct Door<T> {
    client: Client<T>,
    lead: Arc<Lead>,
}

impl<T: Transport> Door<T> {
    /// A way for the one controller that there is.
    pub(crate) fn new(client: Client<T>, lead: Arc<Lead>) -> Self {
        Self { client, lead }
    }

    /// From now on requests end before this leadership does.
    pub(crate) fn follow(&mut self, lead: Arc<Lead>) {
        self.lead = lead;
    }

    /// Whether anything can be sent now: what fails while it cannot says nothing of the device.
    pub(crate) fn is_open(&self) -> bool {
        self.lead.sends_until().is_some()
    }

    /// The client for requests that end at `deadline`, and before the leadership as it stands now: a renewal in
    /// between lengthens only what is asked for later. Without leadership the deadline has come, and the client
    /// sends nothing.
    pub(crate) fn until(&self, deadline: Instant) -> Client<T> {
        let leads_until = self.lead.sends_until().unwrap_or_else(Instant::now);
        self.client.until(deadline.min(leads_until))
    }
}
