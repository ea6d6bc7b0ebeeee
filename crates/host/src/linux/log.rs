//! The kernel's log: which devices it complains of (node.md rule 8).

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::fs::OFlags;
use rustix::io::Errno;

/// Longer than any record (Linux, CONSOLE_EXT_LOG_MAX).
const RECORD: usize = 8192;
/// A log that is flooded is read on at the next look.
const MOST_RECORDS: usize = 20_000;
/// Errors and worse (syslog(2)); I/O that is merely tried again is a warning.
const ERROR: u8 = 3;

/// `/dev/kmsg`, read to where it is. It is opened at its oldest record: what failed before this driver began shows too.
#[derive(Debug)]
pub(super) struct KernelLog(Mutex<Option<File>>);

impl KernelLog {
    /// One that cannot be opened says nothing, ever.
    pub(super) fn open(dev: &Path) -> Self {
        let path = dev.join("kmsg");
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(&path);
        let file = opened.inspect_err(|error| {
            tracing::warn!(%error, path = %path.display(), "the kernel's log cannot be read: file systems that fail are only found after outages");
        });
        Self(Mutex::new(file.ok()))
    }

    /// The heads that were complained of since the last call.
    pub(super) fn complaints(&self) -> BTreeSet<String> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names = BTreeSet::new();
        let Some(file) = log.as_mut() else { return names };
        if let Err(error) = read(file, &mut names) {
            tracing::warn!(%error, "the kernel's log is read no longer");
            *log = None;
        }
        names
    }
}

/// Reads record by record, as the kernel hands them out, to the last one or to the bound.
fn read(file: &mut impl Read, names: &mut BTreeSet<String>) -> std::io::Result<()> {
    let mut record = [0; RECORD];
    for _ in 0..MOST_RECORDS {
        match file.read(&mut record) {
            Ok(0) => return Ok(()),
            Ok(length) => names.extend(complaint(&record[..length])),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Records were overwritten before they were read: the next read gives the oldest that is left.
            Err(error) if error.raw_os_error() == Some(Errno::PIPE.raw_os_error()) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The heads that a record of the kernel's own (facility 0) names as an error: `<priority>,<sequence>,…;<text>`
/// (Linux, Documentation/ABI/testing/dev-kmsg).
fn complaint(record: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(record);
    let Some((prefix, text)) = text.split_once(';') else { return BTreeSet::new() };
    let priority = prefix.split(',').next().and_then(|number| number.parse::<u8>().ok());
    if priority.is_none_or(|priority| priority > ERROR) {
        return BTreeSet::new();
    }
    let words = text.lines().next().unwrap_or_default().split(|letter: char| !letter.is_ascii_alphanumeric());
    words.filter_map(head).collect()
}

/// `nvme3n1` of itself, and of its path `nvme3c4n1`: I/O errors are said of paths.
fn head(word: &str) -> Option<String> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (instance, namespace) = word.strip_prefix("nvme")?.split_once('n')?;
    let (subsystem, controller) = instance.split_once('c').unwrap_or((instance, "0"));
    let numbers = is_number(subsystem) && is_number(controller) && is_number(namespace);
    numbers.then(|| format!("nvme{subsystem}n{namespace}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::collections::VecDeque;
    use std::io;

    use proptest::prelude::*;

    #[test]
    fn errors_of_the_kernel_name_their_heads_and_nothing_else_does() {
        for (record, expected) in [
            ("2,1,2,-;EXT4-fs error (device nvme0n1): ext4_journal_check_start:83: x", Some("nvme0n1")),
            ("3,1,2,-;Aborting journal on device nvme12n3-8.", Some("nvme12n3")),
            ("1,1,2,-;XFS (nvme0n1): Filesystem has been shut down due to log error (0x2).", Some("nvme0n1")),
            (
                "3,1,2,-,caller=T7;I/O error, dev nvme3c4n1, sector 8 op 0x1:(WRITE)\n SUBSYSTEM=block",
                Some("nvme3n1"),
            ),
            ("4,1,2,-;nvme nvme0: reconnecting nvme0n1", None),
            ("3,1,2,-;nvme nvme0: failed", None),
            ("3,1,2,-;something else\n DEVICE=nvme0n1", None),
            ("11,1,2,-;a process says nvme0n1", None),
            ("nvme0n1", None),
            ("3,1,2,-;nvme0n1p1 nvmen1 nvme0n nvme0cn1", None),
        ] {
            assert_eq!(complaint(record.as_bytes()).pop_first().as_deref(), expected, "{record}");
        }
    }

    /// A log that answers each read with one of these.
    struct Said(VecDeque<io::Result<&'static str>>);

    impl Read for Said {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let text = self.0.pop_front().unwrap_or_else(|| Err(ErrorKind::WouldBlock.into()))?;
            buffer[..text.len()].copy_from_slice(text.as_bytes());
            Ok(text.len())
        }
    }

    #[test]
    fn an_overrun_loses_records_and_not_the_log() {
        let lost = || Err(io::Error::from_raw_os_error(Errno::PIPE.raw_os_error()));
        let said = [Ok("3,1,2,-;nvme0n1"), lost(), Err(ErrorKind::Interrupted.into()), Ok("3,9,2,-;nvme1n1")];
        let (mut log, mut names) = (Said(said.into()), BTreeSet::new());
        read(&mut log, &mut names).unwrap();
        assert_eq!(names, BTreeSet::from(["nvme0n1".to_owned(), "nvme1n1".to_owned()]));
        read(&mut log, &mut names).unwrap();
        let broken = Err(io::Error::from_raw_os_error(Errno::IO.raw_os_error()));
        read(&mut Said([broken].into()), &mut names).unwrap_err();
    }

    #[test]
    fn a_log_that_is_not_there_says_nothing() {
        let log = KernelLog::open(Path::new("/nonexistent"));
        assert_eq!(log.complaints(), BTreeSet::new());
    }

    proptest! {
        #[test]
        fn records_never_panic(record: Vec<u8>, text in "[0-9,;nvmec ]{0,40}") {
            let _ = (complaint(&record), complaint(text.as_bytes()));
        }
    }
}
