//! Text to token ids with character spans, as Hugging Face's tokenizers give them, special tokens included.
//!
//! `tokenizer.json` is read by the `tokenizers` crate itself; `tokenizer.model` (SentencePiece) is turned into the same
//! pipeline by `sentencepiece.rs`. This module runs no model and knows no experiment.

pub mod chat;
mod sentencepiece;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::checkpoint::hash;
use crate::diagnostic::{Diagnostic, Diagnostics, Kind, Result};
use crate::input;

/// A token of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its id in the vocabulary.
    pub id: u32,
    /// The characters it stands for; its name where it stands for none of its own (`<s>`, one byte of a character).
    pub text: String,
    /// First character in the text; a special token has `start == end`.
    pub start: usize,
    /// One past the last.
    pub end: usize,
    /// Put there by the tokenizer, not text of the prompt.
    pub special: bool,
}

/// The kinds of special token that a baseline may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpecialKind {
    /// Beginning of text.
    Bos,
    /// End of text.
    Eos,
    /// Padding.
    Pad,
    /// Unknown.
    Unk,
}

impl SpecialKind {
    fn key(self) -> &'static str {
        match self {
            Self::Bos => "bos_token",
            Self::Eos => "eos_token",
            Self::Pad => "pad_token",
            Self::Unk => "unk_token",
        }
    }
}

/// What tokens read as: a tokenizer says so, or a kept plan that once asked one.
pub trait Speech: Sync {
    /// What a token reads as by itself.
    fn text_of(&self, id: u32) -> String;

    /// What several tokens read as together.
    fn decode(&self, ids: &[u32]) -> String;
}

impl Speech for Tokenizer {
    fn text_of(&self, id: u32) -> String {
        self.text_of(id)
    }

    fn decode(&self, ids: &[u32]) -> String {
        self.decode(ids)
    }
}

/// A checkpoint's tokenizer.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// Names of special tokens, from `special_tokens_map.json` and `tokenizer_config.json`.
    names: Map<String, Value>,
    /// The files it was made from, in the order of their names.
    pub files: Vec<PathBuf>,
    /// Over the files; see [`hash::of_listing`].
    pub sha256: String,
    /// What is odd about the files and was decided in one of several ways.
    pub warnings: Diagnostics,
}

impl Tokenizer {
    /// Reads `tokenizer.json`, or else `tokenizer.model` with `added_tokens.json`, from a checkpoint folder.
    ///
    /// # Errors
    /// Neither is there, or what is there cannot be read or asks for something that is not computed.
    pub fn open(folder: &Path) -> Result<Self> {
        let json = folder.join("tokenizer.json");
        let model = folder.join("tokenizer.model");
        let mut files = Vec::new();
        let mut names = Map::new();
        for file in ["tokenizer_config.json", "special_tokens_map.json"] {
            if let Some(map) = read_map(&folder.join(file))? {
                files.push(folder.join(file));
                names.extend(map);
            }
        }
        let inner = if json.is_file() {
            let bytes = input::read(&json, Kind::Checkpoint, "read")?;
            files.push(json.clone());
            tokenizers::Tokenizer::from_bytes(bytes).map_err(|e| invalid(&json, &e))?
        } else if model.is_file() {
            let added = read_map(&folder.join("added_tokens.json"))?;
            if added.is_some() {
                files.push(folder.join("added_tokens.json"));
            }
            files.push(model.clone());
            let add_bos = names.get("add_bos_token").and_then(Value::as_bool).unwrap_or(true);
            let add_eos = names.get("add_eos_token").and_then(Value::as_bool).unwrap_or(false);
            let pipeline = sentencepiece::pipeline(&model, &added.unwrap_or_default(), add_bos, add_eos)?;
            tokenizers::Tokenizer::from_bytes(pipeline.to_string()).map_err(|e| invalid(&model, &e))?
        } else {
            return Err(Diagnostic::checkpoint("no tokenizer in this folder")
                .in_file(folder)
                .expected("`tokenizer.json` or `tokenizer.model`")
                .help("choose a repository or folder that has one: weights alone cannot read a prompt"));
        };
        files.sort();
        let mut hashes = Vec::new();
        for file in &files {
            hashes.push((file_name(file), hash::of_file(file)?));
        }
        let sha256 = hash::of_listing(hashes.iter().map(|(name, hash)| (name.as_str(), hash.as_str())));
        Ok(Self {
            inner,
            names,
            files,
            sha256,
            warnings: Diagnostics::new(),
        })
    }

    /// The tokens of a text, with the special tokens that the tokenizer puts round it.
    ///
    /// # Errors
    /// The tokenizer fails on the text.
    pub fn encode(&self, text: &str) -> Result<Vec<Token>> {
        let encoding = self
            .inner
            .encode_char_offsets(text, true)
            .map_err(|e| Diagnostic::checkpoint(format!("the tokenizer fails: {e}")).place(excerpt(text)))?;
        let characters: Vec<char> = text.chars().collect();
        let spans = encoding.get_offsets();
        let mut tokens = Vec::with_capacity(spans.len());
        for (index, &(start, end)) in spans.iter().enumerate() {
            let special = encoding.get_special_tokens_mask()[index] == 1;
            // Bytes of one character share its span: none of them is that character.
            let shared = !special
                && [index.checked_sub(1), Some(index + 1)]
                    .into_iter()
                    .flatten()
                    .filter_map(|i| spans.get(i))
                    .any(|&other| start < end && other.0 < end && other.1 > start);
            let text = if special || shared || start == end {
                encoding.get_tokens()[index].clone()
            } else {
                characters[start..end].iter().collect()
            };
            tokens.push(Token {
                id: encoding.get_ids()[index],
                text,
                start,
                end,
                special,
            });
        }
        Ok(tokens)
    }

    /// The tokens that follow `prompt` when `answer` is appended to it; one at least.
    ///
    /// `ids` are the prompt's own tokens, to save a second encoding.
    ///
    /// # Errors
    /// The answer adds no token, or changes the prompt's own.
    pub fn answer_tokens(&self, prompt: &str, ids: &[u32], answer: &str) -> Result<Vec<u32>> {
        let tokens = self.encode(&format!("{prompt}{answer}"))?;
        let found: Vec<u32> = tokens.iter().map(|token| token.id).collect();
        match found.strip_prefix(ids) {
            Some(rest) if !rest.is_empty() => Ok(rest.to_vec()),
            _ => Err(
                Diagnostic::checkpoint(format!("`{answer}` joins with the end of the prompt into other tokens"))
                    .expected("tokens of its own after the prompt")
                    .help("end the prompt so that the answer begins a token, as `Choice: (` does"),
            ),
        }
    }

    /// The one token that follows `prompt` when `answer` is appended to it.
    ///
    /// # Errors
    /// As [`Self::answer_tokens`]; or the answer is several tokens there.
    pub fn answer_token(&self, prompt: &str, ids: &[u32], answer: &str) -> Result<u32> {
        match self.answer_tokens(prompt, ids, answer)?[..] {
            [id] => Ok(id),
            ref several => Err(self.several(answer, several)),
        }
    }

    /// The error of an answer that should have been one token.
    pub fn several(&self, answer: &str, ids: &[u32]) -> Diagnostic {
        let pieces: Vec<String> = ids.iter().map(|&id| format!("`{}`", self.text_of(id))).collect();
        let (count, pieces) = (ids.len(), pieces.join(" "));
        Diagnostic::checkpoint(format!("`{answer}` is {count} tokens after this prompt: {pieces}"))
            .expected("a single token")
            .help("`output: log_probability` explains an answer of several tokens, by the sum of their log-probabilities; probabilities and logits are of one token")
    }

    /// A token of the vocabulary by its text: the piece itself, or the one token that the text is by itself.
    pub fn vocabulary_token(&self, text: &str) -> Option<u32> {
        self.inner
            .token_to_id(text)
            .or_else(|| match self.inner.encode(text, false).ok()?.get_ids() {
                [id] => Some(*id),
                _ => None,
            })
    }

    /// A special token by kind, as the tokenizer's files name it.
    pub fn special(&self, kind: SpecialKind) -> Option<u32> {
        let named = self.special_text(kind);
        let unknown = match (kind, self.inner.get_model()) {
            (SpecialKind::Unk, tokenizers::ModelWrapper::BPE(bpe)) => bpe.get_unk_token().as_deref(),
            _ => None,
        };
        named.or(unknown).and_then(|name| self.inner.token_to_id(name))
    }

    /// The text of a special token, as the tokenizer's files name it.
    pub fn special_text(&self, kind: SpecialKind) -> Option<&str> {
        name_of(self.names.get(kind.key())?)
    }

    /// The texts of all special tokens that the tokenizer's files name, by `bos_token` and so on.
    fn special_names(&self) -> Map<String, Value> {
        let named = self.names.iter().filter(|(key, _)| key.ends_with("_token"));
        named
            .filter_map(|(key, value)| Some((key.clone(), name_of(value)?.into())))
            .collect()
    }

    /// Whether the tokenizer itself puts the token that begins a text in front.
    ///
    /// # Errors
    /// The tokenizer fails.
    pub fn adds_bos(&self) -> Result<bool> {
        let Some(bos) = self.special(SpecialKind::Bos) else {
            return Ok(false);
        };
        let first = self.encode("a")?.into_iter().next();
        Ok(first.is_some_and(|token| token.special && token.id == bos))
    }

    /// What a token reads as by itself.
    pub fn text_of(&self, id: u32) -> String {
        match self.inner.decode(&[id], false) {
            Ok(text) if !text.is_empty() && !text.contains('\u{fffd}') => text,
            _ => self.inner.id_to_token(id).unwrap_or_else(|| format!("#{id}")),
        }
    }

    /// What several tokens read as together.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.inner.decode(ids, true).unwrap_or_default()
    }
}

/// A special token's text; newer files give its flags too.
fn name_of(value: &Value) -> Option<&str> {
    match value {
        Value::String(name) => Some(name),
        other => other.get("content").and_then(Value::as_str),
    }
}

fn invalid(path: &Path, error: &tokenizers::Error) -> Diagnostic {
    Diagnostic::checkpoint(format!("not a tokenizer that can be read: {error}"))
        .in_file(path)
        .help("download the file again")
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn excerpt(text: &str) -> String {
    let start: String = text.chars().take(40).collect();
    format!("text beginning {start:?}")
}

fn read_map(path: &Path) -> Result<Option<Map<String, Value>>> {
    let Some(bytes) = input::read_if_there(path, Kind::Checkpoint, "read")? else {
        return Ok(None);
    };
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(map)) => Ok(Some(map)),
        Ok(_) => Err(Diagnostic::checkpoint("not a JSON object").in_file(path)),
        Err(e) => Err(Diagnostic::checkpoint(format!("not JSON: {e}")).in_file(path)),
    }
}
