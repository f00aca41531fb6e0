//! What the decoder's passes are made of. [`cpu::Cpu`] computes it with the kernels of [`crate::kernel`],
//! [`tensor::OnDevice`] with Burn's operations; the decoder is written once over both.

pub mod cpu;
pub mod tensor;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{Int, Tensor, TensorData};

use crate::families::shape::{Activation, NormKind, Pairs, Rotary};
use crate::kernel::Threads;
use crate::kernel::gemm::{Product, Right, View};
use crate::kernel::matrix::Elements;
use crate::model::experts::Choice;
use crate::tensor::care::{product, wide};
use crate::tensor::host::{self, Host, floats};
use crate::tensor::matrix::{Compact, Matrix};

/// A matrix of weights, `[out, in]`.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "some a layer, never moved about")]
pub enum Weight {
    /// On its device.
    Tensor(Tensor<2>),
    /// float32 in main memory.
    Host(Host, [usize; 2]),
    /// In a smaller form than it is computed in.
    Compact(Compact),
}

impl Weight {
    /// Looks whether the kernels can read it.
    pub fn new(tensor: Tensor<2>) -> Self {
        match Host::of(&tensor) {
            Some(host) => Self::Host(host, tensor.dims()),
            None => Self::Tensor(tensor),
        }
    }

    /// Of a module's matrix.
    pub fn of(matrix: &Matrix) -> Self {
        match matrix.kept() {
            Some(kept) => Self::Compact(kept.clone()),
            None => Self::new(matrix.val()),
        }
    }

    /// `[out, in]`
    pub fn dims(&self) -> [usize; 2] {
        match self {
            Self::Tensor(tensor) => tensor.dims(),
            Self::Host(_, dims) => *dims,
            Self::Compact(kept) => kept.dims(),
        }
    }

    /// What the kernels read, where it is in main memory.
    pub fn elements(&self) -> Option<Elements<'_>> {
        match self {
            Self::Tensor(_) => None,
            Self::Host(host, _) => Some(Elements::Floats(host.slice())),
            Self::Compact(kept) => kept.elements(),
        }
    }

    /// As a tensor, on its device and in what is computed in; one that is kept in another form is expanded.
    pub fn tensor(&self) -> Tensor<2> {
        match self {
            Self::Tensor(tensor) => tensor.clone(),
            Self::Host(host, _) => host.tensor(),
            Self::Compact(kept) => kept.tensor(),
        }
    }

    /// Chosen rows, as float32 or float64.
    pub fn select(&self, rows: &[i64]) -> Tensor<2> {
        if let Self::Compact(kept) = self {
            let rows: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
            return wide(kept.select(&rows));
        }
        let tensor = self.tensor();
        let rows = TensorData::new(rows.to_vec(), [rows.len()]);
        let rows = Tensor::<1, Int>::from_data(rows, &tensor.device());
        wide(tensor.select(0, rows))
    }

    /// x wᵀ in float32 or float64, for the few rows that are known of a path. A device multiplies in the weights' own dtype.
    pub fn through(&self, x: &Tensor<2>) -> Tensor<2> {
        let ([rows, input], [output, _]) = (x.dims(), self.dims());
        let Some((elements, x)) = self.elements().zip(Host::of(x)) else {
            let w = self.tensor();
            return wide(product(x.clone().cast(w.dtype()), w.transpose()));
        };
        let mut product = vec![0.0; rows * output];
        Product {
            size: (rows, input, output),
            a: View::rows(x.slice(), input),
            b: Right::rows(elements, input).transposed(),
            c: &mut product,
            stride: output,
            add: false,
        }
        .run(Threads::All);
        host::tensor(product, [rows, output])
    }
}

/// A linear layer's bias.
#[derive(Clone, Debug)]
pub struct Bias {
    /// `[out]`, in what is computed in.
    pub tensor: Tensor<1>,
    /// The same as float32 in main memory.
    pub host: Vec<f32>,
}

impl Bias {
    /// Of a parameter.
    pub fn new(tensor: Tensor<1>) -> Self {
        let host = floats(tensor.clone());
        Self { tensor, host }
    }
}

/// A norm's parameters.
#[derive(Clone, Debug)]
pub struct NormWeights {
    /// `[width]`, as it is multiplied with.
    pub weight: Tensor<1>,
    /// LayerNorm's, zeros where it has none; none: RMSNorm.
    pub bias: Option<Tensor<1>>,
    /// What is added to the mean square.
    pub epsilon: f64,
    /// The product with the weight is in float32, and rounded afterwards (Gemma), not before.
    pub wide: bool,
    /// Weight and bias as float32 in main memory.
    pub host: (Vec<f32>, Option<Vec<f32>>),
    parameters: usize,
}

impl NormWeights {
    /// Of parameters. A stored weight that is less by 1 is made whole.
    pub fn new(norm: crate::families::shape::Norm, weight: Tensor<1>, bias: Option<Tensor<1>>) -> Self {
        let parameters = weight.dims()[0] + bias.as_ref().map_or(0, |bias| bias.dims()[0]);
        let weight = if norm.wide { wide(weight) } else { weight };
        let weight = if norm.offset { wide(weight) + 1.0 } else { weight };
        let bias = if norm.wide { bias.map(wide) } else { bias };
        let bias = match norm.kind {
            NormKind::Rms => None,
            NormKind::Layer => Some(bias.unwrap_or_else(|| weight.zeros_like())),
        };
        let host = (floats(weight.clone()), bias.clone().map(floats));
        Self {
            weight,
            bias,
            epsilon: norm.epsilon,
            wide: norm.wide,
            host,
            parameters,
        }
    }

    /// Numbers in a row.
    pub fn width(&self) -> usize {
        self.host.0.len()
    }

    /// Parameters that a checkpoint has of it.
    pub fn parameters(&self) -> usize {
        self.parameters
    }
}

/// The shape of attention in a layer.
#[derive(Clone, Copy, Debug)]
pub struct Heads<'a> {
    /// Query heads.
    pub query: usize,
    /// Key/value heads.
    pub key: usize,
    /// Width of a head.
    pub width: usize,
    /// A position sees itself and those before it, this many in all.
    pub window: Option<usize>,
    /// Factor of scores; none: 1/√width.
    pub scale: Option<f64>,
    /// Scores s become cap · tanh(s / cap) before the mask.
    pub cap: Option<f64>,
    /// A score of each query head that takes part in the softmax and has no value.
    pub sinks: Option<&'a Bias>,
    /// The slopes of linear biases, of each query head.
    pub slopes: Option<&'a [f32]>,
}

/// Cosines and sines, each `[tokens, width / 2]`.
#[derive(Clone, Debug)]
pub struct Angles {
    /// Of all angles.
    pub cos: Vec<f32>,
    /// Of all angles.
    pub sin: Vec<f32>,
    /// Angles of a position.
    pub half: usize,
}

impl Angles {
    /// For positions 0 to `tokens`: position · frequency, computed in float64; frequencies of a prompt of `length`
    /// tokens.
    fn new(rotary: &Rotary, tokens: usize, length: usize) -> Self {
        let frequencies = rotary.frequencies(length);
        let [cos, sin] = turns(rotary, &frequencies, 0..tokens);
        let short = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
        Self {
            cos: short(cos),
            sin: short(sin),
            half: frequencies.len(),
        }
    }
}

/// Cosines and sines of these positions.
fn turns(rotary: &Rotary, frequencies: &[f64], positions: Range<usize>) -> [Vec<f64>; 2] {
    let both = |position: usize| {
        let factor = rotary.factor() * rotary.growth.map_or(1.0, |growth| growth.at(position));
        frequencies.iter().map(move |frequency| {
            let angle = position as f64 * frequency;
            (angle.cos() * factor, angle.sin() * factor)
        })
    };
    let (cos, sin) = positions.flat_map(both).unzip();
    [cos, sin]
}

/// The angles of one rotary position embedding.
#[derive(Debug)]
pub struct Table {
    rotary: Rotary,
    usual: Arc<Angles>,
    /// For prompts beyond [`Rotary::changes_beyond`], by their length.
    longer: Mutex<BTreeMap<usize, Arc<Angles>>>,
}

impl Table {
    /// Those of a prompt of so many tokens.
    pub fn of(&self, length: usize) -> Arc<Angles> {
        if self.rotary.changes_beyond().is_none_or(|longest| length <= longest) {
            return self.usual.clone();
        }
        let mut longer = self.longer.lock().unwrap_or_else(PoisonError::into_inner);
        let angles = longer
            .entry(length)
            .or_insert_with(|| Arc::new(Angles::new(&self.rotary, length, length)));
        angles.clone()
    }

    /// Cosines and sines of some positions of a prompt of so many tokens, in float64.
    pub fn exact(&self, length: usize, positions: Range<usize>) -> [Vec<f64>; 2] {
        turns(&self.rotary, &self.rotary.frequencies(length), positions)
    }

    /// Which dimensions turn together.
    pub fn pairs(&self) -> Pairs {
        self.rotary.pairs
    }
}

/// The tables of a model's rotary position embeddings.
#[derive(Debug)]
pub struct Tables {
    /// In the order of the shape's own list.
    pub tables: Vec<Table>,
    tokens: usize,
}

impl Tables {
    /// For prompts of at most so many tokens.
    pub fn new(rotary: &[Rotary], tokens: usize) -> Self {
        let table = |rotary: &Rotary| {
            let usual = match tokens {
                // What a config file claims is not believed before it is needed.
                0 => Angles {
                    cos: vec![],
                    sin: vec![],
                    half: 0,
                },
                _ => Angles::new(rotary, tokens.min(rotary.changes_beyond().unwrap_or(tokens)), 1),
            };
            Table {
                rotary: rotary.clone(),
                usual: Arc::new(usual),
                longer: Mutex::default(),
            }
        };
        Self {
            tables: rotary.iter().map(table).collect(),
            tokens,
        }
    }

    /// Positions that they are for.
    pub fn tokens(&self) -> usize {
        self.tokens
    }
}

/// Sequences of a pass, one after another in its rows. What an earlier pass has read of a sequence has no rows.
#[derive(Clone, Debug)]
pub struct Sequences {
    /// Rows of each in the pass.
    lengths: Vec<usize>,
    /// Tokens of each that stand before them, and have keys and values already.
    before: Vec<usize>,
    /// Both together.
    wholes: Vec<usize>,
    /// How many of each one's last positions are read.
    tails: Vec<usize>,
    /// No sequence of the pass is read at more than one position.
    single: bool,
    rows: usize,
    outputs: usize,
}

impl Sequences {
    /// Of these many tokens each, read at the last position.
    pub fn new(lengths: Vec<usize>) -> Self {
        let tails = vec![1; lengths.len()];
        Self::with_tails(lengths, tails)
    }

    /// Of these many tokens each, read at these many of the last positions.
    pub fn with_tails(lengths: Vec<usize>, tails: Vec<usize>) -> Self {
        let before = vec![0; lengths.len()];
        Self::behind(before, lengths, tails)
    }

    /// Of these many tokens each behind those that were read before.
    pub fn behind(before: Vec<usize>, lengths: Vec<usize>, tails: Vec<usize>) -> Self {
        Self {
            rows: lengths.iter().sum(),
            outputs: tails.iter().sum(),
            single: tails.iter().all(|&tail| tail == 1),
            wholes: before
                .iter()
                .zip(&lengths)
                .map(|(before, length)| before + length)
                .collect(),
            lengths,
            before,
            tails,
        }
    }

    /// The first `count` of them.
    pub fn first(&self, count: usize) -> Self {
        Self {
            // The pass was made for all.
            single: self.single,
            ..Self::behind(
                self.before[..count].to_vec(),
                self.lengths[..count].to_vec(),
                self.tails[..count].to_vec(),
            )
        }
    }

    /// Whether the pass has one output for each sequence.
    pub fn single(&self) -> bool {
        self.single
    }

    /// Positions that are read, in all.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Positions that are read of each.
    pub fn tails(&self) -> &[usize] {
        &self.tails
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.lengths.len()
    }

    /// Tokens in all that have rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Rows of what has one for each token, or one for each sequence.
    pub fn rows_of(&self, which: Which) -> usize {
        match which {
            Which::All => self.rows,
            Which::Last => self.outputs,
        }
    }

    /// Tokens of the longest, with those that were read before.
    pub fn longest(&self) -> usize {
        self.wholes.iter().copied().max().unwrap_or(0)
    }

    /// Tokens of each that have rows.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Tokens of each that were read before.
    pub fn before(&self) -> &[usize] {
        &self.before
    }

    /// Tokens of each, with those that were read before.
    pub fn wholes(&self) -> &[usize] {
        &self.wholes
    }

    /// The positions of each one's rows of a kind.
    pub fn positions(&self, which: Which) -> impl Iterator<Item = Range<usize>> + '_ {
        let rows = match which {
            Which::All => &self.lengths,
            Which::Last => &self.tails,
        };
        self.wholes.iter().zip(rows).map(|(&whole, rows)| whole - rows..whole)
    }

    /// The rows of what is read of each, which are its last ones.
    pub fn last(&self) -> impl Iterator<Item = usize> + '_ {
        let ends = self.lengths.iter().scan(0, |row, length| {
            *row += length;
            Some(*row)
        });
        ends.zip(&self.tails).flat_map(|(end, tail)| end - tail..end)
    }

    /// Runs of sequences with as many tokens each, before and in the pass.
    pub fn runs(&self) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        let (mut row, mut key) = (0, 0);
        for (sequence, (&length, &before)) in self.lengths.iter().zip(&self.before).enumerate() {
            match runs.last_mut() {
                Some(run) if (run.length, run.before) == (length, before) => run.count += 1,
                _ => runs.push(Run {
                    sequence,
                    row,
                    key,
                    count: 1,
                    before,
                    length,
                }),
            }
            row += length;
            key += before + length;
        }
        runs
    }
}

/// Sequences one after another that have as many tokens each.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// The first of them.
    pub sequence: usize,
    /// Its first row.
    pub row: usize,
    /// The first row of its keys and values, which those that were read before have too.
    pub key: usize,
    /// How many they are.
    pub count: usize,
    /// Tokens of each that were read before.
    pub before: usize,
    /// Tokens of each that have rows.
    pub length: usize,
}

impl Run {
    /// Tokens of each.
    pub fn whole(&self) -> usize {
        self.before + self.length
    }
}

/// Which rows something has: one for each token, or one for each position that is read (a sequence's last).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All tokens.
    All,
    /// The last tokens.
    Last,
}

/// Operations over rows. Where an argument holds more rows than the `rows` (or sequences) that are named, only its
/// first are used: a backward pass may be for fewer sequences than the forward pass was.
pub trait Ops {
    /// `[rows, width]`
    type Rows;
    /// What a norm's backward half needs to know of each row.
    type Moments;

    /// x wᵀ
    fn linear(&self, rows: usize, x: &Self::Rows, w: &Weight) -> Self::Rows;
    /// into + x wᵀ
    fn linear_add(&self, rows: usize, x: &Self::Rows, w: &Weight, into: Self::Rows) -> Self::Rows;
    /// x w
    fn back(&self, rows: usize, x: &Self::Rows, w: &Weight) -> Self::Rows;
    /// into + x w
    fn back_add(&self, rows: usize, x: &Self::Rows, w: &Weight, into: Self::Rows) -> Self::Rows;
    /// A norm of each row.
    fn norm(&self, rows: usize, x: &Self::Rows, norm: &NormWeights) -> (Self::Rows, Self::Moments);
    /// into + the gradient of the norm's input `x`.
    fn norm_back(
        &self,
        rows: usize,
        gradient: &Self::Rows,
        x: &Self::Rows,
        moments: &Self::Moments,
        norm: &NormWeights,
        into: Self::Rows,
    ) -> Self::Rows;
    /// As [`Self::norm_back`], where 1/√(…) counts as a constant.
    fn norm_back_detached(
        &self,
        rows: usize,
        gradient: &Self::Rows,
        moments: &Self::Moments,
        norm: &NormWeights,
        into: Self::Rows,
    ) -> Self::Rows;
    /// x + bias, for each row.
    fn add_bias(&self, rows: usize, x: Self::Rows, bias: &Bias) -> Self::Rows;
    /// into + x
    fn add(&self, rows: usize, into: Self::Rows, x: &Self::Rows) -> Self::Rows;
    /// factor · x
    fn scale(&self, x: Self::Rows, factor: f64) -> Self::Rows;
    /// Numbers in a row.
    fn width(&self, x: &Self::Rows) -> usize;
    /// The same numbers in rows of another width, which divides or is a multiple of the present one.
    fn reshape(&self, x: Self::Rows, width: usize) -> Self::Rows;
    /// Rotary position embedding of heads of `width`, by one of the model's tables; `back` is the backward pass.
    fn rotate(
        &self,
        sequences: &Sequences,
        which: Which,
        x: Self::Rows,
        width: usize,
        table: usize,
        back: bool,
    ) -> Self::Rows;
    /// Attention; `which` says for which rows there are queries (the last of each sequence, where not for all). Keys
    /// and values are those of whole sequences. Rotary position embeddings are applied before.
    fn attend(&self, sequences: &Sequences, which: Which, heads: Heads<'_>, qkv: [&Self::Rows; 3]) -> Self::Rows;
    /// Gradients of queries, keys and values; `temperature` as in [`crate::kernel::attention::Attention::backward`].
    fn attend_back(
        &self,
        sequences: &Sequences,
        which: Which,
        heads: Heads<'_>,
        gradient: &Self::Rows,
        qkv: [&Self::Rows; 3],
        temperature: f64,
    ) -> [Self::Rows; 3];
    /// activation(gate) · up
    fn gated(&self, rows: usize, activation: Activation, gate: &Self::Rows, up: &Self::Rows) -> Self::Rows;
    /// Gradients of gate and up.
    fn gated_back(
        &self,
        rows: usize,
        activation: Activation,
        gradient: Self::Rows,
        gate: &Self::Rows,
        up: &Self::Rows,
    ) -> [Self::Rows; 2];
    /// activation(x)
    fn activate(&self, rows: usize, activation: Activation, x: &Self::Rows) -> Self::Rows;
    /// Its gradient.
    fn activate_back(&self, rows: usize, activation: Activation, gradient: Self::Rows, x: &Self::Rows) -> Self::Rows;
    /// Its numbers, read into main memory.
    fn values(&self, rows: usize, x: &Self::Rows) -> Vec<f64>;
    /// The rows at these places.
    fn pick(&self, x: &Self::Rows, at: &[usize]) -> Self::Rows;
    /// Adds rows to those at these places.
    fn add_at(&self, into: Self::Rows, at: &[usize], x: &Self::Rows) -> Self::Rows;
    /// Multiplies each row by the weight of its place and expert; `weights` are `[rows, experts]`.
    fn weigh(&self, x: Self::Rows, at: &[usize], weights: &Self::Rows, expert: usize) -> Self::Rows;
    /// Adds the product of each two rows to the number of its place and expert.
    fn add_dots(&self, into: Self::Rows, at: &[usize], expert: usize, a: &Self::Rows, b: &Self::Rows) -> Self::Rows;
    /// The weights of experts, `[rows, experts]`, 0 where one is not chosen, from the logits of the router: the softmax
    /// over the chosen, or that over all.
    fn route(&self, rows: usize, logits: &Self::Rows, choice: &Choice, renormalise: bool) -> Self::Rows;
    /// The gradient of the router's logits, given that of the weights.
    fn route_back(
        &self,
        rows: usize,
        gradient: Self::Rows,
        logits: &Self::Rows,
        choice: &Choice,
        renormalise: bool,
    ) -> Self::Rows;
    /// The rows that are read of each sequence.
    fn take_last(&self, sequences: &Sequences, x: &Self::Rows) -> Self::Rows;
    /// Adds rows to those that are read of each sequence.
    fn add_to_last(&self, sequences: &Sequences, into: Self::Rows, last: &Self::Rows) -> Self::Rows;
    /// All zeros, with `last` in the rows that are read of each sequence.
    fn only_last(&self, sequences: &Sequences, last: &Self::Rows) -> Self::Rows;

    /// Keys, or values, of whole sequences: those of the tokens that were read before, which are the first rows of what
    /// is `known` for each sequence, then those of the pass.
    fn behind(&self, sequences: &Sequences, known: &[&Self::Rows], x: &Self::Rows) -> Self::Rows;
    /// The same again.
    fn copy(&self, rows: usize, x: &Self::Rows) -> Self::Rows;
    /// Nothing yet.
    fn zeros(&self, rows: usize, width: usize) -> Self::Rows;

    /// Rows x′ + α (x − x′) of a path, for each α in turn; all stretches one after another.
    fn along(&self, stretches: &[Stretch<'_>]) -> Self::Rows;
    /// One of the first layer's linear layers on a path, from what is known of its ends: see [`super::path`].
    fn projected(&self, stretches: &[Stretch<'_>], which: usize) -> Self::Rows;
    /// Σ over the hidden dimension of gradient · (x − x′) for each row, plus what reaches the path through the first
    /// layer's linear layers: `through` holds their gradients in the order of [`super::path::Projection::layers`], none
    /// where the first layer was computed as any other. `detached`: the first norm's 1/√(…) counts as a constant.
    fn scores(
        &self,
        stretches: &[Stretch<'_>],
        gradient: &Self::Rows,
        through: &[Self::Rows],
        detached: bool,
    ) -> Vec<f64>;

    /// `[rows, width]` on the device.
    fn to_tensor(&self, rows: usize, x: Self::Rows) -> Tensor<2>;
    /// The other way.
    fn to_rows(&self, x: Tensor<2>) -> Self::Rows;
}

/// Some points of one path.
#[derive(Clone, Copy, Debug)]
pub struct Stretch<'a> {
    /// The path.
    pub path: &'a super::path::Path,
    /// Where on it.
    pub alphas: &'a [f64],
}
