//! Records in their directory, each replaced as a whole or not at all.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use uuid::Uuid;
use volume::Slot;

use super::wire::{self, Unreadable};
use super::{RecordError, StageRecord};

/// The file of the fallback host id.
const HOST_ID: &str = "host-id";
/// What a file is called before it is whole; a left-over of a crash is written over.
const UNFINISHED: &str = "tmp";

/// The directory of the records: a few hundred bytes each, on the node's own disk. Its calls are
/// short and block; they are the only file access that no helper makes.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    stages: PathBuf,
    base: PathBuf,
}

impl Records {
    /// Opens the directory, made where it is not there, readable by nobody else.
    pub(crate) fn open(base: &Path) -> Result<Self, RecordError> {
        let stages = base.join("stages");
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&stages);
        made.map_err(io("making", &stages))?;
        sync_directory(base)?;
        Ok(Self { stages, base: base.to_owned() })
    }

    /// The record of a volume.
    pub(crate) fn load(&self, slot: &Slot) -> Result<Option<StageRecord>, RecordError> {
        let path = self.path(slot);
        let Some(bytes) = read(&path)? else { return Ok(None) };
        let record = wire::read(&bytes).map_err(|unreadable| refuse(&path, unreadable))?;
        if record.slot != *slot {
            return Err(refuse(&path, Unreadable::Damaged(format!("it is of volume {}", record.slot))));
        }
        Ok(Some(record))
    }

    /// Every record that can be read. What cannot is its own volume's trouble, and said by its calls.
    pub(crate) fn all(&self) -> Result<Vec<StageRecord>, RecordError> {
        let mut records = Vec::new();
        for entry in fs::read_dir(&self.stages).map_err(io("listing", &self.stages))? {
            let name = entry.map_err(io("listing", &self.stages))?.file_name();
            let slot = name.to_str().and_then(|name| Slot::parse(name.strip_suffix(".json")?).ok());
            records.extend(slot.and_then(|slot| self.load(&slot).ok().flatten()));
        }
        Ok(records)
    }

    /// Writes a record; it is on stable storage when this returns.
    pub(crate) fn save(&self, record: &StageRecord) -> Result<(), RecordError> {
        let path = self.path(&record.slot);
        let bytes =
            wire::write(record).map_err(|error| refuse(&path, Unreadable::Damaged(error.to_string())))?;
        replace(&path, &bytes)
    }

    /// Removes a record; none there is success.
    pub(crate) fn remove(&self, slot: &Slot) -> Result<(), RecordError> {
        let path = self.path(slot);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(io("removing", &path)(error)),
            _ => sync_directory(&self.stages),
        }
    }

    pub(super) fn read_host_id(&self) -> Result<Option<Uuid>, RecordError> {
        let path = self.base.join(HOST_ID);
        let Some(bytes) = read(&path)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes);
        text.trim()
            .parse()
            .map(Some)
            .map_err(|error: uuid::Error| refuse(&path, Unreadable::Damaged(error.to_string())))
    }

    pub(super) fn write_host_id(&self, id: Uuid) -> Result<(), RecordError> {
        replace(&self.base.join(HOST_ID), format!("{id}\n").as_bytes())
    }

    fn path(&self, slot: &Slot) -> PathBuf {
        self.stages.join(format!("{slot}.json"))
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, RecordError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io("reading", path)(error)),
    }
}

/// Writes beside, syncs, renames, syncs the directory: at every moment the old or the new is there.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), RecordError> {
    let unfinished = path.with_extension(UNFINISHED);
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    };
    write().map_err(io("writing", path))?;
    path.parent().map_or(Ok(()), sync_directory)
}

fn sync_directory(path: &Path) -> Result<(), RecordError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(io("syncing", path))
}

fn io(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> RecordError {
    let path = path.to_owned();
    move |source| RecordError::Io { operation, path, source }
}

fn refuse(path: &Path, unreadable: Unreadable) -> RecordError {
    let path = path.to_owned();
    match unreadable {
        Unreadable::Newer(version) => RecordError::Newer { path, version },
        Unreadable::Damaged(problem) => RecordError::Damaged { path, problem },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::records::{Phase, fallback_identity, test_record};

    fn record(slot: &str) -> StageRecord {
        StageRecord { phase: Phase::Staging, ..test_record(slot) }
    }

    #[test]
    fn a_record_is_kept_replaced_and_removed_whatever_a_crash_left() {
        let directory = tempfile::tempdir().unwrap();
        let records = Records::open(directory.path()).unwrap();
        fs::write(directory.path().join("stages/a.tmp"), "half a rec").unwrap();
        let (staging, staged) = (record("a"), StageRecord { phase: Phase::Staged, ..record("a") });
        assert_eq!(records.load(&staging.slot).unwrap(), None);
        for saved in [&staging, &staged] {
            records.save(saved).unwrap();
            assert_eq!(
                Records::open(directory.path()).unwrap().load(&saved.slot).unwrap().as_ref(),
                Some(saved)
            );
        }
        for _ in 0..2 {
            records.remove(&staging.slot).unwrap();
        }
        assert_eq!(records.load(&staging.slot).unwrap(), None);
    }

    #[test]
    fn all_records_are_those_that_can_be_read() {
        let directory = tempfile::tempdir().unwrap();
        let records = Records::open(directory.path()).unwrap();
        for (name, text) in [("b.json", "damaged"), ("c.tmp", "{}"), ("no slot.json", "{}")] {
            fs::write(directory.path().join("stages").join(name), text).unwrap();
        }
        records.save(&record("a")).unwrap();
        assert_eq!(records.all().unwrap(), [record("a")]);
    }

    #[test]
    fn a_record_under_another_volumes_name_is_no_record_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let records = Records::open(directory.path()).unwrap();
        records.save(&record("a")).unwrap();
        fs::rename(directory.path().join("stages/a.json"), directory.path().join("stages/b.json")).unwrap();
        let refused = records.load(&Slot::parse("b").unwrap()).unwrap_err();
        assert!(refused.to_string().contains("it is of volume a"), "{refused}");
    }

    #[test]
    fn the_fallback_host_identity_is_made_once() {
        let directory = tempfile::tempdir().unwrap();
        let first = fallback_identity(&Records::open(directory.path()).unwrap()).unwrap();
        assert_eq!(fallback_identity(&Records::open(directory.path()).unwrap()).unwrap(), first);
        fs::write(directory.path().join("host-id"), "no uuid").unwrap();
        fallback_identity(&Records::open(directory.path()).unwrap()).unwrap_err();
    }
}
