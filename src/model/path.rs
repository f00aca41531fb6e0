//! The straight path from a baseline to a prompt's embeddings, and the first layer's work that its straightness saves.
//!
//! On the path x(α) = x′ + α Δ the first norm gives n = r (x̄′ + α Δ̄) ∘ γ + β, where a bar takes a row's mean away
//! (LayerNorm; no bar for RMSNorm) and r = 1/√(mean(x̄²) + ε). So a linear layer W behind it is r (A + α B) + C with A
//! = W(γ ∘ x̄′), B = W(γ ∘ Δ̄), C = W β: two products for the whole path instead of one for each of its points. And
//! since dn/dα = r³ [(ε + mean(x̄ x̄′)) Δ̄ − mean(x̄ Δ̄) x̄′] ∘ γ, the score needs only the dot products of that
//! layer's gradient with B and A, instead of its product with Wᵀ. The difference in the bracket is taken here in
//! float64: on the way from zero it is ε Δ, the small remainder of two large terms, which the usual way takes in the
//! model's own precision. Without a norm, r = 1 and dn/dα = Δ. Learned embeddings of positions stand at both ends, and
//! do not change along the path. Biases are in C.

use std::sync::Arc;

use burn::tensor::Tensor;

use super::decoder::{Decoder, Linear};
use super::experts::Frozen;
use super::ops::NormWeights;
use crate::tensor::care::{mean, wide};
use crate::tensor::host::{Host, doubles};

/// A path, ready to be walked.
#[derive(Clone, Debug)]
pub struct Path {
    /// x′, `[tokens, hidden]`.
    pub baseline: Along,
    /// x − x′, `[tokens, hidden]`.
    pub difference: Along,
    /// What saves the first layer's products; none where a model has one layer only, whose queries are not all needed.
    pub projection: Option<Projection>,
    /// The experts of each token, where they are to be those that were chosen at the input.
    pub frozen: Option<Arc<Frozen>>,
    tokens: usize,
    forced: Vec<u32>,
    given: usize,
}

/// Rows of a path's end, in float32, or float64 where the model is.
#[derive(Clone, Debug)]
pub struct Along {
    /// On the device.
    pub tensor: Tensor<2>,
    /// In main memory.
    pub host: Option<Host>,
}

impl Along {
    fn new(tensor: Tensor<2>) -> Self {
        let tensor = wide(tensor);
        let host = Host::of(&tensor);
        Self { tensor, host }
    }
}

/// The first layer's linear layers at both ends of a path.
#[derive(Clone, Debug)]
pub struct Projection {
    /// (A, B, C) of each.
    pub layers: Vec<[Along; 3]>,
    /// mean(x̄′²), mean(x̄′ Δ̄), mean(Δ̄²) of each row; none: there is no norm.
    moments: Option<Vec<[f64; 3]>>,
    epsilon: f64,
}

/// What the formulas above need at one row and one α.
#[derive(Clone, Copy, Debug)]
pub struct Coefficients {
    /// r
    pub scale: f64,
    /// r³ (ε + mean(x̄ x̄′)), the factor of B in dn/dα.
    pub along: f64,
    /// −r³ mean(x̄ Δ̄), the factor of A.
    pub back: f64,
}

impl Coefficients {
    /// The same where r counts as a constant: dn/dα = r Δ̄ ∘ γ.
    pub fn detached(self) -> Self {
        Self {
            along: self.scale,
            back: 0.0,
            ..self
        }
    }
}

impl Projection {
    /// At a row of the path.
    pub fn at(&self, row: usize, alpha: f64) -> Coefficients {
        let Some(moments) = &self.moments else {
            return Coefficients {
                scale: 1.0,
                along: 1.0,
                back: 0.0,
            };
        };
        let [base, cross, step] = moments[row];
        let scale = 1.0 / (base + 2.0 * alpha * cross + alpha * alpha * step + self.epsilon).sqrt();
        let cube = scale * scale * scale;
        Coefficients {
            scale,
            along: cube * (self.epsilon + base + alpha * cross),
            back: -cube * (cross + alpha * step),
        }
    }
}

impl Path {
    /// From `baseline` (`[1, hidden]`, the same vector at every position) to `input` (`[tokens, hidden]`). The last
    /// positions may be tokens that the model is made to say (`forced`): they stay what they are all along the path.
    pub fn new(model: &Decoder, input: Tensor<2>, baseline: Tensor<2>, forced: &[u32]) -> Self {
        let [tokens, _] = input.dims();
        let input = wide(input);
        let prompt = tokens - forced.len();
        let baseline = wide(baseline).repeat_dim(0, prompt);
        let baseline = match forced.len() {
            0 => baseline,
            count => Tensor::cat(vec![baseline, input.clone().narrow(0, prompt, count)], 0),
        };
        let difference = input - baseline.clone();
        let baseline = wide(model.with_positions(baseline, 0..tokens));
        let projection = if model.layers.len() > 1 {
            Projection::new(model, &baseline, &difference)
        } else {
            None
        };
        Self {
            baseline: Along::new(baseline),
            difference: Along::new(difference),
            projection,
            frozen: None,
            tokens,
            forced: forced.to_vec(),
            given: 0,
        }
    }

    /// The same where the first `given` of the forced tokens are no part of what is explained: the model is given them,
    /// and F does not count them.
    pub fn with_given(self, given: usize) -> Self {
        assert!(given <= self.forced.len(), "given tokens are forced tokens");
        Self { given, ..self }
    }

    /// Whether it begins so near the zero vector that norms turn the signal on along it: the baseline is a thousandth
    /// of the way.
    pub fn starts_at_zero(&self) -> bool {
        let prompt = self.tokens - self.forced.len();
        let size = |along: &Along| doubles(along.tensor.clone().narrow(0, 0, prompt).square().mean())[0];
        size(&self.baseline) <= 1e-6 * size(&self.difference)
    }

    /// Tokens in all.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Tokens behind the prompt that stay what they are.
    pub fn forced(&self) -> &[u32] {
        &self.forced
    }

    /// Those of them whose log-probabilities F counts.
    pub fn counted(&self) -> &[u32] {
        &self.forced[self.given..]
    }
}

impl Projection {
    /// None where the layers that read the path have norms of different kinds.
    fn new(model: &Decoder, baseline: &Tensor<2>, difference: &Tensor<2>) -> Option<Self> {
        let layers = model.layers[0].first_projections();
        let kind = |norm: Option<&NormWeights>| norm.map(|norm| (norm.bias.is_some(), norm.epsilon));
        let kinds: Vec<_> = layers.iter().map(|(_, norm)| kind(*norm)).collect();
        if kinds.iter().any(|kind| *kind != kinds[0]) {
            return None;
        }
        let centred = |x: &Tensor<2>| match kinds[0] {
            Some((true, _)) => x.clone() - mean(x.clone(), 1),
            _ => x.clone(),
        };
        let (base, step) = (centred(baseline), centred(difference));
        let moments = kinds[0].map(|_| {
            let [rows, width] = base.dims();
            let (a, b) = (doubles(base.clone()), doubles(step.clone()));
            let middle =
                |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / width as f64 };
            (0..rows)
                .map(|row| {
                    let (a, b) = (&a[row * width..][..width], &b[row * width..][..width]);
                    [middle(a, a), middle(a, b), middle(b, b)]
                })
                .collect()
        });
        let through = |(linear, norm): &(&Linear, Option<&NormWeights>)| {
            let product = |x: &Tensor<2>| linear.weight.through(x);
            let [base, step] = [&base, &step].map(|x| match norm {
                Some(norm) => product(&(x.clone() * wide(norm.weight.clone()).unsqueeze::<2>())),
                None => product(x),
            });
            let bias = norm.and_then(|norm| norm.bias.as_ref());
            let constant = match bias {
                Some(bias) => product(&wide(bias.clone()).unsqueeze::<2>()),
                None => Tensor::zeros([1, linear.weight.dims()[0]], (&base.device(), base.dtype())),
            };
            let constant = match &linear.bias {
                Some(bias) => constant + wide(bias.tensor.clone()).unsqueeze::<2>(),
                None => constant,
            };
            [base, step, constant].map(Along::new)
        };
        Some(Self {
            layers: layers.iter().map(through).collect(),
            moments,
            epsilon: kinds[0].map_or(0.0, |(_, epsilon)| epsilon),
        })
    }
}
