//! What counts as a word, in the index and in what a reader types. `static/assets/search.js` does the same; the two
//! must agree, so that "Ünïcode’s" is found by "unicodes", and a Chinese sentence by any of its characters.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The words of a text: without accents and case, an apostrophe joining what stands on its sides.
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let folded = text
        .nfkd()
        .filter(|c| !is_combining_mark(*c) && !matches!(c, '\'' | '’'))
        .flat_map(char::to_lowercase)
        .filter(|c| !is_combining_mark(*c))
        .map(|c| if c == 'ς' { 'σ' } else { c });
    for c in folded {
        if stands_alone(c) {
            words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
            words.push(c.to_string());
        } else if c.is_alphanumeric() {
            word.push(c);
        } else {
            words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// Characters of scripts that put no spaces between words: each is a word.
fn stands_alone(c: char) -> bool {
    matches!(c, '\u{e01}'..='\u{e7f}' | '\u{3041}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accents_case_and_signs_fall_away() {
        assert_eq!(
            words("Ünïcode’s FIRST—test, 3863.json; don't ﬁne İ"),
            ["unicodes", "first", "test", "3863", "json", "dont", "fine", "i"]
        );
        assert_eq!(words("ΟΔΟΣ"), words("οδός"));
    }

    #[test]
    fn each_character_of_a_script_without_spaces_is_a_word() {
        assert_eq!(words("天空 is蓝"), ["天", "空", "is", "蓝"]);
    }
}
