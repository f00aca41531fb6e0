//! One token after another: keys and values of what was read are kept, and a new token computes its own row only.

use super::ops::{Ops, Sequences, Which};
use super::{Block, Entry, Frozen, LayerTrace, Mlp};
use burn::tensor::Tensor;

/// Keys (with rotary positions) and values of a sequence so far, of each layer.
pub struct Cache<O: Ops> {
    layers: Vec<[O::Rows; 2]>,
    /// Tokens so far.
    pub length: usize,
}

impl Frozen {
    /// Reads a prompt's embeddings, `[tokens, hidden]`: the logits of its last position, `[1, vocabulary]`, and what the next token needs.
    pub fn read<O: Ops>(&self, ops: &O, embeddings: &Tensor<2>) -> (Tensor<2>, Cache<O>) {
        let length = embeddings.dims()[0];
        let sequences = Sequences::new(vec![length]);
        let mut layers = Vec::with_capacity(self.blocks.len());
        let mut keep = |layer: LayerTrace<O>| {
            let [_, keys, values] = layer.qkv;
            layers.push([keys, values]);
        };
        let (_, _, logits) = self.through(ops, &sequences, Entry::Embeddings(embeddings), &mut keep);
        (logits, Cache { layers, length })
    }

    /// Reads one more token's embedding, `[1, hidden]`; `ops` is for a sequence one longer than the cache.
    pub fn step<O: Ops>(&self, ops: &O, embedding: &Tensor<2>, cache: Cache<O>) -> (Tensor<2>, Cache<O>) {
        let length = cache.length + 1;
        let sequences = Sequences::new(vec![length]);
        let mut x = ops.to_rows(embedding.clone());
        let mut layers = Vec::with_capacity(cache.layers.len());
        for (block, before) in self.blocks.iter().zip(cache.layers) {
            let (next, kept) = self.layer_step(ops, &sequences, block, x, &before);
            x = next;
            layers.push(kept);
        }
        let (hidden, _) = ops.norm(1, &x, &self.norm);
        let logits = ops.linear(1, &hidden, &self.head);
        (ops.to_tensor(1, logits), Cache { layers, length })
    }

    fn layer_step<O: Ops>(
        &self,
        ops: &O,
        sequences: &Sequences,
        block: &Block,
        x: O::Rows,
        [keys, values]: &[O::Rows; 2],
    ) -> (O::Rows, [O::Rows; 2]) {
        let width = self.heads.width;
        let (normed, _) = ops.norm(1, &x, &block.norm);
        let [q, k, v] = [&block.query, &block.key, &block.value].map(|w| ops.linear(1, &normed, w));
        let up = match &block.mlp {
            Mlp::Beside { up, .. } => Some(ops.linear(1, &normed, up)),
            Mlp::Gated { .. } => None,
        };
        let q = ops.turn(sequences, Which::Last, q, width, false);
        let k = ops.turn(sequences, Which::Last, k, width, false);
        let (keys, values) = (ops.join(keys, &k), ops.join(values, &v));
        let attended = ops.attend(sequences, Which::Last, self.heads(block), [&q, &keys, &values]);
        let residual = ops.linear_add(1, &attended, &block.output, x);
        let (next, _) = Self::mlp(ops, 1, block, residual, up);
        (next, [keys, values])
    }
}
