//! ZIP archives, with limits against those that expand without end, and parts
//! replaced while all others are copied as they are compressed.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};
use std::sync::Arc;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::FormatError;

/// Entries of an archive that is read.
const MAX_ENTRIES: usize = 10_000;

/// Bytes of a part that is read, uncompressed.
const MAX_PART: u64 = 64 << 20;

/// Bytes of all entries, uncompressed.
const MAX_TOTAL: u64 = 1 << 30;

/// How many times its compressed size a part may be, beyond [`FREE`] bytes.
/// Text of office documents stays below 40.
const MAX_RATIO: u64 = 200;
const FREE: u64 = 1 << 20;

pub(super) struct Archive {
    bytes: Arc<[u8]>,
    zip: ZipArchive<Cursor<Arc<[u8]>>>,
    names: Vec<String>,
}

impl Archive {
    pub fn open(bytes: &[u8]) -> Result<Self, FormatError> {
        let bytes: Arc<[u8]> = bytes.into();
        let mut archive = ZipArchive::new(Cursor::new(bytes.clone())).map_err(fault)?;
        if archive.len() > MAX_ENTRIES {
            let limit = format!("{MAX_ENTRIES} files");
            return Err(FormatError::TooLarge { what: "the archive".to_owned(), limit });
        }
        let mut names = Vec::with_capacity(archive.len());
        let mut total = 0_u64;
        for index in 0..archive.len() {
            let entry = archive.by_index_raw(index).map_err(fault)?;
            let name = entry.name().map_err(fault)?.into_owned();
            if entry.encrypted() {
                return Err(FormatError::Archive(format!("{name} is encrypted")));
            }
            total = total.saturating_add(entry.size());
            if total > MAX_TOTAL {
                let limit = format!("{} MiB", MAX_TOTAL >> 20);
                return Err(FormatError::TooLarge {
                    what: "the archive's content".to_owned(),
                    limit,
                });
            }
            names.push(name);
        }
        Ok(Self { bytes, zip: archive, names })
    }

    /// The content of a part, if there is one of this name.
    pub fn part(&self, name: &str) -> Result<Option<Vec<u8>>, FormatError> {
        let Some(index) = self.names.iter().position(|known| known == name) else {
            return Ok(None);
        };
        let mut archive = self.zip.clone();
        let entry = archive.by_index(index).map_err(fault)?;
        let allowed = entry.compressed_size().saturating_mul(MAX_RATIO).clamp(FREE, MAX_PART);
        let mut content = Vec::new();
        // What the archive says of its sizes need not be true.
        entry.take(allowed + 1).read_to_end(&mut content).map_err(|e| fault(e.into()))?;
        if content.len() as u64 > allowed {
            let limit = format!("{MAX_RATIO} times its compressed size or {} MiB", MAX_PART >> 20);
            return Err(FormatError::TooLarge { what: name.to_owned(), limit });
        }
        Ok(Some(content))
    }

    /// The archive with these parts replaced; the very bytes if there are none.
    pub fn with(&self, parts: &BTreeMap<String, Vec<u8>>) -> Result<Vec<u8>, FormatError> {
        if parts.is_empty() {
            return Ok(self.bytes.to_vec());
        }
        let mut archive = self.zip.clone();
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (index, name) in self.names.iter().enumerate() {
            let entry = archive.by_index_raw(index).map_err(fault)?;
            match parts.get(name) {
                None => writer.raw_copy_file(entry).map_err(fault)?,
                Some(content) => {
                    let mut options = SimpleFileOptions::default()
                        .compression_method(CompressionMethod::Deflated);
                    if let Some(time) = entry.last_modified() {
                        options = options.last_modified_time(time);
                    }
                    writer.start_file(name.as_str(), options).map_err(fault)?;
                    writer.write_all(content).map_err(|error| fault(error.into()))?;
                }
            }
        }
        Ok(writer.finish().map_err(fault)?.into_inner())
    }
}

fn fault(error: zip::result::ZipError) -> FormatError {
    FormatError::Archive(error.to_string())
}
