//! Merges of a SentencePiece vocabulary, which has none: they follow from the scores of its pieces.

use std::collections::HashMap;

use crate::diagnostic::{Diagnostic, Result};

/// Bytes of the longest piece that is taken apart; those of models have some hundred at most.
const LONGEST: usize = 1024;
/// Bytes of all merges that any vocabulary may have, and how many for each byte of its pieces beyond that. Gemma's have
/// three times the bytes of its pieces.
const MOST_BYTES: usize = 64 << 20;
const MOST_GROWTH: usize = 32;

/// A piece that may be made of others, or be part of one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored<'p> {
    /// Its text.
    pub text: &'p str,
    /// The higher, the earlier it is merged.
    pub score: f64,
}

/// Every pair of pieces that makes a third, the third's best score first, then the longest left part, then the longest
/// right part, as `generate_merges` of transformers 5.24 (`tokenization_utils_base.py`) orders them. A piece's id is
/// its place.
///
/// # Errors
/// A piece is longer than any model's, or the merges are many times as long as the pieces: an error without a file.
pub fn by_score<'p>(pieces: &[Option<Scored<'p>>]) -> Result<Vec<(&'p str, &'p str)>> {
    let known = || {
        pieces
            .iter()
            .enumerate()
            .filter_map(|(id, piece)| Some((id, (*piece)?)))
    };
    let ids: HashMap<&str, usize> = known().map(|(id, piece)| (piece.text, id)).collect();
    let bytes: usize = known().map(|(_, piece)| piece.text.len()).sum();
    let most = MOST_BYTES.max(bytes.saturating_mul(MOST_GROWTH));
    let mut made = 0;
    let mut found: Vec<(f64, &str, &str)> = Vec::new();
    let mut local = Vec::new();
    for (id, piece) in known() {
        if piece.text.len() > LONGEST {
            return Err(
                Diagnostic::checkpoint(format!("token {id} has {} bytes", piece.text.len()))
                    .expected(format!("at most {LONGEST} bytes, where merges follow from scores")),
            );
        }
        for (at, _) in piece.text.char_indices().skip(1) {
            let (left, right) = piece.text.split_at(at);
            if let Some(&l) = ids.get(left)
                && let Some(&r) = ids.get(right)
            {
                local.push((l, r, left, right));
            }
        }
        made += local.len() * piece.text.len();
        if made > most {
            return Err(Diagnostic::checkpoint(format!(
                "the merges that follow from the scores have more than {most} bytes"
            ))
            .expected("a vocabulary whose pieces are rarely made of others"));
        }
        local.sort_unstable_by_key(|&(l, r, ..)| (l, r));
        found.extend(local.drain(..).map(|(_, _, left, right)| (piece.score, left, right)));
    }
    let length = |text: &str| text.chars().count();
    found.sort_by(|a, b| {
        let lengths = || (length(b.1), length(b.2)).cmp(&(length(a.1), length(a.2)));
        b.0.total_cmp(&a.0).then_with(lengths)
    });
    Ok(found.into_iter().map(|(_, left, right)| (left, right)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(text: &str, score: f64) -> Option<Scored<'_>> {
        Some(Scored { text, score })
    }

    #[test]
    fn merges_come_best_score_first_then_the_longest_left_part() {
        let pieces = [
            piece("a", -4.0),
            piece("b", -5.0),
            piece("ab", -2.0),
            piece("abb", -1.0),
        ];
        assert_eq!(by_score(&pieces).unwrap(), [("ab", "b"), ("a", "b")]);
        let pieces = [piece("é", -1.0), piece("éé", -1.0), piece("ééé", -1.0), None];
        assert_eq!(by_score(&pieces).unwrap(), [("éé", "é"), ("é", "éé"), ("é", "é")]);
    }

    #[test]
    fn pieces_that_would_fill_memory_are_refused() {
        let long = "a".repeat(LONGEST + 1);
        let error = by_score(&[piece(&long, 0.0)]).unwrap_err();
        assert_eq!(error.message, "token 0 has 1025 bytes");
        let texts: Vec<String> = (1..=LONGEST).map(|length| "a".repeat(length)).collect();
        let pieces: Vec<_> = texts.iter().map(|text| piece(text, 0.0)).collect();
        let error = by_score(&pieces).unwrap_err();
        assert!(error.message.starts_with("the merges that follow"), "{error}");
    }
}
