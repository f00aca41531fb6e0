//! CUDA: what a machine needs before anything is computed, and the cards.
//!
//! cubecl loads the driver and NVRTC when they are first used, and ends the thread where one is missing, or a header is.
//! So they are looked for first, each with its own message.

use std::path::{Path, PathBuf};

use super::Backend;
use crate::diagnostic::{Diagnostic, Result};

/// Where libraries and headers of CUDA are looked for.
#[derive(Clone, Debug)]
pub struct Places {
    /// Folders with libraries.
    libraries: Vec<PathBuf>,
    /// Whether the system's loader is asked as well, which knows more folders.
    loader: bool,
    /// `CUDA_PATH`, or the folders of a toolkit that cubecl looks into; the first that exists is the one.
    toolkits: Vec<PathBuf>,
}

/// What CUDA needs and is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// `libcuda`.
    Driver,
    /// `libnvrtc`.
    Compiler,
    /// `include/cuda_runtime.h` and its like.
    Headers,
    /// `include/crt/mma.h`, which `mma.h` of the former reads.
    MatrixHeaders,
    /// `include/cccl`, or the same headers beside the others.
    CoreLibraries,
}

/// The versions of NVRTC that cudarc 0.19 knows.
const NVRTC: [&str; 4] = ["libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11"];

impl Places {
    /// This machine's.
    pub fn here() -> Self {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let libraries = variable("LD_LIBRARY_PATH").map_or(vec![], |all| std::env::split_paths(&all).collect());
        let toolkits = match variable("CUDA_PATH") {
            Some(path) => vec![PathBuf::from(path)],
            None => {
                let mut usual: Vec<PathBuf> = ["/usr/local/cuda", "/opt/cuda"].map(PathBuf::from).into();
                if Path::new("/usr/bin/nvcc").exists() {
                    usual.push("/usr".into());
                }
                usual
            }
        };
        Self {
            libraries,
            loader: true,
            toolkits,
        }
    }

    fn has_library(&self, names: &[&str]) -> bool {
        let beside = |folder: &PathBuf| names.iter().any(|name| folder.join(name).exists());
        self.libraries.iter().any(beside) || self.loader && names.iter().any(|name| loads(name))
    }

    /// The first thing that is missing. Elsewhere than on Linux nothing is looked for, and what is missing shows when
    /// it is used.
    pub fn missing(&self) -> Option<Missing> {
        if !cfg!(target_os = "linux") {
            return None;
        }
        if !self.has_library(&["libcuda.so.1", "libcuda.so"]) {
            return Some(Missing::Driver);
        }
        if !self.has_library(&NVRTC) {
            return Some(Missing::Compiler);
        }
        let include = self.toolkits.iter().find(|folder| folder.exists());
        let include = include.map(|folder| folder.join("include"));
        let has = |name: &str| include.as_ref().is_some_and(|folder| folder.join(name).exists());
        if !has("cuda_runtime.h") || !has("cuda_fp16.h") {
            return Some(Missing::Headers);
        }
        if !has("crt/mma.h") {
            return Some(Missing::MatrixHeaders);
        }
        // The kernels' bf16 and barriers are in the headers of CCCL.
        (!has("cccl/cuda/std") && !has("cuda/std")).then_some(Missing::CoreLibraries)
    }
}

/// Whether the system's loader finds a library.
fn loads(name: &str) -> bool {
    #[cfg(unix)]
    {
        let Ok(name) = std::ffi::CString::new(name) else {
            return false;
        };
        // SAFETY: a library of NVIDIA's, which computing loads in the same way; its constructors are made for that. It
        // stays loaded.
        !unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_LAZY | libc::RTLD_LOCAL) }.is_null()
    }
    #[cfg(not(unix))]
    {
        let _ = name;
        false
    }
}

impl Missing {
    /// What to do about it.
    pub fn told(self) -> Diagnostic {
        const WHEELS: &str = "docs/gpu.md has the two variables that pip's packages need, `CUDA_PATH` and `LD_LIBRARY_PATH`; \
                              without a card, use `--device cpu`";
        let (what, where_from, help) = match self {
            Self::Driver => (
                "no NVIDIA driver: `libcuda.so.1` is not found",
                "the driver of the card",
                "install the driver (`nvidia-driver` of Debian, `nvidia-driver-NNN` of Ubuntu; in a \
                 container, run it with the NVIDIA container toolkit); without a card, use `--device cpu`"
                    .to_owned(),
            ),
            Self::Compiler => (
                "no NVRTC, which compiles the kernels: `libnvrtc.so` is not found",
                "CUDA's toolkit, or its NVRTC alone, in the loader's folders or in `LD_LIBRARY_PATH`",
                format!(
                    "`pip install nvidia-cuda-nvrtc-cu12`, or the whole toolkit (`nvidia-cuda-toolkit` of Debian and Ubuntu); {WHEELS}"
                ),
            ),
            Self::Headers => (
                "no headers of CUDA: `include/cuda_runtime.h` and `include/cuda_fp16.h` are not found",
                "them in the folder that `CUDA_PATH` names, or in /usr/local/cuda or /opt/cuda",
                format!(
                    "`pip install nvidia-cuda-runtime-cu12`, or the whole toolkit (`nvidia-cuda-toolkit` of Debian and Ubuntu); {WHEELS}"
                ),
            ),
            Self::MatrixHeaders => (
                "no headers of CUDA's matrix operations: `include/crt/mma.h` is not found",
                "them beside CUDA's other headers, in the folder that `CUDA_PATH` names",
                format!(
                    "`pip install nvidia-cuda-nvcc-cu12`, or the whole toolkit (`nvidia-cuda-toolkit` of Debian and Ubuntu); {WHEELS}"
                ),
            ),
            Self::CoreLibraries => (
                "no headers of CUDA's core libraries: neither `include/cccl` nor `include/cuda/std` is found",
                "them beside CUDA's other headers, in the folder that `CUDA_PATH` names",
                format!(
                    "`pip install nvidia-cuda-cccl-cu12`, or the whole toolkit (`nvidia-cuda-toolkit` of Debian and Ubuntu); {WHEELS}"
                ),
            ),
        };
        Diagnostic::compute(format!("CUDA cannot start: {what}"))
            .expected(where_from)
            .help(help)
    }
}

/// The CUDA device of this index.
#[cfg(not(feature = "cuda"))]
pub fn open(index: usize) -> Result<Backend> {
    Err(super::without(&format!("CUDA device {index}"), "CUDA", "cuda"))
}

/// The CUDA device of this index.
///
/// # Errors
/// Something that CUDA needs is missing; there is no such card; or it computes nothing.
#[cfg(feature = "cuda")]
pub fn open(index: usize) -> Result<Backend> {
    use burn::tensor::Device;

    use super::{About, tried};
    use crate::terms::DeviceKind;

    super::watch::install();
    if let Some(missing) = Places::here().missing() {
        return Err(missing.told());
    }
    let count = cards().map_err(|text| refused(&format!("the driver does not tell its cards: {text}")))?;
    if index >= count {
        return Err(
            Diagnostic::compute(format!("no CUDA device {index}: there are {count}"))
                .expected(match count {
                    0 => "a card that the driver knows".to_owned(),
                    _ => format!("cuda:0 to cuda:{}", count - 1),
                })
                .help("`igsite devices` lists them; `CUDA_VISIBLE_DEVICES` may hide some"),
        );
    }
    let device = tried(|| Device::cuda(index)).map_err(|text| refused(&format!("CUDA device {index}: {text}")))?;
    let about = About {
        name: device
            .identity()
            .map_or_else(|| "NVIDIA".to_owned(), |identity| identity.name),
        driver: driver(),
        memory: memory(&device),
        software: false,
    };
    Ok(Backend::gpu(device, DeviceKind::Cuda, about))
}

#[cfg(feature = "cuda")]
fn refused(text: &str) -> Diagnostic {
    Diagnostic::compute(format!("CUDA cannot compute: {text}"))
        .help("run `nvidia-smi` to see cards and driver; docs/gpu.md has what is needed; or use `--device cpu`")
}

/// How many cards the driver knows.
#[cfg(feature = "cuda")]
fn cards() -> Result<usize, String> {
    use burn::tensor::{Device, DeviceType};

    crate::guard::guarded(|| Device::enumerate(DeviceType::Cuda).len())
}

/// Bytes of a card.
#[cfg(feature = "cuda")]
fn memory(device: &burn::tensor::Device) -> Option<u64> {
    match device.as_dispatch() {
        burn::backend::DispatchDevice::Cube(device) => device.client().properties().memory.max_memory(),
        #[allow(unreachable_patterns, reason = "other backends are devices too")]
        _ => None,
    }
}

/// The version of NVIDIA's driver, as Linux tells it.
#[cfg(feature = "cuda")]
fn driver() -> Option<String> {
    let text = std::fs::read_to_string("/proc/driver/nvidia/version").ok()?;
    version(&text).map(|version| format!("NVIDIA {version}"))
}

/// The version in the first line of `/proc/driver/nvidia/version`.
#[cfg(any(test, feature = "cuda"))]
fn version(text: &str) -> Option<String> {
    let is_version = |word: &&str| word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.');
    text.lines()
        .next()?
        .split_whitespace()
        .find(is_version)
        .map(str::to_owned)
}

/// What `igsite devices` says of CUDA: each card, or why there is none.
///
/// # Errors
/// CUDA is not in this build, or something that it needs is missing.
#[cfg(not(feature = "cuda"))]
pub fn listed() -> Result<Vec<Backend>> {
    open(0).map(|backend| vec![backend])
}

/// What `igsite devices` says of CUDA: each card, or why there is none.
///
/// # Errors
/// Something that CUDA needs is missing, or a card computes nothing.
#[cfg(feature = "cuda")]
pub fn listed() -> Result<Vec<Backend>> {
    if let Some(missing) = Places::here().missing() {
        return Err(missing.told());
    }
    let count = cards().map_err(|text| refused(&text))?;
    (0..count).map(open).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Folders of a machine that has so much of it.
    fn machine(files: &[&str]) -> (tempfile::TempDir, Places) {
        let root = tempfile::tempdir().unwrap();
        for folder in ["lib", "cuda"] {
            std::fs::create_dir(root.path().join(folder)).unwrap();
        }
        for file in files {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let places = Places {
            libraries: vec![root.path().join("lib")],
            loader: false,
            toolkits: vec![root.path().join("none"), root.path().join("cuda")],
        };
        (root, places)
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn each_part_that_is_missing_has_its_own_message() {
        let mut files: Vec<&str> = vec![];
        for (more, missing, package) in [
            (&[][..], Missing::Driver, "nvidia-driver"),
            (
                &["lib/libcuda.so.1"],
                Missing::Compiler,
                "pip install nvidia-cuda-nvrtc-cu12",
            ),
            (
                &["lib/libnvrtc.so.12"],
                Missing::Headers,
                "pip install nvidia-cuda-runtime-cu12",
            ),
            (
                &["cuda/include/cuda_runtime.h", "cuda/include/cuda_fp16.h"][..],
                Missing::MatrixHeaders,
                "pip install nvidia-cuda-nvcc-cu12",
            ),
            (
                &["cuda/include/crt/mma.h"],
                Missing::CoreLibraries,
                "pip install nvidia-cuda-cccl-cu12",
            ),
        ] {
            files.extend(more);
            let (_root, places) = machine(&files);
            assert_eq!(places.missing(), Some(missing), "{files:?}");
            let told = missing.told().to_string();
            assert!(told.contains(package) && told.contains("--device cpu"), "{told}");
        }
        for whole in ["cuda/include/cccl/cuda/std/barrier", "cuda/include/cuda/std/barrier"] {
            let (_root, places) = machine(&[&files[..], &[whole]].concat());
            assert_eq!(places.missing(), None, "{whole}");
        }
    }

    #[test]
    fn the_drivers_version_is_found_in_what_linux_tells() {
        let text =
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 01:44:30 UTC 2026\nGCC version: 12";
        assert_eq!(version(text).as_deref(), Some("550.54.14"));
        let open = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build";
        assert_eq!(version(open).as_deref(), Some("570.86.15"));
        assert_eq!(version("nothing"), None);
    }
}
