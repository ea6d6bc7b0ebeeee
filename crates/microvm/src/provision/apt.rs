//! Debian's package tools.

use std::fs;
use std::path::Path;

use crate::{Error, Result, process};

/// Files that the host must have, and the package of Debian 12 that brings each.
const NEEDED: [(&str, &str); 16] = [
    ("/usr/bin/qemu-system-x86_64", "qemu-system-x86"),
    ("/usr/bin/qemu-img", "qemu-utils"),
    ("/bin/busybox", "busybox-static"),
    ("/usr/bin/lz4", "lz4"),
    ("/usr/bin/xz", "xz-utils"),
    ("/usr/bin/zstd", "zstd"),
    ("/usr/bin/setpriv", "util-linux"),
    ("/sbin/depmod", "kmod"),
    ("/sbin/mke2fs", "e2fsprogs"),
    ("/sbin/mkfs.xfs", "xfsprogs"),
    ("/sbin/dmsetup", "dmsetup"),
    ("/sbin/losetup", "mount"),
    ("/bin/mount", "mount"),
    ("/sbin/blockdev", "util-linux"),
    ("/usr/bin/dpkg", "dpkg"),
    ("/usr/sbin/debootstrap", "debootstrap"),
];

/// Installs the packages of the files that are not there, if any.
pub(crate) fn install_missing() -> Result<()> {
    let missing: Vec<&str> =
        NEEDED.iter().filter(|(file, _)| !Path::new(file).exists()).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("microvm: installing {}", missing.join(" "));
    let options =
        ["DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-y", "--no-install-recommends", "install"];
    let arguments = [&options[..], &missing].concat();
    with_current_lists(|| process::output("env", &arguments, None))?;
    match NEEDED.iter().find(|(file, _)| !Path::new(file).exists()) {
        Some((file, package)) => {
            Err(Error::Provision(format!("{package} is installed, yet {file} is missing")))
        }
        None => Ok(()),
    }
}

/// The newest package whose name starts and ends so, by the numbers in between.
pub(crate) fn newest_package((prefix, suffix): (&str, &str)) -> Result<String> {
    let names = process::text("apt-cache", &["pkgnames", prefix])?;
    newest(names.lines(), prefix, suffix)
        .ok_or_else(|| Error::Provision(format!("the archive has no {prefix}…{suffix}")))
}

/// Downloads a package into a directory and unpacks it there, installing nothing.
pub(crate) fn unpack(package: &str, directory: &Path) -> Result<()> {
    eprintln!("microvm: fetching {package}");
    // The archive's sandbox user may not write into a cache below a home directory.
    process::output(
        "apt-get",
        &["-qq", "-o", "APT::Sandbox::User=root", "download", package],
        Some(directory),
    )?;
    let files = fs::read_dir(directory).map_err(Error::host(directory.display().to_string()))?;
    let archive = files
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .ok_or_else(|| Error::Provision(format!("apt-get download {package} left no file")))?;
    let archive_name = archive.display().to_string();
    process::output("dpkg", &["-x", &archive_name, "."], Some(directory))?;
    fs::remove_file(&archive).map_err(Error::host(archive_name))
}

/// Tries with the package lists as they are; then, as these may be missing or name what the archive has no
/// longer, once more with new ones.
pub(crate) fn with_current_lists<T>(attempt: impl Fn() -> Result<T>) -> Result<T> {
    attempt().or_else(|_| {
        eprintln!("microvm: updating the package lists");
        process::output("apt-get", &["-qq", "update"], None)?;
        attempt()
    })
}

fn newest<'a>(names: impl Iterator<Item = &'a str>, prefix: &str, suffix: &str) -> Option<String> {
    names
        .filter_map(|name| {
            let build = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
            Some((build.parse::<u32>().ok()?, name))
        })
        .max()
        .map(|(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::newest;

    #[test]
    fn the_newest_build_is_so_by_number_and_of_the_plain_flavour() {
        let names = [
            "linux-image-6.1.0-9-cloud-amd64",
            "linux-image-6.1.0-56-cloud-amd64",
            "linux-image-6.1.0-57-cloud-amd64-unsigned",
            "linux-image-6.1.0-58-cloud-amd64-dbg",
            "linux-image-6.1.0-59-amd64",
        ];
        let found = newest(names.into_iter(), "linux-image-6.1.0-", "-cloud-amd64");
        assert_eq!(found.as_deref(), Some("linux-image-6.1.0-56-cloud-amd64"));
    }

    #[test]
    fn an_archive_without_the_kernel_has_no_newest() {
        assert_eq!(newest(["linux-image-amd64"].into_iter(), "linux-image-6.1.0-", "-cloud-amd64"), None);
    }
}
