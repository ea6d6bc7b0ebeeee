//! A pod's process: writes numbered records with fsync and says which it may rely on; and the check of them.
//!
//! `recorder write FILE WHO [COUNT]` adds records, each of them synced before its number is said (`ack 7`), up to the
//! record of that number or without an end; it goes on where the last one ends, whoever wrote that. FILE may be a device.
//! `recorder dirty FILE WHO` does the same and beside each record makes a page of `FILE.dirty` dirty, which nobody ever
//! syncs. `recorder check FILE WHO` says how many records there are, all of them of that writer; `recorder runs FILE`
//! says whose they are, a line for each writer in turn with the number of its last (`v1.2 40`).
//! A write that fails ends it, with the error; a record before the last that is not as it was written ends the check.
//! The last may be torn: nobody was told of it.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Error, Read, Result, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

/// A sector: what a record is torn at, if at all.
const RECORD: usize = 512;
/// A page.
const PAGE: usize = 4096;

/// Records one after the other of one writer, and the number of the last of them.
type Run = (String, u64);

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["write", file, who] => write(Path::new(file), who, u64::MAX, false),
        ["write", file, who, count] => {
            write(Path::new(file), who, count.parse().map_err(Error::other)?, false)
        }
        ["dirty", file, who] => write(Path::new(file), who, u64::MAX, true),
        ["check", file, who] => {
            println!("{}", check(&read(Path::new(file))?, who)?);
            Ok(())
        }
        ["runs", file] => {
            read(Path::new(file))?.iter().for_each(|(who, last)| println!("{who} {last}"));
            Ok(())
        }
        _ => Err(Error::other("write FILE WHO [COUNT], dirty FILE WHO, check FILE WHO or runs FILE")),
    }
}

/// The record of that number: its writer's name, its number, and a checksum of both to its end.
fn record(who: &str, number: u64) -> Vec<u8> {
    let head = format!("{who} {number:012} ");
    let checksum = format!("{:x}", Sha256::digest(&head));
    let mut record: Vec<u8> = head.bytes().chain(checksum.bytes().cycle()).take(RECORD - 1).collect();
    record.push(b'\n');
    record
}

/// Whose record of that number this is; `None` where it is none.
fn writer_of(found: &[u8], number: u64) -> Option<&str> {
    let (who, _) = str::from_utf8(found).ok()?.split_once(' ')?;
    (found == record(who, number)).then_some(who)
}

fn write(path: &Path, who: &str, count: u64, with_dirty_pages: bool) -> Result<()> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    let there = read(path)?.last().map_or(0, |(_, last)| *last);
    if file.metadata()?.is_file() {
        // What was torn was never said: it is written again.
        file.set_len(there * RECORD as u64)?;
    }
    let mut dirty = with_dirty_pages.then(|| File::create(path.with_extension("dirty"))).transpose()?;
    for number in there + 1..=count {
        if let Some(dirty) = &mut dirty {
            dirty.write_all(&record(who, number).repeat(PAGE / RECORD))?;
        }
        file.write_all_at(&record(who, number), (number - 1) * RECORD as u64)?;
        file.sync_data()?;
        println!("ack {number}");
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<Run>> {
    runs(BufReader::with_capacity(64 * PAGE, File::open(path)?))
}

/// Whose records there are, from the first; they end before the first sector that holds none, and one beyond it is a
/// sign of damage.
fn runs(mut from: impl Read) -> Result<Vec<Run>> {
    let mut runs: Vec<Run> = Vec::new();
    for number in 1.. {
        let sector = next_sector(&mut from)?;
        let Some(who) = writer_of(&sector, number) else {
            return match writer_of(&next_sector(&mut from)?, number + 1) {
                None => Ok(runs),
                Some(_) => Err(Error::other(format!("record {number} is damaged"))),
            };
        };
        match runs.last_mut() {
            Some((last, end)) if last == who => *end = number,
            _ => runs.push((who.to_owned(), number)),
        }
    }
    Ok(runs)
}

/// Shorter, or empty, at the end.
fn next_sector(from: &mut impl Read) -> Result<Vec<u8>> {
    let mut sector = Vec::with_capacity(RECORD);
    from.take(RECORD as u64).read_to_end(&mut sector)?;
    Ok(sector)
}

/// How many there are, of this writer alone.
fn check(runs: &[Run], who: &str) -> Result<u64> {
    match runs {
        [] => Ok(0),
        [(found, last)] if found == who => Ok(*last),
        _ => Err(Error::other(format!("records of others than {who}: {runs:?}"))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn counted(bytes: &[u8], who: &str) -> Result<u64> {
        check(&runs(bytes)?, who)
    }

    #[test]
    fn what_was_written_is_counted_and_what_is_damaged_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        write(&path, "a", 3, true).unwrap();
        write(&path, "a", 5, false).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        assert_eq!(counted(&bytes, "a").unwrap(), 5);
        assert_eq!(counted(&bytes[..5 * RECORD - 1], "a").unwrap(), 4, "the last one is torn");
        assert!(counted(&bytes, "b").is_err(), "another's");
        bytes[2 * RECORD + 100] ^= 1;
        assert!(counted(&bytes, "a").is_err());
    }

    #[test]
    fn writers_go_on_after_each_other_and_each_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        write(&path, "v1.1", 3, false).unwrap();
        write(&path, "v1.2", 5, false).unwrap();
        assert_eq!(read(&path).unwrap(), [("v1.1".to_owned(), 3), ("v1.2".to_owned(), 5)]);
    }

    #[test]
    fn the_records_of_a_device_end_where_it_holds_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("device");
        write(&path, "a", 3, false).unwrap();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(64 * PAGE as u64).unwrap();
        assert_eq!(counted(&std::fs::read(&path).unwrap(), "a").unwrap(), 3);
    }
}
