//! Makes a tokenizer from the files of a checkpoint's folder.
//!
//! `tokenizer.json` is read by the `tokenizers` crate, `tokenizer.model` is converted into the same pipeline. Then both
//! are treated as transformers treats them: truncation and padding are switched off, and the tokens of the files next
//! to it are added (`beside.rs`).

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};
use tokenizers::{AddedToken, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper};

use super::beside::{Class, TokenizerFiles};
use super::frame::{self, Frame};
use super::pieces::Writing;
use super::prefix::Prefix;
use super::{Tokenizer, added, bounds, prefix, sentencepiece};
use crate::checkpoint::hash;
use crate::diagnostic::{Diagnostic, Kind, Result};
use crate::{guard, input};

/// What is read of a `tokenizer.json` in addition to what the `tokenizers` crate reads. The vocabulary is skipped.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Outline {
    padding: Value,
    added_tokens: Option<Vec<Listed>>,
    normalizer: Value,
    pre_tokenizer: Value,
    post_processor: Value,
    decoder: Value,
    model: Model,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Model {
    dropout: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Listed {
    id: u64,
    #[serde(flatten)]
    token: AddedToken,
}

/// The tokenizer of a folder.
///
/// # Errors
/// As [`Tokenizer::open`].
pub fn open(folder: &Path) -> Result<Tokenizer> {
    let (json, model) = (folder.join("tokenizer.json"), folder.join("tokenizer.model"));
    let mut beside = TokenizerFiles::read(folder)?;
    let file = if json.exists() {
        json
    } else if model.exists() {
        model
    } else {
        return Err(Diagnostic::checkpoint("no tokenizer in this folder")
            .in_file(folder)
            .expected("`tokenizer.json` or `tokenizer.model`")
            .help("choose a repository or folder that has one: weights alone cannot read a prompt"));
    };
    let alone = file.ends_with("tokenizer.model");
    // What this class takes where no key says otherwise.
    if alone || beside.class == Class::Llama {
        for (key, content) in [("bos_token", "<s>"), ("eos_token", "</s>"), ("unk_token", "<unk>")] {
            beside.assume(key, content);
        }
    }
    let bytes = if alone {
        let prefix = prefix::of_sentencepiece(&mut beside)?;
        beside.match_as_written(prefix);
        if let Class::Other(name) = &beside.class {
            return Err(beside
                .error("tokenizer_class", format!("tokenizer.model is of the class `{name}`"))
                .expected("`LlamaTokenizer`, or a tokenizer.json that says all")
                .help("igsite does not compute what this class makes of the file; save the tokenizer with transformers as a fast one"));
        }
        let (pipeline, blank) = sentencepiece::pipeline(&file, prefix)?;
        if !blank && prefix != Prefix::Never {
            let message = "tokenizer.model itself puts no blank in front of a text";
            let done = "one is put in, as transformers' class for Llama does; `add_prefix_space: false` leaves it out";
            beside.warn("add_prefix_space", message, done);
        }
        pipeline.to_string().into_bytes()
    } else {
        input::read(&file, Kind::Checkpoint, "read")?
    };
    // The crate was not made for files that no tokenizer wrote, and panics on some.
    let built = guard::guarded(|| build(&file, &bytes, alone, &mut beside));
    let built = built.unwrap_or_else(|panic| Err(invalid(&file, &panic)))?;
    let mut files = std::mem::take(&mut beside.files);
    files.push(file.clone());
    files.sort();
    let names: Map<String, Value> = beside
        .named
        .iter()
        .map(|(key, token)| (key.clone(), token.content.clone().into()))
        .collect();
    Ok(Tokenizer {
        inner: built.inner,
        names,
        writing: built.writing,
        trims: built.trims,
        behind: built.behind,
        ends: Vec::new(),
        sha256: sha256(&files)?,
        file,
        files,
        warnings: beside.warnings,
    })
}

struct Built {
    inner: tokenizers::Tokenizer,
    writing: Writing,
    trims: bool,
    behind: Vec<u32>,
}

fn build(file: &Path, bytes: &[u8], alone: bool, beside: &mut TokenizerFiles) -> Result<Built> {
    let outline: Outline = serde_json::from_slice(bytes).map_err(|error| invalid(file, &error.to_string()))?;
    outline.check().map_err(|error| error.in_file(file))?;
    let failed = |error: tokenizers::Error| invalid(file, &error.to_string());
    let mut inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(failed)?;
    // Transformers truncates and pads only on request, whatever the file was saved with.
    inner.with_padding(None);
    inner.with_truncation(None).map_err(failed)?;
    if let Some(pad) = outline.padding.get("pad_token").and_then(Value::as_str) {
        beside.assume("pad_token", pad);
    }
    if !alone
        && let Some((normalizer, pre_tokenizer)) = prefix::of_file(beside, &outline.normalizer, &outline.pre_tokenizer)?
    {
        let normalizer: Option<NormalizerWrapper> = part(file, normalizer)?;
        let pre_tokenizer: Option<PreTokenizerWrapper> = part(file, pre_tokenizer)?;
        inner.with_normalizer(normalizer).map_err(failed)?;
        inner.with_pre_tokenizer(pre_tokenizer);
    }
    let own: Vec<(u64, AddedToken)> = outline
        .added_tokens
        .unwrap_or_default()
        .into_iter()
        .map(|listed| (listed.id, listed.token))
        .collect();
    added::add(&mut inner, beside, &own)?;
    let mut post_processor = outline.post_processor;
    if alone {
        post_processor = frame::of_sentencepiece(&inner, beside)?;
    }
    // Spans are trimmed later: a blank that is a token has its place.
    let trims = untrim(&mut post_processor);
    if alone || trims {
        let post_processor: Option<PostProcessorWrapper> = part(file, post_processor)?;
        inner.with_post_processor(post_processor);
    }
    inner.set_encode_special_tokens(beside.switch("split_special_tokens")?.unwrap_or(false));
    let frame = Frame::of(&inner).map_err(failed)?;
    if !alone {
        frame::compare(&inner, beside, &frame)?;
    }
    if let Some((message, done)) = frame::ending(&inner, &frame) {
        beside.warn("add_eos_token", message, done);
    }
    let writing = Writing::of(&[&outline.normalizer, &outline.pre_tokenizer, &outline.decoder]);
    Ok(Built {
        inner,
        writing,
        trims,
        behind: frame.behind,
    })
}

impl Outline {
    /// What no tokenizer of a model does, and would make numbers that mean nothing or never come.
    fn check(&self) -> Result<()> {
        bounds::check_growth(&[
            ("normalizer", &self.normalizer),
            ("pre_tokenizer", &self.pre_tokenizer),
            ("decoder", &self.decoder),
        ])?;
        bounds::check_template(&self.post_processor)?;
        match self.model.dropout {
            Some(dropout) if dropout != 0.0 => Err(Diagnostic::checkpoint(format!(
                "the tokenizer splits words by chance (`dropout` {dropout})"
            ))
            .place("model.dropout")
            .expected("null: the same tokens for the same text")
            .help("it is meant for training; write null")),
            _ => Ok(()),
        }
    }
}

/// Switches off that spans leave out blanks; whether it was on.
fn untrim(step: &mut Value) -> bool {
    let Some(fields) = step.as_object_mut() else {
        return false;
    };
    let mut on = false;
    if let Some(inner) = fields.get_mut("processors").and_then(Value::as_array_mut) {
        for step in inner {
            on |= untrim(step);
        }
    }
    if let Some(flag) = fields.get_mut("trim_offsets") {
        on |= *flag == true;
        *flag = false.into();
    }
    on
}

/// A part of a pipeline; null is none.
fn part<P: serde::de::DeserializeOwned>(file: &Path, value: Value) -> Result<Option<P>> {
    serde_json::from_value(value).map_err(|error| invalid(file, &error.to_string()))
}

fn sha256(files: &[PathBuf]) -> Result<String> {
    let mut hashes = Vec::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        hashes.push((name, hash::of_file(file)?));
    }
    Ok(hash::of_listing(
        hashes.iter().map(|(name, hash)| (name.as_str(), hash.as_str())),
    ))
}

fn invalid(path: &Path, error: &str) -> Diagnostic {
    Diagnostic::checkpoint(format!("not a tokenizer that can be read: {error}"))
        .in_file(path)
        .download_again()
}
