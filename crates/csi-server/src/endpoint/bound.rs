//! A listening socket that cleans up after itself, and after a predecessor that died.

use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use super::Endpoint;

/// Owner and group may connect: sidecars that run under another user share the group of the
/// pod (`fsGroup`); everybody else could stage volumes with this socket.
const SOCKET_MODE: u32 = 0o660;

/// A socket that listens. Dropping it removes the socket file, if it is still this one.
#[derive(Debug)]
pub struct BoundEndpoint {
    pub(crate) listener: UnixListener,
    file: SocketFile,
}

/// Why nothing could listen at an endpoint.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The directory is missing or no directory.
    #[error("{} is not a directory; create it (or mount it) for the socket", .0.display())]
    NoDirectory(PathBuf),
    /// Something else is there; it is not ours to remove.
    #[error("{} exists and is not a socket; remove it or choose another endpoint", .0.display())]
    NotASocket(PathBuf),
    /// A live process owns the socket.
    #[error("another process answers on {}; stop it first", .0.display())]
    InUse(PathBuf),
    /// The kernel refused.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

impl Endpoint {
    /// Listens. A *socket* that nobody answers on, left by a predecessor, is replaced; any other
    /// file and a socket that answers are left alone.
    ///
    /// # Errors
    /// [`BindError`], each with what to do.
    pub async fn bind(&self) -> Result<BoundEndpoint, BindError> {
        let path = self.path();
        let directory = path.parent().unwrap_or(Path::new("/"));
        if !directory.is_dir() {
            return Err(BindError::NoDirectory(directory.to_owned()));
        }
        remove_stale(path).await?;
        let listener = UnixListener::bind(path).map_err(failed("listen on", path))?;
        fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE))
            .map_err(failed("set the mode of", path))?;
        let metadata = fs::symlink_metadata(path).map_err(failed("look at", path))?;
        Ok(BoundEndpoint { listener, file: SocketFile::new(path, &metadata) })
    }
}

impl BoundEndpoint {
    /// The listener, and the guard that removes its file when dropped.
    pub(crate) fn into_parts(self) -> (UnixListener, SocketFile) {
        (self.listener, self.file)
    }
}

async fn remove_stale(path: &Path) -> Result<(), BindError> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("look at", path)(error)),
    };
    if !metadata.file_type().is_socket() {
        return Err(BindError::NotASocket(path.to_owned()));
    }
    match UnixStream::connect(path).await {
        // A full backlog (EAGAIN) is somebody alive, too.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed("remove the stale socket", path))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        _ => Err(BindError::InUse(path.to_owned())),
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BindError {
    let path = path.to_owned();
    move |source| BindError::Io { action, path, source }
}

/// The socket's file by identity, so that a successor's socket at the same path is not removed.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn new(path: &Path, metadata: &Metadata) -> Self {
        Self { path: path.to_owned(), identity: identity(metadata) }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|now| identity(&now) == self.identity);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the socket");
        }
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}
