//! Calls as kubelet and the sidecars make them: tried again until they succeed, or are refused for good.

use std::time::Duration;

use anyhow::{Context, Result};
use tonic::{Code, Status};

/// How long a call is tried again. Emulated nodes reconnect within 20 s, a volume's breaker waits a minute or two at
/// most, and a device that was given 15 s more for its replies has several requests a call.
const RETRIED: Duration = Duration::from_secs(400);

/// Tries a call again after every code that is not final. What it was refused with last is said where time is over.
pub(crate) fn retried<T>(what: &str, mut call: impl FnMut() -> Result<T>) -> Result<T> {
    let mut last = String::new();
    let tried = testbed::wait_until(what, RETRIED, || match call() {
        Err(error) if is_retriable(&error) => {
            last = format!("{error:#}");
            Ok(None)
        }
        other => Ok(Some(other)),
    });
    tried.with_context(|| format!("the last answer: {last}"))?.with_context(|| what.to_owned())
}

/// Whether a call that was answered so has to be made again: the driver says so, or a connection broke, since who
/// serves it was killed or stands still.
fn is_retriable(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Status>().is_some_and(|status| {
        let by_the_driver =
            matches!(status.code(), Code::Unavailable | Code::Aborted | Code::DeadlineExceeded);
        by_the_driver || status.code() == Code::Cancelled || std::error::Error::source(status).is_some()
    })
}

/// Makes a call that has to be refused for good; answers what it was refused with.
pub(crate) fn refused<T>(what: &str, call: impl FnMut() -> Result<T>) -> Result<Status> {
    match retried(what, call) {
        Ok(_) => anyhow::bail!("{what}: it was not refused"),
        Err(error) => error.downcast::<Status>(),
    }
}
