//! Byte-pair encoding, learned from counted chunks of text (Sennrich, Haddow and Birch 2016).
//!
//! Small and slow on purpose: the demo's corpora have a few hundred different chunks. How text is cut into chunks is
//! the tokenizer's business (`tokenizers.rs`); no merge ever reaches over a chunk's end. Ties go to the pair that sorts
//! first, so that the same corpus gives the same merges everywhere.

use std::collections::{BTreeMap, BTreeSet};

/// What was learned.
pub struct Merges {
    /// The single characters of the corpus, sorted.
    pub alphabet: Vec<String>,
    /// The pairs to join, the first learned first.
    pub pairs: Vec<(String, String)>,
}

impl Merges {
    /// Learns `count` merges from chunks and how often each occurs.
    pub fn learn(chunks: &BTreeMap<String, usize>, count: usize) -> Self {
        let mut words: Vec<(Vec<String>, usize)> = chunks
            .iter()
            .map(|(chunk, n)| (chunk.chars().map(String::from).collect(), *n))
            .collect();
        let alphabet: BTreeSet<String> = words.iter().flat_map(|(symbols, _)| symbols.iter().cloned()).collect();
        let mut pairs = Vec::with_capacity(count);
        while pairs.len() < count {
            let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
            for (symbols, n) in &words {
                for pair in symbols.windows(2) {
                    *counts.entry((&pair[0], &pair[1])).or_default() += n;
                }
            }
            // `max_by_key` takes the last of equals; reversed, that is the pair that sorts first.
            let Some(((left, right), _)) = counts.into_iter().rev().max_by_key(|(_, n)| *n) else {
                break;
            };
            let pair = (left.to_owned(), right.to_owned());
            words.iter_mut().for_each(|(symbols, _)| join(symbols, &pair));
            pairs.push(pair);
        }
        Self {
            alphabet: alphabet.into_iter().collect(),
            pairs,
        }
    }

    /// The pieces that the merges make, in the order in which they were learned; each once, though two pairs may make
    /// it.
    pub fn pieces(&self) -> impl Iterator<Item = String> {
        let mut seen = BTreeSet::new();
        self.pairs
            .iter()
            .map(|(left, right)| format!("{left}{right}"))
            .filter(move |piece| seen.insert(piece.clone()))
    }
}

/// Joins every occurrence of the pair, from the left.
fn join(symbols: &mut Vec<String>, (left, right): &(String, String)) {
    let mut i = 0;
    while i + 1 < symbols.len() {
        if symbols[i] == *left && symbols[i + 1] == *right {
            let tail = symbols.remove(i + 1);
            symbols[i].push_str(&tail);
        }
        i += 1;
    }
}
