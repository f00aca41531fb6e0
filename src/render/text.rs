//! Text of unknown origin made safe to stand in HTML: data sets and tokens may hold anything.
//!
//! Every text a page shows goes through [`escape_into`], be it by Tera's auto-escaping or from Rust. Characters that
//! HTML forbids (NUL, controls) are shown as pictures, and those that would reorder or hide text (bidirectional
//! overrides, U+FEFF, zero-width space) by their code point, so that a reader sees what the model saw. JSON and CSV
//! keep all of them as they are.

pub use crate::analysis::text::excerpt;

use super::decimal::{push_fixed, push_significant};

/// Appends `text`, escaped for HTML text and quoted attributes.
pub fn escape_into(text: &str, out: &mut String) {
    // Most texts are plain words, and pages are made of little else.
    if is_word(text) {
        return out.push_str(text);
    }
    // What needs no escape is copied in runs.
    let mut copied = 0;
    for (at, c) in text.char_indices() {
        if !matches!(c, '&' | '<' | '>' | '"' | '\'') && !is_pictured(c) {
            continue;
        }
        out.push_str(&text[copied..at]);
        copied = at + c.len_utf8();
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => picture_into(c, out),
        }
    }
    out.push_str(&text[copied..]);
}

/// Whether a text is of ASCII letters and other characters that no page escapes.
fn is_word(text: &str) -> bool {
    let stays = |b: u8| b.is_ascii_graphic() && !matches!(b, b'&' | b'<' | b'>' | b'"' | b'\'') || b == b' ';
    text.bytes().all(stays)
}

/// Whether a text stands in a page as it is.
pub fn is_plain(text: &str) -> bool {
    let needs_escape = |c: char| matches!(c, '&' | '<' | '>' | '"' | '\'') || is_pictured(c);
    is_word(text) || !text.chars().any(needs_escape)
}

/// `text`, escaped for HTML text and quoted attributes.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    escape_into(text, &mut out);
    out
}

/// `text` with the characters that would reorder or hide text, or that are none, as pages show them, and no markup
/// escaped: for what a script or a reference manager sets.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_pictured(c) {
            picture_into(c, &mut out);
        } else {
            out.push(c);
        }
    }
    out
}

/// Whether a character cannot stand in a page as it is, or would reorder or hide what does.
fn is_pictured(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\0'..='\x7f' => c.is_ascii_control(),
        _ => is_shown_by_code(c),
    }
}

/// Appends what stands for such a character.
fn picture_into(c: char, out: &mut String) {
    match c {
        '\0'..='\x1f' => out.extend(char::from_u32(0x2400 + u32::from(c))),
        '\x7f' => out.push('\u{2421}'),
        _ => out.push_str(&format!("⟨U+{:04X}⟩", u32::from(c))),
    }
}

fn is_shown_by_code(c: char) -> bool {
    matches!(c,
        // C1 controls, and the characters Unicode keeps free: HTML forbids both.
        '\u{80}'..='\u{9f}' | '\u{fdd0}'..='\u{fdef}'
        // Line and paragraph separator, invisible operators and fillers, bidirectional embeddings, overrides, isolates.
        | '\u{200b}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        // Tag characters: invisible, and known to smuggle text past a reader.
        | '\u{e0000}'..='\u{e007f}')
        || u32::from(c) & 0xfffe == 0xfffe
}

/// A signed number for people: four significant digits, a true minus sign, always a sign unless zero.
pub fn signed(x: f64) -> String {
    let mut out = String::new();
    signed_into(x, &mut out);
    out
}

/// Appends [`signed`].
pub fn signed_into(x: f64, out: &mut String) {
    if x > 0.0 {
        out.push('+');
    } else if x < 0.0 {
        out.push('−');
    }
    number_into(x.abs(), out);
}

/// Appends an integer, as [`std::fmt`] writes it.
pub fn count_into(count: usize, out: &mut String) {
    if count >= 10 {
        count_into(count / 10, out);
    }
    out.push(char::from(b'0' + (count % 10) as u8));
}

/// A number for people: four significant digits, exponents beyond 1e−4 and 1e6.
pub fn number(x: f64) -> String {
    let mut out = String::new();
    number_into(x, &mut out);
    out
}

/// Appends [`number`].
pub fn number_into(x: f64, out: &mut String) {
    let magnitude = x.abs();
    if !x.is_finite() {
        return out.push_str("not finite");
    }
    if x < 0.0 {
        out.push('−');
    }
    if magnitude == 0.0 {
        out.push('0');
    } else if !(1e-4..1e6).contains(&magnitude) {
        out.push_str(&format!("{magnitude:.2e}").replace("e-", "e−"));
    } else {
        push_significant(magnitude, 4, 7, out);
    }
}

/// An error bound for people: two significant digits, with its sign.
pub fn plus_minus(x: f64) -> String {
    let mut out = String::new();
    plus_minus_into(x, &mut out);
    out
}

/// Appends [`plus_minus`].
pub fn plus_minus_into(x: f64, out: &mut String) {
    let magnitude = x.abs();
    out.push_str("± ");
    if !x.is_finite() {
        out.push_str("not finite");
    } else if magnitude == 0.0 {
        out.push('0');
    } else if !(1e-4..1e6).contains(&magnitude) {
        out.push_str(&format!("{magnitude:.1e}").replace("e-", "e−"));
    } else {
        push_significant(magnitude, 2, 5, out);
    }
}

/// A correlation: two decimals and a sign.
pub fn correlation(x: f64) -> String {
    let rounded = (x * 100.0).round() / 100.0;
    let sign = if rounded > 0.0 {
        "+"
    } else if rounded < 0.0 {
        "−"
    } else {
        ""
    };
    format!("{sign}{:.2}", rounded.abs())
}

/// A share as a percentage with one decimal; shares that are not zero or one are never rounded to them.
pub fn percent(x: f64) -> String {
    let percentage = x * 100.0;
    if !x.is_finite() {
        "not finite".to_owned()
    } else if x > 0.0 && percentage < 0.05 {
        "<0.1%".to_owned()
    } else if x < 1.0 && percentage >= 99.95 {
        ">99.9%".to_owned()
    } else {
        let mut out = String::with_capacity(8);
        if percentage < 0.0 {
            out.push('−');
        }
        if percentage.abs() < LONG {
            push_fixed(percentage.abs(), 1, &mut out);
        } else {
            out.push_str(&format!("{:.1e}", percentage.abs()));
        }
        out.push('%');
        out
    }
}

/// From here on a number has an exponent: all of its digits would take a line of their own.
const LONG: f64 = 1e9;

/// A number with so many decimals, at most 7; a very large one with an exponent.
pub fn decimals(x: f64, places: usize) -> String {
    if !x.is_finite() {
        return "not finite".to_owned();
    }
    let mut out = String::new();
    if x < 0.0 {
        out.push('−');
    }
    if x.abs() < LONG {
        push_fixed(x.abs(), places, &mut out);
    } else {
        out.push_str(&format!("{:.2e}", x.abs()));
    }
    out
}

/// A difference of shares, in percentage points.
pub fn points(difference: f64) -> String {
    let sign = if difference < 0.0 { "−" } else { "+" };
    format!("{sign}{:.1}", (difference * 100.0).abs())
}

/// An interval of shares: `51–85%`.
pub fn interval((low, high): (f64, f64)) -> String {
    format!("{:.0}–{:.0}%", low * 100.0, high * 100.0)
}

/// A text, or a dash where there is none.
pub fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "–".to_owned())
}

/// `a, b and c`.
pub fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn markup_and_controls_become_text() {
        assert_eq!(escape("<b a=\"x\">&'"), "&lt;b a=&quot;x&quot;&gt;&amp;&#39;");
        assert_eq!(escape("a\0\r\x1b\x7f\tb\n"), "a␀␍␛␡\tb\n");
        assert_eq!(
            escape("\u{202e}\u{feff}\u{85}\u{fffe}é🙂"),
            "⟨U+202E⟩⟨U+FEFF⟩⟨U+0085⟩⟨U+FFFE⟩é🙂"
        );
    }

    #[test]
    fn numbers_are_short_and_honest() {
        assert_eq!(signed(0.012345), "+0.01235");
        assert_eq!(signed(-1234.5), "−1234");
        assert_eq!(signed(-0.0000012), "−1.20e−6");
        assert_eq!(signed(0.0), "0");
        assert_eq!(number(0.5), "0.5000");
        assert_eq!(
            (correlation(-0.123), correlation(0.001), correlation(1.0)),
            ("−0.12".into(), "0.00".into(), "+1.00".into())
        );
        assert_eq!(
            [0.0, 0.00123, 0.00001234, 12.34, 0.5].map(plus_minus),
            ["± 0", "± 0.0012", "± 1.2e−5", "± 12", "± 0.50"]
        );
        assert_eq!(percent(0.5734), "57.3%");
        assert_eq!(percent(0.00001), "<0.1%");
        assert_eq!(percent(0.9999), ">99.9%");
        assert_eq!(percent(1.0), "100.0%");
        // No page is as wide as all digits of what overflowed in part.
        assert_eq!([percent(-5.37e55), percent(123.0)], ["−5.4e57%", "12300.0%"]);
        assert_eq!([decimals(-4.289e54, 1), decimals(1234.56, 1)], ["−4.29e54", "1234.6"]);
    }

    proptest! {
        #[test]
        fn no_text_is_markup_and_none_is_lost(text in any::<String>()) {
            let escaped = escape(&text);
            let forbidden = ['<', '>', '"', '\'', '\0', '\r', '\u{feff}', '\u{202e}'];
            prop_assert!(!escaped.contains(forbidden));
            // Undone, it is the text but for the pictures: as many characters, the printable ones the same.
            let plain: String = text.chars().filter(|c| !c.is_control() && !is_shown_by_code(*c)).collect();
            let undone = escaped.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'").replace("&amp;", "&");
            let mut rest = undone.chars();
            prop_assert!(plain.chars().all(|c| rest.any(|r| r == c)));
        }
    }
}
