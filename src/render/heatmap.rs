//! Attribution maps as running text: the prompt in its own shape, each piece coloured by its score.
//!
//! Colour is one of [`STEPS`] classes a sign, so that no inline style is needed; the style sheet gives a positive score
//! a solid underline and a negative one a dashed one, so that hue is not all there is. Each coloured piece carries its number
//! as a title. Colours only mean something beside their [`Scale`], so every map is drawn with one and shows it.

use std::fmt::Write;

use crate::analysis::align::{CharText, Level, UnitScores, Units};
use crate::render::text::{escape, escape_into, number, percent, plus_minus, signed};
use crate::store::record::TokenRecord;

/// Shades of each sign.
pub const STEPS: i32 = 20;

/// What the strongest colour stands for; shared by all maps that are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// The greatest magnitude of the scores it covers.
    pub max: f64,
}

impl Scale {
    /// The scale that covers these scores.
    pub fn over<'a>(scores: impl IntoIterator<Item = &'a f64>) -> Self {
        Self {
            max: scores.into_iter().fold(0.0, |max, score| score.abs().max(max)),
        }
    }

    /// The shade of a score, from −[`STEPS`] to [`STEPS`]; 0 is no colour.
    pub fn shade(self, score: f64) -> i32 {
        if self.max > 0.0 && score.is_finite() {
            (score / self.max * f64::from(STEPS))
                .round()
                .clamp(f64::from(-STEPS), f64::from(STEPS)) as i32
        } else {
            0
        }
    }

    /// The style sheet's class for a score: `p1` … `p20`, `n1` … `n20`, or nothing.
    pub fn class(self, score: f64) -> String {
        shade_class(self.shade(score))
    }
}

fn shade_class(shade: i32) -> String {
    match shade {
        0 => String::new(),
        shade if shade > 0 => format!("p{shade}"),
        shade => format!("n{}", -shade),
    }
}

/// The legend of a scale: its ends and middle as numbers, and what sign and shade mean.
pub fn legend(scale: Scale, unit: &str) -> String {
    let mut html = String::from("<p class=\"legend\">");
    let ends = [(-scale.max, "against"), (scale.max, "for")];
    let _ = write!(
        html,
        "<span class=\"end\">{} <small>{}</small></span><span class=\"ramp\" aria-hidden=\"true\">",
        signed(ends[0].0),
        ends[0].1
    );
    for shade in (-STEPS..=STEPS).step_by(4) {
        let _ = write!(html, "<i class=\"{}\"></i>", shade_class(shade));
    }
    let _ = write!(
        html,
        "</span><span class=\"end\">{} <small>{}</small></span><span class=\"note\">Scores in {}. Full colour is {}; one shade is {}. \
         Solid underline: for the target. Dashed: against it.</span></p>",
        signed(ends[1].0),
        ends[1].1,
        escape(unit),
        number(scale.max),
        number(scale.max / f64::from(STEPS)),
    );
    html
}

/// What the title of a piece tells: its score, the error of that where it is known, and its share of all.
#[derive(Clone, Copy)]
struct Value {
    score: f64,
    error: Option<f64>,
    /// Sum of all magnitudes.
    total: f64,
}

/// The map by token. Subword tokens join as the text does; special tokens stand dim in brackets of their own.
pub fn tokens(prompt: &str, tokens: &[TokenRecord], scores: &[f64], errors: Option<&[f64]>, scale: Scale) -> String {
    let text = CharText::new(prompt);
    let mut html = open(prompt.len());
    let total = magnitude(scores);
    let mut cursor = 0;
    for (index, (token, &score)) in tokens.iter().zip(scores).enumerate() {
        let error = errors.and_then(|errors| errors.get(index)).copied();
        let value = Value { score, error, total };
        if yields(&text, &tokens[index..]) {
            span(&token.text, value, scale, "byte", &mut html);
            continue;
        }
        let piece = text.slice(token.start.max(cursor), token.end.max(cursor));
        if token.start > cursor {
            escape_into(text.slice(cursor, token.start), &mut html);
        }
        cursor = cursor.max(token.end.min(text.len()));
        if token.special || piece.is_empty() {
            // A special token, or a byte of a character that an earlier token has shown.
            let kind = if token.special { "special" } else { "byte" };
            span(&token.text, value, scale, kind, &mut html);
        } else {
            coloured(piece, value, scale, &mut html);
        }
    }
    escape_into(text.slice(cursor, text.len()), &mut html);
    html + "</div>"
}

/// Whether the first of these tokens leaves its characters to a later one that has them too: the mark of a blank (`▁`) that the
/// tokenizer put before the text, which bears the span of the first character, is not that character.
fn yields(text: &CharText<'_>, tokens: &[TokenRecord]) -> bool {
    let Some((token, later)) = tokens.split_first() else {
        return false;
    };
    let mark = !token.special && token.start < token.end && token.text.chars().all(|c| c == '▁');
    mark && text.slice(token.start, token.end) != token.text
        && later
            .first()
            .is_some_and(|next| !next.special && next.start < token.end && next.end > token.start)
}

/// The map by word, sentence or segment. What lies outside all units, which `outside` names, is said, not drawn. The error of a sum is
/// the sum of the errors: at most that.
pub fn units(
    prompt: &str,
    units: &Units,
    level: Level,
    scores: &UnitScores,
    errors: Option<&UnitScores>,
    (outside, scale): (&str, Scale),
) -> String {
    let ranges: Vec<(usize, usize)> = match level {
        Level::Word => units.words.iter().map(|u| (u.start, u.end)).collect(),
        Level::Sentence => units.sentences.iter().map(|u| (u.start, u.end)).collect(),
        Level::Segment => units.segments.iter().map(|s| (s.start, s.end)).collect(),
    };
    let text = CharText::new(prompt);
    let mut html = open(prompt.len());
    let total = magnitude(&scores.units) + scores.outside.abs();
    if scores.outside != 0.0 {
        let error = errors.map(|errors| errors.outside);
        let value = Value {
            score: scores.outside,
            error,
            total,
        };
        span(outside, value, scale, "special", &mut html);
    }
    let mut cursor = 0;
    for (index, (&(start, end), &score)) in ranges.iter().zip(&scores.units).enumerate() {
        escape_into(text.slice(cursor, start), &mut html);
        let error = errors.and_then(|errors| errors.units.get(index)).copied();
        let value = Value { score, error, total };
        coloured(text.slice(start, end), value, scale, &mut html);
        cursor = end;
    }
    escape_into(text.slice(cursor, text.len()), &mut html);
    html + "</div>"
}

/// A map without its text, one bar a word: what a table has room for. Segments are set apart by a gap.
pub fn strip(units: &Units, words: &[f64], scale: Scale) -> String {
    let mut bars = String::new();
    let mut x = 0;
    let mut segment = None;
    for (word, &score) in words.iter().enumerate() {
        let here = Some(units.segment_of_word(word));
        if segment.is_some() && segment != here {
            x += 1;
        }
        segment = here;
        let shade = scale.shade(score);
        if shade != 0 {
            // Positive bars stand on the middle line and negative ones hang from it, so that hue is not all there is.
            let (class, height) = (if shade > 0 { "p" } else { "n" }, shade.abs());
            let y = if shade > 0 { STEPS - height } else { STEPS };
            let _ = write!(
                bars,
                "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"1\" height=\"{height}\"/>"
            );
        }
        x += 1;
    }
    format!(
        "<svg class=\"strip\" viewBox=\"0 0 {} {}\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <path class=\"axis\" d=\"M0 {STEPS}H{}\"/>{bars}</svg>",
        x.max(1),
        2 * STEPS,
        x.max(1)
    )
}

fn open(room: usize) -> String {
    let mut html = String::with_capacity(room * 8);
    html.push_str("<div class=\"map\" dir=\"auto\">");
    html
}

fn magnitude(scores: &[f64]) -> f64 {
    scores.iter().map(|score| score.abs()).sum()
}

/// A piece of the prompt; the blanks it begins with stay outside its colour, so that words read as words.
fn coloured(piece: &str, value: Value, scale: Scale, html: &mut String) {
    let visible = piece.trim_start_matches(' ');
    if visible.is_empty() {
        span(piece, value, scale, "", html);
    } else {
        html.push_str(&piece[..piece.len() - visible.len()]);
        let kind = if visible.chars().all(|c| c == '\n') {
            "break"
        } else {
            ""
        };
        span(visible, value, scale, kind, html);
    }
}

fn span(text: &str, Value { score, error, total }: Value, scale: Scale, kind: &str, html: &mut String) {
    let shade = scale.class(score);
    let gap = if shade.is_empty() || kind.is_empty() { "" } else { " " };
    html.push_str("<span");
    if !shade.is_empty() || !kind.is_empty() {
        let _ = write!(html, " class=\"{shade}{gap}{kind}\"");
    }
    let _ = write!(html, " title=\"{}", signed(score));
    if let Some(error) = error {
        let _ = write!(html, " {}", plus_minus(error));
    }
    if total > 0.0 {
        html.push_str(" · ");
        escape_into(&percent(score.abs() / total), html);
    }
    html.push_str("\">");
    escape_into(text, html);
    html.push_str("</span>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::prompt::Segment;

    fn token(text: &str, start: usize, end: usize) -> TokenRecord {
        TokenRecord {
            id: 0,
            text: text.into(),
            start,
            end,
            special: start == end,
        }
    }

    #[test]
    fn a_map_reads_as_its_prompt() {
        let all = [
            token("<s>", 0, 0),
            token("▁Ta", 0, 2),
            token("xes", 2, 5),
            token("\n", 5, 6),
            token("▁<b>", 6, 10),
        ];
        let scale = Scale { max: 1.0 };
        let scores = [0.0, 1.0, -0.5, 0.0, 0.1];
        let html = tokens("Taxes\n <b>", &all, &scores, None, scale);
        assert_eq!(
            html,
            "<div class=\"map\" dir=\"auto\"><span class=\"special\" title=\"0 · 0.0%\">&lt;s&gt;</span>\
             <span class=\"p20\" title=\"+1.000 · 62.5%\">Ta</span><span class=\"n10\" title=\"−0.5000 · 31.2%\">xes</span>\
             <span class=\"break\" title=\"0 · 0.0%\">\n</span> <span class=\"p2\" title=\"+0.1000 · 6.2%\">&lt;b&gt;</span></div>"
        );
    }

    #[test]
    fn a_title_tells_the_error_too() {
        let html = tokens(
            "Taxes",
            &[token("Taxes", 0, 5)],
            &[-0.5],
            Some(&[0.0123]),
            Scale { max: 1.0 },
        );
        assert!(html.contains("title=\"−0.5000 ± 0.012 · 100.0%\""), "{html}");
    }

    #[test]
    fn the_bytes_of_one_character_are_each_shown() {
        let mut all = [token("<0xF0>", 0, 1), token("<0x9F>", 0, 1)];
        all[1].special = false;
        let html = tokens("🙂", &all, &[1.0, 1.0], None, Scale { max: 1.0 });
        assert!(
            html.contains(">🙂</span>") && html.contains("class=\"p20 byte\"") && html.contains("&lt;0x9F&gt;"),
            "{html}"
        );
    }

    #[test]
    fn the_mark_of_a_blank_leaves_its_letter_to_the_token_that_has_it() {
        let mut all = [token("▁", 0, 1), token("a", 0, 1), token("<b", 1, 3)];
        all.iter_mut().for_each(|token| token.special = false);
        let html = tokens("a<b", &all, &[0.1, 1.0, 0.0], None, Scale { max: 1.0 });
        assert!(
            html.contains("class=\"p2 byte\"") && html.contains(">▁</span>"),
            "{html}"
        );
        assert!(html.contains(">a</span>") && html.matches(">a<").count() == 1, "{html}");
        assert!(html.contains("class=\"p20\""), "{html}");
    }

    #[test]
    fn shades_are_symmetric_and_nothing_is_no_colour() {
        let scale = Scale::over(&[0.2, -0.4]);
        assert_eq!(
            (scale.shade(0.4), scale.shade(-0.4), scale.shade(0.0), scale.shade(9.0)),
            (20, -20, 0, 20)
        );
        assert_eq!(Scale::over(&[]).shade(1.0), 0);
    }

    #[test]
    fn segments_are_drawn_whole_and_special_tokens_are_said() {
        let segments = [
            Segment {
                name: "a".into(),
                start: 0,
                end: 3,
            },
            Segment {
                name: "b".into(),
                start: 3,
                end: 5,
            },
        ];
        let all = Units::of("ab cd", &segments);
        let scores = UnitScores {
            units: vec![1.0, -1.0],
            outside: 0.5,
        };
        let html = units(
            "ab cd",
            &all,
            Level::Segment,
            &scores,
            None,
            ("special tokens", Scale { max: 1.0 }),
        );
        assert!(
            html.contains("special tokens") && html.contains(">ab </span>") && html.contains("n20"),
            "{html}"
        );
        let strip = strip(&all, &[1.0, -1.0], Scale { max: 1.0 });
        assert!(
            strip.contains("viewBox=\"0 0 3 40\"") && strip.contains("x=\"2\" y=\"20\""),
            "{strip}"
        );
    }
}
