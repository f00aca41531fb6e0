//! Which model a `config.json` is of.

use super::fields::Fields;
use crate::diagnostic::{Diagnostic, Result};

/// The classes of transformers that are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Llama,
    Mistral,
    Falcon,
}

impl Family {
    /// By `model_type`. falcon-7b's first revisions call themselves `RefinedWebModel`.
    fn by_type(name: &str) -> Option<Self> {
        match name {
            "llama" => Some(Self::Llama),
            "mistral" => Some(Self::Mistral),
            "falcon" | "RefinedWebModel" => Some(Self::Falcon),
            _ => None,
        }
    }

    /// By an entry of `architectures`. `RWForCausalLM` is what falcon-7b's first revisions call themselves.
    fn by_class(name: &str) -> Option<Self> {
        match name {
            "LlamaForCausalLM" => Some(Self::Llama),
            "MistralForCausalLM" => Some(Self::Mistral),
            "FalconForCausalLM" | "RWForCausalLM" => Some(Self::Falcon),
            _ => None,
        }
    }

    /// Its class.
    pub fn class(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Mistral => "MistralForCausalLM",
            Self::Falcon => "FalconForCausalLM",
        }
    }

    /// Which model it is. transformers' `AutoModelForCausalLM` goes by `model_type`; `architectures` is looked at where that is left out.
    ///
    /// # Errors
    /// It is one that is not computed, or a field is of another type.
    pub fn of(fields: &Fields) -> Result<Self> {
        let classes = fields.texts("architectures")?.unwrap_or_default();
        let unknown = |found: String| {
            Diagnostic::checkpoint(format!("unknown architecture {found}"))
                .expected("`LlamaForCausalLM`, `MistralForCausalLM` or `FalconForCausalLM`")
                .help("igsite computes these layouts only; choose another checkpoint")
        };
        let Some(name) = fields.text("model_type")? else {
            let class = classes.first().copied().unwrap_or("");
            return Family::by_class(class).ok_or_else(|| unknown(format!("`{class}`")));
        };
        let family = Family::by_type(name).ok_or_else(|| {
            let called: String = classes.iter().map(|class| format!(" (`{class}`)")).collect();
            unknown(format!("`model_type: {name}`{called}"))
        })?;
        if !classes.is_empty() && !classes.iter().any(|class| Family::by_class(class) == Some(family)) {
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
