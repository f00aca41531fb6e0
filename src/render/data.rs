//! The records as data: JSON for each, JSON Lines and CSV for an experiment. Texts are exact here, pictures are for
//! pages.
//!
//! Exact, too, where a spreadsheet would take a cell for a formula (`=`, `+`, `-`, `@`): the page and docs/data.md say
//! so. A quote before them would make another token of it.

pub mod tables;

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

use crate::analysis::evidence::Evidence;
use crate::analysis::map;
use crate::diagnostic::{Diagnostic, Result};
use crate::render::values::Without;
use crate::store::record::{Imported, SampleInfo, SampleRecord};
use crate::terms::{Method, Segment, Shuffled, TestNumbers, Token};

/// The columns of the CSV, in order, and what they hold; pages show this table too.
pub const COLUMNS: [(&str, &str); 27] = [
    ("experiment", "id of the experiment"),
    ("model", "id of the model"),
    ("sample", "id of the sample, exact"),
    ("gold", "letter of the right option; empty where the dataset has none"),
    ("predicted", "text of the most probable next token"),
    (
        "correct",
        "whether the prediction is the gold option; empty without one",
    ),
    (
        "target_kind",
        "predicted, gold, option, token, contrast, text or generated",
    ),
    ("target", "text of what is explained"),
    ("output", "unit of the score: probability, logit or log_probability"),
    ("baseline", "where the path starts"),
    ("quadrature", "rule for the path integral"),
    ("steps", "points of a fixed rule; empty for the adaptive one"),
    (
        "non_finite",
        "what was not finite along the path, where a record is marked; then there is no score",
    ),
    ("token", "position of the token in the prompt, from 0"),
    ("token_id", "id in the model’s vocabulary"),
    ("text", "what the token reads as, exact"),
    ("start", "first character of the prompt, from 0"),
    ("end", "one past the last character"),
    ("special", "whether it is a special token"),
    ("segment", "segment that holds it; empty for special tokens"),
    (
        "score",
        "signed attribution in the output’s unit; reads back to the same float",
    ),
    (
        "error",
        "error estimate of the score, in the same unit; of Shapley values their standard error; empty where the method knows none",
    ),
    ("evaluations", "forward and backward passes spent on the map"),
    (
        "error_estimate",
        "of the whole map: sum of the errors by sum of |score|; empty where the rule has none",
    ),
    (
        "converged",
        "whether the map’s delta, and its error estimate where there is one, are within tolerance; empty where a method has no such test",
    ),
    (
        "method",
        "how the map was made; of an imported map in the words of the program that computed it",
    ),
    (
        "computed_by",
        "the program that computed an imported map; empty where igsite did",
    ),
];

/// One record as JSON on one line.
pub fn json(record: &SampleRecord) -> Result<Vec<u8>> {
    // A token and its score have some 100 characters.
    let maps = 1 + record.attributions.len();
    let mut bytes = Vec::with_capacity(2048 + record.prompt.len() + 100 * record.tokens.len() * maps);
    serde_json::to_writer(&mut bytes, record).map_err(|error| failed("JSON", &error))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The records of all models for a sample, as JSON on one line: what all have in common once, in `shared`, and the rest
/// of each in `records`. A record is the keys of `shared` and its own.
///
/// # Errors
/// A record cannot be written.
pub fn json_of_sample(records: &[&SampleRecord]) -> Result<Vec<u8>> {
    /// Keys that are the same for all models, unless each has a chat template of its own round the prompt.
    const OF_ALL: [&str; 5] = ["schema", "experiment", "sample", "prompt", "segments"];
    const OF_ROW: [&str; 3] = ["schema", "experiment", "sample"];
    #[derive(Serialize)]
    struct Shared<'a> {
        schema: &'a str,
        experiment: &'a str,
        sample: &'a SampleInfo,
        #[serde(skip_serializing_if = "Option::is_none")]
        prompt: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        segments: Option<&'a [Segment]>,
    }
    #[derive(Serialize)]
    struct Records<'a> {
        schema: &'a str,
        shared: Option<Shared<'a>>,
        records: Vec<Without<'a, SampleRecord>>,
    }
    let first = records.first();
    let alike = first.is_some_and(|first| {
        let same = |other: &&SampleRecord| (&other.prompt, &other.segments) == (&first.prompt, &first.segments);
        records.iter().all(same)
    });
    let all = Records {
        schema: RECORDS_SCHEMA,
        shared: first.map(|first| Shared {
            schema: &first.schema,
            experiment: &first.experiment,
            sample: &first.sample,
            prompt: alike.then_some(&first.prompt),
            segments: alike.then_some(&first.segments),
        }),
        records: records
            .iter()
            .map(|record| Without(*record, if alike { &OF_ALL } else { &OF_ROW }))
            .collect(),
    };
    let mut bytes = Vec::new();
    serde_json::to_writer(&mut bytes, &all).map_err(|error| failed("JSON", &error))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The value of `schema` in a file of packed records.
pub const RECORDS_SCHEMA: &str = "igsite/records/1";

/// Parts behind each other, packed by gzip; the same bytes always. Quickly: what is written again at every build had
/// better not take longer than computing what changed.
pub fn gzip(parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    // Without a time in its head.
    let mut encoder = GzEncoder::new(Vec::with_capacity(length / 3), Compression::fast());
    let written = parts.iter().try_for_each(|part| encoder.write_all(part));
    let packed = written.and_then(|()| encoder.finish());
    packed.unwrap_or_else(|e| unreachable!("memory takes every write: {e}"))
}

/// The first line of an experiment's CSV.
pub fn csv_header() -> Vec<u8> {
    (COLUMNS.map(|(name, _)| name).join(",") + "\n").into_bytes()
}

/// All tokens of a record as lines of CSV, one a row, for every target and baseline.
///
/// Most cells are the same in all rows of a map, or of a token, so they are written once and copied: an experiment has
/// a million rows.
pub fn csv(record: &SampleRecord) -> Vec<u8> {
    // A row has some 150 characters.
    let mut lines = Vec::with_capacity(200 * record.tokens.len() * record.attributions.len());
    let tokens: Vec<Vec<u8>> = record
        .tokens
        .iter()
        .enumerate()
        .map(|(i, t)| token(record, i, t))
        .collect();
    for attribution in record.attributions.iter().filter(|a| a.absent.is_none()) {
        let mut before = Cells::default();
        before.text(&record.experiment);
        before.text(&record.model.id);
        before.text(&record.sample.id);
        before.text(record.sample.gold.as_deref().unwrap_or(""));
        before.text(record.prediction.as_ref().map_or("", |prediction| &prediction.text));
        before.plain(record.correct);
        before.text(attribution.target.kind.word());
        before.text(&attribution.target.text);
        before.word(attribution.output);
        let imported = attribution.imported.as_ref();
        let stated = imported.and_then(|imported| imported.baseline.clone());
        let baseline = attribution.baseline.as_ref().map(ToString::to_string).or(stated);
        before.text(&baseline.unwrap_or_default());
        before.plain(attribution.quadrature);
        before.plain(attribution.steps);
        let marked = attribution.non_finite.as_ref();
        before.text(&marked.map_or_else(String::new, |n| format!("{} at {}", n.what, n.alpha)));
        let mut after = Cells::default();
        after.plain(imported.is_none().then_some(attribution.evaluations));
        after.plain(attribution.error_estimate);
        after.plain(attribution.converged);
        let method = attribution.method.map(Method::word);
        after.text(method.unwrap_or_else(|| attribution.method_name()));
        after.text(&imported.map(Imported::by).unwrap_or_default());
        let errors = map::errors(attribution);
        for (index, token) in tokens.iter().enumerate() {
            lines.extend_from_slice(&before.0);
            lines.extend_from_slice(token);
            let mut own = Cells(lines);
            own.plain(attribution.scores.get(index));
            own.plain(errors.as_ref().and_then(|errors| errors.get(index)));
            lines = own.0;
            lines.extend_from_slice(&after.0);
            // The comma behind the last cell.
            lines.pop();
            lines.push(b'\n');
        }
    }
    lines
}

/// The columns of the CSV of tests, in order, and what they hold.
pub const TEST_COLUMNS: [(&str, &str); 24] = [
    ("experiment", "id of the experiment"),
    ("model", "id of the model"),
    ("sample", "id of the sample, exact"),
    ("method", "how the map was made"),
    ("target_kind", "what kind of thing the map explains"),
    ("target", "text of what is explained"),
    ("output", "unit of F"),
    ("baseline", "what the map compares the input with"),
    ("replacement", "what removed units become"),
    ("units", "what is removed at a time"),
    ("count", "how many units there are"),
    (
        "tested",
        "what was put to the test: `map`, or one of its controls: `shuffled` (means of the shuffles), `last_first`, `first_first`, `parameters`, `option`",
    ),
    ("failed", "why there are no numbers; empty where there are"),
    (
        "comprehensiveness",
        "in the output’s unit: not for comparison between models",
    ),
    ("sufficiency", "the same"),
    (
        "normalised_comprehensiveness",
        "0 for the worst order of removal that is known, 1 for the best",
    ),
    ("normalised_sufficiency", "the same; less is better"),
    (
        "flip",
        "how many units must go until another token is the most probable; empty where none does",
    ),
    (
        "lds",
        "rank correlation of F with the sum of the scores of what is kept",
    ),
    (
        "spearman",
        "of another map: rank correlation of its |scores| with the map’s",
    ),
    (
        "comprehensiveness_deviation",
        "standard deviation over the shuffles; empty of all else",
    ),
    ("shuffles", "how many there are; empty of all else"),
    (
        "shuffles_beaten",
        "how many of them have a smaller comprehensiveness than the map; empty of all else",
    ),
    ("seed", "what everything random was drawn by"),
];

/// The first line of the CSV of tests.
pub fn tests_header() -> Vec<u8> {
    (TEST_COLUMNS.map(|(name, _)| name).join(",") + "\n").into_bytes()
}

/// `data/EXPERIMENT/evidence.json`: what the experiment's page says of its maps over the samples, as numbers: the means of
/// their tests with intervals and differences to each control, how they find the known cause, how methods agree, verdicts.
pub fn evidence(experiment: &str, evidence: &Evidence) -> Result<Vec<u8>> {
    #[derive(Serialize)]
    struct File<'a> {
        schema: &'static str,
        experiment: &'a str,
        #[serde(flatten)]
        evidence: &'a Evidence,
    }
    let file = File {
        schema: "igsite/evidence/1",
        experiment,
        evidence,
    };
    let mut bytes = serde_json::to_vec(&file).map_err(|error| failed("JSON", &error))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The tests of a record's maps as lines of CSV: a row a map, replacement and control.
pub fn tests_csv(record: &SampleRecord) -> Vec<u8> {
    let mut lines = Vec::new();
    for map in &record.attributions {
        for test in &map.faithfulness {
            let mut before = Cells::default();
            before.text(&record.experiment);
            before.text(&record.model.id);
            before.text(&record.sample.id);
            before.text(match map.method {
                Some(method) => method.word(),
                None => map.method_name(),
            });
            before.text(map.target.kind.word());
            before.text(&map.target.text);
            before.word(map.output);
            before.text(&map.baseline.as_ref().map_or_else(String::new, ToString::to_string));
            before.text(&test.replacement.to_string());
            before.text(test.units.word());
            before.plain(Some(test.count));
            let mut row = |name: &str, numbers: &TestNumbers, spearman: Option<f64>, shuffled: Option<&Shuffled>| {
                let mut cells = Cells(before.0.clone());
                cells.text(name);
                cells.text(test.failed.as_deref().unwrap_or(""));
                let normalised = numbers.normalised;
                for number in [
                    numbers.comprehensiveness,
                    numbers.sufficiency,
                    normalised.map(|both| both.comprehensiveness),
                    normalised.map(|both| both.sufficiency),
                ] {
                    cells.plain(number);
                }
                match shuffled {
                    Some(shuffled) => cells.plain(shuffled.flip.map(|flip| flip.mean)),
                    None => cells.plain(numbers.flip),
                }
                cells.plain(numbers.lds);
                cells.plain(spearman);
                cells.plain(shuffled.and_then(|shuffled| Some(shuffled.comprehensiveness?.deviation)));
                cells.plain(shuffled.map(|shuffled| shuffled.count));
                cells.plain(shuffled.map(|shuffled| shuffled.beaten));
                cells.plain(Some(test.seed));
                cells.0.pop();
                cells.0.push(b'\n');
                lines.extend_from_slice(&cells.0);
            };
            row("map", &test.numbers(), None, None);
            let controls = &test.controls;
            if let Some(shuffled) = &controls.shuffled {
                row("shuffled", &shuffled.means(), None, Some(shuffled));
            }
            if let Some(position) = &controls.position {
                row("last_first", &position.last_first, None, None);
                row("first_first", &position.first_first, None, None);
            }
            for (name, other) in [("parameters", &controls.parameters), ("option", &controls.option)] {
                if let Some(other) = other {
                    row(name, &other.numbers, other.spearman, None);
                }
            }
        }
    }
    lines
}

/// The cells of a token that are the same in every map.
fn token(record: &SampleRecord, index: usize, token: &Token) -> Vec<u8> {
    let segment = record.segments.iter().find(|s| !token.special && token.start < s.end);
    let mut cells = Cells::default();
    cells.plain(Some(index));
    cells.plain(token.known_id());
    cells.text(&token.text);
    cells.plain(Some(token.start));
    cells.plain(Some(token.end));
    cells.plain(Some(token.special));
    cells.text(segment.map_or("", |segment| segment.name.as_str()));
    cells.0
}

/// Cells of CSV (RFC 4180), each with a comma behind it.
#[derive(Default)]
pub(super) struct Cells(pub(super) Vec<u8>);

impl Cells {
    /// Any text, in quotes where it needs them.
    pub(super) fn text(&mut self, text: &str) {
        if text.bytes().any(|b| matches!(b, b',' | b'"' | b'\n' | b'\r')) {
            self.0.push(b'"');
            self.0.extend_from_slice(text.replace('"', "\"\"").as_bytes());
            self.0.push(b'"');
        } else {
            self.0.extend_from_slice(text.as_bytes());
        }
        self.0.push(b',');
    }

    /// A word of the contract, such as `log_probability`.
    fn word(&mut self, word: impl Serialize) {
        let json = serde_json::to_string(&word).unwrap_or_else(|e| unreachable!("a word is plain data: {e}"));
        self.text(json.trim_matches('"'));
    }

    /// Ends the line in place of the comma behind its last cell.
    pub(super) fn end(&mut self) {
        self.0.pop();
        self.0.push(b'\n');
    }

    /// A number or a truth value as JSON has it (floats in the shortest form that reads back to the same float);
    /// nothing if there is none.
    pub(super) fn plain(&mut self, value: Option<impl Serialize>) {
        if let Some(value) = value {
            serde_json::to_writer(&mut self.0, &value).unwrap_or_else(|e| unreachable!("a number is plain data: {e}"));
        }
        self.0.push(b',');
    }
}

fn failed(what: &str, error: &dyn std::error::Error) -> Diagnostic {
    Diagnostic::output(format!("cannot write {what}: {error}"))
}
