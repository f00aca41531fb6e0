//! What an earlier pass has read: keys and values of a sequence's first tokens, so that a pass computes only the rows
//! behind them. A position of a causal model sees itself and those before it, so what stands behind a token changes
//! nothing in its row: the tokens before a replaced one are read once, and a generated text one token at a time.

use burn::tensor::Tensor;

use super::decoder::{Decoder, Entry, Layer, LayerTrace};
use super::ops::{Ops, Sequences};

/// Keys (with rotary positions) and values of a sequence's first tokens, of each layer.
pub struct Known<O: Ops> {
    pub(super) layers: Vec<[O::Rows; 2]>,
    /// How many tokens.
    pub length: usize,
}

impl Decoder {
    /// Reads one sequence, or what stands behind what is `known` of it: the logits of the positions that are read,
    /// `[outputs, vocabulary]`, and what is known then.
    pub fn read<O: Ops>(
        &self,
        ops: &O,
        sequence: &Sequences,
        entry: Entry<'_>,
        known: Option<&Known<O>>,
    ) -> (Tensor<2>, Known<O>) {
        let mut layers = Vec::with_capacity(self.layers.len());
        let mut store = |_, layer: LayerTrace<O>| {
            let [_, keys, values] = layer.qkv;
            layers.push([keys, values]);
        };
        let (_, _, logits) = self.through(ops, sequence, entry, known.as_slice(), (false, &mut store));
        let length = sequence.longest();
        (logits, Known { layers, length })
    }

    /// The logits of the positions that are read of each sequence, `[outputs, vocabulary]`. The first tokens of each
    /// ([`Sequences::before`]) are the first of what is `known`, one entry a sequence.
    ///
    /// # Panics
    /// A sequence has more tokens before than are known.
    pub fn behind<O: Ops>(&self, ops: &O, sequences: &Sequences, entry: Entry<'_>, known: &[&Known<O>]) -> Tensor<2> {
        let enough = known
            .iter()
            .zip(sequences.before())
            .all(|(known, &before)| before <= known.length);
        assert!(
            enough && known.len() == sequences.count(),
            "tokens that nobody has read"
        );
        self.through(ops, sequences, entry, known, (false, &mut |_, _| ())).2
    }

    /// Floats that a pass which nothing goes back through needs at once: of each row, beyond them of each token of a
    /// whole sequence (the keys and values of a layer), and of each output; and the number of heads.
    pub fn working(&self) -> (usize, usize, usize, usize) {
        let hidden = self.shape.hidden;
        let most = |of: &dyn Fn(&Layer) -> usize| self.layers.iter().map(of).max().unwrap_or(0);
        // What a layer leaves stands beside what the next one is at.
        let row = 3 * hidden + 2 * most(&|layer| layer.kept(hidden));
        let whole = most(&|layer| {
            let heads = layer.block.attention.heads;
            2 * heads.key * heads.width
        });
        let heads = most(&|layer| layer.block.attention.heads.query);
        (row, whole, 5 * self.shape.vocabulary, heads)
    }
}
