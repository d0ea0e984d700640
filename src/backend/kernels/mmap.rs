//! Read-only memory maps of weight files.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use memmap2::Mmap;

/// Maps a file for reading.
///
/// # Errors
/// The file cannot be opened or mapped.
pub fn map(path: &Path) -> io::Result<Mmap> {
    let file = File::open(path)?;
    // SAFETY: model files are written aside and renamed, so a mapped file is
    // not changed in place by us; one that another program truncates while it
    // is mapped would end the process, as in every server that maps weights.
    unsafe { Mmap::map(&file) }
}

/// Gives back the memory that part of a map takes here. The file stays as it is
/// and in the system's cache; what is read again is mapped again.
pub fn forget(map: &Mmap, range: Range<usize>) {
    #[cfg(unix)]
    if range.start < range.end && range.end <= map.len() {
        // SAFETY: the pages are those of a file, never written through this
        // map, so reading them again gives the same bytes.
        let advice = unsafe {
            map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, range.start, range.len())
        };
        // It only costs memory where it fails.
        let _ = advice;
    }
    #[cfg(not(unix))]
    let _ = (map, range);
}
