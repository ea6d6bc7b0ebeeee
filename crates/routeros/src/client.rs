//! The typed client.

mod disks;
mod figures;
mod files;
pub(crate) mod probe;
pub(crate) mod resolve;
mod system;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, ErrorKind};
use crate::row::Row;
use crate::transport::{Call, Menu, Reply, Transport};

/// How long a method may take where the caller says nothing: long enough for a device that is busy with another
/// request, short enough to be over before the device's own [`REQUEST_CAP`].
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(30);

/// How long the device itself works on a request at most (routeros.md §4). A request that its client gave up
/// goes on until then: after an unknown outcome no other write may go to that row before this time is over, or
/// before [`Client::barrier`] where the device is shown to serve a user's requests in order (`order=fifo`).
pub const REQUEST_CAP: Duration = Duration::from_secs(60);

/// A device, in terms of disks, files and packages.
///
/// Cheap to clone; clones share connections. All methods of a write keep to one deadline, their own re-reads
/// included. Errors say by [`Error::outcome`] whether the device may have acted.
pub struct Client<T> {
    transport: Arc<T>,
    timeout: Duration,
    until: Option<Instant>,
}

impl<T> Clone for Client<T> {
    fn clone(&self) -> Self {
        Self { transport: Arc::clone(&self.transport), timeout: self.timeout, until: self.until }
    }
}

impl<T: Transport> Client<T> {
    /// A client over a transport, with [`DEFAULT_DEADLINE`].
    pub fn new(transport: impl Into<Arc<T>>) -> Self {
        Self { transport: transport.into(), timeout: DEFAULT_DEADLINE, until: None }
    }

    /// The same client with another time for every method.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The same client, all of whose methods end at `deadline` at the latest.
    #[must_use]
    pub fn until(&self, deadline: Instant) -> Self {
        let earliest = self.until.map_or(deadline, |until| until.min(deadline));
        Self { until: Some(earliest), ..self.clone() }
    }

    /// What the client speaks through.
    pub fn transport(&self) -> &T {
        &self.transport
    }

    /// Waits until the device has answered a small read: with `order=fifo`, what was sent before has ended.
    ///
    /// # Errors
    /// The read's; then nothing is known of what was sent before.
    pub async fn barrier(&self) -> Result<(), Error> {
        self.print(Menu::SYSTEM_IDENTITY, &[], &["name"], self.deadline()).await.map(drop)
    }

    fn deadline(&self) -> Instant {
        let own = Instant::now() + self.timeout;
        self.until.map_or(own, |until| until.min(own))
    }

    async fn call(&self, call: Call<'_>, deadline: Instant) -> Result<Reply, Error> {
        self.transport.call(call, deadline).await
    }

    async fn print(
        &self,
        menu: Menu,
        query: &[(&str, &str)],
        proplist: &[&str],
        deadline: Instant,
    ) -> Result<Vec<Row>, Error> {
        let reply = self.call(Call::Print { menu, query, proplist }, deadline).await?;
        let stranger =
            reply.rows.iter().find(|row| query.iter().any(|(name, value)| row.get(name) != Some(value)));
        match stranger {
            None => Ok(reply.rows),
            // A device that did not understand the filter must not make an absent row look present.
            Some(row) => Err(Error::new(
                ErrorKind::Malformed,
                format!(
                    "print /{} answered row {:?}, which the filter excludes",
                    menu.path(),
                    row.get(".id")
                ),
            )),
        }
    }
}
