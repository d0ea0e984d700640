//! Packing numbers of a file as something smaller: 16-bit integers, or the
//! blocks of a GGML type.

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};

use super::{Format, Packed, Stored, TILE, brain, dense, fill, sixteen};

/// A type of plain numbers.
pub fn is_plain(dtype: GgmlDType) -> bool {
    matches!(dtype, GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16)
}

impl Packed {
    /// Packs rows of plain numbers as 16-bit integers, on all threads. `None`
    /// if the type is not plain, the bytes do not fit the shape, or rows are no
    /// multiple of 32 long.
    pub fn sixteen(bytes: &[u8], dtype: GgmlDType, rows: usize, columns: usize) -> Option<Self> {
        let fits = sixteen::fits(columns).then_some(Format::Sixteen)?;
        Self::by_rows(fits, bytes, dtype, (rows, columns), sixteen::pack)
    }

    /// The same as bf16: `Format::Brain`, or with what that leaves of each
    /// number `Format::Brains`.
    pub fn brain(
        format: Format,
        bytes: &[u8],
        dtype: GgmlDType,
        rows: usize,
        columns: usize,
    ) -> Option<Self> {
        assert!(matches!(format, Format::Brain | Format::Brains));
        let fits = brain::fits(columns).then_some(format)?;
        Self::by_rows(fits, bytes, dtype, (rows, columns), |tile, lane, row| {
            brain::pack(format, tile, lane, row);
        })
    }

    /// Packs rows in f32, one lane of a tile after the other.
    fn by_rows(
        format: Format,
        bytes: &[u8],
        dtype: GgmlDType,
        (rows, columns): (usize, usize),
        put: impl Fn(&mut [u8], usize, &[f32]) + Sync,
    ) -> Option<Self> {
        let size = plain_size(bytes, dtype, rows, columns)?;
        let pack = |tile: &mut [u8], first: usize, lanes: usize| {
            let mut row = vec![0f32; columns];
            for lane in 0..lanes {
                dense::read(dtype, &bytes[(first + lane) * columns * size..], &mut row);
                put(tile, lane, &row);
            }
        };
        Some(Self::build(format, dtype, (rows, columns), pack))
    }

    /// Quantizes rows of plain numbers to a GGML type and packs them, on all
    /// threads. `None` if one of the types does not allow it, the bytes do not
    /// fit the shape, or rows are no multiple of the type's block long.
    pub fn quantize(
        bytes: &[u8],
        dtype: GgmlDType,
        to: GgmlDType,
        (rows, columns): (usize, usize),
    ) -> Option<Self> {
        let size = plain_size(bytes, dtype, rows, columns)?;
        let format = Format::here(to.into()).filter(|f| f.is_quantized())?;
        if !columns.is_multiple_of(to.block_size()) {
            return None;
        }
        // Rows of a tile at a time: no second copy of the whole is made.
        let pack = |tile: &mut [u8], first: usize, lanes: usize| {
            let mut numbers = vec![0f32; TILE * columns];
            dense::read(dtype, &bytes[first * columns * size..], &mut numbers[..lanes * columns]);
            let blocks = Tensor::from_vec(numbers, (TILE, columns), &Device::Cpu)
                .and_then(|t| QTensor::quantize(&t, to));
            let blocks = blocks.as_ref().map(QTensor::data);
            // Shape and type were checked: there is nothing left to fail.
            let Ok(Ok(blocks)) = blocks else { unreachable!("rows are whole blocks of {to:?}") };
            let bytes = &blocks[..blocks.len() / TILE * lanes];
            let stored = Stored::Candle(to);
            fill::tile(fill::From { stored, format, bytes, rows: lanes, columns }, tile);
        };
        let packed = Self::build(format, dtype, (rows, columns), pack);
        Some(Self { quantized_to: Some(to), ..packed })
    }
}

/// Bytes of a number, where all is well.
fn plain_size(bytes: &[u8], dtype: GgmlDType, rows: usize, columns: usize) -> Option<usize> {
    let size = dtype.type_size();
    let fits = rows.checked_mul(columns)?.checked_mul(size)? == bytes.len() && !bytes.is_empty();
    (is_plain(dtype) && fits).then_some(size)
}
