//! A map in a terminal: the prompt in its own shape with a shade behind each word, or, without colour, with its number
//! under it; and the numbers that say how good the map is.
//!
//! Widths are those of terminals, where a letter of East Asia takes two places and an accent none. Lines with letters
//! that are written from right to left keep the order in which they are read; a terminal that can turn them does so, and
//! the shades go along with the letters. Numbers would not, so that such words stand one on each line, behind theirs.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use super::text::{number, percent, signed, visible};
use crate::analysis::scale::{STEPS, Scale};
use crate::content::units::{CharText, Units};
use crate::store::record::{AttributionRecord, SampleRecord};
use crate::terms::Token;

/// How colours are said to the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colors {
    /// Not at all: numbers take their place.
    None,
    /// By the 256 colours that almost all have.
    Palette,
    /// By red, green and blue.
    True,
}

/// What scores are summed to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// Words.
    #[default]
    Word,
    /// Tokens, as far as they are whole characters.
    Token,
}

/// How a map is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Columns of the terminal.
    pub width: usize,
    /// Its colours.
    pub colors: Colors,
    /// What scores are summed to.
    pub level: Level,
}

/// Words listed for and against.
const STRONGEST: usize = 5;
/// Narrower lines hold no number.
const NARROWEST: usize = 16;
/// The full shades of the site: blue for, orange against; and the ink on them.
const FOR: [u8; 3] = [94, 160, 232];
const AGAINST: [u8; 3] = [240, 160, 76];
const INK: [u8; 3] = [27, 31, 36];
/// Keeps a line that begins with a number from being turned as a whole.
const LEFT_TO_RIGHT: char = '\u{200e}';

/// A stretch of the prompt with its score.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Piece {
    start: usize,
    end: usize,
    /// None of what lies between words.
    score: Option<f64>,
}

/// One map of a record, with what it explains and how good it is.
pub fn map(record: &SampleRecord, attribution: &AttributionRecord, style: Style) -> String {
    let mut out = facts(record, attribution);
    if let Some(problem) = nothing_to_draw(attribution) {
        out.push(problem);
        return out.join("\n");
    }
    let text = CharText::new(&record.prompt);
    let units = Units::of(&record.prompt, &record.segments);
    let words = words(record, attribution, &units);
    let pieces = match style.level {
        Level::Word => words.clone(),
        Level::Token => tokens(&record.tokens, &attribution.scores),
    };
    let scale = Scale::over(pieces.iter().filter_map(|piece| piece.score.as_ref()));
    let width = style.width.max(NARROWEST);
    out.push(String::new());
    out.push(match style.colors {
        Colors::None if turns(&record.prompt) => listed(&text, &pieces),
        Colors::None => interlinear(&text, &filled(&pieces, text.len()), width),
        colors => shaded(&text, &filled(&pieces, text.len()), scale, width, colors),
    });
    out.push(String::new());
    if style.colors != Colors::None {
        out.push(legend(scale, style.colors));
    }
    out.extend(strongest(&text, &words));
    let whole: f64 = attribution.scores.iter().sum();
    let outside = whole - words.iter().filter_map(|word| word.score).sum::<f64>();
    if words.iter().any(|word| word.score.is_some()) && outside.abs() > 1e-12 * (1.0 + whole.abs()) {
        out.push(format!(
            "{:>10}  outside all words: special tokens and the like",
            signed(outside)
        ));
    }
    out.join("\n")
}

/// What is explained, and the numbers of the map.
fn facts(record: &SampleRecord, attribution: &AttributionRecord) -> Vec<String> {
    let model = &record.model;
    let mut lines = vec![format!("{}, {}", visible(&model.source), attribution.method_name())];
    if let Some(prediction) = &record.prediction {
        lines.push(format!(
            "predicted  {:?}, probability {}",
            visible(&prediction.text),
            number(prediction.probability)
        ));
    }
    let target = format!(
        "{:?} ({})",
        visible(&attribution.target.text),
        attribution.output.word()
    );
    if let Some(f_input) = attribution.f_input {
        let baseline = match (attribution.f_baseline, &attribution.baseline) {
            (Some(f), Some(baseline)) => format!("; at the baseline {}: {}", visible(&baseline.to_string()), number(f)),
            _ => String::new(),
        };
        lines.push(format!("F          {} of {target}{baseline}", number(f_input)));
    } else {
        lines.push(format!("F          of {target}"));
    }
    let mut quality = Vec::new();
    if let Some(sum) = attribution.sum {
        quality.push(format!("sum {}", signed(sum)));
    }
    if let Some(delta) = attribution.convergence_delta {
        quality.push(format!("delta {}", signed(delta)));
    } else if let Some(residual) = attribution.residual {
        quality.push(format!("residual {}", signed(residual.value)));
    }
    if let Some(estimate) = attribution.error_estimate {
        quality.push(format!("error at most {} of the map", percent(estimate)));
    }
    match attribution.converged {
        Some(true) => quality.push("converged".to_owned()),
        Some(false) => quality.push("NOT converged".to_owned()),
        None => {}
    }
    quality.push(format!("{} evaluations", attribution.evaluations));
    lines.push(format!("map        {}", quality.join(", ")));
    lines
}

/// Why there is no map, if there is none.
fn nothing_to_draw(attribution: &AttributionRecord) -> Option<String> {
    if let Some(found) = attribution.non_finite {
        return Some(format!(
            "no map: a value along the path is not finite, at α = {}; try another baseline, or `--dtype f32`",
            number(found.alpha)
        ));
    }
    (attribution.absent.is_some() || attribution.scores.is_empty())
        .then(|| "no map: the model generated nothing that could be explained".to_owned())
}

/// The words with their scores.
fn words(record: &SampleRecord, attribution: &AttributionRecord, units: &Units) -> Vec<Piece> {
    let assignment = units.assign(&record.prompt, &record.tokens);
    let scores = units.word_scores(&assignment, &attribution.scores);
    let words = units.words.iter().zip(scores.units);
    let piece = |(word, score): (&crate::content::units::Unit, f64)| Piece {
        start: word.start,
        end: word.end,
        score: Some(score),
    };
    words.map(piece).collect()
}

/// The tokens with their scores. Those that are only a part of a character are taken together with the rest of it.
fn tokens(tokens: &[Token], scores: &[f64]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let shown = tokens.iter().zip(scores).filter(|(token, _)| !token.special);
    for (token, score) in shown {
        match pieces.last_mut() {
            Some(last) if token.start < last.end || token.start == token.end => {
                last.end = last.end.max(token.end);
                last.score = Some(last.score.unwrap_or_default() + score);
            }
            _ => pieces.push(Piece {
                start: token.start,
                end: token.end,
                score: Some(*score),
            }),
        }
    }
    pieces
}

/// The pieces with what lies between them, so that together they are the text.
fn filled(pieces: &[Piece], length: usize) -> Vec<Piece> {
    let mut all = Vec::with_capacity(pieces.len() * 2 + 1);
    let mut end = 0;
    let gap = |from: usize, to: usize, all: &mut Vec<Piece>| {
        if from < to {
            all.push(Piece {
                start: from,
                end: to,
                score: None,
            });
        }
    };
    for &piece in pieces {
        let piece = Piece {
            start: piece.start.max(end),
            ..piece
        };
        gap(end, piece.start, &mut all);
        end = piece.end.max(end);
        all.push(piece);
    }
    gap(end, length, &mut all);
    all
}

/// Whether a text has letters that are written from right to left.
fn turns(text: &str) -> bool {
    text.chars().any(|c| {
        matches!(u32::from(c), 0x0590..=0x08ff | 0xfb1d..=0xfdff | 0xfe70..=0xfeff | 0x10800..=0x10fff | 0x1e800..=0x1efff)
    })
}

/// A piece's text as it can be printed: what would steer the terminal is made visible, and a tab is a blank.
fn printable(text: &str) -> String {
    visible(&text.replace('\t', " "))
}

/// Lines being filled.
struct Lines {
    width: usize,
    column: usize,
    out: String,
}

impl Lines {
    fn new(width: usize) -> Self {
        Self {
            width,
            column: 0,
            out: String::new(),
        }
    }

    fn end(&mut self) {
        self.out.push('\n');
        self.column = 0;
    }
}

/// The prompt with a shade behind each piece.
fn shaded(text: &CharText, pieces: &[Piece], scale: Scale, width: usize, colors: Colors) -> String {
    let mut lines = Lines::new(width);
    for piece in pieces {
        let shade = piece.score.map_or(0, |score| scale.shade(score));
        let (on, off) = match shade {
            0 => (String::new(), ""),
            shade => (background(shade, colors), "\x1b[0m"),
        };
        for (index, line) in text.slice(piece.start, piece.end).split('\n').enumerate() {
            if index > 0 {
                lines.end();
            }
            let line = printable(line);
            if lines.column > 0 && lines.column + line.width() > width && line.width() <= width {
                lines.end();
            }
            // A blank at the beginning of a line that was broken says nothing.
            let line = match lines.column == 0 && piece.score.is_none() && lines.out.ends_with('\n') && index == 0 {
                true => line.trim_start(),
                false => line.as_str(),
            };
            let mut open = false;
            for grapheme in line.graphemes(true) {
                if lines.column + grapheme.width() > lines.width {
                    if open {
                        lines.out.push_str(off);
                        open = false;
                    }
                    lines.end();
                }
                if !open {
                    lines.out.push_str(&on);
                    open = true;
                }
                lines.out.push_str(grapheme);
                lines.column += grapheme.width();
            }
            if open {
                lines.out.push_str(off);
            }
        }
    }
    lines.out
}

/// The prompt with the number of each piece under it.
fn interlinear(text: &CharText, pieces: &[Piece], width: usize) -> String {
    let (mut above, mut below, mut out) = (Lines::new(width), Lines::new(width), String::new());
    let mut flush = |above: &mut Lines, below: &mut Lines| {
        for line in [&mut *above, &mut *below] {
            let text = std::mem::take(&mut line.out);
            line.column = 0;
            if !text.trim().is_empty() {
                out.push_str(text.trim_end());
                out.push('\n');
            }
        }
    };
    for piece in pieces {
        let Some(score) = piece.score else {
            // Between words: what is printed stands above nothing; line ends are kept.
            for (index, line) in text.slice(piece.start, piece.end).split('\n').enumerate() {
                if index > 0 {
                    flush(&mut above, &mut below);
                }
                let line = printable(line);
                for grapheme in line.trim().graphemes(true) {
                    if above.column + grapheme.width() > width {
                        flush(&mut above, &mut below);
                    }
                    above.out.push_str(grapheme);
                    above.column += grapheme.width();
                }
            }
            continue;
        };
        let number = signed(score);
        let word = printable(&text.slice(piece.start, piece.end).replace('\n', " "));
        let cell = word.trim().width().max(number.width());
        let column = above.column.max(below.column);
        if column > 0 && column + 1 + cell > width {
            flush(&mut above, &mut below);
        }
        let start = match above.column.max(below.column) {
            0 => 0,
            column => column + 1,
        };
        for (line, text) in [(&mut above, word.trim()), (&mut below, number.as_str())] {
            line.out.push_str(&" ".repeat(start - line.column));
            line.out.push_str(text);
            line.column = start + text.width();
        }
    }
    flush(&mut above, &mut below);
    out.trim_end().to_owned()
}

/// Each piece on a line of its own, behind its number.
fn listed(text: &CharText, pieces: &[Piece]) -> String {
    let line = |piece: &Piece| {
        let score = signed(piece.score.unwrap_or_default());
        numbered(
            &score,
            &printable(&text.slice(piece.start, piece.end).replace('\n', " ")),
        )
    };
    pieces.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// `   +0.123  word`
fn numbered(score: &str, word: &str) -> String {
    let direction = if turns(word) {
        LEFT_TO_RIGHT.to_string()
    } else {
        String::new()
    };
    format!(
        "{direction}{}{score}  {}",
        " ".repeat(10usize.saturating_sub(score.width())),
        word.trim()
    )
}

/// The words with the largest scores of each sign.
fn strongest(text: &CharText, words: &[Piece]) -> Vec<String> {
    let mut lines = Vec::new();
    for (sign, title) in [(1.0, "strongest for it"), (-1.0, "strongest against it")] {
        let mut of_sign: Vec<&Piece> = words
            .iter()
            .filter(|word| word.score.is_some_and(|score| score * sign > 0.0))
            .collect();
        of_sign.sort_by(|a, b| {
            let size = |piece: &Piece| piece.score.unwrap_or_default().abs();
            size(b).total_cmp(&size(a))
        });
        if of_sign.is_empty() {
            continue;
        }
        lines.push(title.to_owned());
        for word in of_sign.into_iter().take(STRONGEST) {
            let score = signed(word.score.unwrap_or_default());
            lines.push(numbered(&score, &printable(text.slice(word.start, word.end))));
        }
    }
    lines
}

/// What the ends of the shades stand for.
fn legend(scale: Scale, colors: Colors) -> String {
    let mut out = format!("{} ", signed(-scale.max));
    for shade in (-STEPS..=STEPS).step_by(4) {
        match shade {
            0 => out.push(' '),
            shade => out.push_str(&format!("{} \x1b[0m", background(shade, colors))),
        }
    }
    out + &format!(" {}", signed(scale.max))
}

/// The sequence for a shade, with an ink that is read on it.
fn background(shade: i32, colors: Colors) -> String {
    let full = if shade > 0 { FOR } else { AGAINST };
    let share = f64::from(shade.abs()) / f64::from(STEPS);
    let mix = |channel: u8| (255.0 + (f64::from(channel) - 255.0) * share).round() as u8;
    let [red, green, blue] = full.map(mix);
    match colors {
        Colors::None => String::new(),
        Colors::True => {
            let [r, g, b] = INK;
            format!("\x1b[38;2;{r};{g};{b};48;2;{red};{green};{blue}m")
        }
        Colors::Palette => {
            // The cube of 6 × 6 × 6: levels 0, 95, 135, 175, 215, 255.
            let level = |channel: u8| match channel {
                0..=47 => 0,
                48..=114 => 1,
                channel => (u16::from(channel) - 35) / 40,
            };
            format!(
                "\x1b[38;5;16;48;5;{}m",
                16 + 36 * level(red) + 6 * level(green) + level(blue)
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(words: &[(&str, Option<f64>)]) -> (String, Vec<Piece>) {
        let (mut text, mut all) = (String::new(), Vec::new());
        for (word, score) in words {
            let start = text.chars().count();
            text.push_str(word);
            all.push(Piece {
                start,
                end: text.chars().count(),
                score: *score,
            });
        }
        (text, all)
    }

    fn without_color(text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("\x1b[") {
            out.push_str(before);
            rest = after.split_once('m').map_or("", |(_, rest)| rest);
        }
        out + rest
    }

    #[test]
    fn numbers_stand_under_their_words_in_columns_of_the_terminal() {
        let (text, all) = pieces(&[
            ("Is", Some(0.5)),
            (" ", None),
            ("文字化け", Some(-0.25)),
            (" ", None),
            ("so", Some(0.0)),
            ("?\n\n", None),
            ("A", Some(0.125)),
        ]);
        let drawn = interlinear(&CharText::new(&text), &all, 40);
        let lines: Vec<&str> = drawn.lines().collect();
        let [words, numbers, last, its_number] = lines[..] else {
            panic!("{drawn}")
        };
        // Where each word begins, its number does.
        let column = |line: &str, part: &str| line[..line.find(part).unwrap()].width();
        assert_eq!(column(words, "文字化け"), column(numbers, &signed(-0.25)));
        assert_eq!(column(words, "so?"), numbers.width() - 1);
        assert_eq!((last, its_number), ("A", signed(0.125).as_str()));
        for line in interlinear(&CharText::new(&text), &all, 16).lines() {
            assert!(line.width() <= 16, "{line:?}");
        }
    }

    #[test]
    fn shades_cover_the_text_and_no_line_is_too_long() {
        let (text, all) = pieces(&[
            ("Ünïcode", Some(1.0)),
            (" 🦀 ", None),
            ("文字文字文字文字文字文字", Some(-1.0)),
            (" and\n", None),
            ("שלום", Some(0.5)),
            (" ", None),
            ("a\u{301}\u{1b}[2J\u{202e}", Some(0.1)),
        ]);
        for colors in [Colors::Palette, Colors::True] {
            for width in [16, 20, 80] {
                let drawn = shaded(&CharText::new(&text), &all, Scale { max: 1.0 }, width, colors);
                let plain = without_color(&drawn);
                assert!(plain.lines().all(|line| line.width() <= width), "{width}: {plain:?}");
                assert!(!plain.contains('\u{1b}') && !plain.contains('\u{202e}'), "{plain:?}");
                let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
                assert_eq!(letters(&plain), letters(&printable(&text)));
                // Every shade that is opened is closed.
                assert_eq!(drawn.matches("\x1b[38").count(), drawn.matches("\x1b[0m").count());
            }
        }
    }

    #[test]
    fn shades_are_colours_that_terminals_know() {
        assert_eq!(background(STEPS, Colors::True), "\x1b[38;2;27;31;36;48;2;94;160;232m");
        assert_eq!(background(-STEPS, Colors::True), "\x1b[38;2;27;31;36;48;2;240;160;76m");
        for shade in (-STEPS..=STEPS).filter(|shade| *shade != 0) {
            let text = background(shade, Colors::Palette);
            let index: u16 = text.trim_end_matches('m').rsplit(';').next().unwrap().parse().unwrap();
            assert!((16..=231).contains(&index), "{text}");
        }
    }

    #[test]
    fn what_is_read_from_right_to_left_stands_behind_its_number() {
        let line = numbered("+0.5", "שלום");
        assert!(
            line.starts_with(LEFT_TO_RIGHT) && line.ends_with("+0.5  שלום"),
            "{line:?}"
        );
        assert!(turns("abc שלום") && turns("مرحبا") && !turns("文字 abc Ünï"));
    }

    #[test]
    fn tokens_within_one_character_are_one_piece() {
        let token = |start, end, special| Token {
            id: 0,
            text: String::new(),
            start,
            end,
            special,
        };
        let all = [
            token(0, 0, true),
            token(0, 2, false),
            token(2, 3, false),
            token(2, 3, false),
            token(3, 3, false),
            token(3, 5, false),
        ];
        let found = tokens(&all, &[9.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let expected = [(0, 2, 1.0), (2, 3, 9.0), (3, 5, 5.0)];
        assert_eq!(found.len(), 3);
        for (piece, (start, end, score)) in found.iter().zip(expected) {
            assert_eq!((piece.start, piece.end, piece.score), (start, end, Some(score)));
        }
        // What lies between is there too.
        let pieces = filled(&found[1..], 7);
        assert_eq!(pieces.iter().map(|piece| piece.end).collect::<Vec<_>>(), [2, 3, 5, 7]);
    }
}
