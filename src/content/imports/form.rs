//! The form of an imported file: JSON Lines, a line a map. docs/import.md describes it.
//!
//! What is read ([`MapLine`]) may leave out what can be told from the rest; what is kept and written
//! ([`ImportedMap`]) has all of it, in the same words.

use std::fmt;

use indexmap::IndexMap;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::align::{self, Misfit};
use crate::content::names::{name_problem, shortened};
use crate::content::units::CharText;
use crate::diagnostic::{Diagnostic, Result};
use crate::terms::{Output, Segment, TargetKind, Token};

/// The value of [`ImportHead::schema`].
pub const SCHEMA: &str = "igsite/import/1";

/// The first line of a file, which is about all maps; a file may do without.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportHead {
    /// The schema’s name and version.
    pub schema: String,
    /// The experiment's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experiment: Option<String>,
    /// Title for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Markdown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What each option stands for, by its letter, in the order of pages.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub options: IndexMap<String, String>,
    /// The files that were imported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<ImportFile>,
    /// The version of igsite that imported them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub igsite: Option<String>,
    /// When: UTC, RFC 3339, to the second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
}

impl Default for ImportHead {
    fn default() -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            experiment: None,
            title: None,
            description: String::new(),
            options: IndexMap::new(),
            files: Vec::new(),
            igsite: None,
            created: None,
        }
    }
}

/// A file that was imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportFile {
    /// Its name, without folders.
    pub name: String,
    /// The SHA-256 of its bytes.
    pub sha256: String,
}

/// A map as a line has it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MapLine {
    pub experiment: Option<String>,
    pub model: ModelLine,
    pub sample: String,
    pub gold: Option<String>,
    #[serde(default)]
    pub fields: Map<String, Value>,
    pub prompt: String,
    #[serde(default)]
    pub segments: Vec<SegmentLine>,
    pub tokens: Vec<TokenLine>,
    pub prediction: Option<PredictionLine>,
    #[serde(default)]
    pub options: IndexMap<String, OptionLine>,
    pub target: TargetLine,
    pub method: MethodLine,
    pub output: Output,
    pub baseline: Option<String>,
    pub unit: Option<String>,
    pub note: Option<String>,
    pub f_input: Option<f64>,
    pub f_baseline: Option<f64>,
    pub scores: Vec<f64>,
    pub errors: Option<Vec<f64>>,
    pub file: Option<String>,
}

/// The model that a map is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelLine {
    /// Its id, which is a part of addresses.
    pub id: String,
    /// Title for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Where it is from, in any words: a hub id, a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SegmentLine {
    pub name: String,
    pub start: usize,
    pub end: usize,
}

/// The most probable next token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PredictionLine {
    /// Its id.
    pub token_id: u32,
    /// What it reads as.
    pub text: String,
    /// Its softmax probability.
    pub probability: f64,
}

/// An option's token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptionLine {
    /// Its id.
    pub token_id: u32,
    /// Its softmax probability.
    pub probability: f64,
}

/// What a map explains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetLine {
    /// What it reads as.
    pub text: String,
    /// Its tokens, where they are known: two for a contrast, the first minus the second.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_ids: Vec<u32>,
    /// What kind of thing it is.
    #[serde(default = "any_token")]
    pub kind: TargetKind,
}

fn any_token() -> TargetKind {
    TargetKind::Token
}

/// How a map was made, in the words of who made it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MethodLine {
    /// The method.
    pub name: String,
    /// The program.
    pub tool: String,
    /// The program's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// A token: its text alone, or with its id and its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TokenLine {
    pub text: String,
    pub id: Option<u32>,
    pub span: Option<(usize, usize)>,
    pub special: bool,
}

impl<'de> Deserialize<'de> for TokenLine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TokenVisitor)
    }
}

struct TokenVisitor;

impl<'de> Visitor<'de> for TokenVisitor {
    type Value = TokenLine;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token: its text, or {\"text\": …, \"id\": …, \"start\": …, \"end\": …, \"special\": …}")
    }

    fn visit_str<E>(self, text: &str) -> Result<TokenLine, E> {
        Ok(TokenLine {
            text: text.to_owned(),
            ..TokenLine::default()
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TokenLine, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Object {
            text: String,
            id: Option<u32>,
            start: Option<usize>,
            end: Option<usize>,
            #[serde(default)]
            special: bool,
        }
        let object = Object::deserialize(MapAccessDeserializer::new(map))?;
        let span = match (object.start, object.end) {
            (Some(start), Some(end)) => Some((start, end)),
            (None, None) => None,
            _ => {
                return Err(serde::de::Error::custom(
                    "a token has `start` and `end`, or neither of them",
                ));
            }
        };
        Ok(TokenLine {
            text: object.text,
            id: object.id,
            span,
            special: object.special,
        })
    }
}

/// A map of which everything is told and nothing contradicts itself, as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ImportedMap {
    /// The model.
    pub model: ModelLine,
    /// The sample's id.
    pub sample: String,
    /// The letter of the right option.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gold: Option<String>,
    /// The sample's columns.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Value>,
    /// The text that the model read.
    pub prompt: String,
    /// Its parts, in order and without gaps.
    pub segments: Vec<Segment>,
    /// Its tokens.
    pub tokens: Vec<Token>,
    /// The most probable next token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prediction: Option<PredictionLine>,
    /// The options, by letter.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub options: IndexMap<String, OptionLine>,
    /// What is explained.
    pub target: TargetLine,
    /// How it was made.
    pub method: MethodLine,
    /// The unit of what is explained.
    pub output: Output,
    /// What the input is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// The unit of the scores, where they are no parts of the output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// What else a reader must know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// F at the input, as stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub f_input: Option<f64>,
    /// F at the baseline, as stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub f_baseline: Option<f64>,
    /// A score a token.
    pub scores: Vec<f64>,
    /// The error of each score, as stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<Vec<f64>>,
    /// The file that it came in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// What a segment is called where a file names none.
const WHOLE: &str = "prompt";

impl ImportedMap {
    /// Checks a line, and fills in what follows from the rest.
    ///
    /// # Errors
    /// Something contradicts something; the diagnostic names the key, and neither file nor line.
    pub(super) fn of(line: MapLine) -> Result<Self> {
        if let Some(problem) = name_problem(&line.model.id) {
            let found = format!("`{}` cannot name a model: {problem}", shortened(&line.model.id));
            let error = Diagnostic::content(found).place("model.id");
            return Err(error.help("give the model an id such as `mistral-7b`; `source` and `title` may be any text"));
        }
        for (place, text) in [
            ("sample", &line.sample),
            ("prompt", &line.prompt),
            ("method.name", &line.method.name),
            ("method.tool", &line.method.tool),
            ("target.text", &line.target.text),
        ] {
            if text.is_empty() {
                return Err(Diagnostic::content("this text is empty").place(place));
            }
        }
        let characters = line.prompt.chars().count();
        let segments = segments(line.segments, characters)?;
        let tokens = tokens(&line.prompt, characters, line.tokens)?;
        target(&line.target)?;
        for (place, value) in [("f_input", line.f_input), ("f_baseline", line.f_baseline)] {
            if let Some(value) = value {
                possible(place, value, line.output, line.target.kind)?;
            }
        }
        numbers("scores", &line.scores, tokens.len())?;
        if !line.scores.iter().sum::<f64>().is_finite() || !line.scores.iter().map(|s| s.abs()).sum::<f64>().is_finite()
        {
            return Err(Diagnostic::content("the sum of these scores is too large for a float").place("scores"));
        }
        if let Some(errors) = &line.errors {
            numbers("errors", errors, tokens.len())?;
            if let Some(at) = errors.iter().position(|error| *error < 0.0) {
                let error = Diagnostic::content(format!("the error {} is below zero", errors[at]));
                return Err(error
                    .place(format!("errors[{at}]"))
                    .expected("how far off a score may be, at most"));
            }
        }
        let known = line
            .prediction
            .iter()
            .map(|one| ("prediction.probability".to_owned(), one.probability));
        let options = line.options.iter();
        let options =
            options.map(|(letter, one)| (format!("options.{}.probability", shortened(letter)), one.probability));
        for (place, probability) in known.chain(options) {
            if !(0.0..=1.0).contains(&probability) {
                let error = Diagnostic::content(format!("{probability} is no probability")).place(place);
                return Err(error.expected("a number from 0 to 1"));
            }
        }
        if let Some(gold) = &line.gold
            && !line.options.is_empty()
            && !line.options.contains_key(gold)
        {
            let letters: Vec<&str> = line.options.keys().map(String::as_str).collect();
            let error = Diagnostic::content(format!("`{}` is none of the options", shortened(gold))).place("gold");
            return Err(error.expected(format!("one of {}", letters.join(", "))));
        }
        Ok(Self {
            model: line.model,
            sample: line.sample,
            gold: line.gold,
            fields: line.fields,
            prompt: line.prompt,
            segments,
            tokens,
            prediction: line.prediction,
            options: line.options,
            target: line.target,
            method: line.method,
            output: line.output,
            baseline: line.baseline,
            unit: line.unit,
            note: line.note,
            f_input: line.f_input,
            f_baseline: line.f_baseline,
            scores: line.scores,
            errors: line.errors,
            file: line.file,
        })
    }
}

/// Checks that a target has as many tokens as its kind says, where it tells them.
fn target(target: &TargetLine) -> Result<()> {
    let expected = match (target.kind, target.token_ids.len()) {
        (TargetKind::Contrast, 0 | 2) | (TargetKind::Token | TargetKind::Predicted, 0 | 1) => return Ok(()),
        (TargetKind::Gold | TargetKind::Option | TargetKind::Text | TargetKind::Generated, _) => return Ok(()),
        (TargetKind::Contrast, _) => "two ids, the first minus the second, or none",
        (TargetKind::Token | TargetKind::Predicted, _) => "one id, or none",
    };
    let found = format!("{} ids, where `kind` is {}", target.token_ids.len(), target.kind);
    let error = Diagnostic::content(found).place("target.token_ids").expected(expected);
    Err(error.help("a text of several tokens is of the kind `text`, or `generated` where the model wrote it"))
}

/// Checks that a value of F can be one.
fn possible(place: &str, value: f64, output: Output, kind: TargetKind) -> Result<()> {
    let contrast = kind == TargetKind::Contrast;
    let (least, most) = match output {
        Output::Probability if contrast => (-1.0, 1.0),
        Output::Probability => (0.0, 1.0),
        Output::LogProbability if !contrast => (f64::NEG_INFINITY, 0.0),
        Output::LogProbability | Output::Logit => return Ok(()),
    };
    // What was computed in half precision may be a little above.
    const ROUNDING: f64 = 1e-2;
    if (least - ROUNDING..=most + ROUNDING).contains(&value) {
        return Ok(());
    }
    let error = Diagnostic::content(format!("{value} cannot be F, where `output` is {output}")).place(place);
    Err(error
        .expected(match output {
            Output::LogProbability => "0 or less".to_owned(),
            _ => format!("a number from {least} to {most}"),
        })
        .help("`output` says what F is: probability, logit or log_probability"))
}

/// Whether a token's text may stand for a part of the prompt. Only where both are ASCII can that be said: tokenizers
/// write other characters in ways of their own. White space, case and the marks of a word's beginning or inside are not
/// compared.
fn may_be(text: &str, part: &str) -> bool {
    let plain = text.replace(['▁', 'Ġ'], " ").replace('Ċ', "\n").replace('ĉ', "\t");
    let plain = plain.trim();
    let plain = plain.strip_prefix("##").unwrap_or(plain);
    let bracketed = plain.starts_with('<') && plain.ends_with('>') || plain.starts_with('[') && plain.ends_with(']');
    bracketed || !plain.is_ascii() || !part.is_ascii() || plain.eq_ignore_ascii_case(part.trim())
}

fn numbers(place: &str, numbers: &[f64], tokens: usize) -> Result<()> {
    if numbers.len() != tokens {
        let error = Diagnostic::content(format!("{} numbers for {tokens} tokens", numbers.len())).place(place);
        return Err(error.expected("one for each token, special tokens among them"));
    }
    match numbers.iter().position(|number| !number.is_finite()) {
        None => Ok(()),
        Some(at) => Err(Diagnostic::content(format!("{} is no finite number", numbers[at]))
            .place(format!("{place}[{at}]"))
            .expected("a finite number")
            .help("a map with a value that is not finite cannot be drawn: leave this map out")),
    }
}

/// The parts of a prompt: one where none are named.
fn segments(lines: Vec<SegmentLine>, characters: usize) -> Result<Vec<Segment>> {
    if lines.is_empty() {
        return Ok(vec![Segment {
            name: WHOLE.to_owned(),
            start: 0,
            end: characters,
        }]);
    }
    let mut cursor = 0;
    for (index, SegmentLine { name, start, end }) in lines.iter().enumerate() {
        let place = || format!("segments[{index}]");
        if name.is_empty() {
            return Err(Diagnostic::content("this segment has no name").place(place()));
        }
        if *start != cursor || end < start || *end > characters {
            let found = format!("the segment `{}` is from {start} to {end}", shortened(name));
            return Err(Diagnostic::content(found).place(place()).expected(format!(
                "a start of {cursor} and an end of at most {characters}: segments follow one another without gaps, \
                 and count the characters of the prompt"
            )));
        }
        cursor = *end;
    }
    if cursor != characters {
        let found = format!("the segments end at character {cursor}, the prompt at {characters}");
        return Err(Diagnostic::content(found)
            .place("segments")
            .expected("segments that hold all of the prompt"));
    }
    let segment = |line: SegmentLine| Segment {
        name: line.name,
        start: line.start,
        end: line.end,
    };
    Ok(lines.into_iter().map(segment).collect())
}

/// The tokens with their spans: as they are told, or found in the prompt.
fn tokens(prompt: &str, characters: usize, lines: Vec<TokenLine>) -> Result<Vec<Token>> {
    if lines.is_empty() {
        return Err(Diagnostic::content("there is no token").place("tokens"));
    }
    let told = lines.iter().filter(|line| line.span.is_some()).count();
    if told == 0 {
        let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        let found = align::spans(prompt, &texts).map_err(|misfit| misfit_error(&misfit, prompt, &texts))?;
        let token = |(line, found): (&TokenLine, align::Found)| Token {
            id: line.id.unwrap_or(Token::NO_ID),
            text: found.text,
            start: found.start,
            end: found.end,
            special: line.special || found.special,
        };
        return Ok(lines.iter().zip(found).map(token).collect());
    }
    let text = CharText::new(prompt);
    let mut cursor = 0;
    let mut tokens = Vec::with_capacity(lines.len());
    for (index, line) in lines.into_iter().enumerate() {
        let place = format!("tokens[{index}]");
        let Some((start, end)) = line.span else {
            let error = Diagnostic::content("this token has no place, though others have one").place(place);
            return Err(error.expected("`start` and `end` for every token, or for none"));
        };
        if end < start || end > characters || start < cursor {
            let found = format!("the token `{}` is from {start} to {end}", shortened(&line.text));
            return Err(Diagnostic::content(found).place(place).expected(format!(
                "a start of {cursor} or more and an end of at most {characters}: characters of the prompt, from 0, \
                 tokens in their order"
            )));
        }
        let part = text.slice(start, end);
        if !line.special && !may_be(&line.text, part) {
            let found = format!(
                "the token `{}` is placed where the prompt has `{}`",
                shortened(&line.text),
                shortened(part)
            );
            return Err(Diagnostic::content(found)
                .place(place)
                .expected("`start` and `end` of the token's own characters")
                .help(
                    "places count characters of the prompt from 0, and `end` is one past the last; a token that is no \
                     text of the prompt has `\"special\": true`",
                ));
        }
        cursor = start;
        tokens.push(Token {
            id: line.id.unwrap_or(Token::NO_ID),
            text: line.text,
            start,
            end,
            special: line.special,
        });
    }
    Ok(tokens)
}

/// Says where tokens leave the prompt.
pub fn misfit_error(misfit: &Misfit, prompt: &str, texts: &[&str]) -> Diagnostic {
    let rest: String = prompt.chars().skip(misfit.character).collect();
    let goes_on = shortened(&rest);
    match texts.get(misfit.token) {
        Some(text) => Diagnostic::content(format!(
            "the token `{}` is not what the prompt goes on with at character {}: `{goes_on}`",
            shortened(text),
            misfit.character
        ))
        .place(format!("tokens[{}]", misfit.token)),
        None => Diagnostic::content(format!(
            "the tokens end at character {}, and the prompt goes on: `{goes_on}`",
            misfit.character
        ))
        .place("tokens"),
    }
    .expected("tokens whose texts are the prompt, one after the other")
    .help("give each token its `start` and `end`, or a special token `\"special\": true` with both")
}
