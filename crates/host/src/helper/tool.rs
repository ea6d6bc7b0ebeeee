//! External tools: found by absolute path, run without a shell, their words kept.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Error, ErrorKind, Result};

/// Where Debian, Fedora, Alpine and Flatcar keep them; the driver's own PATH is not trusted.
const DIRECTORIES: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
/// As much of a tool's complaint as fits an event.
const MAX_WORDS: usize = 600;

fn find(name: &str) -> Result<PathBuf> {
    let found =
        DIRECTORIES.iter().map(|directory| Path::new(directory).join(name)).find(|path| path.is_file());
    found.ok_or_else(|| {
        let message = format!("{name} is in none of {}: install it in the image", DIRECTORIES.join(", "));
        Error::new(ErrorKind::Missing, message)
    })
}

/// Runs a tool to its end. Stdin is the helper's locked request: the lock then lasts as long as the tool.
#[expect(clippy::disallowed_methods, reason = "this is a helper, which may hang")]
pub(super) fn run(name: &str, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(find(name)?);
    command.args(arguments).env_clear().env("LC_ALL", "C").env("PATH", DIRECTORIES.join(":"));
    let output = command.stdin(Stdio::inherit()).output();
    let output = output
        .map_err(|error| Error::new(ErrorKind::Refused(error.raw_os_error()), format!("{name}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let words = [output.stderr.as_slice(), output.stdout.as_slice()].concat();
    let words: Vec<String> = String::from_utf8_lossy(&words).split_whitespace().map(str::to_owned).collect();
    let words: String = words.join(" ").chars().take(MAX_WORDS).collect();
    Err(Error::new(ErrorKind::Refused(None), format!("{name} ({}): {words}", output.status)))
}
