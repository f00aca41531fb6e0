//! OLMo 3 (OLMo Team 2025), after `configuration_olmo3.py` and `modeling_olmo3.py` of transformers 5.24: as OLMo 2,
//! with a window in all but every fourth layer.

use super::base::{Defaults, Kind, activation, attention_bias, by_kind, kinds_or_every};
use super::fields::Fields;
use super::gguf::{Config, File, Gguf, WINDOW, with_window};
use super::olmo2::{self, config_without_rotary, norms_behind};
use super::rope::{self, Wanted};
use super::shape::{Activation, Over, Shape};
use super::{Family, even, gguf};
use crate::diagnostic::{Diagnostic, Result};

/// The family.
pub const FAMILY: Family = Family {
    types: &["olmo3"],
    classes: &["Olmo3ForCausalLM"],
    read,
    eos: Some(50_279),
    gguf: Some(Gguf {
        architectures: &["olmo2"],
        is: with_window,
        config,
        permuted: false,
    }),
};

const DEFAULTS: Defaults = Defaults {
    family: "olmo3",
    theta: 500_000.0,
    ..olmo2::DEFAULTS
};

fn read(fields: &Fields) -> Result<Shape> {
    let (mut shape, head) = DEFAULTS.without_rotary(fields)?;
    even("the head's width", head)?;
    let wanted = Wanted::whole(head, DEFAULTS.theta);
    one_base(fields)?;
    shape.rotary = rope::read_by_kind(fields, &wanted, &wanted, None)?.into();
    attention_bias(fields, &mut shape, false)?;
    shape.blocks[0].mlp.activation = activation(fields, "hidden_act", Activation::Silu)?;
    shape.widen_norms();
    norms_behind(&mut shape, Over::All);
    let kinds = kinds_or_every(fields, shape.layers, 4)?;
    let window = fields.optional_count_or("sliding_window", 4096)?;
    by_kind(fields, &mut shape, &kinds, window, |kind, block| {
        block.attention.rotary = Some(usize::from(kind == Kind::Sliding));
    })?;
    Ok(shape)
}

/// Warns of a base at the top, which transformers 4 has for all layers, and 5.24 for those without a window alone.
fn one_base(fields: &Fields) -> Result<()> {
    let base = fields.number("rope_theta", DEFAULTS.theta)?;
    if base != DEFAULTS.theta && !rope::are_nested(fields) {
        fields.warn(
            Diagnostic::checkpoint(format!("`rope_theta: {base}`"))
                .expected("bases in `rope_parameters`, for `full_attention` and for `sliding_attention`")
                .help(format!(
                    "{base} is taken for all layers, as transformers 4 does; transformers 5.24 takes {} for those with a \
                     window",
                    DEFAULTS.theta
                )),
        );
    }
    Ok(())
}

fn config(file: &File) -> Result<Config> {
    let mut config = config_without_rotary(file)?;
    let full = file.rotary(&config)?;
    let base = file.number("rope.freq_base")?.unwrap_or(10_000.0);
    let sliding = gguf::plain(file.number("rope.freq_base_swa")?.unwrap_or(base));
    config.set("rope_parameters", gguf::by_kind(full, sliding));
    config.set("sliding_window", file.required(WINDOW)?);
    config.set("layer_types", file.layer_types(&config, 4)?);
    Ok(config)
}
