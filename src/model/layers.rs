//! What the decoders share: linear layers, norms, rotary positions, attention with grouped heads.

use burn::module::{Module, Param};
use burn::tensor::activation::softmax;
use burn::tensor::{DType, Device, Distribution, Int, Tensor, TensorCreationOptions, TensorData};

use super::Positions;
use super::frozen::ops::{NormWeights, Weight};
use crate::checkpoint::Loader;
use crate::diagnostic::Result;
use crate::tensor::matrix::Matrix;

/// A linear layer without bias, kept as the checkpoint keeps it.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[out, in]`
    pub weight: Matrix,
}

impl Linear {
    pub fn load(loader: &mut Loader, name: &str, output: usize, input: usize) -> Result<Self> {
        Ok(Self {
            weight: loader.linear(name, [output, input])?,
        })
    }

    pub fn init(output: usize, input: usize, deviation: f64, place: &TensorCreationOptions) -> Self {
        Self {
            weight: random([output, input], deviation, place).into(),
        }
    }

    /// Its weights, for [`super::frozen`].
    pub fn frozen(&self) -> Weight {
        Weight::of(&self.weight)
    }

    /// `[batch, tokens, in]` to `[batch, tokens, out]`, as one product over all positions.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        project(x, self.weight.val())
    }
}

/// x Wᵀ for `x` of `[batch, tokens, in]` and `w` of `[out, in]`.
pub fn project(x: Tensor<3>, w: Tensor<2>) -> Tensor<3> {
    let [batch, tokens, input] = x.dims();
    let [output, _] = w.dims();
    x.reshape([batch * tokens, input])
        .matmul(w.transpose())
        .reshape([batch, tokens, output])
}

/// A trainable parameter drawn from a normal distribution.
pub fn random<const D: usize>(shape: [usize; D], deviation: f64, place: &TensorCreationOptions) -> Param<Tensor<D>> {
    Param::from_tensor(Tensor::random(
        shape,
        Distribution::Normal(0.0, deviation),
        place.clone(),
    ))
}

/// Standard deviations for the layers of a model to be trained: (inside, where a layer writes to the residual stream).
pub fn deviations(layers: usize) -> (f64, f64) {
    (0.02, 0.02 / (2.0 * layers as f64).sqrt())
}

/// Rows of the table `[vocabulary, hidden]` for ids `[batch, tokens]`: `[batch, tokens, hidden]`.
pub fn embed(table: Tensor<2>, ids: Tensor<2, Int>) -> Tensor<3> {
    let [batch, tokens] = ids.dims();
    let [_, hidden] = table.dims();
    table
        .select(0, ids.reshape([batch * tokens]))
        .reshape([batch, tokens, hidden])
}

/// The last position of `[batch, tokens, hidden]`, as `[batch, 1, hidden]`.
pub fn last(x: Tensor<3>) -> Tensor<3> {
    let tokens = x.dims()[1];
    x.narrow(1, tokens - 1, 1)
}

/// RMSNorm (Zhang and Sennrich 2019): x / √(mean(x²) + ε) · weight, the mean in float32.
#[derive(Module, Debug)]
pub struct RmsNorm {
    /// `[hidden]`
    pub weight: Param<Tensor<1>>,
    epsilon: f64,
}

impl RmsNorm {
    pub fn load(loader: &mut Loader, name: &str, width: usize, epsilon: f64) -> Result<Self> {
        Ok(Self {
            weight: loader.take(name, [width])?,
            epsilon,
        })
    }

    pub fn init(width: usize, epsilon: f64, place: &TensorCreationOptions) -> Self {
        Self {
            weight: Param::from_tensor(Tensor::ones([width], place.clone())),
            epsilon,
        }
    }

    /// Its parameters, for [`super::frozen`].
    pub fn frozen(&self) -> NormWeights {
        NormWeights::new(self.weight.val(), None, self.epsilon)
    }

    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let dtype = x.dtype();
        let x = x.cast(DType::F32);
        let scale = (x.clone().square().mean_dim(2) + self.epsilon).sqrt();
        (x / scale).cast(dtype) * self.weight.val().unsqueeze()
    }
}

/// LayerNorm (Ba et al. 2016) with bias, its moments in float32.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// `[hidden]`
    pub weight: Param<Tensor<1>>,
    /// `[hidden]`
    pub bias: Param<Tensor<1>>,
    epsilon: f64,
}

impl LayerNorm {
    pub fn load(loader: &mut Loader, name: &str, width: usize, epsilon: f64) -> Result<Self> {
        Ok(Self {
            weight: loader.take(&format!("{name}.weight"), [width])?,
            bias: loader.take(&format!("{name}.bias"), [width])?,
            epsilon,
        })
    }

    pub fn init(width: usize, epsilon: f64, place: &TensorCreationOptions) -> Self {
        Self {
            weight: Param::from_tensor(Tensor::ones([width], place.clone())),
            bias: Param::from_tensor(Tensor::zeros([width], place.clone())),
            epsilon,
        }
    }

    /// Its parameters, for [`super::frozen`].
    pub fn frozen(&self) -> NormWeights {
        NormWeights::new(self.weight.val(), Some(self.bias.val()), self.epsilon)
    }

    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let dtype = x.dtype();
        let x = x.cast(DType::F32);
        let centred = x.clone() - x.mean_dim(2);
        let scale = (centred.clone().square().mean_dim(2) + self.epsilon).sqrt();
        (centred / scale).cast(dtype) * self.weight.val().unsqueeze() + self.bias.val().unsqueeze()
    }
}

/// Rotary positions (Su et al. 2021) in the half-split form of Hugging Face: pairs are (i, i + d/2).
#[derive(Clone, Debug)]
struct Rotary {
    /// `[1, 1, tokens, head]`
    cos: Tensor<4>,
    /// `[1, 1, tokens, head]`
    sin: Tensor<4>,
}

impl Rotary {
    /// Angles for positions 0 to `tokens`, computed in float64.
    fn new(tokens: usize, head: usize, theta: f64, dtype: DType, device: &Device) -> Self {
        let table = |f: fn(f64) -> f64| {
            let values: Vec<f32> = (0..tokens)
                .flat_map(|position| {
                    (0..head).map(move |i| {
                        let pair = i % (head / 2);
                        let frequency = theta.powf(-2.0 * pair as f64 / head as f64);
                        f(position as f64 * frequency) as f32
                    })
                })
                .collect();
            Tensor::from_data(TensorData::new(values, [1, 1, tokens, head]), (device, dtype))
        };
        Self {
            cos: table(f64::cos),
            sin: table(f64::sin),
        }
    }

    /// Turns `[batch, heads, tokens, head]`, whose first position is `from`.
    fn turn(&self, x: Tensor<4>, from: usize) -> Tensor<4> {
        let [_, _, tokens, head] = x.dims();
        let first = x.clone().narrow(3, 0, head / 2);
        let second = x.clone().narrow(3, head / 2, head / 2);
        let across = Tensor::cat(vec![second.neg(), first], 3);
        x * self.cos.clone().narrow(2, from, tokens) + across * self.sin.clone().narrow(2, from, tokens)
    }
}

/// The shape of an attention layer.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    /// Query heads.
    pub query: usize,
    /// Key/value heads; each serves `query / key` query heads.
    pub key: usize,
    /// Width of a head.
    pub width: usize,
}

/// Scaled dot-product attention with rotary positions, for prompts of one length.
#[derive(Clone, Debug)]
pub struct Attention {
    heads: Heads,
    rotary: Rotary,
    /// See [`causal_mask`].
    mask: Tensor<4>,
}

impl Attention {
    /// For a residual stream `[batch, tokens, hidden]` such as `x`.
    pub fn new(heads: Heads, theta: f64, window: Option<usize>, x: &Tensor<3>) -> Self {
        let (tokens, device) = (x.dims()[1], x.device());
        Self {
            heads,
            rotary: Rotary::new(tokens, heads.width, theta, x.dtype(), &device),
            mask: causal_mask(tokens, window, &device),
        }
    }

    /// `q` is `[batch, queried tokens, query heads · width]` (all positions, or the last alone), `k` and `v` are
    /// `[batch, tokens, key heads · width]`. Query heads of a group are stacked along the token axis, so that keys and values
    /// are used without being repeated. Scores and softmax are in float32.
    pub fn forward(&self, q: Tensor<3>, k: Tensor<3>, v: Tensor<3>) -> Tensor<3> {
        let [batch, queried, _] = q.dims();
        let tokens = k.dims()[1];
        let Heads { query, key, width } = self.heads;
        let group = query / key;
        let dtype = q.dtype();
        let split =
            |x: Tensor<3>, count: usize, length: usize| x.reshape([batch, length, count, width]).swap_dims(1, 2);
        let q = self.rotary.turn(split(q, query, queried), tokens - queried);
        let k = self.rotary.turn(split(k, key, tokens), 0);
        let v = split(v, key, tokens);
        let q = q.reshape([batch, key, group * queried, width]) / (width as f64).sqrt();
        let scores = q.matmul(k.transpose()).cast(DType::F32);
        let mask = self.mask.clone().narrow(2, tokens - queried, queried);
        let scores = scores.reshape([batch, query, queried, tokens]) + mask;
        let weights = softmax(scores, 3)
            .cast(dtype)
            .reshape([batch, key, group * queried, tokens]);
        let heads = weights.matmul(v).reshape([batch, query, queried, width]);
        heads.swap_dims(1, 2).reshape([batch, queried, query * width])
    }
}

/// Runs the layers in order; only the last may put out fewer than all positions, since the others are attended to.
pub fn decode<L>(
    layers: &[L],
    x: Tensor<3>,
    positions: Positions,
    layer: impl Fn(&L, Tensor<3>, Positions) -> Tensor<3>,
) -> Tensor<3> {
    let out = |index: usize| {
        if index + 1 == layers.len() {
            positions
        } else {
            Positions::All
        }
    };
    layers
        .iter()
        .enumerate()
        .fold(x, |x, (index, next)| layer(next, x, out(index)))
}

/// What is added to attention scores, `[1, 1, tokens, tokens]` in float32: 0 where a position may look, a large negative
/// number elsewhere. A position sees itself and those before it, at most `window` in all.
pub(super) fn causal_mask(tokens: usize, window: Option<usize>, device: &Device) -> Tensor<4> {
    let window = window.unwrap_or(usize::MAX);
    let values: Vec<f32> = (0..tokens)
        .flat_map(|i| (0..tokens).map(move |j| if j <= i && i - j < window { 0.0 } else { -1e30 }))
        .collect();
    Tensor::from_data(TensorData::new(values, [1, 1, tokens, tokens]), (device, DType::F32))
}

/// Cuts the queries' side of a layer's input to what it has to put out.
pub fn queried(x: &Tensor<3>, positions: Positions) -> Tensor<3> {
    match positions {
        Positions::All => x.clone(),
        Positions::Last => last(x.clone()),
    }
}
