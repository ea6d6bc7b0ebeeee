//! Basic authentication. A login is remembered for ten minutes: a changed password or policy shows only then.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::time::Instant;

use crate::device::Device;
use crate::device::user::Caller;

/// How long the device remembers a login (S, REST manual).
const REMEMBERED: Duration = Duration::from_secs(600);

/// Remembered logins by their header.
#[derive(Default)]
pub(super) struct Logins(Mutex<HashMap<String, (Instant, Caller)>>);

impl Logins {
    /// Who sent this `Authorization` header; `None` for nobody who may use REST.
    pub(super) fn caller(&self, device: &Device, header: Option<&str>) -> Option<Caller> {
        let header = header?;
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.retain(|_, (since, _)| since.elapsed() < REMEMBERED);
        if let Some((_, caller)) = remembered.get(header) {
            return Some(caller.clone());
        }
        let (name, password) = credentials(header)?;
        let caller = device.login(&name, &password).filter(|caller| caller.has("rest-api"))?;
        remembered.insert(header.to_owned(), (Instant::now(), caller.clone()));
        Some(caller)
    }

    /// A reboot remembers nobody.
    pub(super) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn credentials(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    let decoded = STANDARD.decode(encoded.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let text = String::from_utf8(decoded).ok()?;
    text.split_once(':').map(|(name, password)| (name.to_owned(), password.to_owned()))
}
