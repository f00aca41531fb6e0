//! Text to token ids with character spans, as Hugging Face's tokenizers give them, special tokens included.
//!
//! `tokenizer.json` is read by the `tokenizers` crate itself; `sentencepiece.rs` converts `tokenizer.model`
//! (SentencePiece) into the same pipeline, `gguf.rs` the keys of a GGUF file. This module runs no model and knows no
//! experiment.

mod added;
mod beside;
mod bounds;
pub mod chat;
mod frame;
mod gguf;
mod keys;
mod merges;
mod open;
mod pieces;
mod prefix;
mod sentencepiece;

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use self::pieces::{Writing, spelled};
use crate::checkpoint::gguf::{Metadata, is_file};
use crate::checkpoint::json;
use crate::diagnostic::{Diagnostic, Diagnostics, Kind, Result};
use crate::terms::Token;
use crate::{guard, input};

/// Which tokens stand round a text's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Around {
    /// Those that the tokenizer puts there: a prompt as it is.
    Special,
    /// None: what a chat template has written, which has all of its own, as transformers' `apply_chat_template` does.
    Nothing,
}

/// What is expected of an answer.
pub const OWN_TOKENS: &str = "tokens of its own after the prompt";

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

/// The text of tokens: from a tokenizer, or from a stored plan that once got it from one.
pub trait Vocabulary: Sync {
    /// What a token reads as by itself.
    fn text_of(&self, id: u32) -> String;

    /// What several tokens read as together.
    fn decode(&self, ids: &[u32]) -> String;
}

impl Vocabulary for Tokenizer {
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
    /// Texts of special tokens by their keys, `bos_token` and so on.
    names: Map<String, Value>,
    /// How its vocabulary writes pieces.
    writing: Writing,
    /// Whether its spans leave out the blanks that tokens begin and end with.
    trims: bool,
    /// Ids that it appends to a text.
    behind: Vec<u32>,
    /// Tokens that end what a model says, where its tokenizer's file is the only one that says so (GGUF).
    pub ends: Vec<u32>,
    /// The file that it is from, which errors name.
    file: PathBuf,
    /// The files it was made from, in the order of their names.
    pub files: Vec<PathBuf>,
    /// Over the files, or the keys of a GGUF file; see [`crate::checkpoint::hash::of_listing`].
    pub sha256: String,
    /// Warnings: what is unusual about the files, and how it was read.
    pub warnings: Diagnostics,
}

impl Tokenizer {
    /// Reads the tokenizer of a checkpoint: of a folder `tokenizer.json`, or else `tokenizer.model`, and the files next
    /// to it; or the one inside a GGUF file.
    ///
    /// # Errors
    /// There is none, or it cannot be read or requires something that igsite does not compute.
    pub fn open(checkpoint: &Path) -> Result<Self> {
        if is_file(checkpoint) {
            gguf::open(checkpoint)
        } else {
            open::open(checkpoint)
        }
    }

    /// The tokenizer that the metadata of a GGUF file describes.
    ///
    /// # Errors
    /// As [`Self::open`]; the error names the key.
    pub fn of_gguf(metadata: &Metadata) -> Result<Self> {
        gguf::of_metadata(metadata)
    }

    /// The tokens of a text, with the special tokens that the tokenizer puts round it.
    ///
    /// # Errors
    /// As [`Self::encode_within`].
    pub fn encode(&self, text: &str) -> Result<Vec<Token>> {
        self.encode_within(text, Around::Special)
    }

    /// The tokens of a text, with or without the special tokens that the tokenizer adds before and after it.
    ///
    /// Every character that the tokenizer does not drop is in the text of one token. Of several tokens that share a
    /// character the first has it; the text of the others is their bytes, `<0xBB>`.
    ///
    /// # Errors
    /// The tokenizer fails on the text.
    pub fn encode_within(&self, text: &str, around: Around) -> Result<Vec<Token>> {
        let special = around == Around::Special;
        let encoding = guard::guarded(|| self.inner.encode_char_offsets(text, special))
            .map_err(|panic| self.failed(text, &panic))?
            .map_err(|error| self.failed(text, &error.to_string()))?;
        let characters: Vec<char> = text.chars().collect();
        let spans = encoding.get_offsets();
        let mut tokens = Vec::with_capacity(spans.len());
        let mut cursor = 0;
        for (index, &(start, end)) in spans.iter().enumerate() {
            let id = encoding.get_ids()[index];
            let special = encoding.get_special_tokens_mask()[index] == 1;
            let end = end.min(characters.len());
            let start = start.min(end);
            let own = start.max(cursor).min(end);
            let text = if special {
                encoding.get_tokens()[index].clone()
            } else if own == end || self.is_mark(id, &characters[start..end]) {
                self.piece(id)
            } else {
                cursor = end;
                characters[self.trimmed(&characters, own..end)].iter().collect()
            };
            let Range { start, end } = self.trimmed(&characters, start..end);
            tokens.push(Token {
                id,
                text,
                start,
                end,
                special,
            });
        }
        Ok(tokens)
    }

    /// A span without the blanks at its ends, where the tokenizer leaves those out; a token of blanks keeps them.
    fn trimmed(&self, characters: &[char], span: Range<usize>) -> Range<usize> {
        let inner = |mut span: Range<usize>| {
            while !span.is_empty() && characters[span.start] == ' ' {
                span.start += 1;
            }
            while !span.is_empty() && characters[span.end - 1] == ' ' {
                span.end -= 1;
            }
            span
        };
        match inner(span.clone()) {
            kept if self.trims && !kept.is_empty() => kept,
            _ => span,
        }
    }

    /// Whether a token is only the mark of a space that the tokenizer inserted before a text: it has the span of a
    /// character that is not its own.
    fn is_mark(&self, id: u32, span: &[char]) -> bool {
        let blank = self.writing.bytes(&self.inner.id_to_token(id).unwrap_or_default());
        !blank.is_empty() && blank.iter().all(|byte| *byte == b' ') && span.iter().any(|c| *c != ' ')
    }

    /// A token that has no character of its own: its bytes, or its name where these are no text.
    fn piece(&self, id: u32) -> String {
        let name = self.inner.id_to_token(id).unwrap_or_else(|| format!("#{id}"));
        if self
            .inner
            .get_added_vocabulary()
            .get_added_tokens_decoder()
            .contains_key(&id)
        {
            return name;
        }
        match self.writing {
            // The mark of a blank is SentencePiece's own name for it.
            Writing::Marks if name.chars().all(|c| c == '▁') => name,
            writing => spelled(&writing.bytes(&name)),
        }
    }

    fn failed(&self, text: &str, error: &str) -> Diagnostic {
        Diagnostic::checkpoint(format!("the tokenizer fails: {error}"))
            .in_file(&self.file)
            .place(excerpt(text))
            .help("download the file again; if it is whole, the tokenizer cannot read this text: change the text")
            .may_be_damaged()
    }

    /// The tokens that follow `prompt` when `answer` is appended to it; at least one.
    ///
    /// `ids` are the prompt's own tokens, to save a second encoding. What the tokenizer appends to a text is ignored on
    /// both sides.
    ///
    /// # Errors
    /// The answer adds no token, or changes the prompt's own.
    pub fn answer_tokens(&self, prompt: &str, ids: &[u32], answer: &str, around: Around) -> Result<Vec<u32>> {
        let tokens = self.encode_within(&format!("{prompt}{answer}"), around)?;
        let found: Vec<u32> = tokens.iter().map(|token| token.id).collect();
        let text = |ids: &[u32]| -> Vec<u32> {
            let behind: &[u32] = if around == Around::Special { &self.behind } else { &[] };
            ids.strip_suffix(behind).unwrap_or(ids).to_vec()
        };
        match text(&found).strip_prefix(text(ids).as_slice()) {
            Some(rest) if !rest.is_empty() => Ok(rest.to_vec()),
            _ => Err(
                Diagnostic::checkpoint(format!("`{answer}` joins with the end of the prompt into other tokens"))
                    .expected(OWN_TOKENS)
                    .help(match around {
                        Around::Special => "end the prompt so that the answer begins a token, as `Choice: (` does",
                        // The author's text is not the end of it.
                        Around::Nothing => {
                            "the chat template writes the end of the prompt, not you: give the last segment \
                             `role: assistant`, and end it so that the answer begins a token, as `Choice: (` does"
                        }
                    }),
            ),
        }
    }

    /// The one token that follows `prompt` when `answer` is appended to it.
    ///
    /// # Errors
    /// As [`Self::answer_tokens`]; or the answer is several tokens there.
    pub fn answer_token(&self, prompt: &str, ids: &[u32], answer: &str) -> Result<u32> {
        match self.answer_tokens(prompt, ids, answer, Around::Special)?[..] {
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
        self.inner.token_to_id(text).or_else(|| {
            let alone = guard::guarded(|| self.inner.encode(text, false)).ok()?.ok()?;
            match alone.get_ids() {
                [id] => Some(*id),
                _ => None,
            }
        })
    }

    /// A special token by kind, as the tokenizer's files name it.
    pub fn special(&self, kind: SpecialKind) -> Option<u32> {
        let named = self.names.get(kind.key()).and_then(Value::as_str);
        let unknown = match (kind, self.inner.get_model()) {
            (SpecialKind::Unk, tokenizers::ModelWrapper::BPE(bpe)) => bpe.get_unk_token().as_deref(),
            _ => None,
        };
        named.or(unknown).and_then(|name| self.inner.token_to_id(name))
    }

    /// The texts of all special tokens that have a key, by `bos_token` and so on.
    fn special_names(&self) -> &Map<String, Value> {
        &self.names
    }

    /// What a token reads as by itself.
    pub fn text_of(&self, id: u32) -> String {
        match guard::guarded(|| self.inner.decode(&[id], false)) {
            Ok(Ok(text)) if !text.is_empty() && !text.contains('\u{fffd}') => text,
            _ => self.piece(id),
        }
    }

    /// What several tokens read as together.
    pub fn decode(&self, ids: &[u32]) -> String {
        let text = guard::guarded(|| self.inner.decode(ids, true));
        text.ok().and_then(std::result::Result::ok).unwrap_or_default()
    }
}

fn excerpt(text: &str) -> String {
    let start: String = text.chars().take(40).collect();
    format!("text beginning {start:?}")
}

fn read_map(path: &Path) -> Result<Option<Map<String, Value>>> {
    let Some(bytes) = input::read_if_there(path, Kind::Checkpoint, "read")? else {
        return Ok(None);
    };
    json::object(&bytes, path).map(Some)
}
