//! What an archive shall hold, before it is written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::{buffered, cpio::Archive};
use crate::{Error, Result, process};

/// What stands at a path of the guest.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// An empty directory; the parents of everything else need not be named.
    Directory,
    /// A symbolic link.
    Symlink { target: String },
    /// A file with this content.
    Bytes { mode: u32, content: Vec<u8> },
    /// The host's file, with its mode.
    Copy { from: PathBuf },
    /// The host's file, decompressed.
    Unxz { from: PathBuf },
}

/// Paths of the guest and what stands there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    nodes: BTreeMap<String, Node>,
}

impl Tree {
    /// Puts something at an absolute path, instead of what stood there.
    pub(crate) fn insert(&mut self, path: &str, node: Node) {
        self.nodes.insert(path.trim_start_matches('/').to_owned(), node);
    }

    /// A file with this content.
    pub(crate) fn bytes(&mut self, path: &str, mode: u32, content: impl Into<Vec<u8>>) {
        self.insert(path, Node::Bytes { mode, content: content.into() });
    }

    /// True if a program of this file name is anywhere in the tree.
    pub(crate) fn has_program(&self, name: &str) -> bool {
        self.nodes.keys().any(|path| path.rsplit('/').next() == Some(name))
    }

    /// What stands in it, without the leading slash.
    pub(crate) fn paths(&self) -> Vec<&str> {
        self.nodes.keys().map(String::as_str).collect()
    }

    /// Tells trees of different content apart. Files of the host count by inode, size and time: reading
    /// hundreds of megabytes would cost more than the boot.
    pub(crate) fn digest(&self) -> Result<String> {
        let mut digest = Sha256::new();
        for (path, node) in &self.nodes {
            digest.update(format!("\0{path}\0"));
            match node {
                Node::Directory => digest.update("directory"),
                Node::Symlink { target } => digest.update(format!("link {target}")),
                Node::Bytes { mode, content } => {
                    digest.update(format!("{mode:o} {} ", content.len()));
                    digest.update(content);
                }
                Node::Copy { from } | Node::Unxz { from } => {
                    let of = fs::metadata(from).map_err(Error::host(from.display().to_string()))?;
                    let (time, nanoseconds) = (of.mtime(), of.mtime_nsec());
                    digest.update(format!(
                        "{} {} {time}.{nanoseconds} {}",
                        of.ino(),
                        of.len(),
                        from.display()
                    ));
                }
            }
        }
        Ok(digest.finalize().iter().take(12).map(|byte| format!("{byte:02x}")).collect())
    }

    /// Writes the archive.
    pub(crate) fn write(&self, file: &mut File) -> Result<()> {
        buffered(file, |writer| {
            let mut archive = Archive::new(writer);
            for directory in self.parents() {
                archive.directory(&directory)?;
            }
            for (path, node) in &self.nodes {
                write_node(&mut archive, path, node).map_err(std::io::Error::other)?;
            }
            archive.finish()
        })
        .map_err(Error::host("writing an initramfs"))
    }

    /// Every directory that something stands in, outer ones first.
    fn parents(&self) -> BTreeSet<String> {
        let slashes = |path: &str| path.match_indices('/').map(|(at, _)| at).collect::<Vec<_>>();
        self.nodes.keys().flat_map(|path| slashes(path).into_iter().map(|at| path[..at].to_owned())).collect()
    }
}

fn write_node(archive: &mut Archive<impl std::io::Write>, path: &str, node: &Node) -> Result<()> {
    let wrote = match node {
        Node::Directory => archive.directory(path),
        Node::Symlink { target } => archive.symlink(path, target),
        Node::Bytes { mode, content } => archive.file(path, *mode, content),
        Node::Copy { from } => {
            let read = || Error::host(from.display().to_string());
            let mode = fs::metadata(from).map_err(read())?.permissions().mode() & 0o777;
            archive.file(path, mode, &fs::read(from).map_err(read())?)
        }
        Node::Unxz { from } => {
            let content = process::output("xz", &["-dc", &from.display().to_string()], None)?;
            archive.file(path, 0o644, &content)
        }
    };
    wrote.map_err(Error::host(path))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::{Node, Tree};

    #[test]
    fn directories_come_before_what_stands_in_them() {
        let mut tree = Tree::default();
        tree.insert("/usr/share/misc/file", Node::Directory);
        assert_eq!(tree.parents().into_iter().collect::<Vec<_>>(), ["usr", "usr/share", "usr/share/misc"]);
    }

    #[test]
    fn trees_that_differ_in_content_mode_or_path_have_different_digests() {
        let of = |path: &str, mode, content: &str| {
            let mut tree = Tree::default();
            tree.bytes(path, mode, content);
            tree.digest().unwrap()
        };
        let one = of("/a", 0o644, "x");
        assert_eq!(one, of("/a", 0o644, "x"));
        for other in [of("/b", 0o644, "x"), of("/a", 0o755, "x"), of("/a", 0o644, "y")] {
            assert_ne!(one, other);
        }
    }
}
