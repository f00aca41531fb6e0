//! The backward pass of the decoder, written out: each function undoes one of [`super::decoder`].
//!
//! A method may take something else for the gradient of some parts of a model than their own ([`Gradients`]); what is
//! computed forwards stays the model's.

use std::ops::Deref;

use super::decoder::{Decoder, Feed, FeedTrace, Input, Kept, Layer, LayerTrace, Linear, Normed, Placing, Trace};
use super::ops::{Heads, NormWeights, Ops, Sequences, Stretch, Which};
use crate::families::shape::{Activation, Halves};

/// Gradients of an MLP's gate and up.
type First<O> = (Option<<O as Ops>::Rows>, <O as Ops>::Rows);

/// What a backward pass takes for the gradients of a model's parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gradients {
    /// T: the gradient of attention's softmax(s) is p (g − Σ p g) with p = softmax(s / T), where g is that of the
    /// weights.
    pub temperature: f64,
    /// The 1/√(…) of every norm counts as a constant.
    pub norms_detached: bool,
    /// Factor of what reaches attention's queries, and its keys.
    pub queries_and_keys: f64,
    /// Factor of what reaches attention's values.
    pub values: f64,
    /// Factor of what leaves a gated MLP, an expert's too.
    pub gated: f64,
}

impl Gradients {
    /// The model's own.
    pub const OWN: Self = Self {
        temperature: 1.0,
        norms_detached: false,
        queries_and_keys: 1.0,
        values: 1.0,
        gated: 1.0,
    };
}

/// The operations of a backward pass, by [`Gradients`].
pub(super) struct Back<'a, O> {
    ops: &'a O,
    gradients: Gradients,
}

impl<O> Deref for Back<'_, O> {
    type Target = O;

    fn deref(&self) -> &O {
        self.ops
    }
}

impl<O: Ops> Back<'_, O> {
    fn norm_back(
        &self,
        rows: usize,
        gradient: &O::Rows,
        x: &O::Rows,
        moments: &O::Moments,
        norm: &NormWeights,
        into: O::Rows,
    ) -> O::Rows {
        if self.gradients.norms_detached {
            self.ops.norm_back_detached(rows, gradient, moments, norm, into)
        } else {
            self.ops.norm_back(rows, gradient, x, moments, norm, into)
        }
    }

    fn attend_back(
        &self,
        sequences: &Sequences,
        which: Which,
        heads: Heads<'_>,
        gradient: &O::Rows,
        qkv: [&O::Rows; 3],
    ) -> [O::Rows; 3] {
        let Gradients {
            temperature,
            queries_and_keys,
            values,
            ..
        } = self.gradients;
        let [q, k, v] = self
            .ops
            .attend_back(sequences, which, heads, gradient, qkv, temperature);
        [(q, queries_and_keys), (k, queries_and_keys), (v, values)].map(|(rows, factor)| self.scaled(rows, factor))
    }

    fn gated_back(
        &self,
        rows: usize,
        activation: Activation,
        gradient: O::Rows,
        gate: &O::Rows,
        up: &O::Rows,
    ) -> [O::Rows; 2] {
        let gradient = self.scaled(gradient, self.gradients.gated);
        self.ops.gated_back(rows, activation, gradient, gate, up)
    }

    fn scores(&self, stretches: &[Stretch<'_>], gradient: &O::Rows, through: &[O::Rows]) -> Vec<f64> {
        self.ops
            .scores(stretches, gradient, through, self.gradients.norms_detached)
    }

    fn scaled(&self, rows: O::Rows, factor: f64) -> O::Rows {
        if factor == 1.0 {
            rows
        } else {
            self.ops.scale(rows, factor)
        }
    }
}

impl Decoder {
    /// Σ over the hidden dimension of (x − x′) ∂F/∂x for each row of the first sequences, given ∂F/∂hidden of what is
    /// read of them (`[outputs, hidden]`, behind the final norm). May be called again for another F, or by other
    /// gradients.
    pub fn backward<O: Ops>(
        &self,
        ops: &O,
        sequences: &Sequences,
        trace: &Trace<O>,
        stretches: &[Stretch<'_>],
        gradient: O::Rows,
        gradients: Gradients,
    ) -> Vec<f64> {
        let ops = &Back { ops, gradients };
        let count = sequences.outputs();
        let nothing = ops.zeros(count, self.shape.hidden);
        let mut gradient = ops.norm_back(count, &gradient, &trace.end, &trace.end_moments, &self.norm, nothing);
        if !sequences.single() {
            gradient = ops.only_last(sequences, &gradient);
        }
        for (index, (layer, kept)) in self.layers.iter().zip(&trace.layers).enumerate().rev() {
            let which = self.asked(index, sequences);
            let again;
            let trace = match kept {
                Kept::Whole(trace) => trace,
                Kept::Input(entered) => {
                    again = self.again(ops.ops, sequences, (index, entered), stretches);
                    &again
                }
            };
            let (next, through) = self.layer_back(ops, sequences, layer, trace, gradient, which);
            if index == 0 {
                return ops.scores(stretches, &next, &through);
            }
            gradient = next;
        }
        unreachable!("a decoder has layers")
    }

    /// The gradient of a layer's input; or, where the path gave its first linear layers, of the residual stream past
    /// them, with theirs.
    fn layer_back<O: Ops>(
        &self,
        ops: &Back<'_, O>,
        sequences: &Sequences,
        layer: &Layer,
        trace: &LayerTrace<O>,
        gradient: O::Rows,
        which: Which,
    ) -> (O::Rows, Vec<O::Rows>) {
        let all = sequences.rows();
        let out = sequences.rows_of(which);
        let from_path = matches!(trace.input, Input::Path);
        let written = (&layer.output, layer.after_attention.as_ref(), &trace.after_attention);
        let attended = |gradient: &O::Rows| self.write_back(ops, out, gradient, written, layer.block.residual);
        // The gradient of what attention has written, of the residual stream in front of it, and of what stands beside
        // it.
        let (attended, gradient, mut beside) = match layer.block.halves {
            Halves::Serial => {
                let gradient = match (&layer.feed, &trace.feed) {
                    (Feed::Mixture(mixture), FeedTrace::Mixture(own)) => {
                        let after = (layer.after_mlp.as_ref(), &trace.after_mlp);
                        let written = self.written_back(ops, out, &gradient, after, layer.block.residual);
                        let read = self.mixture_back(ops, out, layer, mixture, own, &written);
                        self.mlp_norm_back(ops, out, layer, trace, read, gradient)
                    }
                    _ => {
                        let first = self.mlp_back(ops, out, layer, trace, &gradient);
                        self.mlp_input_back(ops, out, layer, trace, first, gradient)
                    }
                };
                (attended(&gradient), gradient, None)
            }
            Halves::Parallel => {
                let first = self.mlp_back(ops, out, layer, trace, &gradient);
                let attended = attended(&gradient);
                if layer.before_mlp.is_some() && !from_path {
                    let gradient = self.mlp_input_back(ops, out, layer, trace, first, gradient);
                    (attended, gradient, None)
                } else {
                    (attended, gradient, Some(first))
                }
            }
        };
        let [q, k, v] = &trace.qkv;
        let [dq, dk, dv] = ops.attend_back(sequences, which, layer.heads(), &attended, [q, k, v]);
        let [q_norm, k_norm] = &trace.qk_norms;
        let dq = self.placed_back(ops, sequences, layer, which, dq, (layer.of_queries(), q_norm));
        let dk = self.placed_back(ops, sequences, layer, Which::All, dk, (layer.of_keys(), k_norm));
        if from_path {
            let mut through = vec![dq, dk, dv];
            if let Some((gate, up)) = beside.take() {
                through.extend(gate);
                through.push(up);
            }
            return (gradient, through);
        }
        let mut asked = ops.back(out, &dq, &layer.query.weight);
        if let Some((gate, up)) = &beside {
            let mlp = layer.feed.dense();
            asked = ops.back_add(out, up, &mlp.up.weight, asked);
            if let Some((gate, linear)) = gate.as_ref().zip(mlp.gate.as_ref()) {
                asked = ops.back_add(out, gate, &linear.weight, asked);
            }
        }
        let (read, gradient) = match which {
            Which::All => (ops.back_add(all, &dk, &layer.key.weight, asked), gradient),
            Which::Last => {
                let read = ops.back(all, &dk, &layer.key.weight);
                let read = ops.add_to_last(sequences, read, &asked);
                (read, ops.only_last(sequences, &gradient))
            }
        };
        let read = ops.back_add(all, &dv, &layer.value.weight, read);
        let gradient = match (&trace.input, &layer.before_attention) {
            (Input::Normed(x, moments), Some(norm)) => ops.norm_back(all, &read, x, moments, norm, gradient),
            _ => ops.add(all, gradient, &read),
        };
        (gradient, vec![])
    }

    /// Gradients of gate and up, given that of what the MLP has written.
    fn mlp_back<O: Ops>(
        &self,
        ops: &Back<'_, O>,
        out: usize,
        layer: &Layer,
        trace: &LayerTrace<O>,
        gradient: &O::Rows,
    ) -> First<O> {
        let (Feed::Dense(mlp), FeedTrace::Dense(gate, up)) = (&layer.feed, &trace.feed) else {
            unreachable!("a block with experts is serial")
        };
        let written = (&mlp.down, layer.after_mlp.as_ref(), &trace.after_mlp);
        let activated = self.write_back(ops, out, gradient, written, layer.block.residual);
        self.activated_back(ops, out, layer, activated, gate, up)
    }

    /// Gradients of gate and up, given that of what is made of them.
    pub(super) fn activated_back<O: Ops>(
        &self,
        ops: &Back<'_, O>,
        rows: usize,
        layer: &Layer,
        gradient: O::Rows,
        gate: &Option<O::Rows>,
        up: &O::Rows,
    ) -> First<O> {
        let activation = layer.block.mlp.activation;
        match gate {
            Some(gate) => {
                let [dg, du] = ops.gated_back(rows, activation, gradient, gate, up);
                (Some(dg), du)
            }
            None => (None, ops.activate_back(rows, activation, gradient, up)),
        }
    }

    /// The gradient of the residual stream that an MLP with a norm of its own, or none, reads; `gradient` is that of
    /// what goes past it.
    fn mlp_input_back<O: Ops>(
        &self,
        ops: &Back<'_, O>,
        out: usize,
        layer: &Layer,
        trace: &LayerTrace<O>,
        (gate, up): First<O>,
        gradient: O::Rows,
    ) -> O::Rows {
        let mlp = layer.feed.dense();
        if layer.before_mlp.is_none() {
            let mut gradient = ops.back_add(out, &up, &mlp.up.weight, gradient);
            if let Some((gate, linear)) = gate.as_ref().zip(mlp.gate.as_ref()) {
                gradient = ops.back_add(out, gate, &linear.weight, gradient);
            }
            return gradient;
        }
        let read = match gate.as_ref().zip(mlp.gate.as_ref()) {
            Some((gate, linear)) => {
                let read = ops.back(out, gate, &linear.weight);
                ops.back_add(out, &up, &mlp.up.weight, read)
            }
            None => ops.back(out, &up, &mlp.up.weight),
        };
        self.mlp_norm_back(ops, out, layer, trace, read, gradient)
    }

    /// The gradient of the residual stream that an MLP's norm reads, or where it has none the MLP itself, given that
    /// of what the MLP reads; `gradient` is that of what goes past it.
    fn mlp_norm_back<O: Ops>(
        &self,
        ops: &Back<'_, O>,
        out: usize,
        layer: &Layer,
        trace: &LayerTrace<O>,
        read: O::Rows,
        gradient: O::Rows,
    ) -> O::Rows {
        let Some((norm, (x, moments))) = layer.before_mlp.as_ref().zip(trace.before_mlp.as_ref()) else {
            return ops.add(out, gradient, &read);
        };
        let x = match (x, &trace.input) {
            (Some(x), _) | (None, Input::Normed(x, _)) => x,
            (None, _) => unreachable!("the norm's rows are stored where they are not those of the layer's first norm"),
        };
        ops.norm_back(out, &read, x, moments, norm, gradient)
    }

    /// The gradient of what a half's last linear layer reads.
    fn write_back<O: Ops>(
        &self,
        ops: &Back<'_, O>,
        rows: usize,
        gradient: &O::Rows,
        (linear, norm, read): (&Linear, Option<&NormWeights>, &Option<Normed<O>>),
        factor: f64,
    ) -> O::Rows {
        if norm.is_none() && factor == 1.0 {
            return ops.back(rows, gradient, &linear.weight);
        }
        let written = self.written_back(ops, rows, gradient, (norm, read), factor);
        ops.back(rows, &written, &linear.weight)
    }

    /// The gradient of what a half wrote, before its norm and factor.
    fn written_back<O: Ops>(
        &self,
        ops: &Back<'_, O>,
        rows: usize,
        gradient: &O::Rows,
        (norm, read): (Option<&NormWeights>, &Option<Normed<O>>),
        factor: f64,
    ) -> O::Rows {
        let mut written = ops.copy(rows, gradient);
        if factor != 1.0 {
            written = ops.scale(written, factor);
        }
        if let Some((norm, (x, moments))) = norm.zip(read.as_ref()) {
            let nothing = ops.zeros(rows, self.shape.hidden);
            written = ops.norm_back(rows, &written, x, moments, norm, nothing);
        }
        written
    }

    /// The gradient of queries or keys before their norm and rotary position embedding.
    fn placed_back<O: Ops>(
        &self,
        ops: &Back<'_, O>,
        sequences: &Sequences,
        layer: &Layer,
        which: Which,
        gradient: O::Rows,
        ((norm, rotary), read): (Placing<'_>, &Option<Normed<O>>),
    ) -> O::Rows {
        let attention = &layer.block.attention;
        let rotate = |x: O::Rows| match rotary {
            Some(table) => ops.rotate(sequences, which, x, attention.heads.width, table, true),
            None => x,
        };
        let Some((norm, (x, moments))) = norm.zip(read.as_ref()) else {
            return rotate(gradient);
        };
        let after = attention.qk_norm.is_some_and(|qk| qk.after_rotary);
        let gradient = if after { gradient } else { rotate(gradient) };
        let all = ops.width(&gradient);
        let rows = sequences.rows_of(which) * (all / norm.width());
        let gradient = ops.reshape(gradient, norm.width());
        let nothing = ops.zeros(rows, norm.width());
        let gradient = ops.norm_back(rows, &gradient, x, moments, norm, nothing);
        let gradient = ops.reshape(gradient, all);
        if after { rotate(gradient) } else { gradient }
    }
}
