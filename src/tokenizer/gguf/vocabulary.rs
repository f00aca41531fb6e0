//! Tokens, scores and merges of a GGUF file as a BPE model of the `tokenizers` crate.

use std::borrow::Cow;
use std::collections::HashSet;

use tokenizers::models::bpe::{BPE, Merges, Vocab};

use super::keys::{MERGES, SCORES, Said, TOKENS};
use super::split::Split;
use crate::diagnostic::{Diagnostic, Result};
use crate::tokenizer::merges::{Scored, by_score};

/// Characters of a token that a message shows.
const SHOWN: usize = 40;

/// The model of a SentencePiece vocabulary. Its merges are those of the file, else they follow from the scores; in
/// Gemma's files from the order of the tokens, which its scores do not have (`gemma_tokenizer` of transformers).
///
/// A character that is no piece becomes its bytes' pieces, or where one of these is missing the unknown token.
///
/// # Errors
/// A token is there twice, a merge is of no tokens, or there are neither merges nor scores.
pub fn sentencepiece(said: &Said<'_>, gemma: bool) -> Result<BPE> {
    let texts = texts(said, |text| if gemma { marked(text) } else { Cow::Borrowed(text) });
    let vocabulary = vocabulary(said, &texts)?;
    let merges = match (&said.merges, &said.scores) {
        (Some(merges), _) => listed(said, merges, &vocabulary)?,
        (None, Some(scores)) => derived(said, &texts, scores, gemma)?,
        (None, None) => {
            return Err(said
                .metadata
                .wrong(SCORES, "there are no scores and no merges")
                .expected("a score for each token"));
        }
    };
    let mut builder = BPE::builder()
        .vocab_and_merges(vocabulary, merges)
        .fuse_unk(true)
        .byte_fallback(true);
    if let Some(unknown) = said.unknown {
        builder = builder.unk_token(texts[unknown as usize].clone().into_owned());
    }
    built(said, builder.build())
}

/// The model of a byte-level vocabulary.
///
/// # Errors
/// A token is there twice, there are no merges, or one is of no tokens.
pub fn bytes(said: &Said<'_>, split: &Split) -> Result<BPE> {
    let vocabulary = vocabulary(said, &texts(said, Cow::Borrowed))?;
    let merges = said.merges.as_ref().ok_or_else(|| {
        said.metadata
            .wrong(MERGES, "there are no merges")
            .expected("pairs of tokens, the first merged first")
    })?;
    let merges = listed(said, merges, &vocabulary)?;
    let builder = BPE::builder()
        .vocab_and_merges(vocabulary, merges)
        .ignore_merges(split.whole_words);
    built(said, builder.build())
}

/// A token of two or more blanks of Gemma's as its text has them when it is cut into pieces.
pub fn marked(text: &str) -> Cow<'_, str> {
    let blank = text.contains(' ') && text.trim().is_empty();
    if blank {
        "▁".repeat(text.chars().count()).into()
    } else {
        text.into()
    }
}

/// What the crate itself has against a model that was checked here.
fn built(said: &Said<'_>, model: tokenizers::Result<BPE>) -> Result<BPE> {
    model.map_err(|error| {
        said.metadata
            .wrong(TOKENS, format!("no vocabulary that can be read: {error}"))
    })
}

/// Tokens as they are spelled. An empty one gets a name, as in llama.cpp: no text has it.
fn texts<'m>(said: &Said<'m>, spelled: impl Fn(&'m str) -> Cow<'m, str>) -> Vec<Cow<'m, str>> {
    let named = |(id, text): (usize, &&'m str)| match *text {
        "" => format!("[EMPTY_{id}]").into(),
        text => spelled(text),
    };
    said.tokens.iter().enumerate().map(named).collect()
}

fn vocabulary(said: &Said<'_>, texts: &[Cow<'_, str>]) -> Result<Vocab> {
    let mut vocabulary = Vocab::with_capacity(texts.len());
    for (id, text) in (0..).zip(texts) {
        if let Some(other) = vocabulary.insert(text.clone().into_owned(), id) {
            return Err(said
                .metadata
                .wrong(TOKENS, format!("tokens {other} and {id} are both {}", shown(text)))
                .expected("each token once"));
        }
    }
    Ok(vocabulary)
}

/// The merges of the file, each of two tokens that make a third.
fn listed(said: &Said<'_>, merges: &[&str], vocabulary: &Vocab) -> Result<Merges> {
    let wrong = |index: usize, what: String| -> Diagnostic {
        said.metadata
            .wrong(MERGES, format!("merge {index}, {}: {what}", shown(merges[index])))
    };
    let mut seen = HashSet::with_capacity(merges.len());
    let mut all = Merges::with_capacity(merges.len());
    for (index, merge) in merges.iter().enumerate() {
        let pair = merge.split_once(' ');
        let Some((left, right)) = pair.filter(|(l, r)| !l.is_empty() && !r.is_empty() && !r.contains(' ')) else {
            let error = wrong(index, "it is no pair".to_owned());
            return Err(error.expected("two tokens with a blank between them"));
        };
        let id = |text: &str| {
            let missing = || wrong(index, format!("{} is no token", shown(text)));
            vocabulary.get(text).copied().ok_or_else(missing)
        };
        let pair = (id(left)?, id(right)?);
        id(&format!("{left}{right}"))?;
        if !seen.insert(pair) {
            return Err(wrong(index, "it is there twice".to_owned()).expected("each merge once"));
        }
        all.push((left.to_owned(), right.to_owned()));
    }
    Ok(all)
}

/// The merges that follow from the scores, or in Gemma's files from the order of the tokens.
fn derived(said: &Said<'_>, texts: &[Cow<'_, str>], scores: &[f32], gemma: bool) -> Result<Merges> {
    if let Some(id) = scores.iter().position(|score| score.is_nan()) {
        return Err(said
            .metadata
            .wrong(SCORES, format!("the score of token {id} is no number"))
            .expected("numbers, the highest merged first"));
    }
    let score = |id: usize| if gemma { -(id as f64) } else { scores[id].into() };
    let pieces: Vec<Option<Scored>> = texts
        .iter()
        .enumerate()
        .map(|(id, text)| {
            let score = score(id);
            Some(Scored { text, score })
        })
        .collect();
    let merges = by_score(&pieces).map_err(|error| error.in_file(said.metadata.path()).place(format!("`{TOKENS}`")))?;
    let owned = |(left, right): (&str, &str)| (left.to_owned(), right.to_owned());
    Ok(merges.into_iter().map(owned).collect())
}

/// A token for a message.
fn shown(text: &str) -> String {
    let mut start: String = text.chars().take(SHOWN).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    format!("{start:?}")
}
