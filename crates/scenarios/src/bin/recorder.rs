//! A pod's process: writes numbered records with fsync and says which it may rely on; and the check of them.
//!
//! `recorder write FILE WHO [COUNT]` appends records, each of them synced before its number is said (`ack 7`), up to the
//! record of that number or without an end; it goes on where the file ends. `recorder dirty FILE WHO` does the same and
//! beside each record makes a page of `FILE.dirty` dirty, which nobody ever syncs. `recorder check FILE WHO` says how
//! many records there are.
//! A write that fails ends it, with the error; a record before the last that is not as it was written ends the check.
//! The last may be torn: nobody was told of it.

use std::fs::{self, File, OpenOptions};
use std::io::{Error, Result, Write as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

/// A sector: what a record is torn at, if at all.
const RECORD: usize = 512;
/// A page.
const PAGE: usize = 4096;

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
            println!("{}", check(&fs::read(file)?, who)?);
            Ok(())
        }
        _ => Err(Error::other("write FILE WHO [COUNT], dirty FILE WHO or check FILE WHO")),
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

fn write(path: &Path, who: &str, count: u64, with_dirty_pages: bool) -> Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    let there = file.metadata()?.len() / RECORD as u64;
    // What was torn was never said: it is written again.
    file.set_len(there * RECORD as u64)?;
    let mut dirty = with_dirty_pages.then(|| File::create(path.with_extension("dirty"))).transpose()?;
    for number in there + 1..=count {
        if let Some(dirty) = &mut dirty {
            dirty.write_all(&record(who, number).repeat(PAGE / RECORD))?;
        }
        file.write_all(&record(who, number))?;
        file.sync_data()?;
        println!("ack {number}");
    }
    Ok(())
}

fn check(bytes: &[u8], who: &str) -> Result<u64> {
    let mut number = 0;
    let mut records = bytes.chunks(RECORD).peekable();
    while let Some(found) = records.next() {
        if found != record(who, number + 1) {
            match records.peek() {
                None => break,
                Some(_) => return Err(Error::other(format!("record {} is damaged", number + 1))),
            }
        }
        number += 1;
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_was_written_is_counted_and_what_is_damaged_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        write(&path, "a", 3, true).unwrap();
        write(&path, "a", 5, false).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        assert_eq!(check(&bytes, "a").unwrap(), 5);
        assert_eq!(check(&bytes[..5 * RECORD - 1], "a").unwrap(), 4, "the last one is torn");
        assert!(check(&bytes, "b").is_err(), "another's");
        bytes[2 * RECORD + 100] ^= 1;
        assert!(check(&bytes, "a").is_err());
    }
}
