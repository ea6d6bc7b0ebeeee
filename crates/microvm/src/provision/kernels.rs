//! Kernels in the cache: fetched once, unpacked, never installed.

use std::fs;
use std::path::Path;

use super::{apt, publish};
use crate::kernel::Unpacked;
use crate::{Error, Kernel, Result, process};

/// The kernel in the directory of kernels, fetched unless it is there. The caller holds the kernel's lock.
pub(crate) fn find_or_fetch(kernel: Kernel, kernels: &Path) -> Result<Unpacked> {
    let place = kernels.join(kernel.version());
    if !place.exists() {
        fetch(kernel, &place)?;
    }
    find(&place)
}

fn fetch(kernel: Kernel, place: &Path) -> Result<()> {
    let package = apt::newest_package(kernel.package_affixes())?;
    let making = place.with_file_name(format!("{kernel}.new"));
    let failed = || Error::host(making.display().to_string());
    // Left by a fetch that was interrupted.
    if making.exists() {
        fs::remove_dir_all(&making).map_err(failed())?;
    }
    fs::create_dir_all(&making).map_err(failed())?;
    apt::unpack(&package, &making)?;
    let unpacked = find(&making)?;
    process::output("depmod", &["-b", &making.display().to_string(), &unpacked.release], None)?;
    publish(&making, place)
}

fn find(root: &Path) -> Result<Unpacked> {
    let modules = root.join("lib/modules");
    let entries = fs::read_dir(&modules).map_err(Error::host(modules.display().to_string()))?;
    let release = entries
        .flatten()
        .find_map(|entry| entry.file_name().into_string().ok())
        .ok_or_else(|| Error::Provision(format!("{} is empty", modules.display())))?;
    let image = root.join(format!("boot/vmlinuz-{release}"));
    Ok(Unpacked { modules: modules.join(&release), image, release })
}
