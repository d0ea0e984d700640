//! How numbers are stored in files: GGML's types that Candle has, and those it
//! does not know.

use candle_core::quantized::GgmlDType;

/// A type of tensors in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    Candle(GgmlDType),
    /// Four bits that choose one of sixteen values; a scale for 32 weights.
    Iq4Nl,
    /// The same with 6-bit scales, in blocks of 256.
    Iq4Xs,
}

impl From<GgmlDType> for Stored {
    fn from(dtype: GgmlDType) -> Self {
        Self::Candle(dtype)
    }
}

impl Stored {
    /// The type of a GGML type number; `None` for those that are not read.
    pub fn of_ggml(type_id: u32) -> Option<Self> {
        use GgmlDType::*;
        Some(Self::Candle(match type_id {
            0 => F32,
            1 => F16,
            2 => Q4_0,
            3 => Q4_1,
            6 => Q5_0,
            7 => Q5_1,
            8 => Q8_0,
            10 => Q2K,
            11 => Q3K,
            12 => Q4K,
            13 => Q5K,
            14 => Q6K,
            20 => return Some(Self::Iq4Nl),
            23 => return Some(Self::Iq4Xs),
            30 => BF16,
            _ => return None,
        }))
    }

    /// Weights of a block.
    pub fn block_size(self) -> usize {
        match self {
            Self::Candle(dtype) => dtype.block_size(),
            Self::Iq4Nl => 32,
            Self::Iq4Xs => 256,
        }
    }

    /// Bytes of a block.
    pub fn type_size(self) -> usize {
        match self {
            Self::Candle(dtype) => dtype.type_size(),
            Self::Iq4Nl => 2 + 16,
            Self::Iq4Xs => 2 + 2 + 4 + 128,
        }
    }

    /// Candle's type, where it has one.
    pub fn candle(self) -> Option<GgmlDType> {
        match self {
            Self::Candle(dtype) => Some(dtype),
            Self::Iq4Nl | Self::Iq4Xs => None,
        }
    }
}
