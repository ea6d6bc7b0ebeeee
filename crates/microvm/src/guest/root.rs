//! A guest's own view of a root file system that others share.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, absolute};

use super::qemu::ROOT;
use crate::{Error, Result, process};

/// The shared image under a name in the guest's directory.
const IMAGE: &str = "root.img";

/// Makes a disk in the directory that has what the image has, and keeps what the guest writes. The image is linked
/// beside it: the cache may drop its own name of it, and a guest that boots again needs it still.
pub(super) fn over(image: &Path, directory: &Path) -> Result<()> {
    let link = directory.join(IMAGE);
    // Another file system has no second name to give.
    let linked = fs::hard_link(image, &link).or_else(|_| symlink(absolute(image)?, &link));
    linked.map_err(Error::host(link.display().to_string()))?;
    let arguments = ["create", "-q", "-f", "qcow2", "-F", "raw", "-b", IMAGE, ROOT];
    process::output("qemu-img", &arguments, Some(directory)).map(drop)
}
