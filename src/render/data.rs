//! The records as data: JSON for each, JSON Lines and CSV for an experiment. Texts are exact here, pictures are for pages.

use serde::Serialize;

use crate::diagnostic::{Diagnostic, Result};
use crate::render::ExperimentResults;
use crate::store::record::SampleRecord;

/// The columns of the CSV, in order, and what they hold; pages show this table too.
pub const COLUMNS: [(&str, &str); 25] = [
    ("experiment", "id of the experiment"),
    ("model", "id of the model"),
    ("sample", "id of the sample, exact"),
    ("gold", "letter of the right option; empty where the dataset has none"),
    ("predicted", "text of the most probable next token"),
    (
        "correct",
        "whether the prediction is the gold option; empty without one",
    ),
    ("target_kind", "predicted, gold, option, token or contrast"),
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
        "error estimate of the score, in the same unit; empty where the rule has none",
    ),
    ("evaluations", "forward and backward passes spent on the map"),
    (
        "error_estimate",
        "of the whole map: sum of the errors by sum of |score|; empty where the rule has none",
    ),
    (
        "converged",
        "whether the map’s delta, and its error estimate where there is one, are within tolerance",
    ),
];

/// One record as JSON on one line.
pub fn json(record: &SampleRecord) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(record).map_err(|error| failed("JSON", &error))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// All records of an experiment, models outer, samples inner, one a line.
pub fn json_lines(results: &ExperimentResults<'_>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for record in results.records.iter().flatten() {
        bytes.extend(json(record)?);
    }
    Ok(bytes)
}

/// All tokens of an experiment, one a row, for every target and baseline.
pub fn csv(results: &ExperimentResults<'_>) -> Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    // The header by hand, so that an experiment without records has it too.
    writer
        .write_record(COLUMNS.map(|(name, _)| name))
        .map_err(|error| failed("CSV", &error))?;
    for record in results.records.iter().flatten() {
        for attribution in &record.attributions {
            for (index, token) in record.tokens.iter().enumerate() {
                let segment = record.segments.iter().find(|s| !token.special && token.start < s.end);
                let row = Row {
                    experiment: &record.experiment,
                    model: &record.model.id,
                    sample: &record.sample.id,
                    gold: record.sample.gold.as_deref(),
                    predicted: &record.prediction.text,
                    correct: record.correct,
                    target_kind: &attribution.target.kind,
                    target: &attribution.target.text,
                    output: attribution.output,
                    baseline: &attribution.baseline,
                    quadrature: attribution.quadrature,
                    steps: attribution.steps,
                    non_finite: attribution
                        .non_finite
                        .as_ref()
                        .map(|n| format!("{} at {}", n.what, n.alpha)),
                    token: index,
                    token_id: token.id,
                    text: &token.text,
                    start: token.start,
                    end: token.end,
                    special: token.special,
                    segment: segment.map(|s| s.name.as_str()),
                    score: attribution.scores.get(index).copied().map(float),
                    error: attribution
                        .errors
                        .as_ref()
                        .and_then(|e| e.get(index))
                        .copied()
                        .map(float),
                    evaluations: attribution.evaluations,
                    error_estimate: attribution.error_estimate.map(float),
                    converged: attribution.converged,
                };
                writer.serialize(row).map_err(|error| failed("CSV", &error))?;
            }
        }
    }
    writer.into_inner().map_err(|error| failed("CSV", &error.into_error()))
}

#[derive(Serialize)]
struct Row<'a> {
    experiment: &'a str,
    model: &'a str,
    sample: &'a str,
    gold: Option<&'a str>,
    predicted: &'a str,
    correct: Option<bool>,
    target_kind: &'a str,
    target: &'a str,
    output: crate::content::experiment::Output,
    baseline: &'a str,
    quadrature: crate::content::experiment::Quadrature,
    steps: Option<usize>,
    non_finite: Option<String>,
    token: usize,
    token_id: u32,
    text: &'a str,
    start: usize,
    end: usize,
    special: bool,
    segment: Option<&'a str>,
    score: Option<String>,
    error: Option<String>,
    evaluations: usize,
    error_estimate: Option<String>,
    converged: bool,
}

/// The shortest decimal that reads back to the same float, as JSON has it.
fn float(x: f64) -> String {
    serde_json::Number::from_f64(x).map_or_else(|| x.to_string(), |number| number.to_string())
}

fn failed(what: &str, error: &dyn std::error::Error) -> Diagnostic {
    Diagnostic::output(format!("cannot write {what}: {error}"))
}
