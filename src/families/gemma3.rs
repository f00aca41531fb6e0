//! Gemma 3 (Gemma Team 2025, arXiv:2503.19786), its language model, after `configuration_gemma3.py` and
//! `modeling_gemma3.py` of transformers 5.24: as Gemma 2 without caps, with norms of queries and keys, and rotary
//! positions of two bases.

use super::base::{Defaults, Kind, by_kind, kinds_or_every};
use super::fields::Fields;
use super::gemma2::{self, four_norms};
use super::rope::{self, Wanted};
use super::shape::{Over, QkNorm, Shape};
use super::{Family, even};
use crate::diagnostic::Result;

/// The family.
pub const FAMILY: Family = Family {
    types: &["gemma3_text"],
    classes: &["Gemma3ForCausalLM"],
    read,
    eos: Some(1),
};

const DEFAULTS: Defaults = Defaults {
    family: "gemma3_text",
    vocabulary: 262_208,
    theta: 1_000_000.0,
    ..gemma2::DEFAULTS
};

fn read(fields: &Fields) -> Result<Shape> {
    let (mut shape, head) = DEFAULTS.without_rotary(fields)?;
    even("the head's width", head)?;
    four_norms(fields, &mut shape, None)?;
    let wanted = [Wanted::whole(head, DEFAULTS.theta), Wanted::whole(head, 10_000.0)];
    shape.rotary = rope::read_by_kind(fields, &wanted[0], &wanted[1], Some("rope_local_base_freq"))?.into();
    let period = match fields.optional_count("sliding_window_pattern")? {
        Some(period) => period,
        None => fields.optional_count("_sliding_window_pattern")?.unwrap_or(6),
    };
    let kinds = kinds_or_every(fields, shape.layers, period)?;
    let window = fields.optional_count_or("sliding_window", 4096)?;
    let norm = shape.norm;
    by_kind(fields, &mut shape, &kinds, window, |kind, block| {
        block.attention.rotary = Some(usize::from(kind == Kind::Sliding));
        block.attention.qk_norm = Some(QkNorm {
            norm,
            over: Over::Head,
            after_rotary: false,
        });
    })?;
    Ok(shape)
}
