//! Where the plugin listens: a unix socket (CSI specification, "Driver Endpoint").

pub(crate) mod bound;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The longest path that fits `sockaddr_un.sun_path` with its closing NUL (unix(7)).
const LONGEST_SOCKET_PATH: usize = 107;

/// A unix socket's absolute path, from `unix:///csi/csi.sock` or the plain path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    path: PathBuf,
}

/// Why a text is no endpoint.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Neither `unix://` and an absolute path nor an absolute path.
    #[error("endpoint {0:?} is not a unix socket; write unix:///dir/name.sock or /dir/name.sock")]
    NotAUnixPath(String),
    /// A directory's name where a file's is needed.
    #[error("endpoint {0:?} names no file; write unix:///dir/name.sock")]
    NoFileName(String),
    /// The kernel takes no such long path.
    #[error(
        "endpoint {0:?} is longer than the {LONGEST_SOCKET_PATH} bytes of a socket's path; choose a shorter directory"
    )]
    TooLong(String),
}

impl Endpoint {
    /// The socket's path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let path = text.strip_prefix("unix://").unwrap_or(text);
        if !path.starts_with('/') || path.contains('\0') {
            return Err(EndpointError::NotAUnixPath(text.to_owned()));
        }
        if path.ends_with('/') || Path::new(path).file_name().is_none() {
            return Err(EndpointError::NoFileName(text.to_owned()));
        }
        if path.len() > LONGEST_SOCKET_PATH {
            return Err(EndpointError::TooLong(text.to_owned()));
        }
        Ok(Self { path: path.into() })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unix://{}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_endpoint_is_a_unix_url_or_an_absolute_path() {
        for text in ["unix:///csi/csi.sock", "/csi/csi.sock"] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(endpoint.path(), Path::new("/csi/csi.sock"), "{text}");
            assert_eq!(endpoint.to_string(), "unix:///csi/csi.sock");
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused_with_what_to_write() {
        let long = format!("unix:///{}", "x".repeat(LONGEST_SOCKET_PATH));
        for (text, said) in [
            ("", "write unix:///dir/name.sock"),
            ("csi.sock", "not a unix socket"),
            ("unix://csi.sock", "not a unix socket"),
            ("tcp://0.0.0.0:1", "not a unix socket"),
            ("/csi/", "names no file"),
            ("/", "names no file"),
            ("/csi/..", "names no file"),
            (&long, "choose a shorter directory"),
        ] {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains(said), "{text:?}: {error}");
        }
    }
}
