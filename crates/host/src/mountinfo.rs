//! `/proc/self/mountinfo`, parsed (proc_pid_mountinfo(5)).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::sysfs::parse_dev;
use crate::{Error, ErrorKind, MountEntry, Result};

/// Parses a whole table.
///
/// # Errors
/// [`ErrorKind::Malformed`] with the first line that is not of the kernel's form.
pub(crate) fn parse(table: &[u8]) -> Result<Vec<MountEntry>> {
    let lines = table.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let shown = String::from_utf8_lossy(line);
            parse_line(line).ok_or_else(|| {
                Error::new(ErrorKind::Malformed, format!("mountinfo line not understood: {shown}"))
            })
        })
        .collect()
}

/// `36 35 98:0 /root /target rw,noatime [optional…] - ext4 /dev/root rw`.
fn parse_line(line: &[u8]) -> Option<MountEntry> {
    let mut fields = line.split(|byte| *byte == b' ');
    let _mount_id = fields.next()?;
    let _parent_id = fields.next()?;
    let (major, minor) = parse_dev(std::str::from_utf8(fields.next()?).ok()?)?;
    let root = path(fields.next()?);
    let target = path(fields.next()?);
    let options = String::from_utf8_lossy(fields.next()?).split(',').map(str::to_owned).collect();
    fields.find(|field| *field == b"-")?;
    let fs = String::from_utf8_lossy(&unescape(fields.next()?)).into_owned();
    Some(MountEntry { target, major, minor, root, fs, options })
}

fn path(field: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(unescape(field)))
}

/// Space, tab, newline and backslash come as `\` and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| *first == b'\\').and_then(octal);
        bytes.push(octal.unwrap_or(*first));
        rest = if octal.is_some() { &after[3..] } else { after };
    }
    bytes
}

fn octal(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?, 8).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn optional_fields_and_escapes_are_understood() {
        let table =
            b"36 35 259:3 / /var/lib/a\\040b\\134c rw,noatime shared:7 master:1 - ext4 /dev/nvme0n1 rw\n\
                      37 35 0:5 /nvme0n1 /pods/device ro - devtmpfs udev rw\n";
        let entries = parse(table).unwrap();
        assert_eq!(entries[0].target, PathBuf::from("/var/lib/a b\\c"));
        assert_eq!((entries[0].major, entries[0].minor), (259, 3));
        assert_eq!(entries[0].options, ["rw", "noatime"]);
        assert_eq!((entries[1].fs.as_str(), entries[1].root.to_str().unwrap()), ("devtmpfs", "/nvme0n1"));
    }

    #[test]
    fn a_line_that_is_cut_short_is_an_error_and_not_an_empty_table() {
        assert_eq!(parse(b"36 35 259:3 / /target rw\n").unwrap_err().kind, ErrorKind::Malformed);
    }

    /// A node of many pods has thousands of mounts, and what people call directories is among them.
    #[test]
    fn a_table_of_thousands_of_lines_is_read_whole_with_every_name() {
        let names: Vec<String> =
            (0..20_000).map(|number| format!("/pods/{number} \\ä\t\n{number}/mount")).collect();
        let line = |name: &String| {
            format!("36 35 259:3 / {} rw,relatime shared:1 - ext4 /dev/nvme0n1 rw\n", escape(name.as_bytes()))
        };
        let table: String = names.iter().map(line).collect();
        let entries = parse(table.as_bytes()).unwrap();
        assert!(
            entries.iter().map(|entry| entry.target.to_str().unwrap()).eq(names.iter().map(String::as_str))
        );
    }

    #[test]
    fn this_machines_own_table_parses() {
        assert!(!parse(&std::fs::read("/proc/self/mountinfo").unwrap()).unwrap().is_empty());
    }

    fn escape(path: &[u8]) -> String {
        let special = |byte: u8| !byte.is_ascii_graphic() || byte == b'\\';
        let shown = |byte: &u8| match special(*byte) {
            true => format!("\\{byte:03o}"),
            false => char::from(*byte).to_string(),
        };
        path.iter().map(shown).collect()
    }

    proptest! {
        #[test]
        fn parsing_never_panics(table: Vec<u8>) {
            let _ = parse(&table);
        }

        #[test]
        fn every_path_round_trips(path in "/[ -~\\n\\t]{0,40}") {
            let line = format!("1 2 3:4 / {} rw - ext4 /dev/x rw\n", escape(path.as_bytes()));
            prop_assert_eq!(&parse(line.as_bytes()).unwrap()[0].target, &PathBuf::from(path));
        }
    }
}
