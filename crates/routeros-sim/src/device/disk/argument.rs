//! The writable arguments of `/disk`: since when they are there, and what they make of a value.

use super::{Disk, TYPES};
use crate::assumptions::{Assumptions, Comment, FileSize};
use crate::menu::Trap;
use crate::version::Version;

/// The block that the `file-size=rounded` assumption rounds up to, in bytes: a page.
const ROUNDING: u64 = 4096;

/// What the `comment=cut` assumption keeps, in bytes.
const CUT: usize = 128;

/// What the `comment=255-ascii` assumption takes, in bytes.
const LONGEST_COMMENT: usize = 255;

/// The longest NQN, in bytes (NVMe base specification, 4.5.1).
const LONGEST_NQN: usize = 223;

type Set = fn(&mut Disk, &str, &Assumptions) -> Result<(), Trap>;

/// One argument of add and set.
pub struct Argument {
    /// Its name.
    pub name: &'static str,
    /// The minor release of RouterOS 7 that brought it.
    since: u16,
    /// Whether it needs the rose-storage package.
    rose: bool,
    setter: Setter,
}

enum Setter {
    Known(Set),
    Flag(fn(&mut Disk) -> &mut bool),
    /// Kept and shown as set.
    Kept,
}

const fn known(name: &'static str, since: u16, rose: bool, set: Set) -> Argument {
    Argument { name, since, rose, setter: Setter::Known(set) }
}

const fn switch(name: &'static str, since: u16, rose: bool, at: fn(&mut Disk) -> &mut bool) -> Argument {
    Argument { name, since, rose, setter: Setter::Flag(at) }
}

const fn kept(name: &'static str, since: u16, rose: bool) -> Argument {
    Argument { name, since, rose, setter: Setter::Kept }
}

/// Every argument, from the inspect trees (routeros.md §1.3 and §6).
static ARGUMENTS: &[Argument] = &[
    known("type", 0, false, set_type),
    known("slot", 0, false, set_slot),
    known("comment", 0, false, set_comment),
    switch("disabled", 0, false, |disk| &mut disk.disabled),
    known("file-path", 17, false, set_file_path),
    known("file-size", 17, false, set_file_size),
    known("file-offset", 17, false, set_file_offset),
    switch("mount-filesystem", 17, false, |disk| &mut disk.mount_filesystem),
    switch("mount-read-only", 17, false, |disk| &mut disk.mount_read_only),
    switch("swap", 17, false, |disk| &mut disk.swap),
    switch("nfs-sharing", 14, true, |disk| &mut disk.nfs_sharing),
    switch("smb-sharing", 14, false, |disk| &mut disk.smb_sharing),
    switch("media-sharing", 15, false, |disk| &mut disk.media_sharing),
    switch("iscsi-export", 7, true, |disk| &mut disk.iscsi_export),
    switch("nvme-tcp-export", 7, true, |disk| &mut disk.nvme.export),
    known("nvme-tcp-server-port", 9, true, set_port),
    known("nvme-tcp-server-nqn", 21, true, set_nqn),
    known("nvme-tcp-server-allow-host-name", 9, true, set_allow_host_name),
    known("nvme-tcp-server-password", 9, true, set_password),
    kept("compress", 18, false),
    kept("crypted-backend", 7, false),
    kept("encryption-key", 7, false),
    kept("iscsi-address", 7, false),
    kept("iscsi-iqn", 7, false),
    kept("iscsi-port", 7, false),
    kept("iscsi-server-iqn", 21, true),
    kept("iscsi-server-port", 21, true),
    kept("media-interface", 15, false),
    kept("mount-point-template", 17, false),
    kept("nfs-address", 7, true),
    kept("nfs-share", 7, true),
    kept("nvme-tcp-address", 7, false),
    kept("nvme-tcp-host-name", 9, false),
    kept("nvme-tcp-nqn", 21, false),
    kept("nvme-tcp-password", 9, false),
    kept("nvme-tcp-port", 7, false),
    kept("parent", 7, false),
    kept("partition-number", 7, false),
    kept("partition-offset", 7, false),
    kept("partition-size", 7, false),
    kept("raid-chunk-size", 7, true),
    kept("raid-device-count", 7, true),
    kept("raid-master", 7, true),
    kept("raid-max-component-size", 7, true),
    kept("raid-member-failed", 7, true),
    kept("raid-role", 7, true),
    kept("raid-type", 7, true),
    kept("ramdisk-size", 7, false),
    kept("self-encryption-password", 7, false),
    kept("smb-address", 10, false),
    kept("smb-encryption", 10, false),
    kept("smb-password", 10, false),
    kept("smb-server-encryption", 21, false),
    kept("smb-server-password", 21, false),
    kept("smb-server-user", 21, false),
    kept("smb-share", 10, false),
    kept("smb-user", 10, false),
    kept("sshfs-address", 7, false),
    kept("sshfs-password", 7, false),
    kept("sshfs-path", 7, false),
    kept("sshfs-port", 7, false),
    kept("sshfs-user", 7, false),
    kept("tmpfs-max-size", 7, false),
];

impl Argument {
    /// The argument `name` of a device of this version, with or without the rose-storage package.
    ///
    /// # Errors
    /// `unknown parameter` where such a device has none.
    pub fn find(name: &str, version: Version, rose: bool) -> Result<&'static Self, Trap> {
        ARGUMENTS
            .iter()
            .find(|a| a.name == name && Version::seven(a.since) <= version && (rose || !a.rose))
            .ok_or_else(|| Trap::unknown_parameter(name))
    }

    /// Writes `value` into the row.
    ///
    /// # Errors
    /// The device's text where the value is refused; the row is then as before.
    pub fn apply(&self, disk: &mut Disk, value: &str, assumptions: &Assumptions) -> Result<(), Trap> {
        match self.setter {
            Setter::Known(set) => set(disk, value, assumptions)?,
            Setter::Flag(at) => *at(disk) = flag(value).ok_or_else(|| Trap::no_match(self.name))?,
            Setter::Kept => {
                disk.other.insert(self.name.to_owned(), value.to_owned());
            }
        }
        Ok(())
    }
}

/// `yes`, `no` and their JSON spellings.
pub(crate) fn flag(value: &str) -> Option<bool> {
    match value {
        "yes" | "true" => Some(true),
        "no" | "false" => Some(false),
        _ => None,
    }
}

/// Plain bytes, or with a binary suffix (`1G` is 1 073 741 824: O [RDSCSI]; `1T`: S capture).
fn bytes(value: &str) -> Option<u64> {
    let (digits, shift) = match value.char_indices().last()? {
        (at, 'K' | 'k') => (&value[..at], 10),
        (at, 'M') => (&value[..at], 20),
        (at, 'G') => (&value[..at], 30),
        (at, 'T') => (&value[..at], 40),
        _ => (value, 0),
    };
    let number = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok()?,
        None if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok()?,
        None => return None,
    };
    number.checked_mul(1 << shift)
}

fn set_type(disk: &mut Disk, value: &str, _: &Assumptions) -> Result<(), Trap> {
    if !TYPES.contains(&value) {
        return Err(Trap::no_match("type"));
    }
    value.clone_into(&mut disk.kind);
    Ok(())
}

fn set_slot(disk: &mut Disk, value: &str, assumptions: &Assumptions) -> Result<(), Trap> {
    let fits = assumptions.slot_length.limit().is_none_or(|limit| value.chars().count() <= limit);
    if !fits || value.is_empty() || value.chars().any(char::is_control) {
        return Err(Trap::invalid_value("slot"));
    }
    value.clone_into(&mut disk.slot);
    Ok(())
}

fn set_comment(disk: &mut Disk, value: &str, assumptions: &Assumptions) -> Result<(), Trap> {
    let plain = |c: char| c.is_ascii_alphanumeric() || " ._:-".contains(c);
    let printable = value.bytes().all(|b| (0x20..0x7f).contains(&b));
    let kept = match assumptions.comment {
        Comment::Ascii255 if value.len() > LONGEST_COMMENT || !printable => {
            return Err(Trap::invalid_value("comment"));
        }
        Comment::Ascii255 | Comment::Longer => value.to_owned(),
        Comment::Cut => value[..value.floor_char_boundary(CUT)].to_owned(),
        Comment::Charset => value.chars().map(|c| if plain(c) { c } else { '_' }).collect(),
    };
    disk.comment = (!kept.is_empty()).then_some(kept);
    Ok(())
}

fn set_file_path(disk: &mut Disk, value: &str, _: &Assumptions) -> Result<(), Trap> {
    let path = crate::device::file::normal(value).ok_or_else(|| Trap::invalid_value("file-path"))?;
    if disk.live.is_some() {
        return Err(Trap::invalid_value("file-path"));
    }
    path.clone_into(&mut disk.file_path);
    Ok(())
}

fn set_file_size(disk: &mut Disk, value: &str, assumptions: &Assumptions) -> Result<(), Trap> {
    if value == "auto" {
        return Ok(());
    }
    let refused = || Trap::invalid_value("file-size");
    // A Linux file offset is signed: larger images cannot be.
    let size = bytes(value).filter(|size| (1..=i64::MAX as u64).contains(size)).ok_or_else(refused)?;
    disk.file_size = match assumptions.file_size {
        FileSize::Exact => size,
        FileSize::Rounded => size.checked_next_multiple_of(ROUNDING).ok_or_else(refused)?,
    };
    Ok(())
}

fn set_file_offset(disk: &mut Disk, value: &str, _: &Assumptions) -> Result<(), Trap> {
    disk.file_offset = bytes(value).ok_or_else(|| Trap::invalid_value("file-offset"))?;
    Ok(())
}

fn set_port(disk: &mut Disk, value: &str, _: &Assumptions) -> Result<(), Trap> {
    let port = value.parse::<u16>().ok().filter(|port| *port > 0);
    disk.nvme.port = Some(port.ok_or_else(|| Trap::invalid_value("nvme-tcp-server-port"))?);
    Ok(())
}

fn set_nqn(disk: &mut Disk, value: &str, _: &Assumptions) -> Result<(), Trap> {
    if !is_name(value) {
        return Err(Trap::invalid_value("nvme-tcp-server-nqn"));
    }
    disk.nvme.nqn = (!value.is_empty()).then(|| value.to_owned());
    Ok(())
}

fn set_allow_host_name(disk: &mut Disk, value: &str, _: &Assumptions) -> Result<(), Trap> {
    if !value.split(',').all(|name| is_name(name.trim())) {
        return Err(Trap::invalid_value("nvme-tcp-server-allow-host-name"));
    }
    value.clone_into(&mut disk.nvme.allow_host_name);
    Ok(())
}

/// Names become directories of configfs: one with a slash or of dots would leave its place.
fn is_name(value: &str) -> bool {
    let sane = |b: u8| b.is_ascii_graphic() && b != b'/';
    value.len() <= LONGEST_NQN && value.bytes().all(sane) && !matches!(value, "." | "..")
}

fn set_password(disk: &mut Disk, value: &str, _: &Assumptions) -> Result<(), Trap> {
    disk.nvme.password = (!value.is_empty()).then(|| value.to_owned());
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn sizes_are_plain_bytes_or_binary_suffixes() {
        let cases = [
            ("1073741824", Some(1 << 30)),
            ("1G", Some(1 << 30)),
            ("1T", Some(1_099_511_627_776)),
            ("0x10", Some(16)),
            ("-1", None),
            ("1e9", None),
            ("1.5G", None),
            ("99999999T", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }

    #[test]
    fn an_argument_is_unknown_before_its_version_and_without_its_package() {
        let nqn = |version, rose| Argument::find("nvme-tcp-server-nqn", version, rose).is_ok();
        assert!(nqn(Version::seven(21), true));
        assert!(!nqn(Version::seven(20), true));
        assert!(!nqn(Version::LATEST, false));
    }

    #[test]
    fn a_name_that_would_leave_its_directory_is_refused() {
        let mut disk = Disk::new(1, "file");
        for path in ["raid10/../etc", "", "/", "raid10//x", "a/./b"] {
            assert!(set_file_path(&mut disk, path, &Assumptions::default()).is_err(), "{path}");
        }
        for nqn in ["..", "a/b", "a b", &"n".repeat(224)] {
            assert!(set_nqn(&mut disk, nqn, &Assumptions::default()).is_err(), "{nqn}");
            assert!(set_allow_host_name(&mut disk, nqn, &Assumptions::default()).is_err(), "{nqn}");
        }
    }
}
