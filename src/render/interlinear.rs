//! The interlinear map: a text once, and under each of its words a cell a map, so that maps of several models, methods,
//! targets or baselines stand below each other word by word. It wraps as text does.
//!
//! The words are those of what the sample is about; of the rest of the prompt each segment is one cell. A column is a
//! term of a description list and its cells are what describes it, so that all of it reads in order without a style
//! sheet or a script; who the rows are stands once beside it ([`Who`]), and for lines that wrap once more. What a cell
//! says is rounded by its error, and a score that is too small to be seen is a dot ([`Measure`]). The numbers as they
//! are stand in `data-v`, row by row, for a script to read out.

use std::borrow::Cow;
use std::fmt::Write;

use serde::Serialize;

use crate::analysis::results::{Results, SampleResults};
use crate::analysis::scale::{STEPS, Scale};
use crate::content::units::{CharText, UnitScores};
use crate::render::heatmap::{compact, shade_class, shade_class_into};
use crate::render::labels;
use crate::render::pages::Answer;
use crate::render::text::{decimals, escape, escape_into};
use crate::terms::{Output, TargetKind};

/// Rows beyond these have no names for lines that wrap: the style sheet knows the height of so many.
const MOST_ROWS: usize = 12;

/// What stands above a column.
#[derive(Clone, Debug, PartialEq)]
struct Column<'a> {
    text: Cow<'a, str>,
    /// The name of the segment that begins here.
    segment: Option<&'a str>,
    /// Whether the cause should lie here, as the experiment knows.
    expected: bool,
    place: Place,
}

/// What a column holds the score of.
#[derive(Clone, Debug, PartialEq)]
enum Place {
    /// A word, with punctuation that stands by itself behind it: by their places among what the sample is about. The
    /// first is the word.
    Words(Vec<usize>),
    /// A segment, by its place.
    Segment(usize),
    /// What lies outside all words.
    Outside,
}

/// A sample's text, cut into columns.
pub struct Text<'a> {
    columns: Vec<Column<'a>>,
    sample: &'a SampleResults,
}

/// A map of it: a score a column.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    scores: Vec<f64>,
    /// At most this far is each score from the truth; none where nobody knows.
    errors: Option<Vec<f64>>,
}

/// Who a row is of: what stands beside its cells.
#[derive(Clone, Serialize)]
pub struct Who {
    /// The whole title.
    pub title: String,
    /// The same, as short as it can be told from the others.
    pub short: String,
    /// Where all that is known of the map stands.
    pub href: String,
    /// What the model answers.
    pub answer: Option<Answer>,
    /// The probability of each option, drawn.
    pub options: String,
    /// What the map explains: all rows of a comparison have the same.
    pub target: Option<String>,
    /// Marks of maps that fail their test over the whole experiment.
    pub warnings: Vec<Warning>,
}

/// The mark of maps that do no better than what explains nothing.
#[derive(Clone, Serialize)]
pub struct Warning {
    /// When it is shown: the classes of the choices.
    pub class: String,
    /// What is wrong.
    pub text: String,
    /// Where that is told.
    pub href: String,
}

/// How scores are written: in the unit that readers know, and with no more digits than say something.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// What full colour stands for, in the output's unit.
    pub scale: Scale,
    /// From the output's unit to the one that is written.
    factor: f64,
    /// The unit that is written.
    pub unit: String,
    /// Scores smaller than this, as they are written, are dots.
    least: f64,
    decimals: usize,
}

impl Measure {
    /// Of scores up to `max`, in the output's unit; `unit` names it. Probabilities are written in percentage points.
    pub fn of(max: f64, output: Option<Output>, unit: &str) -> Self {
        let is_probability = output == Some(Output::Probability);
        let factor = if is_probability { 100.0 } else { 1.0 };
        let most = max * factor;
        // A score that has no colour needs no number; of points, none below one.
        let least = if is_probability && most >= f64::from(STEPS) {
            1.0
        } else {
            most / f64::from(STEPS)
        };
        let places = if least >= 1.0 { 1.0 } else { (-least.log10()).ceil() };
        Self {
            scale: Scale { max },
            factor,
            unit: if is_probability {
                "points".to_owned()
            } else {
                unit.to_owned()
            },
            least,
            decimals: if places.is_finite() {
                places.clamp(0.0, 7.0) as usize
            } else {
                0
            },
        }
    }

    /// A score as a cell has it: none where it is too small to be seen, or within its error.
    pub fn cell(&self, score: f64, error: Option<f64>) -> Option<String> {
        let (value, error) = (score * self.factor, error.map(|error| error * self.factor));
        if !value.is_finite()
            || value == 0.0
            || value.abs() < self.least
            || error.is_some_and(|error| value.abs() <= error)
        {
            return None;
        }
        Some(self.written(value, error))
    }

    /// A score in words, however small.
    pub fn number(&self, score: f64, error: Option<f64>) -> String {
        self.written(score * self.factor, error.map(|error| error * self.factor))
    }

    /// A value in the unit that is written, with no more decimals than its error leaves, and two digits at most.
    fn written(&self, value: f64, error: Option<f64>) -> String {
        let size = value.abs();
        let enough = if size >= 10.0 {
            self.decimals.saturating_sub(1)
        } else {
            self.decimals
        };
        let known = error.filter(|error| *error > 0.0 && error.is_finite());
        let places = known.map_or(enough, |error| enough.min((-error.log10()).ceil().max(0.0) as usize));
        let text = decimals(size, places);
        if text.bytes().all(|digit| matches!(digit, b'0' | b'.')) {
            return "0".to_owned();
        }
        format!("{}{text}", if value < 0.0 { '−' } else { '+' })
    }

    /// What full colour stands for, with its unit.
    pub fn told(&self) -> String {
        format!("±{} {}", self.most(), self.unit)
    }

    /// What full colour stands for, without a sign.
    pub fn most(&self) -> String {
        decimals(
            self.scale.max * self.factor,
            if self.least >= 1.0 { 0 } else { self.decimals },
        )
    }

    /// What a dot stands for.
    pub fn dot(&self) -> String {
        let least = decimals(self.least, if self.least >= 1.0 { 0 } else { self.decimals });
        format!(
            "less than {least} {}",
            if least == "1" && self.unit == "points" {
                "point"
            } else {
                &self.unit
            }
        )
    }
}

impl<'a> Text<'a> {
    /// A sample's words of what it is about, and of the `rest` of the prompt a column a segment.
    pub fn of(results: &'a Results<'_>, sample: usize, rest: bool) -> Self {
        let analysed = &results.samples[sample];
        let experiment = results.experiment;
        let units = &analysed.units;
        let text = CharText::new(&experiment.samples[sample].prompt.text);
        let is_expected = |segment: usize| experiment.expected.contains(&units.segments[segment].name);
        let mut columns: Vec<Column<'_>> = Vec::new();
        let mut before = None;
        for (index, &word) in analysed.subject_words.iter().enumerate() {
            let segment = units.segment_of_word(word);
            let unit = &units.words[word];
            let own = text.slice(unit.start, unit.end);
            // A full stop that is a segment of its own is no column.
            if !own.chars().any(char::is_alphanumeric)
                && let Some(Column {
                    text: before,
                    place: Place::Words(places),
                    ..
                }) = columns.last_mut()
            {
                places.push(index);
                *before = Cow::Owned(format!("{before}{own}"));
                continue;
            }
            columns.push(Column {
                text: Cow::Borrowed(own),
                segment: (before != Some(segment)).then(|| units.segments[segment].name.as_str()),
                expected: is_expected(segment),
                place: Place::Words(vec![index]),
            });
            before = Some(segment);
        }
        if rest {
            let mut first = !columns.is_empty();
            for (index, segment) in units.segments.iter().enumerate() {
                let in_subject = results.subject.is_empty() || results.subject.contains(&segment.name);
                if in_subject || !(0..units.words.len()).any(|word| units.segment_of_word(word) == index) {
                    continue;
                }
                columns.push(Column {
                    text: Cow::Borrowed(if segment.name.is_empty() {
                        "(unnamed)"
                    } else {
                        &segment.name
                    }),
                    segment: std::mem::take(&mut first).then_some("rest of prompt"),
                    expected: is_expected(index),
                    place: Place::Segment(index),
                });
            }
            let is_outside = |scores: &UnitScores| scores.outside != 0.0;
            if analysed.words.iter().flatten().any(is_outside) {
                columns.push(Column {
                    text: Cow::Borrowed(results.outside()),
                    segment: std::mem::take(&mut first).then_some("rest of prompt"),
                    expected: false,
                    place: Place::Outside,
                });
            }
        }
        Self {
            columns,
            sample: analysed,
        }
    }

    /// The columns of some segments alone, by their names.
    #[must_use]
    pub fn within(mut self, segments: &[String]) -> Self {
        let units = &self.sample.units;
        let names = |segment: usize| segments.contains(&units.segments[segment].name);
        self.columns.retain(|column| match &column.place {
            Place::Words(places) => names(units.segment_of_word(self.sample.subject_words[places[0]])),
            Place::Segment(segment) => names(*segment),
            Place::Outside => false,
        });
        self
    }

    /// A map over its columns.
    pub fn row(&self, words: &UnitScores, errors: Option<&UnitScores>) -> Row {
        let of = |scores: &UnitScores| -> Vec<f64> {
            let units = &self.sample.units;
            let column = |column: &Column<'_>| match &column.place {
                Place::Words(places) => places
                    .iter()
                    .map(|&place| scores.units[self.sample.subject_words[place]])
                    .sum(),
                Place::Segment(segment) => (0..units.words.len())
                    .filter(|&word| units.segment_of_word(word) == *segment)
                    .map(|word| scores.units[word])
                    .sum(),
                Place::Outside => scores.outside,
            };
            self.columns.iter().map(column).collect()
        };
        Row {
            scores: of(words),
            errors: errors.map(of),
        }
    }

    /// A map of the words that the sample is about alone, one score each, as models are compared by.
    pub fn row_of(&self, scores: &[f64], errors: Option<&[f64]>) -> Row {
        let of = |scores: &[f64]| -> Vec<f64> {
            let column = |column: &Column<'_>| match &column.place {
                Place::Words(places) => places.iter().map(|&place| scores[place]).sum(),
                Place::Segment(_) | Place::Outside => 0.0,
            };
            self.columns.iter().map(column).collect()
        };
        Row {
            scores: of(scores),
            errors: errors.map(of),
        }
    }

    /// How many lines it may take on the narrowest screen: for so many are there names.
    pub fn lines(&self) -> usize {
        let width: usize = self
            .columns
            .iter()
            .map(|column| column.text.chars().count().clamp(5, 20) + 2)
            .sum();
        (width / 18 + 1).min(16)
    }

    /// The list: `class` are the choices that it is shown at, `page` gives the page of a word in the address that the
    /// script knows.
    pub fn html(
        &self,
        rows: &[Option<Row>],
        measure: &Measure,
        class: &str,
        page: &dyn Fn(usize) -> Option<String>,
    ) -> String {
        let mut html = String::with_capacity(64 + self.columns.len() * (24 + 14 * rows.len()));
        let panel = if class.is_empty() { "" } else { " panel " };
        let _ = write!(
            html,
            "<dl class=\"inter{panel}{class}\" dir=auto data-v=\"{}\">",
            numbers(rows, measure)
        );
        for (index, column) in self.columns.iter().enumerate() {
            let is_rest = !matches!(column.place, Place::Words(_));
            let classes = [(column.segment.is_some(), 'f'), (column.expected, 'x'), (is_rest, 'r')];
            let classes: String =
                classes
                    .iter()
                    .filter(|(is, _)| *is)
                    .map(|(_, class)| *class)
                    .fold(String::new(), |mut all, class| {
                        if !all.is_empty() {
                            all.push(' ');
                        }
                        all.push(class);
                        all
                    });
            match classes.len() {
                0 => html.push_str("<div>"),
                1 => _ = write!(html, "<div class={classes}>"),
                _ => _ = write!(html, "<div class=\"{classes}\">"),
            }
            let address = match &column.place {
                Place::Words(places) => page(self.sample.subject_words[places[0]]),
                Place::Segment(_) | Place::Outside => None,
            };
            match address {
                Some(address) => {
                    html.push_str("<dt data-h=\"");
                    escape_into(&address, &mut html);
                    html.push_str("\">");
                }
                None => html.push_str("<dt>"),
            }
            if let Some(segment) = column.segment.filter(|name| !name.is_empty()) {
                html.push_str("<small>");
                escape_into(segment, &mut html);
                html.push_str("</small>");
            }
            escape_into(&column.text, &mut html);
            for row in rows {
                let Some(row) = row else {
                    html.push_str("<dd>–");
                    continue;
                };
                let score = row.scores[index];
                let shade = measure.scale.shade(score);
                let cell = measure.cell(score, row.errors.as_ref().map(|errors| errors[index]));
                if shade == 0 || cell.is_none() {
                    html.push_str("<dd>");
                } else {
                    html.push_str("<dd class=");
                    shade_class_into(shade, &mut html);
                    html.push('>');
                }
                html.push_str(cell.as_deref().unwrap_or("·"));
            }
            html.push_str("</div>");
        }
        html + "</dl>"
    }
}

/// A list that a script makes of the numbers when it is asked for, after the pattern of another one.
pub fn later(rows: &[Option<Row>], measure: &Measure, class: &str) -> String {
    format!(
        "<p hidden class=\"later panel {class}\" data-m=\"{:.3e} {} {:.3e}\" data-v=\"{}\"></p>",
        measure.least,
        measure.decimals,
        measure.scale.max * measure.factor,
        numbers(rows, measure)
    )
}

/// The scores of rows in the unit that is written, with a decimal more than cells have, and their errors behind a slash.
fn numbers(rows: &[Option<Row>], measure: &Measure) -> String {
    let mut out = String::new();
    for (index, row) in rows.iter().enumerate() {
        if index > 0 {
            out.push(';');
        }
        let Some(row) = row else { continue };
        for (column, score) in row.scores.iter().enumerate() {
            if column > 0 {
                out.push(' ');
            }
            let value = score * measure.factor;
            let text = decimals(value.abs(), (measure.decimals + 1).min(7));
            let text = if text.contains('.') {
                text.trim_end_matches('0').trim_end_matches('.')
            } else {
                &text
            };
            let text = text.strip_prefix('0').filter(|rest| !rest.is_empty()).unwrap_or(text);
            if value < 0.0 && text != "0" {
                out.push('-');
            }
            out.push_str(text);
            if let Some(errors) = &row.errors {
                out.push('/');
                compact(errors[column] * measure.factor, 1, &mut out);
            }
        }
    }
    out
}

impl Row {
    /// Whether the errors of its scores are known.
    pub fn has_errors(&self) -> bool {
        self.errors.is_some()
    }
}

/// The greatest magnitude of rows.
pub fn greatest<'r>(rows: impl IntoIterator<Item = &'r Row>) -> f64 {
    let scores = rows.into_iter().flat_map(|row| &row.scores);
    Scale::over(scores).max
}

/// The names of rows for lines that wrap, and the class that says how many rows there are; without names where they are
/// more than the style sheet knows.
pub fn again(short: &[&str], lines: usize) -> (String, String) {
    if short.len() > MOST_ROWS {
        return (String::new(), String::new());
    }
    let mut once = String::from("<ul>");
    for name in short {
        once.push_str("<li>");
        escape_into(name, &mut once);
    }
    once.push_str("</ul>");
    (
        format!("<div class=\"again\" aria-hidden=\"true\">{}</div>", once.repeat(lines)),
        format!(" r{}", short.len()),
    )
}

/// The legend of maps of one target on one scale.
pub fn legend(results: &Results<'_>, measure: &Measure) -> String {
    let contrast = results
        .first_map()
        .filter(|map| map.target.kind == TargetKind::Contrast);
    let (low, high) = contrast.map_or_else(
        || ("against".to_owned(), "for".to_owned()),
        |map| labels::ends_of_contrast(&map.target.text),
    );
    format!(
        "<div class=\"legend\"><span class=\"low\">{}</span>{}<span>{}</span>\
         <span>full colour is {}; “·” is {}</span></div>",
        escape(&low),
        ramp(),
        escape(&high),
        escape(&measure.told()),
        escape(&measure.dot()),
    )
}

/// The ramp of a legend.
pub fn ramp() -> String {
    let mut html = String::from("<span class=\"ramp\" aria-hidden=\"true\">");
    for shade in (-STEPS..=STEPS).step_by(5) {
        let _ = match shade_class(shade).as_str() {
            "" => write!(html, "<i></i>"),
            class => write!(html, "<i class={class}></i>"),
        };
    }
    html + "</span>"
}

/// The probability of each option as bars, the right one framed; nothing without options.
pub fn option_bars(probabilities: &[(String, f64)], gold: Option<&str>) -> String {
    if probabilities.is_empty() || probabilities.len() > 26 {
        return String::new();
    }
    let width = 7 * probabilities.len();
    let mut told = String::new();
    let (mut bars, mut frame) = (String::new(), String::new());
    for (index, (letter, probability)) in probabilities.iter().enumerate() {
        let _ = write!(
            told,
            "{}{letter} {:.0}%",
            if index > 0 { ", " } else { "" },
            100.0 * probability
        );
        let x = 7 * index;
        if *probability > 0.0 {
            let height = (14.0 * probability).max(0.5);
            let _ = write!(bars, "M{x} 15v-{height:.1}h6v{height:.1}z");
        }
        if gold == Some(letter) {
            let _ = write!(frame, "<path class=right d=\"M{x} 15v-14h6v14z\"/>");
        }
    }
    let mut html = String::new();
    let _ = write!(
        html,
        "<svg class=opt viewBox=\"-1 0 {} 16\" width={} height=16 role=img aria-label=\"",
        width + 1,
        width + 1
    );
    escape_into(&told, &mut html);
    let _ = write!(
        html,
        "\"><path class=back d=\"M0 15.5h{}\"/>{frame}<path class=fill d=\"{bars}\"/></svg>",
        width - 1
    );
    html
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture::Fixture;

    #[test]
    fn numbers_are_rounded_by_their_error_and_small_ones_are_dots() {
        let points = Measure::of(0.69, Some(Output::Probability), "probability");
        assert_eq!(points.cell(0.0955, Some(0.0012)).as_deref(), Some("+9.6"));
        assert_eq!(points.cell(-0.0794, Some(0.02)).as_deref(), Some("−8"));
        assert_eq!(points.cell(0.4187, None).as_deref(), Some("+42"));
        assert_eq!(points.cell(0.009, None), None);
        assert_eq!(points.cell(0.05, Some(0.06)), None, "within its error");
        assert_eq!(
            (points.most().as_str(), points.dot().as_str()),
            ("69", "less than 1 point")
        );
        let small = Measure::of(0.003, Some(Output::Probability), "probability");
        assert_eq!(small.cell(0.0012, None).as_deref(), Some("+0.12"));
        let logits = Measure::of(8.0, Some(Output::Logit), "logit");
        assert_eq!(logits.cell(-3.21, None).as_deref(), Some("−3.2"));
        assert_eq!(logits.unit, "logit");
        assert_eq!(Measure::of(0.0, Some(Output::Logit), "logit").cell(0.0, None), None);
    }

    #[test]
    fn every_word_of_the_subject_and_every_other_segment_is_a_column_and_the_scores_add_up() {
        let fixture = Fixture::demo();
        let site = fixture.site(None);
        let results = Results::of(&fixture.project, &site.results[0]).expect("whole");
        let text = Text::of(&results, 0, true);
        let words = results.samples[0].words[0].as_ref().expect("a map");
        let row = text.row(words, None);
        let all = words.units.iter().sum::<f64>() + words.outside;
        assert!((row.scores.iter().sum::<f64>() - all).abs() < 1e-9);
        let measure = Measure::of(greatest([&row]), Some(Output::Probability), "probability");
        let html = text.html(&[Some(row.clone()), Some(row)], &measure, "", &|_| None);
        assert_eq!(html.matches("<dt>").count(), text.columns.len());
        assert_eq!(html.matches("<dd").count(), 2 * text.columns.len());
        assert!(
            html.contains("<small>claim</small>") && html.contains("<small>rest of prompt</small>"),
            "{html}"
        );
    }
}
