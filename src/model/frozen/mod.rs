//! A decoder with frozen weights, forwards and backwards.
//!
//! Attribution needs the gradient with respect to the input alone, at one position's output, for many inputs at once. Automatic
//! differentiation keeps every intermediate result and computes each by itself; here the backward pass is written out. What is
//! kept is what it reads: of each layer the residual stream, queries, keys, values and what goes into the activation. In the last
//! layer only the last position's query and MLP are computed (all of them where several positions are read); in the first, the linear layers behind the norm cost nothing at all
//! on a straight path ([`path`]).

pub mod cpu;
pub mod device;
pub mod ops;
pub mod path;
mod step;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Tensor;
use cpu::Rotary;
use ops::{Heads, NormWeights, Ops, Sequences, Stretch, Weight, Which};

/// A decoder, its weights shared with the module that it was made from.
#[derive(Debug)]
pub struct Frozen {
    pub(super) blocks: Vec<Block>,
    pub(super) norm: NormWeights,
    /// The output layer, `[vocabulary, hidden]`.
    pub(super) head: Weight,
    /// Of every layer, windows aside.
    heads: Heads,
    theta: f64,
    /// Grows with the longest prompt so far.
    rotary: Mutex<Arc<Rotary>>,
}

/// A layer.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub norm: NormWeights,
    pub query: Weight,
    pub key: Weight,
    pub value: Weight,
    pub output: Weight,
    /// A position sees itself and at most `window − 1` before it; none: all before it.
    pub window: Option<usize>,
    pub mlp: Mlp,
}

/// A layer's second half.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "one a layer, never moved about")]
pub(super) enum Mlp {
    /// After attention, with a norm of its own (Llama).
    Gated {
        norm: NormWeights,
        gate: Weight,
        up: Weight,
        down: Weight,
    },
    /// Beside attention, from the same norm (Falcon).
    Beside { up: Weight, down: Weight },
}

impl Block {
    /// The linear layers behind the first norm.
    pub(super) fn first_projections(&self) -> Vec<&Weight> {
        let mut layers = vec![&self.query, &self.key, &self.value];
        if let Mlp::Beside { up, .. } = &self.mlp {
            layers.push(up);
        }
        layers
    }
}

/// What a pass starts from.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'a> {
    /// Embeddings, `[rows, hidden]`.
    Embeddings(&'a Tensor<2>),
    /// Points of paths.
    Paths(&'a [Stretch<'a>]),
}

/// What the backward pass reads.
pub struct Trace<O: Ops> {
    layers: Vec<LayerTrace<O>>,
    /// The residual stream at the last positions, before the final norm.
    end: O::Rows,
    end_moments: O::Moments,
    /// `[outputs, vocabulary]`
    pub logits: Tensor<2>,
}

struct LayerTrace<O: Ops> {
    /// The residual stream on entry; none where the path gave the first layer's linear layers.
    x: Option<(O::Rows, O::Moments)>,
    qkv: [O::Rows; 3],
    mlp: MlpTrace<O>,
}

enum MlpTrace<O: Ops> {
    Gated {
        x: O::Rows,
        moments: O::Moments,
        gate: O::Rows,
        up: O::Rows,
    },
    Beside {
        up: O::Rows,
    },
}

impl Frozen {
    /// `heads`: query heads, key/value heads, width of a head.
    pub(super) fn new(
        blocks: Vec<Block>,
        norm: NormWeights,
        head: Weight,
        [query, key, width]: [usize; 3],
        theta: f64,
    ) -> Self {
        let heads = Heads {
            query,
            key,
            width,
            window: None,
        };
        Self {
            blocks,
            norm,
            head,
            heads,
            theta,
            rotary: Mutex::new(Arc::new(Rotary::new(0, heads.width, theta))),
        }
    }

    /// The heads of a layer, with its window.
    fn heads(&self, block: &Block) -> Heads {
        Heads {
            window: block.window,
            ..self.heads
        }
    }

    /// Rotary angles for prompts of this length at least.
    pub fn rotary(&self, tokens: usize) -> Arc<Rotary> {
        let mut rotary = self.rotary.lock().unwrap_or_else(PoisonError::into_inner);
        if rotary.tokens() < tokens {
            *rotary = Arc::new(Rotary::new(tokens, self.heads.width, self.theta));
        }
        rotary.clone()
    }

    /// The output layer, `[vocabulary, hidden]`.
    pub fn head(&self) -> &Weight {
        &self.head
    }

    /// The logits of the positions that are read of each sequence. `keep` says whether a backward pass will follow.
    pub fn forward<O: Ops>(&self, ops: &O, sequences: &Sequences, entry: Entry<'_>, keep: bool) -> Trace<O> {
        let mut layers = Vec::new();
        let mut keep_layer = |trace| {
            if keep {
                layers.push(trace);
            }
        };
        let (end, end_moments, logits) = self.through(ops, sequences, entry, &mut keep_layer);
        Trace {
            layers,
            end,
            end_moments,
            logits,
        }
    }

    /// The residual stream at the positions that are read, its moments, and the logits; `told` gets what each layer leaves.
    fn through<O: Ops>(
        &self,
        ops: &O,
        sequences: &Sequences,
        entry: Entry<'_>,
        told: &mut dyn FnMut(LayerTrace<O>),
    ) -> (O::Rows, O::Moments, Tensor<2>) {
        let mut x = match entry {
            Entry::Embeddings(x) => ops.to_rows(x.clone()),
            Entry::Paths(stretches) => ops.along(stretches),
        };
        let paths = match entry {
            Entry::Paths(stretches) if stretches.iter().all(|s| s.path.projection.is_some()) => Some(stretches),
            _ => None,
        };
        for (index, block) in self.blocks.iter().enumerate() {
            let which = self.asked(index, sequences);
            let paths = paths.filter(|_| index == 0);
            let (out, trace) = self.layer(ops, sequences, block, x, which, paths);
            x = out;
            told(trace);
        }
        if !sequences.single() {
            x = ops.take_last(sequences, &x);
        }
        let count = sequences.outputs();
        let (hidden, end_moments) = ops.norm(count, &x, &self.norm);
        let logits = ops.linear(count, &hidden, &self.head);
        (x, end_moments, ops.to_tensor(count, logits))
    }

    /// For which rows a layer has to compute more than keys and values.
    fn asked(&self, layer: usize, sequences: &Sequences) -> Which {
        if layer + 1 == self.blocks.len() && sequences.single() {
            Which::Last
        } else {
            Which::All
        }
    }

    fn layer<O: Ops>(
        &self,
        ops: &O,
        sequences: &Sequences,
        block: &Block,
        x: O::Rows,
        which: Which,
        paths: Option<&[Stretch<'_>]>,
    ) -> (O::Rows, LayerTrace<O>) {
        let all = sequences.rows();
        let out = sequences.rows_of(which);
        let width = self.heads.width;
        let beside = |ops: &O, rows, normed: &O::Rows| match &block.mlp {
            Mlp::Beside { up, .. } => Some(ops.linear(rows, normed, up)),
            Mlp::Gated { .. } => None,
        };
        let (normed, [q, k, v], up) = match paths {
            Some(stretches) => {
                let up = matches!(block.mlp, Mlp::Beside { .. }).then(|| ops.projected(stretches, 3));
                let qkv = [0, 1, 2].map(|layer| ops.projected(stretches, layer));
                (None, qkv, up)
            }
            None => {
                let (normed, moments) = ops.norm(all, &x, &block.norm);
                let k = ops.linear(all, &normed, &block.key);
                let v = ops.linear(all, &normed, &block.value);
                let (q, up) = match which {
                    Which::All => (ops.linear(all, &normed, &block.query), beside(ops, all, &normed)),
                    Which::Last => {
                        let normed = ops.take_last(sequences, &normed);
                        (ops.linear(out, &normed, &block.query), beside(ops, out, &normed))
                    }
                };
                (Some(moments), [q, k, v], up)
            }
        };
        let q = ops.turn(sequences, which, q, width, false);
        let k = ops.turn(sequences, Which::All, k, width, false);
        let attended = ops.attend(sequences, which, self.heads(block), [&q, &k, &v]);
        let (residual, x) = match (which, normed) {
            (Which::All, None) => (x, None),
            (Which::All, Some(moments)) => (ops.copy(all, &x), Some((x, moments))),
            (Which::Last, moments) => (ops.take_last(sequences, &x), moments.map(|moments| (x, moments))),
        };
        let residual = ops.linear_add(out, &attended, &block.output, residual);
        let (residual, mlp) = Self::mlp(ops, out, block, residual, up);
        (residual, LayerTrace { x, qkv: [q, k, v], mlp })
    }

    /// A layer's second half; `up` is Falcon's, which comes from the first norm.
    fn mlp<O: Ops>(
        ops: &O,
        out: usize,
        block: &Block,
        residual: O::Rows,
        up: Option<O::Rows>,
    ) -> (O::Rows, MlpTrace<O>) {
        match (&block.mlp, up) {
            (Mlp::Beside { down, .. }, Some(up)) => {
                let activated = ops.gelu(out, &up);
                (ops.linear_add(out, &activated, down, residual), MlpTrace::Beside { up })
            }
            (Mlp::Gated { norm, gate, up, down }, _) => {
                let (normed, moments) = ops.norm(out, &residual, norm);
                let (gate, up) = (ops.linear(out, &normed, gate), ops.linear(out, &normed, up));
                let activated = ops.gated(out, &gate, &up);
                let next = ops.linear_add(out, &activated, down, ops.copy(out, &residual));
                let trace = MlpTrace::Gated {
                    x: residual,
                    moments,
                    gate,
                    up,
                };
                (next, trace)
            }
            (Mlp::Beside { .. }, None) => unreachable!("made before attention for this kind"),
        }
    }

    /// Σ over the hidden dimension of (x − x′) ∂F/∂x for each row of the first sequences, given ∂F/∂hidden of what is read of them
    /// (`[outputs, hidden]`, behind the final norm). May be called again for another F.
    pub fn backward<O: Ops>(
        &self,
        ops: &O,
        sequences: &Sequences,
        trace: &Trace<O>,
        stretches: &[Stretch<'_>],
        gradient: O::Rows,
    ) -> Vec<f32> {
        let count = sequences.outputs();
        let nothing = ops.zeros(count, self.norm.host.0.len());
        let mut gradient = ops.norm_back(count, &gradient, &trace.end, &trace.end_moments, &self.norm, nothing);
        if !sequences.single() {
            gradient = ops.only_last(sequences, &gradient);
        }
        for (index, (block, trace)) in self.blocks.iter().zip(&trace.layers).enumerate().rev() {
            let which = self.asked(index, sequences);
            let (next, through) = self.layer_back(ops, sequences, block, trace, gradient, which);
            if index == 0 {
                return ops.scores(stretches, &next, &through);
            }
            gradient = next;
        }
        unreachable!("a decoder has layers")
    }

    /// The gradient of a layer's input; or, where the path gave its linear layers, of the residual stream past them, with theirs.
    fn layer_back<O: Ops>(
        &self,
        ops: &O,
        sequences: &Sequences,
        block: &Block,
        trace: &LayerTrace<O>,
        gradient: O::Rows,
        which: Which,
    ) -> (O::Rows, Vec<O::Rows>) {
        let all = sequences.rows();
        let out = sequences.rows_of(which);
        let width = self.heads.width;
        // Of the residual stream between the halves, and of what stands beside attention.
        let (gradient, beside) = match (&block.mlp, &trace.mlp) {
            (
                Mlp::Gated { norm, gate, up, down },
                MlpTrace::Gated {
                    x,
                    moments,
                    gate: g,
                    up: u,
                },
            ) => {
                let activated = ops.back(out, &gradient, down);
                let [dg, du] = ops.gated_back(out, activated, g, u);
                let normed = ops.back_add(out, &du, up, ops.back(out, &dg, gate));
                (ops.norm_back(out, &normed, x, moments, norm, gradient), None)
            }
            (Mlp::Beside { down, .. }, MlpTrace::Beside { up }) => {
                let activated = ops.back(out, &gradient, down);
                (gradient, Some(ops.gelu_back(out, activated, up)))
            }
            _ => unreachable!("a trace is of its own layer"),
        };
        let attended = ops.back(out, &gradient, &block.output);
        let [q, k, v] = &trace.qkv;
        let [dq, dk, dv] = ops.attend_back(sequences, which, self.heads(block), &attended, [q, k, v]);
        let dq = ops.turn(sequences, which, dq, width, true);
        let dk = ops.turn(sequences, Which::All, dk, width, true);
        let Some((x, moments)) = &trace.x else {
            return (gradient, [dq, dk, dv].into_iter().chain(beside).collect());
        };
        let mut asked = ops.back(out, &dq, &block.query);
        if let (Some(beside), Mlp::Beside { up, .. }) = (&beside, &block.mlp) {
            asked = ops.back_add(out, beside, up, asked);
        }
        let (normed, gradient) = match which {
            Which::All => (ops.back_add(all, &dk, &block.key, asked), gradient),
            Which::Last => {
                let normed = ops.back(all, &dk, &block.key);
                let normed = ops.add_to_last(sequences, normed, &asked);
                (normed, ops.only_last(sequences, &gradient))
            }
        };
        let normed = ops.back_add(all, &dv, &block.value, normed);
        (ops.norm_back(all, &normed, x, moments, &block.norm, gradient), vec![])
    }

    /// Multiplications and additions in the linear layers of one evaluation, forward and backward, as they are done: in the last
    /// layer for one position but for keys and values, in the first none behind the norm.
    pub fn operations(&self, tokens: usize) -> f64 {
        let size = |weight: &Weight| weight.dims().into_iter().product::<usize>();
        let layer = |(index, block): (usize, &Block)| {
            let last = index + 1 == self.blocks.len();
            let projected = index == 0 && !last;
            let asked = if last { 1 } else { tokens };
            let behind_norm = |weight: &Weight, rows: usize| if projected { 0 } else { rows * size(weight) };
            let attention = behind_norm(&block.query, asked)
                + behind_norm(&block.key, tokens)
                + behind_norm(&block.value, tokens)
                + asked * size(&block.output);
            let mlp = match &block.mlp {
                Mlp::Gated { gate, up, down, .. } => asked * (size(gate) + size(up) + size(down)),
                Mlp::Beside { up, down } => behind_norm(up, asked) + asked * size(down),
            };
            attention + mlp
        };
        let body: usize = self.blocks.iter().enumerate().map(layer).sum();
        4.0 * (body + size(&self.head)) as f64
    }

    /// Parameters of the body: all but the embeddings and the output layer.
    pub fn parameters(&self) -> usize {
        let size = |weight: &Weight| weight.dims().into_iter().product::<usize>();
        let norm = |norm: &NormWeights| norm.host.0.len() + norm.host.1.as_ref().map_or(0, Vec::len);
        let layer = |block: &Block| {
            let linear: usize = [&block.query, &block.key, &block.value, &block.output]
                .into_iter()
                .map(size)
                .sum();
            let mlp = match &block.mlp {
                Mlp::Gated {
                    norm: own,
                    gate,
                    up,
                    down,
                } => norm(own) + size(gate) + size(up) + size(down),
                Mlp::Beside { up, down } => size(up) + size(down),
            };
            norm(&block.norm) + linear + mlp
        };
        self.blocks.iter().map(layer).sum::<usize>() + norm(&self.norm)
    }

    /// Floats that the backward pass needs of each row, and beyond them of each sequence; and the number of heads.
    pub fn kept(&self) -> (usize, usize, usize) {
        let hidden = self.norm.host.0.len();
        let attention = (self.heads.query + 2 * self.heads.key) * self.heads.width;
        let per_layer = |block: &Block| match &block.mlp {
            Mlp::Gated { gate, .. } => 2 * hidden + attention + 2 * gate.dims()[0],
            Mlp::Beside { up, .. } => hidden + attention + up.dims()[0],
        };
        let layers: usize = self.blocks.iter().map(per_layer).sum();
        // While a layer is at work, its own intermediate results stand beside what is kept: about twice a layer's share.
        let working = self.blocks.first().map_or(0, |block| 2 * per_layer(block));
        (layers + working, 5 * self.head.dims()[0], self.heads.query)
    }
}
