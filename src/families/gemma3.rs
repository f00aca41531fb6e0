//! Gemma 3 (Gemma Team 2025, arXiv:2503.19786), its language model, after `configuration_gemma3.py` and
//! `modeling_gemma3.py` of transformers 5.24: as Gemma 2 without a cap of attention scores, with norms of queries and
//! keys, and rotary positions of two bases.

use super::base::{Defaults, Kind, by_kind, kinds_or_every};
use super::fields::Fields;
use super::gemma2::{self, four_norms, four_norms_config};
use super::gguf::{Config, File, Gguf, WINDOW, any};
use super::rope::{self, Wanted};
use super::shape::{Over, QkNorm, Shape};
use super::{Family, even, gguf};
use crate::diagnostic::Result;

/// The family.
pub const FAMILY: Family = Family {
    types: &["gemma3_text"],
    classes: &["Gemma3ForCausalLM"],
    read,
    eos: Some(1),
    gguf: Some(Gguf {
        architectures: &["gemma3"],
        is: any,
        config,
        permuted: false,
    }),
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
    fields.pass_over(gemma2::SCORES, "no soft cap of attention scores: Gemma 3 has none");
    let wanted = [Wanted::whole(head, DEFAULTS.theta), Wanted::whole(head, 10_000.0)];
    shape.rotary = rope::read_by_kind(fields, &wanted[0], &wanted[1], Some("rope_local_base_freq"))?.into();
    let period = fields.optional_count("sliding_window_pattern")?.unwrap_or(6);
    // transformers writes it beside `layer_types`, and does not read it.
    if fields
        .optional_count("_sliding_window_pattern")?
        .is_some_and(|other| other != period)
        && fields.some("layer_types").is_none()
    {
        fields.pass_over(
            "_sliding_window_pattern",
            &format!("`layer_types` or `sliding_window_pattern`, which is {period}"),
        );
    }
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

/// Files of llama.cpp's converter; Ollama's have names of their own for the two bases.
fn config(file: &File) -> Result<Config> {
    let mut config = four_norms_config(file, 62)?;
    let mut full = file.rotary(&config)?;
    let base = match file.number("rope.freq_base")? {
        Some(base) => base,
        None => file.number("rope.global.freq_base")?.unwrap_or(DEFAULTS.theta),
    };
    full.insert("rope_theta".to_owned(), base.into());
    let local = match file.number("rope.freq_base_swa")? {
        Some(base) => base,
        None => file.number("rope.local.freq_base")?.unwrap_or(10_000.0),
    };
    config.set("rope_parameters", gguf::by_kind(full, gguf::plain(local)));
    let window = file.count_or_none(WINDOW)?;
    config.set("sliding_window", window);
    let period = if window.is_some() { 6 } else { 1 };
    config.set("layer_types", file.layer_types(&config, period)?);
    Ok(config)
}
