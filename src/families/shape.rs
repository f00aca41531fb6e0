//! What a decoder computes, as data: a family's reader turns a `config.json` into a [`Shape`], and one decoder computes
//! any of them.
//!
//! A shape is small whatever the file claims: layers that are alike share one [`Block`].

use super::tensors::Entry;
pub use crate::kernel::activation::Activation;

/// A decoder without its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// The family, as `model_type` calls it: `llama`, `mistral`, `falcon`, …
    pub family: &'static str,
    /// Where its checkpoints keep the weights.
    pub tensors: &'static [Entry],
    /// Rows of the embedding table.
    pub vocabulary: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// How tokens enter.
    pub embedding: Embedding,
    /// Number of layers.
    pub layers: usize,
    /// The different kinds of layers.
    pub blocks: Vec<Block>,
    /// Which of `blocks` each layer is; begins again after its end.
    pub pattern: Vec<usize>,
    /// Rotary position embeddings that blocks refer to.
    pub rotary: Vec<Rotary>,
    /// The norm behind the last layer.
    pub norm: Norm,
    /// From the residual stream to logits.
    pub output: Output,
}

impl Shape {
    /// How far towards the zero vector the output goes on changing, as −ln α, if every matrix and norm's weight had a
    /// gain of 1: a norm turns a signal far below √ε into one 1/√ε times as large, and those that attention's signal
    /// passes, layer by layer, multiply. (The MLP's product of two small signals is nothing beside it.) Measured depths
    /// are 0.6 to 1.4 times this: `docs/numerics.md`. 0 where the signal does not begin with nothing: learned positions
    /// and biases stand beside it.
    pub fn lift(&self) -> f64 {
        let block = |layer: usize| &self.blocks[self.pattern[layer % self.pattern.len()]];
        let has_bias = |norm: Option<Norm>| norm.is_some_and(|norm| norm.bias);
        let begins_elsewhere = |block: &Block| {
            block.attention.bias
                || block.attention.output_bias
                || block.mlp.output_bias
                || [
                    block.before_attention,
                    block.after_attention,
                    block.before_mlp,
                    block.after_mlp,
                ]
                .into_iter()
                .any(has_bias)
        };
        if self.embedding.positions.is_some() || self.blocks.iter().any(begins_elsewhere) {
            return 0.0;
        }
        let norms = |block: &Block| [block.before_attention, block.after_attention];
        let passed = (0..self.layers).flat_map(|layer| norms(block(layer))).flatten();
        passed.map(|norm| -0.5 * norm.epsilon.max(f64::MIN_POSITIVE).ln()).sum()
    }
}

/// How tokens become rows of the residual stream.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Embedding {
    /// Each embedding is multiplied by this (Gemma, Granite).
    pub scale: Option<f64>,
    /// Learned position embeddings are added: rows of their table (GPT-2).
    pub positions: Option<usize>,
}

/// From the residual stream to logits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Output {
    /// The output layer is the embedding table, unless the file brings one of its own.
    pub tied: bool,
    /// The output layer has a bias.
    pub bias: bool,
    /// Logits are multiplied by this.
    pub scale: f64,
    /// Logits z become cap · tanh(z / cap) (Gemma 2).
    pub cap: Option<f64>,
}

/// A layer: attention and an MLP, each with what is around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Block {
    /// Attention.
    pub attention: Attention,
    /// The MLP; in a mixture of experts, each of them.
    pub mlp: Mlp,
    /// A mixture of experts in the place of one MLP. Its block is serial.
    pub experts: Option<Experts>,
    /// Whether the MLP reads what attention has written.
    pub halves: Halves,
    /// In front of attention.
    pub before_attention: Option<Norm>,
    /// Behind attention, before it is added to the residual stream.
    pub after_attention: Option<Norm>,
    /// In front of the MLP; none: it reads the residual stream itself, or in a parallel block what attention reads.
    pub before_mlp: Option<Norm>,
    /// Behind the MLP, before it is added to the residual stream.
    pub after_mlp: Option<Norm>,
    /// What each half writes is multiplied by this (Granite).
    pub residual: f64,
}

/// How a layer's halves stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halves {
    /// y = x + attention(x), then y + mlp(y).
    Serial,
    /// x + attention(x) + mlp(x).
    Parallel,
}

/// Attention of one layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attention {
    /// Heads.
    pub heads: Heads,
    /// A position sees itself and at most `window − 1` before it; none: all before it.
    pub window: Option<usize>,
    /// Which of [`Shape::rotary`] turns queries and keys; none: no position embedding.
    pub rotary: Option<usize>,
    /// Factor of the scores; none: 1/√width.
    pub scale: Option<f64>,
    /// Scores are divided by the layer's number, counted from 1, as well (GPT-2's `scale_attn_by_inverse_layer_idx`).
    pub scale_by_layer: bool,
    /// Scores s become cap · tanh(s / cap) before the mask (Gemma 2).
    pub cap: Option<f64>,
    /// Query, key and value layers have a bias.
    pub bias: bool,
    /// The layer behind attention has a bias.
    pub output_bias: bool,
    /// Norms of queries and keys.
    pub qk_norm: Option<QkNorm>,
    /// Another of [`Shape::rotary`] for queries (Ministral 3); none: the same.
    pub query_rotary: Option<usize>,
    /// Each head has a learned score for a key that is not there: it takes a share of the softmax, and has no value
    /// (gpt-oss).
    pub sinks: bool,
    /// Scores get a share of the key's position, more or less of it by head (Press et al. 2022; Falcon-RW).
    pub alibi: bool,
}

/// The number of heads and their width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Query heads.
    pub query: usize,
    /// Key/value heads; each serves `query / key` query heads in a row.
    pub key: usize,
    /// Width of a head.
    pub width: usize,
}

/// Norms of queries and keys.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QkNorm {
    /// The norm.
    pub norm: Norm,
    /// What it goes over.
    pub over: Over,
    /// It follows the rotary embedding (Hunyuan) instead of going before it.
    pub after_rotary: bool,
}

/// What a norm of queries or keys goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Each head by itself, with one weight for all heads (Qwen3, Gemma 3).
    Head,
    /// All heads together (OLMo 2).
    All,
}

/// The MLP of one layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mlp {
    /// Its width.
    pub inner: usize,
    /// activation(gate(x)) · up(x) instead of activation(up(x)).
    pub gated: bool,
    /// The activation.
    pub activation: Activation,
    /// The layers that read the residual stream have a bias.
    pub bias: bool,
    /// The layer that writes to it has a bias.
    pub output_bias: bool,
}

/// A mixture of experts (Shazeer et al. 2017, arXiv:1701.06538): a router gives each token a logit for each expert; those
/// with the largest are computed, and their results are added up by their weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Experts {
    /// How many there are.
    pub count: usize,
    /// How many are chosen for a token.
    pub chosen: usize,
    /// Weights are the softmax over the chosen experts' logits (Mixtral, gpt-oss); else that over all, so that those of
    /// the chosen sum to less than 1 (Qwen3 with `norm_topk_prob: false`).
    pub renormalise: bool,
    /// The router has a bias.
    pub router_bias: bool,
}

/// A norm of rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Norm {
    /// RMSNorm or LayerNorm.
    pub kind: NormKind,
    /// What is added to the mean square.
    pub epsilon: f64,
    /// It has a bias; LayerNorm only.
    pub bias: bool,
    /// The stored weight is less by 1 than what is multiplied with (Gemma).
    pub offset: bool,
    /// In half precision the weight is multiplied, and the bias added, in float32, before the result is rounded (Gemma,
    /// OLMo 2, gpt-oss, every LayerNorm); else after (Llama).
    pub wide: bool,
}

/// Kinds of norms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// Zhang and Sennrich 2019: no mean is taken away.
    Rms,
    /// Ba et al. 2016.
    Layer,
}

impl Norm {
    /// RMSNorm.
    pub fn rms(epsilon: f64) -> Self {
        Self {
            kind: NormKind::Rms,
            epsilon,
            bias: false,
            offset: false,
            wide: false,
        }
    }

    /// LayerNorm with bias.
    pub fn layer(epsilon: f64) -> Self {
        Self {
            kind: NormKind::Layer,
            epsilon,
            bias: true,
            offset: false,
            wide: true,
        }
    }
}

impl Shape {
    /// Makes all norms in front of halves, and the last, [`Norm::wide`]: before other norms are made of them.
    pub fn widen_norms(&mut self) {
        self.norm.wide = true;
        for block in &mut self.blocks {
            let norms = [block.before_attention.as_mut(), block.before_mlp.as_mut()];
            norms.into_iter().flatten().for_each(|norm| norm.wide = true);
        }
    }
}

/// Rotary position embeddings (Su et al. 2021).
#[derive(Clone, Debug, PartialEq)]
pub struct Rotary {
    /// Base of the frequencies.
    pub theta: f64,
    /// How many of a head's first dimensions turn.
    pub width: usize,
    /// Which dimensions are a pair.
    pub pairs: Pairs,
    /// How frequencies depart from θ^(−2i / width).
    pub scaling: Scaling,
    /// What is turned grows with its position.
    pub growth: Option<Growth>,
}

/// Factor of a position p: 1 + β ln(1 + ⌊p / original⌋) (Llama 4 and Ministral 3, of queries).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Growth {
    /// β
    pub beta: f64,
    /// The context of the model as it was trained.
    pub original: f64,
}

impl Growth {
    /// At a position.
    pub fn at(self, position: usize) -> f64 {
        1.0 + self.beta * (1.0 + (position as f64 / self.original).floor()).ln()
    }
}

/// Which dimensions of a head turn together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairs {
    /// i and i + width/2, as in most checkpoints of Hugging Face.
    Halves,
    /// 2i and 2i + 1 (GLM, Cohere).
    Neighbours,
}

/// How rotary frequencies depart from the plain ones, f = θ^(−2i / width); after `modeling_rope_utils.py` of
/// transformers 5.24.
#[derive(Clone, Debug, PartialEq)]
pub enum Scaling {
    /// They don't.
    None,
    /// f / factor.
    Linear(f64),
    /// A larger θ for prompts beyond `longest` tokens.
    Dynamic {
        /// How far the context was to be stretched.
        factor: f64,
        /// The context of the model as it was trained.
        longest: usize,
    },
    /// Llama 3.1: low frequencies are divided, high ones stay, those between are blended.
    Llama3 {
        /// By what.
        factor: f64,
        /// Wavelengths above original / low are divided.
        low: f64,
        /// Wavelengths below original / high stay.
        high: f64,
        /// The context of the model as it was trained.
        original: f64,
    },
    /// YaRN (Peng et al. 2023).
    Yarn {
        /// By what low frequencies are divided.
        factor: f64,
        /// The context of the model as it was trained.
        original: f64,
        /// Frequencies that turn this often within it, or more, stay.
        fast: f64,
        /// Those that turn this often, or less, are divided.
        slow: f64,
        /// The bounds are whole numbers of dimensions.
        truncate: bool,
        /// Cosines and sines are multiplied by it.
        attention: f64,
    },
    /// LongRoPE (Ding et al. 2024): a divisor for each frequency.
    Long {
        /// For prompts of at most `original` tokens.
        short: Vec<f64>,
        /// For longer ones.
        long: Vec<f64>,
        /// The context of the model as it was trained.
        original: usize,
        /// Cosines and sines are multiplied by it.
        attention: f64,
    },
}

impl Rotary {
    /// Frequencies of the pairs for a prompt of so many tokens, in float64: angle = position · frequency.
    pub fn frequencies(&self, tokens: usize) -> Vec<f64> {
        let plain = |theta: f64, pair: usize| theta.powf(-2.0 * pair as f64 / self.width as f64);
        let pairs = 0..self.width / 2;
        let width = self.width as f64;
        match &self.scaling {
            Scaling::None => pairs.map(|pair| plain(self.theta, pair)).collect(),
            Scaling::Linear(factor) => pairs.map(|pair| plain(self.theta, pair) / factor).collect(),
            Scaling::Dynamic { factor, longest } => {
                let longer = tokens.max(*longest) as f64 / *longest as f64;
                let theta = self.theta * (factor * longer - (factor - 1.0)).powf(width / (width - 2.0));
                pairs.map(|pair| plain(theta, pair)).collect()
            }
            Scaling::Llama3 {
                factor,
                low,
                high,
                original,
            } => pairs
                .map(|pair| {
                    let frequency = plain(self.theta, pair);
                    let wavelength = 2.0 * std::f64::consts::PI / frequency;
                    if wavelength < original / high {
                        frequency
                    } else if wavelength > original / low {
                        frequency / factor
                    } else {
                        let smooth = (original / wavelength - low) / (high - low);
                        (1.0 - smooth) * frequency / factor + smooth * frequency
                    }
                })
                .collect(),
            Scaling::Yarn {
                factor,
                original,
                fast,
                slow,
                truncate,
                ..
            } => {
                let dimension = |turns: f64| {
                    width * (original / (turns * 2.0 * std::f64::consts::PI)).ln() / (2.0 * self.theta.ln())
                };
                let (mut low, mut high) = (dimension(*fast), dimension(*slow));
                if *truncate {
                    (low, high) = (low.floor(), high.ceil());
                }
                (low, high) = (low.max(0.0), high.min(width - 1.0));
                if low == high {
                    high += 0.001;
                }
                pairs
                    .map(|pair| {
                        let frequency = plain(self.theta, pair);
                        let ramp = ((pair as f64 - low) / (high - low)).clamp(0.0, 1.0);
                        frequency / factor * ramp + frequency * (1.0 - ramp)
                    })
                    .collect()
            }
            Scaling::Long {
                short, long, original, ..
            } => {
                let divisors = if tokens > *original { long } else { short };
                pairs
                    .zip(divisors)
                    .map(|(pair, divisor)| plain(self.theta, pair) / divisor)
                    .collect()
            }
        }
    }

    /// What cosines and sines are multiplied by.
    pub fn factor(&self) -> f64 {
        match self.scaling {
            Scaling::Yarn { attention, .. } | Scaling::Long { attention, .. } => attention,
            _ => 1.0,
        }
    }

    /// The longest prompt whose frequencies are those of one token; none: frequencies do not depend on the length.
    pub fn changes_beyond(&self) -> Option<usize> {
        match self.scaling {
            Scaling::Dynamic { longest, .. } => Some(longest),
            Scaling::Long { original, .. } => Some(original),
            _ => None,
        }
    }
}

impl Shape {
    /// The kind of a layer.
    pub fn block(&self, layer: usize) -> &Block {
        &self.blocks[self.pattern[layer % self.pattern.len()]]
    }
}
