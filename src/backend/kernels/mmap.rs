//! Read-only memory maps of weight files.

use std::fs::File;
use std::io;
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
