//! The few directories and files that mounts need. Nothing here follows a link, recurses, or removes contents.

use std::io;
use std::path::Path;

use crate::{Error, ErrorKind, Result};

pub(super) async fn make_dir(path: &Path) -> Result<()> {
    tokio::fs::create_dir_all(path).await.map_err(|error| Error::io("make directory", path, &error))?;
    let metadata = tokio::fs::symlink_metadata(path).await;
    let metadata = metadata.map_err(|error| Error::io("stat", path, &error))?;
    if metadata.is_dir() { Ok(()) } else { Err(in_the_way(path)) }
}

pub(super) async fn make_file(path: &Path) -> Result<()> {
    if let Some(parent) = path.parent() {
        make_dir(parent).await?;
    }
    match tokio::fs::OpenOptions::new().write(true).create_new(true).open(path).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if is_empty_file(path).await? {
                Ok(())
            } else {
                Err(in_the_way(path))
            }
        }
        Err(error) => Err(Error::io("make file", path, &error)),
    }
}

pub(super) async fn remove_empty(path: &Path) -> Result<()> {
    let removed = match tokio::fs::symlink_metadata(path).await {
        Ok(metadata) if metadata.is_dir() => tokio::fs::remove_dir(path).await,
        Ok(_) if is_empty_file(path).await? => tokio::fs::remove_file(path).await,
        Ok(_) => return Err(in_the_way(path)),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path, &error)),
        _ => Ok(()),
    }
}

async fn is_empty_file(path: &Path) -> Result<bool> {
    let metadata = tokio::fs::symlink_metadata(path).await;
    let metadata = metadata.map_err(|error| Error::io("stat", path, &error))?;
    Ok(metadata.is_file() && metadata.len() == 0)
}

fn in_the_way(path: &Path) -> Error {
    let message = format!("{} is something that this driver did not make: it is left alone", path.display());
    Error::new(ErrorKind::Refused(None), message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn what_was_made_is_removed_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        make_dir(&at("a/b")).await.unwrap();
        make_file(&at("a/c/file")).await.unwrap();
        make_file(&at("a/c/file")).await.unwrap();
        for kept in [at("a"), at("a/c")] {
            assert!(remove_empty(&kept).await.is_err(), "not empty");
        }
        std::fs::write(at("full"), "x").unwrap();
        std::os::unix::fs::symlink(at("a/b"), at("link")).unwrap();
        for kept in [at("full"), at("link")] {
            assert!(remove_empty(&kept).await.is_err());
            assert!(make_file(&kept).await.is_err());
            assert!(make_dir(&kept).await.is_err());
        }
        for gone in [at("a/b"), at("a/c/file"), at("a/c"), at("a"), at("never"), at("never/there")] {
            remove_empty(&gone).await.unwrap();
            assert!(!gone.exists());
        }
        assert!(at("full").exists() && at("link").is_symlink());
    }
}
