//! User and password from files, read again when they change.

use std::fmt;
use std::fs::{self, Metadata};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use crate::error::{Error, ErrorKind};

/// No RouterOS user name or password is near this long; a file that is, is the wrong file.
const FILE_LIMIT: u64 = 1024;

/// The permission bit that lets every user of the machine read a file.
const WORLD_READABLE: u32 = 0o004;

/// A user's name and password, each in a file of its own.
///
/// The files are looked at before every request and read when they are other files than the last time. A look
/// costs two `stat` calls, also through the symbolic links that Kubernetes swaps when a secret changes.
pub struct Credentials {
    user_file: PathBuf,
    password_file: PathBuf,
    current: Mutex<Option<Current>>,
}

#[derive(Clone)]
struct Current {
    seen: [FileIdentity; 2],
    user: String,
    authorization: HeaderValue,
}

/// What changes when a file is written or another one takes its name.
type FileIdentity = (u64, u64, u64, i64, i64);

impl Credentials {
    /// Credentials from two files, which are read once to say early what is wrong with them.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if one is missing, empty, not text, or the password readable by everyone.
    pub fn from_files(
        user_file: impl Into<PathBuf>,
        password_file: impl Into<PathBuf>,
    ) -> Result<Self, Error> {
        let (user_file, password_file) = (user_file.into(), password_file.into());
        let credentials = Self { user_file, password_file, current: Mutex::default() };
        credentials.current()?;
        Ok(credentials)
    }

    /// The user's name as it is now.
    ///
    /// # Errors
    /// As [`Credentials::from_files`].
    pub fn user(&self) -> Result<String, Error> {
        Ok(self.current()?.user)
    }

    /// Another number whenever the files are others, as after a rotated Secret; nothing is read of what they hold.
    /// 0 where one cannot be looked at.
    pub fn version(&self) -> u64 {
        let seen = identity(&self.user_file).and_then(|user| Ok([user, identity(&self.password_file)?]));
        seen.map_or(0, |seen| {
            let mut hasher = DefaultHasher::new();
            seen.hash(&mut hasher);
            hasher.finish()
        })
    }

    /// The `Authorization` header as it is now.
    pub(crate) fn authorization(&self) -> Result<HeaderValue, Error> {
        Ok(self.current()?.authorization)
    }

    fn current(&self) -> Result<Current, Error> {
        let seen = [identity(&self.user_file)?, identity(&self.password_file)?];
        let mut slot = self.current.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match &*slot {
            Some(current) if current.seen == seen => Ok(current.clone()),
            _ => Ok(slot.insert(self.read(seen)?).clone()),
        }
    }

    fn read(&self, seen: [FileIdentity; 2]) -> Result<Current, Error> {
        refuse_world_readable(&self.password_file)?;
        let user = read(&self.user_file)?.expose_secret().to_owned();
        if user.contains(':') {
            return Err(unusable(
                &self.user_file,
                "a user name with a colon cannot be sent: rename the user",
            ));
        }
        let password = read(&self.password_file)?;
        let authorization = basic(&user, &password)?;
        Ok(Current { seen, user, authorization })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("user_file", &self.user_file)
            .field("password_file", &self.password_file)
            .finish_non_exhaustive()
    }
}

fn basic(user: &str, password: &SecretString) -> Result<HeaderValue, Error> {
    let token = SecretString::from(BASE64.encode(format!("{user}:{}", password.expose_secret())));
    let header = HeaderValue::try_from(format!("Basic {}", token.expose_secret()));
    let mut header =
        header.map_err(|_| Error::new(ErrorKind::Configuration, "credentials make no header"))?;
    header.set_sensitive(true);
    Ok(header)
}

fn read(path: &Path) -> Result<SecretString, Error> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, error))?;
    let line = text.strip_suffix('\n').map_or(&*text, |line| line.strip_suffix('\r').unwrap_or(line));
    if line.is_empty() {
        return Err(unusable(path, "it is empty: write the value into it"));
    }
    if line.contains(char::is_control) {
        return Err(unusable(path, "it has more than one line: write the value alone into it"));
    }
    Ok(SecretString::from(line))
}

fn identity(path: &Path) -> Result<FileIdentity, Error> {
    let meta = metadata(path)?;
    if meta.len() > FILE_LIMIT {
        return Err(unusable(path, "it is over 1 KiB: it is not what it should be"));
    }
    Ok((meta.dev(), meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
}

fn refuse_world_readable(path: &Path) -> Result<(), Error> {
    if metadata(path)?.mode() & WORLD_READABLE == 0 {
        return Ok(());
    }
    Err(unusable(
        path,
        "every user may read it: chmod 0640 it (Kubernetes: `defaultMode: 0440` of the secret volume)",
    ))
}

fn metadata(path: &Path) -> Result<Metadata, Error> {
    fs::metadata(path).map_err(|error| unreadable(path, error))
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    let what = format!("credentials file {} cannot be read ({error}): mount or create it", path.display());
    Error::new(ErrorKind::Configuration, what).caused_by(error)
}

fn unusable(path: &Path, why: &str) -> Error {
    Error::new(ErrorKind::Configuration, format!("credentials file {}: {why}", path.display()))
}

#[cfg(test)]
mod tests;
