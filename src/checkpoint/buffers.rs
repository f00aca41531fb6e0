//! Entries of weight files that are no parameters: what a model computes itself, and what older code saved with its
//! weights.
//!
//! transformers ignores every entry that it does not know, with a warning, and some without one
//! (`_keys_to_ignore_on_load_unexpected` and `rotary_emb.inv_freq` in `modeling_utils.py`). igsite ignores those that
//! it knows by name, and refuses the rest: an entry that no layer uses is the clearest sign of another model.

use super::stored::TensorEntry;

/// Rotary frequencies and their tables. They follow from `config.json`.
const ROTARY: [&str; 5] = [
    "rotary_emb.inv_freq",
    "rotary_emb.original_inv_freq",
    "rotary_emb.cos_cached",
    "rotary_emb.sin_cached",
    "rotary_emb._cos_cached",
];

/// Causal masks, what they are filled with, and numbers of positions.
const MASKS: [&str; 6] = [
    "attention.maskbias",
    "attn.masked_bias",
    "attention.masked_bias",
    "causal_mask",
    "position_ids",
    "attn.mask",
];

/// What an entry is that no layer takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buffer {
    /// Rotary frequencies: common in files of their time.
    Rotary,
    /// A mask or positions.
    Mask,
}

/// Whether a tensor is known to be no parameter.
pub fn known(name: &str, entry: &TensorEntry) -> Option<Buffer> {
    let ends = |ending: &str| {
        name.strip_suffix(ending)
            .is_some_and(|before| before.is_empty() || before.ends_with('.') || before.ends_with("self_"))
    };
    // GPT-2's and GPT-NeoX's code calls the mask so; a bias of a linear layer has one side.
    let mask =
        (ends("attn.bias") || ends("attention.bias")) && (entry.shape.len() == 4 || entry.stored.size().is_none());
    if ROTARY.iter().any(|ending| ends(ending)) {
        Some(Buffer::Rotary)
    } else if mask || MASKS.iter().any(|ending| ends(ending)) {
        Some(Buffer::Mask)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::stored::Stored;
    use super::*;

    fn entry(shape: &[usize], stored: Stored) -> TensorEntry {
        TensorEntry {
            file: Path::new("").into(),
            offset: 0,
            bytes: 0,
            shape: shape.to_vec(),
            stored,
            strides: None,
            big_endian: false,
        }
    }

    #[test]
    fn masks_are_told_from_biases() {
        let bytes = entry(&[1, 1, 8, 8], Stored::U8);
        let flags = entry(&[8, 8], Stored::Other("BOOL".into()));
        let bias = entry(&[8], Stored::F32);
        for (name, entry, expected) in [
            (
                "model.layers.0.self_attn.rotary_emb.inv_freq",
                &bias,
                Some(Buffer::Rotary),
            ),
            ("model.rotary_emb.inv_freq", &bias, Some(Buffer::Rotary)),
            ("model.position_ids", &flags, Some(Buffer::Mask)),
            ("position_ids", &flags, Some(Buffer::Mask)),
            ("model.layers.0.self_attn.bias", &bytes, Some(Buffer::Mask)),
            ("transformer.h.0.attn.bias", &bytes, Some(Buffer::Mask)),
            ("transformer.h.0.attn.masked_bias", &bias, Some(Buffer::Mask)),
            ("transformer.h.0.attention.bias", &flags, Some(Buffer::Mask)),
            ("transformer.h.0.attention.maskbias", &bias, Some(Buffer::Mask)),
            ("model.layers.0.self_attn.bias", &bias, None),
            ("model.layers.0.self_attn.q_proj.bias", &bytes, None),
            ("model.my_position_ids", &flags, None),
            ("model.steps", &flags, None),
        ] {
            assert_eq!(known(name, entry), expected, "{name}");
        }
    }
}
