//! Mistral (Jiang et al. 2023, arXiv:2310.06825), after `configuration_mistral.py`, `configuration_ministral.py` and
//! `modeling_mistral.py` of transformers 4.57 and 5.24: a Llama whose layers may see a window only.

use super::Family;
use super::fields::{Fields, NOT_COMPUTED};
use super::llama::{self, Common, Kind, layer_types, use_window};
use super::rope;
use super::shape::Shape;
use crate::diagnostic::{Diagnostic, Result};

/// The family.
pub const FAMILY: Family = Family {
    types: &["mistral"],
    classes: &["MistralForCausalLM"],
    read,
    tensors: llama::TENSORS,
    eos: Some(2),
};

/// The window is 4,096 where the file says nothing of it; null is no window.
///
/// transformers' `AutoConfig` reads a Mistral with `layer_types` as a Ministral, whose layers have the window or not, one by one.
fn read(fields: &Fields) -> Result<Shape> {
    let mut common = Common::read(fields, "mistral", 14_336)?;
    // Left out it is 8, and null is as many as there are heads.
    if let Some(heads) = fields.optional_count_or("num_key_value_heads", 8)? {
        common.key_heads = heads;
    }
    let window = fields.optional_count_or("sliding_window", 4096)?;
    use_window(fields, window)?;
    let mut shape = common.shape(window)?;
    if let Some(kinds) = layer_types(fields, shape.layers)? {
        if rope::are_nested(fields) {
            return Err(Diagnostic::checkpoint("settings of rotary positions by kind of layer")
                .expected("one setting for all layers")
                .help(NOT_COMPUTED));
        }
        if kinds.contains(&Kind::Sliding) && window.is_none() {
            return Err(fields
                .wrong("layer_types", "`full_attention` only, since `sliding_window` is null")
                .help("config.json contradicts itself: take it from where the model came from"));
        }
        llama::mix(&mut shape, &kinds);
    }
    Ok(shape)
}
