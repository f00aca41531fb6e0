//! Text cut to the length of a list or a heading. No markup: what a cut text holds is escaped where it is shown.

use unicode_segmentation::UnicodeSegmentation;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_counts_what_a_reader_counts() {
        assert_eq!(excerpt("  a \n\n b\tc ", 10), "a b c");
        assert_eq!(excerpt("👩‍👩‍👧 and more", 3), "👩‍👩‍👧 a…");
        assert_eq!(excerpt("abc", 3), "abc");
    }

    #[test]
    fn a_word_in_a_list_has_no_punctuation_behind_it() {
        assert_eq!(bare("twice,"), "twice");
        assert_eq!(bare("..."), "...");
    }
}
