//! The choice of device: the only code that differs between CPU and CUDA.

use std::fmt;
use std::str::FromStr;

use burn::tensor::{DType, Device};

use crate::checkpoint::Checkpoint;
use crate::diagnostic::{Diagnostic, Result};
use crate::kernel::matrix::Code;
use crate::tensor::matrix::Precision;
use crate::terms::{DeviceKind, Dtype, Quantization};

/// What was asked for with `--device`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first CUDA device where this build knows CUDA and there is one; else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A CUDA device by index.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|index| index.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| "expected auto, cpu, cuda or cuda:N".to_owned()),
        }
    }
}

/// A device that is there.
#[derive(Clone, Debug)]
pub struct Backend {
    /// Burn's handle.
    pub device: Device,
    /// Which kind it is.
    pub kind: DeviceKind,
    /// Tokens (path points × prompt) under way at one time beyond which more are no faster.
    pub pass_tokens: usize,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.word())
    }
}

impl Backend {
    /// The CPU.
    pub fn cpu() -> Self {
        Self {
            device: Device::flex(),
            kind: DeviceKind::Cpu,
            // The rows of one packed block of the matrix product, for each thread: what they keep stays near the
            // processor.
            pass_tokens: 448 * rayon::current_num_threads(),
        }
    }

    /// Opens what was asked for.
    ///
    /// # Errors
    /// CUDA was asked for and is not there, or not in this build.
    pub fn open(choice: DeviceChoice) -> Result<Self> {
        match choice {
            DeviceChoice::Cpu => Ok(Self::cpu()),
            DeviceChoice::Auto => Ok(cuda(0).unwrap_or_else(|_| Self::cpu())),
            DeviceChoice::Cuda(index) => cuda(index),
        }
    }

    /// Whether kernels are compiled, and tuned, when they are first met.
    pub fn compiles_kernels(&self) -> bool {
        self.kind != DeviceKind::Cpu
    }

    /// Whether the project's own kernels compute on it in this dtype.
    pub fn has_kernels(&self, dtype: DType) -> bool {
        self.kind == DeviceKind::Cpu && dtype == DType::F32
    }

    /// Bytes that `batch: auto` lets passes keep for their backward half, at first: on the CPU most of what is
    /// available now, on a GPU as much as a large one has; a smaller one says so, and the batch is halved.
    pub fn pass_bytes(&self) -> usize {
        match self.kind {
            DeviceKind::Cpu => available_memory().map_or(4 << 30, |bytes| bytes / 10 * 7),
            DeviceKind::Cuda => 32 << 30,
        }
    }

    /// What a model computes in on this device, and how its weights are kept.
    ///
    /// # Errors
    /// The checkpoint is stored in another kind of 4 bits than is asked for.
    pub fn precision(
        &self,
        dtype: Option<Dtype>,
        quantization: Quantization,
        checkpoint: &Checkpoint,
    ) -> Result<Precision> {
        let asked = match quantization {
            Quantization::Fp4 => Some(Code::Fp4),
            Quantization::Nf4 => Some(Code::Nf4),
            // No other can be asked for.
            _ => None,
        };
        if let Some((asked, stored)) = asked.zip(checkpoint.blocks()) {
            let (asked, stored) = (asked.name(), stored.name());
            return Err(Diagnostic::checkpoint(format!(
                "`{asked}`, and the file's weights are packed already, as {stored}"
            ))
            .expected("`none`: what is packed stays as it is"));
        }
        if let Some((asked, stored)) = asked.zip(checkpoint.config.quantization.as_ref())
            && stored.code() != Some(asked)
        {
            let (asked, stored) = (asked.name(), stored.word());
            let expected = match stored {
                Quantization::Fp4 | Quantization::Nf4 => format!("`none` or `{stored}`"),
                _ => "`none`".to_owned(),
            };
            return Err(
                Diagnostic::checkpoint(format!("`{asked}`, and the checkpoint is stored in {stored}"))
                    .expected(format!("{expected}: what is stored quantised stays as it is")),
            );
        }
        Ok(Precision {
            quantization: asked,
            ..self.dtype(dtype, checkpoint.stored_dtype()).into()
        })
    }

    /// What a model computes in on this device: as asked, or as stored on a GPU, or float32 on the CPU, whose matrix
    /// kernels are fastest and most exact in it.
    pub fn dtype(&self, asked: Option<Dtype>, stored: DType) -> DType {
        match asked {
            Some(Dtype::F32) => DType::F32,
            Some(Dtype::F16) => DType::F16,
            Some(Dtype::Bf16) => DType::BF16,
            None if self.kind == DeviceKind::Cpu => DType::F32,
            None => stored,
        }
    }
}

/// Main memory that a process may still take without swapping, in bytes: Linux's `MemAvailable`, and what a container's
/// limit leaves (`memory.max` of cgroup 2). None elsewhere.
fn available_memory() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    let kibibytes: usize = line.split_whitespace().nth(1)?.parse().ok()?;
    let number = |file: &str| -> Option<usize> { std::fs::read_to_string(file).ok()?.trim().parse().ok() };
    let limit = number("/sys/fs/cgroup/memory.max").zip(number("/sys/fs/cgroup/memory.current"));
    // Files read lately count as used there, and are given up when memory is needed.
    let statistics = std::fs::read_to_string("/sys/fs/cgroup/memory.stat").unwrap_or_default();
    let cached = statistics
        .lines()
        .find_map(|line| line.strip_prefix("inactive_file ")?.parse::<usize>().ok());
    let left = limit.map_or(usize::MAX, |(limit, used)| {
        limit.saturating_sub(used.saturating_sub(cached.unwrap_or(0)))
    });
    Some((kibibytes * 1024).min(left))
}

#[cfg(feature = "cuda")]
fn cuda(index: usize) -> Result<Backend> {
    use burn::tensor::Tensor;

    // Without a driver or a card, the first allocation panics; it is tried here, where it can be told.
    let found = std::panic::catch_unwind(|| {
        let device = Device::cuda(index);
        Tensor::<1>::ones([1], &device).into_data();
        device
    });
    let backend = |device| Backend {
        device,
        kind: DeviceKind::Cuda,
        pass_tokens: 16_384,
    };
    found.map(backend).map_err(|_| {
        Diagnostic::compute(format!("no CUDA device {index}"))
            .expected("an NVIDIA card with its driver, and the CUDA libraries (libcuda, libnvrtc) where the loader finds them")
            .help("run `nvidia-smi` to see the cards, or use `--device cpu`")
    })
}

#[cfg(not(feature = "cuda"))]
fn cuda(index: usize) -> Result<Backend> {
    Err(Diagnostic::compute(format!(
        "CUDA device {index} was asked for, but this igsite was built without CUDA"
    ))
    .help("build it with `cargo build --release --features cuda`, or use `--device cpu`"))
}

/// The field's word for what Burn computes in.
pub fn dtype_word(dtype: DType) -> Dtype {
    match dtype {
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::Bf16,
        _ => Dtype::F32,
    }
}

/// The field's word for a code of 4 bits, or none.
pub fn quantization_word(code: Option<Code>) -> Quantization {
    match code {
        None => Quantization::None,
        Some(Code::Fp4) => Quantization::Fp4,
        Some(Code::Nf4) => Quantization::Nf4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_by_name() {
        assert_eq!("cuda:3".parse(), Ok(DeviceChoice::Cuda(3)));
        assert_eq!("auto".parse(), Ok(DeviceChoice::Auto));
        assert!("gpu".parse::<DeviceChoice>().is_err());
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn auto_is_the_cpu_without_cuda_and_cuda_is_an_error() {
        assert_eq!(Backend::open(DeviceChoice::Auto).unwrap().kind, DeviceKind::Cpu);
        let error = Backend::open(DeviceChoice::Cuda(0)).unwrap_err();
        assert!(error.to_string().contains("built without CUDA") && error.to_string().contains("--features cuda"));
    }

    #[test]
    fn auto_computes_in_float32_on_the_cpu() {
        let backend = Backend::cpu();
        assert_eq!(backend.dtype(None, DType::BF16), DType::F32);
        assert_eq!(backend.dtype(Some(Dtype::Bf16), DType::F32), DType::BF16);
    }
}
