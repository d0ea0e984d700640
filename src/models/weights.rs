//! One view of weights, whatever file they come from.
//!
//! Decoders ask by GGUF's tensor names, encoders by Hugging Face's BERT names;
//! each source maps those to what its file calls them.

use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{DType, Device, Tensor};
use half::f16;

use super::error::LoadError;
use super::quantize::{Quantize, Tally, instead_of};
use crate::backend::device::upload;
use crate::backend::kernels::float8::Float8;
use crate::backend::kernels::packed::{Packed, Stored};
use crate::backend::linear::Weight;
use crate::backend::{self, Blocks, Embedding, Kernels, Linear};

/// What a tensor is for, which decides how it is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Activations are multiplied with it.
    Product(Quantize),
    /// Its rows or its numbers are looked up.
    Lookup,
}

/// A file, or several, that tensors can be read from by name.
pub trait TensorSource {
    fn has(&self, name: &str) -> bool;

    /// Reads one tensor onto `device`.
    ///
    /// # Errors
    /// The tensor is missing, malformed or of an unsupported type.
    fn read(&self, name: &str, device: &Device, purpose: Purpose) -> Result<Weight, LoadError>;

    /// Tensors in the source, for progress.
    fn len(&self) -> usize;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Parameters in the source.
    fn parameters(&self) -> u64;

    /// How most of the weights are stored: "Q4_K", "BF16" and so on.
    fn storage(&self) -> String;
}

/// Called with tensors read and tensors in all.
pub type OnProgress<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// Reads weights with their shapes checked.
pub struct Weights<'a> {
    source: Box<dyn TensorSource>,
    device: Device,
    on_progress: OnProgress<'a>,
    done: std::cell::Cell<usize>,
    bytes: std::cell::Cell<u64>,
    quantize: Quantize,
    tally: Tally,
    /// Of the device, which would be loaded for each tensor otherwise.
    _kernels: Option<Kernels>,
}

impl<'a> Weights<'a> {
    pub fn new(source: Box<dyn TensorSource>, device: Device, on_progress: OnProgress<'a>) -> Self {
        let (quantize, tally) = Default::default();
        Self {
            source,
            on_progress,
            done: 0.into(),
            bytes: 0.into(),
            quantize,
            tally,
            // An error comes again where it is told.
            _kernels: Kernels::of(&device).ok(),
            device,
        }
    }

    /// Says what becomes of matrices that are not quantized in the file.
    #[must_use]
    pub fn quantizing(self, quantize: Quantize) -> Self {
        Self { quantize, ..self }
    }

    /// What the matrices read so far became.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Says in the log what could not be done as it was asked for.
    pub fn report(&self) {
        self.tally.report(self.quantize, &self.device);
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    pub fn source(&self) -> &dyn TensorSource {
        self.source.as_ref()
    }

    pub fn has(&self, name: &str) -> bool {
        self.source.has(name)
    }

    /// Bytes of memory that the weights read so far take.
    pub fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    fn read(&self, name: &str, expected: &[usize], purpose: Purpose) -> Result<Weight, LoadError> {
        let weight = self.source.read(name, &self.device, purpose).map_err(|e| match e {
            LoadError::Candle(source) => LoadError::Tensor { name: name.to_owned(), source },
            other => other,
        })?;
        let found = weight.dims();
        if found != expected {
            return Err(LoadError::Shape {
                name: name.to_owned(),
                found,
                expected: expected.to_vec(),
            });
        }
        self.done.set(self.done.get() + 1);
        self.bytes.set(self.bytes.get() + weight.bytes() as u64);
        if let Purpose::Product(wanted) = purpose {
            self.tally.add(name, &weight, wanted);
        }
        (self.on_progress)(self.done.get(), self.source.len());
        Ok(weight)
    }

    fn product(&self) -> Purpose {
        Purpose::Product(self.quantize)
    }

    /// A vector in f32.
    pub fn vector(&self, name: &str, len: usize) -> Result<Tensor, LoadError> {
        self.dense(name, &[len])
    }

    /// A tensor in f32, blocks expanded.
    pub fn dense(&self, name: &str, shape: &[usize]) -> Result<Tensor, LoadError> {
        Ok(match self.read(name, shape, Purpose::Lookup)? {
            Weight::Dense(t) => t.to_dtype(DType::F32)?,
            Weight::Blocks(q) => q.dequantize(&self.device)?,
            Weight::Cuda(b) => {
                let rows = b.dims()[0] as u32;
                b.lookup(&Tensor::arange(0, rows, &self.device)?)?
            }
            Weight::Float8(m) => {
                let rows = m.dims()[0] as u32;
                m.lookup(&Tensor::arange(0, rows, &self.device)?)?
            }
            Weight::Packed(p) => expanded(&p, &self.device)?,
        })
    }

    /// `{name}.weight` of (out, in) and, if asked for, `{name}.bias`.
    pub fn linear(
        &self,
        name: &str,
        (out, input): (usize, usize),
        bias: bool,
    ) -> Result<Linear, LoadError> {
        let weight = self.read(&format!("{name}.weight"), &[out, input], self.product())?;
        let bias = match bias {
            true => Some(self.vector(&format!("{name}.bias"), out)?),
            false => None,
        };
        Ok(Linear::new(weight, bias)?)
    }

    /// `{name}.weight` of (out, in), kept as exact as it is in the file.
    pub fn exact(&self, name: &str, (out, input): (usize, usize)) -> Result<Linear, LoadError> {
        let purpose = Purpose::Product(Quantize::None);
        Ok(Linear::new(self.read(&format!("{name}.weight"), &[out, input], purpose)?, None)?)
    }

    /// `{name}.weight`, a vector of which the product gives one number, as
    /// exact as it is in the file.
    pub fn row(&self, name: &str, len: usize) -> Result<Linear, LoadError> {
        let values = self.vector(&format!("{name}.weight"), len)?;
        let bytes: Vec<u8> =
            values.to_vec1::<f32>()?.into_iter().flat_map(f32::to_le_bytes).collect();
        let placed = (&self.device, Purpose::Product(Quantize::None));
        Ok(Linear::new(from_bytes(&bytes, GgmlDType::F32, &[1, len], placed)?, None)?)
    }

    /// `{name}.weight` of (rows, hidden), looked up by row and, if it is
    /// `tied`, the output matrix as well.
    pub fn embedding(
        &self,
        name: &str,
        (rows, hidden): (usize, usize),
        tied: bool,
    ) -> Result<Embedding, LoadError> {
        let purpose = if tied { self.product() } else { Purpose::Lookup };
        Ok(Embedding::new(self.read(&format!("{name}.weight"), &[rows, hidden], purpose)?))
    }
}

fn expanded(packed: &Packed, device: &Device) -> candle_core::Result<Tensor> {
    let mut all = vec![0f32; packed.rows() * packed.columns()];
    all.chunks_mut(packed.columns()).enumerate().for_each(|(r, row)| packed.row(r, row));
    Tensor::from_vec(all, (packed.rows(), packed.columns()), device)
}

/// Makes a weight from the bytes of a file: on the CPU, matrices to multiply
/// with are packed for our kernels; on a CUDA device they become what
/// [`on_cuda`] says; elsewhere plain types become f32, and quantized ones keep
/// GGML's blocks.
pub fn from_bytes(
    bytes: &[u8],
    dtype: impl Into<Stored>,
    shape: &[usize],
    (device, purpose): (&Device, Purpose),
) -> Result<Weight, LoadError> {
    let stored = dtype.into();
    let plain = match stored.candle() {
        Some(GgmlDType::F32) => Some(DType::F32),
        Some(GgmlDType::F16) => Some(DType::F16),
        Some(GgmlDType::BF16) => Some(DType::BF16),
        _ => None,
    };
    // Quantized rows are packed to be looked up as well: nothing is smaller.
    let quantize = match purpose {
        Purpose::Product(quantize) => Some(quantize),
        Purpose::Lookup => plain.is_none().then_some(Quantize::None),
    };
    if let (true, Some(quantize), &[rows, columns]) = (device.is_cpu(), quantize, shape)
        && let Some(packed) = quantize.pack(bytes, stored, (rows, columns))
    {
        return Ok(Weight::Packed(Arc::new(packed)));
    }
    if let (true, &[rows, columns]) = (device.is_cuda(), shape)
        && let Some(weight) = on_cuda(bytes, stored, (rows, columns), (device, purpose))?
    {
        return Ok(weight);
    }
    if let Some(plain) = plain {
        let t = upload(bytes, plain, shape, device)?;
        let keep = device.is_cpu() && purpose == Purpose::Lookup;
        return Ok(Weight::Dense(if keep { t } else { t.to_dtype(DType::F32)? }));
    }
    let Some(dtype) = stored.candle() else {
        // Other devices have no kernels for it, so its blocks are expanded.
        let packed = match shape {
            [rows, columns] => Packed::new(bytes, stored, *rows, *columns),
            _ => None,
        };
        let packed = packed.ok_or_else(|| {
            LoadError::config("tensor", format!("{stored:?} of shape {shape:?} is not supported"))
        })?;
        return Ok(Weight::Dense(expanded(&packed, device)?));
    };
    let storage = QStorage::from_data(bytes.into(), device, dtype)?;
    Ok(Weight::Blocks(Arc::new(QTensor::new(storage, shape)?)))
}

/// Makes a weight of eight-bit floats: on a CUDA device they stay what they
/// are, for our kernels, or become bf16 where these do not take them; elsewhere,
/// and where something else is [asked for](Quantize), they become what the plain
/// numbers that they stand for would, of one matrix at a time. There are no
/// kernels for `experts` of eight-bit floats.
pub fn from_float8(
    matrix: &Float8<'_>,
    shape: &[usize],
    placed: (&Device, Purpose),
    experts: bool,
) -> Result<Weight, LoadError> {
    let (device, purpose) = placed;
    if device.is_cuda() && !matches!(purpose, Purpose::Product(Quantize::To(_))) {
        if shape.len() == 2
            && !experts
            && let Some(kept) = backend::Float8::new(matrix, device)?
        {
            return Ok(Weight::Float8(kept));
        }
        let rounded = Tensor::from_raw_buffer(&matrix.to_bytes(), DType::F32, shape, &Device::Cpu)?;
        return Ok(Weight::Dense(rounded.to_dtype(DType::BF16)?.to_device(device)?));
    }
    from_bytes(&matrix.to_bytes(), GgmlDType::F32, shape, placed)
}

/// A matrix on a CUDA device: numbers of 16 bits stay what they are, for
/// tensor cores; those of f32 become f16 where 16 bits are
/// [asked for](Quantize); blocks are laid out for our kernels. `None` for a
/// table of plain numbers.
fn on_cuda(
    bytes: &[u8],
    stored: Stored,
    (rows, columns): (usize, usize),
    (device, purpose): (&Device, Purpose),
) -> Result<Option<Weight>, LoadError> {
    let Some(dtype) = stored.candle() else { return Ok(None) };
    let plain = match dtype {
        GgmlDType::F32 => DType::F32,
        GgmlDType::F16 => DType::F16,
        GgmlDType::BF16 => DType::BF16,
        _ => {
            if let Some(blocks) = Blocks::new(bytes, dtype, (rows, columns), device)? {
                return Ok(Some(Weight::Cuda(blocks)));
            }
            // Types without a layout of their own are expanded.
            return Ok(Packed::new(bytes, stored, rows, columns)
                .map(|packed| {
                    expanded(&packed, &Device::Cpu)?.to_dtype(DType::BF16)?.to_device(device)
                })
                .transpose()?
                .map(Weight::Dense));
        }
    };
    let Purpose::Product(quantize) = purpose else {
        return Ok(Some(Weight::Dense(upload(bytes, plain, &[rows, columns], device)?)));
    };
    let host = || Tensor::from_raw_buffer(bytes, plain, &[rows, columns], &Device::Cpu);
    let types = match quantize {
        Quantize::To(to) => [Some(to), instead_of(to)],
        _ => [None; 2],
    };
    for to in types.into_iter().flatten().filter(|to| columns.is_multiple_of(to.block_size())) {
        let blocks = QTensor::quantize(&host()?.to_dtype(DType::F32)?, to)?;
        if let Some(blocks) = Blocks::quantized(&blocks.data()?, to, (rows, columns), device)? {
            return Ok(Some(Weight::Cuda(blocks)));
        }
    }
    let kept = match (plain, quantize) {
        (DType::F32, Quantize::None) => DType::F32,
        (DType::F32, Quantize::Bf16) => DType::BF16,
        (DType::F32, _) => {
            let largest: f32 = host()?.abs()?.max_all()?.to_scalar()?;
            if largest < f16::MAX.to_f32() { DType::F16 } else { DType::F32 }
        }
        (plain, _) => plain,
    };
    Ok(Some(Weight::Dense(match kept == plain {
        true => upload(bytes, plain, &[rows, columns], device)?,
        false => host()?.to_dtype(kept)?.to_device(device)?,
    })))
}
