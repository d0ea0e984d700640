//! Memory for packed weights: zeroed, in whole cache lines, and in huge pages
//! where the system has some, which saves most page faults of loading and most
//! misses of address translation after it.
//!
//! Matrices smaller than a huge page, such as those of experts, share maps: a
//! model of 20,000 of them would come near the number of maps that a process
//! may have, and none would lie in a huge page.

use std::sync::{Arc, Mutex, PoisonError};

use memmap2::MmapMut;

/// Bytes from which a huge page can be used.
const HUGE: usize = 2 << 20;
/// Bytes of a map that small matrices share.
const SHARED: usize = 16 * HUGE;
/// Where each of them begins: a cache line.
const LINE: usize = 64;

/// Bytes that start at a cache line.
pub struct Lines {
    at: *mut u8,
    len: usize,
    /// What they lie in.
    _map: Arc<MmapMut>,
}

// SAFETY: it owns its bytes, as a vector does.
unsafe impl Send for Lines {}
// SAFETY: they are written through `&mut` alone.
unsafe impl Sync for Lines {}

/// A map, and how much of it is given away.
struct Open {
    map: Arc<MmapMut>,
    at: *mut u8,
    used: usize,
}

// SAFETY: the pointer is that of the map, which may go to other threads.
unsafe impl Send for Open {}

static OPEN: Mutex<Option<Open>> = Mutex::new(None);

impl Lines {
    /// So many zeroed bytes, at least one; no memory is taken before they are
    /// written.
    pub fn new(bytes: usize) -> Self {
        let bytes = bytes.max(1);
        if bytes >= HUGE {
            let (map, at) = map(bytes);
            return Self { at, len: bytes, _map: map };
        }
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let open = match &mut *open {
            Some(open) if SHARED - open.used >= bytes => open,
            other => {
                let (map, at) = map(SHARED);
                other.insert(Open { map, at, used: 0 })
            }
        };
        // SAFETY: it lies in the map, as was checked.
        let at = unsafe { open.at.add(open.used) };
        // Not more than there is: it is a multiple of lines.
        open.used += bytes.next_multiple_of(LINE);
        Self { at, len: bytes, _map: open.map.clone() }
    }

    pub fn bytes(&self) -> &[u8] {
        // SAFETY: they lie in the map, and nobody else has them.
        unsafe { std::slice::from_raw_parts(self.at, self.len) }
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.at, self.len) }
    }
}

/// A map of zeros and its first byte.
fn map(bytes: usize) -> (Arc<MmapMut>, *mut u8) {
    let map = MmapMut::map_anon(bytes);
    // As of any other allocation that fails.
    let mut map = map.unwrap_or_else(|e| panic!("no memory for {bytes} bytes of weights: {e}"));
    #[cfg(target_os = "linux")]
    // Without huge pages it is slower, no more.
    let _ = map.advise(memmap2::Advice::HugePage);
    let at = map.as_mut_ptr();
    (Arc::new(map), at)
}

impl Clone for Lines {
    fn clone(&self) -> Self {
        let mut copy = Self::new(self.len);
        copy.bytes_mut().copy_from_slice(self.bytes());
        copy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_zeros_of_ones_own_at_cache_lines() {
        let sizes = [1, 63, 64, 65, 5000, HUGE - 1, HUGE, 2 * HUGE + 7];
        let mut all: Vec<_> = (0..60).map(|i| Lines::new(sizes[i % sizes.len()])).collect();
        for (i, lines) in all.iter_mut().enumerate() {
            assert_eq!(lines.bytes().len(), sizes[i % sizes.len()]);
            assert!(lines.bytes().as_ptr().addr().is_multiple_of(LINE));
            assert!(lines.bytes().iter().all(|b| *b == 0));
            lines.bytes_mut().fill(i as u8 + 1);
        }
        // Some go while others stay.
        let kept: Vec<_> = all.into_iter().enumerate().filter(|(i, _)| i % 3 == 0).collect();
        for (i, lines) in kept {
            assert!(lines.clone().bytes().iter().all(|b| *b == i as u8 + 1));
        }
    }
}
