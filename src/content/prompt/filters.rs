//! The two filters of prompts. They do what the notebook's Python did, to the letter: a prompt that differs by a
//! character is another prompt.

/// `-` to space, then Python's `str.title()`.
///
/// A character is raised (to its title form) unless the one before it is cased, and lowered if it is: `13th-district` →
/// `13Th District`, `o'brien` → `O'Brien`.
pub fn speaker_name(text: &str) -> String {
    title(&text.replace('-', " "))
}

/// What follows the first `Says ` in the text, or all of it.
pub fn after_says(text: &str) -> &str {
    text.split_once("Says ").map_or(text, |(_, rest)| rest)
}

/// Python's `str.title()`.
fn title(text: &str) -> String {
    // A final Σ is lowered to ς; only the standard library knows the context that makes it final.
    let lowered: Vec<char> = if text.contains('Σ') {
        text.to_lowercase().chars().collect()
    } else {
        Vec::new()
    };
    let mut at = 0;
    let mut titled = String::with_capacity(text.len());
    let mut previous_is_cased = false;
    for c in text.chars() {
        match (previous_is_cased, c) {
            (true, 'Σ') => titled.push(lowered[at]),
            (true, c) => titled.extend(c.to_lowercase()),
            (false, c) => push_title_case(c, &mut titled),
        }
        if !lowered.is_empty() {
            at += c.to_lowercase().count();
        }
        previous_is_cased = is_cased(c);
    }
    titled
}

/// Unicode's `Cased`: lower, upper or title case.
fn is_cased(c: char) -> bool {
    c.is_lowercase() || c.is_uppercase() || is_title_case(c)
}

/// The letters that are title case themselves (category Lt).
fn is_title_case(c: char) -> bool {
    matches!(c, '\u{1c5}' | '\u{1c8}' | '\u{1cb}' | '\u{1f2}' | '\u{1f88}'..='\u{1f8f}' | '\u{1f98}'..='\u{1f9f}' | '\u{1fa8}'..='\u{1faf}')
        || matches!(c, '\u{1fbc}' | '\u{1fcc}' | '\u{1ffc}')
}

/// Unicode's title case, which is upper case but for about a hundred characters.
fn push_title_case(c: char, out: &mut String) {
    match c {
        // The Croatian digraphs DŽ, LJ, NJ and DZ.
        '\u{1c4}'..='\u{1c6}' => out.push('\u{1c5}'),
        '\u{1c7}'..='\u{1c9}' => out.push('\u{1c8}'),
        '\u{1ca}'..='\u{1cc}' => out.push('\u{1cb}'),
        '\u{1f1}'..='\u{1f3}' => out.push('\u{1f2}'),
        // Georgian has upper case, but no text begins with it.
        '\u{10d0}'..='\u{10fa}' | '\u{10fd}'..='\u{10ff}' => out.push(c),
        // Greek with iota below: one title form each.
        '\u{1f80}'..='\u{1faf}' => out.extend(char::from_u32(c as u32 | 8)),
        '\u{1fb3}' | '\u{1fbc}' => out.push('\u{1fbc}'),
        '\u{1fc3}' | '\u{1fcc}' => out.push('\u{1fcc}'),
        '\u{1ff3}' | '\u{1ffc}' => out.push('\u{1ffc}'),
        // The others: the iota goes below the capital again.
        '\u{1fb2}' | '\u{1fb4}' | '\u{1fb7}' | '\u{1fc2}' | '\u{1fc4}' | '\u{1fc7}' | '\u{1ff2}' | '\u{1ff4}'
        | '\u{1ff7}' => {
            out.extend(
                c.to_uppercase()
                    .map(|part| if part == '\u{399}' { '\u{345}' } else { part }),
            );
        }
        // Ligatures and ß: only the first letter is raised.
        'ß' | '\u{587}' | '\u{fb00}'..='\u{fb06}' | '\u{fb13}'..='\u{fb17}' => {
            let mut parts = c.to_uppercase();
            out.extend(parts.next());
            out.extend(parts.flat_map(char::to_lowercase));
        }
        _ => out.extend(c.to_uppercase()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn speakers_are_named_as_python_does() {
        // The right side is what Python's `text.replace('-', ' ').title()` gives.
        for (slug, name) in [
            ("marco-rubio", "Marco Rubio"),
            ("13th-district", "13Th District"),
            ("o'brien", "O'Brien"),
            ("they're", "They'Re"),
            ("McCONNELL", "Mcconnell"),
            ("ß-straße", "Ss Straße"),
            ("élodie-ÉTÉ", "Élodie Été"),
            ("ΟΔΟΣ ΣΑΣ", "Οδος Σας"),
            ("Σ aΣ aΣb", "Σ Aς Aσb"),
            ("a\u{ad}Σ a.Σ", "A\u{ad}Σ A.Σ"),
            ("\u{1c6}ungla \u{1f1}x", "\u{1c5}ungla \u{1f2}x"),
            ("\u{149} \u{133} \u{fb01}sh", "\u{2bc}N \u{132} Fish"),
            ("İstanbul xİ", "İstanbul Xi\u{307}"),
            ("ა 1st ªb", "ა 1St ªb"),
            ("", ""),
            ("--", "  "),
        ] {
            assert_eq!(speaker_name(slug), name, "{slug}");
        }
    }

    #[test]
    fn every_title_form_is_pythons() {
        // FNV-1a over `chr(c).title()` of every character up to U+1FFFF that Unicode 14 assigns a title form other than
        // itself.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for c in ('\u{0}'..='\u{ffff}')
            .filter(|c| !matches!(*c, '\u{264}' | '\u{19b}' | '\u{a7c0}'..='\u{a7ff}' | '\u{1c89}'..='\u{1c8a}'))
        {
            let mut title = String::new();
            push_title_case(c, &mut title);
            if title != c.to_string() {
                for byte in title.bytes() {
                    hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
                }
            }
        }
        assert_eq!(hash, TITLE_HASH);
    }

    /// From Python 3.11.
    const TITLE_HASH: u64 = 0xb584_f443_af3c_3cfe;

    #[test]
    fn what_somebody_says() {
        assert_eq!(after_says("Says the Annies List is"), "the Annies List is");
        assert_eq!(after_says("On taxes. Says he Says no"), "he Says no");
        assert_eq!(after_says("Saysno says so"), "Saysno says so");
        assert_eq!(after_says("Says "), "");
    }

    proptest! {
        #[test]
        fn names_never_panic_and_ascii_is_simple(text in any::<String>(), ascii in "[ -~]{0,30}") {
            speaker_name(&text);
            let name = speaker_name(&ascii);
            prop_assert_eq!(name.to_lowercase(), ascii.replace('-', " ").to_lowercase());
            let chars: Vec<char> = name.chars().collect();
            for (index, c) in chars.iter().enumerate().filter(|(_, c)| c.is_ascii_alphabetic()) {
                let follows = index > 0 && chars[index - 1].is_ascii_alphabetic();
                prop_assert_eq!(c.is_ascii_lowercase(), follows);
            }
        }
    }
}
