//! The state directory: a snapshot, and a journal of the changes since.
//!
//! A change is one line appended before it is answered; a line cut short by a crash is as if never begun. A
//! snapshot replaces the last one by rename and only then empties the journal: replaying changes that the
//! snapshot has already is harmless, since each sets a row to what it is or takes it away.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::device::Device;
use crate::device::plan::Change;

const SNAPSHOT: &str = "config.json";
const JOURNAL: &str = "journal.jsonl";

/// Where changes are written down.
pub(crate) enum Journal {
    /// Nowhere: the state is gone with the process.
    None,
    /// At the end of this file.
    File(File),
}

impl Journal {
    /// Writes the changes of one command; one line, so that a crash leaves all or none.
    pub(crate) fn append(&mut self, changes: &[Change]) -> io::Result<()> {
        let Journal::File(file) = self else { return Ok(()) };
        if changes.is_empty() {
            return Ok(());
        }
        let mut line = serde_json::to_vec(changes)?;
        line.push(b'\n');
        file.write_all(&line)
    }
}

/// The state that a directory holds; `None` where it holds none.
///
/// # Errors
/// It cannot be read, or is not ours.
pub(crate) fn load(directory: &Path) -> io::Result<Option<Device>> {
    let snapshot = match fs::read(directory.join(SNAPSHOT)) {
        Ok(snapshot) => snapshot,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut device: Device = serde_json::from_slice(&snapshot)?;
    device.index();
    let journal = match fs::read_to_string(directory.join(JOURNAL)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read?,
    };
    for line in journal.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let changes: Vec<Change> = serde_json::from_str(line)?;
        changes.into_iter().for_each(|change| device.apply(change));
    }
    Ok(Some(device))
}

/// Writes the state as a snapshot and starts an empty journal after it.
///
/// # Errors
/// The directory cannot be written.
pub(crate) fn start(directory: &Path, device: &Device) -> io::Result<Journal> {
    replace(&directory.join(SNAPSHOT), &serde_json::to_vec(device)?)?;
    let path = directory.join(JOURNAL);
    File::create(&path)?;
    Ok(Journal::File(OpenOptions::new().append(true).open(path)?))
}

/// Replaces a file by another whole one.
pub(crate) fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut beside = PathBuf::from(path);
    beside.set_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(contents)?;
    file.sync_all()?;
    fs::rename(beside, path)
}
