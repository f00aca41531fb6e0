//! The tokenizer inside a GGUF file: its metadata (`tokenizer.*`) as the pipeline that a `tokenizer.json` would be.
//!
//! The ids are those of transformers 5.24 reading the same file (`integrations/gguf/gguf_tokenizer_mapping.py`). It
//! passes over some of what a file says. Where that makes other tokens than the model's own tokenizer does, igsite does
//! as that one, and as llama.cpp (`llama-vocab.cpp`): the pre-tokenizer of every name (`split.rs`), whole words that
//! are tokens, the token that begins a text by default, `add_space_prefix: false`, and added tokens keep their ids
//! whatever letters they are written in. No text is normalised, as in both programs: a GGUF file does not say how.
//!
//! In SentencePiece files the two programs differ where a text begins with a blank or has special tokens in it, and
//! where two merges have the same score; transformers is followed.

mod keys;
mod split;
mod vocabulary;

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokenizers::models::bpe::BPE;
use tokenizers::{AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper};

use self::keys::{ADD_BLANK, ADD_BOS, ADD_EOS, ALL, BOS, EOS, Model, PRE, Said, TEMPLATE, TOKENS, Type};
use self::split::Split;
use super::frame::{self, Frame};
use super::pieces::Writing;
use super::prefix::Prefix;
use super::{Tokenizer, sentencepiece};
use crate::checkpoint::gguf::{self, Metadata};
use crate::checkpoint::hash;
use crate::diagnostic::{Diagnostic, Result};
use crate::guard;

/// Architectures whose tokenizer is Gemma's.
const GEMMA: [&str; 3] = ["gemma", "gemma2", "gemma3"];

/// Control tokens that end what a model says, in files that have no key for them (llama.cpp's list, `special_eog_ids`).
const ENDS: [&str; 13] = [
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|eom_id|>",
    "<EOT>",
    "[EOS]",
    "<|end_of_text|>",
    "<eos>",
    "<｜end▁of▁sentence｜>",
];

/// The tokenizer of a GGUF file.
///
/// # Errors
/// The file cannot be read, or as [`of_metadata`].
pub fn open(path: &Path) -> Result<Tokenizer> {
    of_metadata(&gguf::read(path)?.metadata)
}

/// The tokenizer that a GGUF file's metadata describes.
///
/// # Errors
/// There is none, or of a kind or with a pre-tokenizer that igsite does not compute, or the keys contradict each other;
/// the error names the key.
pub fn of_metadata(metadata: &Metadata) -> Result<Tokenizer> {
    let mut said = Said::read(metadata)?;
    // The crate was not made for vocabularies that nobody trained, and panics on some.
    let built = guard::guarded(|| build(&mut said));
    let (inner, writing) = built.unwrap_or_else(|panic| Err(invalid(metadata, &panic)))?;
    let frame = Frame::of(&inner).map_err(|error| invalid(metadata, &error.to_string()))?;
    if let Some((message, done)) = frame::ending(&inner, &frame) {
        said.warnings
            .push(metadata.wrong(ADD_EOS, message).help(done).as_warning());
    }
    let file = metadata.path().to_path_buf();
    Ok(Tokenizer {
        inner,
        names: names(&said),
        writing,
        trims: false,
        behind: frame.behind,
        ends: ends(&said),
        files: vec![file.clone()],
        file,
        sha256: sha256(metadata),
        warnings: said.warnings,
    })
}

/// The chat template in a GGUF file, and the names of further ones.
///
/// # Errors
/// A key is of another type.
pub fn chat_template(metadata: &Metadata) -> Result<(Option<&str>, Vec<&str>)> {
    let further = metadata
        .keys()
        .filter_map(|key| key.strip_prefix(TEMPLATE)?.strip_prefix('.'));
    Ok((metadata.text(TEMPLATE)?, further.collect()))
}

/// SHA-256 over the keys of the tokenizer and their values as the file has them: of files with the same tokenizer and
/// other weights it is the same.
fn sha256(metadata: &Metadata) -> String {
    let mut hashes = Vec::new();
    for key in metadata.keys().filter(|key| key.starts_with(ALL)) {
        hashes.push((key, hash::of_bytes(metadata.raw(key).unwrap_or_default())));
    }
    // What kind of SentencePiece it is depends on it.
    let architecture = metadata.raw("general.architecture").unwrap_or_default();
    hashes.push(("general.architecture", hash::of_bytes(architecture)));
    hash::of_listing(hashes.iter().map(|(key, hash)| (*key, hash.as_str())))
}

/// The pipeline, and how its vocabulary writes pieces.
fn build(said: &mut Said<'_>) -> Result<(tokenizers::Tokenizer, Writing)> {
    let gemma = GEMMA.contains(&said.architecture);
    let (model, steps, writing, begins) = match said.model {
        Model::SentencePiece => {
            let prefix = prefix(said, gemma);
            let steps = Steps::sentencepiece(prefix);
            (vocabulary::sentencepiece(said, gemma)?, steps, Writing::Marks, true)
        }
        Model::Bytes => {
            let split = split(said)?;
            let steps = Steps {
                normalizer: Value::Null,
                pre_tokenizer: split.steps(),
                decoder: json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false,
                    "use_regex": false}),
            };
            (vocabulary::bytes(said, split)?, steps, Writing::Bytes, split.begins)
        }
    };
    let mut inner = steps.around(said.metadata, model)?;
    let added = added(said, gemma && said.model == Model::SentencePiece);
    let failed = |error: tokenizers::Error| invalid(said.metadata, &error.to_string());
    inner.add_tokens(added).map_err(failed)?;
    let around = |key: &str, wanted: bool, of: &str, id: Option<u32>| match id {
        _ if !wanted => Ok(None),
        Some(id) => Ok(Some((id, said.text(id).to_owned()))),
        None => Err(said
            .metadata
            .wrong(
                key,
                format!("a token is to be put round each text, and there is no `{of}`"),
            )
            .expected(format!("`{of}`, or `{key}` false"))),
    };
    let before = around(ADD_BOS, said.add_bos.unwrap_or(begins), BOS, said.bos)?;
    let behind = around(ADD_EOS, said.add_eos.unwrap_or(false), EOS, said.eos)?;
    let post_processor: Option<PostProcessorWrapper> = part(said.metadata, frame::template(&before, &behind))?;
    inner.with_post_processor(post_processor);
    Ok((inner, writing))
}

/// The steps round a model, as `tokenizer.json` has them.
struct Steps {
    normalizer: Value,
    pre_tokenizer: Value,
    decoder: Value,
}

impl Steps {
    fn sentencepiece(prefix: Prefix) -> Self {
        let (normalizer, pre_tokenizer) = prefix.steps();
        Self {
            normalizer,
            pre_tokenizer,
            decoder: sentencepiece::decoder(prefix),
        }
    }

    fn around(self, metadata: &Metadata, model: BPE) -> Result<tokenizers::Tokenizer> {
        let failed = |error: tokenizers::Error| invalid(metadata, &error.to_string());
        let normalizer: Option<NormalizerWrapper> = part(metadata, self.normalizer)?;
        let pre_tokenizer: Option<PreTokenizerWrapper> = part(metadata, self.pre_tokenizer)?;
        let decoder: Option<DecoderWrapper> = part(metadata, self.decoder)?;
        let mut inner = tokenizers::Tokenizer::new(model);
        inner.with_normalizer(normalizer).map_err(failed)?;
        inner.with_pre_tokenizer(pre_tokenizer);
        inner.with_decoder(decoder);
        Ok(inner)
    }
}

/// Where blanks are put in, as transformers decides it by the architecture, but for a file that forbids it.
fn prefix(said: &mut Said<'_>, gemma: bool) -> Prefix {
    let by_kind = match said.architecture {
        _ if gemma => Prefix::Never,
        "phi3" => Prefix::Legacy,
        _ => Prefix::First,
    };
    let (prefix, message, done) = match (by_kind, said.add_blank) {
        (Prefix::Never, Some(true)) => (
            Prefix::Never,
            "a blank is to be put in front of a text, which Gemma's tokenizer does not do",
            "none is put in, as transformers does; llama.cpp puts one in",
        ),
        (Prefix::Legacy | Prefix::First, Some(false)) => (
            Prefix::Never,
            "no blank is to be put in front of a text, and transformers passes this key over",
            "none is put in, as llama.cpp does; transformers 5 puts one in",
        ),
        (by_kind, _) => return by_kind,
    };
    let warning = said.metadata.wrong(ADD_BLANK, message).help(done);
    said.warnings.push(warning.as_warning());
    prefix
}

/// The pre-tokenizer by its name.
fn split(said: &mut Said<'_>) -> Result<&'static Split> {
    match said.pre {
        Some(name) if name != "default" => Split::named(name).ok_or_else(|| {
            said.metadata
                .wrong(PRE, format!("the pre-tokenizer `{name}` is not known"))
                .expected(format!("one of: {}", Split::names()))
                .help("igsite does not compute this way to cut a text into words; take the model as safetensors, with its tokenizer.json")
        }),
        _ => {
            let message = "the file does not say how its text is cut into words before bytes are merged";
            let done = "words are cut by GPT-2's expression, as transformers does (llama.cpp cuts numbers and punctuation apart); a file converted by a newer llama.cpp says more";
            said.warnings.push(said.metadata.wrong(PRE, message).help(done).as_warning());
            Ok(Split::of_gpt2())
        }
    }
}

/// The tokens that split a text before everything else: control, unknown and user-defined ones, and those with a key.
fn added(said: &Said<'_>, gemma: bool) -> Vec<AddedToken> {
    let mut added = BTreeMap::new();
    for (id, (text, kind)) in (0..).zip(said.tokens.iter().zip(&said.types)) {
        let token = AddedToken::from(*text, *kind != Type::UserDefined).normalized(false);
        // Gemma's tokens of blanks are pieces: no text has them once its blanks are marked.
        let piece = *kind == Type::Plain || gemma && vocabulary::marked(text) != *text;
        if !piece {
            added.insert(id, token);
        }
    }
    for id in [said.bos, said.eos, said.unknown, said.padding].into_iter().flatten() {
        added.insert(id, AddedToken::from(said.text(id), true).normalized(false));
    }
    added.into_values().collect()
}

/// Special tokens by the names that chat templates and baselines have for them.
fn names(said: &Said<'_>) -> Map<String, Value> {
    let all = [
        ("bos_token", said.bos),
        ("eos_token", said.eos),
        ("unk_token", said.unknown),
        ("pad_token", said.padding),
    ];
    let named = |(key, id): (&str, Option<u32>)| Some((key.to_owned(), said.text(id?).into()));
    all.into_iter().filter_map(named).collect()
}

/// The tokens that end what the model says: those with a key, and control tokens with a name that says so.
fn ends(said: &Said<'_>) -> Vec<u32> {
    let mut ends: Vec<u32> = said.eos.into_iter().chain(said.ends.iter().copied()).collect();
    let control = |(id, kind): (u32, &Type)| (*kind == Type::Control).then_some(id);
    let control: Vec<u32> = (0..).zip(&said.types).filter_map(control).collect();
    let has = |name: &str| control.iter().any(|&id| said.text(id) == name);
    // Of gpt-oss, where it ends a message and not the turn.
    let goes_on = has("<|return|>") && has("<|call|>");
    ends.extend(control.iter().filter(|&&id| match said.text(id) {
        "<|end|>" => !goes_on,
        name => ENDS.contains(&name),
    }));
    ends.sort_unstable();
    ends.dedup();
    ends
}

/// A part of a pipeline; null is none.
fn part<P: DeserializeOwned>(metadata: &Metadata, value: Value) -> Result<Option<P>> {
    serde_json::from_value(value).map_err(|error| invalid(metadata, &error.to_string()))
}

fn invalid(metadata: &Metadata, error: &str) -> Diagnostic {
    metadata
        .wrong(TOKENS, format!("not a tokenizer that can be read: {error}"))
        .download_again()
}
