//! The REST transport (routeros.md §4): HTTP/1.1, one request at a time on each connection.

mod answer;
mod exchange;
mod pool;
mod request;
mod rows;

use std::error::Error as StdError;
use std::path::PathBuf;
use std::sync::Arc;

use http::Uri;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};

use crate::address::Address;
use crate::connect::tls::Trust;
use crate::connect::{Connector, Io, is_tls_failure};
use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind, Outcome};
use crate::transport::{Call, Reply, RowSink, Transport};
use exchange::{Answered, Connection, Fault};
use pool::Pool;

/// How much of an answer is kept when it is collected instead of streamed: a few rows of a few KiB, or a list of
/// packages. Lists without a bound go through [`Transport::print_each`].
const COLLECTED_ROWS_LIMIT: usize = 4096;

/// What a REST transport needs to know.
#[derive(Clone, Debug)]
pub struct RestConfig {
    /// Where the device is.
    pub address: Address,
    /// How it is known to be the right one.
    pub trust: Trust,
    /// The file with the user's name.
    pub user_file: PathBuf,
    /// The file with the password.
    pub password_file: PathBuf,
    /// Requests under way at once. The device serves those of one user one after another, so more only wait
    /// there, where they run against its cap of 60 s.
    pub in_flight: usize,
}

impl RestConfig {
    /// [`RestConfig::in_flight`] where nothing else is said: one at work, the next ones already there.
    pub const DEFAULT_IN_FLIGHT: usize = 4;
}

type BoxError = Box<dyn StdError + Send + Sync>;

/// RouterOS over REST.
pub struct RestTransport {
    address: Address,
    credentials: Arc<Credentials>,
    connector: BoxCloneSyncService<Uri, Box<dyn Io>, BoxError>,
    in_flight: Semaphore,
    pool: Pool,
}

impl RestTransport {
    /// A transport over TCP and TLS. Nothing is sent yet; the files are read once.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for files that cannot be used.
    pub fn new(config: RestConfig) -> Result<Self, Error> {
        let credentials = Arc::new(Credentials::from_files(config.user_file, config.password_file)?);
        let connector = Connector::new(&config.trust)?;
        Ok(Self::with_connector(config.address, credentials, connector, config.in_flight))
    }

    /// A transport over any connector, which does TLS itself where there shall be TLS.
    pub fn with_connector<C>(
        address: Address,
        credentials: Arc<Credentials>,
        connector: C,
        in_flight: usize,
    ) -> Self
    where
        C: Service<Uri> + Clone + Send + Sync + 'static,
        C::Response: Io,
        C::Error: Into<BoxError>,
        C::Future: Send + 'static,
    {
        let boxed = connector.map_response(|io| Box::new(io) as Box<dyn Io>).map_err(Into::into);
        let connector = BoxCloneSyncService::new(boxed);
        let in_flight = in_flight.max(1);
        Self {
            address,
            credentials,
            connector,
            in_flight: Semaphore::new(in_flight),
            pool: Pool::new(in_flight),
        }
    }

    /// The user's name and password, shared with whoever needs to know the name.
    pub fn credentials(&self) -> &Arc<Credentials> {
        &self.credentials
    }

    async fn run(&self, call: &Call<'_>, deadline: Instant, each: &mut RowSink<'_>) -> Result<(), Error> {
        let _permit = self.permit(deadline).await?;
        let mut authorization = self.credentials.authorization()?;
        let mut fresh_credentials = false;
        let mut fresh_connection = false;
        loop {
            let request = request::build(call, &self.address, &authorization)?;
            let (connection, reused) = self.connection(call, fresh_connection, deadline).await?;
            let exchanged = timeout_at(deadline, exchange::exchange(connection, request, call, each)).await;
            // Past the deadline the future is dropped, and with it the connection: that is the abort.
            match exchanged.unwrap_or_else(|_| Err(Fault::Ended(late(call)))) {
                Ok(Answered { connection, result }) => {
                    self.pool.give_back(connection, reused).await;
                    let refused = matches!(&result, Err(error) if error.kind() == ErrorKind::Authentication);
                    // The password may have been changed on the device and in the file while we were on our way.
                    let now = if refused && !fresh_credentials {
                        self.credentials.authorization()?
                    } else {
                        return result;
                    };
                    if now == authorization {
                        return result;
                    }
                    (authorization, fresh_credentials) = (now, true);
                }
                Err(fault) if reused && fault.is_harmless_for(call) => {
                    self.pool.distrust();
                    fresh_connection = true;
                }
                Err(fault) => {
                    if reused {
                        self.pool.distrust();
                    }
                    return Err(fault.into_error(call));
                }
            }
        }
    }

    async fn permit(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, Error> {
        let waited = timeout_at(deadline, self.in_flight.acquire()).await;
        let permit =
            waited.map_err(|_| Error::new(ErrorKind::Deadline, "the deadline passed in the queue"))?;
        permit.map_err(|_| Error::new(ErrorKind::Unreachable, "the transport is closed"))
    }

    async fn connection(
        &self,
        call: &Call<'_>,
        fresh: bool,
        deadline: Instant,
    ) -> Result<(Connection, bool), Error> {
        let idle = if fresh { None } else { self.pool.take(call.is_read()).await };
        let (connection, reused) = match idle {
            Some(connection) => (connection, true),
            None => (self.connect(deadline).await?, false),
        };
        if Instant::now() >= deadline {
            return Err(Error::new(ErrorKind::Deadline, "the deadline passed before the request was sent"));
        }
        Ok((connection, reused))
    }

    async fn connect(&self, deadline: Instant) -> Result<Connection, Error> {
        let connecting =
            timeout_at(deadline, self.connector.clone().oneshot(self.address.uri().clone())).await;
        let connected = connecting
            .map_err(|_| Error::new(ErrorKind::Deadline, "the deadline passed while connecting"))?;
        let io = connected.map_err(connect_failure)?;
        Connection::open(io).await.map_err(|error| connect_failure(error.into()))
    }
}

impl Transport for RestTransport {
    async fn call(&self, call: Call<'_>, deadline: Instant) -> Result<Reply, Error> {
        let mut rows = Vec::new();
        let mut collect = |row| {
            rows.push(row);
            if rows.len() <= COLLECTED_ROWS_LIMIT { Ok(()) } else { Err(too_many_rows()) }
        };
        self.print_each(call, deadline, &mut collect).await?;
        Ok(Reply { rows })
    }

    async fn print_each(
        &self,
        call: Call<'_>,
        deadline: Instant,
        each: &mut RowSink<'_>,
    ) -> Result<(), Error> {
        let started = Instant::now();
        let done = match self.run(&call, deadline, each).await {
            Err(error) if error.kind() == ErrorKind::NotFound && request::row_asked_for(&call).is_some() => {
                Ok(())
            }
            done => done,
        };
        tracing::debug!(call = call.summary(), took = ?started.elapsed(), ok = done.is_ok(), "device request");
        done.map_err(|error| error.within(format_args!("{} at {}", call.summary(), self.address)))
    }
}

fn late(call: &Call<'_>) -> Error {
    let error = Error::new(ErrorKind::Deadline, "the deadline passed before the device's answer had come");
    error.with_outcome(unknown_unless_read(call))
}

fn too_many_rows() -> Error {
    Error::new(
        ErrorKind::TooLarge,
        format!("over {COLLECTED_ROWS_LIMIT} rows came where a few were expected"),
    )
}

/// What is known once a request's first byte may have left and nothing more was heard.
fn unknown_unless_read(call: &Call<'_>) -> Outcome {
    if call.is_read() { Outcome::NotApplied } else { Outcome::Unknown }
}

fn connect_failure(error: BoxError) -> Error {
    let (kind, what) = if is_tls_failure(&*error) {
        (
            ErrorKind::Tls,
            "TLS with the device failed: check the CA file or the pinned fingerprint against its certificate",
        )
    } else {
        (
            ErrorKind::Unreachable,
            "the device cannot be reached: check its address, its www-ssl service and the network",
        )
    };
    Error::new(kind, what).caused_by(error)
}
