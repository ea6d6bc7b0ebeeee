//! One request and its answer on one connection.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::{answer, rows::RowParser, unknown_unless_read};
use crate::connect::Io;
use crate::error::{Error, ErrorKind};
use crate::transport::{Call, RowSink};

/// The largest answer: 10,000 disks with all their properties are about 20 MiB. It is never held, only read.
const REPLY_LIMIT: usize = 64 * 1024 * 1024;

/// The largest error body that is looked at; RouterOS's are under 200 bytes.
const ERROR_BODY_LIMIT: usize = 16 * 1024;

/// Hyper's buffer for a head or a piece of a body.
const BUFFER_LIMIT: usize = 64 * 1024;

/// Hyper's half of a connection that moves the bytes.
type Driver = Pin<Box<http1::Connection<TokioIo<Box<dyn Io>>, Full<Bytes>>>>;

/// An open connection. Nothing works on it but the call that holds it, so that to drop it is to abort it.
pub(super) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: Option<Driver>,
}

/// A complete answer: its connection may serve again.
pub(super) struct Answered {
    pub(super) connection: Connection,
    pub(super) result: Result<(), Error>,
}

/// Why there is no complete answer. The connection is gone.
pub(super) enum Fault {
    /// Nothing of the request was sent.
    NotSent(hyper::Error),
    /// The connection broke before the answer's head, once the request may have left.
    NoAnswer(hyper::Error),
    /// The connection broke in the answer's body.
    CutAnswer(hyper::Error),
    /// Ended by us, with the outcome said.
    Ended(Error),
}

impl Fault {
    /// Whether the request may be sent again: it was not sent, or it is a read of which nothing has come.
    pub(super) fn is_harmless_for(&self, call: &Call<'_>) -> bool {
        match self {
            Self::NotSent(_) => true,
            Self::NoAnswer(_) => call.is_read(),
            Self::CutAnswer(_) | Self::Ended(_) => false,
        }
    }

    pub(super) fn into_error(self, call: &Call<'_>) -> Error {
        let broken =
            |what: &str, source: hyper::Error| Error::new(ErrorKind::Unreachable, what).caused_by(source);
        match self {
            Self::NotSent(source) => broken("the connection broke before the request was sent", source),
            Self::NoAnswer(source) => broken("the connection broke before an answer came", source)
                .with_outcome(unknown_unless_read(call)),
            Self::CutAnswer(source) => {
                broken("the connection broke in the answer", source).with_outcome(unknown_unless_read(call))
            }
            Self::Ended(error) => error,
        }
    }
}

impl Connection {
    pub(super) async fn open(io: Box<dyn Io>) -> Result<Self, hyper::Error> {
        let (sender, driver) =
            http1::Builder::new().max_buf_size(BUFFER_LIMIT).handshake(TokioIo::new(io)).await?;
        Ok(Self { sender, driver: Some(Box::pin(driver)) })
    }

    /// Whether the connection can take a request, after a look at what the device did with it meanwhile.
    pub(super) async fn is_open(&mut self) -> bool {
        poll_fn(|cx| {
            let ended = self.driver.as_mut().is_none_or(|driver| driver.as_mut().poll(cx).is_ready());
            if ended {
                self.driver = None;
            }
            Poll::Ready(!ended && self.sender.is_ready())
        })
        .await
    }
}

/// Sends a request and reads its answer, giving rows to `each` as they come.
pub(super) async fn exchange(
    mut connection: Connection,
    request: Request<Full<Bytes>>,
    call: &Call<'_>,
    each: &mut RowSink<'_>,
) -> Result<Answered, Fault> {
    let sent = connection.sender.try_send_request(request);
    let response =
        drive(&mut connection.driver, sent).await.map_err(|mut error| match error.take_message() {
            Some(_) => Fault::NotSent(error.into_error()),
            None => Fault::NoAnswer(error.into_error()),
        })?;
    let status = response.status();
    let result = if status.is_success() {
        drive(&mut connection.driver, read_rows(response, call, each)).await?;
        Ok(())
    } else {
        Err(drive(&mut connection.driver, read_error(status, response, call)).await)
    };
    Ok(Answered { connection, result })
}

async fn read_rows(
    response: Response<Incoming>,
    call: &Call<'_>,
    each: &mut RowSink<'_>,
) -> Result<(), Fault> {
    let mut body = response.into_body();
    let mut parser = RowParser::new();
    let mut length = 0;
    // A success that cannot be read says nothing for sure: the caller reads the row again.
    let ended = |error: Error| Fault::Ended(error.with_outcome(unknown_unless_read(call)));
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Fault::CutAnswer)?.into_data() else { continue };
        length += data.len();
        if length > REPLY_LIMIT {
            return Err(ended(Error::new(
                ErrorKind::TooLarge,
                format!("an answer over {REPLY_LIMIT} bytes"),
            )));
        }
        parser.push(&data, each).map_err(ended)?;
    }
    parser.finish(!matches!(call, Call::Print { .. })).map_err(ended)
}

// The status alone says what happened; an error body that breaks off only loses words.
async fn read_error(status: StatusCode, response: Response<Incoming>, call: &Call<'_>) -> Error {
    let mut body = response.into_body();
    let mut text = BytesMut::new();
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        text.extend_from_slice(&data[..data.len().min(ERROR_BODY_LIMIT - text.len())]);
        if text.len() == ERROR_BODY_LIMIT {
            break;
        }
    }
    answer::error_for(status, &text, call.is_read())
}

/// Runs a future that needs the connection's own work done beside it, in the same task: both end together.
async fn drive<F: Future>(driver: &mut Option<Driver>, work: F) -> F::Output {
    let mut work = pin!(work);
    poll_fn(|cx| {
        if driver.as_mut().is_some_and(|driver| driver.as_mut().poll(cx).is_ready()) {
            *driver = None;
        }
        work.as_mut().poll(cx)
    })
    .await
}
