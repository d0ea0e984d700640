//! Who owns which block of the KV cache. Only numbers live here; the tensors
//! are the backend's.

/// A pool of equal blocks with an owner count each.
#[derive(Debug)]
pub struct BlockPool {
    /// Owners of each block; 0 means free.
    owners: Vec<u32>,
    free: Vec<u32>,
    block_size: usize,
}

impl BlockPool {
    pub fn new(blocks: usize, block_size: usize) -> Self {
        Self {
            owners: vec![0; blocks],
            // Popped from the end, so low numbers go first.
            free: (0..blocks as u32).rev().collect(),
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

    pub fn available(&self) -> usize {
        self.free.len()
    }

    pub fn used(&self) -> usize {
        self.total() - self.available()
    }

    /// Blocks that `positions` fill.
    pub fn blocks_for(&self, positions: usize) -> usize {
        positions.div_ceil(self.block_size)
    }

    /// Extends `table` to cover `positions`; all or nothing.
    #[must_use]
    pub fn grow(&mut self, table: &mut Vec<u32>, positions: usize) -> bool {
        let missing = self.blocks_for(positions).saturating_sub(table.len());
        if missing > self.free.len() {
            return false;
        }
        for block in self.free.split_off(self.free.len() - missing).into_iter().rev() {
            self.owners[block as usize] = 1;
            table.push(block);
        }
        true
    }

    /// Gives up every block of `table`.
    pub fn release(&mut self, table: &mut Vec<u32>) {
        // Backwards, so that the next owner gets them in the same order.
        for block in table.drain(..).rev() {
            let owners = &mut self.owners[block as usize];
            debug_assert!(*owners > 0, "block {block} is released twice");
            *owners = owners.saturating_sub(1);
            if *owners == 0 {
                self.free.push(block);
            }
        }
    }

    /// Checks the books against all tables in use.
    ///
    /// # Errors
    /// Says which block is counted wrong.
    pub fn check<'a>(&self, tables: impl Iterator<Item = &'a [u32]>) -> Result<(), String> {
        let mut counted = vec![0u32; self.owners.len()];
        for table in tables {
            for &block in table {
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
            if self.owners[block as usize] != 0
                || std::mem::replace(&mut seen[block as usize], true)
            {
                return Err(format!("block {block} is free and owned, or free twice"));
            }
        }
        let free = self.owners.iter().filter(|&&n| n == 0).count();
        match free == self.free.len() {
            true => Ok(()),
            false => Err(format!("{free} blocks are without owner, {} are free", self.free.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_all_or_nothing_and_blocks_come_back() {
        let mut pool = BlockPool::new(4, 16);
        let (mut a, mut b) = (vec![], vec![]);
        assert!(pool.grow(&mut a, 33));
        assert_eq!(a, [0, 1, 2]);
        assert!(!pool.grow(&mut b, 17));
        assert!(b.is_empty());
        assert!(pool.grow(&mut b, 16));
        assert!(pool.grow(&mut a, 48));
        assert_eq!(pool.available(), 0);
        pool.check([a.as_slice(), &b].into_iter()).unwrap();
        pool.release(&mut a);
        assert_eq!((pool.available(), a.len()), (3, 0));
        assert!(pool.check([b.as_slice(), &[1]].into_iter()).is_err());
    }
}
