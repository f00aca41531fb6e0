//! One token after another: keys and values of what was read are stored, and a new token computes its own row only.

use burn::tensor::Tensor;

use super::decoder::{Decoder, Entry, Feed, Layer, LayerTrace};
use super::ops::{Ops, Sequences, Which};
use crate::families::shape::Halves;

/// Keys (with rotary positions) and values of a sequence so far, of each layer.
pub struct Cache<O: Ops> {
    layers: Vec<[O::Rows; 2]>,
    /// Tokens so far.
    pub length: usize,
}

impl Decoder {
    /// Reads a prompt's embeddings, `[tokens, hidden]`: the logits of its last position, `[1, vocabulary]`, and what
    /// the next token needs.
    pub fn read<O: Ops>(&self, ops: &O, embeddings: &Tensor<2>) -> (Tensor<2>, Cache<O>) {
        let length = embeddings.dims()[0];
        let sequences = Sequences::new(vec![length]);
        let mut layers = Vec::with_capacity(self.layers.len());
        let mut store = |layer: LayerTrace<O>| {
            let [_, keys, values] = layer.qkv;
            layers.push([keys, values]);
        };
        let (_, _, logits) = self.through(ops, &sequences, Entry::Embeddings(embeddings), &mut store);
        (logits, Cache { layers, length })
    }

    /// Reads one more token's embedding, `[1, hidden]`; `ops` is for a sequence one longer than the cache.
    pub fn step<O: Ops>(&self, ops: &O, embedding: &Tensor<2>, cache: Cache<O>) -> (Tensor<2>, Cache<O>) {
        let length = cache.length + 1;
        let sequences = Sequences::new(vec![length]);
        let mut x = ops.to_rows(self.with_positions(embedding.clone(), std::iter::once(length - 1)));
        let mut layers = Vec::with_capacity(cache.layers.len());
        for (layer, before) in self.layers.iter().zip(cache.layers) {
            let (next, stored) = self.layer_step(ops, &sequences, layer, x, &before);
            x = next;
            layers.push(stored);
        }
        let (hidden, _) = ops.norm(1, &x, &self.norm);
        (self.logits(ops, 1, &hidden), Cache { layers, length })
    }

    fn layer_step<O: Ops>(
        &self,
        ops: &O,
        sequences: &Sequences,
        layer: &Layer,
        x: O::Rows,
        [keys, values]: &[O::Rows; 2],
    ) -> (O::Rows, [O::Rows; 2]) {
        let normed = layer.before_attention.as_ref().map(|norm| ops.norm(1, &x, norm).0);
        let read = normed.as_ref().unwrap_or(&x);
        let [q, k, v] = [&layer.query, &layer.key, &layer.value].map(|linear| self.linear(ops, 1, read, linear));
        let mlp = (layer.block.halves == Halves::Parallel).then(|| match &layer.before_mlp {
            Some(norm) => self.mlp_first(ops, 1, layer.feed.dense(), &ops.norm(1, &x, norm).0),
            None => self.mlp_first(ops, 1, layer.feed.dense(), read),
        });
        drop(normed);
        let (q, _) = self.placed(ops, sequences, layer, Which::Last, q, layer.of_queries());
        let (k, _) = self.placed(ops, sequences, layer, Which::Last, k, layer.of_keys());
        let (keys, values) = (ops.join(keys, &k), ops.join(values, &v));
        let attended = ops.attend(sequences, Which::Last, layer.heads(), [&q, &keys, &values]);
        let factor = layer.block.residual;
        let output = (&layer.output, layer.after_attention.as_ref());
        let (residual, _) = self.write(ops, 1, &attended, output, factor, x);
        let next = match &layer.feed {
            Feed::Dense(own) => {
                let (residual, (gate, up)) = match mlp {
                    Some(mlp) => (residual, mlp),
                    None => {
                        let read = |x: &O::Rows| self.mlp_first(ops, 1, own, x);
                        let (residual, _, mlp) = self.mlp_input(ops, 1, layer, residual, read);
                        (residual, mlp)
                    }
                };
                let activated = self.activated(ops, 1, layer, &gate, &up);
                let down = (&own.down, layer.after_mlp.as_ref());
                self.write(ops, 1, &activated, down, factor, residual).0
            }
            Feed::Mixture(mixture) => {
                let read = |x: &O::Rows| self.mixture(ops, 1, layer, mixture, x, None).0;
                let (residual, _, written) = self.mlp_input(ops, 1, layer, residual, read);
                self.add_written(ops, 1, written, layer.after_mlp.as_ref(), factor, residual)
                    .0
            }
        };
        (next, [keys, values])
    }
}
