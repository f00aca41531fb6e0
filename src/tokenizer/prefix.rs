//! `add_prefix_space` and `legacy`: whether a space is inserted before a text, and before what follows a special token.
//!
//! There are three variants with SentencePiece's `▁`. Legacy: a `▁` before each piece of text between special tokens.
//! Not legacy: one before the text only, and none where it begins with a space. None at all, where `add_prefix_space`
//! is false. Which variant a folder means is decided by its files, by the class, and by the version of transformers;
//! where 4.57 and 5.24 differ, igsite does as one of them and says so.

use serde_json::{Value, json};

use super::beside::{Class, TokenizerFiles};
use crate::diagnostic::Result;

/// How blanks are put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// Before each piece of text.
    Legacy,
    /// Before the text.
    First,
    /// Nowhere.
    Never,
}

impl Prefix {
    /// The normaliser that does it, null where it is the pre-tokenizer's work, and the pre-tokenizer.
    pub fn steps(self) -> (Value, Value) {
        let blanks = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
        match self {
            Self::Legacy => {
                let prepend = json!({"type": "Prepend", "prepend": "▁"});
                (
                    json!({"type": "Sequence", "normalizers": [prepend, blanks]}),
                    Value::Null,
                )
            }
            Self::First => (
                Value::Null,
                json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false}),
            ),
            Self::Never => (blanks, Value::Null),
        }
    }
}

/// What the two keys require, and whether `legacy` had to be guessed.
fn asked(beside: &TokenizerFiles, legacy: bool) -> Result<(Prefix, bool)> {
    let said = beside.switch("legacy")?;
    Ok(match (beside.switch("add_prefix_space")?, said.unwrap_or(legacy)) {
        (Some(false), _) => (Prefix::Never, false),
        (_, true) => (Prefix::Legacy, said.is_none()),
        (_, false) => (Prefix::First, said.is_none()),
    })
}

/// The variant for a `tokenizer.model` without a `tokenizer.json`: as transformers 4.57 converts it into a fast
/// tokenizer.
///
/// # Errors
/// A key is neither true nor false.
pub fn of_sentencepiece(beside: &mut TokenizerFiles) -> Result<Prefix> {
    let (prefix, guessed) = asked(beside, true)?;
    if guessed && matches!(beside.class, Class::Llama | Class::Unnamed) {
        beside.warn(
            "legacy",
            "`legacy` is not set, and versions of transformers disagree about it",
            "the tokenizer is read as `legacy: true`, as transformers 4 does (5: false); it matters where a prompt begins with a blank or has special tokens in it",
        );
    }
    Ok(prefix)
}

/// The variant that the keys require with a `tokenizer.json`, where the file has another; none where the file agrees.
///
/// # Errors
/// A key is neither true nor false.
pub fn of_file(
    beside: &mut TokenizerFiles,
    normalizer: &Value,
    pre_tokenizer: &Value,
) -> Result<Option<(Value, Value)>> {
    let said = beside.switch("add_prefix_space")?;
    let has = Has::of(normalizer, pre_tokenizer);
    match (&beside.class, has) {
        (Class::Gpt2, Has::Bytes(own)) => {
            let flag = said.unwrap_or(false);
            Ok((flag != own).then(|| (normalizer.clone(), with_flag(pre_tokenizer, flag))))
        }
        (Class::Llama, Has::Marks(own)) => {
            let rebuilt = said.is_some() || beside.switch("from_slow")? == Some(true);
            if rebuilt {
                let (prefix, guessed) = asked(beside, true)?;
                if guessed && prefix == Prefix::Legacy {
                    warn_of_legacy(beside, "as `legacy: true`, as transformers 4 does");
                }
                return Ok((own != Some(prefix)).then(|| prefix.steps()));
            }
            // Transformers 5 builds the steps again for Llama, by `legacy`, which is false where it is not set.
            let (by_five, _) = asked(beside, false)?;
            let mistral = beside.model_type.as_deref() == Some("mistral");
            if own != Some(by_five) && !mistral {
                warn_of_legacy(beside, "as tokenizer.json has it, as transformers 4 does");
            }
            Ok(None)
        }
        (_, has) => {
            let own = match has {
                Has::Bytes(own) => Some(own),
                Has::Marks(own) => own.map(|prefix| prefix != Prefix::Never),
                Has::Other => None,
            };
            // Transformers 4 sets the flag of a byte-level step that is the only one; unset it is false.
            let sets = matches!(has, Has::Bytes(_)) && beside.class != Class::Llama;
            let four = if sets { Some(said.unwrap_or(false)) } else { said };
            if let (Some(own), Some(four)) = (own, four)
                && own != four
            {
                let message = format!(
                    "`add_prefix_space` is {four}{}, and tokenizer.json does the other",
                    if said.is_none() { " by default" } else { "" }
                );
                beside.warn(
                    "add_prefix_space",
                    message,
                    "tokenizer.json is followed, as transformers 5 does",
                );
            }
            Ok(None)
        }
    }
}

fn warn_of_legacy(beside: &mut TokenizerFiles, done: &str) {
    let set = if beside.switch("legacy").ok().flatten().is_some() {
        "set to another way than tokenizer.json has"
    } else {
        "not set"
    };
    beside.warn(
        "legacy",
        format!("`legacy` is {set}, and versions of transformers disagree about it"),
        format!("blanks are put in {done} (transformers 5 goes by `legacy`, unset: false); it matters where a prompt begins with a blank or has special tokens in it"),
    );
}

/// What a file's steps do about a blank in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Has {
    /// A byte-level step that is the only one, and its flag.
    Bytes(bool),
    /// SentencePiece's marks; none where they are put in in a way of the file's own.
    Marks(Option<Prefix>),
    /// Neither.
    Other,
}

impl Has {
    fn of(normalizer: &Value, pre_tokenizer: &Value) -> Self {
        let kind = |step: &Value| step.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        if kind(pre_tokenizer) == "ByteLevel" {
            let flag = pre_tokenizer.get("add_prefix_space").and_then(Value::as_bool);
            return Self::Bytes(flag.unwrap_or(true));
        }
        let all = [Prefix::Legacy, Prefix::First, Prefix::Never];
        let known = all.into_iter().find(|prefix| {
            let (first, second) = prefix.steps();
            same(&first, normalizer) && same(&second, pre_tokenizer)
        });
        let marked = normalizer.to_string().contains('▁') || pre_tokenizer.to_string().contains("Metaspace");
        if marked { Self::Marks(known) } else { Self::Other }
    }
}

/// Whether a file's step is the given one; it may say more.
fn same(step: &Value, found: &Value) -> bool {
    match (step, found) {
        (Value::Object(step), Value::Object(found)) => step
            .iter()
            .all(|(key, value)| found.get(key).is_some_and(|other| same(value, other))),
        (Value::Array(step), Value::Array(found)) => {
            step.len() == found.len() && step.iter().zip(found).all(|(step, found)| same(step, found))
        }
        _ => step == found,
    }
}

fn with_flag(pre_tokenizer: &Value, flag: bool) -> Value {
    let mut step = pre_tokenizer.clone();
    step["add_prefix_space"] = flag.into();
    step
}
