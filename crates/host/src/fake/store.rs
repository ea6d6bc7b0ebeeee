//! Sparse bytes, and the page cache over them.

use std::collections::BTreeMap;

/// The size of a page and of a block of both file systems.
pub(super) const BLOCK: u64 = PAGE as u64;
const PAGE: usize = 4096;

type Block = Box<[u8; PAGE]>;

/// Somewhere that bytes are read from and written to.
pub(super) trait Medium {
    fn block(&self, index: u64) -> Option<&[u8; PAGE]>;
    fn put(&mut self, index: u64, block: Block);

    fn read(&self, offset: u64, length: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (index, within) in pieces(offset, length) {
            match self.block(index) {
                Some(block) => bytes.extend_from_slice(&block[within]),
                None => bytes.resize(bytes.len() + within.len(), 0),
            }
        }
        bytes
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) {
        let mut rest = bytes;
        for (index, within) in pieces(offset, bytes.len() as u64) {
            let mut block = Box::new(self.block(index).copied().unwrap_or([0; PAGE]));
            let (piece, later) = rest.split_at(within.len());
            block[within].copy_from_slice(piece);
            self.put(index, block);
            rest = later;
        }
    }
}

/// The blocks that a range touches, with the part of each.
fn pieces(offset: u64, length: u64) -> impl Iterator<Item = (u64, std::ops::Range<usize>)> {
    let end = offset + length;
    (offset / BLOCK..end.div_ceil(BLOCK)).filter(move |_| length > 0).map(move |index| {
        let begin = index * BLOCK;
        let within = |position: u64| usize::try_from(position.clamp(begin, begin + BLOCK) - begin);
        (index, within(offset).unwrap_or(0)..within(end).unwrap_or(0))
    })
}

/// What a volume's image holds: blocks of zeros take no room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Store(BTreeMap<u64, Block>);

impl Store {
    /// Where the first block that is not zero begins, within a range.
    pub(super) fn first_data(&self, offset: u64, length: u64) -> Option<u64> {
        let blocks = self.0.range(offset / BLOCK..(offset + length).div_ceil(BLOCK));
        blocks.map(|(index, _)| index * BLOCK).next()
    }
}

impl Medium for Store {
    fn block(&self, index: u64) -> Option<&[u8; PAGE]> {
        self.0.get(&index).map(|block| &**block)
    }

    fn put(&mut self, index: u64, block: Block) {
        if block.iter().all(|byte| *byte == 0) {
            self.0.remove(&index);
        } else {
            self.0.insert(index, block);
        }
    }
}

/// Pages written and not yet written back: zeros count.
#[derive(Clone, Debug, Default)]
pub(super) struct Dirty(BTreeMap<u64, Block>);

impl Dirty {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Loses everything; whether there was anything.
    pub(super) fn drop_all(&mut self) -> bool {
        !std::mem::take(&mut self.0).is_empty()
    }

    pub(super) fn write_back(&mut self, store: &mut Store) {
        for (index, block) in std::mem::take(&mut self.0) {
            store.put(index, block);
        }
    }
}

/// A device as its node sees it: the dirty pages first.
pub(super) struct Cached<'a> {
    pub(super) store: &'a Store,
    pub(super) dirty: &'a mut Dirty,
}

impl Medium for Cached<'_> {
    fn block(&self, index: u64) -> Option<&[u8; PAGE]> {
        self.dirty.0.get(&index).map(|block| &**block).or_else(|| self.store.block(index))
    }

    fn put(&mut self, index: u64, block: Block) {
        self.dirty.0.insert(index, block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_store_and_a_cache_over_it_are_plain_memory(
            writes in prop::collection::vec((0_u64..20_000, prop::collection::vec(any::<u8>(), 0..9000)), 0..12),
        ) {
            let mut memory = vec![0; 32_768];
            let (mut store, mut dirty) = (Store::default(), Dirty::default());
            for (turn, (offset, bytes)) in writes.iter().enumerate() {
                let begin = usize::try_from(*offset).unwrap_or(0);
                memory[begin..begin + bytes.len()].copy_from_slice(bytes);
                Cached { store: &store, dirty: &mut dirty }.write(*offset, bytes);
                if turn % 3 == 0 {
                    dirty.write_back(&mut store);
                }
            }
            prop_assert_eq!(&Cached { store: &store, dirty: &mut dirty }.read(0, 32_768), &memory);
            dirty.write_back(&mut store);
            prop_assert_eq!(store.read(0, 32_768), memory.clone());
            let first = memory.iter().position(|byte| *byte != 0).map(|at| at as u64 / BLOCK * BLOCK);
            prop_assert_eq!(store.first_data(0, 32_768), first);
        }
    }
}
