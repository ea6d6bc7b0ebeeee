//! The guests' root file system: busybox, the kernel's modules, the file systems' tools and our binaries.
//!
//! In two parts, which Linux unpacks one after the other: a base per kernel, kept in the cache, and what a
//! test adds, which changes with every build and so lives no longer than its lab.

mod base;
mod cpio;
mod libraries;
mod modules;
mod tree;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::kernel::Unpacked;
use crate::provision::{Cache, publish};
use crate::{Error, Result};
pub(crate) use tree::{Node, Tree};

/// The base of a kernel's guests, from the cache if what it is made of has not changed.
pub(crate) fn base(cache: &Cache, kernel: &Unpacked) -> Result<PathBuf> {
    let tree = base::tree(kernel)?;
    let place = cache.directory("initramfs")?.join(format!("{}-{}.cpio", kernel.release, tree.digest()?));
    let _lock = cache.lock("initramfs")?;
    if !place.exists() {
        let making = place.with_extension("new");
        write(&making, |file| tree.write(file))?;
        publish(&making, &place)?;
    }
    Ok(place)
}

/// The absolute paths of the libraries and loaders that programs of this machine need; none if they are static.
///
/// # Errors
/// Where `ldd` cannot be run.
pub fn libraries_of(programs: &[&Path]) -> Result<Vec<String>> {
    libraries::of(programs)
}

/// Adds the shared libraries of the host's programs to a tree, where the programs look for them.
pub(crate) fn add_libraries(tree: &mut Tree, programs: &[&Path]) -> Result<()> {
    for library in libraries::of(programs)? {
        tree.insert(&library, Node::Copy { from: PathBuf::from(&library) });
    }
    Ok(())
}

/// Adds further modules, to be loaded at boot after those of every guest.
pub(crate) fn add_modules(tree: &mut Tree, kernel: &Unpacked, names: &[String]) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    modules::add(tree, kernel, names)
}

/// The base and what a test adds in one file of the directory; the same additions give the same file.
/// One caller at a time.
pub(crate) fn complete(base: &Path, additions: &Tree, directory: &Path) -> Result<PathBuf> {
    let place = directory.join(format!("{}-{}.cpio", stem(base), additions.digest()?));
    if place.exists() {
        return Ok(place);
    }
    write(&place, |file| {
        let mut base = File::open(base).map_err(Error::host(base.display().to_string()))?;
        io::copy(&mut base, file).map_err(Error::host(place.display().to_string()))?;
        additions.write(file)
    })?;
    Ok(place)
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

fn write(path: &Path, content: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    let mut file = File::create(path).map_err(Error::host(path.display().to_string()))?;
    content(&mut file).inspect_err(|_| {
        // Half a file must not be taken for a whole one.
        let _ = fs::remove_file(path);
    })
}

/// Buffers a file: an archive is written in small pieces.
fn buffered<T>(
    file: &mut File,
    write: impl FnOnce(&mut BufWriter<&mut File>) -> io::Result<T>,
) -> io::Result<T> {
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    let value = write(&mut writer)?;
    writer.flush()?;
    Ok(value)
}
