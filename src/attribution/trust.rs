//! A device beside the CPU: before a run, the map of a prompt of it on both.
//!
//! The CPU computes with the project's own kernels, in float32. The map is small: the integrand at two points of a
//! path, and F at the prompt itself, for the first tokens of the prompt; what takes memory is the model, twice. Where it
//! does not fit twice, its first layers are compared, as a model of their own.

use burn::tensor::DType;

use super::integrated_gradients::{Asked, Explainer, Points, Scalar, Value, allowance, argmax};
use crate::checkpoint::Checkpoint;
use crate::diagnostic::{Diagnostic, Result};
use crate::model::CausalLm;
use crate::model::device::{Backend, available_memory};
use crate::tensor::matrix::Precision;
use crate::terms::{BaselineVector, Batch, Output, Routing};

/// Tokens of a prompt that are compared, at most: the CPU is slow with large models, and has the user wait.
const TOKENS: usize = 128;

/// Where on the path: the two points of the midpoint rule, and the prompt itself.
const ALPHAS: [f64; 3] = [0.25, 0.75, 1.0];

/// How a device's map compares with the CPU's.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// How many layers the model had; none: all of them.
    pub layers: Option<usize>,
    /// Tokens of the prompt.
    pub tokens: usize,
    /// The pair of numbers that is furthest apart: which one, on the device, and on the CPU.
    pub worst: (String, f64, f64),
    /// How far it is apart: scores relative to the largest, F relative to itself or to 1.
    pub apart: f64,
    /// How far the dtype explains.
    pub allowed: f64,
}

impl Compared {
    /// Whether the device is believed.
    pub fn agrees(&self) -> bool {
        // What is not a number is not below anything.
        self.apart <= self.allowed
    }
}

/// Compares a model on its device with itself on the CPU; `ids` is a prompt. A disagreement is looked at again without
/// what a tuner chose, and told if that helps.
///
/// # Errors
/// They disagree, with both numbers; or one of them cannot be computed.
pub fn first_prompt(
    explainer: &mut Explainer,
    (checkpoint, backend, precision): (&Checkpoint, &Backend, Precision),
    (ids, start): (&[u32], BaselineVector),
) -> Result<Compared> {
    let layers = layers_that_fit(checkpoint, available_memory());
    beside_cpu(explainer, (checkpoint, backend, precision), (ids, start), layers)
}

/// As [`first_prompt`], of so many layers; none: all.
///
/// # Errors
/// As it.
pub fn beside_cpu(
    explainer: &mut Explainer,
    (checkpoint, backend, precision): (&Checkpoint, &Backend, Precision),
    (ids, start): (&[u32], BaselineVector),
    layers: Option<usize>,
) -> Result<Compared> {
    let cpu = Backend::cpu();
    let exact = Precision {
        dtype: DType::F32,
        ..precision
    };
    let ids = &ids[..ids.len().min(TOKENS)];
    let mut first;
    let (mut reference, subject) = match layers {
        None => (Explainer::load(checkpoint, &cpu, exact)?, explainer),
        Some(layers) => {
            first = Explainer::load_first(checkpoint, backend, precision, layers)?;
            first.check(explainer.is_checked());
            (Explainer::load_first(checkpoint, &cpu, exact, layers)?, &mut first)
        }
    };
    let scalar = Scalar::of(&[argmax(&reference.logits(ids)?)], Output::Logit);
    let theirs = integrand(&mut reference, ids, start, scalar)?;
    drop(reference);
    let allowed = allowance(precision.dtype, subject.model().layers());
    let look = |subject: &mut Explainer| -> Result<Compared> {
        let ours = integrand(subject, ids, start, scalar)?;
        let (worst, apart) = furthest(&ours, &theirs);
        Ok(Compared {
            layers,
            tokens: ids.len(),
            worst,
            apart,
            allowed,
        })
    };
    // Kernels are compiled, and tuned, when they are first met.
    if backend.compiles_kernels() {
        look(subject)?;
        subject.forget_failures();
    }
    let mut compared = look(subject)?;
    if !compared.agrees() && !subject.is_untuned() {
        subject.distrust_tuner();
        let again = look(subject)?;
        if again.agrees() {
            subject.tell(format!(
                "{}; without autotune's choice they agree, and the run is computed so",
                said(&compared, backend)
            ));
        }
        compared = again;
    }
    if compared.agrees() {
        return Ok(compared);
    }
    Err(Diagnostic::compute(format!(
        "the device's numbers cannot be trusted: {}",
        said(&compared, backend)
    ))
    .expected(format!(
        "at most {:.1e} apart, which {} explains",
        compared.allowed,
        match precision.dtype {
            DType::BF16 => "bf16",
            DType::F16 => "f16",
            _ => "float32",
        }
    ))
    .help("use `--device cpu`; docs/gpu.md has what is known of devices"))
}

/// Both numbers, and how far they are apart.
fn said(compared: &Compared, backend: &Backend) -> String {
    let (what, ours, theirs) = &compared.worst;
    let of = match compared.layers {
        Some(layers) => format!(" (of the model's first {layers} layers)"),
        None => String::new(),
    };
    format!(
        "{what}{of} is {ours} on {backend} and {theirs} on the CPU in float32, which is {:.1e} apart",
        compared.apart
    )
}

fn integrand(explainer: &mut Explainer, ids: &[u32], start: BaselineVector, scalar: Scalar) -> Result<Vec<Value>> {
    let path = explainer.path(ids, start, &[], Routing::default())?;
    let points = Points {
        path: &path,
        alphas: ALPHAS.to_vec(),
        asked: vec![Asked::from(scalar)],
    };
    let found = explainer.evaluate(&[points], Batch::Fixed(ALPHAS.len()), &mut |_| ())?;
    Ok(found.into_iter().flatten().flatten().collect())
}

/// The pair of numbers that is furthest apart: F at each point, and the scores of the midpoint rule's map.
fn furthest(ours: &[Value], theirs: &[Value]) -> ((String, f64, f64), f64) {
    let outputs = ours.iter().zip(theirs).zip(ALPHAS).map(|((a, b), alpha)| {
        let apart = (a.output - b.output).abs() / b.output.abs().max(1.0);
        ((format!("F at α = {alpha}"), a.output, b.output), apart)
    });
    let map = |values: &[Value]| -> Vec<f64> {
        let [first, second, ..] = values else { return vec![] };
        let pairs = first.scores.iter().zip(&second.scores);
        pairs.map(|(a, b)| (a + b) / 2.0).collect()
    };
    let (map, reference) = (map(ours), map(theirs));
    let largest = reference
        .iter()
        .fold(f64::MIN_POSITIVE, |most, score| most.max(score.abs()));
    let scores = map.iter().zip(&reference).enumerate().map(|(at, (&a, &b))| {
        let apart = (a - b).abs() / largest;
        ((format!("the score of token {}", at + 1), a, b), apart)
    });
    let all = outputs.chain(scores);
    // `total_cmp` puts what is not a number last.
    all.max_by(|a, b| a.1.total_cmp(&b.1))
        .unwrap_or_else(|| (("nothing".to_owned(), f64::NAN, f64::NAN), f64::NAN))
}

/// How many layers of a model fit into so much main memory; none: all.
fn layers_that_fit(checkpoint: &Checkpoint, memory: Option<usize>) -> Option<usize> {
    let shape = &checkpoint.config.model;
    let tables = 2 * shape.vocabulary * shape.hidden * checkpoint.stored_dtype().size();
    layers_in(checkpoint.bytes(), tables, shape.layers, memory?)
}

/// The same in numbers: bytes of the weights, at most those of the tables among them, layers, and bytes of memory.
fn layers_in(bytes: usize, tables: usize, layers: usize, memory: usize) -> Option<usize> {
    // What a pass takes besides is little.
    let room = memory / 10 * 8;
    if bytes <= room {
        return None;
    }
    let of_layer = bytes.saturating_sub(tables) / layers.max(1);
    Some((room.saturating_sub(tables) / of_layer.max(1)).clamp(1, layers.max(1)))
}

/// A model's first layers.
impl Explainer {
    /// As [`Self::load`], of the first layers alone.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_first(checkpoint: &Checkpoint, backend: &Backend, precision: Precision, layers: usize) -> Result<Self> {
        let precision = Precision {
            kernels: backend.has_kernels(precision.dtype),
            ..precision
        };
        let load = || CausalLm::load_first(checkpoint, &backend.device, precision, layers);
        let model = super::integrated_gradients::guarded(load).map_err(|e| e.in_file(&checkpoint.folder))??;
        Ok(Self::new(model, backend, precision.dtype))
    }
}

#[cfg(test)]
mod tests;
