//! Looking for anything but zeros. Every byte of every range is read, or it is an error.
//!
//! Several reads are on their way at once: on a network most of a scan is waiting.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::op::Output;
use crate::protocol::Roots;
use crate::{Content, Device, Error, Range, Result};

use super::block::{ALIGNMENT, Aligned, DIRECT_READ, check_aligned, open};

/// How much is read at once: large enough for a network, small enough for a node's memory.
const PIECE: u64 = 1 << 20;
/// Reads on their way at once: a connection has a queue a CPU, and the rest is memory.
const READERS: usize = 4;

pub(super) fn scan(roots: &Roots, device: &Device, ranges: &[Range]) -> Result<Output> {
    for range in ranges {
        check_aligned(range.offset, range.length)?;
    }
    let file = open(roots, device, DIRECT_READ)?;
    let found = Pieces::new(ranges).scan(&file);
    match found.map_err(|error| Error::io("read", &roots.device(device), &error))? {
        None => Ok(Output::Content(Content::Zero)),
        Some(at) => Ok(Output::Content(Content::Data(at))),
    }
}

/// Ranges in pieces, taken in order by whichever reader is free.
struct Pieces<'a> {
    ranges: &'a [Range],
    /// The ranges' first pieces, counted over all of them.
    firsts: Vec<usize>,
    count: usize,
    next: AtomicUsize,
    /// Nothing from this piece on needs to be read any more.
    end: AtomicUsize,
}

impl<'a> Pieces<'a> {
    fn new(ranges: &'a [Range]) -> Self {
        let mut count = 0;
        let firsts = ranges.iter().map(|range| {
            let first = count;
            count += usize::try_from(range.length.div_ceil(PIECE)).unwrap_or(usize::MAX);
            first
        });
        let firsts = firsts.collect();
        Self { ranges, firsts, count, next: AtomicUsize::new(0), end: AtomicUsize::new(count) }
    }

    fn piece(&self, index: usize) -> Range {
        let at = self.firsts.partition_point(|first| *first <= index) - 1;
        let (range, skipped) = (self.ranges[at], (index - self.firsts[at]) as u64 * PIECE);
        Range { offset: range.offset + skipped, length: PIECE.min(range.length - skipped) }
    }

    /// The first data, or the first failure before it.
    fn scan(&self, file: &File) -> io::Result<Option<u64>> {
        let readers = READERS.min(self.count);
        let mut met: Vec<(usize, io::Result<u64>)> = std::thread::scope(|scope| {
            let readers: Vec<_> = (0..readers).map(|_| scope.spawn(|| self.read(file))).collect();
            let met = readers
                .into_iter()
                .map(|reader| reader.join().map_err(|_| io::Error::other("a reader died")));
            met.collect::<io::Result<Vec<_>>>()
        })?
        .into_iter()
        .flatten()
        .collect();
        met.sort_by_key(|(index, _)| *index);
        met.into_iter().next().map(|(_, met)| met).transpose()
    }

    /// Reads pieces until none is left; what it met that ended it, and in which piece.
    fn read(&self, file: &File) -> Option<(usize, io::Result<u64>)> {
        let longest = self.ranges.iter().map(|range| range.length.min(PIECE)).max()?;
        let mut buffer = Aligned::new(usize::try_from(longest).ok()?);
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            // Pieces are taken in order, so every one before the first that met something is read to its end.
            if index >= self.end.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(met) = data(file, &mut buffer, self.piece(index)).transpose() {
                self.end.fetch_min(index, Ordering::Relaxed);
                return Some((index, met));
            }
        }
    }
}

/// Where the first block of a piece that is not zero begins.
fn data(file: &File, buffer: &mut Aligned, piece: Range) -> io::Result<Option<u64>> {
    let bytes = &mut buffer.bytes()[..usize::try_from(piece.length).map_err(io::Error::other)?];
    file.read_exact_at(bytes, piece.offset)?;
    let mut blocks = bytes.chunks(ALIGNMENT).zip(0_u64..);
    let found = blocks.find(|(block, _)| !is_zero(block));
    Ok(found.map(|(_, index)| piece.offset + index * ALIGNMENT as u64))
}

/// All of a block at once: a search that may stop at every byte cannot be done in wide steps.
fn is_zero(block: &[u8]) -> bool {
    block.iter().fold(0, |all, byte| all | byte) == 0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    const BLOCK: u64 = ALIGNMENT as u64;

    proptest! {
        // A case reads a file of 5 MiB, in the slow code of a test build.
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn pieces_are_the_ranges_in_their_order(lengths in proptest::collection::vec(0_u64..900, 0..6)) {
            let ranges: Vec<Range> = lengths
                .iter()
                .enumerate()
                .map(|(at, blocks)| Range { offset: at as u64 * 4096 * BLOCK, length: blocks * BLOCK })
                .collect();
            let pieces = Pieces::new(&ranges);
            let blocks = |range: Range| (0..range.length / BLOCK).map(move |block| range.offset + block * BLOCK);
            let read: Vec<u64> = (0..pieces.count).flat_map(|index| blocks(pieces.piece(index))).collect();
            prop_assert_eq!(read, ranges.iter().copied().flat_map(blocks).collect::<Vec<_>>());
        }

        #[test]
        fn the_first_data_is_found_whichever_reader_meets_it(at in proptest::collection::vec(0_u64..5 << 20, 0..4)) {
            let mut file = tempfile::tempfile().unwrap();
            file.set_len(5 << 20).unwrap();
            for offset in &at {
                file.write_all_at(&[1], *offset).unwrap();
            }
            file.flush().unwrap();
            let ranges: Vec<Range> = (0..5_u64).map(|mib| Range { offset: mib << 20, length: 1 << 20 }).collect();
            let first = at.iter().min().map(|offset| offset / BLOCK * BLOCK);
            prop_assert_eq!(Pieces::new(&ranges).scan(&file).unwrap(), first);
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_error_unless_data_comes_before() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(2 << 20).unwrap();
        let ranges = [Range { offset: 0, length: 1 << 20 }, Range { offset: 2 << 20, length: BLOCK }];
        Pieces::new(&ranges).scan(&file).unwrap_err();
        file.write_all_at(&[1], 5000).unwrap();
        assert_eq!(Pieces::new(&ranges).scan(&file).unwrap(), Some(BLOCK));
    }
}
