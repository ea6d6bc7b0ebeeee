//! A [`Call`] as an HTTP request.

use std::fmt::Write;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use serde::Serializer;

use crate::address::Address;
use crate::error::{Error, ErrorKind};
use crate::identifier::ItemId;
use crate::transport::Call;

/// The largest request: a row's properties are a few hundred bytes, a path at most 4 KiB.
const REQUEST_LIMIT: usize = 64 * 1024;

/// Builds the request for a call.
pub(super) fn build(
    call: &Call<'_>,
    address: &Address,
    authorization: &HeaderValue,
) -> Result<Request<Full<Bytes>>, Error> {
    let (method, target) = target(call);
    let body = body(call)?;
    if target.len() + body.len() > REQUEST_LIMIT {
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!("a request over {REQUEST_LIMIT} bytes is never sent"),
        ));
    }
    let authority = address.uri().authority().map_or("", |authority| authority.as_str());
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header(HOST, authority)
        .header(AUTHORIZATION, authorization)
        .header(ACCEPT, "application/json");
    if !body.is_empty() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let built = request.body(Full::new(body));
    built.map_err(|error| {
        Error::new(ErrorKind::InvalidInput, "the request cannot be written").caused_by(error)
    })
}

fn target(call: &Call<'_>) -> (Method, String) {
    let menu = call.menu().path();
    match call {
        Call::Print { query, proplist, .. } => match row_asked_for(call) {
            Some(id) => (Method::GET, format!("/rest/{menu}/{}{}", encoded(id), query_string(&[], proplist))),
            None => (Method::GET, format!("/rest/{menu}{}", query_string(query, proplist))),
        },
        Call::Add { .. } => (Method::PUT, format!("/rest/{menu}")),
        Call::Set { id, .. } => (Method::PATCH, format!("/rest/{menu}/{}", encoded(id.as_str()))),
        Call::Remove { id, .. } => (Method::DELETE, format!("/rest/{menu}/{}", encoded(id.as_str()))),
        Call::Command { command, .. } => (Method::POST, format!("/rest/{menu}/{command}")),
    }
}

/// The id of the one row that a print asks for. It goes into the path, where an absent row is a 404: that a
/// filter knows `.id` is not documented, and one that it did not know would make the row look absent.
pub(super) fn row_asked_for<'a>(call: &Call<'a>) -> Option<&'a str> {
    match call {
        Call::Print { query: [(".id", id)], .. } if id.parse::<ItemId>().is_ok() => Some(id),
        _ => None,
    }
}

fn query_string(query: &[(&str, &str)], proplist: &[&str]) -> String {
    let mut pairs: Vec<String> =
        query.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    if !proplist.is_empty() {
        let names: Vec<String> = proplist.iter().map(|name| encoded(name)).collect();
        pairs.push(format!(".proplist={}", names.join(",")));
    }
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

/// Percent-encodes all but unreserved characters and `*`: `%2A` is `no such command prefix` (routeros.md §4).
fn encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'*') {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

fn body(call: &Call<'_>) -> Result<Bytes, Error> {
    let properties = match call {
        Call::Add { properties, .. } | Call::Set { properties, .. } => properties,
        Call::Command { arguments, .. } => arguments,
        Call::Print { .. } | Call::Remove { .. } => return Ok(Bytes::new()),
    };
    let mut body = Vec::new();
    let written = serde_json::Serializer::new(&mut body)
        .collect_map(properties.iter().map(|(name, value)| (name, value)));
    written.map_err(|error| {
        Error::new(ErrorKind::InvalidInput, "the request cannot be written").caused_by(error)
    })?;
    Ok(body.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::address::PlainHttp;
    use crate::transport::Menu;

    fn built(call: &Call<'_>) -> (String, String) {
        let address = Address::parse("https://rds.example:8443", PlainHttp::Refused).unwrap();
        let request = build(call, &address, &HeaderValue::from_static("Basic x")).unwrap();
        assert_eq!(request.headers()[HOST], "rds.example:8443");
        (request.method().to_string(), request.uri().to_string())
    }

    #[test]
    fn an_id_keeps_its_star_and_everything_else_is_encoded() {
        let id = "*2B".parse().unwrap();
        assert_eq!(
            built(&Call::Remove { menu: Menu::DISK, id: &id }),
            ("DELETE".into(), "/rest/disk/*2B".into())
        );
        let query = [(".id", "*2B")];
        let call = Call::Print { menu: Menu::DISK, query: &query, proplist: &["slot"] };
        assert_eq!(built(&call), ("GET".into(), "/rest/disk/*2B?.proplist=slot".into()));
        let query = [("name", "raid10/a b&c=d#\u{e9}.img")];
        let call = Call::Print { menu: Menu::FILE, query: &query, proplist: &[".id", "name"] };
        let wanted = "/rest/file?name=raid10%2Fa%20b%26c%3Dd%23%C3%A9.img&.proplist=.id,name";
        assert_eq!(built(&call), ("GET".into(), wanted.into()));
    }

    #[test]
    fn a_body_keeps_the_order_of_its_properties_and_quotes_them() {
        let properties = [("type", "file".to_owned()), ("comment", "a\"b\\".to_owned())];
        let body = body(&Call::Add { menu: Menu::DISK, properties: &properties }).unwrap();
        assert_eq!(body, r#"{"type":"file","comment":"a\"b\\"}"#);
    }

    #[test]
    fn a_request_over_the_limit_is_never_sent() {
        let properties = [("comment", "x".repeat(REQUEST_LIMIT))];
        let address = Address::parse("https://rds", PlainHttp::Refused).unwrap();
        let call = Call::Add { menu: Menu::DISK, properties: &properties };
        let error = build(&call, &address, &HeaderValue::from_static("Basic x")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
    }
}
