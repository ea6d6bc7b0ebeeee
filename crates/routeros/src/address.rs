//! Where a device is and how it is spoken to.

use std::fmt;

use http::Uri;
use http::uri::{Authority, Scheme};

use crate::error::{Error, ErrorKind};

/// Whether `http://` is accepted: the password then crosses the network in clear, so only tests and loopback
/// have a reason to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainHttp {
    /// Only `https://`.
    Refused,
    /// `http://` too.
    Allowed,
}

/// A device's management address: `https://host[:port]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    uri: Uri,
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for `ssh://` and for `http://` where it is not allowed,
    /// [`ErrorKind::InvalidInput`] for what is no address.
    pub fn parse(text: &str, plain: PlainHttp) -> Result<Self, Error> {
        let wrong = |why: &str| invalid(text, why);
        if text.starts_with("ssh://") {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "ssh:// is not yet supported: use https://host[:port]",
            ));
        }
        let uri: Uri =
            text.parse().map_err(|error: http::uri::InvalidUri| wrong("it is not a URL").caused_by(error))?;
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if plain == PlainHttp::Allowed => {}
            Some("http") => return Err(refused_plain()),
            _ => return Err(wrong("it has no scheme that is known")),
        }
        let authority = uri.authority().ok_or_else(|| wrong("it names no host"))?;
        if authority.host().is_empty() || authority.as_str().contains('@') {
            return Err(wrong("it must be a host without a user: credentials come from files"));
        }
        if !has_a_port_that_is_one(authority) {
            return Err(wrong("a port is 1 to 65535"));
        }
        if uri.path_and_query().is_some_and(|rest| rest.as_str() != "/") {
            return Err(wrong("it has a path"));
        }
        Ok(Self { uri })
    }

    /// The address as a URL without a path.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Whether the connection is under TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.uri.scheme() == Some(&Scheme::HTTPS)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.uri.scheme_str().unwrap_or_default();
        write!(f, "{scheme}://{}", self.uri.authority().map_or("", |authority| authority.as_str()))
    }
}

/// Whether what follows the host is nothing, or such a port. `http` reads any other as none, and the default would be used.
fn has_a_port_that_is_one(authority: &Authority) -> bool {
    let port = authority.as_str().strip_prefix(authority.host());
    port.is_some_and(|port| port.is_empty() || authority.port_u16().is_some_and(|port| port > 0))
}

fn refused_plain() -> Error {
    let what = "http:// sends the password in clear and is refused: use https://, or allow it explicitly";
    Error::new(ErrorKind::Unsupported, what)
}

fn invalid(text: &str, why: &str) -> Error {
    // The text may hold a password that was put there by mistake: it is not repeated.
    let hint = if text.contains('@') { "<address with credentials>" } else { text };
    let shown: String = hint.chars().take(120).collect();
    Error::new(ErrorKind::InvalidInput, format!("address {shown:?}: {why}; the form is https://host[:port]"))
}

#[cfg(test)]
mod tests;
