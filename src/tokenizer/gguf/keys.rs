//! What the keys of a GGUF file say of its tokenizer, checked: `tokenizer.*`, as llama.cpp's converter writes them
//! (`gguf/constants.py` of the `gguf` package 0.19) and llama.cpp reads them (`llama-vocab.cpp`).

use crate::checkpoint::gguf::Metadata;
use crate::diagnostic::{Diagnostic, Diagnostics, Result};
use crate::tokenizer::sentencepiece::MOST_PIECES;

// The keys that the modules here read, by what they are for.
pub const MODEL: &str = "tokenizer.ggml.model";
pub const PRE: &str = "tokenizer.ggml.pre";
pub const TOKENS: &str = "tokenizer.ggml.tokens";
pub const TYPES: &str = "tokenizer.ggml.token_type";
pub const SCORES: &str = "tokenizer.ggml.scores";
pub const MERGES: &str = "tokenizer.ggml.merges";
pub const ADD_BOS: &str = "tokenizer.ggml.add_bos_token";
pub const ADD_EOS: &str = "tokenizer.ggml.add_eos_token";
pub const ADD_BLANK: &str = "tokenizer.ggml.add_space_prefix";
pub const BOS: &str = "tokenizer.ggml.bos_token_id";
pub const EOS: &str = "tokenizer.ggml.eos_token_id";
const UNKNOWN: &str = "tokenizer.ggml.unknown_token_id";
const PADDING: &str = "tokenizer.ggml.padding_token_id";
const CHARSMAP: &str = "tokenizer.ggml.precompiled_charsmap";
/// The prefix of all of them.
pub const ALL: &str = "tokenizer.";
/// The prefix of chat templates: of the default one nothing follows.
pub const TEMPLATE: &str = "tokenizer.chat_template";

/// Tokens that end what a model says, besides the end of a text.
const ENDS: [&str; 2] = ["tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"];

/// Ids that change no token of a text. `seperator` is how the format spells it.
const OTHER_IDS: [&str; 12] = [
    "tokenizer.ggml.seperator_token_id",
    "tokenizer.ggml.cls_token_id",
    "tokenizer.ggml.mask_token_id",
    "tokenizer.ggml.prefix_token_id",
    "tokenizer.ggml.suffix_token_id",
    "tokenizer.ggml.middle_token_id",
    "tokenizer.ggml.fim_pre_token_id",
    "tokenizer.ggml.fim_suf_token_id",
    "tokenizer.ggml.fim_mid_token_id",
    "tokenizer.ggml.fim_pad_token_id",
    "tokenizer.ggml.fim_rep_token_id",
    "tokenizer.ggml.fim_sep_token_id",
];

/// Keys that change no token of a text, whatever they say: of encoders, and of pairs of texts.
const HARMLESS: [&str; 2] = ["tokenizer.ggml.token_type_count", "tokenizer.ggml.add_sep_token"];

/// Keys that have no effect as long as they are false or empty, and why they have none otherwise.
const PASSED_OVER: [(&str, &str); 5] = [
    (
        "tokenizer.ggml.remove_extra_whitespaces",
        "llama.cpp and transformers pass it over for tokenizers of this kind, and so does igsite: no blank is taken away",
    ),
    (
        "tokenizer.ggml.normalizer.lowercase",
        "llama.cpp and transformers pass it over for tokenizers of this kind, and so does igsite",
    ),
    (
        "tokenizer.ggml.normalizer.strip_accents",
        "llama.cpp and transformers pass it over for tokenizers of this kind, and so does igsite",
    ),
    (
        "tokenizer.ggml.suppress_tokens",
        "llama.cpp never generates these tokens; igsite may",
    ),
    (
        "tokenizer.huggingface.json",
        "the tokenizer is made from the other keys, as llama.cpp and transformers do",
    ),
];

/// The kind of tokenizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// SentencePiece, its pieces with scores.
    SentencePiece,
    /// Byte pairs over letters that stand for bytes, as GPT-2 began.
    Bytes,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Text, a byte, or unused: a piece like any other.
    Plain,
    /// What unknown characters become.
    Unknown,
    /// Never part of a text, as the end of a text.
    Control,
    /// A piece of text that is found before all others.
    UserDefined,
}

impl Type {
    /// By llama.cpp's numbers (`llama_token_type`).
    fn of(number: i64) -> Option<Self> {
        Some(match number {
            0 | 1 | 5 | 6 => Self::Plain,
            2 => Self::Unknown,
            3 => Self::Control,
            4 => Self::UserDefined,
            _ => return None,
        })
    }
}

/// The keys, checked.
#[derive(Debug)]
pub struct Said<'m> {
    /// Where they are from.
    pub metadata: &'m Metadata,
    /// `general.architecture`; empty where it is not there.
    pub architecture: &'m str,
    /// The kind of tokenizer.
    pub model: Model,
    /// The name of the pre-tokenizer.
    pub pre: Option<&'m str>,
    /// Tokens by their ids.
    pub tokens: Vec<&'m str>,
    /// As many.
    pub types: Vec<Type>,
    /// As many, where there are any.
    pub scores: Option<Vec<f32>>,
    /// Two tokens each, with a blank between them.
    pub merges: Option<Vec<&'m str>>,
    /// The token that begins a text.
    pub bos: Option<u32>,
    /// The token that ends a text.
    pub eos: Option<u32>,
    /// What unknown characters become.
    pub unknown: Option<u32>,
    /// Padding.
    pub padding: Option<u32>,
    /// Tokens that end a turn or a message.
    pub ends: Vec<u32>,
    /// Whether a token begins a text.
    pub add_bos: Option<bool>,
    /// Whether a token ends a text.
    pub add_eos: Option<bool>,
    /// Whether a blank is put in front of a text.
    pub add_blank: Option<bool>,
    /// What is unusual.
    pub warnings: Diagnostics,
}

impl<'m> Said<'m> {
    /// Reads the keys.
    ///
    /// # Errors
    /// There is no tokenizer, or of a kind that igsite does not compute; a value is of another type, a list of another
    /// length, an id of no token.
    pub fn read(metadata: &'m Metadata) -> Result<Self> {
        let model = model(metadata)?;
        if let Some(count) = metadata.count(TOKENS).filter(|&count| count > MOST_PIECES) {
            return Err(metadata
                .wrong(TOKENS, format!("{count} tokens"))
                .expected(format!("at most {MOST_PIECES}")));
        }
        let tokens = metadata.texts(TOKENS)?.unwrap_or_default();
        if tokens.is_empty() {
            return Err(metadata.wrong(TOKENS, "there are no tokens").expected("the vocabulary"));
        }
        let count = tokens.len();
        let id = |key: &str| match metadata.u32(key)? {
            Some(id) if id as usize >= count => Err(metadata
                .wrong(key, format!("the id {id}, and there are {count} tokens"))
                .expected("the id of a token")),
            id => Ok(id),
        };
        for key in OTHER_IDS {
            id(key)?;
        }
        let ends = [id(ENDS[0])?, id(ENDS[1])?];
        let same_length = |key: &str, found: Option<usize>| match found {
            Some(found) if found != count => Err(metadata
                .wrong(key, format!("{found} values for {count} tokens"))
                .expected("one for each token")),
            _ => Ok(()),
        };
        let scores = metadata.floats(SCORES)?;
        same_length(SCORES, scores.as_ref().map(Vec::len))?;
        let types = metadata.ints(TYPES)?;
        same_length(TYPES, types.as_ref().map(Vec::len))?;
        let mut said = Self {
            metadata,
            architecture: metadata.text("general.architecture")?.unwrap_or_default(),
            model,
            pre: metadata.text(PRE)?.filter(|name| !name.is_empty()),
            types: match types {
                Some(numbers) => types_of(metadata, &numbers)?,
                None => vec![Type::Plain; count],
            },
            scores,
            merges: metadata.texts(MERGES)?,
            bos: id(BOS)?,
            eos: id(EOS)?,
            unknown: id(UNKNOWN)?,
            padding: id(PADDING)?,
            ends: ends.into_iter().flatten().collect(),
            add_bos: metadata.bool(ADD_BOS)?,
            add_eos: metadata.bool(ADD_EOS)?,
            add_blank: metadata.bool(ADD_BLANK)?,
            warnings: Diagnostics::new(),
            tokens,
        };
        said.assume();
        said.judge()?;
        Ok(said)
    }

    /// Special tokens of SentencePiece models where no key names them, as llama.cpp assumes them.
    fn assume(&mut self) {
        if self.model == Model::SentencePiece {
            let there = |id: u32| Some(id).filter(|&id| (id as usize) < self.tokens.len());
            self.unknown = self.unknown.or(there(0));
            self.bos = self.bos.or(there(1));
            self.eos = self.eos.or(there(2));
        }
    }

    /// Errors and warnings of keys that are not computed with.
    fn judge(&mut self) -> Result<()> {
        let metadata = self.metadata;
        if metadata.count(CHARSMAP).is_some_and(|count| count > 0) {
            return Err(metadata
                .wrong(CHARSMAP, "a SentencePiece model that normalises its text")
                .expected("the normaliser `identity`, as Llama's has"));
        }
        for key in metadata.keys().filter(|key| key.starts_with(ALL)) {
            if let Some((_, why)) = PASSED_OVER.iter().find(|(known, _)| *known == key) {
                if !is_off(metadata, key) {
                    self.warnings
                        .push(metadata.wrong(key, "this key is passed over").help(*why).as_warning());
                }
            } else if !is_known(key) {
                let done = "if it changes how text is split, tokens and maps may be wrong";
                self.warnings.push(
                    metadata
                        .wrong(key, "this key is not known, and is passed over")
                        .help(done)
                        .as_warning(),
                );
            }
        }
        Ok(())
    }

    /// A token's text.
    pub fn text(&self, id: u32) -> &'m str {
        self.tokens.get(id as usize).copied().unwrap_or_default()
    }
}

fn model(metadata: &Metadata) -> Result<Model> {
    match metadata.text(MODEL)? {
        Some("llama") => Ok(Model::SentencePiece),
        Some("gpt2") => Ok(Model::Bytes),
        Some(other) => Err(metadata
            .wrong(MODEL, format!("a tokenizer of the kind `{other}`"))
            .expected("`llama` (SentencePiece) or `gpt2` (byte pairs)")
            .help("igsite does not compute this kind; take the model as safetensors, with its tokenizer.json")),
        None => Err(Diagnostic::checkpoint("no tokenizer in this file")
            .in_file(metadata.path())
            .expected(format!("`{MODEL}` among its keys"))
            .help("take a file with a vocabulary: weights alone cannot read a prompt")),
    }
}

fn types_of(metadata: &Metadata, numbers: &[i64]) -> Result<Vec<Type>> {
    let mut types = Vec::with_capacity(numbers.len());
    for (id, &number) in numbers.iter().enumerate() {
        types.push(Type::of(number).ok_or_else(|| {
            metadata
                .wrong(TYPES, format!("token {id} is of type {number}"))
                .expected("0 undefined, 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused or 6 byte")
        })?);
    }
    Ok(types)
}

/// Whether a key says nothing: false, or an empty list or text.
fn is_off(metadata: &Metadata, key: &str) -> bool {
    metadata.count(key) == Some(0)
        || matches!(metadata.bool(key), Ok(Some(false)))
        || matches!(metadata.text(key), Ok(Some("")))
}

fn is_known(key: &str) -> bool {
    let read = [
        MODEL, PRE, TOKENS, TYPES, SCORES, MERGES, ADD_BOS, ADD_EOS, ADD_BLANK, BOS, EOS, UNKNOWN, PADDING, CHARSMAP,
    ];
    read.contains(&key)
        || ENDS.contains(&key)
        || OTHER_IDS.contains(&key)
        || HARMLESS.contains(&key)
        || key
            .strip_prefix(TEMPLATE)
            .is_some_and(|rest| matches!(rest, "" | "s") || rest.starts_with('.'))
}
