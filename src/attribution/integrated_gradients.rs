//! Integrated Gradients on a loaded model: points of paths in, values of the integrand out.
//!
//! For input embeddings x, baseline x′ and output F, read at the last position: the score of token t is Σ_d (x −
//! x′)_{t,d} ∫₀¹ ∂F/∂x_{t,d}(x′ + α(x − x′)) dα. This file computes the integrand, for many points, paths and outputs
//! at once; [`super::integral`] sums it up. An answer of several tokens is read at several positions: F is the sum of
//! the tokens' log-probabilities, each given those before it (teacher forcing), whose own embeddings stay what they are
//! along the path. Several outputs of one point share its forward pass. Sums over the hidden dimension are in float32
//! at least, whatever the model computes in.

mod generate;
mod outputs;
mod passes;
mod removals;
mod trusted;

use std::sync::{Arc, OnceLock};

use burn::tensor::{DType, Device, Tensor};

pub use generate::argmax;
use outputs::Outputs;
use passes::Size;
pub use removals::{Reading, RemovalOf, Removals, Replaceable};
use trusted::Unread;
pub use trusted::{Trust, allowance};

use super::methods::{Attribution, Method, Prepared};
use super::schedule::{self, Task};
use crate::checkpoint::Checkpoint;
use crate::diagnostic::{Diagnostic, Result};
use crate::guard;
use crate::kernel::Threads;
use crate::model::CausalLm;
use crate::model::backward::Gradients;
use crate::model::decoder::{Decoder, Entry, Footprint, Keep};
use crate::model::device::Backend;
use crate::model::experts::{Choice, Frozen, Routes};
use crate::model::ops::cpu::{Cpu, forget_memory};
use crate::model::ops::tensor::{ATTENTION_BYTES, OnDevice};
use crate::model::ops::{Ops, Sequences, Stretch, Tables};
use crate::model::path::Path;
use crate::tensor::care::{landed, wide};
use crate::tensor::host::floats;
use crate::tensor::matrix::Precision;
use crate::terms::{BaselineVector, Batch, LEVELS, Output, Routing};

/// A model on its device, ready to be explained.
#[derive(Debug)]
pub struct Explainer {
    model: CausalLm,
    decoder: Decoder,
    device: Device,
    dtype: DType,
    /// On the CPU in float32, points are shared out among threads; elsewhere one pass goes to the device at a time.
    kernels: bool,
    needs_warming: bool,
    /// The mean of the embedding table's rows, once it was needed.
    mean: OnceLock<Tensor<2>>,
    pass_tokens: usize,
    /// A pass of more sequences than this fails, as if memory had run out.
    #[cfg(test)]
    most: usize,
    /// Whether what the device gives is looked at.
    trust: Arc<Trust>,
    /// The memory that `batch: auto` allows for all passes together, in bytes by [`Explainer::kept`]; halved for good
    /// when memory runs out.
    budget: usize,
}

/// A scalar of the last position's logits: the first token's output, less the second's for a contrast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scalar {
    /// The token that is explained.
    pub token: u32,
    /// Its unit.
    pub output: Output,
    /// What is taken away from it.
    pub minus: Option<u32>,
}

/// What is wanted of a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Asked {
    /// F
    pub scalar: Scalar,
    /// What its gradient is taken to be.
    pub gradients: Gradients,
}

impl From<Scalar> for Asked {
    /// With the model's own gradient.
    fn from(scalar: Scalar) -> Self {
        Self {
            scalar,
            gradients: Gradients::OWN,
        }
    }
}

impl Scalar {
    /// Of one token, or of two for a contrast: the first less the second.
    pub fn of(tokens: &[u32], output: Output) -> Self {
        Self {
            token: tokens[0],
            output,
            minus: tokens.get(1).copied(),
        }
    }
}

/// Points of one path that are wanted for the same outputs.
#[derive(Clone, Debug)]
pub struct Points<'a> {
    /// The path.
    pub path: &'a Path,
    /// Where on it.
    pub alphas: Vec<f64>,
    /// What is read at each.
    pub asked: Vec<Asked>,
}

impl Points<'_> {
    fn gradients(&self) -> Vec<Gradients> {
        self.asked.iter().map(|asked| asked.gradients).collect()
    }
}

/// The integrand at one point, for one output.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// F
    pub output: f64,
    /// Σ_d (x − x′)_{t,d} g_{t,d} of each token; g is ∂F/∂x, or what the method takes for it.
    pub scores: Vec<f64>,
    /// The experts that were chosen; empty where there are none.
    pub routes: Routes,
}

/// What a forward pass shows.
struct Seen {
    logits: Tensor<2>,
    /// Of each sequence.
    routes: Vec<Routes>,
    /// Of each layer; of one sequence, see [`Decoder::chosen`].
    chosen: Vec<Option<Choice>>,
}

/// F at the ends of a path.
#[derive(Clone, Debug, PartialEq)]
pub struct Ends {
    /// At the input.
    pub input: f64,
    /// At the baseline.
    pub baseline: f64,
    /// At the zero vector, where the baseline is a point behind it on the path.
    pub zero: Option<f64>,
    /// On a path from the zero vector, at each of [`LEVELS`] behind the baseline.
    pub levels: [Option<f64>; LEVELS.len()],
    /// What either may be off by, where the model computes in half precision; 0 in float32.
    pub rounding: f64,
    /// Unit roundoff of float32, where the model computes in it, else 0: [`super::adaptive::Options::unit_roundoff`].
    pub unit_roundoff: f64,
    /// The experts that were chosen at the baseline, and at the input; empty where there are none.
    pub routes: [Routes; 2],
}

impl Explainer {
    /// Loads a checkpoint onto a device.
    ///
    /// # Errors
    /// As [`CausalLm::load`]; or the device runs out of memory.
    pub fn load(checkpoint: &Checkpoint, backend: &Backend, precision: impl Into<Precision>) -> Result<Self> {
        let mut precision = precision.into();
        precision.kernels = backend.has_kernels(precision.dtype);
        let load = || CausalLm::load(checkpoint, &backend.device, precision);
        let model = guarded(load).map_err(|e| e.in_file(&checkpoint.folder))??;
        Ok(Self::new(model, backend, precision.dtype))
    }

    /// As [`Self::load`], with permuted parameters: a control. Those of all layers ([`CausalLm::permuted`]), or of so many
    /// of the last ([`CausalLm::permuted_from_the_end`]).
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_permuted(
        checkpoint: &Checkpoint,
        backend: &Backend,
        precision: impl Into<Precision>,
        (seed, layers): (u64, Option<usize>),
    ) -> Result<Self> {
        let mut precision = precision.into();
        precision.kernels = backend.has_kernels(precision.dtype);
        let permuted = |model: CausalLm| match layers {
            None => model.permuted(seed),
            Some(layers) => model.permuted_from_the_end(seed, layers),
        };
        let load = || CausalLm::load(checkpoint, &backend.device, precision).map(permuted);
        let model = guarded(load).map_err(|e| e.in_file(&checkpoint.folder))??;
        Ok(Self::new(model, backend, precision.dtype))
    }

    /// A model that is already on its device, without autodiff.
    pub fn new(model: CausalLm, backend: &Backend, dtype: DType) -> Self {
        let decoder = model.decoder();
        let kernels = backend.has_kernels(dtype);
        Self {
            model,
            decoder,
            device: backend.device.clone(),
            dtype,
            kernels,
            needs_warming: backend.compiles_kernels(),
            mean: OnceLock::new(),
            pass_tokens: backend.pass_tokens,
            #[cfg(test)]
            most: usize::MAX,
            trust: Arc::new(Trust::new(
                backend.checked,
                backend.about.as_ref().is_some_and(|about| about.software),
            )),
            budget: backend.pass_bytes(),
        }
    }

    /// The model itself.
    pub fn model(&self) -> &CausalLm {
        &self.model
    }

    /// What computes with its weights.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// Tokens that fill the device.
    pub fn pass_tokens(&self) -> usize {
        self.pass_tokens
    }

    #[cfg(test)]
    /// Lets all passes under way keep at most this many bytes.
    pub fn limit_memory(&mut self, bytes: usize) {
        self.budget = bytes;
    }

    /// Embeddings of a prompt's tokens, `[tokens, hidden]`.
    pub fn embed(&self, ids: &[u32]) -> Tensor<2> {
        self.model.embed_tokens(ids)
    }

    /// Where the baseline's path begins, `[1, hidden]`.
    pub fn start(&self, start: BaselineVector) -> Tensor<2> {
        let hidden = self.model.embeddings().dims()[1];
        match start {
            BaselineVector::Zero | BaselineVector::ZeroFrom(_) => {
                Tensor::zeros([1, hidden], (&self.device, self.dtype))
            }
            BaselineVector::Mean => {
                let mean = || self.model.mean_embedding().cast(self.dtype);
                self.mean.get_or_init(mean).clone()
            }
            BaselineVector::Token(id) => self.model.embed_tokens(&[id]),
        }
    }

    /// Logits of the last position, `[vocabulary]`, as float32.
    ///
    /// # Errors
    /// Memory runs out.
    pub fn logits(&self, ids: &[u32]) -> Result<Vec<f32>> {
        let work = || {
            floats(landed(
                self.last_logits(&Sequences::new(vec![ids.len()]), &self.embed(ids)),
            ))
        };
        self.on_device(work)
    }

    /// The natural logarithm of the probability of exactly this answer after a prompt: the sum over its tokens, each
    /// given those before it.
    ///
    /// # Errors
    /// Memory runs out.
    pub fn log_probability(&self, ids: &[u32], answer: &[u32]) -> Result<f64> {
        let Some((&token, forced)) = answer.split_last() else {
            return Ok(0.0);
        };
        let scalar = Scalar {
            token,
            output: Output::LogProbability,
            minus: None,
        };
        self.on_device(|| {
            let sequences = Sequences::with_tails(vec![ids.len() + forced.len()], vec![answer.len()]);
            let logits = self.last_logits(&sequences, &self.embed(&[ids, forced].concat()));
            Outputs::new(logits, &[scalar])
                .values(&[scalar], std::iter::once(forced))
                .0[0]
        })
    }

    /// The path from a baseline to a prompt; `forced` are the first tokens of an answer, all but its last.
    ///
    /// # Errors
    /// Memory runs out.
    pub fn path(&self, ids: &[u32], start: BaselineVector, forced: &[u32], routing: Routing) -> Result<Path> {
        let all = [ids, forced].concat();
        let path = self.on_device(|| {
            let embeddings = self.embed(&all);
            let mut path = Path::new(&self.decoder, embeddings.clone(), self.start(start), forced);
            if routing == Routing::Frozen && self.decoder.has_experts() {
                path.frozen = Some(Arc::new(self.choices(&embeddings)));
            }
            Unread(path)
        })?;
        Ok(path.0)
    }

    /// The experts that are chosen for a prompt.
    fn choices(&self, embeddings: &Tensor<2>) -> Frozen {
        let tokens = embeddings.dims()[0];
        // Read at two positions, so that the last layer chooses for all of them.
        let sequences = Sequences::with_tails(vec![tokens], vec![tokens.min(2)]);
        let seen = self.look(&sequences, Entry::Embeddings(embeddings), true);
        Frozen { layers: seen.chosen }
    }

    /// F at the input and at the baseline, for each scalar; `forced` and `frozen` are those of [`Self::path`], and of
    /// the former so many are given only ([`Path::with_given`]).
    ///
    /// # Errors
    /// Memory runs out.
    pub fn ends(
        &self,
        ids: &[u32],
        start: BaselineVector,
        (forced, given): (&[u32], usize),
        frozen: Option<&Frozen>,
        scalars: &[Scalar],
    ) -> Result<Vec<Ends>> {
        self.on_device(|| {
            let prompt = self.embed(ids);
            let forced_rows = (!forced.is_empty()).then(|| self.embed(forced));
            let counted = &forced[given..];
            let (length, tail) = (ids.len() + forced.len(), 1 + counted.len());
            let frozen = [frozen; 2];
            let look = |prompts: &[Tensor<2>]| {
                let parts = prompts
                    .iter()
                    .flat_map(|rows| [Some(rows.clone()), forced_rows.clone()]);
                let all = Tensor::cat(parts.flatten().collect(), 0);
                let count = prompts.len();
                let sequences = Sequences::with_tails(vec![length; count], vec![tail; count]);
                let entry = Entry::Frozen(&all, &frozen[..count]);
                self.look(&sequences, entry, self.decoder.has_experts())
            };
            let at = |alpha: f64| prompt.clone() * alpha;
            let baseline = match start.from() {
                0.0 => self.start(start).repeat_dim(0, ids.len()),
                from => at(from),
            };
            let seen = look(&[prompt.clone(), baseline]);
            let logits = wide(seen.logits);
            let routes = |index: usize| seen.routes.get(index).cloned().unwrap_or_default();
            // Half a unit in the last place of the largest logit is what a logit may be off by.
            let half_unit = match self.dtype {
                DType::BF16 => 2f64.powi(-9),
                DType::F16 => 2f64.powi(-12),
                _ => 0.0,
            };
            let largest = if half_unit > 0.0 {
                f64::from(floats(logits.clone().abs().max())[0])
            } else {
                0.0
            };
            let outputs = Outputs::new(logits, scalars);
            // Where else F is read on a path from the zero vector. Two sequences a pass, as above: more might not fit.
            let further: Vec<f64> = if start.on_path_from_zero() {
                let zero = (start.from() > 0.0).then_some(0.0);
                let levels = LEVELS.into_iter().filter(|level| *level > start.from());
                zero.into_iter().chain(levels).collect()
            } else {
                vec![]
            };
            let pairs = further.chunks(2).map(|alphas| {
                let rows: Vec<Tensor<2>> = alphas.iter().map(|&alpha| at(alpha)).collect();
                (alphas, Outputs::new(look(&rows).logits, scalars))
            });
            let pairs: Vec<(&[f64], Outputs)> = pairs.collect();
            let read = |&scalar: &Scalar| {
                let values = outputs.values(&[scalar; 2], [counted; 2].into_iter()).0;
                let (input, baseline) = (values[0], values[1]);
                let at = |alpha: f64| {
                    pairs.iter().find_map(|(alphas, outputs)| {
                        let place = alphas.iter().position(|&read| read == alpha)?;
                        let count = alphas.len();
                        let values = outputs.values(&vec![scalar; count], vec![counted; count].into_iter()).0;
                        Some(values[place])
                    })
                };
                let slope = match scalar.output {
                    Output::Probability => input.abs().max(baseline.abs()),
                    Output::Logit | Output::LogProbability => tail as f64,
                };
                Ends {
                    input,
                    baseline,
                    zero: at(0.0),
                    levels: LEVELS.map(at),
                    rounding: slope * largest * half_unit,
                    unit_roundoff: if self.dtype == DType::F32 { 2f64.powi(-24) } else { 0.0 },
                    routes: [routes(1), routes(0)],
                }
            };
            scalars.iter().map(read).collect()
        })
    }

    /// The map of a prompt, from `start`, alone; [`schedule::run`] does many at once.
    ///
    /// # Errors
    /// Memory runs out even with one path point a pass.
    pub fn attribute(
        &mut self,
        ids: &[u32],
        start: BaselineVector,
        scalar: Scalar,
        method: impl Method + 'static,
        batch: Batch,
    ) -> Result<Attribution> {
        let task = Task {
            ids: ids.to_vec(),
            forced: vec![],
            given: 0,
            start,
            routing: Routing::default(),
            units: vec![],
            scalar,
            method: Prepared::Path(Arc::new(method)),
        };
        let mut result = None;
        schedule::run(self, &[task], batch, &mut |_| (), &mut |_, found| {
            result = Some(found);
            Ok(())
        })?;
        Ok(result.expect("each task is told once"))
    }

    /// On a GPU, computes one full pass of a task's points, or masks, and discards it: kernels are compiled and tuned at their
    /// first use, and the time of that is no measure of the time left. Returns whether it was needed.
    ///
    /// # Errors
    /// Memory runs out even with one path point in a pass.
    pub fn warm_up(&mut self, task: &Task, batch: Batch) -> Result<bool> {
        if !self.needs_warming {
            return Ok(false);
        }
        self.needs_warming = false;
        if let Prepared::Removal(method) = &task.method {
            let mut removals = self.removals(&Replaceable {
                ids: &task.ids,
                forced: &task.forced,
                given: task.given,
                units: &task.units,
                replacement: task.start,
                routing: task.routing,
                scalars: &[task.scalar],
            })?;
            let mut masks = method.masks(task.units.len());
            masks.truncate(self.pass_tokens.div_ceil(task.ids.len()));
            self.remove(&mut [(&mut removals, &masks[..])], batch, &mut |_| ())?;
            self.forget_failures();
            return Ok(true);
        }
        let path = self.path(&task.ids, task.start, &task.forced, task.routing)?;
        let path = path.with_given(task.given);
        let count = match batch {
            Batch::Fixed(size) => size,
            Batch::Auto => self.pass_tokens.div_ceil(task.ids.len()),
        };
        let points = Points {
            path: &path,
            alphas: (1..=count).map(|i| i as f64 / count as f64).collect(),
            asked: vec![Asked {
                scalar: task.scalar,
                gradients: task.method.gradients(),
            }],
        };
        self.evaluate(&[points], batch, &mut |_| ())?;
        self.forget_failures();
        Ok(true)
    }

    fn last_logits(&self, sequences: &Sequences, x: &Tensor<2>) -> Tensor<2> {
        self.look(sequences, Entry::Embeddings(x), false).logits
    }

    /// A forward pass: logits, and where `experts` are asked for, those that were chosen on the way. That takes the
    /// memory of a pass that is gone back through.
    fn look(&self, sequences: &Sequences, entry: Entry<'_>, experts: bool) -> Seen {
        let rotary = self.decoder.rotary(sequences.longest());
        if self.kernels {
            let threads = Threads::All;
            self.look_with(&Cpu { threads, rotary }, sequences, entry, experts)
        } else {
            let ops = self.operations(&rotary, sequences);
            self.look_with(&ops, sequences, entry, experts)
        }
    }

    fn look_with<O: Ops>(&self, ops: &O, sequences: &Sequences, entry: Entry<'_>, experts: bool) -> Seen {
        let keep = if experts { Keep::Everything } else { Keep::Nothing };
        let trace = self.decoder.forward(ops, sequences, entry, keep);
        Seen {
            routes: self.decoder.routes(sequences, &trace),
            chosen: self.decoder.chosen(&trace),
            logits: trace.logits,
        }
    }

    /// A device's operations for a pass.
    fn operations(&self, rotary: &Tables, sequences: &Sequences) -> OnDevice {
        OnDevice::new(&self.device, self.dtype, rotary, sequences).with_attention(self.attention_bytes())
    }

    /// Bytes of attention scores that are there at one time: as many as fill a large card, and no more than a fair share
    /// of a small one.
    fn attention_bytes(&self) -> usize {
        (self.budget / 32).clamp(16 << 20, ATTENTION_BYTES)
    }

    /// Bytes that a pass keeps for one point of a path, from what its backward half reads.
    fn kept(&self, path: &Path) -> usize {
        let (whole, inputs) = self.both_kept(path);
        if self.recomputes(path.tokens(), whole) {
            inputs
        } else {
            whole
        }
    }

    /// Bytes of one point where everything is kept, and where what enters each layer is.
    fn both_kept(&self, path: &Path) -> (usize, usize) {
        let of = PassMemory {
            footprint: self.decoder.kept(),
            element: self.dtype.size(),
            // The kernels have no scores of more than a few rows at any time.
            attention: (!self.kernels).then(|| self.attention_bytes()),
        };
        let (tokens, outputs) = (path.tokens(), 1 + path.counted().len());
        [Keep::Everything, Keep::Inputs]
            .map(|keep| of.bytes(keep, tokens, outputs))
            .into()
    }

    /// Whether so few points with everything kept fit into memory that a layer is better computed again. The CPU's
    /// kernels are as fast with few rows as with many.
    fn recomputes(&self, tokens: usize, whole: usize) -> bool {
        !self.kernels && self.budget / whole.max(1) * tokens < FEW_ROWS
    }

    /// The integrand at all points: for each of `wanted`, for each α, for each scalar.
    ///
    /// `progress` is called with the number of evaluations (one point and one scalar each) as they are done.
    ///
    /// # Errors
    /// Memory runs out even with one path point in a pass.
    pub fn evaluate(
        &mut self,
        wanted: &[Points<'_>],
        batch: Batch,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<Vec<Value>>>> {
        let mut values: Vec<Vec<Vec<Value>>> = wanted
            .iter()
            .map(|points| Vec::with_capacity(points.alphas.len()))
            .collect();
        // Points with more outputs first, so that a backward pass for a second output is one for the first sequences;
        // and those by the same gradients together, since a backward pass has one kind.
        let own: Vec<Vec<Gradients>> = wanted.iter().map(Points::gradients).collect();
        let mut longest_first: Vec<&Vec<Gradients>> = own.iter().collect();
        longest_first.sort_by_key(|gradients| std::cmp::Reverse(gradients.len()));
        let kind = |index: usize| longest_first.iter().position(|kind| kind.starts_with(&own[index]));
        let kinds: Vec<usize> = (0..wanted.len()).filter_map(kind).collect();
        let mut order: Vec<usize> = (0..wanted.len()).collect();
        order.sort_by_key(|&index| (kinds[index], std::cmp::Reverse(own[index].len())));
        let points = |index: usize| (0..wanted[index].alphas.len()).map(move |alpha| (index, alpha));
        let sequences: Vec<(usize, usize)> = order.into_iter().flat_map(points).collect();
        let size = |this: &Self, &(index, _): &(usize, usize)| {
            let path = wanted[index].path;
            Size {
                rows: path.tokens(),
                bytes: this.kept(path),
                kind: kinds[index],
            }
        };
        let compute = |this: &Self, pass: &[(usize, usize)], threads: Threads| this.pass(wanted, pass, threads);
        self.in_passes(&sequences, batch, &size, &compute, &mut |pass, done| {
            progress(done.iter().map(Vec::len).sum());
            for (&(index, _), value) in pass.iter().zip(done) {
                values[index].push(value);
            }
        })?;
        Ok(values)
    }

    /// One pass: for each sequence, for each of its scalars, the integrand.
    fn pass(&self, wanted: &[Points<'_>], pass: &[(usize, usize)], threads: Threads) -> Vec<Vec<Value>> {
        let paths = pass.iter().map(|&(index, _)| wanted[index].path);
        let (lengths, tails) = paths.map(|path| (path.tokens(), 1 + path.counted().len())).unzip();
        let sequences = Sequences::with_tails(lengths, tails);
        let rotary = self.decoder.rotary(sequences.longest());
        if self.kernels {
            self.pass_on(&Cpu { threads, rotary }, wanted, pass, &sequences)
        } else {
            let ops = self.operations(&rotary, &sequences);
            self.pass_on(&ops, wanted, pass, &sequences)
        }
    }

    fn pass_on<O: Ops>(
        &self,
        ops: &O,
        wanted: &[Points<'_>],
        pass: &[(usize, usize)],
        sequences: &Sequences,
    ) -> Vec<Vec<Value>> {
        let stretches = |count: usize| -> Vec<Stretch<'_>> {
            let runs = pass[..count].chunk_by(|a, b| a.0 == b.0);
            let stretch = |run: &[(usize, usize)]| {
                let (index, first) = run[0];
                let points = &wanted[index];
                Stretch {
                    path: points.path,
                    alphas: &points.alphas[first..first + run.len()],
                }
            };
            runs.map(stretch).collect()
        };
        let all = stretches(pass.len());
        let whole = |&(index, _): &(usize, usize)| self.both_kept(wanted[index].path).0;
        let keep = if !self.kernels && pass.iter().map(whole).sum::<usize>() > self.budget {
            Keep::Inputs
        } else {
            Keep::Everything
        };
        let trace = self.decoder.forward(ops, sequences, Entry::Paths(&all), keep);
        let of = |&(index, _): &(usize, usize)| &wanted[index].asked;
        let all_asked: Vec<Scalar> = pass
            .iter()
            .flat_map(|s| of(s).iter().map(|asked| asked.scalar))
            .collect();
        let outputs = Outputs::new(trace.logits.clone(), &all_asked);
        let routes = self.decoder.routes(sequences, &trace);
        let mut values: Vec<Vec<Value>> = pass.iter().map(|s| Vec::with_capacity(of(s).len())).collect();
        for (round, first) in pass.first().into_iter().flat_map(of).enumerate() {
            let asked = pass.iter().map_while(|s| of(s).get(round));
            let asked: Vec<Scalar> = asked.map(|asked| asked.scalar).collect();
            let count = asked.len();
            let counted = pass.iter().map(|&(index, _)| wanted[index].path.counted());
            let (found, seeds) = outputs.values(&asked, counted);
            let gradient = outputs.hidden_gradient(ops, &self.decoder, &seeds);
            let scores = self.decoder.backward(
                ops,
                &sequences.first(count),
                &trace,
                &stretches(count),
                gradient,
                first.gradients,
            );
            let mut rows = scores.iter();
            let found = found.into_iter().zip(&seeds.sizes);
            let paths = pass.iter().map(|&(index, _)| wanted[index].path);
            let of_each = values.iter_mut().zip(found).zip(paths).zip(&routes);
            for (((values, (output, &size)), path), routes) in of_each {
                let mut scores: Vec<f64> = rows.by_ref().take(path.tokens()).map(|&score| score * size).collect();
                // Tokens that stay what they are have no share.
                scores.truncate(path.tokens() - path.forced().len());
                let routes = routes.clone();
                values.push(Value { output, scores, routes });
            }
        }
        values
    }
}

impl Drop for Explainer {
    fn drop(&mut self) {
        // The next model's rows are of other sizes.
        if self.kernels {
            forget_memory();
            rayon::broadcast(|_| forget_memory());
        }
    }
}

/// Rows of a pass below which a device is not full, so that computing layers again is worth its memory.
const FEW_ROWS: usize = 4096;

/// What decides how much memory a pass takes with its backward half.
#[derive(Clone, Copy, Debug)]
struct PassMemory {
    footprint: Footprint,
    /// Bytes of a number.
    element: usize,
    /// Bytes of attention scores at one time, where passes hold scores at all.
    attention: Option<usize>,
}

impl PassMemory {
    /// Bytes for one sequence.
    fn bytes(&self, keep: Keep, tokens: usize, outputs: usize) -> usize {
        let row = match keep {
            Keep::Nothing => 0,
            Keep::Everything => self.footprint.whole,
            Keep::Inputs => self.footprint.inputs,
        };
        // Burn's operations hold the scores of a block, in float32, about five times at once. Sequences of one pass take
        // turns, so that this is more than the second and all further ones need.
        let scores = 4 * self.footprint.heads * tokens * tokens;
        let scores = self.attention.map_or(0, |most| 5 * scores.min(most));
        self.element * (row * tokens + self.footprint.output * outputs) + scores
    }
}

/// Runs tensor code, which panics when an allocation fails, and converts a panic into an error.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T> {
    guard::guarded(work).map_err(|text| {
        Diagnostic::compute(format!("the device failed: {text}"))
            .help("if memory ran out: set a smaller `attribution.batch`, use a narrower `dtype`, or a device with more memory")
    })
}

#[cfg(test)]
mod tests;
