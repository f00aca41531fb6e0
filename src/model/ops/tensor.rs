//! The passes composed of Burn's operations: any device, any dtype. Norms' moments, attention weights and sums over the
//! hidden dimension are in float32, or in float64 where the model is.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use burn::tensor::activation::{gelu, relu, sigmoid};
use burn::tensor::{DType, Device, IndexingUpdateOp, Int, Tensor, TensorData};

use super::{Bias, Heads, NormWeights, Ops, Run, Sequences, Stretch, Tables, Weight, Which};
use crate::families::shape::{Activation, Pairs};
use crate::kernel::attention::alibi;
use crate::model::experts::Choice;
use crate::model::indices;
use crate::model::path::{Along, Coefficients};
use crate::tensor::care::{landed, mean, product, softmax, sum, wide, wider};
use crate::tensor::host::doubles;

/// Bytes of attention scores that a pass computes at one time, unless it is told otherwise: enough to fill a large card.
pub const ATTENTION_BYTES: usize = 256 << 20;

/// A device of Burn's, ready for one pass.
#[derive(Debug)]
pub struct OnDevice {
    device: Device,
    dtype: DType,
    /// Of each rotary position embedding.
    tables: Vec<Turns>,
    /// By length of the prompt, and window.
    masks: RefCell<BTreeMap<(usize, Option<usize>), Tensor<4>>>,
    /// Bytes of attention scores, in float32, that are there at one time.
    attention_bytes: usize,
}

/// Angles of one rotary position embedding for the rows of a pass.
#[derive(Debug)]
struct Turns {
    /// Cosines and sines, `[rows, 1, width / 2]`: for all tokens, and for the last ones.
    of: [[Tensor<3>; 2]; 2],
    half: usize,
    pairs: Pairs,
}

impl OnDevice {
    /// For a pass over `sequences`, its linear layers computing in `dtype`; `rotary` has angles for the longest at
    /// least.
    pub fn new(device: &Device, dtype: DType, rotary: &Tables, sequences: &Sequences) -> Self {
        let turns = |table: &super::Table| {
            let half = table.of(0).half;
            let rows = |which: Which| {
                let sequences = sequences.wholes().iter().zip(sequences.positions(which));
                if dtype == DType::F64 {
                    let parts: Vec<_> = sequences
                        .map(|(&whole, positions)| table.exact(whole, positions))
                        .collect();
                    return [0, 1].map(|side| {
                        let values: Vec<f64> = parts.iter().flat_map(|part| &part[side]).copied().collect();
                        let rows = values.len() / half.max(1);
                        Tensor::from_data(TensorData::new(values, [rows, 1, half]), (device, dtype))
                    });
                }
                let (mut cos, mut sin) = (Vec::new(), Vec::new());
                for (&whole, positions) in sequences {
                    let angles = table.of(whole);
                    let at = positions.start * half..positions.end * half;
                    cos.extend_from_slice(&angles.cos[at.clone()]);
                    sin.extend_from_slice(&angles.sin[at]);
                }
                [cos, sin].map(|values| {
                    let rows = values.len() / half.max(1);
                    Tensor::from_data(TensorData::new(values, [rows, 1, half]), (device, dtype))
                })
            };
            Turns {
                of: [Which::All, Which::Last].map(rows),
                half,
                pairs: table.pairs(),
            }
        };
        Self {
            device: device.clone(),
            dtype,
            tables: rotary.tables.iter().map(turns).collect(),
            masks: RefCell::default(),
            attention_bytes: ATTENTION_BYTES,
        }
    }

    /// With at most so many bytes of attention scores at one time, as far as single heads allow.
    #[must_use]
    pub fn with_attention(self, bytes: usize) -> Self {
        Self {
            attention_bytes: bytes,
            ..self
        }
    }

    fn mask(&self, length: usize, window: Option<usize>) -> Tensor<4> {
        let make = || causal_mask(length, window, &self.device).cast(self.wide());
        self.masks
            .borrow_mut()
            .entry((length, window))
            .or_insert_with(make)
            .clone()
    }
}

/// What is added to attention scores, `[1, 1, tokens, tokens]` in float32: 0 where a position may look, a large
/// negative number elsewhere. A position sees itself and those before it, at most `window` in all.
fn causal_mask(tokens: usize, window: Option<usize>, device: &Device) -> Tensor<4> {
    let window = window.unwrap_or(usize::MAX);
    let values: Vec<f32> = (0..tokens)
        .flat_map(|i| (0..tokens).map(move |j| if j <= i && i - j < window { 0.0 } else { -1e30 }))
        .collect();
    Tensor::from_data(TensorData::new(values, [1, 1, tokens, tokens]), (device, DType::F32))
}

/// The first rows of a tensor that may have more.
fn first(x: &Tensor<2>, rows: usize) -> Tensor<2> {
    if x.dims()[0] == rows {
        x.clone()
    } else {
        x.clone().narrow(0, 0, rows)
    }
}

/// Each run's rows, `[count, length, width]`.
fn run(x: &Tensor<2>, from: usize, count: usize, length: usize) -> Tensor<3> {
    let width = x.dims()[1];
    let rows = if from == 0 && x.dims()[0] == count * length {
        x.clone()
    } else {
        x.clone().narrow(0, from, count * length)
    };
    rows.reshape([count, length, width])
}

/// Puts runs together again.
fn joined(mut parts: Vec<Tensor<2>>) -> Tensor<2> {
    match parts.len() {
        1 => parts.remove(0),
        _ => Tensor::cat(parts, 0),
    }
}

/// Attention of a run of sequences: heads of queries stacked along the token axis, so that a group's keys and values are used
/// without being repeated.
struct Attended {
    /// `[count, key heads, group · queried, width]`
    q: Tensor<4>,
    /// `[count, key heads, length, width]`
    k: Tensor<4>,
    /// As `k`.
    v: Tensor<4>,
    /// As `q`, over keys, in float32.
    weights: Tensor<4>,
    /// The same by another temperature, where one is asked for.
    softer: Option<Tensor<4>>,
    /// Derivatives of capped scores, as `weights`.
    caps: Option<Tensor<4>>,
}

/// Sequences of a run, and key heads, whose attention is computed at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Block {
    sequences: Range<usize>,
    heads: Range<usize>,
}

impl Block {
    /// Its part of `[sequences, heads · group, …]`.
    fn of(&self, x: Tensor<4>, group: usize) -> Tensor<4> {
        let [count, heads, ..] = x.dims();
        let x = if self.sequences.len() == count {
            x
        } else {
            x.narrow(0, self.sequences.start, self.sequences.len())
        };
        if self.heads.len() * group == heads {
            x
        } else {
            x.narrow(1, self.heads.start * group, self.heads.len() * group)
        }
    }
}

/// Cuts `count` sequences of so many key heads, each of which has `bytes` of scores in a sequence, into blocks of at most
/// `most` bytes: several sequences where they fit, else some heads of one, one at least.
fn blocks(count: usize, key_heads: usize, bytes: usize, most: usize) -> Vec<Vec<Block>> {
    let sequences = (most / (bytes * key_heads).max(1)).clamp(1, count.max(1));
    let heads = match sequences {
        1 => (most / bytes.max(1)).clamp(1, key_heads),
        _ => key_heads,
    };
    let ranges = |all: usize, step: usize| (0..all).step_by(step).map(move |from| from..(from + step).min(all));
    ranges(count, sequences)
        .map(|sequences| {
            ranges(key_heads, heads)
                .map(|heads| Block {
                    sequences: sequences.clone(),
                    heads,
                })
                .collect()
        })
        .collect()
}

/// Where the queries of a run begin, and how many each sequence has.
fn queried(run: &Run, which: Which) -> (usize, usize) {
    match which {
        Which::All => (run.row, run.length),
        Which::Last => (run.sequence, 1),
    }
}

/// Puts the heads of one range of sequences side by side.
fn beside(mut parts: Vec<Tensor<2>>) -> Tensor<2> {
    match parts.len() {
        1 => parts.remove(0),
        _ => Tensor::cat(parts, 1),
    }
}

impl OnDevice {
    /// What moments, attention weights and sums over the hidden dimension are computed in.
    fn wide(&self) -> DType {
        wider(self.dtype)
    }

    fn last_rows(&self, sequences: &Sequences) -> Tensor<1, Int> {
        indices(sequences.last(), &self.device)
    }

    /// 1 where an expert is chosen, else 0, `[rows, experts]` in what sums are computed in.
    fn chosen(&self, rows: usize, choice: &Choice) -> Tensor<2> {
        let mut values = vec![0f32; rows * choice.experts()];
        for (row, values) in values.chunks_exact_mut(choice.experts()).enumerate() {
            for &expert in choice.of(row) {
                values[usize::from(expert)] = 1.0;
            }
        }
        Tensor::from_data(
            TensorData::new(values, [rows, choice.experts()]),
            (&self.device, self.wide()),
        )
    }

    fn split(&self, x: &Tensor<2>, at: (usize, usize, usize), heads: usize) -> Tensor<4> {
        let (from, count, length) = at;
        let x = run(x, from, count, length);
        let width = x.dims()[2] / heads;
        x.reshape([count, length, heads, width]).swap_dims(1, 2)
    }

    /// Query heads to the token axis of their key head, and back.
    fn stack(x: Tensor<4>, key_heads: usize) -> Tensor<4> {
        let [count, heads, queried, width] = x.dims();
        x.reshape([count, key_heads, heads / key_heads * queried, width])
    }

    fn rows(x: Tensor<4>, heads: usize, queried: usize) -> Tensor<2> {
        let [count, _, _, width] = x.dims();
        x.reshape([count, heads, queried, width])
            .swap_dims(1, 2)
            .reshape([count * queried, heads * width])
    }

    /// One block of attention: scores, and their softmax.
    fn attended(
        &self,
        (run, block): (&Run, &Block),
        which: Which,
        heads: Heads<'_>,
        qkv: [&Tensor<2>; 3],
        temperature: f64,
    ) -> Attended {
        let [q, k, v] = qkv;
        let scale = factor(heads);
        let length = run.whole();
        let (from, queried) = queried(run, which);
        let (count, keys) = (block.sequences.len(), block.heads.len());
        let group = heads.query / heads.key;
        let q = block.of(self.split(q, (from, run.count, queried), heads.query), group);
        let q = Self::stack(q, keys);
        let k = block.of(self.split(k, (run.key, run.count, length), heads.key), 1);
        let v = block.of(self.split(v, (run.key, run.count, length), heads.key), 1);
        let scores = wide(product(q.clone() * scale, k.clone().transpose()));
        let scores = match heads.slopes {
            Some(slopes) => {
                let slopes = &slopes[block.heads.start * group..block.heads.end * group];
                let of = |&slope: &f32| (0..length).map(move |key| f64::from(alibi(slope, key)) * scale);
                let bias: Vec<f64> = slopes.iter().flat_map(of).collect();
                let shape = [1, keys, group, length];
                let bias = Tensor::<4>::from_data(TensorData::new(bias, shape), (&self.device, self.wide()));
                let bias = bias.reshape([1, keys, group, 1, length]).repeat_dim(3, queried);
                scores + bias.reshape([1, keys, group * queried, length])
            }
            None => scores,
        };
        let mask = self.mask(length, heads.window).narrow(2, length - queried, queried);
        let (scores, caps) = match heads.cap {
            Some(cap) => {
                let t = (scores / cap).tanh();
                (t.clone() * cap, Some(t.square().neg() + 1.0))
            }
            None => (scores, None),
        };
        let scores = scores.reshape([count * keys, group, queried, length]) + mask;
        let scores = match heads.sinks {
            Some(sinks) => {
                let sinks = wide(sinks.tensor.clone());
                let sinks = sinks.narrow(0, block.heads.start * group, keys * group);
                let sinks = sinks.reshape([1, keys, group, 1, 1]);
                let sinks = sinks.repeat_dim(0, count).repeat_dim(3, queried);
                let sinks = sinks.reshape([count * keys, group, queried, 1]);
                Tensor::cat(vec![scores, sinks], 3)
            }
            None => scores,
        };
        let soft = |scores: Tensor<4>| {
            let weights = softmax(scores, 3);
            let weights = match heads.sinks {
                Some(_) => weights.narrow(3, 0, length),
                None => weights,
            };
            weights.reshape([count, keys, group * queried, length])
        };
        let softer = (temperature != 1.0).then(|| soft(scores.clone() / temperature));
        Attended {
            q,
            k,
            v,
            weights: soft(scores),
            softer,
            caps,
        }
    }

    /// The blocks of a run, one list for each range of sequences.
    fn blocks(&self, run: &Run, which: Which, heads: Heads<'_>) -> Vec<Vec<Block>> {
        let (_, queried) = queried(run, which);
        let of_key_head = self.wide().size() * heads.query / heads.key * queried * run.whole();
        blocks(run.count, heads.key, of_key_head, self.attention_bytes)
    }

    /// `[points · tokens, 1]` of something that depends on the row and α.
    fn column(&self, stretch: &Stretch<'_>, value: impl Fn(Coefficients, f64) -> f64) -> Tensor<3> {
        let projection = stretch
            .path
            .projection
            .as_ref()
            .expect("asked for where every path has one");
        let (points, tokens) = (stretch.alphas.len(), stretch.path.tokens());
        let values: Vec<f64> = stretch
            .alphas
            .iter()
            .flat_map(|&alpha| (0..tokens).map(move |row| (row, alpha)))
            .map(|(row, alpha)| value(projection.at(row, alpha), alpha))
            .collect();
        Tensor::from_data(
            TensorData::new(values, [points, tokens, 1]),
            (&self.device, self.wide()),
        )
    }
}

/// The factor of attention scores.
fn factor(heads: Heads<'_>) -> f64 {
    heads.scale.unwrap_or_else(|| 1.0 / (heads.width as f64).sqrt())
}

/// An activation's value.
fn value(activation: Activation, x: Tensor<2>) -> Tensor<2> {
    match activation {
        Activation::Silu => x.clone() * sigmoid(x),
        Activation::Gelu => gelu(x),
        Activation::GeluTanh => {
            let t = inner(x.clone()).tanh();
            x * (t + 1.0) * 0.5
        }
        Activation::Relu => relu(x),
        Activation::ReluSquared => relu(x).square(),
        Activation::ClampedSwish { gain, limit } => {
            let g = x.clamp_max(limit);
            g.clone() * sigmoid(g * gain)
        }
    }
}

/// What the value of the gate is multiplied by.
fn factor_of_gate(activation: Activation, up: Tensor<2>) -> Tensor<2> {
    match activation {
        Activation::ClampedSwish { limit, .. } => up.clamp(-limit, limit) + 1.0,
        _ => up,
    }
}

/// √(2/π) (x + 0.044715 x³)
fn inner(x: Tensor<2>) -> Tensor<2> {
    (x.clone() + x.clone() * x.square() * CUBIC) * SQRT_2_OVER_PI
}

const SQRT_2_OVER_PI: f64 = 0.797_884_560_802_865_4;
const CUBIC: f64 = 0.044_715;

/// An activation's derivative.
fn slope(activation: Activation, x: Tensor<2>) -> Tensor<2> {
    match activation {
        Activation::Silu => {
            let s = sigmoid(x.clone());
            let silu = x * s.clone();
            s.clone() + silu * (s.neg() + 1.0)
        }
        Activation::Gelu => {
            let dtype = x.dtype();
            let x = wide(x);
            let probability = ((x.clone() * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0) * 0.5;
            let density = (x.clone().square() * -0.5).exp() * (1.0 / (2.0 * std::f64::consts::PI).sqrt());
            (probability + x * density).cast(dtype)
        }
        Activation::GeluTanh => {
            let t = inner(x.clone()).tanh();
            let step = (x.clone().square() * (3.0 * CUBIC) + 1.0) * SQRT_2_OVER_PI;
            (t.clone() + 1.0) * 0.5 + x * (t.square().neg() + 1.0) * step * 0.5
        }
        Activation::Relu => x.clone().greater_elem(0.0).float().cast(x.dtype()),
        Activation::ReluSquared => relu(x) * 2.0,
        Activation::ClampedSwish { gain, limit } => {
            let below = x.clone().lower_equal_elem(limit).float().cast(x.dtype());
            let g = x.clamp_max(limit);
            let s = sigmoid(g.clone() * gain);
            s.clone() * (g * gain * (s.neg() + 1.0) + 1.0) * below
        }
    }
}

/// `[1, tokens, width]`
fn end(along: &Along) -> Tensor<3> {
    along.tensor.clone().unsqueeze()
}

fn alphas(stretch: &Stretch<'_>, device: &Device, dtype: DType) -> Tensor<3> {
    let shape = [stretch.alphas.len(), 1, 1];
    Tensor::from_data(TensorData::new(stretch.alphas.to_vec(), shape), (device, dtype))
}

fn flat(x: Tensor<3>) -> Tensor<2> {
    let [points, tokens, width] = x.dims();
    x.reshape([points * tokens, width])
}

impl Ops for OnDevice {
    type Rows = Tensor<2>;
    /// Mean and 1/√(…), `[rows, 1]` in float32.
    type Moments = (Option<Tensor<2>>, Tensor<2>);

    fn linear(&self, rows: usize, x: &Tensor<2>, w: &Weight) -> Tensor<2> {
        product(first(x, rows), w.tensor().transpose())
    }

    fn linear_add(&self, rows: usize, x: &Tensor<2>, w: &Weight, into: Tensor<2>) -> Tensor<2> {
        into + self.linear(rows, x, w)
    }

    fn back(&self, rows: usize, x: &Tensor<2>, w: &Weight) -> Tensor<2> {
        product(first(x, rows), w.tensor())
    }

    fn back_add(&self, rows: usize, x: &Tensor<2>, w: &Weight, into: Tensor<2>) -> Tensor<2> {
        into + self.back(rows, x, w)
    }

    fn norm(&self, rows: usize, x: &Tensor<2>, norm: &NormWeights) -> (Tensor<2>, Self::Moments) {
        let x = wide(first(x, rows));
        let centre = norm.bias.as_ref().map(|_| mean(x.clone(), 1));
        let x = match &centre {
            Some(centre) => x - centre.clone(),
            None => x,
        };
        let inverse = (mean(x.clone().square(), 1) + norm.epsilon).sqrt().recip();
        let weight = norm.weight.clone().unsqueeze();
        let normal = x * inverse.clone();
        let out = if norm.wide { normal } else { normal.cast(self.dtype) } * weight;
        let out = match &norm.bias {
            Some(bias) => out + bias.clone().unsqueeze(),
            None => out,
        };
        (out.cast(self.dtype), (centre, inverse))
    }

    fn norm_back(
        &self,
        rows: usize,
        gradient: &Tensor<2>,
        x: &Tensor<2>,
        (centre, inverse): &Self::Moments,
        norm: &NormWeights,
        into: Tensor<2>,
    ) -> Tensor<2> {
        let g = wide(first(gradient, rows)) * wide(norm.weight.clone()).unsqueeze();
        let x = wide(first(x, rows));
        let inverse = first(inverse, rows);
        let y = match centre {
            Some(centre) => (x - first(centre, rows)) * inverse.clone(),
            None => x * inverse.clone(),
        };
        let along = mean(g.clone() * y.clone(), 1);
        let g = match centre {
            Some(_) => g.clone() - mean(g, 1),
            None => g,
        };
        into + ((g - y * along) * inverse).cast(self.dtype)
    }

    fn norm_back_detached(
        &self,
        rows: usize,
        gradient: &Tensor<2>,
        (centre, inverse): &Self::Moments,
        norm: &NormWeights,
        into: Tensor<2>,
    ) -> Tensor<2> {
        let g = wide(first(gradient, rows)) * wide(norm.weight.clone()).unsqueeze();
        let g = match centre {
            Some(_) => g.clone() - mean(g, 1),
            None => g,
        };
        into + (g * first(inverse, rows)).cast(self.dtype)
    }

    fn add_bias(&self, _: usize, x: Tensor<2>, bias: &Bias) -> Tensor<2> {
        x + bias.tensor.clone().unsqueeze()
    }

    fn add(&self, rows: usize, into: Tensor<2>, x: &Tensor<2>) -> Tensor<2> {
        into + first(x, rows)
    }

    fn scale(&self, x: Tensor<2>, factor: f64) -> Tensor<2> {
        x * factor
    }

    fn width(&self, x: &Tensor<2>) -> usize {
        x.dims()[1]
    }

    fn reshape(&self, x: Tensor<2>, width: usize) -> Tensor<2> {
        let [rows, before] = x.dims();
        x.reshape([rows * before / width, width])
    }

    fn rotate(&self, _: &Sequences, which: Which, x: Tensor<2>, width: usize, table: usize, back: bool) -> Tensor<2> {
        let [rows, all] = x.dims();
        let Turns { of, half, pairs } = &self.tables[table];
        let (half, heads) = (*half, all / width);
        let [cos, sin] = of[usize::from(which == Which::Last)]
            .each_ref()
            .map(|table| table.clone().narrow(0, 0, rows));
        let sin = if back { sin.neg() } else { sin };
        let x = x.reshape([rows, heads, width]);
        let (first, second) = match pairs {
            Pairs::Halves => (x.clone().narrow(2, 0, half), x.clone().narrow(2, half, half)),
            Pairs::Neighbours => {
                let pairs = x.clone().narrow(2, 0, 2 * half).reshape([rows, heads, half, 2]);
                let side = |side| pairs.clone().narrow(3, side, 1).reshape([rows, heads, half]);
                (side(0), side(1))
            }
        };
        let mut parts = vec![
            first.clone() * cos.clone() - second.clone() * sin.clone(),
            second * cos + first * sin,
        ];
        if *pairs == Pairs::Neighbours {
            let sides = parts.into_iter().map(|side| side.reshape([rows, heads, half, 1]));
            parts = vec![Tensor::cat(sides.collect(), 3).reshape([rows, heads, 2 * half])];
        }
        if 2 * half < width {
            parts.push(x.narrow(2, 2 * half, width - 2 * half));
        }
        Tensor::cat(parts, 2).reshape([rows, all])
    }

    fn attend(&self, sequences: &Sequences, which: Which, heads: Heads<'_>, qkv: [&Tensor<2>; 3]) -> Tensor<2> {
        let group = heads.query / heads.key;
        let mut parts = Vec::new();
        for run in sequences.runs() {
            let queried = queried(&run, which).1;
            for across in self.blocks(&run, which, heads) {
                // One block after another: the scores of one are gone before the next one's come.
                let part = |block: &Block| {
                    let at = self.attended((&run, block), which, heads, qkv, 1.0);
                    let out = product(at.weights.cast(self.dtype), at.v);
                    Self::rows(out, block.heads.len() * group, queried)
                };
                parts.push(beside(across.iter().map(part).collect()));
            }
        }
        joined(parts)
    }

    fn attend_back(
        &self,
        sequences: &Sequences,
        which: Which,
        heads: Heads<'_>,
        gradient: &Tensor<2>,
        qkv: [&Tensor<2>; 3],
        temperature: f64,
    ) -> [Tensor<2>; 3] {
        let scale = factor(heads);
        let group = heads.query / heads.key;
        let mut parts: [Vec<Tensor<2>>; 3] = Default::default();
        for run in sequences.runs() {
            let (from, queried) = queried(&run, which);
            for across in self.blocks(&run, which, heads) {
                let mut sides: [Vec<Tensor<2>>; 3] = Default::default();
                for block in &across {
                    // The weights are computed again: to keep them takes tokens² of each head of each layer.
                    let at = self.attended((&run, block), which, heads, qkv, temperature);
                    let keys = block.heads.len();
                    let g = self.split(gradient, (from, run.count, queried), heads.query);
                    let g = Self::stack(block.of(g, group), keys);
                    let dw = wide(product(g.clone(), at.v.transpose()));
                    let read = at.softer.unwrap_or_else(|| at.weights.clone());
                    let middle = sum(read.clone() * dw.clone(), 3);
                    let ds = read * (dw - middle) * scale;
                    let ds = match at.caps {
                        Some(caps) => ds * caps,
                        None => ds,
                    };
                    let ds = ds.cast(self.dtype);
                    let dq = product(ds.clone(), at.k);
                    let dk = product(ds.transpose(), at.q);
                    let dv = product(at.weights.cast(self.dtype).transpose(), g);
                    sides[0].push(Self::rows(dq, keys * group, queried));
                    sides[1].push(Self::rows(dk, keys, run.whole()));
                    sides[2].push(Self::rows(dv, keys, run.whole()));
                }
                for (parts, side) in parts.iter_mut().zip(sides) {
                    parts.push(beside(side));
                }
            }
        }
        parts.map(joined)
    }

    fn gated(&self, rows: usize, activation: Activation, gate: &Tensor<2>, up: &Tensor<2>) -> Tensor<2> {
        value(activation, first(gate, rows)) * factor_of_gate(activation, first(up, rows))
    }

    fn gated_back(
        &self,
        rows: usize,
        activation: Activation,
        gradient: Tensor<2>,
        gate: &Tensor<2>,
        up: &Tensor<2>,
    ) -> [Tensor<2>; 2] {
        let (gate, up) = (first(gate, rows), first(up, rows));
        let factor = factor_of_gate(activation, up.clone());
        let gate_gradient = gradient.clone() * factor * slope(activation, gate.clone());
        let up_gradient = gradient * value(activation, gate);
        let up_gradient = match activation {
            Activation::ClampedSwish { limit, .. } => {
                let within = up.clone().abs().lower_equal_elem(limit).float().cast(up.dtype());
                up_gradient * within
            }
            _ => up_gradient,
        };
        [gate_gradient, up_gradient]
    }

    fn activate(&self, rows: usize, activation: Activation, x: &Tensor<2>) -> Tensor<2> {
        value(activation, first(x, rows))
    }

    fn activate_back(&self, rows: usize, activation: Activation, gradient: Tensor<2>, x: &Tensor<2>) -> Tensor<2> {
        gradient * slope(activation, first(x, rows))
    }

    fn values(&self, rows: usize, x: &Tensor<2>) -> Vec<f64> {
        doubles(landed(first(x, rows)))
    }

    fn pick(&self, x: &Tensor<2>, at: &[usize]) -> Tensor<2> {
        x.clone().select(0, indices(at.iter().copied(), &self.device))
    }

    fn add_at(&self, into: Tensor<2>, at: &[usize], x: &Tensor<2>) -> Tensor<2> {
        let at = indices(at.iter().copied(), &self.device);
        into.select_assign(0, at, x.clone(), IndexingUpdateOp::Add)
    }

    fn weigh(&self, x: Tensor<2>, at: &[usize], weights: &Tensor<2>, expert: usize) -> Tensor<2> {
        x * self.pick(&weights.clone().narrow(1, expert, 1), at)
    }

    fn add_dots(&self, into: Tensor<2>, at: &[usize], expert: usize, a: &Tensor<2>, b: &Tensor<2>) -> Tensor<2> {
        let dots = sum(wide(a.clone()) * wide(b.clone()), 1);
        let [rows, experts] = into.dims();
        let column = Tensor::zeros([rows, 1], (&self.device, self.wide()));
        let column = self.add_at(column, at, &dots).cast(self.dtype);
        let own: Vec<f32> = (0..experts).map(|other| f32::from(u8::from(other == expert))).collect();
        let own = Tensor::<2>::from_data(TensorData::new(own, [1, experts]), (&self.device, self.dtype));
        into + column * own
    }

    fn route(&self, rows: usize, logits: &Tensor<2>, choice: &Choice, renormalise: bool) -> Tensor<2> {
        let (logits, chosen) = (wide(first(logits, rows)), self.chosen(rows, choice));
        let weights = if renormalise {
            softmax(logits + (chosen - 1.0) * 1e30, 1)
        } else {
            softmax(logits, 1) * chosen
        };
        weights.cast(self.dtype)
    }

    fn route_back(
        &self,
        rows: usize,
        gradient: Tensor<2>,
        logits: &Tensor<2>,
        choice: &Choice,
        renormalise: bool,
    ) -> Tensor<2> {
        let (logits, chosen) = (wide(first(logits, rows)), self.chosen(rows, choice));
        let gradient = wide(gradient) * chosen.clone();
        let weights = if renormalise {
            softmax(logits + (chosen - 1.0) * 1e30, 1)
        } else {
            softmax(logits, 1)
        };
        let middle = sum(weights.clone() * gradient.clone(), 1);
        (weights * (gradient - middle)).cast(self.dtype)
    }

    fn take_last(&self, sequences: &Sequences, x: &Tensor<2>) -> Tensor<2> {
        x.clone().select(0, self.last_rows(sequences))
    }

    fn add_to_last(&self, sequences: &Sequences, into: Tensor<2>, last: &Tensor<2>) -> Tensor<2> {
        let last = first(last, sequences.outputs());
        into.select_assign(0, self.last_rows(sequences), last, IndexingUpdateOp::Add)
    }

    fn only_last(&self, sequences: &Sequences, last: &Tensor<2>) -> Tensor<2> {
        self.add_to_last(sequences, self.zeros(sequences.rows(), last.dims()[1]), last)
    }

    fn behind(&self, sequences: &Sequences, known: &[&Tensor<2>], x: &Tensor<2>) -> Tensor<2> {
        let mut parts = Vec::new();
        for at in sequences.runs() {
            let mut from = 0;
            // Sequences of one prompt, which are one part.
            for same in known[at.sequence..at.sequence + at.count].chunk_by(|a, b| std::ptr::eq(*a, *b)) {
                let count = same.len();
                let new = run(x, at.row + from * at.length, count, at.length);
                let whole = match at.before {
                    0 => new,
                    before => Tensor::cat(vec![run(same[0], 0, 1, before).repeat_dim(0, count), new], 1),
                };
                parts.push(flat(whole));
                from += count;
            }
        }
        joined(parts)
    }

    fn copy(&self, rows: usize, x: &Tensor<2>) -> Tensor<2> {
        first(x, rows)
    }

    fn zeros(&self, rows: usize, width: usize) -> Tensor<2> {
        Tensor::zeros([rows, width], (&self.device, self.dtype))
    }

    fn along(&self, stretches: &[Stretch<'_>]) -> Tensor<2> {
        // The path is laid in float32 at least, so that neighbouring points stay apart in a narrower dtype's last bits.
        let part = |s: &Stretch<'_>| {
            flat(end(&s.path.baseline) + end(&s.path.difference) * alphas(s, &self.device, self.wide()))
                .cast(self.dtype)
        };
        joined(stretches.iter().map(part).collect())
    }

    fn projected(&self, stretches: &[Stretch<'_>], which: usize) -> Tensor<2> {
        let part = |s: &Stretch<'_>| {
            let projection = s.path.projection.as_ref().expect("asked for where every path has one");
            let [base, step, constant] = &projection.layers[which];
            let out = end(base) * self.column(s, |at, _| at.scale)
                + end(step) * self.column(s, |at, alpha| at.scale * alpha)
                + end(constant);
            flat(out).cast(self.dtype)
        };
        joined(stretches.iter().map(part).collect())
    }

    fn scores(
        &self,
        stretches: &[Stretch<'_>],
        gradient: &Tensor<2>,
        through: &[Tensor<2>],
        detached: bool,
    ) -> Vec<f64> {
        let slopes = |at: Coefficients| if detached { at.detached() } else { at };
        let mut row = 0;
        let mut parts = Vec::new();
        for stretch in stretches {
            let (points, tokens) = (stretch.alphas.len(), stretch.path.tokens());
            let dot = |gradient: &Tensor<2>, along: &Along| {
                let gradient = wide(run(gradient, row, points, tokens));
                sum(gradient * end(along), 2)
            };
            let mut score = dot(gradient, &stretch.path.difference);
            if let Some(projection) = stretch.path.projection.as_ref().filter(|_| !through.is_empty()) {
                let [mut step, mut base] =
                    [0, 1].map(|_| Tensor::<3>::zeros([points, tokens, 1], (&self.device, self.wide())));
                for (layer, gradient) in projection.layers.iter().zip(through) {
                    base = base + dot(gradient, &layer[0]);
                    step = step + dot(gradient, &layer[1]);
                }
                score = score
                    + step * self.column(stretch, |at, _| slopes(at).along)
                    + base * self.column(stretch, |at, _| slopes(at).back);
            }
            parts.push(flat(score));
            row += points * tokens;
        }
        doubles(landed(joined(parts)))
    }

    fn to_tensor(&self, rows: usize, x: Tensor<2>) -> Tensor<2> {
        first(&x, rows)
    }

    fn to_rows(&self, x: Tensor<2>) -> Tensor<2> {
        x.cast(self.dtype)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families::shape::Norm;

    /// In half precision a wide norm is rounded once, at its end, as transformers does it with LayerNorm, Gemma's and
    /// OLMo 2's; Llama's is rounded before the weight, too.
    #[test]
    fn a_wide_norm_is_rounded_once() {
        let device = Device::flex();
        let bf16 = |floats: &[f32]| -> Vec<f32> {
            let halves = floats.iter().map(|&float| half::bf16::from_f32(float).to_f32());
            halves.collect()
        };
        let x = bf16(&[0.31, -1.7, 2.2, 0.09, -0.55, 1.3, -0.4, 0.77]);
        let weight = bf16(&[1.13, 0.87, 1.01, 0.93, 1.21, 0.79, 1.07, 0.97]);
        let bias = bf16(&[0.011, -0.13, 0.27, 0.05, -0.31, 0.017, 0.23, -0.09]);
        let tensor = |floats: &[f32]| Tensor::<1>::from_floats(floats, &device).cast(DType::BF16);
        let ops = OnDevice::new(&device, DType::BF16, &Tables::new(&[], 1), &Sequences::new(vec![1]));
        for (norm, wide) in [(Norm::rms(1e-5), false), (Norm::layer(1e-5), true)] {
            let weights = NormWeights::new(norm, tensor(&weight), norm.bias.then(|| tensor(&bias)));
            let (found, _) = ops.norm(1, &tensor(&x).unsqueeze(), &weights);
            let found: Vec<f32> = found.cast(DType::F32).into_data().try_to_vec().unwrap();
            let centre = if norm.bias { x.iter().sum::<f32>() / 8.0 } else { 0.0 };
            let square = x.iter().map(|x| (x - centre).powi(2)).sum::<f32>() / 8.0;
            let normal: Vec<f32> = x.iter().map(|x| (x - centre) / (square + 1e-5).sqrt()).collect();
            let normal = if wide { normal } else { bf16(&normal) };
            let of = |at: usize| normal[at] * weight[at] + if norm.bias { bias[at] } else { 0.0 };
            assert_eq!(found, bf16(&(0..8).map(of).collect::<Vec<_>>()), "{norm:?}");
        }
    }

    #[test]
    fn blocks_of_attention_cover_every_head_of_every_sequence_once_and_stay_within_their_limit() {
        for (count, heads, bytes, most) in [(5, 4, 100, 1_000_000), (5, 4, 100, 800), (5, 4, 100, 250), (3, 7, 9, 1)] {
            let mut seen = vec![0; count * heads];
            for across in blocks(count, heads, bytes, most) {
                let first = &across[0];
                for block in &across {
                    assert_eq!(block.sequences, first.sequences, "side by side");
                    let size = block.sequences.len() * block.heads.len() * bytes;
                    assert!(
                        size <= most || block.heads.len() == 1 && block.sequences.len() == 1,
                        "{block:?}"
                    );
                    for sequence in block.sequences.clone() {
                        block.heads.clone().for_each(|head| seen[sequence * heads + head] += 1);
                    }
                }
            }
            assert!(
                seen.iter().all(|&times| times == 1),
                "{count} {heads} {bytes} {most}: {seen:?}"
            );
        }
        assert_eq!(blocks(5, 4, 100, 1_000_000).len(), 1, "one where all fits");
    }
}
