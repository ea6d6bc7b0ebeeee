//! What goes back: statuses, error bodies, rows of strings.

use bytes::Bytes;
use http::StatusCode;

use crate::menu::{Row, Trap};

/// An answer before it is on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
    pub(crate) location: Option<String>,
}

impl Answer {
    /// No body.
    pub(crate) fn empty(status: u16) -> Self {
        Self { status: known(status), body: Bytes::new(), location: None }
    }

    /// One row.
    pub(super) fn object(status: u16, row: &Row) -> Self {
        let mut body = Vec::new();
        write_row(&mut body, row);
        Self { body: body.into(), ..Self::empty(status) }
    }

    /// Rows, each an object of strings.
    pub(super) fn list(rows: &[Row]) -> Self {
        let mut body = vec![b'['];
        for (index, row) in rows.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            write_row(&mut body, row);
        }
        body.push(b']');
        Self { body: body.into(), ..Self::empty(200) }
    }

    /// An error that says why.
    pub(crate) fn error(status: u16, detail: &str) -> Self {
        Self::failed(status, Some(detail))
    }

    /// An error whose body has no `detail`.
    pub(crate) fn plain_error(status: u16) -> Self {
        Self::failed(status, None)
    }

    /// What PATCH and DELETE answer whatever the reason is.
    pub(super) fn hidden_reason() -> Self {
        Self::error(400, "missing or invalid resource identifier")
    }

    /// A refused command.
    pub(super) fn trap(trap: &Trap) -> Self {
        let status = if *trap == Trap::NotEnoughPermissions { 500 } else { 400 };
        Self::error(status, &trap.to_string())
    }

    pub(super) fn at(self, location: String) -> Self {
        Self { location: Some(location), ..self }
    }

    fn failed(status: u16, detail: Option<&str>) -> Self {
        let status = known(status);
        let message = status.canonical_reason().unwrap_or("Error");
        let mut body = Vec::new();
        body.push(b'{');
        if let Some(detail) = detail {
            body.extend_from_slice(b"\"detail\":");
            write_string(&mut body, detail);
            body.push(b',');
        }
        body.extend_from_slice(format!("\"error\":{},\"message\":", status.as_u16()).as_bytes());
        write_string(&mut body, message);
        body.push(b'}');
        Self { status, body: body.into(), location: None }
    }
}

fn known(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn write_row(body: &mut Vec<u8>, row: &Row) {
    body.push(b'{');
    for (index, (name, value)) in row.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        write_string(body, name);
        body.push(b':');
        write_string(body, value);
    }
    body.push(b'}');
}

fn write_string(body: &mut Vec<u8>, text: &str) {
    // Most values need no escape: a list of 10,000 rows has 400,000 of them.
    if text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
        body.push(b'"');
        body.extend_from_slice(text.as_bytes());
        body.push(b'"');
    } else {
        body.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
    }
}
