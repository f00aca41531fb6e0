//! Llama (Touvron et al. 2023, arXiv:2302.13971 and 2307.09288), after `configuration_llama.py` and `modeling_llama.py` of
//! transformers 4.57 and 5.24.

use super::fields::{Fields, NOT_COMPUTED};
use super::shape::{
    Activation, Attention, Block, Embedding, Halves, Heads, Mlp, Norm, Output, Pairs, Rotary, Scaling, Shape,
};
use super::tensors::{Entry, Slot, one};
use super::{Family, divided, even, rope};
use crate::diagnostic::{Diagnostic, Result};

/// The family.
pub const FAMILY: Family = Family {
    types: &["llama"],
    classes: &["LlamaForCausalLM"],
    read,
    tensors: TENSORS,
    eos: Some(2),
};

/// The names that most families share with Llama.
pub const TENSORS: &[Entry] = &[
    one("model.embed_tokens", &[Slot::Embedding]),
    one("model.layers.{}.input_layernorm", &[Slot::BeforeAttention]),
    one("model.layers.{}.self_attn.q_proj", &[Slot::Query]),
    one("model.layers.{}.self_attn.k_proj", &[Slot::Key]),
    one("model.layers.{}.self_attn.v_proj", &[Slot::Value]),
    one("model.layers.{}.self_attn.o_proj", &[Slot::AttentionOutput]),
    one("model.layers.{}.post_attention_layernorm", &[Slot::BeforeMlp]),
    one("model.layers.{}.mlp.gate_proj", &[Slot::Gate]),
    one("model.layers.{}.mlp.up_proj", &[Slot::Up]),
    one("model.layers.{}.mlp.down_proj", &[Slot::Down]),
    one("model.norm", &[Slot::Norm]),
    one("lm_head", &[Slot::Output]),
];

fn read(fields: &Fields) -> Result<Shape> {
    let mut common = Common::read(fields, "llama", 11_008)?;
    if let Some(heads) = fields.optional_count("num_key_value_heads")? {
        common.key_heads = heads;
    }
    // Llama's own code has no window.
    if let Some(window) = fields.some("sliding_window") {
        fields.warn(
            Diagnostic::checkpoint(format!("`sliding_window: {window}`"))
                .expected("no window: Llama has none")
                .help("passed over, as transformers does"),
        );
    }
    use_window(fields, None)?;
    if let Some(kinds) = layer_types(fields, common.layers)?
        && kinds.contains(&Kind::Sliding)
    {
        fields.warn(
            Diagnostic::checkpoint("`layer_types` names layers of `sliding_attention`")
                .expected("`full_attention`: Llama has no other")
                .help("passed over, as transformers does"),
        );
    }
    common.shape(None)
}

/// What Llama and its relatives have in their files.
pub struct Common {
    family: &'static str,
    /// Number of layers.
    pub layers: usize,
    /// Key/value heads: as many as query heads, until a reader says otherwise.
    pub key_heads: usize,
    vocabulary: usize,
    hidden: usize,
    inner: usize,
    heads: usize,
    width: usize,
    epsilon: f64,
    theta: f64,
    tied: bool,
}

impl Common {
    /// Reads them; `inner` is the family's default of `intermediate_size`.
    pub fn read(fields: &Fields, family: &'static str, inner: usize) -> Result<Self> {
        fields.must_be("hidden_act", &["silu", "swish"])?;
        fields.must_be_off("attention_bias")?;
        fields.must_be_off("mlp_bias")?;
        let heads = fields.count("num_attention_heads", 32)?;
        let hidden = fields.count("hidden_size", 4096)?;
        let width = match fields.optional_count("head_dim")? {
            Some(width) => width,
            None => divided("hidden_size", hidden, "num_attention_heads", heads)?,
        };
        Ok(Self {
            family,
            vocabulary: fields.count("vocab_size", 32_000)?,
            hidden,
            inner: fields.count("intermediate_size", inner)?,
            layers: fields.count("num_hidden_layers", 32)?,
            heads,
            key_heads: heads,
            width,
            epsilon: fields.number("rms_norm_eps", 1e-6)?,
            theta: rope::theta(fields)?,
            tied: fields.flag("tie_word_embeddings", false)?,
        })
    }

    /// The shape, all layers with the one window or none.
    pub fn shape(self, window: Option<usize>) -> Result<Shape> {
        divided("num_attention_heads", self.heads, "num_key_value_heads", self.key_heads)?;
        even("the head's width", self.width)?;
        let norm = Norm::rms(self.epsilon);
        let block = Block {
            attention: Attention {
                heads: Heads {
                    query: self.heads,
                    key: self.key_heads,
                    width: self.width,
                },
                window,
                rotary: Some(0),
                scale: None,
                scale_by_layer: false,
                cap: None,
                bias: false,
                output_bias: false,
                qk_norm: None,
            },
            mlp: Mlp {
                inner: self.inner,
                gated: true,
                activation: Activation::Silu,
                bias: false,
                output_bias: false,
            },
            halves: Halves::Serial,
            before_attention: Some(norm),
            after_attention: None,
            before_mlp: Some(norm),
            after_mlp: None,
            residual: 1.0,
        };
        Ok(Shape {
            family: self.family,
            tensors: TENSORS,
            vocabulary: self.vocabulary,
            hidden: self.hidden,
            embedding: Embedding::default(),
            layers: self.layers,
            blocks: vec![block],
            pattern: vec![0],
            rotary: vec![Rotary {
                theta: self.theta,
                width: self.width,
                pairs: Pairs::Halves,
                scaling: Scaling::None,
            }],
            norm,
            output: Output {
                tied: self.tied,
                bias: false,
                scale: 1.0,
                cap: None,
            },
        })
    }
}

/// Takes the window from the layers that see all before them.
pub fn mix(shape: &mut Shape, kinds: &[Kind]) {
    let mut full = shape.blocks[0];
    full.attention.window = None;
    if kinds.contains(&Kind::Sliding) {
        shape.blocks.push(full);
        shape.pattern = kinds.iter().map(|&kind| usize::from(kind == Kind::Full)).collect();
        if !kinds.contains(&Kind::Full) {
            shape.blocks.truncate(1);
            shape.pattern = vec![0];
        }
    } else {
        shape.blocks = vec![full];
    }
}

/// `use_sliding_window` is Qwen2's; neither Llama nor Mistral reads it. A warning says where it contradicts what is computed.
pub fn use_window(fields: &Fields, window: Option<usize>) -> Result<()> {
    let said = fields.loose_flag("use_sliding_window", window.is_some())?;
    // From which layer on the window holds, there; without a window it says nothing.
    if window.is_none() {
        fields.get("max_window_layers");
    }
    // Null says nothing either.
    if fields.some("use_sliding_window").is_some() && said != window.is_some() {
        let computed = window.map_or_else(|| "no window".to_owned(), |window| format!("a window of {window}"));
        fields.warn(
            Diagnostic::checkpoint(format!("`use_sliding_window: {said}`"))
                .expected(format!(
                    "nothing of the kind: {computed} is what transformers reads out of this file"
                ))
                .help("passed over, as transformers does; write `\"sliding_window\": null` for no window"),
        );
    }
    Ok(())
}

/// What a layer's positions see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All before it.
    Full,
    /// A window.
    Sliding,
}

/// `layer_types`, one for each layer.
pub fn layer_types(fields: &Fields, layers: usize) -> Result<Option<Vec<Kind>>> {
    let Some(names) = fields.texts("layer_types")? else {
        return Ok(None);
    };
    if names.len() != layers {
        return Err(
            Diagnostic::checkpoint(format!("`layer_types` has {} entries", names.len()))
                .expected(format!("{layers}, one for each of `num_hidden_layers`")),
        );
    }
    let kind = |name: &&str| match *name {
        "full_attention" => Ok(Kind::Full),
        "sliding_attention" => Ok(Kind::Sliding),
        other => Err(Diagnostic::checkpoint(format!("`layer_types`: `{other}`"))
            .expected("`full_attention` or `sliding_attention`")
            .help(NOT_COMPUTED)),
    };
    names.iter().map(kind).collect::<Result<Vec<Kind>>>().map(Some)
}
