//! Choosing and describing the device a model lives on.

use candle_core::{DType, Device, Tensor};

use super::cuda;

/// A device as the user names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceSpec {
    /// The first GPU this build and machine have, else the CPU.
    Auto,
    Cpu,
    Cuda(usize),
    Metal,
}

/// Why a device could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    #[error("device {0:?} is unknown; use auto, cpu, cuda, cuda:N or metal")]
    Unknown(String),
    #[error(
        "this build has no {feature} support; build with `--features {feature}` or use device = \"cpu\""
    )]
    NotBuilt { feature: &'static str },
    #[error("{name} could not be opened: {reason}")]
    Unavailable { name: String, reason: String },
}

impl std::str::FromStr for DeviceSpec {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            "metal" => Ok(Self::Metal),
            other => other
                .strip_prefix("cuda:")
                .and_then(|n| n.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| DeviceError::Unknown(other.to_owned())),
        }
    }
}

/// An opened device and, when `auto` settled for the CPU, why no GPU was used.
#[derive(Debug)]
pub struct Opened {
    pub device: Device,
    pub why_not_gpu: Option<String>,
}

/// Opens the device `spec` asks for. Only `auto` falls back to the CPU, and it
/// says why.
///
/// # Errors
/// A device that was named and is not in this build or on this machine.
pub fn open(spec: DeviceSpec) -> Result<Opened, DeviceError> {
    let direct = |device| Opened { device, why_not_gpu: None };
    match spec {
        DeviceSpec::Cpu => Ok(direct(Device::Cpu)),
        DeviceSpec::Cuda(ordinal) => cuda(ordinal).map(direct),
        DeviceSpec::Metal => metal().map(direct),
        DeviceSpec::Auto => Ok(
            match cuda(0).or_else(|no_cuda| {
                metal().map_err(|no_metal| if cfg!(feature = "metal") { no_metal } else { no_cuda })
            }) {
                Ok(device) => direct(device),
                Err(reason) => {
                    Opened { device: Device::Cpu, why_not_gpu: Some(reason.to_string()) }
                }
            },
        ),
    }
}

fn cuda(ordinal: usize) -> Result<Device, DeviceError> {
    if !cfg!(feature = "cuda") {
        return Err(DeviceError::NotBuilt { feature: "cuda" });
    }
    super::cuda::open(ordinal).map_err(|e| DeviceError::Unavailable {
        name: format!("cuda:{ordinal}"),
        reason: e.to_string(),
    })
}

fn metal() -> Result<Device, DeviceError> {
    if !cfg!(feature = "metal") {
        return Err(DeviceError::NotBuilt { feature: "metal" });
    }
    Device::new_metal(0)
        .map_err(|e| DeviceError::Unavailable { name: "metal".to_owned(), reason: e.to_string() })
}

/// Bytes of a CUDA device's memory that are free; `None` for other devices.
///
/// # Errors
/// The device does not answer.
pub fn free_memory(device: &Device) -> candle_core::Result<Option<usize>> {
    super::cuda::free_memory(device)
}

/// The device's name for logs and `/v1/models`.
pub fn describe(device: &Device) -> String {
    match device.location() {
        candle_core::DeviceLocation::Cpu => "cpu".to_owned(),
        candle_core::DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        candle_core::DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
    }
}

/// A tensor of numbers as they lie in a file.
///
/// # Errors
/// They are not as many as the shape says, or the device has no room.
pub fn upload(
    bytes: &[u8],
    dtype: DType,
    shape: &[usize],
    device: &Device,
) -> candle_core::Result<Tensor> {
    match cuda::load(bytes, dtype, shape, device)? {
        Some(tensor) => Ok(tensor),
        None => Tensor::from_raw_buffer(bytes, dtype, shape, device),
    }
}

/// A CUDA device for tests. Where there is none they say so and are skipped,
/// unless `DRAGOMAN_TEST_DEVICE` asks for one.
#[cfg(all(test, feature = "cuda"))]
pub fn cuda_for_tests() -> Option<Device> {
    match open(DeviceSpec::Cuda(0)) {
        Ok(opened) => Some(opened.device),
        Err(e) if std::env::var_os("DRAGOMAN_TEST_DEVICE").is_some() => panic!("{e}"),
        Err(e) => {
            eprintln!("skipped: {e}");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse() {
        for (text, spec) in [
            ("auto", DeviceSpec::Auto),
            ("cpu", DeviceSpec::Cpu),
            ("cuda", DeviceSpec::Cuda(0)),
            ("cuda:3", DeviceSpec::Cuda(3)),
            ("metal", DeviceSpec::Metal),
        ] {
            assert_eq!(text.parse::<DeviceSpec>().unwrap(), spec);
        }
        for bad in ["gpu", "cuda:", "cuda:x", "", "CPU"] {
            assert!(bad.parse::<DeviceSpec>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_named_device_that_is_absent_is_an_error_and_auto_says_why() {
        if cfg!(feature = "cuda") || cfg!(feature = "metal") {
            return;
        }
        assert!(matches!(
            open(DeviceSpec::Cuda(0)),
            Err(DeviceError::NotBuilt { feature: "cuda" })
        ));
        let opened = open(DeviceSpec::Auto).unwrap();
        assert!(opened.device.is_cpu());
        assert!(opened.why_not_gpu.unwrap().contains("cuda"));
    }
}
