//! The tokens before and after a text's own: what a tokenizer's post-processor adds, and `add_bos_token`,
//! `add_eos_token`.
//!
//! With a `tokenizer.json` its post-processor decides, as in transformers 5. Transformers 4 has one class, Llama's,
//! that builds the post-processor again from the two keys (true and false where they are not set); where that gives
//! other tokens, a warning says so.

use serde_json::{Value, json};

use super::beside::{Class, TokenizerFiles};
use crate::diagnostic::{Diagnostic, Result};

/// Ids before and after a text's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Before.
    pub before: Vec<u32>,
    /// Behind.
    pub behind: Vec<u32>,
}

impl Frame {
    /// What a tokenizer puts round a text.
    ///
    /// # Errors
    /// It fails on a letter.
    pub fn of(inner: &tokenizers::Tokenizer) -> tokenizers::Result<Self> {
        let encoding = inner.encode("a", true)?;
        let special = encoding.get_special_tokens_mask();
        let ids = encoding.get_ids();
        let first = special.iter().position(|&mark| mark == 0).unwrap_or(ids.len());
        let last = special
            .iter()
            .rposition(|&mark| mark == 0)
            .map_or(ids.len(), |last| last + 1);
        Ok(Self {
            before: ids[..first].to_vec(),
            behind: ids[last..].to_vec(),
        })
    }

    fn named(&self, inner: &tokenizers::Tokenizer) -> String {
        let names = |ids: &[u32]| -> String {
            let name = |id: &u32| inner.id_to_token(*id).unwrap_or_default();
            ids.iter().map(name).collect()
        };
        format!("`{}…{}`", names(&self.before), names(&self.behind))
    }
}

/// What the two keys require: whether a token begins a text, and whether one ends it.
fn asked(beside: &TokenizerFiles, bos: bool) -> Result<[bool; 2]> {
    Ok([
        beside.switch("add_bos_token")?.unwrap_or(bos),
        beside.switch("add_eos_token")?.unwrap_or(false),
    ])
}

/// Warns where a file's post-processor does not do what the keys require, and where a text would end with a special
/// token.
///
/// # Errors
/// A key is neither true nor false.
pub fn compare(inner: &tokenizers::Tokenizer, beside: &mut TokenizerFiles, frame: &Frame) -> Result<()> {
    let llama = beside.class == Class::Llama
        || beside.class == Class::Unnamed && matches!(beside.model_type.as_deref(), Some("llama" | "mistral"));
    let [bos, eos] = ["bos_token", "eos_token"].map(|key| {
        let token = beside.named(key)?;
        inner.token_to_id(&token.content)
    });
    for (key, default, token, found) in [
        ("add_bos_token", true, bos, &frame.before),
        ("add_eos_token", false, eos, &frame.behind),
    ] {
        let said = beside.switch(key)?;
        let Some(wanted) = said.or(llama.then_some(default)) else {
            continue;
        };
        let wants: Vec<u32> = token.filter(|_| wanted).into_iter().collect();
        // Without a token of that kind, Llama's class of transformers 4 refuses the folder.
        if wants == *found || wanted && token.is_none() {
            continue;
        }
        let set = if said.is_some() {
            ""
        } else {
            " (not set: the default of transformers 4 for this class)"
        };
        let message = format!(
            "`{key}` is {wanted}{set}, and the post-processor of tokenizer.json makes {} of a text",
            frame.named(inner)
        );
        beside.warn(
            key,
            message,
            "tokenizer.json is followed, as transformers 5 does; in a chat neither counts",
        );
    }
    Ok(())
}

/// A warning, and what was done, where the prediction would be read after a token that ends the text.
pub fn ending(inner: &tokenizers::Tokenizer, frame: &Frame) -> Option<(String, &'static str)> {
    let done = "without a chat, predictions are read behind the tokens that end the prompt, as transformers does; few models mean that";
    let message = || format!("the tokenizer makes {} of a text", frame.named(inner));
    (!frame.behind.is_empty()).then(|| (message(), done))
}

/// The post-processor for a `tokenizer.model` without a `tokenizer.json`.
///
/// # Errors
/// A key is neither true nor false, or requires a token that no key names.
pub fn of_sentencepiece(inner: &tokenizers::Tokenizer, beside: &mut TokenizerFiles) -> Result<Value> {
    // For other classes transformers 5 adds neither unless a key says so.
    let llama = matches!(beside.class, Class::Llama | Class::Unnamed);
    let [bos, eos] = asked(beside, llama)?;
    if llama && beside.switch("add_bos_token")?.is_none() {
        beside.warn(
            "add_bos_token",
            "`add_bos_token` is not set, and versions of transformers disagree about it",
            "a text begins with the token that begins texts, as in transformers 4 (not in 5)",
        );
    }
    let token = |key: &str, wanted: bool| -> Result<Option<(u32, String)>> {
        if !wanted {
            return Ok(None);
        }
        let name = beside.named(key).map(|token| token.content.clone());
        let found = name.and_then(|name| Some((inner.token_to_id(&name)?, name)));
        let missing = || -> Diagnostic { beside.error(key, format!("`add_{key}` is true, and there is no `{key}`")) };
        found.ok_or_else(missing).map(Some)
    };
    Ok(template(&token("bos_token", bos)?, &token("eos_token", eos)?))
}

/// The post-processor that puts two tokens, each with its text, round a text.
pub fn template(bos: &Option<(u32, String)>, eos: &Option<(u32, String)>) -> Value {
    let special: serde_json::Map<String, Value> = [bos, eos]
        .into_iter()
        .flatten()
        .map(|(id, text)| (text.clone(), json!({"id": text, "ids": [id], "tokens": [text]})))
        .collect();
    let around = |sequence: &str, type_id: u32| {
        let mark = |token: &Option<(u32, String)>| {
            let (_, text) = token.as_ref()?;
            Some(json!({"SpecialToken": {"id": text, "type_id": type_id}}))
        };
        let body = json!({"Sequence": {"id": sequence, "type_id": type_id}});
        [mark(bos), Some(body), mark(eos)]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
    };
    let single = around("A", 0);
    let pair: Vec<Value> = single.iter().cloned().chain(around("B", 1)).collect();
    json!({"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": special})
}
