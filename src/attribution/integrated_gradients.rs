//! Integrated Gradients on a loaded model.
//!
//! For input embeddings x, baseline x′ and output F, read at the last position: the score of token t is
//! Σ_d (x − x′)_{t,d} ∫₀¹ ∂F/∂x_{t,d}(x′ + α(x − x′)) dα. Path points share a batch; the weights get no gradient. Sums over
//! the hidden dimension are in float32, sums over path points in float64, whatever the model computes in.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::activation::log_softmax;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use super::quadrature::Point;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::config::ModelConfig;
use crate::content::experiment::{Batch, Output};
use crate::diagnostic::{Diagnostic, Result};
use crate::model::CausalLm;
use crate::model::device::Backend;
use crate::store::record::NonFinite;

/// A model on its device, ready to be explained.
#[derive(Debug)]
pub struct Explainer {
    model: CausalLm,
    device: Device,
    dtype: DType,
    shape: Shape,
    pass_tokens: usize,
    /// What `batch: auto` lets autodiff keep in one pass, in bytes by [`Shape::kept`]; halved for good when memory runs out.
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

/// Where a path starts, as vectors: the same one at every position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Start {
    /// The zero vector.
    Zero,
    /// The mean of the embedding table's rows.
    Mean,
    /// The embedding of a token.
    Token(u32),
}

/// What a path integral came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribution {
    /// One signed score a token, in the output's unit.
    pub scores: Vec<f64>,
    /// F at the input.
    pub f_input: f64,
    /// F at the baseline.
    pub f_baseline: f64,
    /// Forward and backward passes at path points.
    pub evaluations: usize,
    /// The first path point with a value that is not finite; the scores then mean nothing.
    pub non_finite: Option<NonFinite>,
}

impl Attribution {
    /// Sum of the scores.
    pub fn sum(&self) -> f64 {
        self.scores.iter().sum()
    }

    /// Sum of the scores − (F(input) − F(baseline)): zero for an exact integral.
    pub fn convergence_delta(&self) -> f64 {
        self.sum() - (self.f_input - self.f_baseline)
    }
}

impl Explainer {
    /// Loads a checkpoint onto a device.
    ///
    /// # Errors
    /// As [`CausalLm::load`]; or the device runs out of memory.
    pub fn load(checkpoint: &Checkpoint, backend: &Backend, dtype: DType) -> Result<Self> {
        let device = backend.device.clone().autodiff();
        let model =
            guarded(|| CausalLm::load(checkpoint, &device, dtype)).map_err(|e| e.in_file(&checkpoint.folder))??;
        Ok(Self {
            model,
            device,
            dtype,
            shape: Shape::of(&checkpoint.config.model),
            pass_tokens: backend.pass_tokens,
            budget: backend.pass_bytes,
        })
    }

    /// The model itself.
    pub fn model(&self) -> &CausalLm {
        &self.model
    }

    /// Embeddings of a prompt's tokens, `[tokens, hidden]`.
    pub fn embed(&self, ids: &[u32]) -> Tensor<2> {
        let ids: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
        let count = ids.len();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [1, count]), &self.device);
        self.model.embed(ids).squeeze_dim(0)
    }

    /// The baseline's vector, `[1, hidden]`.
    pub fn start(&self, start: Start) -> Tensor<2> {
        let table = self.model.embedding_table();
        let hidden = table.dims()[1];
        match start {
            Start::Zero => Tensor::zeros([1, hidden], (&self.device, self.dtype)),
            Start::Mean => table.cast(DType::F32).mean_dim(0).cast(self.dtype),
            Start::Token(id) => table.narrow(0, id as usize, 1),
        }
    }

    /// Logits of the last position, `[vocabulary]`, as float32.
    ///
    /// # Errors
    /// Memory runs out.
    pub fn logits(&self, ids: &[u32]) -> Result<Vec<f32>> {
        guarded(|| {
            let x = self.embed(ids).unsqueeze();
            floats(self.model.last_logits(x).cast(DType::F32))
        })
    }

    /// The path integral from `start` to the prompt's embeddings with the rule `points`.
    ///
    /// `progress` is told the number of path points after each pass. A value that is not finite ends the integral early and is
    /// told in the result.
    ///
    /// # Errors
    /// Memory runs out even with one path point a pass.
    pub fn attribute(
        &mut self,
        ids: &[u32],
        start: Start,
        scalar: Scalar,
        points: &[Point],
        batch: Batch,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Attribution> {
        let tokens = ids.len();
        let input = self.embed(ids);
        let baseline = self.start(start);
        let difference = input.clone() - baseline.clone();
        let ends = Tensor::stack(vec![input, baseline.clone().repeat_dim(0, tokens)], 0);
        let ends = guarded(|| floats(self.output(ends, scalar)))?;
        let mut result = Attribution {
            scores: vec![0.0; tokens],
            f_input: f64::from(ends[0]),
            f_baseline: f64::from(ends[1]),
            evaluations: 0,
            non_finite: None,
        };
        for (value, alpha) in [(result.f_baseline, 0.0), (result.f_input, 1.0)] {
            if !value.is_finite() {
                result.non_finite = Some(NonFinite {
                    alpha,
                    what: "output".to_owned(),
                });
                return Ok(result);
            }
        }
        let mut left = points;
        while !left.is_empty() {
            let size = match batch {
                Batch::Fixed(size) => size,
                Batch::Auto => (self.budget / self.shape.kept(tokens)).min(self.pass_tokens / tokens),
            };
            let (now, later) = left.split_at(size.clamp(1, left.len()));
            let pass = guarded(|| self.pass(&baseline, &difference, now, scalar));
            let pass = match pass {
                Ok(pass) => pass,
                // Half the points need half the memory; what was summed so far stays.
                Err(_) if batch == Batch::Auto && now.len() > 1 => {
                    self.budget = self.shape.kept(tokens) * now.len() / 2;
                    continue;
                }
                Err(e) => return Err(e),
            };
            for (index, point) in now.iter().enumerate() {
                let row = &pass.gradients[index * tokens..(index + 1) * tokens];
                let what = match (
                    pass.outputs[index].is_finite(),
                    row.iter().all(|value| value.is_finite()),
                ) {
                    (true, true) => None,
                    (false, _) => Some("output"),
                    (true, false) => Some("gradient"),
                };
                if let Some(what) = what {
                    result.non_finite = Some(NonFinite {
                        alpha: point.alpha,
                        what: what.to_owned(),
                    });
                    return Ok(result);
                }
                for (score, &value) in result.scores.iter_mut().zip(row) {
                    *score += point.weight * f64::from(value);
                }
            }
            result.evaluations += now.len();
            progress(now.len());
            left = later;
        }
        Ok(result)
    }

    /// One forward and backward pass at several path points.
    fn pass(&self, baseline: &Tensor<2>, difference: &Tensor<2>, points: &[Point], scalar: Scalar) -> Pass {
        let alphas: Vec<f32> = points.iter().map(|point| point.alpha as f32).collect();
        let count = alphas.len();
        let alphas = Tensor::<3>::from_data(TensorData::new(alphas, [count, 1, 1]), (&self.device, DType::F32));
        // The path is laid in float32, so that neighbouring points stay apart in a narrower dtype's last bits.
        let difference = difference.clone().cast(DType::F32).unsqueeze::<3>();
        let path = baseline.clone().cast(DType::F32).unsqueeze::<3>() + difference.clone() * alphas;
        let x = path.cast(self.dtype).detach().require_grad();
        let output = self.output(x.clone(), scalar);
        // Each output depends on its own point alone, so the gradient of their sum holds each one's gradient.
        let mut gradients = output.clone().sum().backward();
        let gradient = x.grad_remove(&mut gradients).map(|g| g.cast(DType::F32));
        let products = gradient.map(|g| (g * difference.inner()).sum_dim(2));
        Pass {
            outputs: floats(output),
            gradients: products.map_or_else(|| vec![0.0; count * x.dims()[1]], floats),
        }
    }

    /// F for each of a batch of embeddings, `[batch, tokens, hidden]` to `[batch]`, as float32.
    fn output(&self, x: Tensor<3>, scalar: Scalar) -> Tensor<1> {
        let logits = self.model.last_logits(x).cast(DType::F32);
        let values = match scalar.output {
            Output::Logit => logits,
            Output::LogProbability | Output::Probability => log_softmax(logits, 1),
        };
        let of = |token: u32| {
            let value = values.clone().narrow(1, token as usize, 1).squeeze_dim::<1>(1);
            if scalar.output == Output::Probability {
                value.exp()
            } else {
                value
            }
        };
        match scalar.minus {
            None => of(scalar.token),
            Some(minus) => of(scalar.token) - of(minus),
        }
    }
}

/// What an estimate of memory needs to know of a model.
#[derive(Clone, Copy, Debug)]
struct Shape {
    layers: usize,
    hidden: usize,
    heads: usize,
}

impl Shape {
    fn of(config: &ModelConfig) -> Self {
        let heads = match config {
            ModelConfig::Llama(config) => config.num_attention_heads,
            ModelConfig::Falcon(config) => config.num_attention_heads,
        };
        Self {
            layers: config.layers(),
            hidden: config.hidden_size(),
            heads,
        }
    }

    /// Bytes that autodiff keeps for one path point, estimated: in each layer about 30 activations as wide as the residual
    /// stream, and three matrices of attention weights, all in float32.
    fn kept(self, tokens: usize) -> usize {
        4 * self.layers * tokens * (30 * self.hidden + 3 * self.heads * tokens)
    }
}

/// What one pass came to: F at each point, and Σ_d (x − x′)_{t,d} ∂F/∂x_{t,d} for each point and token.
struct Pass {
    outputs: Vec<f32>,
    gradients: Vec<f32>,
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor
        .into_data_dtype(DType::F32)
        .try_to_vec()
        .expect("converted to float32 in this line")
}

/// How many threads are inside [`guarded`] now.
static GUARDED: AtomicUsize = AtomicUsize::new(0);

/// Whether a panic now would be caught and told as an error. Tensor code may panic on a thread of its own, so this asks about
/// the process, not the thread.
pub fn is_guarded() -> bool {
    GUARDED.load(Ordering::Relaxed) > 0
}

/// Runs tensor code, which tells a failed allocation by panicking, and turns a panic into an error.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T> {
    GUARDED.fetch_add(1, Ordering::Relaxed);
    let done = catch_unwind(AssertUnwindSafe(work));
    GUARDED.fetch_sub(1, Ordering::Relaxed);
    done.map_err(|payload| {
        let text = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("unknown failure");
        Diagnostic::compute(format!("the device failed: {text}"))
            .help("if memory ran out: set a smaller `attribution.batch`, use a narrower `dtype`, or a device with more memory")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_tensor_code_is_an_error_that_names_the_remedies() {
        assert!(!is_guarded());
        let error = guarded(|| -> () { panic!("out of memory: 12 GiB") }).unwrap_err();
        assert_eq!(error.message, "the device failed: out of memory: 12 GiB");
        assert!(error.help.unwrap().contains("attribution.batch"));
        assert!(!is_guarded());
    }

    #[test]
    fn long_prompts_take_fewer_points_a_pass() {
        let shape = Shape {
            layers: 32,
            hidden: 4096,
            heads: 32,
        };
        let points = |tokens| (4usize << 30) / shape.kept(tokens);
        // A 7B model: one point of the notebook's prompt keeps 1.3 GB.
        assert_eq!(points(81), 3);
        assert!(shape.kept(2000) > 20 * shape.kept(81));
    }
}
