//! Tokens that are told by their names alone, found in the text that they are of.
//!
//! Three ways of writing are known: the characters themselves; SentencePiece's (`▁` for a space, `<0x0A>` for a byte);
//! and the bytes of GPT-2 (`Ġ` for a space). The first in which all tokens fit is taken.

/// Where a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its characters; its name where it has none of its own.
    pub text: String,
    /// First character.
    pub start: usize,
    /// One past the last.
    pub end: usize,
    /// Whether it is no text, such as `<s>`.
    pub special: bool,
}

/// The token that does not fit, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// Its index; as many as there are where the text goes on behind the last.
    pub token: usize,
    /// A character of the text.
    pub character: usize,
}

#[derive(Clone, Copy)]
enum Writing {
    Characters,
    Marks,
    Bytes,
}

/// The places of tokens that follow one another in `text`. White space between tokens may be left out of them; a first
/// space may be in a token and not in the text, since some tokenizers put one before it.
///
/// # Errors
/// A token is not what the text goes on with, or text is left.
pub fn spans(text: &str, tokens: &[&str]) -> Result<Vec<Found>, Misfit> {
    let mut furthest = Misfit { token: 0, character: 0 };
    for writing in [Writing::Characters, Writing::Marks, Writing::Bytes] {
        match spans_in(text, tokens, writing) {
            Ok(found) => return Ok(found),
            Err(misfit) if misfit.token >= furthest.token => furthest = misfit,
            Err(_) => {}
        }
    }
    Err(furthest)
}

fn spans_in(text: &str, tokens: &[&str], writing: Writing) -> Result<Vec<Found>, Misfit> {
    let bytes = text.as_bytes();
    // For each byte the character that it is of.
    let mut character = Vec::with_capacity(bytes.len() + 1);
    for (index, c) in text.chars().enumerate() {
        character.resize(character.len() + c.len_utf8(), index);
    }
    let characters = character.last().map_or(0, |last| last + 1);
    character.push(characters);
    let mut found = Vec::with_capacity(tokens.len());
    let (mut at, mut begun) = (0, false);
    for (index, name) in tokens.iter().enumerate() {
        let own = spelled(name, writing);
        let place = place_of(&own, bytes, at, begun);
        let Some((start, end)) = place else {
            if is_special(name) {
                found.push(Found {
                    text: (*name).to_owned(),
                    start: character[at],
                    end: character[at],
                    special: true,
                });
                continue;
            }
            return Err(Misfit {
                token: index,
                character: character[at],
            });
        };
        begun |= end > start;
        let whole = start < end && text.is_char_boundary(start) && text.is_char_boundary(end);
        found.push(Found {
            text: if whole {
                text[start..end].to_owned()
            } else {
                (*name).to_owned()
            },
            start: character[start],
            // A byte of a character has the whole character.
            end: if start < end {
                character[end - 1] + 1
            } else {
                character[start]
            },
            special: false,
        });
        at = end;
    }
    if bytes[at..].iter().all(u8::is_ascii_whitespace) {
        Ok(found)
    } else {
        Err(Misfit {
            token: tokens.len(),
            character: character[at],
        })
    }
}

/// From where to where a token is, in bytes, if it comes next.
fn place_of(own: &[u8], text: &[u8], at: usize, begun: bool) -> Option<(usize, usize)> {
    if text[at..].starts_with(own) {
        return Some((at, at + own.len()));
    }
    let bare = own.strip_prefix(b" ").unwrap_or(own);
    if !begun && text[at..].starts_with(bare) {
        return Some((at, at + bare.len()));
    }
    let blanks = text[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let mut starts = (at + 1..=at + blanks).filter(|_| !bare.is_empty());
    let start = starts.find(|&start| text[start..].starts_with(bare))?;
    Some((start, start + bare.len()))
}

/// Whether a token that is no text reads like the name of a special one: `<s>`, `<|endoftext|>`, `[CLS]`.
fn is_special(name: &str) -> bool {
    let inner = |open: char, close: char| name.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    let name = inner('<', '>').or_else(|| inner('[', ']'));
    name.is_some_and(|name| !name.is_empty() && !name.starts_with("0x") && !name.contains(char::is_whitespace))
}

/// The bytes that a token's name stands for.
fn spelled(name: &str, writing: Writing) -> Vec<u8> {
    match writing {
        Writing::Characters => name.as_bytes().to_vec(),
        Writing::Marks => {
            let byte = name.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
            match byte.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                Some(byte) => vec![byte],
                None => name.replace('▁', " ").into_bytes(),
            }
        }
        Writing::Bytes => name.chars().flat_map(byte_of).collect(),
    }
}

/// The byte that GPT-2 writes as a character: those of Latin-1 that can be printed stand for themselves, the others
/// have the characters from 256 on, in their order.
fn byte_of(c: char) -> Vec<u8> {
    let stands = |byte: u32| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let code = u32::from(c);
    let byte = if code < 256 {
        Some(code).filter(|code| stands(*code))
    } else {
        (0..256).filter(|byte| !stands(*byte)).nth((code - 256) as usize)
    };
    match byte {
        Some(byte) => vec![byte as u8],
        None => c.to_string().into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn places(text: &str, tokens: &[&str]) -> Vec<(usize, usize, bool)> {
        let found = spans(text, tokens).unwrap();
        found.iter().map(|one| (one.start, one.end, one.special)).collect()
    }

    #[test]
    fn each_way_of_writing_is_found() {
        assert_eq!(
            places("Is it?\nNo", &["<s>", "▁", "I", "s", "▁it", "<0x3F>", "<0x0A>", "No"]),
            [
                (0, 0, true),
                (0, 0, false),
                (0, 1, false),
                (1, 2, false),
                (2, 5, false),
                (5, 6, false),
                (6, 7, false),
                (7, 9, false)
            ]
        );
        assert_eq!(
            places("Is é\n", &["<|endoftext|>", "Is", "Ġ", "Ã", "©", "Ċ"]),
            [
                (0, 0, true),
                (0, 2, false),
                (2, 3, false),
                (3, 4, false),
                (3, 4, false),
                (4, 5, false)
            ]
        );
        assert_eq!(places("a b", &["a", " b"]), [(0, 1, false), (1, 3, false)]);
        assert_eq!(places("a  b ", &["a", "b"]), [(0, 1, false), (3, 4, false)]);
        assert_eq!(spans("né", &["n", "<0xC3>", "<0xA9>"]).unwrap()[1].text, "<0xC3>");
    }

    #[test]
    fn what_does_not_fit_is_told() {
        assert_eq!(spans("abc", &["a", "x"]), Err(Misfit { token: 1, character: 1 }));
        assert_eq!(spans("abc", &["a", "b"]), Err(Misfit { token: 2, character: 2 }));
        assert_eq!(spans("abc", &["abc", "d"]), Err(Misfit { token: 1, character: 3 }));
        assert_eq!(spans("", &["<s>"]).map(|found| found.len()), Ok(1));
    }

    proptest! {
        #[test]
        fn a_text_cut_anywhere_fits(text in ".{0,20}", cuts in prop::collection::vec(0usize..20, 0..6)) {
            let characters: Vec<char> = text.chars().collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(characters.len())).collect();
            cuts.extend([0, characters.len()]);
            cuts.sort_unstable();
            let tokens: Vec<String> = cuts.windows(2).map(|cut| characters[cut[0]..cut[1]].iter().collect()).collect();
            let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
            let found: Vec<(usize, usize)> =
                spans(&text, &tokens).unwrap().iter().map(|one| (one.start, one.end)).collect();
            prop_assert_eq!(found, cuts.windows(2).map(|cut| (cut[0], cut[1])).collect::<Vec<_>>());
        }

        #[test]
        fn any_tokens_fit_or_do_not(text in ".{0,12}", tokens in prop::collection::vec("[ a▁Ġé<>0xs\n]{0,4}", 0..6)) {
            let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
            if let Ok(found) = spans(&text, &tokens) {
                let characters = text.chars().count();
                prop_assert!(found.iter().all(|one| one.start <= one.end && one.end <= characters));
            }
        }
    }
}
