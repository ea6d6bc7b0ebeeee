//! Root file systems: Debian's packages and further files, in an image that guests share.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::{Cache, apt, publish};
use crate::{Error, Result, process};

/// The release of the guests' kernels.
const SUITE: &str = "bookworm";

/// What no guest reads, a third of what is installed.
const UNREAD: [&str; 5] = [
    "./var/cache/apt/*",
    "./var/lib/apt/lists/*",
    "./usr/share/doc/*",
    "./usr/share/locale/*",
    "./usr/share/man/*",
];

/// How many older images stay: worktrees beside each other have one each, and use them in turn.
const OLDER: usize = 2;

/// A root file system for [`GuestBuilder::root`](crate::GuestBuilder::root): a small Debian with further packages, and
/// files of the host. Made once, kept in the cache under what it is made of.
#[derive(Clone, Debug)]
#[must_use = "an image is there once it is made"]
pub struct RootImage {
    name: String,
    packages: Vec<String>,
    files: Vec<(PathBuf, String)>,
    contents: Vec<(String, Vec<u8>)>,
    bytes: u64,
}

impl RootImage {
    /// One of that name and size: what guests may write is what it has left. When one is made, those of the same name
    /// go that were not used for longest.
    pub fn new(name: &str, bytes: u64) -> Self {
        Self { name: name.to_owned(), packages: Vec::new(), files: Vec::new(), contents: Vec::new(), bytes }
    }

    /// Further packages, with what they need.
    pub fn packages(mut self, names: &[&str]) -> Self {
        self.packages.extend(names.iter().map(|name| (*name).to_owned()));
        self
    }

    /// A file of the host with its mode, at an absolute path. It counts as another when its size or time is.
    pub fn file(mut self, from: impl Into<PathBuf>, to: &str) -> Self {
        self.files.push((from.into(), to.to_owned()));
        self
    }

    /// A file with this content, at an absolute path.
    pub fn content(mut self, to: &str, content: impl Into<Vec<u8>>) -> Self {
        self.contents.push((to.to_owned(), content.into()));
        self
    }

    /// Its path: made first, where the cache does not have it. Says on standard error what it makes.
    ///
    /// # Errors
    /// No archive to be reached, no rights to make a root file system, no space.
    pub fn make(&self) -> Result<PathBuf> {
        self.make_with(|_| Ok(()))
    }

    /// The same, with a last step in the folder that becomes the root, where one is made. It must make the same of the
    /// same files: what is kept in the cache goes by these alone.
    ///
    /// # Errors
    /// As [`RootImage::make`]; what the step says.
    pub fn make_with(&self, finish: impl FnOnce(&Path) -> io::Result<()>) -> Result<PathBuf> {
        let cache = Cache::open()?;
        let images = cache.directory("images")?;
        let _lock = cache.lock(&format!("image-{}", self.name))?;
        let place = images.join(format!("{}-{}.img", self.name, self.digest()?));
        if !place.exists() {
            let packages = self.bootstrapped(&images)?;
            eprintln!("microvm: making the image {} (half a minute)", place.display());
            self.assemble(&packages, &place, finish)?;
        }
        // Which were used last is what their times tell.
        let used =
            File::options().append(true).open(&place).and_then(|file| file.set_modified(SystemTime::now()));
        used.map_err(Error::host(place.display().to_string()))?;
        Ok(place)
    }

    /// The packages as an archive, which changes seldom and takes a minute.
    fn bootstrapped(&self, images: &Path) -> Result<PathBuf> {
        let packages = self.packages.join(",");
        let place = images.join(format!("{SUITE}-{}.tar", hex(Sha256::new_with_prefix(&packages))));
        if place.exists() {
            return Ok(place);
        }
        eprintln!("microvm: installing Debian into an image: {packages} (a minute, or the archive's time)");
        let folder = images.join("bootstrap.new");
        let tree = Scratch::new(&folder)?;
        let (root, making) = (text(tree.path()), place.with_extension("new"));
        apt::with_current_lists(|| {
            let include = format!("--include={packages}");
            process::output("debootstrap", &["--variant=minbase", &include, SUITE, &root], None)
        })?;
        let excluded = UNREAD.map(|path| format!("--exclude={path}"));
        let mut arguments = vec!["-C", &root];
        arguments.extend(excluded.iter().map(String::as_str));
        let target = text(&making);
        process::output("tar", &[&arguments[..], &["-cf", &target, "."]].concat(), None)?;
        publish(&making, &place)?;
        Ok(place)
    }

    fn assemble(
        &self,
        packages: &Path,
        place: &Path,
        finish: impl FnOnce(&Path) -> io::Result<()>,
    ) -> Result<()> {
        let folder = place.with_extension("tree");
        let tree = Scratch::new(&folder)?;
        process::output("tar", &["-C", &text(tree.path()), "-xf", &text(packages)], None)?;
        for (from, to) in &self.files {
            place_at(tree.path(), to, |target| fs::copy(from, target).map(drop))?;
        }
        for (to, content) in &self.contents {
            place_at(tree.path(), to, |target| fs::write(target, content))?;
        }
        finish(tree.path()).map_err(Error::host(place.display().to_string()))?;
        let making = place.with_extension("new");
        let kibibytes = format!("{}k", self.bytes / 1024);
        let arguments = ["-q", "-F", "-t", "ext4", "-d", &text(tree.path()), &text(&making), &kibibytes];
        process::output("mke2fs", &arguments, None)?;
        self.remove_older(place);
        publish(&making, place)
    }

    /// A guest that has one of them as its root keeps it.
    fn remove_older(&self, place: &Path) {
        let entries = place.parent().and_then(|images| fs::read_dir(images).ok());
        let is_ours = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let ours = name.strip_prefix(&self.name).and_then(|rest| rest.strip_prefix('-'));
            ours.is_some_and(|rest| rest.ends_with(".img"))
        };
        let mut ours: Vec<_> =
            entries.into_iter().flatten().flatten().map(|entry| entry.path()).filter(is_ours).collect();
        ours.sort_by_key(|path| fs::metadata(path).and_then(|of| of.modified()).ok());
        for path in ours.iter().rev().skip(OLDER) {
            // Another process may have removed it.
            let _ = fs::remove_file(path);
        }
    }

    fn digest(&self) -> Result<String> {
        let mut digest = Sha256::new();
        digest.update(format!("{SUITE} {} {:?}", self.bytes, self.packages));
        for (from, to) in &self.files {
            let of = fs::metadata(from).map_err(Error::host(from.display().to_string()))?;
            digest.update(format!("\0{to}\0{} {}.{} {:o}", of.len(), of.mtime(), of.mtime_nsec(), of.mode()));
        }
        for (to, content) in &self.contents {
            digest.update(format!("\0{to}\0{} ", content.len()));
            digest.update(content);
        }
        Ok(hex(digest))
    }
}

/// Writes what stands at an absolute path of a tree, with the folders above it.
fn place_at(tree: &Path, to: &str, write: impl FnOnce(&Path) -> io::Result<()>) -> Result<()> {
    let target = tree.join(to.trim_start_matches('/'));
    let folder = target.parent().map_or(Ok(()), fs::create_dir_all);
    folder.and_then(|()| write(&target)).map_err(Error::host(to))
}

/// A folder that something is made in, empty at first and removed at last.
struct Scratch<'a>(&'a Path);

impl<'a> Scratch<'a> {
    fn new(path: &'a Path) -> Result<Self> {
        let failed = || Error::host(path.display().to_string());
        if path.exists() {
            fs::remove_dir_all(path).map_err(failed())?;
        }
        fs::create_dir(path).map_err(failed())?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        self.0
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(self.0) {
            eprintln!("microvm: {}: {error}", self.0.display());
        }
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn hex(digest: Sha256) -> String {
    digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
