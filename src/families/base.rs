//! What the files of most families have in common: a Llama-like decoder, whose blocks a family's reader then changes.

use super::fields::{Fields, NOT_COMPUTED, shown};
use super::rope::{self, Wanted};
use super::shape::{Activation, Attention, Block, Embedding, Halves, Heads, Mlp, Norm, Output, Rotary, Shape};
use super::tensors::Entry;
use super::{divided, even};
use crate::diagnostic::{Diagnostic, Result};

/// A family's defaults, those of its configuration class in transformers.
#[derive(Clone, Copy, Debug)]
pub struct Defaults {
    /// Its `model_type`.
    pub family: &'static str,
    /// The names of its tensors.
    pub tensors: &'static [Entry],
    /// `vocab_size`
    pub vocabulary: usize,
    /// `hidden_size`
    pub hidden: usize,
    /// `intermediate_size`
    pub inner: usize,
    /// `num_hidden_layers`
    pub layers: usize,
    /// `num_attention_heads`
    pub heads: usize,
    /// `num_key_value_heads`; none: as many as query heads.
    pub key_heads: Option<usize>,
    /// `head_dim`; none: the hidden size by the number of heads.
    pub head: Option<usize>,
    /// Of the norms.
    pub epsilon: f64,
    /// `tie_word_embeddings`
    pub tied: bool,
    /// Base of the rotary frequencies.
    pub theta: f64,
}

impl Defaults {
    /// The shape of a Llama-like decoder: RMSNorm in front of each half, a gated MLP with SiLU, no biases, the whole
    /// head turning.
    ///
    /// # Errors
    /// A value of another type; shapes that do not fit each other.
    pub fn read(&self, fields: &Fields) -> Result<Shape> {
        let (mut shape, head) = self.without_rotary(fields)?;
        even("the head's width", head)?;
        shape.rotary = vec![rope::read(fields, &Wanted::whole(head, self.theta))?];
        Ok(shape)
    }

    /// The same, and the width of a head; rotary positions are left to the family.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn without_rotary(&self, fields: &Fields) -> Result<(Shape, usize)> {
        let heads = fields.count("num_attention_heads", self.heads)?;
        let hidden = fields.count("hidden_size", self.hidden)?;
        let said = match self.head {
            Some(default) => fields.optional_count_or("head_dim", default)?,
            None => fields.optional_count("head_dim")?,
        };
        let head = match said {
            Some(width) => width,
            None => divided("hidden_size", hidden, "num_attention_heads", heads)?,
        };
        let key_heads = match self.key_heads {
            Some(default) => fields.optional_count_or("num_key_value_heads", default)?,
            None => fields.optional_count("num_key_value_heads")?,
        };
        let key_heads = key_heads.unwrap_or(heads);
        divided("num_attention_heads", heads, "num_key_value_heads", key_heads)?;
        let norm = Norm::rms(fields.number("rms_norm_eps", self.epsilon)?);
        let block = Block {
            attention: Attention {
                heads: Heads {
                    query: heads,
                    key: key_heads,
                    width: head,
                },
                window: None,
                rotary: Some(0),
                scale: None,
                scale_by_layer: false,
                cap: None,
                bias: false,
                output_bias: false,
                qk_norm: None,
                query_rotary: None,
                sinks: false,
                alibi: false,
            },
            mlp: Mlp {
                inner: fields.count("intermediate_size", self.inner)?,
                gated: true,
                activation: Activation::Silu,
                bias: false,
                output_bias: false,
            },
            experts: None,
            halves: Halves::Serial,
            before_attention: Some(norm),
            after_attention: None,
            before_mlp: Some(norm),
            after_mlp: None,
            residual: 1.0,
        };
        let shape = Shape {
            family: self.family,
            tensors: self.tensors,
            vocabulary: fields.count("vocab_size", self.vocabulary)?,
            hidden,
            embedding: Embedding::default(),
            layers: fields.count("num_hidden_layers", self.layers)?,
            blocks: vec![block],
            pattern: vec![0],
            rotary: vec![],
            norm,
            output: Output {
                tied: fields.flag("tie_word_embeddings", self.tied)?,
                bias: false,
                scale: 1.0,
                cap: None,
            },
        };
        Ok((shape, head))
    }
}

/// An activation by transformers' name for it (`ACT2FN`).
///
/// # Errors
/// It is one that is not computed.
pub fn activation(fields: &Fields, key: &str, default: Activation) -> Result<Activation> {
    Ok(match fields.text(key)? {
        None => default,
        Some("silu" | "swish") => Activation::Silu,
        Some("gelu" | "gelu_python") => Activation::Gelu,
        Some("gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" | "gelu_python_tanh") => Activation::GeluTanh,
        Some("relu") => Activation::Relu,
        Some("relu2") => Activation::ReluSquared,
        Some(_) => {
            return Err(fields
                .wrong(
                    key,
                    "`silu`, `gelu`, `gelu_new`, `gelu_pytorch_tanh`, `relu` or `relu2`",
                )
                .help(NOT_COMPUTED));
        }
    })
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
///
/// # Errors
/// There are more or fewer than layers; one is of a kind that is not computed.
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

/// `layer_types`, or where they are left out: every `period`th layer sees all before it. The pattern repeats.
///
/// # Errors
/// As [`layer_types`].
pub fn kinds_or_every(fields: &Fields, layers: usize, period: usize) -> Result<Vec<Kind>> {
    let kind = |layer: usize| {
        if (layer + 1).is_multiple_of(period) {
            Kind::Full
        } else {
            Kind::Sliding
        }
    };
    Ok(match layer_types(fields, layers)? {
        Some(kinds) => kinds,
        None if period > layers => vec![Kind::Sliding],
        None => {
            at_most(period)?;
            (0..period).map(kind).collect()
        }
    })
}

/// Makes the layers' blocks of the one there is: those that slide get the window, and `change` what else a kind has.
///
/// # Errors
/// As [`window_for`].
pub fn by_kind(
    fields: &Fields,
    shape: &mut Shape,
    kinds: &[Kind],
    window: Option<usize>,
    change: impl Fn(Kind, &mut Block),
) -> Result<()> {
    window_for(fields, kinds, window)?;
    let block = shape.blocks[0];
    shape.blocks.clear();
    shape.pattern.clear();
    let mut made: Vec<Kind> = Vec::new();
    for &kind in kinds {
        let index = made.iter().position(|other| *other == kind).unwrap_or_else(|| {
            let mut block = block;
            block.attention.window = window.filter(|_| kind == Kind::Sliding);
            change(kind, &mut block);
            shape.blocks.push(block);
            made.push(kind);
            made.len() - 1
        });
        shape.pattern.push(index);
    }
    Ok(())
}

/// How many experts there are, and how many are chosen for a token. Files have the former under one of several names.
///
/// # Errors
/// A value of another type; more are chosen than there are.
pub fn chosen(fields: &Fields, names: &[&str], default: usize, default_chosen: usize) -> Result<(usize, usize)> {
    const MOST: usize = 1 << 15;
    let mut found: Vec<(&str, usize)> = Vec::new();
    for name in names {
        found.extend(fields.optional_count(name)?.map(|count| (*name, count)));
    }
    if let [(first, one), (second, other), ..] = found[..]
        && one != other
    {
        return Err(Diagnostic::checkpoint(format!("`{first}: {one}` and `{second}: {other}`")).expected("one number"));
    }
    let count = match found.first() {
        Some((_, count)) => *count,
        None => fields.count(names[0], default)?,
    };
    if count > MOST {
        return Err(Diagnostic::checkpoint(format!("{count} experts")).expected(format!("at most {MOST}")));
    }
    let chosen = fields.count("num_experts_per_tok", default_chosen)?;
    if chosen > count {
        return Err(Diagnostic::checkpoint(format!("`num_experts_per_tok: {chosen}`"))
            .expected(format!("at most {count}, the number of experts")));
    }
    Ok((count, chosen))
}

/// `attention_bias`, of all four layers of attention.
///
/// # Errors
/// It is no flag.
pub fn attention_bias(fields: &Fields, shape: &mut Shape, default: bool) -> Result<()> {
    let bias = fields.loose_flag("attention_bias", default)?;
    let attention = &mut shape.blocks[0].attention;
    (attention.bias, attention.output_bias) = (bias, bias);
    Ok(())
}

/// A window that `layer_types` asks for, and that has to be there.
///
/// # Errors
/// A layer slides, and `sliding_window` is null.
pub fn window_for(fields: &Fields, kinds: &[Kind], window: Option<usize>) -> Result<()> {
    if kinds.contains(&Kind::Sliding) && window.is_none() {
        return Err(fields
            .wrong("layer_types", "`full_attention` only, since `sliding_window` is null")
            .help("config.json contradicts itself: take it from where the model came from"));
    }
    Ok(())
}

/// Layers that differ are listed one by one: a bound far above any model keeps what a file claims from filling the
/// memory.
///
/// # Errors
/// There are more.
pub fn at_most(layers: usize) -> Result<()> {
    const MOST: usize = 1 << 16;
    if layers <= MOST {
        return Ok(());
    }
    Err(Diagnostic::checkpoint(format!("`num_hidden_layers: {layers}`"))
        .expected(format!("at most {MOST} where layers differ")))
}

/// A factor that is a number, above zero or not; null is none.
///
/// # Errors
/// It is no finite number, or zero.
pub fn factor(fields: &Fields, key: &str) -> Result<Option<f64>> {
    let Some(value) = fields.some(key) else { return Ok(None) };
    match value.as_f64().filter(|number| number.is_finite() && *number != 0.0) {
        Some(number) => Ok(Some(number)),
        None => {
            Err(Diagnostic::checkpoint(format!("`{key}: {}`", shown(value))).expected("a number other than 0, or null"))
        }
    }
}

/// Rotary positions of which a share of each head turns.
///
/// # Errors
/// As [`rope::read`].
pub fn partial_rotary(
    fields: &Fields,
    head: usize,
    theta: f64,
    share: f64,
    pairs: super::shape::Pairs,
) -> Result<Rotary> {
    let wanted = Wanted {
        head,
        theta,
        partial: Some(share),
        pairs,
        original: None,
        names: rope::NAMES,
    };
    rope::read(fields, &wanted)
}
