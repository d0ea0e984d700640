//! Who owns which block of the KV cache. Only numbers live here; the tensors
//! are the backend's.

use super::prefix::{Prefix, PrefixIndex, ROOT};

/// A pool of equal blocks with a count of owners each.
#[derive(Debug)]
pub struct BlockPool {
    /// Owners of each block; 0 means that it can be given out.
    owners: Vec<u32>,
    /// Without owner and without contents that could be found.
    free: Vec<u32>,
    prefixes: PrefixIndex,
    block_size: usize,
}

/// The blocks of one sequence, in order of position.
#[derive(Debug, Default)]
pub struct BlockTable {
    pub blocks: Vec<u32>,
    /// What the full and computed ones hold, from the beginning on. Ends early
    /// where the index could not take one.
    prefixes: Vec<Prefix>,
    /// A block could not be indexed, so none after it can.
    unindexed: bool,
}

/// Contents to be copied from one block to another before a step.
pub type BlockCopy = (u32, u32);

impl BlockPool {
    pub fn new(blocks: usize, block_size: usize) -> Self {
        Self {
            owners: vec![0; blocks],
            // Popped from the end, so low numbers go first.
            free: (0..blocks as u32).rev().collect(),
            prefixes: PrefixIndex::new(blocks),
            block_size,
        }
    }

    /// Positions in one block.
    pub fn block_size(&self) -> usize {
        self.block_size
    }

    pub fn total(&self) -> usize {
        self.owners.len()
    }

    /// Blocks that can be given out; some of them hold text that could be
    /// found until then.
    pub fn available(&self) -> usize {
        self.free.len() + self.prefixes.idle()
    }

    pub fn used(&self) -> usize {
        self.total() - self.available()
    }

    /// Blocks that `positions` fill.
    pub fn blocks_for(&self, positions: usize) -> usize {
        positions.div_ceil(self.block_size)
    }

    /// Makes `table` ready for writing positions `from..to`: adds blocks, and
    /// replaces the one that holds `from` if others own it too, which leaves a
    /// copy to be made in `copies`. All or nothing.
    #[must_use]
    pub fn reserve(
        &mut self,
        table: &mut BlockTable,
        from: usize,
        to: usize,
        copies: &mut Vec<BlockCopy>,
    ) -> bool {
        // Only the block that is partly filled can be shared and written.
        let first = from / self.block_size;
        let shared = table.blocks.get(first).is_some_and(|&b| self.owners[b as usize] > 1);
        let missing = self.blocks_for(to).saturating_sub(table.blocks.len());
        if missing + usize::from(shared) > self.available() {
            return false;
        }
        if shared && let Some(fresh) = self.take() {
            let old = std::mem::replace(&mut table.blocks[first], fresh);
            copies.push((old, fresh));
            self.give_up(old);
        }
        for _ in 0..missing {
            table.blocks.extend(self.take());
        }
        true
    }

    /// Blocks that `table` lacks for position `at`; `None` if the block that is
    /// written then is shared, and has to be copied.
    pub fn missing(&self, table: &BlockTable, at: usize) -> Option<usize> {
        match table.blocks.get(at / self.block_size) {
            Some(&block) if self.owners[block as usize] > 1 => None,
            _ => Some(self.blocks_for(at + 1).saturating_sub(table.blocks.len())),
        }
    }

    /// A block for one owner.
    fn take(&mut self) -> Option<u32> {
        let block = self.free.pop().or_else(|| self.prefixes.evict())?;
        self.owners[block as usize] = 1;
        Some(block)
    }

    fn give_up(&mut self, block: u32) {
        let owners = &mut self.owners[block as usize];
        debug_assert!(*owners > 0, "block {block} is released twice");
        *owners = owners.saturating_sub(1);
        if *owners == 0 {
            match self.prefixes.holds(block) {
                true => self.prefixes.rest(block),
                false => self.free.push(block),
            }
        }
    }

    /// Gives up every block of `table`.
    pub fn release(&mut self, table: &mut BlockTable) {
        let table = std::mem::take(table);
        // Backwards, so that the end of a text is forgotten before its beginning.
        for block in table.blocks.into_iter().rev() {
            self.give_up(block);
        }
    }

    /// A second owner of everything in `table`.
    pub fn share(&mut self, table: &BlockTable) -> BlockTable {
        for &block in &table.blocks {
            self.owners[block as usize] += 1;
        }
        BlockTable {
            blocks: table.blocks.clone(),
            prefixes: table.prefixes.clone(),
            unindexed: table.unindexed,
        }
    }

    /// How many blocks the longest known beginning of `tokens` fills, and how
    /// many of them nobody owns at the moment.
    pub fn known(&self, tokens: &[u32]) -> (usize, usize) {
        let (mut blocks, mut idle, mut parent) = (0, 0, ROOT);
        for chunk in tokens.chunks_exact(self.block_size) {
            let Some((prefix, block)) = self.prefixes.find(parent, chunk) else { break };
            idle += usize::from(self.owners[block as usize] == 0);
            blocks += 1;
            parent = prefix;
        }
        (blocks, idle)
    }

    /// Puts the blocks of the longest known beginning of `tokens` into an empty
    /// table. Returns the positions they hold.
    pub fn adopt(&mut self, table: &mut BlockTable, tokens: &[u32]) -> usize {
        debug_assert!(table.blocks.is_empty());
        for chunk in tokens.chunks_exact(self.block_size) {
            let parent = table.prefixes.last().copied().unwrap_or(ROOT);
            let Some((prefix, block)) = self.prefixes.find(parent, chunk) else { break };
            if self.owners[block as usize] == 0 {
                self.prefixes.wake(block);
            }
            self.owners[block as usize] += 1;
            table.blocks.push(block);
            table.prefixes.push(prefix);
        }
        table.blocks.len() * self.block_size
    }

    /// Notes what the blocks hold that are full now that `computed` of
    /// `tokens` are computed.
    pub fn index(&mut self, table: &mut BlockTable, tokens: &[u32], computed: usize) {
        while !table.unindexed && (table.prefixes.len() + 1) * self.block_size <= computed {
            let at = table.prefixes.len();
            let chunk = &tokens[at * self.block_size..(at + 1) * self.block_size];
            let parent = table.prefixes.last().copied().unwrap_or(ROOT);
            match self.prefixes.insert(parent, chunk, table.blocks[at]) {
                Some(prefix) => table.prefixes.push(prefix),
                None => table.unindexed = true,
            }
        }
    }

    /// Forgets all contents: the cache's tensors are gone. All tables must
    /// have been released.
    pub fn forget(&mut self) {
        self.free.extend(self.prefixes.clear());
    }

    /// Checks the books against all tables in use.
    ///
    /// # Errors
    /// Says which block is counted wrong.
    pub fn check<'a>(&self, tables: impl Iterator<Item = &'a BlockTable>) -> Result<(), String> {
        let mut counted = vec![0u32; self.owners.len()];
        for table in tables {
            for &block in &table.blocks {
                counted[block as usize] += 1;
            }
        }
        if let Some(block) = (0..counted.len()).find(|&b| counted[b] != self.owners[b]) {
            return Err(format!(
                "block {block} has {} owners in the books and {} in use",
                self.owners[block], counted[block]
            ));
        }
        let mut seen = vec![false; self.owners.len()];
        for &block in &self.free {
            let twice = std::mem::replace(&mut seen[block as usize], true);
            if self.owners[block as usize] != 0 || self.prefixes.holds(block) || twice {
                return Err(format!("block {block} is free and in use, or free twice"));
            }
        }
        for (block, &owners) in self.owners.iter().enumerate() {
            let idle = self.prefixes.is_idle(block as u32);
            if (owners == 0) != (idle || seen[block]) {
                return Err(format!("block {block} has {owners} owners and idle is {idle}"));
            }
        }
        self.prefixes.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grow(pool: &mut BlockPool, table: &mut BlockTable, positions: usize) -> bool {
        pool.reserve(table, 0, positions, &mut Vec::new())
    }

    #[test]
    fn growth_is_all_or_nothing_and_blocks_come_back() {
        let mut pool = BlockPool::new(4, 16);
        let (mut a, mut b) = (BlockTable::default(), BlockTable::default());
        assert!(grow(&mut pool, &mut a, 33));
        assert_eq!(a.blocks, [0, 1, 2]);
        assert!(!grow(&mut pool, &mut b, 17));
        assert!(b.blocks.is_empty());
        assert!(grow(&mut pool, &mut b, 16));
        assert!(grow(&mut pool, &mut a, 48));
        assert_eq!(pool.available(), 0);
        pool.check([&a, &b].into_iter()).unwrap();
        pool.release(&mut a);
        assert_eq!((pool.available(), a.blocks.len()), (3, 0));
        assert!(
            pool.check([&b, &BlockTable { blocks: vec![1], ..Default::default() }].into_iter())
                .is_err()
        );
    }

    #[test]
    fn a_shared_block_is_copied_before_it_is_written() {
        let mut pool = BlockPool::new(4, 4);
        let mut a = BlockTable::default();
        assert!(grow(&mut pool, &mut a, 6));
        let mut b = pool.share(&a);
        let mut copies = Vec::new();
        assert!(pool.reserve(&mut b, 6, 7, &mut copies));
        assert_eq!((copies.as_slice(), b.blocks.as_slice()), (&[(1, 2)][..], &[0, 2][..]));
        // The other one is alone with its block now.
        assert!(pool.reserve(&mut a, 6, 7, &mut copies));
        assert_eq!((copies.len(), a.blocks.as_slice()), (1, &[0, 1][..]));
        pool.check([&a, &b].into_iter()).unwrap();
        pool.release(&mut a);
        pool.release(&mut b);
        assert_eq!(pool.used(), 0);
    }

    #[test]
    fn a_known_beginning_is_adopted_even_after_its_owner_left() {
        let mut pool = BlockPool::new(4, 2);
        let tokens = [1, 2, 3, 4, 5];
        let mut a = BlockTable::default();
        assert!(grow(&mut pool, &mut a, 5));
        pool.index(&mut a, &tokens, 5);
        pool.release(&mut a);
        assert_eq!((pool.used(), pool.known(&[1, 2, 3, 4, 9, 9])), (0, (2, 2)));
        let mut b = BlockTable::default();
        assert_eq!(pool.adopt(&mut b, &[1, 2, 3, 4, 9, 9]), 4);
        pool.check([&b].into_iter()).unwrap();
        // The rest of the pool may be used up without losing what is owned.
        let mut c = BlockTable::default();
        assert!(grow(&mut pool, &mut c, 4));
        assert_eq!(pool.known(&tokens), (2, 0));
        pool.release(&mut b);
        pool.release(&mut c);
        let mut d = BlockTable::default();
        assert!(grow(&mut pool, &mut d, 6));
        // The end was forgotten before the beginning.
        assert_eq!(pool.known(&tokens).0, 1);
        pool.release(&mut d);
        pool.forget();
        assert_eq!(pool.known(&tokens).0, 0);
        pool.check(std::iter::empty()).unwrap();
    }
}
