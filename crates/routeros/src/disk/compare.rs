//! Compare-after-write: what was sent against the row that came back.

use crate::error::{Error, ErrorKind, Outcome};
use crate::file::normalised_path;
use crate::row::{Row, parse_flag};

/// Properties whose absence from a row says something (routeros.md §1.7): RouterOS leaves unset texts and the
/// server side of a closed export out.
const ABSENT_MEANS: &[(&str, &str)] = &[
    ("comment", ""),
    ("nvme-tcp-server-allow-host-name", ""),
    ("nvme-tcp-export", "false"),
    ("smb-sharing", "false"),
    ("nfs-sharing", "false"),
    ("media-sharing", "false"),
];

/// The first property of `sent` that `row` does not show as sent.
pub(crate) fn first_difference<'a>(
    sent: &'a [(&'static str, String)],
    row: &Row,
) -> Option<&'a (&'static str, String)> {
    sent.iter().find(|(name, value)| !shows(row, name, value))
}

/// Checks that a row shows everything that was sent.
///
/// # Errors
/// [`ErrorKind::Mismatch`] with [`Outcome::Applied`]: the device acted, but not as told.
pub(crate) fn require_as_sent(sent: &[(&'static str, String)], row: &Row) -> Result<(), Error> {
    let Some((name, value)) = first_difference(sent, row) else { return Ok(()) };
    let shown = row.get(name).unwrap_or("<absent>");
    let what = format!("the device took {name}={value:?} and then showed {shown:?}: read the row again");
    Err(Error::new(ErrorKind::Mismatch, what).with_outcome(Outcome::Applied))
}

fn shows(row: &Row, name: &str, sent: &str) -> bool {
    match row.get(name) {
        Some(shown) => same(name, sent, shown),
        None => hidden_by_closed_export(row, name) || ABSENT_MEANS.contains(&(name, sent)),
    }
}

// A device may hide the NQN of what is not exported (assumption `nqn-after-unexport`).
fn hidden_by_closed_export(row: &Row, name: &str) -> bool {
    let closed = row.get("nvme-tcp-export").and_then(parse_flag) != Some(true);
    closed && name.starts_with("nvme-tcp-server-")
}

fn same(name: &str, sent: &str, shown: &str) -> bool {
    match (parse_flag(sent), parse_flag(shown)) {
        (Some(sent), Some(shown)) => sent == shown,
        // A device may round up (assumption `file-size`); smaller would be a volume cut short.
        _ if name == "file-size" => plain(shown) >= plain(sent) && plain(shown).is_some(),
        _ if name == "file-path" => normalised_path(sent) == normalised_path(shown),
        _ => sent == shown,
    }
}

fn plain(number: &str) -> Option<u64> {
    number.parse().ok()
}

#[cfg(test)]
mod tests;
