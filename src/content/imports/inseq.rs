//! What `FeatureAttributionOutput.save` of inseq writes, as lines of our own form.
//!
//! inseq explains a generated text step by step: a column of scores for each generated token, a row for each token
//! before it. A step is a sample of its own here: its prompt is the input and what was generated before it, the segments
//! `prompt` and `generated`; its target is the token that it generates. Only causal models have one text: a map with
//! scores of a source that an encoder read is refused.

use std::path::Path;

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::align;
use super::form::{MapLine, MethodLine, ModelLine, SegmentLine, TargetLine, TokenLine, misfit_error};
use super::tensor::{self, Tensor};
use crate::content::names::shortened;
use crate::diagnostic::{Diagnostic, Result};
use crate::terms::{Output, TargetKind};

/// Methods whose scores of the hidden dimensions are parts of F: their sum is the token's score.
const ADDITIVE: [&str; 10] = [
    "integrated_gradients",
    "input_x_gradient",
    "deeplift",
    "gradient_shap",
    "discretized_integrated_gradients",
    "sequential_integrated_gradients",
    "layer_integrated_gradients",
    "layer_gradient_x_activation",
    "layer_deeplift",
    "occlusion",
];
/// Methods that give the gradient itself.
const GRADIENTS: [&str; 1] = ["saliency"];

/// What the author chose.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// The model's id; else it is made from inseq's name for the model.
    pub model: Option<String>,
    /// inseq's version, which its files do not tell.
    pub version: Option<String>,
    /// Only so many generated tokens of each sequence.
    pub steps: Option<usize>,
}

/// Samples are numbered over all files of an import: an input text has one number.
pub type Numbers = IndexMap<String, usize>;

/// Whether a JSON value is such a file.
pub(super) fn is_saved(value: &Value) -> bool {
    attributes(value).get("sequence_attributions").is_some()
}

/// The fields of an object, which inseq puts within one that names its class, or not (`use_primitives`).
fn attributes(value: &Value) -> &Value {
    match value.get("__instance_type__") {
        Some(_) => value.get("attributes").unwrap_or(&Value::Null),
        None => value,
    }
}

/// The maps of a file.
///
/// # Errors
/// It lacks something, or is of a kind that igsite has no page for; the diagnostic names the place in the JSON.
pub(super) fn lines(file: &Path, saved: &Value, choices: &Choices, numbers: &mut Numbers) -> Result<Vec<MapLine>> {
    let saved = attributes(saved);
    let info = saved.get("info").and_then(Value::as_object);
    let info = info.ok_or_else(|| missing("info", "what inseq notes of a run"))?;
    let run = Run::of(file, info, choices)?;
    let sequences = saved.get("sequence_attributions").and_then(Value::as_array);
    let sequences = sequences.ok_or_else(|| missing("sequence_attributions", "a list"))?;
    let mut lines = Vec::new();
    for (index, sequence) in sequences.iter().enumerate() {
        let texts = Texts::of(info, index)?;
        let next = numbers.len() + 1;
        let number = *numbers.entry(texts.input.to_owned()).or_insert(next);
        let of_sequence = run.sequence(attributes(sequence), &texts, number);
        let within = |mut error: Diagnostic| {
            let place = error.place.map_or_else(String::new, |place| format!(".{place}"));
            error.place = Some(format!("sequence_attributions[{index}]{place}"));
            error
        };
        lines.extend(of_sequence.map_err(within)?);
    }
    Ok(lines)
}

fn missing(place: &str, what: &str) -> Diagnostic {
    Diagnostic::content(format!("`{place}` is not there, or is not {what}"))
        .expected("what `FeatureAttributionOutput.save` of inseq writes")
}

/// The texts of a sequence.
struct Texts<'a> {
    input: &'a str,
    /// With the input before it.
    generated: &'a str,
}

impl<'a> Texts<'a> {
    fn of(info: &'a Map<String, Value>, index: usize) -> Result<Self> {
        let text = |name: &str| {
            let text = info.get(name).and_then(|texts| texts.get(index)?.as_str());
            text.ok_or_else(|| missing(&format!("info.{name}[{index}]"), "a text"))
        };
        Ok(Self {
            input: text("input_texts")?,
            generated: text("generated_texts")?,
        })
    }
}

/// What is the same for all sequences of a file.
struct Run<'a> {
    model: ModelLine,
    method: MethodLine,
    output: Output,
    kind: TargetKind,
    /// The settings of the method, as a note.
    settings: Option<String>,
    file: Option<String>,
    steps: usize,
    /// The name of F among the scores of each step.
    step_score: &'a str,
}

impl<'a> Run<'a> {
    fn of(file: &Path, info: &'a Map<String, Value>, choices: &Choices) -> Result<Self> {
        let text = |name: &str| info.get(name).and_then(Value::as_str);
        let needed = |name: &str| text(name).ok_or_else(|| missing(&format!("info.{name}"), "a text"));
        let source = needed("model_name")?;
        let explained = text("attributed_fn").unwrap_or("probability_fn");
        let step_score = explained.strip_suffix("_fn").unwrap_or(explained);
        let (output, kind) = match step_score {
            "probability" => (Output::Probability, TargetKind::Token),
            "logit" => (Output::Logit, TargetKind::Token),
            "contrast_prob_diff" => (Output::Probability, TargetKind::Contrast),
            "contrast_logits_diff" => (Output::Logit, TargetKind::Contrast),
            other => {
                let found = format!("this map explains `{}`", shortened(other));
                return Err(Diagnostic::content(found)
                    .place("info.attributed_fn")
                    .expected("probability, logit, contrast_prob_diff or contrast_logits_diff")
                    .help("attribute with `attributed_fn=\"probability\"`"));
            }
        };
        let arguments = info.get("attribution_args").and_then(Value::as_object);
        let settings = arguments
            .into_iter()
            .flatten()
            .map(|(name, value)| format!("{name}: {value}"));
        let settings = settings.collect::<Vec<_>>().join(", ");
        Ok(Self {
            model: ModelLine {
                id: choices.model.clone().unwrap_or_else(|| id_of(source)),
                title: None,
                source: Some(source.to_owned()),
            },
            method: MethodLine {
                name: needed("attribution_method")?.to_owned(),
                tool: "inseq".to_owned(),
                version: choices.version.clone(),
            },
            output,
            kind,
            settings: Some(settings).filter(|settings| !settings.is_empty()),
            file: file.file_name().map(|name| name.to_string_lossy().into_owned()),
            steps: choices.steps.unwrap_or(usize::MAX),
            step_score,
        })
    }

    /// The steps of a sequence.
    fn sequence(&self, sequence: &Value, texts: &Texts<'_>, number: usize) -> Result<Vec<MapLine>> {
        if sequence
            .get("source_attributions")
            .is_some_and(|source| !source.is_null())
        {
            return Err(Diagnostic::content("these are scores of a source that an encoder read")
                .place("source_attributions")
                .expected("a map of a causal model, which reads one text"));
        }
        let tokens = target_tokens(sequence)?;
        let names: Vec<&str> = tokens.iter().map(|(name, _)| *name).collect();
        let places =
            align::spans(texts.generated, &names).map_err(|misfit| misfit_error(&misfit, texts.generated, &names))?;
        let scores = sequence.get("target_attributions").and_then(Value::as_str);
        let scores = scores.ok_or_else(|| missing("target_attributions", "a text"))?;
        let scores = read("target_attributions", scores)?;
        let first = sequence.get("attr_pos_start").and_then(Value::as_u64);
        let first = first.ok_or_else(|| missing("attr_pos_start", "a number"))?;
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        let summed = Summed::of(scores, &self.method.name)?;
        if first == 0
            || first.checked_add(summed.steps).is_none_or(|end| end > tokens.len())
            || summed.rows + 1 < first + summed.steps
        {
            return Err(Diagnostic::content(format!(
                "scores of {} tokens in {} steps from token {first} on, and {} tokens",
                summed.rows,
                summed.steps,
                tokens.len()
            ))
            .place("target_attributions")
            .expected("a step for each generated token, with a score for each token before it"));
        }
        let source = sequence
            .get("source")
            .and_then(Value::as_array)
            .map_or(usize::MAX, Vec::len);
        let f_input = self.f_input(sequence, summed.steps)?;
        let input = texts.input.chars().count();
        let characters: Vec<char> = texts.generated.chars().collect();
        let mut lines = Vec::new();
        for step in 0..summed.steps.min(self.steps) {
            let explained = first + step;
            let seen = &places[..explained];
            let end = seen.iter().map(|place| place.end).max().unwrap_or(0);
            // White space that no token holds is of the input all the same.
            let least = if explained >= source { input } else { 0 };
            let end = end.max(least).min(characters.len());
            let prompt: String = characters[..end].iter().collect();
            let parts = [("prompt", 0, input.min(end)), ("generated", input.min(end), end)];
            let segments = parts
                .into_iter()
                .filter(|(name, start, end)| *name == "prompt" || start < end);
            let token = |(place, (_, id)): (&align::Found, &(&str, Option<u32>))| TokenLine {
                text: place.text.clone(),
                id: *id,
                span: Some((place.start, place.end)),
                special: place.special,
            };
            let fields = json!({"sequence": number, "step": step + 1, "generated": texts.generated});
            lines.push(MapLine {
                experiment: None,
                model: self.model.clone(),
                sample: format!("{number}.{}", step + 1),
                gold: None,
                fields: fields.as_object().cloned().unwrap_or_default(),
                prompt,
                segments: segments
                    .map(|(name, start, end)| SegmentLine {
                        name: name.to_owned(),
                        start,
                        end,
                    })
                    .collect(),
                tokens: seen.iter().zip(&tokens).map(token).collect(),
                prediction: None,
                options: IndexMap::new(),
                target: TargetLine {
                    text: match self.kind {
                        TargetKind::Contrast => format!("{} − what inseq held against it", places[explained].text),
                        _ => places[explained].text.clone(),
                    },
                    token_ids: tokens[explained].1.into_iter().collect(),
                    kind: self.kind,
                },
                method: self.method.clone(),
                output: self.output,
                baseline: None,
                unit: summed.unit.map(str::to_owned),
                note: Some(match &self.settings {
                    Some(settings) => format!("{}; {settings}", summed.note),
                    None => summed.note.to_owned(),
                }),
                f_input: f_input.as_ref().and_then(|of_steps| of_steps.get(step).copied()),
                f_baseline: None,
                scores: (0..explained).map(|row| summed.at(row, step)).collect(),
                errors: None,
                file: self.file.clone(),
            });
        }
        Ok(lines)
    }

    /// F at the input of each step, where inseq was asked for it (`step_scores`).
    fn f_input(&self, sequence: &Value, steps: usize) -> Result<Option<Vec<f64>>> {
        let scores = sequence.get("step_scores");
        let Some(text) = scores.and_then(|scores| scores.get(self.step_score)?.as_str()) else {
            return Ok(None);
        };
        let place = format!("step_scores.{}", self.step_score);
        let numbers = read(&place, text)?.numbers;
        if numbers.len() != steps || numbers.iter().any(|number| !number.is_finite()) {
            let found = format!("{} numbers for {steps} steps, or one that is not finite", numbers.len());
            return Err(Diagnostic::content(found)
                .place(place)
                .expected("a finite number for each step"));
        }
        Ok(Some(numbers))
    }
}

fn read(place: &str, text: &str) -> Result<Tensor> {
    tensor::read(text).map_err(|what| {
        Diagnostic::content(format!("this {what}"))
            .place(place)
            .expected("a tensor as inseq saves it: safetensors in base64")
            .may_be_damaged()
    })
}

/// The tokens of a whole sequence with their ids.
fn target_tokens(sequence: &Value) -> Result<Vec<(&str, Option<u32>)>> {
    let tokens = sequence.get("target").and_then(Value::as_array);
    let tokens = tokens.ok_or_else(|| missing("target", "a list"))?;
    let mut all = Vec::with_capacity(tokens.len());
    for (index, token) in tokens.iter().enumerate() {
        let token = attributes(token);
        let name = token.get("token").and_then(Value::as_str);
        let name = name.ok_or_else(|| missing(&format!("target[{index}].token"), "a text"))?;
        let id = token.get("id").and_then(Value::as_u64);
        all.push((name, id.and_then(|id| u32::try_from(id).ok())));
    }
    Ok(all)
}

/// An id from inseq's name for a model, which is a hub id or a path.
fn id_of(source: &str) -> String {
    let last = source
        .rsplit(['/', '\\'])
        .find(|part| !part.is_empty())
        .unwrap_or("model");
    let kept = |c: char| {
        if c.is_ascii_alphanumeric() || "._-".contains(c) {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let id: String = last.chars().map(kept).collect();
    let id = id.trim_matches(['.', '-']);
    if id.is_empty() {
        "model".to_owned()
    } else {
        id.to_owned()
    }
}

/// A score for each token and step.
struct Summed {
    rows: usize,
    steps: usize,
    /// How many numbers each of them has: of the hidden dimensions, or of layers and heads.
    deep: usize,
    numbers: Vec<f64>,
    how: How,
    /// The unit of the scores, where they are no parts of F.
    unit: Option<&'static str>,
    /// What the scores are.
    note: &'static str,
}

#[derive(Clone, Copy)]
enum How {
    Sum,
    Norm,
    Mean,
}

impl Summed {
    /// How the numbers of a token are made into one, by the method and the number of dimensions.
    fn of(scores: Tensor, method: &str) -> Result<Self> {
        let dimensions = scores.shape.len();
        let (additive, gradient) = (ADDITIVE.contains(&method), GRADIENTS.contains(&method));
        let (how, unit, note) = match (dimensions, method) {
            (2, "occlusion") => (How::Sum, None, "as inseq gives them"),
            (2, _) if additive || gradient => (
                How::Sum,
                Some("what inseq aggregated to"),
                "aggregated in inseq before they were saved: by default the L2 norm over the hidden dimensions, \
                 normalised to a sum of 1 over the tokens, without sign",
            ),
            (2, _) => (How::Sum, Some("what inseq gives"), "as inseq gives them"),
            (3, _) if additive => (
                How::Sum,
                None,
                "summed over the hidden dimensions, with sign, by igsite",
            ),
            (3, _) if gradient => (
                How::Norm,
                Some("L2 norm of the gradient"),
                "the L2 norm of the gradient over the hidden dimensions, without sign, by igsite; \
                 no parts of the output, they add up to nothing",
            ),
            (3 | 4, "attention") => (
                How::Mean,
                Some("attention weight"),
                "the mean of the attention weights over layers and heads, by igsite; no parts of the output",
            ),
            _ => {
                let found = format!("scores of {dimensions} dimensions by `{}`", shortened(method));
                return Err(Diagnostic::content(found)
                    .place("target_attributions")
                    .expected("tokens × steps, or the hidden dimensions of a gradient method besides")
                    .help("aggregate before saving: `out.aggregate(…).save(path)`"));
            }
        };
        if scores.numbers.is_empty() {
            return Err(
                Diagnostic::content(format!("scores of the shape {:?}: there are none", scores.shape))
                    .place("target_attributions"),
            );
        }
        Ok(Self {
            rows: scores.shape[0],
            steps: scores.shape[1],
            deep: scores.shape[2..].iter().product(),
            numbers: scores.numbers,
            how,
            unit,
            note,
        })
    }

    fn at(&self, row: usize, step: usize) -> f64 {
        let from = (row * self.steps + step) * self.deep;
        let numbers = &self.numbers[from..from + self.deep];
        match self.how {
            How::Sum => numbers.iter().sum(),
            How::Norm => numbers.iter().map(|number| number * number).sum::<f64>().sqrt(),
            How::Mean => numbers.iter().sum::<f64>() / self.deep as f64,
        }
    }
}
