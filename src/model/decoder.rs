//! The decoder: one forward pass for every family, its blocks data ([`crate::families::shape`]), written over [`Ops`].
//!
//! Attribution needs the gradient with respect to the input alone, at one position's output, for many inputs at once.
//! Automatic differentiation stores every intermediate result and computes each by itself; here the backward pass is
//! written out ([`super::backward`]). The forward pass stores what it reads. In the last layer only the last position's
//! query and MLP are computed (all of them where several positions are read); in the first, the linear layers behind
//! the norm cost nothing at all on a straight path ([`super::path`]).

use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Tensor;

use super::experts::{self, Choice, Frozen, Held, HeldBy, Mixture, MixtureTrace, Routes};
use super::known::Known;
use super::ops::{Bias, Heads, NormWeights, Ops, Sequences, Stretch, Tables, Weight, Which};
use crate::families::shape::{Block, Halves, Shape};

/// A decoder, its weights shared with the parameters that it was made from.
#[derive(Debug)]
pub struct Decoder {
    pub(super) shape: Shape,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: NormWeights,
    /// The output layer, `[vocabulary, hidden]`.
    pub(super) head: Linear,
    /// Position embeddings, `[positions, hidden]`.
    pub(super) positions: Option<Tensor<2>>,
    /// Rotary angles; they grow with the longest prompt so far.
    tables: Mutex<Arc<Tables>>,
}

/// A linear layer.
#[derive(Clone, Debug)]
pub(super) struct Linear {
    /// `[out, in]`
    pub weight: Weight,
    /// `[out]`
    pub bias: Option<Bias>,
}

/// A layer with its weights.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub block: Block,
    /// Factor of attention scores; none: 1/√width.
    pub scale: Option<f64>,
    pub before_attention: Option<NormWeights>,
    pub query: Linear,
    pub key: Linear,
    pub value: Linear,
    pub query_norm: Option<NormWeights>,
    pub key_norm: Option<NormWeights>,
    pub output: Linear,
    pub after_attention: Option<NormWeights>,
    pub before_mlp: Option<NormWeights>,
    pub feed: Feed,
    pub after_mlp: Option<NormWeights>,
    /// Scores of the keys that are not there, `[query heads]`.
    pub sinks: Option<Bias>,
    /// Slopes of linear biases, of each query head.
    pub slopes: Option<Vec<f32>>,
}

/// What stands behind attention.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "one a layer, never moved about")]
pub(super) enum Feed {
    /// One MLP.
    Dense(Mlp),
    /// Many, of which a few are chosen for each token.
    Mixture(Mixture),
}

/// The linear layers of an MLP.
#[derive(Clone, Debug)]
pub(super) struct Mlp {
    pub gate: Option<Linear>,
    pub up: Linear,
    pub down: Linear,
}

impl Mlp {
    fn linears(&self) -> impl Iterator<Item = &Linear> {
        [&self.up, &self.down].into_iter().chain(&self.gate)
    }
}

impl Feed {
    /// The one MLP that there is.
    pub fn dense(&self) -> &Mlp {
        match self {
            Self::Dense(mlp) => mlp,
            Self::Mixture(_) => unreachable!("a block with experts is serial"),
        }
    }
}

impl Layer {
    /// The linear layers that read what enters the layer, with the norm in front of each.
    pub(super) fn first_projections(&self) -> Vec<(&Linear, Option<&NormWeights>)> {
        let norm = self.before_attention.as_ref();
        let mut all = vec![(&self.query, norm), (&self.key, norm), (&self.value, norm)];
        if self.block.halves == Halves::Parallel {
            let norm = self.before_mlp.as_ref().or(norm);
            let mlp = self.feed.dense();
            all.extend(mlp.gate.iter().chain([&mlp.up]).map(|linear| (linear, norm)));
        }
        all
    }

    /// The heads, with what attention of this layer needs.
    pub(super) fn heads(&self) -> Heads<'_> {
        let attention = &self.block.attention;
        Heads {
            query: attention.heads.query,
            key: attention.heads.key,
            width: attention.heads.width,
            window: attention.window,
            scale: self.scale,
            cap: attention.cap,
            sinks: self.sinks.as_ref(),
            slopes: self.slopes.as_deref(),
        }
    }

    fn linears(&self) -> Vec<&Linear> {
        let mut all = vec![&self.query, &self.key, &self.value, &self.output];
        match &self.feed {
            Feed::Dense(mlp) => all.extend(mlp.linears()),
            Feed::Mixture(mixture) => {
                all.push(&mixture.router);
                all.extend(mixture.mlps.iter().flat_map(Mlp::linears));
            }
        }
        all
    }

    /// The norm of queries, and their rotary position embedding.
    pub(super) fn of_queries(&self) -> Placing<'_> {
        let attention = &self.block.attention;
        (self.query_norm.as_ref(), attention.query_rotary.or(attention.rotary))
    }

    /// As [`Self::of_queries`], of keys.
    pub(super) fn of_keys(&self) -> Placing<'_> {
        (self.key_norm.as_ref(), self.block.attention.rotary)
    }

    /// Floats that its backward pass needs of each row.
    pub(super) fn kept(&self, hidden: usize) -> usize {
        kept_of(&self.block, hidden)
    }

    fn norms(&self) -> impl Iterator<Item = &NormWeights> {
        [
            &self.before_attention,
            &self.query_norm,
            &self.key_norm,
            &self.after_attention,
            &self.before_mlp,
            &self.after_mlp,
        ]
        .into_iter()
        .flatten()
    }
}

/// What a layer is given beside its rows: the paths that its first linear layers are known of, the experts that it is
/// to choose, and keys and values of the rows that stand before its own.
type Beforehand<'a, O> = (
    Option<&'a [Stretch<'a>]>,
    Option<Held<'a>>,
    &'a [&'a [<O as Ops>::Rows; 2]],
);

/// What a pass starts from.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'a> {
    /// Embeddings of tokens, `[rows, hidden]`.
    Embeddings(&'a Tensor<2>),
    /// The same, with the experts that the tokens of each sequence's prompt are to have, where it says so.
    Frozen(&'a Tensor<2>, &'a [Option<&'a Frozen>]),
    /// Points of paths.
    Paths(&'a [Stretch<'a>]),
}

/// What a forward pass keeps of its layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Nothing: no backward pass will follow.
    Nothing,
    /// All that the backward pass reads.
    Everything,
    /// What enters each layer, from which the backward pass computes the rest again, a layer at a time: a third more
    /// work, and a tenth of the memory. Layers with experts are kept whole, so that nothing is chosen again.
    Inputs,
}

/// What the backward pass reads.
pub struct Trace<O: Ops> {
    pub(super) layers: Vec<Kept<O>>,
    /// The residual stream at the last positions, before the final norm.
    pub(super) end: O::Rows,
    pub(super) end_moments: O::Moments,
    /// `[outputs, vocabulary]`
    pub logits: Tensor<2>,
}

/// Rows that a norm reads, and their moments.
pub(super) type Normed<O> = (<O as Ops>::Rows, <O as Ops>::Moments);

/// The norm of queries or keys, and their rotary position embedding.
pub(super) type Placing<'a> = (Option<&'a NormWeights>, Option<usize>);

/// What a layer leaves for its backward pass.
pub(super) struct LayerTrace<O: Ops> {
    pub input: Input<O>,
    /// What the norms of queries and of keys read.
    pub qk_norms: [Option<Normed<O>>; 2],
    /// As attention reads them.
    pub qkv: [O::Rows; 3],
    /// What the norm behind attention reads.
    pub after_attention: Option<Normed<O>>,
    /// What the MLP's own norm reads; no rows: what enters the layer.
    pub before_mlp: Option<(Option<O::Rows>, O::Moments)>,
    pub feed: FeedTrace<O>,
    /// What the norm behind the MLP reads.
    pub after_mlp: Option<Normed<O>>,
}

/// What is kept of a layer.
#[allow(clippy::large_enum_variant, reason = "one a layer, never moved about")]
pub(super) enum Kept<O: Ops> {
    /// All that it left.
    Whole(LayerTrace<O>),
    /// What entered it.
    Input(O::Rows),
}

impl<O: Ops> Kept<O> {
    /// What was chosen in it, if there was something to choose.
    fn choice(&self) -> Option<&Choice> {
        match self {
            Self::Whole(LayerTrace {
                feed: FeedTrace::Mixture(mixture),
                ..
            }) => Some(&mixture.choice),
            _ => None,
        }
    }
}

/// What an MLP, or a mixture of them, leaves.
pub(super) enum FeedTrace<O: Ops> {
    /// Its gate, and what is multiplied by it.
    Dense(Option<O::Rows>, O::Rows),
    Mixture(MixtureTrace<O>),
}

/// What a layer's first linear layers read.
pub(super) enum Input<O: Ops> {
    /// The path knew their results.
    Path,
    /// The residual stream as it is.
    Plain,
    /// The residual stream behind a norm.
    Normed(O::Rows, O::Moments),
}

/// What the first linear layers of a layer give.
struct First<O: Ops> {
    input: Input<O>,
    before_mlp: Option<(Option<O::Rows>, O::Moments)>,
    qkv: [O::Rows; 3],
    /// Gate and up of a parallel block.
    mlp: Option<(Option<O::Rows>, O::Rows)>,
    /// The residual stream of the rows that the layer puts out.
    residual: O::Rows,
}

/// Takes what entered a layer, where that is to be kept, and what the layer leaves.
pub(super) type Store<'s, O> = dyn FnMut(Option<<O as Ops>::Rows>, LayerTrace<O>) + 's;

/// The paths, where all of them know what their first linear layers give.
fn projected<'a>(stretches: &'a [Stretch<'a>]) -> Option<&'a [Stretch<'a>]> {
    let known = stretches.iter().all(|stretch| stretch.path.projection.is_some());
    known.then_some(stretches)
}

impl Decoder {
    pub(super) fn new(
        shape: Shape,
        layers: Vec<Layer>,
        norm: NormWeights,
        head: Linear,
        positions: Option<Tensor<2>>,
    ) -> Self {
        let tables = Mutex::new(Arc::new(Tables::new(&shape.rotary, 0)));
        Self {
            shape,
            layers,
            norm,
            head,
            positions,
            tables,
        }
    }

    /// Rotary angles for prompts of this length at least.
    pub fn rotary(&self, tokens: usize) -> Arc<Tables> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if tables.tokens() < tokens {
            *tables = Arc::new(Tables::new(&self.shape.rotary, tokens));
        }
        tables.clone()
    }

    /// The output layer, `[vocabulary, hidden]`.
    pub fn head(&self) -> &Weight {
        &self.head.weight
    }

    /// The logits of the positions that are read of each sequence. `keep` says what a backward pass will find.
    pub fn forward<O: Ops>(&self, ops: &O, sequences: &Sequences, entry: Entry<'_>, keep: Keep) -> Trace<O> {
        let mut layers = Vec::new();
        let mut store = |entered, trace| match (keep, entered) {
            (Keep::Nothing, _) => {}
            (_, Some(entered)) => layers.push(Kept::Input(entered)),
            (_, None) => layers.push(Kept::Whole(trace)),
        };
        let inputs = keep == Keep::Inputs;
        let (end, end_moments, logits) = self.through(ops, sequences, entry, &[], (inputs, &mut store));
        Trace {
            layers,
            end,
            end_moments,
            logits,
        }
    }

    /// The residual stream at the positions that are read, its moments, and the logits; `store` gets what each layer
    /// leaves, and before it what entered the layer, where `inputs` are asked for and suffice. What is `known` of each sequence is needed where some of its tokens were read before.
    pub(super) fn through<O: Ops>(
        &self,
        ops: &O,
        sequences: &Sequences,
        entry: Entry<'_>,
        known: &[&Known<O>],
        (inputs, store): (bool, &mut Store<'_, O>),
    ) -> (O::Rows, O::Moments, Tensor<2>) {
        let mut x = match entry {
            Entry::Embeddings(x) | Entry::Frozen(x, _) => {
                let positions = sequences.positions(Which::All).flatten();
                ops.to_rows(self.with_positions(x.clone(), positions))
            }
            Entry::Paths(stretches) => ops.along(stretches),
        };
        let paths = match entry {
            Entry::Paths(stretches) => projected(stretches),
            _ => None,
        };
        for (index, layer) in self.layers.iter().enumerate() {
            let which = self.asked(index, sequences);
            let paths = paths.filter(|_| index == 0);
            let held = match entry {
                Entry::Paths(stretches) => Some(HeldBy::Paths(stretches)),
                Entry::Frozen(_, frozen) => Some(HeldBy::Prompts(frozen, sequences)),
                Entry::Embeddings(_) => None,
            };
            let held = held.map(|of| Held {
                of,
                layer: index,
                which,
            });
            let known: Vec<&[O::Rows; 2]> = known.iter().map(|known| &known.layers[index]).collect();
            let entered = (inputs && matches!(layer.feed, Feed::Dense(_))).then(|| ops.copy(sequences.rows(), &x));
            let (out, trace) = self.layer(ops, sequences, layer, x, which, (paths, held, &known));
            x = out;
            store(entered, trace);
        }
        if !sequences.single() {
            x = ops.take_last(sequences, &x);
        }
        let count = sequences.outputs();
        let (hidden, end_moments) = ops.norm(count, &x, &self.norm);
        let logits = self.logits(ops, count, &hidden);
        (x, end_moments, logits)
    }

    /// Embeddings with the learned embeddings of their positions, where the model has such; for rows at these
    /// positions.
    pub(super) fn with_positions(&self, x: Tensor<2>, positions: impl Iterator<Item = usize>) -> Tensor<2> {
        let Some(table) = &self.positions else { return x };
        let rows: Vec<usize> = positions.collect();
        let longest = rows.iter().max().map_or(0, |&last| last + 1);
        let known = table.dims()[0];
        assert!(
            longest <= known,
            "a prompt of {longest} tokens, and embeddings of {known} positions"
        );
        let rows = super::indices(rows, &table.device());
        x + table.clone().select(0, rows)
    }

    /// From the residual stream behind the final norm.
    pub(super) fn logits<O: Ops>(&self, ops: &O, count: usize, hidden: &O::Rows) -> Tensor<2> {
        let logits = self.linear(ops, count, hidden, &self.head);
        let mut logits = ops.to_tensor(count, logits);
        let output = &self.shape.output;
        if output.scale != 1.0 {
            logits = logits * output.scale;
        }
        match output.cap {
            Some(cap) => (logits / cap).tanh() * cap,
            None => logits,
        }
    }

    /// ∂logit/∂(what the output layer gives) at logits that came out, where it is not 1.
    pub fn logit_slope(&self, logits: &Tensor<2>) -> Option<Tensor<2>> {
        let output = &self.shape.output;
        let capped = output.cap.map(|cap| (logits.clone() / cap).square().neg() + 1.0);
        match capped {
            Some(slope) => Some(slope * output.scale),
            None if output.scale != 1.0 => Some(logits.zeros_like() + output.scale),
            None => None,
        }
    }

    /// What was chosen in all layers for each of the sequences of a pass; empty without experts.
    pub fn routes<O: Ops>(&self, sequences: &Sequences, trace: &Trace<O>) -> Vec<Routes> {
        let layers = trace.layers.iter().enumerate().filter_map(|(index, kept)| {
            let choice = kept.choice()?;
            Some((self.asked(index, sequences), choice))
        });
        experts::routes(sequences, layers)
    }

    /// The experts that a pass over one sequence chose, read at more than one position or one token long, so that all
    /// rows of all layers were computed.
    pub fn chosen<O: Ops>(&self, trace: &Trace<O>) -> Vec<Option<Choice>> {
        trace.layers.iter().map(|kept| kept.choice().cloned()).collect()
    }

    /// What a layer leaves, from what entered it: as the forward pass had it, for its first sequences.
    pub(super) fn again<O: Ops>(
        &self,
        ops: &O,
        sequences: &Sequences,
        (index, entered): (usize, &O::Rows),
        stretches: &[Stretch<'_>],
    ) -> LayerTrace<O> {
        let paths = projected(stretches).filter(|_| index == 0);
        let x = ops.copy(sequences.rows(), entered);
        let which = self.asked(index, sequences);
        self.layer(ops, sequences, &self.layers[index], x, which, (paths, None, &[]))
            .1
    }

    /// For which rows a layer has to compute more than keys and values.
    pub(super) fn asked(&self, layer: usize, sequences: &Sequences) -> Which {
        if layer + 1 == self.layers.len() && sequences.single() {
            Which::Last
        } else {
            Which::All
        }
    }

    pub(super) fn linear<O: Ops>(&self, ops: &O, rows: usize, x: &O::Rows, linear: &Linear) -> O::Rows {
        let out = ops.linear(rows, x, &linear.weight);
        match &linear.bias {
            Some(bias) => ops.add_bias(rows, out, bias),
            None => out,
        }
    }

    fn layer<O: Ops>(
        &self,
        ops: &O,
        sequences: &Sequences,
        layer: &Layer,
        x: O::Rows,
        which: Which,
        (paths, held, known): Beforehand<'_, O>,
    ) -> (O::Rows, LayerTrace<O>) {
        let out = sequences.rows_of(which);
        let first = match paths {
            Some(stretches) => self.first_of_path(ops, sequences, layer, x, which, stretches),
            None => self.first(ops, sequences, layer, x, which),
        };
        let [q, k, v] = first.qkv;
        let (q, q_norm) = self.placed(ops, sequences, layer, which, q, layer.of_queries());
        let (k, k_norm) = self.placed(ops, sequences, layer, Which::All, k, layer.of_keys());
        let [k, v] = match known {
            [] => [k, v],
            _ => {
                let side = |side: usize| -> Vec<&O::Rows> { known.iter().map(|known| &known[side]).collect() };
                [ops.behind(sequences, &side(0), &k), ops.behind(sequences, &side(1), &v)]
            }
        };
        let attended = ops.attend(sequences, which, layer.heads(), [&q, &k, &v]);
        let (residual, after_attention) = self.write(
            ops,
            out,
            &attended,
            (&layer.output, layer.after_attention.as_ref()),
            layer.block.residual,
            first.residual,
        );
        let (residual, before_mlp, feed, after_mlp) = match &layer.feed {
            Feed::Dense(mlp) => {
                let (residual, before_mlp, (gate, up)) = match first.mlp {
                    Some(mlp) => (residual, first.before_mlp, mlp),
                    None => self.mlp_input(ops, out, layer, residual, |x| self.mlp_first(ops, out, mlp, x)),
                };
                let activated = self.activated(ops, out, layer, &gate, &up);
                let down = (&mlp.down, layer.after_mlp.as_ref());
                let (residual, after_mlp) = self.write(ops, out, &activated, down, layer.block.residual, residual);
                (residual, before_mlp, FeedTrace::Dense(gate, up), after_mlp)
            }
            Feed::Mixture(mixture) => {
                let (residual, before_mlp, (written, trace)) = self.mlp_input(ops, out, layer, residual, |x| {
                    self.mixture(ops, out, layer, mixture, x, held)
                });
                let norm = layer.after_mlp.as_ref();
                let (residual, after_mlp) = self.add_written(ops, out, written, norm, layer.block.residual, residual);
                (residual, before_mlp, FeedTrace::Mixture(trace), after_mlp)
            }
        };
        let trace = LayerTrace {
            input: first.input,
            qk_norms: [q_norm, k_norm],
            qkv: [q, k, v],
            after_attention,
            before_mlp,
            feed,
            after_mlp,
        };
        (residual, trace)
    }

    /// The first linear layers of the first layer, from what is known of a path.
    fn first_of_path<O: Ops>(
        &self,
        ops: &O,
        sequences: &Sequences,
        layer: &Layer,
        x: O::Rows,
        which: Which,
        stretches: &[Stretch<'_>],
    ) -> First<O> {
        let qkv = [0, 1, 2].map(|linear| ops.projected(stretches, linear));
        let mlp = (layer.block.halves == Halves::Parallel).then(|| {
            let gate = layer.feed.dense().gate.as_ref().map(|_| ops.projected(stretches, 3));
            let up = ops.projected(stretches, 3 + usize::from(gate.is_some()));
            (gate, up)
        });
        First {
            input: Input::Path,
            before_mlp: None,
            qkv,
            mlp,
            residual: match which {
                Which::All => x,
                Which::Last => ops.take_last(sequences, &x),
            },
        }
    }

    fn first<O: Ops>(&self, ops: &O, sequences: &Sequences, layer: &Layer, x: O::Rows, which: Which) -> First<O> {
        let (all, out) = (sequences.rows(), sequences.rows_of(which));
        let normed = layer.before_attention.as_ref().map(|norm| ops.norm(all, &x, norm));
        let read = normed.as_ref().map_or(&x, |(normed, _)| normed);
        let k = self.linear(ops, all, read, &layer.key);
        let v = self.linear(ops, all, read, &layer.value);
        let last = (which == Which::Last).then(|| ops.take_last(sequences, read));
        let read = last.as_ref().unwrap_or(read);
        let q = self.linear(ops, out, read, &layer.query);
        let parallel = layer.block.halves == Halves::Parallel;
        let shared =
            (parallel && layer.before_mlp.is_none()).then(|| self.mlp_first(ops, out, layer.feed.dense(), read));
        drop(last);
        let moments = normed.map(|(_, moments)| moments);
        let (residual, input) = match (which, moments) {
            (Which::All, None) => (x, Input::Plain),
            (Which::All, Some(moments)) => (ops.copy(all, &x), Input::Normed(x, moments)),
            (Which::Last, None) => (ops.take_last(sequences, &x), Input::Plain),
            (Which::Last, Some(moments)) => (ops.take_last(sequences, &x), Input::Normed(x, moments)),
        };
        let (mut before_mlp, mut mlp) = (None, shared);
        if let Some(norm) = layer.before_mlp.as_ref().filter(|_| parallel) {
            let (normed, moments) = ops.norm(out, &residual, norm);
            mlp = Some(self.mlp_first(ops, out, layer.feed.dense(), &normed));
            let entered = which == Which::All && matches!(input, Input::Normed(..));
            before_mlp = Some(((!entered).then(|| ops.copy(out, &residual)), moments));
        }
        First {
            input,
            before_mlp,
            qkv: [q, k, v],
            mlp,
            residual,
        }
    }

    /// Queries or keys with their norm and their rotary position embedding; and what the norm read.
    pub(super) fn placed<O: Ops>(
        &self,
        ops: &O,
        sequences: &Sequences,
        layer: &Layer,
        which: Which,
        x: O::Rows,
        (norm, rotary): Placing<'_>,
    ) -> (O::Rows, Option<Normed<O>>) {
        let attention = &layer.block.attention;
        let width = attention.heads.width;
        let rotate = |x: O::Rows| match rotary {
            Some(table) => ops.rotate(sequences, which, x, width, table, false),
            None => x,
        };
        let Some((norm, qk)) = norm.zip(attention.qk_norm) else {
            return (rotate(x), None);
        };
        let x = if qk.after_rotary { rotate(x) } else { x };
        let all = ops.width(&x);
        let rows = sequences.rows_of(which) * (all / norm.width());
        let x = ops.reshape(x, norm.width());
        let (normed, moments) = ops.norm(rows, &x, norm);
        let normed = ops.reshape(normed, all);
        let normed = if qk.after_rotary { normed } else { rotate(normed) };
        (normed, Some((x, moments)))
    }

    /// The residual stream plus what a half writes: factor · norm(linear(x)); and what the norm read.
    pub(super) fn write<O: Ops>(
        &self,
        ops: &O,
        rows: usize,
        x: &O::Rows,
        (linear, norm): (&Linear, Option<&NormWeights>),
        factor: f64,
        residual: O::Rows,
    ) -> (O::Rows, Option<Normed<O>>) {
        if norm.is_none() && factor == 1.0 {
            let sum = ops.linear_add(rows, x, &linear.weight, residual);
            let sum = match &linear.bias {
                Some(bias) => ops.add_bias(rows, sum, bias),
                None => sum,
            };
            return (sum, None);
        }
        let written = self.linear(ops, rows, x, linear);
        self.add_written(ops, rows, written, norm, factor, residual)
    }

    /// The residual stream plus factor · norm(what a half wrote); and what the norm read.
    pub(super) fn add_written<O: Ops>(
        &self,
        ops: &O,
        rows: usize,
        mut written: O::Rows,
        norm: Option<&NormWeights>,
        factor: f64,
        residual: O::Rows,
    ) -> (O::Rows, Option<Normed<O>>) {
        let mut read = None;
        if let Some(norm) = norm {
            let (normed, moments) = ops.norm(rows, &written, norm);
            read = Some((written, moments));
            written = normed;
        }
        if factor != 1.0 {
            written = ops.scale(written, factor);
        }
        (ops.add(rows, residual, &written), read)
    }

    /// What the MLP of a serial block makes of what it reads: the residual stream as it goes on, what the MLP's norm
    /// reads, and that.
    #[expect(clippy::type_complexity, reason = "three things that the caller takes apart at once")]
    pub(super) fn mlp_input<O: Ops, T>(
        &self,
        ops: &O,
        out: usize,
        layer: &Layer,
        residual: O::Rows,
        read: impl FnOnce(&O::Rows) -> T,
    ) -> (O::Rows, Option<(Option<O::Rows>, O::Moments)>, T) {
        match &layer.before_mlp {
            Some(norm) => {
                let (normed, moments) = ops.norm(out, &residual, norm);
                let made = read(&normed);
                let on = ops.copy(out, &residual);
                (on, Some((Some(residual), moments)), made)
            }
            None => {
                let made = read(&residual);
                (residual, None, made)
            }
        }
    }

    /// Gate, where there is one, and up.
    pub(super) fn mlp_first<O: Ops>(&self, ops: &O, rows: usize, mlp: &Mlp, x: &O::Rows) -> (Option<O::Rows>, O::Rows) {
        let gate = mlp.gate.as_ref().map(|gate| self.linear(ops, rows, x, gate));
        (gate, self.linear(ops, rows, x, &mlp.up))
    }

    pub(super) fn activated<O: Ops>(
        &self,
        ops: &O,
        rows: usize,
        layer: &Layer,
        gate: &Option<O::Rows>,
        up: &O::Rows,
    ) -> O::Rows {
        let activation = layer.block.mlp.activation;
        match gate {
            Some(gate) => ops.gated(rows, activation, gate, up),
            None => ops.activate(rows, activation, up),
        }
    }

    /// Multiplications and additions in the linear layers of one evaluation, forward and backward, as they are done: in
    /// the last layer for one position but for keys and values, in the first none behind the norm.
    pub fn operations(&self, tokens: usize) -> f64 {
        let size = |linear: &Linear| linear.weight.dims().into_iter().product::<usize>();
        let layer = |(index, layer): (usize, &Layer)| {
            let last = index + 1 == self.layers.len();
            let projected = index == 0 && !last;
            let asked = if last { 1 } else { tokens };
            let first = |linear: &Linear, rows: usize| if projected { 0 } else { rows * size(linear) };
            let attention = first(&layer.query, asked)
                + first(&layer.key, tokens)
                + first(&layer.value, tokens)
                + asked * size(&layer.output);
            let mlp = match &layer.feed {
                Feed::Dense(mlp) => {
                    let reads = mlp.gate.iter().chain([&mlp.up]);
                    let rows = |linear: &Linear| match layer.block.halves {
                        Halves::Parallel => first(linear, asked),
                        Halves::Serial => asked * size(linear),
                    };
                    reads.map(rows).sum::<usize>() + asked * size(&mlp.down)
                }
                Feed::Mixture(mixture) => {
                    let of_one: usize = mixture.mlps.first().into_iter().flat_map(Mlp::linears).map(size).sum();
                    asked * (size(&mixture.router) + mixture.shape.chosen * of_one)
                }
            };
            attention + mlp
        };
        let body: usize = self.layers.iter().enumerate().map(layer).sum();
        4.0 * (body + size(&self.head)) as f64
    }

    /// Parameters of the body: all but the embeddings and the output layer.
    pub fn parameters(&self) -> usize {
        let linear = |linear: &Linear| {
            let weight: usize = linear.weight.dims().into_iter().product();
            weight + linear.bias.as_ref().map_or(0, |bias| bias.host.len())
        };
        let layer = |layer: &Layer| {
            let sinks = layer.sinks.as_ref().map_or(0, |sinks| sinks.host.len());
            layer.linears().into_iter().map(linear).sum::<usize>()
                + layer.norms().map(NormWeights::parameters).sum::<usize>()
                + sinks
        };
        self.layers.iter().map(layer).sum::<usize>() + self.norm.parameters()
    }

    /// What the backward pass needs.
    pub fn kept(&self) -> Footprint {
        Footprint::of(&self.shape)
    }
}

/// Floats that a layer's backward pass needs of each row.
fn kept_of(block: &Block, hidden: usize) -> usize {
    let heads = block.attention.heads;
    let (q, k) = (heads.query * heads.width, heads.key * heads.width);
    let of = |there: bool, width| if there { width } else { 0 };
    let qk_norm = block.attention.qk_norm.is_some();
    let experts = block.experts.map_or(1, |experts| experts.chosen);
    of(block.before_attention.is_some(), hidden)
        + of(qk_norm, q + k)
        + q
        + 2 * k
        + of(block.after_attention.is_some(), hidden)
        + of(block.before_mlp.is_some(), hidden)
        + experts * (1 + usize::from(block.mlp.gated)) * block.mlp.inner
        + of(block.after_mlp.is_some(), hidden)
}

/// What a pass with its backward half holds at one time, in floats, by the shape of the decoder alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Of each row, where everything is kept.
    pub whole: usize,
    /// Of each row, where what enters a layer is kept, and the rest computed again.
    pub inputs: usize,
    /// Of each output beyond its row: logits, and what is made of them.
    pub output: usize,
    /// Query heads, the most in a layer.
    pub heads: usize,
}

impl Footprint {
    /// Of a decoder of this shape.
    pub fn of(shape: &Shape) -> Self {
        let hidden = shape.hidden;
        let blocks = || (0..shape.layers).map(|layer| shape.block(layer));
        let layers = blocks().map(|block| kept_of(block, hidden));
        let slim = blocks().map(|block| match block.experts {
            Some(_) => kept_of(block, hidden),
            None => hidden,
        });
        // While a layer is at work, its own intermediate results stand beside what is stored: about twice a layer's
        // share.
        let working = blocks().next().map_or(0, |block| 2 * kept_of(block, hidden));
        let most = blocks().map(|block| kept_of(block, hidden)).max().unwrap_or(0);
        Self {
            whole: layers.sum::<usize>() + working,
            // And where it is computed again, all that it leaves.
            inputs: slim.sum::<usize>() + 3 * most,
            output: 5 * shape.vocabulary,
            heads: blocks().map(|block| block.attention.heads.query).max().unwrap_or(0),
        }
    }
}
