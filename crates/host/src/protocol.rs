//! What is said between the driver and its helper processes: a request on stdin, an answer in a file.
//!
//! Both are files. The request's open file carries the lock that tells whether the helper, or a tool that
//! it started, still lives: whatever becomes of the driver, and in whatever PID namespace it comes back.
//! Stdout is a socket that only says when: a byte from the helper is "answered", a byte from the driver "the
//! next request is there", and its end is the end of the burst.

use std::io::{self, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::op::{Op, Output};
use crate::{Device, Result};

/// Where the kernel's faces are; elsewhere in tests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Roots {
    /// `/sys`.
    pub(crate) sys: PathBuf,
    /// `/dev`.
    pub(crate) dev: PathBuf,
    /// The cgroup that helpers move to; none, also in requests of older drivers: they stay in the driver's.
    #[serde(default)]
    pub(crate) cgroup: Option<PathBuf>,
}

/// What a helper reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) roots: Roots,
    pub(crate) op: Op,
    /// Where the answer goes; a helper that holds a device answers on stdout.
    pub(crate) answer: Option<PathBuf>,
    /// Where a helper that lives on is spoken to (hold).
    pub(crate) socket: Option<PathBuf>,
}

/// The byte that is sent for "answered" and for "next"; its value says nothing.
pub(crate) const TURN: u8 = b'\n';

/// The first line of an answer; so many bytes follow it.
#[derive(Serialize, Deserialize)]
struct Header {
    result: Result<Output>,
    follow: usize,
}

impl Roots {
    pub(crate) fn device(&self, device: &Device) -> PathBuf {
        self.dev.join(&device.name)
    }

    pub(crate) fn fabrics(&self) -> PathBuf {
        self.dev.join("nvme-fabrics")
    }
}

pub(crate) fn write_answer(mut to: impl Write, result: Result<Output>) -> io::Result<()> {
    let (result, bytes) = match result {
        Ok(Output::Bytes(bytes)) => (Ok(Output::Bytes(Vec::new())), bytes),
        other => (other, Vec::new()),
    };
    let mut answer = serde_json::to_vec(&Header { result, follow: bytes.len() })?;
    answer.push(b'\n');
    answer.extend_from_slice(&bytes);
    to.write_all(&answer)
}

/// Reads an answer; `None` where it is not whole: its helper died.
pub(crate) fn read_answer(bytes: &[u8]) -> Option<Result<Output>> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let header: Header = serde_json::from_slice(&bytes[..end]).ok()?;
    let rest = &bytes[end + 1..];
    match header.result {
        _ if rest.len() != header.follow => None,
        Ok(Output::Bytes(_)) => Some(Ok(Output::Bytes(rest.to_vec()))),
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::{Error, ErrorKind};
    use proptest::prelude::*;

    fn through(result: Result<Output>) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_answer(&mut bytes, result).unwrap();
        bytes
    }

    #[test]
    fn errors_keep_their_errno() {
        let error = Error::new(ErrorKind::Refused(Some(5)), "connect: EIO\nand more");
        assert_eq!(read_answer(&through(Err(error.clone()))), Some(Err(error)));
    }

    proptest! {
        #[test]
        fn bytes_round_trip_and_a_cut_answer_is_none(bytes: Vec<u8>, cut in 1_usize..20) {
            let output = Output::Bytes(bytes);
            let answer = through(Ok(output.clone()));
            prop_assert_eq!(read_answer(&answer[..answer.len() - cut.min(answer.len())]), None);
            prop_assert_eq!(read_answer(&answer), Some(Ok(output)));
        }

        #[test]
        fn reading_never_panics(bytes: Vec<u8>) {
            let _ = read_answer(&bytes);
        }
    }
}
