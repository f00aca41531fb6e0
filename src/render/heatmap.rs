//! Attribution maps as running text: the prompt in its own shape, coloured by token, word, sentence or segment.
//!
//! One piece of markup serves all four levels: segments hold sentences, sentences words, and words the pieces of
//! tokens, each with the class of its shade. Which level has colour is a choice of the page (`.maps` in the style
//! sheet), which works without scripts. The numbers stand once, in `data-` attributes of the map; a script reads them
//! out under pointer or key, and tables have them as text.
//!
//! Colour is one of [`STEPS`] classes a sign, so that no inline style is needed; the style sheet gives a positive score
//! a solid underline and a negative one a dashed one, so that hue is not all there is. Colours only mean something
//! beside their [`Scale`]: every map is drawn with one, and [`legend`] says it in numbers.

use std::fmt::Write;

use crate::analysis::scale::{STEPS, Scale, Scales, Scores};
use crate::content::units::{CharText, UnitScores, Units};
use crate::render::decimal::{push_fixed, push_significant};
use crate::render::labels;
use crate::render::text::{count_into, escape, escape_into, number, signed};
use crate::store::record::TargetRecord;
use crate::terms::{TargetKind, Token};

/// The style sheet's class for a shade: `p1` … `p20`, `n1` … `n20`, or nothing.
pub fn shade_class(shade: i32) -> String {
    let mut class = String::new();
    shade_class_into(shade, &mut class);
    class
}

/// Appends [`shade_class`].
pub fn shade_class_into(shade: i32, out: &mut String) {
    if shade != 0 {
        out.push(if shade > 0 { 'p' } else { 'n' });
        count_into(shade.unsigned_abs() as usize, out);
    }
}

/// The levels with the letter that the style sheet and the script know them by, and their name.
pub const LEVELS: [(&str, &str); 4] = [("t", "token"), ("w", "word"), ("s", "sentence"), ("g", "segment")];

/// The switches of a page with maps: the level that scores are summed to, and whether their sign is shown. `checked` is
/// the letter of the level to begin with.
pub fn switches(checked: &str) -> String {
    let mut html = String::from("<fieldset class=\"pick\"><legend>Scores by</legend>");
    for (letter, name) in LEVELS {
        let state = if letter == checked { " checked" } else { "" };
        let _ = write!(
            html,
            "<label><input type=\"radio\" name=\"level\" class=\"{letter}\" value=\"{name}\"{state}>{name}</label>"
        );
    }
    html + "</fieldset><fieldset class=\"pick\"><legend>Show</legend>\
            <label><input type=\"radio\" name=\"mode\" value=\"signed\" checked>sign</label>\
            <label><input type=\"radio\" name=\"mode\" class=\"m\" value=\"magnitude\">magnitude only</label></fieldset>"
}

/// The legend of the scales: ends as numbers at each level, and what sign and shade mean.
pub fn legend(scales: &Scales, unit: &str) -> String {
    let words = [
        "against",
        "for",
        "Scores",
        "Solid underline: for the target. Dashed: against it.",
    ];
    legend_in(scales, unit, words)
}

/// The legend of maps of these targets: of one contrast alone their ends are the two that scores pull towards.
pub fn legend_of<'t>(scales: &Scales, unit: &str, targets: impl IntoIterator<Item = &'t TargetRecord>) -> String {
    let mut targets = targets.into_iter();
    match targets.next().filter(|first| first.kind == TargetKind::Contrast) {
        Some(first) if targets.all(|other| (other.kind, &other.text) == (first.kind, &first.text)) => {
            let (low, high) = labels::ends_of_contrast(&first.text);
            let sign = format!("Solid underline: {high}. Dashed: {low}.");
            legend_in(scales, unit, [&low, &high, "Scores", &sign])
        }
        _ => legend(scales, unit),
    }
}

/// The legend of differences of one method's map from another's.
pub fn method_difference_legend(scales: &Scales, unit: &str) -> String {
    let note = "Solid underline: the first method’s score is the greater. Dashed: the second’s.";
    legend_in(
        scales,
        unit,
        ["second greater", "first greater", "Differences of scores", note],
    )
}

/// The words are those of the lower end, of the upper one, of what is drawn, and of the sign.
fn legend_in(scales: &Scales, unit: &str, [low, high, what, sign]: [&str; 4]) -> String {
    let each = [scales.token, scales.word, scales.sentence, scales.segment];
    // Only the level that is shown says its number.
    let at_level = |of: &dyn Fn(Scale) -> String| -> String {
        if scales.token.max == 0.0 {
            return LEVELS
                .iter()
                .zip(each)
                .skip(1)
                .map(|((letter, _), scale)| {
                    let letters = if *letter == "w" { "t w" } else { letter };
                    format!("<span class=\"at {letters}\">{}</span>", of(scale))
                })
                .collect();
        }
        let level =
            |((letter, _), scale): (&(&str, &str), Scale)| format!("<span class=\"at {letter}\">{}</span>", of(scale));
        LEVELS.iter().zip(each).map(level).collect()
    };
    let mut html = format!(
        "<div class=\"legend\"><span class=\"end low\">{} <small>{}</small></span><span class=\"ramp\" aria-hidden=\"true\">",
        at_level(&|scale| signed(-scale.max)),
        escape(low)
    );
    for shade in (-STEPS..=STEPS).step_by(4) {
        let _ = match shade_class(shade).as_str() {
            "" => write!(html, "<i></i>"),
            class => write!(html, "<i class=\"{class}\"></i>"),
        };
    }
    let _ = write!(
        html,
        "</span><span class=\"end\">{} <small class=\"sign\">{}</small></span><span class=\"note\">{what} in {}; one step of colour is {}. \
         <span class=\"sign\">{}</span></span></div>",
        at_level(&|scale| signed(scale.max)),
        escape(high),
        escape(unit),
        at_level(&|scale| number(scale.max / f64::from(STEPS))),
        escape(sign),
    );
    html
}

/// F without each unit of one level, for a script to read out beside the score.
#[derive(Clone, Debug, PartialEq)]
pub struct WithoutUnits {
    /// The letter of the level.
    pub letter: &'static str,
    /// F with all of them.
    pub f_input: f64,
    /// F without each unit; none of those that were not replaced.
    pub values: Vec<Option<f64>>,
}

/// A map, ready to be written.
#[derive(Clone, Copy)]
pub struct Map<'a> {
    /// The text.
    pub prompt: &'a str,
    /// Its words, sentences and segments.
    pub units: &'a Units,
    /// Its tokens; none where scores begin at words.
    pub tokens: &'a [Token],
    /// What to colour.
    pub scores: &'a Scores,
    /// The errors of the scores, at most, where they are known.
    pub errors: Option<&'a Scores>,
    /// What F becomes without each unit, where that was computed.
    pub without: Option<&'a WithoutUnits>,
    /// What full colour stands for.
    pub scales: &'a Scales,
    /// What lies outside all units is called.
    pub outside: &'a str,
}

impl Map<'_> {
    /// The map as HTML, with its numbers for a script to read out.
    pub fn html(&self) -> String {
        let mut html = String::with_capacity(512 + self.prompt.len() * 16);
        html.push_str("<div class=\"map");
        if self.scores.tokens.is_empty() {
            html.push_str(" coarse");
        }
        html.push_str("\" dir=\"auto\"");
        let errors = self.errors;
        if !self.scores.tokens.is_empty() {
            numbers("t", &self.scores.tokens, errors.map(|e| &e.tokens[..]), None, &mut html);
        }
        for (index, sums) in self::sums(self.scores).into_iter().enumerate() {
            let errors = errors.map(|errors| self::sums(errors)[index]);
            let outside = self.has_outside().then(|| (sums.outside, errors.map(|e| e.outside)));
            numbers(
                LEVELS[index + 1].0,
                &sums.units,
                errors.map(|e| &e.units[..]),
                outside,
                &mut html,
            );
        }
        if let Some(without) = self.without {
            self.without(without, &mut html);
        }
        html.push('>');
        self.body(html) + "</div>"
    }

    /// The map as HTML without numbers: they are those of other maps on the page.
    pub fn bare_html(&self) -> String {
        let open = if self.scores.tokens.is_empty() {
            "<div class=\"map coarse\" dir=\"auto\">"
        } else {
            "<div class=\"map\" dir=\"auto\">"
        };
        self.body(open.to_owned()) + "</div>"
    }

    /// ` data-f=".57" data-without-w=".31 ? .6"`: F, and F without each element of a level, in the order of its scores;
    /// a question mark where it is not known.
    fn without(&self, without: &WithoutUnits, html: &mut String) {
        html.push_str(" data-f=\"");
        compact(without.f_input, 4, html);
        let _ = write!(html, "\" data-without-{}=\"", without.letter);
        let outside = (without.letter != "t" && self.has_outside()).then_some(&None);
        for (index, value) in outside.into_iter().chain(&without.values).enumerate() {
            if index > 0 {
                html.push(' ');
            }
            compact(value.unwrap_or(f64::NAN), 4, html);
        }
        html.push('"');
    }

    fn has_outside(&self) -> bool {
        self.scores.words.outside != 0.0
    }

    fn body(&self, mut html: String) -> String {
        if self.has_outside() {
            // The same sum at each of the larger levels, on the scale of each.
            let Scales {
                word,
                sentence,
                segment,
                ..
            } = self.scales;
            for ((letter, _), scale) in LEVELS[1..].iter().zip([word, sentence, segment]) {
                let shade = scale.shade(self.scores.words.outside);
                start_tag("em", shade, &format!("special at {letter}"), &mut html);
                escape_into(self.outside, &mut html);
                html.push_str("</em>");
            }
        }
        let mut writer = Writer {
            map: self,
            text: CharText::new(self.prompt),
            html,
            next: [0; 3],
            open: [false; 3],
        };
        writer.tokens();
        let end = writer.text.len();
        writer.close(end);
        writer.open(end);
        writer.close(end);
        writer.html
    }
}

/// The sums of a map's scores, from words up.
fn sums(scores: &Scores) -> [&UnitScores; 3] {
    [&scores.words, &scores.sentences, &scores.segments]
}

/// ` data-t="…"`: scores, each with its error behind a slash where errors are known ([`with_error`]); what lies outside
/// all units comes first.
fn numbers(
    letter: &str,
    scores: &[f64],
    errors: Option<&[f64]>,
    outside: Option<(f64, Option<f64>)>,
    html: &mut String,
) {
    let _ = write!(html, " data-{letter}=\"");
    let all = scores
        .iter()
        .enumerate()
        .map(|(i, score)| (*score, errors.and_then(|e| e.get(i).copied())));
    for (index, (score, error)) in outside.into_iter().chain(all).enumerate() {
        if index > 0 {
            html.push(' ');
        }
        match error {
            Some(error) => with_error(score, error, html),
            None => compact(score, 4, html),
        }
    }
    html.push('"');
}

/// A score of four digits or more, and two digits of its error in units of the score's last place, as measurements are
/// printed: `.02052/13` is 0.02052 ± 0.00013. Where that is longer, the error in full: `0/.0013`.
fn with_error(score: f64, error: f64, out: &mut String) {
    let known = error > 0.0 && error < 1e6;
    // Decimals of the error's second digit.
    let mut places = if known { 1 - error.log10().floor() as i32 } else { 0 }.max(0);
    let mut last = (error * 10f64.powi(places)).round();
    // 0.00996 is 0.010, a place further left.
    if last >= 100.0 && places > 0 {
        (places, last) = (places - 1, 10.0);
    }
    let magnitude = score.abs();
    if known && (1e-4..1e6).contains(&magnitude) {
        let decimals = places.max(3 - magnitude.log10().floor() as i32);
        if decimals <= 7 && decimals - places <= 2 {
            if score < 0.0 {
                out.push('-');
            }
            let start = out.len();
            push_fixed(magnitude, decimals as usize, out);
            if out[start..].starts_with("0.") {
                out.remove(start);
            }
            let _ = write!(out, "/{}", last * 10f64.powi(decimals - places));
            return;
        }
    }
    compact(score, 4, out);
    out.push('/');
    if known && error >= 1.0 {
        // Digits alone would be units of a last place.
        let _ = write!(out, "{error:.1e}");
    } else {
        compact(error, 2, out);
    }
}

/// A number of this many digits in few characters, for the script: `.0123`, `-4.1e-7`.
pub(super) fn compact(x: f64, digits: usize, out: &mut String) {
    let start = out.len();
    let magnitude = x.abs();
    if !x.is_finite() {
        out.push('?');
        return;
    }
    if x < 0.0 {
        out.push('-');
    }
    if magnitude == 0.0 {
        out.push('0');
    } else if (1e-4..1e6).contains(&magnitude) {
        push_significant(magnitude, digits as i32, 7, out);
    } else {
        let _ = write!(out, "{magnitude:.*e}", digits.min(3) - 1);
    }
    // The zero before the point says nothing.
    let zero = start + usize::from(x < 0.0);
    if out[zero..].starts_with("0.") {
        out.remove(zero);
    }
}

/// The elements of the units, from the outermost.
const ELEMENTS: [&str; 3] = ["span", "u", "b"];

/// Writes a map's text once from start to end, and opens and closes units on the way.
struct Writer<'a> {
    map: &'a Map<'a>,
    text: CharText<'a>,
    html: String,
    /// The segment, sentence and word that is open, or opens next.
    next: [usize; 3],
    open: [bool; 3],
}

impl Writer<'_> {
    /// Start and end of the unit that is open or opens next.
    fn unit(&self, level: usize) -> Option<(usize, usize)> {
        let units = self.map.units;
        let index = self.next[level];
        match level {
            0 => units.segments.get(index).map(|unit| (unit.start, unit.end)),
            1 => units.sentences.get(index).map(|unit| (unit.start, unit.end)),
            _ => units.words.get(index).map(|unit| (unit.start, unit.end)),
        }
    }

    fn shade(&self, level: usize) -> i32 {
        let (scores, scales) = (self.map.scores, self.map.scales);
        let (scale, sums) = match level {
            0 => (scales.segment, &scores.segments),
            1 => (scales.sentence, &scores.sentences),
            _ => (scales.word, &scores.words),
        };
        sums.units.get(self.next[level]).map_or(0, |score| scale.shade(*score))
    }

    /// Closes the units that end at `at` or before.
    fn close(&mut self, at: usize) {
        for level in [2, 1, 0] {
            if self.open[level] && self.unit(level).is_some_and(|(_, end)| end <= at) {
                self.html.push_str("</");
                self.html.push_str(ELEMENTS[level]);
                self.html.push('>');
                self.open[level] = false;
                self.next[level] += 1;
            }
        }
    }

    /// Opens the units that begin at `at` or before; an empty segment is closed again at once.
    fn open(&mut self, at: usize) {
        for level in [0, 1, 2] {
            while !self.open[level]
                && (level == 0 || self.open[level - 1])
                && let Some((start, end)) = self.unit(level)
                && start <= at
            {
                start_tag(ELEMENTS[level], self.shade(level), "", &mut self.html);
                self.open[level] = true;
                if end <= at {
                    self.close(at);
                } else {
                    break;
                }
            }
        }
    }

    /// Where the next unit begins or ends behind `at`.
    fn boundary(&self, at: usize) -> usize {
        let of = |level: usize| {
            let (start, end) = self.unit(level)?;
            Some(if self.open[level] { end } else { start })
        };
        (0..3)
            .filter_map(of)
            .filter(|&edge| edge > at)
            .min()
            .unwrap_or(usize::MAX)
    }

    fn tokens(&mut self) {
        let tokens = self.map.tokens;
        let mut cursor = 0;
        for (index, token) in tokens.iter().enumerate() {
            if yields(&self.text, &tokens[index..]) {
                self.chip(index, cursor, "byte");
                continue;
            }
            let (start, end) = (token.start.max(cursor), token.end.max(cursor).min(self.text.len()));
            if start > cursor {
                self.piece(cursor, start, None);
                cursor = start;
            }
            if token.special || start >= end {
                // A special token, or a byte of a character that an earlier token has shown.
                self.chip(index, cursor, if token.special { "special" } else { "byte" });
                cursor = cursor.max(end);
            } else {
                self.piece(start, end, Some(index));
                cursor = end;
            }
        }
        self.piece(cursor, self.text.len(), None);
    }

    /// A token that is not part of the running text.
    fn chip(&mut self, token: usize, at: usize, kind: &str) {
        self.close(at);
        start_tag("i", self.token_shade(token), kind, &mut self.html);
        escape_into(&self.map.tokens[token].text, &mut self.html);
        self.html.push_str("</i>");
    }

    fn token_shade(&self, token: usize) -> i32 {
        let score = self.map.scores.tokens.get(token);
        score.map_or(0, |score| self.map.scales.token.shade(*score))
    }

    /// Text of one token, or of none, cut where units begin and end. Blanks that a token begins with stay outside its
    /// colour, so that words read as words.
    fn piece(&mut self, start: usize, end: usize, token: Option<usize>) {
        let whole = self.text.slice(start, end);
        let blank = whole.chars().all(char::is_whitespace);
        let mut first = true;
        let mut at = start;
        while at < end {
            self.close(at);
            self.open(at);
            let to = self.boundary(at).min(end);
            let text = self.text.slice(at, to);
            at = to;
            let Some(token) = token.filter(|_| blank || !text.chars().all(char::is_whitespace)) else {
                escape_into(text, &mut self.html);
                continue;
            };
            let visible = if blank { text } else { text.trim_start() };
            self.html.push_str(&text[..text.len() - visible.len()]);
            let kind = match (first, visible.chars().all(|c| c == '\n')) {
                (true, true) => "break",
                (true, false) => "",
                // The script counts tokens; this is more of one that it has counted.
                (false, _) => "more",
            };
            start_tag("i", self.token_shade(token), kind, &mut self.html);
            escape_into(visible, &mut self.html);
            self.html.push_str("</i>");
            first = false;
        }
    }
}

/// `<b class=p3>`: attribute values without blanks need no quotes, and maps are what a page weighs.
fn start_tag(element: &str, shade: i32, kind: &str, html: &mut String) {
    html.push('<');
    html.push_str(element);
    let quote = if kind.contains(' ') || shade != 0 && !kind.is_empty() {
        "\""
    } else {
        ""
    };
    if shade != 0 || !kind.is_empty() {
        html.push_str(" class=");
        html.push_str(quote);
        shade_class_into(shade, html);
        if shade != 0 && !kind.is_empty() {
            html.push(' ');
        }
        html.push_str(kind);
        html.push_str(quote);
    }
    html.push('>');
}

/// Whether the first of these tokens leaves its characters to a later one that has them too: the mark of a blank (`▁`)
/// that the tokenizer put before the text, which bears the span of the first character, is not that character.
fn yields(text: &CharText<'_>, tokens: &[Token]) -> bool {
    let Some((token, later)) = tokens.split_first() else {
        return false;
    };
    let blank = |text: &str| text.chars().all(|c| matches!(c, '▁' | ' '));
    !token.special
        && token.start < token.end
        && blank(&token.text)
        && !blank(text.slice(token.start, token.end))
        && later
            .first()
            .is_some_and(|next| !next.special && next.start < token.end && next.end > token.start)
}

/// A word of a [`strip`].
pub struct StripWord {
    /// Its score.
    pub score: f64,
    /// Its segment, by place.
    pub segment: usize,
    /// Whether the cause should lie here.
    pub expected: bool,
}

/// A map without its text, one bar a word: what a table has room for. Segments are set apart by a gap, and where the
/// cause should lie there is a line above.
pub fn strip(words: impl IntoIterator<Item = StripWord>, scale: Scale) -> String {
    // Positive bars stand on the middle line and negative ones hang from it, so that hue is not all there is.
    let (mut up, mut down, mut marks) = (String::new(), String::new(), String::new());
    let mut x = 0;
    let mut segment = None;
    for word in words {
        if segment.is_some_and(|before| before != word.segment) {
            x += 1;
        }
        segment = Some(word.segment);
        let shade = scale.shade(word.score);
        let bars = if shade > 0 { &mut up } else { &mut down };
        if shade != 0 {
            let _ = write!(bars, "M{x}.5 {STEPS}v{}", -shade);
        }
        if word.expected {
            let _ = write!(marks, "M{x} -3h1");
        }
        x += 1;
    }
    let width = x.max(1);
    let mut svg = format!(
        "<svg class=\"strip\" viewBox=\"0 -5 {width} {}\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <path class=\"axis\" d=\"M0 {STEPS}H{width}\"/>",
        2 * STEPS + 5
    );
    for (class, bars) in [("p", up), ("n", down), ("x", marks)] {
        if !bars.is_empty() {
            let _ = write!(svg, "<path class=\"{class}\" d=\"{bars}\"/>");
        }
    }
    svg + "</svg>"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::terms::Segment;

    fn token(text: &str, start: usize, end: usize) -> Token {
        Token {
            id: 0,
            text: text.into(),
            start,
            end,
            special: start == end,
        }
    }

    fn segment(name: &str, start: usize, end: usize) -> Segment {
        Segment {
            name: name.into(),
            start,
            end,
        }
    }

    const ONE: Scales = {
        let one = Scale { max: 1.0 };
        Scales {
            token: one,
            word: one,
            sentence: one,
            segment: one,
        }
    };

    /// A map of one segment on a scale of 1 at every level.
    fn drawn(prompt: &str, tokens: &[Token], scores: &[f64], errors: Option<&[f64]>) -> String {
        let units = Units::of(prompt, &[segment("a", 0, prompt.chars().count())]);
        let assignment = units.assign(prompt, tokens);
        let of = |values: &[f64]| Scores::of(&units, &assignment, values);
        let (scores, errors) = (of(scores), errors.map(of));
        Map {
            prompt,
            units: &units,
            tokens,
            scores: &scores,
            errors: errors.as_ref(),
            without: None,
            scales: &ONE,
            outside: "special tokens",
        }
        .html()
    }

    #[test]
    fn a_map_reads_as_its_prompt_at_every_level() {
        let all = [
            token("<s>", 0, 0),
            token("▁Ta", 0, 2),
            token("xes", 2, 5),
            token("\n", 5, 6),
            token("▁<b>", 6, 10),
        ];
        // The line break belongs to the word behind it, as `Units` has it; the sums of the sentences are those of their
        // words.
        insta::assert_snapshot!(drawn("Taxes\n <b>", &all, &[0.0, 1.0, -0.5, 0.0, 0.1], None), @r#"
        <div class="map" dir="auto" data-t="0 1.000 -.5000 0 .1000" data-w=".5000 .1000" data-s=".5000 .1000" data-g=".6000"><i class=special>&lt;s&gt;</i><span class=p12><u class=p10><b class=p10><i class=p20>Ta</i><i class=n10>xes</i></b></u><i class=break>
        </i> <u class=p2><b class=p2><i class=p2>&lt;b&gt;</i></b></u></span></div>
        "#);
    }

    #[test]
    fn an_error_stands_in_units_of_the_last_place() {
        for (score, error, expected) in [
            (0.02052, 0.00013, ".02052/13"),
            (0.0145, 8.4e-5, ".014500/84"),
            // Four digits of the score, whatever its error.
            (-0.0007083, 1.4e-5, "-.0007083/140"),
            (0.25, 0.00996, ".2500/100"),
            (1.5, 0.25, "1.500/250"),
            (-2.0, 0.0994, "-2.000/99"),
            (123.0, 45.0, "123.0/450"),
            (1234.5, 321.0, "1234/321"),
            // Longer that way.
            (0.0, 0.0013, "0/.0013"),
            (1e-5, 0.0013, "1.00e-5/.0013"),
            (0.25, 321.0, ".2500/3.2e2"),
            (0.99, 9.96, ".9900/1.0e1"),
            (0.25, 3.1e-9, ".2500/3.1e-9"),
            (0.25, 0.0, ".2500/0"),
            (0.25, f64::NAN, ".2500/?"),
        ] {
            let mut found = String::new();
            with_error(score, error, &mut found);
            assert_eq!(found, expected, "{score} ± {error}");
        }
    }

    #[test]
    fn errors_stand_behind_their_scores_and_what_is_outside_comes_first() {
        let html = drawn(
            "Taxes",
            &[token("<s>", 0, 0), token("Taxes", 0, 5)],
            &[0.25, -0.5],
            Some(&[0.001, 0.0123]),
        );
        assert!(
            html.contains("data-t=\".2500/10 -.5000/120\" data-w=\".2500/10 -.5000/120\""),
            "{html}"
        );
        assert!(
            html.contains("<em class=\"p5 special at w\">special tokens</em>"),
            "{html}"
        );
    }

    #[test]
    fn the_bytes_of_one_character_are_each_shown() {
        let mut all = [token("<0xF0>", 0, 1), token("<0x9F>", 0, 1)];
        all[1].special = false;
        let html = drawn("🙂", &all, &[1.0, 1.0], None);
        assert!(
            html.contains(">🙂</i>") && html.contains("<i class=\"p20 byte\">&lt;0x9F&gt;</i>"),
            "{html}"
        );
    }

    #[test]
    fn the_mark_of_a_blank_leaves_its_letter_to_the_token_that_has_it() {
        let mut all = [token("▁", 0, 1), token("a", 0, 1), token("<b", 1, 3)];
        all.iter_mut().for_each(|token| token.special = false);
        let html = drawn("a<b", &all, &[0.1, 1.0, 0.0], None);
        assert!(html.contains("<i class=\"p2 byte\">▁</i>"), "{html}");
        assert!(
            html.contains("<i class=p20>a</i>") && html.matches(">a<").count() == 1,
            "{html}"
        );
    }

    #[test]
    fn a_token_over_two_words_is_one_token() {
        let html = drawn(
            "ab cd",
            &[token("a", 0, 1), token("b c", 1, 4), token("d", 4, 5)],
            &[0.1, 0.2, 0.3],
            None,
        );
        assert!(
            html.contains("<b class=p6><i class=p2>a</i><i class=p4>b</i></b> <b class=p6><i class=\"p4 more\">c</i><i class=p6>d</i></b>"),
            "{html}"
        );
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
    fn a_map_of_words_has_no_tokens_and_a_strip_parts_its_segments() {
        let units = Units::of("ab cd", &[segment("a", 0, 3), segment("", 3, 3), segment("b", 3, 5)]);
        let words = UnitScores {
            units: vec![1.0, -1.0],
            outside: 0.0,
        };
        let scores = Scores::of_words(&units, words);
        let map = Map {
            prompt: "ab cd",
            units: &units,
            tokens: &[],
            scores: &scores,
            errors: None,
            without: None,
            scales: &ONE,
            outside: "",
        };
        assert_eq!(
            map.bare_html(),
            "<div class=\"map coarse\" dir=\"auto\"><span class=p20><u class=p20><b class=p20>ab</b></u> </span><span></span>\
             <span class=n20><u class=n20><b class=n20>cd</b></u></span></div>"
        );
        let word = |score, segment| StripWord {
            score,
            segment,
            expected: segment == 2,
        };
        let strip = strip([word(1.0, 0), word(-1.0, 2)], Scale { max: 1.0 });
        assert!(
            strip.contains("viewBox=\"0 -5 3 45\"")
                && strip.contains("class=\"n\" d=\"M2.5 20v20\"")
                && strip.contains("class=\"x\" d=\"M2 -3h1\""),
            "{strip}"
        );
    }

    #[test]
    fn numbers_are_short_and_read_back() {
        let written = |x: f64, digits: usize| {
            let mut out = String::new();
            compact(x, digits, &mut out);
            out
        };
        assert_eq!(written(-0.012_345, 4), "-.01235");
        assert_eq!(written(0.0, 4), "0");
        assert_eq!(written(1234.5, 4), "1234");
        assert_eq!(written(-1.234e-7, 4), "-1.23e-7");
        assert_eq!(written(f64::NAN, 2), "?");
    }

    /// A map's text without chips, and how many tokens and units it has.
    fn read_back(html: &str) -> (String, [usize; 4]) {
        let (mut text, mut counts, mut hidden) = (String::new(), [0; 4], false);
        for part in html.split('<').skip(1) {
            let (tag, rest) = part.split_once('>').expect("a tag");
            let name = tag.split(' ').next().expect("a name");
            hidden = match name {
                "em" => true,
                "i" => tag.contains("special") || tag.contains("byte"),
                _ => false,
            };
            if let Some(place) = ["i", "b", "u", "span"].iter().position(|element| *element == name) {
                counts[place] += usize::from(!tag.contains("more"));
            }
            if !hidden {
                text.push_str(rest);
            }
        }
        let _ = hidden;
        (text, counts)
    }

    proptest! {
        #[test]
        fn the_text_and_every_token_and_unit_is_there_once(
            prompt in "[a-z .,\né日-]{1,40}",
            cuts in proptest::collection::vec(0usize..41, 0..16),
            split in 0usize..41,
        ) {
            let length = prompt.chars().count();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(length)).chain([0, length]).collect();
            cuts.sort_unstable();
            let text = CharText::new(&prompt);
            let tokens: Vec<Token> =
                cuts.windows(2).map(|ends| token(text.slice(ends[0], ends[1]), ends[0], ends[1])).collect();
            let split = split.min(length);
            let units = Units::of(&prompt, &[segment("a", 0, split), segment("b", split, split), segment("c", split, length)]);
            let assignment = units.assign(&prompt, &tokens);
            let scores = Scores::of(&units, &assignment, &vec![0.5; tokens.len()]);
            let map = Map { prompt: &prompt, units: &units, tokens: &tokens, scores: &scores, errors: None, without: None, scales: &ONE, outside: "x" };
            let (read, counts) = read_back(&map.html());
            prop_assert_eq!(read, prompt.clone());
            let expected = [tokens.len(), units.words.len(), units.sentences.len(), units.segments.len()];
            prop_assert_eq!(counts, expected);
        }
    }
}
