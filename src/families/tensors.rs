//! Where a family's checkpoints keep the weights of a decoder: a table of names, read when weights are loaded and when
//! they are written.

use super::shape::{Block, Norm, Over, Shape};

/// A weight of the decoder, by what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// The embedding table, `[vocabulary, hidden]`.
    Embedding,
    /// The table of position embeddings, `[positions, hidden]`.
    Positions,
    /// The norm behind the last layer, `[hidden]`.
    Norm,
    /// The output layer, `[vocabulary, hidden]`.
    Output,
    /// Of each layer: the norm in front of attention.
    BeforeAttention,
    /// Queries, `[query heads · width, hidden]`.
    Query,
    /// Keys, `[key heads · width, hidden]`.
    Key,
    /// Values, as keys.
    Value,
    /// The norm of queries.
    QueryNorm,
    /// The norm of keys.
    KeyNorm,
    /// The layer behind attention, `[hidden, query heads · width]`.
    AttentionOutput,
    /// The norm behind attention.
    AfterAttention,
    /// The norm in front of the MLP.
    BeforeMlp,
    /// The MLP's gate, `[inner, hidden]`.
    Gate,
    /// The MLP's first layer, `[inner, hidden]`.
    Up,
    /// The MLP's last layer, `[hidden, inner]`.
    Down,
    /// The norm behind the MLP.
    AfterMlp,
    /// Scores of the keys that are not there, `[query heads]`.
    Sinks,
    /// The router of a mixture of experts, `[experts, hidden]`.
    Router,
    /// Each expert's gate, `[inner, hidden]`.
    ExpertGate,
    /// Each expert's first layer, `[inner, hidden]`.
    ExpertUp,
    /// Each expert's last layer, `[hidden, inner]`.
    ExpertDown,
}

impl Slot {
    /// Whether it is quantised where that is asked for: bitsandbytes does it with linear layers, not with tables, nor
    /// with the routers of transformers 5, which are none.
    pub fn may_be_quantized(self) -> bool {
        !matches!(self, Self::Positions | Self::Router)
    }
}

/// The weights of a layer.
#[cfg(test)]
pub const IN_LAYERS: &[Slot] = &[
    Slot::BeforeAttention,
    Slot::Query,
    Slot::Key,
    Slot::Value,
    Slot::QueryNorm,
    Slot::KeyNorm,
    Slot::AttentionOutput,
    Slot::AfterAttention,
    Slot::BeforeMlp,
    Slot::Gate,
    Slot::Up,
    Slot::Down,
    Slot::AfterMlp,
    Slot::Sinks,
    Slot::Router,
    Slot::ExpertGate,
    Slot::ExpertUp,
    Slot::ExpertDown,
];

/// One tensor of a checkpoint, with its bias where it has one: `STEM.weight`, `STEM.bias`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name without its ending; `{}` is the layer's number, `{e}` that of an expert.
    pub stem: &'static str,
    /// The weights that it holds.
    pub slots: &'static [Slot],
    /// How they lie in it.
    pub order: Order,
}

/// How several weights lie in one tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The rows of one after those of another.
    Stacked,
    /// For each key head: its query heads' rows, its key rows, its value rows (GPT-NeoX, Falcon's newer layout).
    ByHead,
    /// As stacked, and the whole is stored `[in, out]` (GPT-2's Conv1D).
    Transposed,
    /// One tensor for all experts, `[experts, in, out]`, the columns of several weights in turns; it has no ending, and
    /// its bias, `[experts, out]`, is `STEM_bias` (gpt-oss).
    Experts,
    /// One that has no ending.
    Bare,
}

/// A tensor that holds one weight.
pub const fn one(stem: &'static str, slot: &'static [Slot]) -> Entry {
    Entry {
        stem,
        slots: slot,
        order: Order::Stacked,
    }
}

impl Entry {
    /// The name in a layer, with its ending.
    pub fn name(&self, layer: usize, ending: &str) -> String {
        let stem = self.stem.replace("{}", &layer.to_string());
        match (self.order, ending) {
            (Order::Experts | Order::Bare, "weight") => stem,
            (Order::Experts | Order::Bare, _) => format!("{stem}_{ending}"),
            _ => format!("{stem}.{ending}"),
        }
    }

    /// That of one expert.
    pub fn name_of_expert(&self, layer: usize, expert: usize, ending: &str) -> String {
        self.name(layer, ending).replace("{e}", &expert.to_string())
    }

    /// Whether each layer has it.
    pub fn in_layers(&self) -> bool {
        self.stem.contains("{}")
    }
}

/// What stands in a slot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Weight {
    /// A matrix `[out, in]`, with or without a bias `[out]`.
    Linear {
        /// `[out, in]`
        dims: [usize; 2],
        /// With a bias.
        bias: bool,
    },
    /// As [`Self::Linear`], one for each of so many experts.
    Experts {
        /// Experts.
        count: usize,
        /// `[out, in]` of each.
        dims: [usize; 2],
        /// With biases.
        bias: bool,
    },
    /// A vector `[width]`.
    Vector {
        /// Its width.
        width: usize,
    },
    /// A norm's parameters `[width]`.
    Norm {
        /// Which.
        norm: Norm,
        /// Its width.
        width: usize,
    },
}

impl Shape {
    fn name_of(&self, slot: Slot) -> String {
        let entry = self.tensors.iter().find(|entry| entry.slots == [slot]);
        entry.map(|entry| entry.name(0, "weight")).unwrap_or_default()
    }

    /// The name of the embedding table.
    pub fn embedding_name(&self) -> String {
        self.name_of(Slot::Embedding)
    }

    /// The name of the output layer.
    pub fn output_name(&self) -> String {
        self.name_of(Slot::Output)
    }

    /// What a slot of the whole decoder holds; none where this shape has nothing there.
    pub fn weight(&self, slot: Slot) -> Option<Weight> {
        let table = |rows: usize, bias| Weight::Linear {
            dims: [rows, self.hidden],
            bias,
        };
        match slot {
            Slot::Embedding => Some(table(self.vocabulary, false)),
            Slot::Positions => self.embedding.positions.map(|rows| table(rows, false)),
            Slot::Norm => Some(Weight::Norm {
                norm: self.norm,
                width: self.hidden,
            }),
            Slot::Output => Some(table(self.vocabulary, self.output.bias)),
            _ => None,
        }
    }

    /// What a slot of a layer holds; none where the layer has nothing there.
    pub fn layer_weight(&self, block: &Block, slot: Slot) -> Option<Weight> {
        let (attention, mlp) = (&block.attention, &block.mlp);
        let heads = attention.heads;
        let (queries, keys) = (heads.query * heads.width, heads.key * heads.width);
        let linear = |dims, bias| Some(Weight::Linear { dims, bias });
        let norm = |norm: Option<Norm>, width| norm.map(|norm| Weight::Norm { norm, width });
        let qk = |all| {
            let norm = attention.qk_norm?;
            let width = match norm.over {
                Over::Head => heads.width,
                Over::All => all,
            };
            Some(Weight::Norm { norm: norm.norm, width })
        };
        let dense = block.experts.is_none();
        let experts = |dims, bias| {
            let count = block.experts?.count;
            Some(Weight::Experts { count, dims, bias })
        };
        match slot {
            Slot::BeforeAttention => norm(block.before_attention, self.hidden),
            Slot::Query => linear([queries, self.hidden], attention.bias),
            Slot::Key | Slot::Value => linear([keys, self.hidden], attention.bias),
            Slot::QueryNorm => qk(queries),
            Slot::KeyNorm => qk(keys),
            Slot::AttentionOutput => linear([self.hidden, queries], attention.output_bias),
            Slot::AfterAttention => norm(block.after_attention, self.hidden),
            Slot::BeforeMlp => norm(block.before_mlp, self.hidden),
            Slot::Gate if mlp.gated && dense => linear([mlp.inner, self.hidden], mlp.bias),
            Slot::Up if dense => linear([mlp.inner, self.hidden], mlp.bias),
            Slot::Down if dense => linear([self.hidden, mlp.inner], mlp.output_bias),
            Slot::Router => {
                let experts = block.experts?;
                linear([experts.count, self.hidden], experts.router_bias)
            }
            Slot::ExpertGate if mlp.gated => experts([mlp.inner, self.hidden], mlp.bias),
            Slot::ExpertUp => experts([mlp.inner, self.hidden], mlp.bias),
            Slot::ExpertDown => experts([self.hidden, mlp.inner], mlp.output_bias),
            Slot::Sinks if attention.sinks => Some(Weight::Vector { width: heads.query }),
            Slot::AfterMlp => norm(block.after_mlp, self.hidden),
            _ => None,
        }
    }
}
