//! Kernels in the cache: fetched once, unpacked, never installed.

use std::fs;
use std::path::Path;

use super::{apt, image, publish};
use crate::kernel::Unpacked;
use crate::{Error, Kernel, Result, process};

/// The image without its wrapping.
const IMAGE: &str = "boot/vmlinux";

/// The kernel in the directory of kernels, fetched unless it is there. The caller holds the kernel's lock.
pub(crate) fn find_or_fetch(kernel: Kernel, kernels: &Path) -> Result<Unpacked> {
    let place = kernels.join(kernel.version());
    if let Ok(unpacked) = find(&place) {
        return Ok(unpacked);
    }
    apt::with_current_lists(|| fetch(kernel, &place))?;
    find(&place)
}

fn fetch(kernel: Kernel, place: &Path) -> Result<()> {
    let package = apt::newest_package(kernel.package_affixes())?;
    let making = place.with_file_name(format!("{kernel}.new"));
    let failed = || Error::host(making.display().to_string());
    // Left by a fetch that was interrupted, or made by an older version of this crate.
    for left in [&making, place] {
        if left.exists() {
            fs::remove_dir_all(left).map_err(failed())?;
        }
    }
    fs::create_dir_all(&making).map_err(failed())?;
    apt::unpack(&package, &making)?;
    let release = release(&making)?;
    process::output("depmod", &["-b", &making.display().to_string(), &release], None)?;
    let wrapped = fs::read(making.join(format!("boot/vmlinuz-{release}"))).map_err(failed())?;
    fs::write(making.join(IMAGE), image::unwrap(&wrapped)?).map_err(failed())?;
    publish(&making, place)
}

fn find(root: &Path) -> Result<Unpacked> {
    let release = release(root)?;
    let image = root.join(IMAGE);
    if !image.exists() {
        return Err(Error::Provision(format!("{} is missing", image.display())));
    }
    Ok(Unpacked { modules: root.join("lib/modules").join(&release), image, release })
}

/// The kernel's release: its package has modules for nothing else.
fn release(root: &Path) -> Result<String> {
    let modules = root.join("lib/modules");
    let entries = fs::read_dir(&modules).map_err(Error::host(modules.display().to_string()))?;
    let mut names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.next().ok_or_else(|| Error::Provision(format!("{} is empty", modules.display())))
}
