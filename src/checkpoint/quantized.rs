//! Weights that were quantised before they were saved: by which program, as `quantization_config` says, with one file
//! for each. The module of a linear layer `W` then has tensors of that program's own instead of `W.weight`; layers that
//! it left alone have theirs.
//!
//! Only weights are quantised here. Where a program would round activations as well, while it computes, this is said
//! ([`Quantized::activations`]) and not done.

mod awq;
mod bitsandbytes;
mod compressed_tensors;
mod fp8;
mod gptq;
mod mxfp4;
mod parts;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Loader;
use super::stored::TensorEntry;
use crate::diagnostic::{Diagnostic, Diagnostics, Result};
use crate::families::fields::{Fields, is_empty, shown};
use crate::kernel::matrix::Code;
use crate::tensor::matrix::Matrix;
use crate::terms::Quantization;

/// What to do about a form that is not read.
const UNQUANTISED: &str = "use the repository's unquantised checkpoint, with `quantization: nf4` if memory is short";

/// How a checkpoint's linear layers are stored quantised.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantized {
    /// By which program, in which form.
    method: Method,
    /// What that program would round activations to while it computes.
    pub activations: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
enum Method {
    BitsAndBytes(Code),
    Gptq(gptq::Settings),
    Awq(awq::Settings),
    CompressedTensors(compressed_tensors::Settings),
    Fp8(fp8::Settings),
    Mxfp4,
    Gguf,
}

impl Quantized {
    /// Of a GGUF file.
    pub fn gguf() -> Self {
        Self {
            method: Method::Gguf,
            activations: None,
        }
    }

    /// What a record calls it.
    pub fn word(&self) -> Quantization {
        match &self.method {
            Method::BitsAndBytes(Code::Fp4) => Quantization::Fp4,
            Method::BitsAndBytes(Code::Nf4) => Quantization::Nf4,
            Method::Gptq(settings) => settings.word(),
            Method::Awq(_) => Quantization::Awq4,
            Method::CompressedTensors(settings) => settings.word(),
            Method::Fp8(_) => Quantization::Fp8,
            Method::Mxfp4 => Quantization::Mxfp4,
            Method::Gguf => Quantization::Gguf,
        }
    }

    /// What to say where no tensor of a checkpoint is stored in this form.
    pub fn unused(&self, entries: &BTreeMap<String, TensorEntry>) -> Option<Diagnostic> {
        let mut stored = entries.iter().map(|(name, entry)| weights_in(Some(self), name, entry));
        if self.method == Method::Gguf || stored.any(|count| count > 0) {
            return None;
        }
        let told = format!(
            "`quantization_config` says that weights are stored as {}, and none are: they are read as they stand",
            self.word()
        );
        let help = "a leftover of a model that was quantised? Take `quantization_config` out of config.json";
        Some(Diagnostic::checkpoint(told).help(help).as_warning())
    }

    /// The code of bitsandbytes' 4 bits, where it is those.
    pub fn code(&self) -> Option<Code> {
        match self.method {
            Method::BitsAndBytes(code) => Some(code),
            _ => None,
        }
    }
}

/// Reads `quantization_config`, and what is odd in it.
///
/// # Errors
/// The method, or a switch of it, is not one that is read.
pub fn read(config: &Value) -> Result<(Quantized, Diagnostics)> {
    let at = |mut diagnostic: Diagnostic| {
        diagnostic.message = format!("`quantization_config`: {}", diagnostic.message);
        if diagnostic.help.is_none() && !diagnostic.warning {
            diagnostic.help = Some(UNQUANTISED.to_owned());
        }
        diagnostic
    };
    let nothing = Map::new();
    let fields = Fields::new(config.as_object().unwrap_or(&nothing));
    let read = |fields: &Fields<'_>| -> Result<(Method, Option<String>)> {
        let weights_alone = |method| (method, None);
        // The first transformers that saved bitsandbytes' checkpoints wrote no `quant_method`.
        match fields.text("quant_method")?.unwrap_or("bitsandbytes") {
            "bitsandbytes" => bitsandbytes::read(fields).map(Method::BitsAndBytes).map(weights_alone),
            "gptq" => gptq::read(fields).map(Method::Gptq).map(weights_alone),
            "awq" => awq::read(fields).map(Method::Awq).map(weights_alone),
            "compressed-tensors" => {
                compressed_tensors::read(fields).map(|(settings, more)| (Method::CompressedTensors(settings), more))
            }
            "fp8" => fp8::read(fields).map(|(settings, more)| (Method::Fp8(settings), Some(more))),
            "mxfp4" => mxfp4::read(fields).map(|()| weights_alone(Method::Mxfp4)),
            method => Err(stored_by(method)),
        }
    };
    let (method, activations) = read(&fields).map_err(at)?;
    unknown(&fields).into_iter().for_each(|told| fields.warn(told));
    if let Some(activations) = &activations {
        let told = format!("made to be computed with activations rounded to {activations}; igsite does not round them");
        fields.warn(Diagnostic::checkpoint(told).help("its numbers are those of the weights alone"));
    }
    let warnings = fields.warnings().iter().cloned().map(at).collect();
    Ok((Quantized { method, activations }, warnings))
}

/// A warning of fields that nobody asked for, if there are any with a value.
fn unknown(fields: &Fields<'_>) -> Option<Diagnostic> {
    let unknown: Vec<String> = fields
        .unasked()
        .into_iter()
        .filter(|(_, value)| !is_empty(value))
        .map(|(key, value)| format!("`{key}: {}`", shown(value)))
        .collect();
    let told = format!(
        "settings that igsite does not know, passed over: {}",
        unknown.join(", ")
    );
    let help = "if they change how weights are stored, the numbers are wrong";
    (!unknown.is_empty()).then(|| Diagnostic::checkpoint(told).help(help))
}

/// A method that is not read.
fn stored_by(method: &str) -> Diagnostic {
    Diagnostic::checkpoint(format!("the weights are stored quantised by {method}"))
        .expected(
            "float32, float16 or bfloat16 weights; bitsandbytes' 4 bits (`load_in_4bit`, fp4 or nf4); gptq, awq, compressed-tensors, fp8 or mxfp4",
        )
        .help(UNQUANTISED)
}

/// Checks a name that may be null or left out.
fn one_of(fields: &Fields<'_>, key: &str, wanted: &[&str]) -> Result<()> {
    match fields.text(key)? {
        Some(found) if !wanted.contains(&found) => Err(fields.wrong(key, &format!("`{}`", wanted.join("`, `")))),
        _ => Ok(()),
    }
}

/// What is saved beside codes.
const STATE: [&str; 9] = [
    ".scales",
    ".qzeros",
    ".g_idx",
    ".weight_scale",
    ".weight_scale_inv",
    ".weight_zero_point",
    ".weight_shape",
    ".weight_g_idx",
    "_proj_scales",
];

/// What is saved for activations.
const OF_ACTIVATIONS: [&str; 8] = [
    ".input_scale",
    ".input_zero_point",
    ".output_scale",
    ".output_zero_point",
    ".activation_scale",
    ".q_scale",
    ".k_scale",
    ".v_scale",
];

/// Whether a tensor belongs to the quantised form of another.
pub fn is_state(name: &str) -> bool {
    bitsandbytes::is_state(name) || STATE.iter().any(|ending| name.ends_with(ending)) || is_of_activations(name)
}

/// Whether a tensor says how a layer's activations, or keys and values, would be quantised.
pub fn is_of_activations(name: &str) -> bool {
    OF_ACTIVATIONS.iter().any(|ending| name.ends_with(ending))
}

/// How many weights are in a tensor whose elements are no floats.
pub fn weights_in(quantized: Option<&Quantized>, name: &str, entry: &TensorEntry) -> usize {
    let bits = match (quantized.map(|quantized| &quantized.method), entry.stored.name()) {
        (Some(Method::Gptq(settings)), "I32") if name.ends_with(".qweight") => settings.bits,
        (Some(Method::Awq(_)), "I32") if name.ends_with(".qweight") => 4,
        (Some(Method::CompressedTensors(settings)), "I32") if name.ends_with(".weight_packed") => settings.bits(),
        (Some(Method::CompressedTensors(_) | Method::Fp8(_)), "F8_E4M3" | "I8") => 8,
        (_, "U8") => 4,
        _ => return 0,
    };
    8 * entry.bytes / bits
}

impl Loader<'_> {
    /// Leaves aside what a method saves beside its layers and that changes no number.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(super) fn leave_idle_state(&mut self) -> Result<()> {
        let Some(quantized) = &self.checkpoint.config.quantization else {
            return Ok(());
        };
        self.left.retain(|name, _| !is_of_activations(name));
        match quantized.method {
            Method::Gptq(_) => gptq::leave_zero_biases(self),
            _ => Ok(()),
        }
    }

    /// Takes a linear layer's weights, `[out, in]`, that the checkpoint has quantised; none: it has those of this one
    /// as floats.
    ///
    /// # Errors
    /// Something beside the codes is missing, or has another shape or type than the method's; a file cannot be read.
    pub(super) fn packed(&mut self, name: &str, dims: [usize; 2]) -> Result<Option<Matrix>> {
        let checkpoint = self.checkpoint;
        let Some(quantized) = &checkpoint.config.quantization else {
            return Ok(None);
        };
        let base = name.strip_suffix(".weight").unwrap_or(name);
        match &quantized.method {
            Method::Gptq(settings) if self.has(&format!("{base}.qweight")) => {
                gptq::take(self, settings, base, dims).map(Some)
            }
            Method::Awq(settings) if self.has(&format!("{base}.qweight")) => {
                awq::take(self, settings, base, dims).map(Some)
            }
            Method::CompressedTensors(settings) => compressed_tensors::take(self, settings, base, dims),
            Method::Fp8(settings) => fp8::take(self, settings, base, dims),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::packed::BlockType;

    /// The table of docs/models.md has every word that a record may say, and every method that is read.
    #[test]
    fn the_documentation_lists_every_form() {
        let text = include_str!("../../docs/models.md");
        let (_, section) = text.split_once("### Quantized checkpoints").unwrap();
        let (table, more) = section.split_once("\nLayers that").unwrap();
        let rows: Vec<Vec<&str>> = table
            .lines()
            .filter(|line| line.starts_with("| "))
            .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
            .skip(1)
            .collect();
        let quoted = |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
        let mut words: Vec<String> = rows.iter().flat_map(|row| quoted(row[3])).collect();
        let mut known: Vec<String> = Quantization::WORDS.iter().map(|(word, _)| (*word).to_owned()).collect();
        known.retain(|word| word != "none");
        words.sort_unstable();
        known.sort_unstable();
        assert_eq!(words, known);
        for method in rows.iter().flat_map(|row| quoted(row[0])) {
            // What is wrong with so little of a config is something else than the method.
            let message = read(&serde_json::json!({"quant_method": method}));
            let unknown =
                method != "bitsandbytes" && message.is_err_and(|error| error.message.contains("stored quant"));
            assert!(!unknown, "{method}");
        }
        for kind in BlockType::ALL {
            assert!(more.contains(kind.name()), "{}", kind.name());
        }
    }
}
