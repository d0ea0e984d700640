//! Memory for packed weights: zeroed, in whole cache lines, and in huge pages
//! where the system has some, which saves most page faults of loading and most
//! misses of address translation after it.

use memmap2::MmapMut;

/// Bytes from which a huge page can be used.
const HUGE: usize = 2 << 20;

/// Bytes that start at a cache line.
pub struct Lines(MmapMut);

impl Lines {
    /// So many zeroed bytes, at least one; no memory is taken before they are
    /// written.
    pub fn new(bytes: usize) -> Self {
        let map = MmapMut::map_anon(bytes.max(1));
        // As of any other allocation that fails.
        let map = map.unwrap_or_else(|e| panic!("no memory for {bytes} bytes of weights: {e}"));
        #[cfg(target_os = "linux")]
        if bytes >= HUGE {
            // Without huge pages it is slower, no more.
            let _ = map.advise(memmap2::Advice::HugePage);
        }
        Self(map)
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Clone for Lines {
    fn clone(&self) -> Self {
        let mut copy = Self::new(self.0.len());
        copy.0.copy_from_slice(&self.0);
        copy
    }
}
