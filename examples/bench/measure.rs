//! One map is computed again and again, and between the repetitions the device's matrix product is timed.

use std::fmt;
use std::path::Path;
use std::time::Instant;

use burn::tensor::{DType, Distribution, Tensor};
use igsite::attribution::integral::Nodes;
use igsite::attribution::integrated_gradients::{Explainer, Scalar};
use igsite::attribution::quadrature;
use igsite::checkpoint::Checkpoint;
use igsite::diagnostic::{Diagnostic, Result};
use igsite::guard;
use igsite::kernel::Threads;
use igsite::kernel::gemm::{Product, View};
use igsite::kernel::matrix::Code;
use igsite::model::CausalLm;
use igsite::model::device::{Backend, dtype_word};
use igsite::random::SplitMix64;
use igsite::terms::{BaselineVector, Batch, DeviceKind, Output, Quadrature, Quantization};
use serde::Serialize;

use crate::arguments::Arguments;
use crate::disk;
use crate::shape;

/// Rows and columns of the matrices whose product is timed: large enough to fill the device.
fn square(device: &str) -> usize {
    if device == "cpu" { 2048 } else { 8192 }
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    schema: &'static str,
    shape: String,
    device: &'static str,
    dtype: &'static str,
    quantization: &'static str,
    /// Reading a checkpoint, or making random weights.
    load_seconds: f64,
    /// With `--on-disk`: what the disk alone took.
    disk: Option<disk::Disk>,
    /// As `peak_memory_bytes`, when the weights had just been loaded.
    loaded_memory_bytes: Option<u64>,
    threads: usize,
    parameters: usize,
    body_parameters: usize,
    tokens: usize,
    points: usize,
    /// As given; null for `auto`.
    batch: Option<usize>,
    /// Of the fastest repetition: one map, with its two ends.
    seconds: f64,
    median_seconds: f64,
    repeats: usize,
    evaluations_per_second: f64,
    /// Tokens × points a second.
    tokens_per_second: f64,
    /// Operations of one evaluation's linear layers, as they are done.
    operations_per_evaluation: f64,
    flops_per_second: f64,
    /// The faster of Burn's product and the project's own.
    matmul_flops_per_second: f64,
    burn_matmul_flops_per_second: f64,
    /// `flops_per_second` / `matmul_flops_per_second`.
    ratio: f64,
    /// The process's largest (CPU), or what its driver says that the first card holds at the end, pools included
    /// (CUDA); null where neither is known.
    peak_memory_bytes: Option<u64>,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let giga = 1e-9;
        writeln!(
            f,
            "{}, {}{}, {} on {}",
            self.shape,
            self.dtype,
            if self.quantization == "none" {
                String::new()
            } else {
                format!(", weights in {}", self.quantization)
            },
            of_threads(self),
            self.device
        )?;
        writeln!(
            f,
            "{} parameters ({} in the body), {} tokens, {} points",
            self.parameters, self.body_parameters, self.tokens, self.points
        )?;
        writeln!(
            f,
            "one map             {:.3} s best of {}, {:.3} s median",
            self.seconds, self.repeats, self.median_seconds
        )?;
        writeln!(f, "evaluations         {:.2} a second", self.evaluations_per_second)?;
        writeln!(f, "tokens              {:.0} a second", self.tokens_per_second)?;
        writeln!(f, "linear layers       {:.1} GFLOP/s", self.flops_per_second * giga)?;
        writeln!(
            f,
            "matrix product      {:.1} GFLOP/s ({}³; Burn's: {:.1})",
            self.matmul_flops_per_second * giga,
            square(self.device),
            self.burn_matmul_flops_per_second * giga
        )?;
        write!(f, "ratio               {:.0}%", 100.0 * self.ratio)?;
        write!(f, "\nweights ready       after {:.1} s", self.load_seconds)?;
        if let Some(bytes) = self.loaded_memory_bytes {
            write!(f, ", {:.2} GB of memory", bytes as f64 * giga)?;
        }
        if let Some(disk) = &self.disk {
            let from = if disk.evicted { "the disk" } else { "disk and cache" };
            write!(
                f,
                "\nfiles               {:.2} GB, written in {:.1} s, read once from {from} in {:.1} s",
                disk.bytes as f64 * giga,
                disk.write_seconds,
                disk.read_seconds
            )?;
        }
        if let Some(bytes) = self.peak_memory_bytes {
            write!(f, "\npeak memory         {:.2} GB", bytes as f64 * giga)?;
        }
        Ok(())
    }
}

fn of_threads(measured: &Measured) -> String {
    match measured.threads {
        1 => "1 thread".to_owned(),
        count => format!("{count} threads"),
    }
}

/// Measures one map of the model that the arguments name.
///
/// # Errors
/// The device is not there, the checkpoint cannot be loaded, or memory runs out.
pub fn measure(arguments: &Arguments) -> Result<Measured> {
    let backend = Backend::open(&arguments.device)?;
    if arguments.quantization != Quantization::None && arguments.model.is_none() && arguments.on_disk.is_none() {
        return Err(Diagnostic::content(
            "`--quantization` is for weights that are loaded, and those of a shape alone are made in memory",
        )
        .help("add `--on-disk DIR` to load them from there, or name a checkpoint with `--model`"));
    }
    let written = match &arguments.on_disk {
        Some(parent) => Some(disk::write(
            parent,
            &shape::config(&arguments.shape),
            arguments.drop_caches,
        )?),
        None => None,
    };
    let mut quantization = "none";
    let folder = written.as_ref().map(|(on_disk, _)| &on_disk.folder);
    let began = Instant::now();
    let (mut explainer, shape, dtype) = match arguments.model.as_ref().or(folder) {
        Some(folder) => {
            let (explainer, dtype, stored) = open(folder, arguments, &backend)?;
            quantization = stored;
            let shape = arguments
                .model
                .as_ref()
                .map_or(arguments.shape.clone(), |folder| folder.display().to_string());
            (explainer, shape, dtype)
        }
        None => {
            let stored = if backend.kind == DeviceKind::Cpu {
                DType::F32
            } else {
                DType::BF16
            };
            let dtype = backend.dtype(arguments.dtype, stored);
            let described = shape::of(&shape::config(&arguments.shape))?;
            let model = guarded(|| CausalLm::init(&described, (&backend.device, dtype)))?;
            (Explainer::new(model, &backend, dtype), arguments.shape.clone(), dtype)
        }
    };
    let load_seconds = began.elapsed().as_secs_f64();
    let disk = written.as_ref().map(|(_, disk)| disk.clone());
    drop(written);
    let loaded_memory_bytes = memory(&backend, "VmRSS:");
    let [vocabulary, _] = explainer.model().embeddings().dims();
    let mut random = SplitMix64::new(7);
    let ids: Vec<u32> = (0..arguments.tokens).map(|_| random.below(vocabulary) as u32).collect();
    let logits = explainer.logits(&ids)?;
    let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
    let scalar = Scalar {
        token: best.unwrap_or_default() as u32,
        output: Output::Probability,
        minus: None,
    };
    let mut map = |points: usize| -> Result<f64> {
        let rule = Nodes::Fixed {
            points: quadrature::points(Quadrature::GaussLegendre, points).into(),
            check: None,
        };
        let began = Instant::now();
        let found = explainer.attribute(&ids, BaselineVector::Zero, scalar, rule, arguments.batch)?;
        match found.non_finite {
            None => Ok(began.elapsed().as_secs_f64()),
            Some(at) => Err(
                Diagnostic::compute(format!("the {} is not finite at α = {}", at.what, at.alpha))
                    .help("nothing was measured; try `--dtype f32`, or another model"),
            ),
        }
    };
    // Memory is taken, kernels are compiled.
    map(arguments.points.min(if backend.kind == DeviceKind::Cpu {
        10
    } else {
        arguments.points
    }))?;
    let (mut times, mut burn, mut own) = (Vec::new(), 0.0f64, 0.0f64);
    for _ in 0..arguments.repeat {
        // Between the maps, so that a machine with other work to do is as slow for the one as for the other.
        burn = burn.max(guarded(|| burn_product(&backend, dtype))?);
        if backend.kind == DeviceKind::Cpu && dtype == DType::F32 {
            own = own.max(own_product());
        }
        times.push(map(arguments.points)?);
    }
    times.sort_by(f64::total_cmp);
    let seconds = times[0];
    let operations = explainer.decoder().operations(arguments.tokens);
    let per_second = arguments.points as f64 / seconds;
    let (flops, product) = (operations * per_second, burn.max(own));
    let body = explainer.decoder().parameters();
    Ok(Measured {
        schema: "igsite/bench/1",
        shape,
        device: backend.kind.word(),
        dtype: dtype_word(dtype).word(),
        threads: rayon::current_num_threads(),
        parameters: explainer.model().parameters(),
        body_parameters: body,
        tokens: arguments.tokens,
        points: arguments.points,
        batch: match arguments.batch {
            Batch::Auto => None,
            Batch::Fixed(size) => Some(size),
        },
        seconds,
        median_seconds: times[times.len() / 2],
        repeats: arguments.repeat,
        evaluations_per_second: per_second,
        tokens_per_second: per_second * arguments.tokens as f64,
        operations_per_evaluation: operations,
        flops_per_second: flops,
        matmul_flops_per_second: product,
        burn_matmul_flops_per_second: burn,
        ratio: flops / product,
        quantization,
        load_seconds,
        disk,
        loaded_memory_bytes,
        peak_memory_bytes: memory(&backend, "VmHWM:"),
    })
}

fn open(folder: &Path, arguments: &Arguments, backend: &Backend) -> Result<(Explainer, DType, &'static str)> {
    let checkpoint = Checkpoint::open(folder)?;
    let precision = backend.precision(arguments.dtype, arguments.quantization, &checkpoint)?;
    let explainer = Explainer::load(&checkpoint, backend, precision)?;
    let quantization = match checkpoint.quantization() {
        Some(stored) => stored.word(),
        None => precision.quantization.map_or("none", Code::name),
    };
    Ok((explainer, precision.dtype, quantization))
}

/// Operations a second of Burn's product of two square matrices, the best of several.
fn burn_product(backend: &Backend, dtype: DType) -> f64 {
    let size = square(backend.kind.word());
    let random = || Tensor::<2>::random([size; 2], Distribution::Normal(0.0, 1.0), (&backend.device, dtype));
    let (a, b) = (random(), random());
    // Enough of them in a row that a GPU's start-up does not count; one element at the end waits for all.
    let count = if backend.kind == DeviceKind::Cpu { 1 } else { 20 };
    let run = || {
        let began = Instant::now();
        let mut c = a.clone().matmul(b.clone());
        for _ in 1..count {
            c = a.clone().matmul(b.clone());
        }
        drop(c.narrow(0, 0, 1).narrow(1, 0, 1).into_data());
        began.elapsed().as_secs_f64() / f64::from(count)
    };
    run();
    let best = (0..4).map(|_| run()).fold(f64::INFINITY, f64::min);
    2.0 * (size as f64).powi(3) / best
}

/// The same for [`Product`].
fn own_product() -> f64 {
    let size = square("cpu");
    let a: Vec<f32> = (0..size * size).map(|i| (i % 17) as f32 * 0.1 - 0.8).collect();
    let mut c = vec![0.0; size * size];
    let mut run = || {
        let began = Instant::now();
        let view = View::rows(&a, size);
        Product {
            size: (size, size, size),
            a: view,
            b: view.into(),
            c: &mut c,
            stride: size,
            add: false,
        }
        .run(Threads::All);
        began.elapsed().as_secs_f64()
    };
    run();
    let best = (0..4).map(|_| run()).fold(f64::INFINITY, f64::min);
    2.0 * (size as f64).powi(3) / best
}

/// What the process holds: now (`VmRSS:`), or at most so far (`VmHWM:`).
fn memory(backend: &Backend, line: &str) -> Option<u64> {
    if backend.kind != DeviceKind::Cpu {
        let output = std::process::Command::new("nvidia-smi")
            .args(["--query-gpu=memory.used", "--format=csv,noheader,nounits"])
            .output()
            .ok()?;
        let mebibytes: u64 = String::from_utf8(output.stdout)
            .ok()?
            .lines()
            .next()?
            .trim()
            .parse()
            .ok()?;
        return Some(mebibytes << 20);
    }
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|found| found.starts_with(line))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// Runs tensor code, which reports a failed allocation by panicking, and turns a panic into an error.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T> {
    guard::guarded(work).map_err(|text| Diagnostic::compute(format!("the device failed: {text}")))
}
