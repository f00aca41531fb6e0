//! Example 1 (Example Lab 2026), after `configuration_example.py` and `modeling_example.py` of its repository: a Llama
//! with norms of queries and keys, a head at a time, and a factor for the logits.

use super::base::{Defaults, activation, factor};
use super::fields::Fields;
use super::shape::{Activation, Over, QkNorm, Shape};
use super::{Family, llama};
use crate::diagnostic::Result;

/// The family.
pub const FAMILY: Family = Family {
    types: &["example"],
    classes: &["ExampleForCausalLM"],
    read,
    // Of `configuration_example.py`, where a file names none.
    eos: Some(2),
    // llama.cpp does not know it.
    gguf: None,
};

/// What a `config.json` may leave out. Tensors are named as Llama's are; a family with names of its own has a table.
const DEFAULTS: Defaults = Defaults {
    family: "example",
    vocabulary: 64_000,
    theta: 1_000_000.0,
    ..llama::DEFAULTS
};

fn read(fields: &Fields) -> Result<Shape> {
    let mut shape = DEFAULTS.read(fields)?;
    // A switch that the decoder does not compute is refused by name.
    fields.must_be_off("use_sliding_window")?;
    shape.output.scale = factor(fields, "logit_scale")?.unwrap_or(1.0);
    let norm = shape.norm;
    let block = &mut shape.blocks[0];
    block.mlp.activation = activation(fields, "hidden_act", Activation::Silu)?;
    block.attention.qk_norm = Some(QkNorm {
        norm,
        over: Over::Head,
        after_rotary: false,
    });
    Ok(shape)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn its_file_is_read_and_what_is_not_computed_is_refused_by_name() {
        let file = json!({"hidden_size": 64, "num_attention_heads": 4, "logit_scale": 0.5});
        let shape = FAMILY.shape(&Fields::new(file.as_object().unwrap())).unwrap();
        assert_eq!((shape.family, shape.output.scale), ("example", 0.5));
        assert!(shape.blocks[0].attention.qk_norm.is_some());
        let file = json!({"use_sliding_window": true});
        let refused = FAMILY.shape(&Fields::new(file.as_object().unwrap())).unwrap_err();
        assert!(refused.to_string().contains("use_sliding_window"), "{refused}");
    }
}
