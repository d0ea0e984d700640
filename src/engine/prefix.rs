//! Which blocks hold which text, so that a prompt that begins like an earlier
//! one is not computed again.
//!
//! Full blocks form a tree: a node is the tokens of one block after everything
//! its ancestors hold. A node is found by the hash of its parent's number and
//! its own tokens, and taken only when both are equal, so a hash that collides
//! costs a miss and never a wrong hit.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};

/// A node's number: it stands for all tokens from the beginning of the text to
/// the end of one block, and is never used twice.
pub type Prefix = u64;

/// The beginning of every text.
pub const ROOT: Prefix = 0;

/// Contents of blocks, and the order in which unused ones may be overwritten.
#[derive(Debug)]
pub struct PrefixIndex {
    nodes: HashMap<u64, Node>,
    /// The key in `nodes` of what a block holds.
    held: Vec<Option<u64>>,
    /// Blocks that nobody owns and whose contents can still be found, by the
    /// time they were last given up: the first is the least recently used.
    idle: BTreeMap<u64, u32>,
    /// The key in `idle` of each block in it.
    idle_since: Vec<u64>,
    last_prefix: Prefix,
    clock: u64,
    hasher: RandomState,
}

#[derive(Debug)]
struct Node {
    prefix: Prefix,
    parent: Prefix,
    tokens: Box<[u32]>,
    block: u32,
}

impl PrefixIndex {
    pub fn new(blocks: usize) -> Self {
        Self {
            nodes: HashMap::new(),
            held: vec![None; blocks],
            idle: BTreeMap::new(),
            idle_since: vec![0; blocks],
            last_prefix: ROOT,
            clock: 0,
            // Keyed at random, so that nobody can craft texts that collide.
            hasher: RandomState::new(),
        }
    }

    /// The block that holds `tokens` after `parent`, and the prefix they make.
    pub fn find(&self, parent: Prefix, tokens: &[u32]) -> Option<(Prefix, u32)> {
        let node = self.nodes.get(&self.hasher.hash_one((parent, tokens)))?;
        (node.parent == parent && *node.tokens == *tokens).then_some((node.prefix, node.block))
    }

    /// Notes that `block` holds `tokens` after `parent`. Where another block
    /// holds the same already, that one stays the one that is found. `None`
    /// when the hash is taken by something else.
    pub fn insert(&mut self, parent: Prefix, tokens: &[u32], block: u32) -> Option<Prefix> {
        let key = self.hasher.hash_one((parent, tokens));
        if let Some(node) = self.nodes.get(&key) {
            let same = node.parent == parent && *node.tokens == *tokens;
            return same.then_some(node.prefix);
        }
        self.last_prefix += 1;
        let prefix = self.last_prefix;
        self.nodes.insert(key, Node { prefix, parent, tokens: tokens.into(), block });
        self.held[block as usize] = Some(key);
        Some(prefix)
    }

    /// Whether the contents of `block` can be found.
    pub fn holds(&self, block: u32) -> bool {
        self.held[block as usize].is_some()
    }

    /// Nobody owns `block` any more; its contents stay until it is evicted.
    pub fn rest(&mut self, block: u32) {
        self.clock += 1;
        self.idle_since[block as usize] = self.clock;
        self.idle.insert(self.clock, block);
    }

    /// Somebody owns `block` again. False if it was not at rest.
    pub fn wake(&mut self, block: u32) -> bool {
        self.idle.remove(&self.idle_since[block as usize]).is_some_and(|b| b == block)
    }

    /// Blocks at rest.
    pub fn idle(&self) -> usize {
        self.idle.len()
    }

    pub fn is_idle(&self, block: u32) -> bool {
        self.idle.get(&self.idle_since[block as usize]) == Some(&block)
    }

    /// Forgets the contents of the block that rested longest, for a new owner.
    pub fn evict(&mut self) -> Option<u32> {
        let (_, block) = self.idle.pop_first()?;
        if let Some(key) = self.held[block as usize].take() {
            self.nodes.remove(&key);
        }
        Some(block)
    }

    /// Forgets everything; returns the blocks that were at rest.
    pub fn clear(&mut self) -> Vec<u32> {
        self.nodes.clear();
        self.held.fill(None);
        std::mem::take(&mut self.idle).into_values().collect()
    }

    /// Checks that nodes, blocks and resting blocks agree.
    ///
    /// # Errors
    /// Says what does not.
    pub fn check(&self) -> Result<(), String> {
        let held = self.held.iter().filter(|h| h.is_some()).count();
        if held != self.nodes.len() {
            return Err(format!("{held} blocks hold {} prefixes", self.nodes.len()));
        }
        for (key, node) in &self.nodes {
            if self.held[node.block as usize] != Some(*key) {
                return Err(format!("block {} does not hold prefix {}", node.block, node.prefix));
            }
        }
        match self.idle.values().find(|&&b| !self.holds(b)) {
            Some(block) => Err(format!("block {block} rests and holds nothing")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_found_only_behind_its_own_beginning() {
        let mut index = PrefixIndex::new(4);
        let a = index.insert(ROOT, &[1, 2], 0).unwrap();
        let b = index.insert(ROOT, &[3, 4], 1).unwrap();
        let after_a = index.insert(a, &[5, 6], 2).unwrap();
        assert_eq!(index.find(a, &[5, 6]), Some((after_a, 2)));
        assert_eq!(index.find(b, &[5, 6]), None);
        assert_eq!(index.find(ROOT, &[5, 6]), None);
        // The same text in another block is the same prefix.
        assert_eq!(index.insert(ROOT, &[1, 2], 3), Some(a));
        assert!(!index.holds(3));
        index.check().unwrap();
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut index = PrefixIndex::new(3);
        for block in 0..3 {
            index.insert(ROOT, &[block], block).unwrap();
            index.rest(block);
        }
        assert!(index.wake(0));
        assert!(!index.wake(0));
        index.rest(0);
        assert_eq!(index.evict(), Some(1));
        assert_eq!(index.find(ROOT, &[1]), None);
        assert_eq!(index.evict(), Some(2));
        assert_eq!(index.find(ROOT, &[0]).unwrap().1, 0);
        assert_eq!(index.evict(), Some(0));
        assert_eq!(index.evict(), None);
        index.check().unwrap();
    }
}
