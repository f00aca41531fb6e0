//! Added tokens: what the files next to a tokenizer list is appended to its vocabulary, in the order and with the flags
//! of Hugging Face's transformers (`PreTrainedTokenizerFast.__init__` of 4.57, `TokenizersBackend.__init__` of 5.24).
//!
//! First come the tokens that are listed with ids, by id, then special tokens that have a key, then the others. A token
//! that is known has its id unchanged and gets the new flags. A new one gets the next free id, whatever id it is listed
//! with; a warning reports a difference.

use std::collections::{BTreeMap, HashSet};

use tokenizers::AddedToken;

use super::beside::TokenizerFiles;
use super::keys::NAMED;
use crate::diagnostic::Result;

/// Adds the tokens. `own` are those of `tokenizer.json`, with the ids that it lists them with.
///
/// # Errors
/// The tokenizer's normaliser fails on one of them.
pub fn add(inner: &mut tokenizers::Tokenizer, beside: &mut TokenizerFiles, own: &[(u64, AddedToken)]) -> Result<()> {
    let mut listed: BTreeMap<u64, AddedToken> = beside.listed.clone();
    if !beside.by_decoder {
        listed.extend(own.iter().cloned());
    }
    let added = inner.get_added_tokens_decoder().into_values();
    let mut seen: HashSet<String> = added.map(|token| token.content).collect();
    let mut tokens: Vec<AddedToken> = Vec::new();
    for token in listed.into_values() {
        let special = token.special || beside.is_special(&token.content);
        seen.insert(token.content.clone());
        tokens.push(token.special(special));
    }
    let mut specific = Vec::new();
    for (key, token) in in_order(beside) {
        if !seen.insert(token.content.clone()) {
            continue;
        }
        if let Some(key) = key.filter(|key| !NAMED.contains(key) && !beside.explicit.iter().any(|known| known == key)) {
            specific.push((key.to_owned(), token.content.clone()));
        }
        tokens.push(token.clone());
    }
    for (key, content) in specific {
        let message = format!("`{key}` is the token {content:?}, which no list of added tokens has");
        let done = "it is added, as transformers 5 does; transformers 4 does so only for `extra_special_tokens`";
        beside.warn(&key, message, done);
    }
    inner
        .add_tokens(tokens)
        .map_err(|error| beside.error("added_tokens_decoder", format!("a token cannot be added: {error}")))?;
    warn_of_other_ids(inner, beside, own);
    Ok(())
}

/// Special tokens, each with its key if it has one, in the order in which they are added.
fn in_order(beside: &TokenizerFiles) -> impl Iterator<Item = (Option<&str>, &AddedToken)> {
    let keyed = NAMED.iter().filter_map(|key| Some((Some(*key), beside.named(key)?)));
    let specific = beside.named.iter().filter(|(key, _)| !NAMED.contains(&key.as_str()));
    keyed
        .chain(beside.further.iter().map(|token| (None, token)))
        .chain(specific.map(|(key, token)| (Some(key.as_str()), token)))
}

/// Warns of tokens that are listed with an id and have another.
fn warn_of_other_ids(inner: &tokenizers::Tokenizer, beside: &mut TokenizerFiles, own: &[(u64, AddedToken)]) {
    let listed = beside.listed.iter().map(|(id, token)| (*id, token));
    let all = listed.chain(own.iter().map(|(id, token)| (*id, token)));
    let others: Vec<String> = all
        .filter_map(|(id, token)| {
            let found = inner.token_to_id(&token.content);
            (found.map(u64::from) != Some(id)).then(|| {
                let found = found.map_or("none".to_owned(), |id| id.to_string());
                format!("{:?} has id {found} and is listed with {id}", token.content)
            })
        })
        .collect();
    if let Some(first) = others.first() {
        let more = match others.len() - 1 {
            0 => String::new(),
            more => format!(", and so on ({more} more)"),
        };
        let done = "ids are those that transformers gives: of the vocabulary, else the next free ones; a list that says otherwise may belong to another tokenizer";
        beside.warn("added_tokens_decoder", format!("added token {first}{more}"), done);
    }
}
