//! Families of models: each is one file with a reader of its `config.json` and a table of its tensors' names.
//!
//! A reader turns the fields of the file into a [`shape::Shape`], which one decoder (`model/`) computes. It follows the
//! `configuration_*.py` and `modeling_*.py` of transformers, and refuses by name what the decoder does not compute. To
//! add a family, write its file and add it to [`FAMILIES`].

mod base;
pub mod fields;
pub mod gguf;
mod not_computed;
pub mod rope;
pub mod shape;
pub mod tensors;
pub mod unused_fields;

mod cohere2;
#[cfg(test)]
mod example;
mod exaone4;
mod falcon;
mod gemma;
mod gemma2;
mod gemma3;
mod glm4;
mod gpt2;
mod gpt_neox;
mod gpt_oss;
mod granite;
mod llama;
mod ministral3;
mod mistral;
mod mixtral;
mod olmo2;
mod olmo3;
mod phi;
mod phi3;
mod qwen2;
mod qwen3;
mod qwen3_moe;
mod smollm3;
mod stablelm;
mod starcoder2;
#[cfg(test)]
mod tests;

use fields::Fields;
use gguf::Gguf;
use shape::Shape;

use crate::diagnostic::{Diagnostic, Result};

/// A family of models.
#[derive(Debug)]
pub struct Family {
    /// Its names as `model_type`; the first is what records call it.
    pub types: &'static [&'static str],
    /// Its classes in transformers, as `architectures` has them; the first is today's.
    pub classes: &'static [&'static str],
    /// Reads its `config.json`.
    pub read: fn(&Fields) -> Result<Shape>,
    /// The end-of-text token where the file names none: transformers' default.
    pub eos: Option<u32>,
    /// How its models stand in GGUF files; none: llama.cpp has no layout for them, or another family's.
    pub gguf: Option<Gguf>,
}

/// All that are computed.
pub const FAMILIES: &[&Family] = &[
    &llama::FAMILY,
    &mistral::FAMILY,
    &falcon::FAMILY,
    &cohere2::FAMILY,
    &exaone4::FAMILY,
    &gemma::FAMILY,
    &gemma2::FAMILY,
    &gemma3::FAMILY,
    &glm4::FAMILY,
    &gpt2::FAMILY,
    &gpt_neox::FAMILY,
    &gpt_oss::FAMILY,
    &granite::FAMILY,
    &ministral3::FAMILY,
    &mixtral::FAMILY,
    &olmo2::FAMILY,
    &olmo3::FAMILY,
    &phi::FAMILY,
    &phi3::FAMILY,
    &qwen2::FAMILY,
    &qwen3::FAMILY,
    &qwen3_moe::FAMILY,
    &smollm3::FAMILY,
    &stablelm::FAMILY,
    &starcoder2::FAMILY,
];

impl Family {
    /// By `model_type`.
    fn by_type(name: &str) -> Option<&'static Self> {
        FAMILIES.iter().copied().find(|family| family.types.contains(&name))
    }

    /// By an entry of `architectures`.
    fn by_class(name: &str) -> Option<&'static Self> {
        FAMILIES.iter().copied().find(|family| family.classes.contains(&name))
    }

    /// The shape that a file says.
    ///
    /// # Errors
    /// The file is not right, or has a switch that is not computed: then the family is named.
    pub fn shape(&self, fields: &Fields) -> Result<Shape> {
        (self.read)(fields).map_err(|mut error| {
            if let Some(help) = error
                .help
                .as_mut()
                .filter(|help| help.starts_with(fields::NOT_COMPUTED_THIS))
            {
                help.push_str(&format!(" of `{}`", self.types[0]));
            }
            error
        })
    }

    /// Its class.
    pub fn class(&self) -> &'static str {
        self.classes[0]
    }

    /// Which model a file is of. transformers' `AutoModelForCausalLM` goes by `model_type`; `architectures` is looked
    /// at where that is left out.
    ///
    /// # Errors
    /// It is one that is not computed, or a field is of another type.
    pub fn of(fields: &Fields) -> Result<&'static Self> {
        let classes = fields.texts("architectures")?.unwrap_or_default();
        let unknown = |found: String, name: &str| {
            Diagnostic::checkpoint(format!("unknown architecture {found}"))
                .expected(known_classes())
                .help(not_computed::help(name))
        };
        let Some(name) = fields.text("model_type")? else {
            let class = classes.first().copied().unwrap_or("");
            return Family::by_class(class).ok_or_else(|| unknown(format!("`{class}`"), class));
        };
        let family = Family::by_type(name).ok_or_else(|| {
            let called: String = classes.iter().map(|class| format!(" (`{class}`)")).collect();
            unknown(format!("`model_type: {name}`{called}"), name)
        })?;
        let same = |class: &&str| Family::by_class(class).is_some_and(|other| std::ptr::eq(other, family));
        if !classes.is_empty() && !classes.iter().any(same) {
            let class = family.class();
            fields.warn(
                Diagnostic::checkpoint(format!(
                    "`architectures` says `{}`, `model_type` says `{name}`",
                    classes.join("`, `")
                ))
                .expected(format!("`{class}`"))
                .help(format!("computed as `{class}`: transformers goes by `model_type`")),
            );
        }
        Ok(family)
    }
}

/// The end-of-text token of a family whose file names none.
pub fn default_eos(family: &str) -> Option<u32> {
    Family::by_type(family).and_then(|family| family.eos)
}

/// The classes of all families, for messages.
fn known_classes() -> String {
    let names: Vec<String> = FAMILIES.iter().map(|family| format!("`{}`", family.class())).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

/// A shape that must be a multiple of another.
///
/// # Errors
/// It is not.
pub fn divided(of: &str, whole: usize, by: &str, parts: usize) -> Result<usize> {
    if whole.is_multiple_of(parts) {
        Ok(whole / parts)
    } else {
        Err(Diagnostic::checkpoint(format!(
            "`{of}: {whole}` is no multiple of `{by}: {parts}`"
        )))
    }
}

/// Rotary positions go by pairs.
///
/// # Errors
/// A width is odd.
pub fn even(what: &str, width: usize) -> Result<()> {
    if width.is_multiple_of(2) {
        Ok(())
    } else {
        Err(Diagnostic::checkpoint(format!(
            "{what} is {width}; rotary positions need an even one"
        )))
    }
}
