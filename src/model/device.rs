//! The choice of device: the only code that differs between the CPU and GPUs.
//!
//! A GPU is reached by one of two features of the build: `cuda` for NVIDIA's, and `gpu` for what Vulkan and Metal reach.
//! What it computes is looked at ([`Backend::checked`]), which the CPU's own kernels do not need.

pub mod cuda;
#[cfg(test)]
mod example;
#[cfg(feature = "gpu")]
mod graphics;
pub mod listing;
pub mod watch;

use std::fmt;
use std::str::FromStr;

#[cfg(feature = "gpu")]
use graphics::{listed, metal, vulkan};

use burn::tensor::{DType, Device};

use crate::checkpoint::Checkpoint;
use crate::diagnostic::{Diagnostic, Result};
use crate::kernel::matrix::Code;
use crate::tensor::matrix::Precision;
use crate::terms::{DeviceKind, Dtype, Quantization};

/// The version of cubecl that Cargo.toml asks for; records of GPUs name it. A test holds it to Cargo.lock.
pub const CUBECL: &str = "0.11.3";

/// The version of Burn that Cargo.toml asks for. A test holds it to Cargo.lock.
pub const BURN: &str = "0.22.1";

/// What was asked for with `--device`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first GPU that this build can use and that is there; else the CPU. A processor that plays a GPU is none.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// CUDA devices by index.
    Cuda(Vec<usize>),
    /// A device of Vulkan by its place in `igsite devices`; none: the first.
    Vulkan(Option<usize>),
    /// An Apple GPU.
    Metal,
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || "expected auto, cpu, cuda, cuda:N, cuda:N,N, vulkan, vulkan:N or metal".to_owned();
        let indices = |text: &str| -> Result<Vec<usize>, String> {
            let all: Vec<usize> = text
                .split(',')
                .map(|index| index.parse().map_err(|_| error()))
                .collect::<Result<_, _>>()?;
            match all.iter().enumerate().find(|(at, index)| all[..*at].contains(index)) {
                Some((_, index)) => Err(format!("device {index} is named twice")),
                None => Ok(all),
            }
        };
        match text.split_once(':') {
            None => match text {
                "auto" => Ok(Self::Auto),
                "cpu" => Ok(Self::Cpu),
                "cuda" => Ok(Self::Cuda(vec![0])),
                "vulkan" => Ok(Self::Vulkan(None)),
                "metal" => Ok(Self::Metal),
                _ => Err(error()),
            },
            Some(("cuda", rest)) => indices(rest).map(Self::Cuda),
            Some(("vulkan", rest)) => Ok(Self::Vulkan(Some(rest.parse().map_err(|_| error())?))),
            Some(_) => Err(error()),
        }
    }
}

/// Who a device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// As it calls itself.
    pub name: String,
    /// Its driver and the driver's version, where they are told.
    pub driver: Option<String>,
    /// Bytes of memory, where they are told.
    pub memory: Option<u64>,
    /// It is a processor that plays a GPU.
    pub software: bool,
}

/// A device that is there.
#[derive(Clone, Debug)]
pub struct Backend {
    /// Burn's handle.
    pub device: Device,
    /// Which kind it is.
    pub kind: DeviceKind,
    /// Who it is; none: the CPU.
    pub about: Option<About>,
    /// Whether what it computes is looked at before it is believed.
    pub checked: bool,
    /// Tokens (path points × prompt) under way at one time beyond which more are no faster.
    pub pass_tokens: usize,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.word())?;
        match &self.about {
            Some(about) => write!(f, " ({})", about.name),
            None => Ok(()),
        }
    }
}

impl Backend {
    /// The CPU.
    pub fn cpu() -> Self {
        Self {
            device: Device::flex(),
            kind: DeviceKind::Cpu,
            about: None,
            checked: false,
            // The rows of one packed block of the matrix product, for each thread: what they keep stays near the
            // processor.
            pass_tokens: rows_of_threads(),
        }
    }

    #[cfg(any(feature = "cuda", feature = "gpu"))]
    fn gpu(device: Device, kind: DeviceKind, about: About) -> Self {
        Self {
            device,
            kind,
            checked: true,
            pass_tokens: if about.software { rows_of_threads() } else { 16_384 },
            about: Some(about),
        }
    }

    /// Opens what was asked for, which is one device.
    ///
    /// # Errors
    /// A GPU was asked for and is not there, cannot be used, or is not in this build; or several were.
    pub fn open(choice: &DeviceChoice) -> Result<Self> {
        let mut all = Self::open_all(choice)?;
        match all.len() {
            1 => Ok(all.remove(0)),
            several => Err(Diagnostic::compute(format!("{several} devices, where one is used")).expected("one device")),
        }
    }

    /// Opens what was asked for: one device, or several of one kind.
    ///
    /// # Errors
    /// A GPU was asked for and is not there, cannot be used, or is not in this build.
    pub fn open_all(choice: &DeviceChoice) -> Result<Vec<Self>> {
        let one = |found: Result<Self>| found.map(|backend| vec![backend]);
        match choice {
            DeviceChoice::Cpu => Ok(vec![Self::cpu()]),
            DeviceChoice::Auto => Ok(vec![Self::first().unwrap_or_else(Self::cpu)]),
            DeviceChoice::Cuda(indices) => indices.iter().map(|&index| cuda::open(index)).collect(),
            DeviceChoice::Vulkan(index) => one(vulkan(*index)),
            DeviceChoice::Metal => one(metal()),
        }
    }

    /// The first GPU that can be used.
    fn first() -> Option<Self> {
        let hardware = |backend: &Self| backend.about.as_ref().is_none_or(|about| !about.software);
        let found = cuda::open(0).or_else(|_| metal()).or_else(|_| vulkan(None));
        found.ok().filter(hardware)
    }

    /// Whether kernels are compiled, and tuned, when they are first met.
    pub fn compiles_kernels(&self) -> bool {
        self.kind != DeviceKind::Cpu
    }

    /// Whether the project's own kernels compute on it in this dtype.
    pub fn has_kernels(&self, dtype: DType) -> bool {
        self.kind == DeviceKind::Cpu && dtype == DType::F32
    }

    /// Bytes that `batch: auto` lets passes keep for their backward half, at first; if memory runs out all the same, the
    /// batch is halved. Asked when a model is on the device: on the CPU most of what is available now, on a GPU most of
    /// what the model has left of its memory, or of what a small card has where it does not tell.
    pub fn pass_bytes(&self) -> usize {
        if self.kind == DeviceKind::Cpu {
            return available_memory().map_or(4 << 30, |bytes| bytes / 10 * 7);
        }
        let memory = self.about.as_ref().and_then(|about| about.memory);
        let memory = match &self.about {
            // Its memory is the processor's.
            Some(about) if about.software => available_memory().map(|bytes| bytes as u64 / 2),
            _ => memory,
        };
        let used = self.device.memory_pool_usage().map_or(0, |usage| usage.bytes_reserved);
        let left = memory.unwrap_or(4 << 30).saturating_sub(used);
        // Pages of the pool are of certain sizes, and the desktop may want some.
        (left / 10 * 8) as usize
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
        let stored = checkpoint.stored_dtype();
        if let Some(asked) = dtype
            && !self.computes_in(self.dtype(Some(asked), stored))
        {
            let has = [Dtype::F16, Dtype::Bf16, Dtype::F64]
                .into_iter()
                .filter(|&other| self.computes_in(self.dtype(Some(other), stored)));
            let has: Vec<String> = has.map(|other| format!(" or `dtype: {other}`")).collect();
            return Err(
                Diagnostic::compute(format!("`dtype: {asked}`, which {self} does not compute in"))
                    .expected(format!("`dtype: f32`{}", has.concat())),
            );
        }
        Ok(Precision {
            quantization: asked,
            ..self.dtype(dtype, stored).into()
        })
    }

    /// Whether it computes in this dtype: all do in float32, and the CPU in all. float64 is the CPU's alone: a device may
    /// say that it has it and compute wrong numbers (software Vulkan by WGSL: logits off by 5).
    pub fn computes_in(&self, dtype: DType) -> bool {
        match dtype {
            _ if self.kind == DeviceKind::Cpu => true,
            DType::F32 => true,
            DType::F64 => false,
            other => self.device.supports_dtype(other),
        }
    }

    /// What a model computes in on this device: as asked, or as stored on a GPU that computes in that, or float32; on the
    /// CPU float32, in which its matrix kernels are fastest and most exact.
    pub fn dtype(&self, asked: Option<Dtype>, stored: DType) -> DType {
        match asked {
            Some(Dtype::F32) => DType::F32,
            Some(Dtype::F16) => DType::F16,
            Some(Dtype::Bf16) => DType::BF16,
            Some(Dtype::F64) => DType::F64,
            None if self.kind == DeviceKind::Cpu || !self.computes_in(stored) => DType::F32,
            None => stored,
        }
    }
}

/// Main memory that a process may still take without swapping, in bytes: Linux's `MemAvailable`, and what a container's
/// limit leaves (`memory.max` of cgroup 2). None elsewhere.
pub fn available_memory() -> Option<usize> {
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

/// Rows that keep the processor's threads busy.
fn rows_of_threads() -> usize {
    448 * rayon::current_num_threads()
}

/// A device of Vulkan.
#[cfg(not(feature = "gpu"))]
fn vulkan(index: Option<usize>) -> Result<Backend> {
    let index = index.map_or(String::new(), |index| format!(" {index}"));
    Err(without(&format!("A Vulkan device{index}"), "Vulkan", "gpu"))
}

/// An Apple GPU.
#[cfg(not(feature = "gpu"))]
fn metal() -> Result<Backend> {
    Err(without("A Metal device", "Metal", "gpu"))
}

/// All devices of a graphics API, or why there is none.
#[cfg(not(feature = "gpu"))]
fn listed(kind: DeviceKind) -> Result<Vec<Backend>> {
    let found = if kind == DeviceKind::Metal {
        metal()
    } else {
        vulkan(None)
    };
    found.map(|backend| vec![backend])
}

/// What is asked for is in no such build.
#[cfg(not(all(feature = "cuda", feature = "gpu")))]
fn without(device: &str, what: &str, feature: &str) -> Diagnostic {
    Diagnostic::compute(format!(
        "{device} was asked for, but this igsite was built without {what}"
    ))
    .help(format!(
        "build it with `cargo build --release --features {feature}`, or use `--device cpu`"
    ))
}

/// Opens a device of Burn's: the first thing that is computed on it panics where it cannot be used.
#[cfg(any(feature = "cuda", feature = "gpu"))]
fn tried(make: impl FnOnce() -> Device) -> Result<Device, String> {
    use burn::tensor::Tensor;

    crate::guard::guarded(|| {
        let device = make();
        let two = (Tensor::<1>::ones([3], &device) + 1.0).into_data();
        assert_eq!(two.try_to_vec::<f32>().ok(), Some(vec![2.0; 3]), "1 + 1 on the device");
        device
    })
}

/// The field's word for what Burn computes in.
pub fn dtype_word(dtype: DType) -> Dtype {
    match dtype {
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::Bf16,
        DType::F64 => Dtype::F64,
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
        assert_eq!("cuda:3".parse(), Ok(DeviceChoice::Cuda(vec![3])));
        assert_eq!("cuda:0,2".parse(), Ok(DeviceChoice::Cuda(vec![0, 2])));
        assert_eq!("auto".parse(), Ok(DeviceChoice::Auto));
        assert_eq!("vulkan".parse(), Ok(DeviceChoice::Vulkan(None)));
        assert_eq!("vulkan:1".parse(), Ok(DeviceChoice::Vulkan(Some(1))));
        assert_eq!("metal".parse(), Ok(DeviceChoice::Metal));
        for wrong in ["gpu", "cuda:", "cuda:x", "cuda:0,", "vulkan:0,1", "cpu:1", "metal:0"] {
            let error = wrong.parse::<DeviceChoice>().unwrap_err();
            assert!(error.contains("vulkan:N or metal"), "{wrong}: {error}");
        }
        assert_eq!(
            "cuda:1,0,1".parse::<DeviceChoice>(),
            Err("device 1 is named twice".to_owned())
        );
    }

    #[cfg(not(any(feature = "cuda", feature = "gpu")))]
    #[test]
    fn auto_is_the_cpu_without_gpus_and_each_of_them_is_an_error_that_says_how_to_get_it() {
        assert_eq!(Backend::open(&DeviceChoice::Auto).unwrap().kind, DeviceKind::Cpu);
        for (choice, feature) in [
            (DeviceChoice::Cuda(vec![0]), "cuda"),
            (DeviceChoice::Vulkan(None), "gpu"),
            (DeviceChoice::Metal, "gpu"),
        ] {
            let error = Backend::open(&choice).unwrap_err().to_string();
            assert!(
                error.contains("built without") && error.contains(&format!("--features {feature}")),
                "{error}"
            );
        }
    }

    #[test]
    fn the_versions_that_are_told_are_the_locked_ones() {
        let lock = include_str!("../../Cargo.lock");
        for (name, version) in [("cubecl", CUBECL), ("burn", BURN)] {
            assert!(
                lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n")),
                "{name}"
            );
            // Whoever compiles without the lock gets no other either.
            let asked = format!("\n{name} = {{ version = \"={version}\"");
            assert!(include_str!("../../Cargo.toml").contains(&asked), "{name}");
        }
    }

    #[test]
    fn auto_computes_in_float32_on_the_cpu() {
        let backend = Backend::cpu();
        assert_eq!(backend.dtype(None, DType::BF16), DType::F32);
        assert_eq!(backend.dtype(Some(Dtype::Bf16), DType::F32), DType::BF16);
    }
}
