//! Text cut to the length of a list or a heading. No markup: what a cut text holds is escaped where it is shown.

use unicode_segmentation::UnicodeSegmentation;

use crate::store::record::{TargetRecord, shown_target};
use crate::terms::TargetKind;

/// Characters of what a map explains, in a heading.
const TARGET: usize = 60;

/// The first `limit` characters a reader would count, white space collapsed, with an ellipsis where text is left out.
pub fn excerpt(text: &str, limit: usize) -> String {
    // A short plain text is its own excerpt.
    let bytes = text.as_bytes();
    let plain = |&b: &u8| b.is_ascii_graphic() || b == b' ';
    if bytes.len() <= limit
        && bytes.iter().all(plain)
        && !bytes.starts_with(b" ")
        && !bytes.ends_with(b" ")
        && !bytes.windows(2).any(|pair| pair == b"  ")
    {
        return text.to_owned();
    }
    ascii_excerpt(text.trim(), limit).unwrap_or_else(|| any_excerpt(text, limit))
}

/// What a map explains, as a heading has it.
pub fn target_named(target: &TargetRecord) -> String {
    target_text(target.kind, &target.text)
}

/// [`target_named`] of a target of this kind and text.
pub fn target_text(kind: TargetKind, text: &str) -> String {
    excerpt(&shown_target(kind, text), TARGET)
}

/// [`excerpt`] of a text of which what counts is ASCII, where a byte is a character; none where it is not.
fn ascii_excerpt(text: &str, limit: usize) -> Option<String> {
    let mut out = String::with_capacity(text.len().min(limit + 4));
    let (mut count, mut blank) = (0, false);
    for byte in text.bytes() {
        // A carriage return and a line feed are one character, and a mark that follows belongs to its letter.
        if !byte.is_ascii() || byte == b'\r' {
            return None;
        }
        let is_blank = char::from(byte).is_whitespace();
        if is_blank && blank {
            continue;
        }
        if count == limit {
            out.truncate(out.trim_end().len());
            out.push('…');
            return Some(out);
        }
        blank = is_blank;
        out.push(if is_blank { ' ' } else { char::from(byte) });
        count += 1;
    }
    Some(out)
}

fn any_excerpt(text: &str, limit: usize) -> String {
    let mut out = String::new();
    let mut blank = false;
    for (count, grapheme) in text
        .trim()
        .graphemes(true)
        .filter(|g| collapses(g, &mut blank))
        .enumerate()
    {
        if count == limit {
            return out.trim_end().to_owned() + "…";
        }
        // A grapheme may be thousands of combining marks long; a title is not the place for them.
        out.extend(
            grapheme
                .chars()
                .take(16)
                .map(|c| if c.is_whitespace() { ' ' } else { c }),
        );
    }
    out
}

/// Whether to keep a grapheme: all but white space after white space.
fn collapses(grapheme: &str, blank: &mut bool) -> bool {
    let is_blank = grapheme.chars().all(char::is_whitespace);
    let keep = !(is_blank && *blank);
    *blank = is_blank;
    keep
}

/// A word without the punctuation that ends it, short enough for a list.
pub fn bare(word: &str) -> String {
    let bare = word.trim_end_matches([',', '.', ';', ':']);
    excerpt(if bare.is_empty() { word } else { bare }, 24)
}

/// Titles without the words that all of them begin with: `Llama`, `Mistral` of `Demo Llama`, `Demo Mistral`.
pub fn short_titles(titles: &[String]) -> Vec<String> {
    let words: Vec<Vec<&str>> = titles.iter().map(|title| title.split(' ').collect()).collect();
    let mut common = 0;
    if words.len() > 1 {
        while words
            .iter()
            .all(|title| title.len() > common + 1 && title[common] == words[0][common])
        {
            common += 1;
        }
    }
    words.iter().map(|title| title[common..].join(" ")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_excerpt_counts_what_a_reader_counts() {
        assert_eq!(excerpt("  a \n\n b\tc ", 10), "a b c");
        assert_eq!(excerpt("👩‍👩‍👧 and more", 3), "👩‍👩‍👧 a…");
        assert_eq!(excerpt("abc", 3), "abc");
    }

    proptest! {
        #[test]
        fn an_ascii_text_has_the_excerpt_that_any_text_has(text in "[ -b\\t\\n\\x0b\\x1f\\r\u{301}é]{0,12}", limit in 0usize..12) {
            prop_assert_eq!(excerpt(&text, limit), any_excerpt(&text, limit));
        }

        #[test]
        fn so_has_a_text_of_words(text in "[a ]{0,12}", limit in 0usize..12) {
            prop_assert_eq!(ascii_excerpt(text.trim(), limit), Some(any_excerpt(&text, limit)));
        }
    }

    #[test]
    fn short_titles_leave_out_what_all_begin_with() {
        let titles = |all: &[&str]| short_titles(&all.iter().map(|title| (*title).to_owned()).collect::<Vec<_>>());
        assert_eq!(titles(&["Demo Llama", "Demo Orca"]), ["Llama", "Orca"]);
        assert_eq!(titles(&["Demo", "Demo Orca"]), ["Demo", "Demo Orca"]);
        assert_eq!(titles(&["Demo Llama"]), ["Demo Llama"]);
    }

    #[test]
    fn a_word_in_a_list_has_no_punctuation_behind_it() {
        assert_eq!(bare("twice,"), "twice");
        assert_eq!(bare("..."), "...");
    }
}
