//! The arguments of `claim` and `verdict`: sentences that are checked at every build.

use super::{Arguments, baselines, chosen, models, named, targets};
use crate::analysis::text::bare;
use crate::content::experiment::Experiment;
use crate::content::names::{quoted, shortened};
use crate::content::units::{CharText, Units};
use crate::diagnostic::Diagnostic;
use crate::render::markdown::Refusal;

/// A sentence with what must hold for it to be true.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// Of which models; it must hold for each.
    pub models: Vec<usize>,
    /// Of which sample; none for all.
    pub sample: Option<usize>,
    /// Which of a record's attributions.
    pub attribution: usize,
    /// Which number.
    pub of: Of,
    /// Of what in the prompt; none where the number is of no part of it.
    pub unit: Option<Unit>,
    /// Whether it must be greater than the bound, or else less.
    pub greater: bool,
    /// What it is held against.
    pub bound: Bound,
    /// The author's words, with `{score}` and the like for numbers.
    pub text: Option<String>,
}

/// The number of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The sum of the scores of a unit.
    Score,
    /// Its share of the sum of |word score|.
    Share,
    /// The share of right answers.
    Accuracy,
}

/// A part of prompts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A word, in lower case and without the punctuation that touches it.
    Word(String),
    /// A segment.
    Segment(String),
}

/// What a number is held against.
#[derive(Clone, Debug, PartialEq)]
pub enum Bound {
    /// A number.
    Value(f64),
    /// The same number of another part of the same prompts.
    Unit(Unit),
    /// The same number of another model.
    Model(usize),
}

/// Which verdicts on maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerdictPick {
    /// Of one model, or of all.
    pub model: Option<usize>,
    /// Whether each must beat every control.
    pub must_beat: bool,
}

/// What is stated of the number: its word, whether it is greater, and whether it is held against something else.
const STATED: [(&str, (bool, bool)); 4] = [
    ("above", (true, false)),
    ("below", (false, false)),
    ("more than", (true, true)),
    ("less than", (false, true)),
];

const NUMBERS: [(&str, Of); 3] = [("score", Of::Score), ("share", Of::Share), ("accuracy", Of::Accuracy)];

/// The names that an author's sentence may have in braces.
pub const PLACEHOLDERS: [&str; 6] = ["score", "error", "than", "models", "target", "samples"];

/// The claim of a shortcode.
pub(super) fn claim(arguments: &mut Arguments<'_>, experiment: &Experiment) -> Option<Claim> {
    let about = format!("experiment `{}`", experiment.id);
    let known = models(experiment);
    let models = if arguments.get("model").is_some() {
        arguments.idle("models", "`model` or `models`, and not both");
        arguments.place("model", &known, &about).map(|model| vec![model])
    } else {
        match arguments.get("models") {
            None => Some((0..known.len()).collect()),
            Some(field) => chosen(arguments, &field, &known, &about),
        }
    };
    let samples: Vec<&str> = experiment.samples.iter().map(|sample| sample.id.as_str()).collect();
    let sample = match arguments.get("sample") {
        None => Some(None),
        Some(_) => arguments.place("sample", &samples, &about).map(Some),
    };
    let of = arguments.choice("of", &NUMBERS, Some(Of::Score));
    let baselines = baselines(experiment);
    let target = named(arguments, "target", &targets(experiment), &about);
    let baseline = named(arguments, "baseline", &baselines, &about);
    let stated = arguments.choice("is", &STATED, None);
    let text = match arguments.get("text") {
        None => Some(None),
        Some(field) => arguments.decoder.quoted(&field).map(|text| Some(text.to_owned())),
    };
    if let Some(Some(text)) = &text {
        look_for_placeholders(text, arguments);
    }
    let (of, sample, (greater, against)) = (of?, sample?, stated?);
    let unit = if of == Of::Accuracy {
        for name in ["word", "segment", "target", "baseline", "sample"] {
            arguments.idle(
                name,
                "nothing: `of=\"accuracy\"` is the share of right answers over all samples",
            );
        }
        None
    } else {
        Some(unit(arguments, experiment, sample)?)
    };
    let bound = if against {
        arguments.idle("value", "`value` with `is=\"above\"` or `is=\"below\"`");
        match (arguments.get("than"), arguments.get("than_model")) {
            (Some(field), None) => {
                let name = arguments.decoder.quoted(&field)?;
                let like = unit.as_ref();
                let Some(like) = like else {
                    arguments.idle("than", "`than_model`: the number is of no part of the prompts");
                    return None;
                };
                let other = match like {
                    Unit::Word(_) => Unit::Word(bare(name).to_lowercase()),
                    Unit::Segment(_) => Unit::Segment(name.to_owned()),
                };
                look_for(
                    &other,
                    "than",
                    field.node.position.column,
                    name,
                    experiment,
                    sample,
                    arguments,
                )?;
                Bound::Unit(other)
            }
            (None, Some(_)) => Bound::Model(arguments.place("than_model", &known, &about)?),
            _ => {
                let error = Diagnostic::content("a claim of more or less needs what of")
                    .expected("`than`, another word or segment, or `than_model`");
                arguments.refused.push(Refusal::at(arguments.call.at, error));
                return None;
            }
        }
    } else {
        for name in ["than", "than_model"] {
            arguments.idle(name, "it with `is=\"more than\"` or `is=\"less than\"`");
        }
        Bound::Value(value(arguments)?)
    };
    Some(Claim {
        models: models?,
        sample,
        attribution: target? * baselines.len() + baseline?,
        of,
        unit,
        greater,
        bound,
        text: text?,
    })
}

/// The number that a score must be above or below; zero where none is given.
fn value(arguments: &mut Arguments<'_>) -> Option<f64> {
    let Some(field) = arguments.get("value") else {
        return Some(0.0);
    };
    let number = field.scalar().and_then(|scalar| scalar.text.trim().parse::<f64>().ok());
    let number = number.filter(|number| number.is_finite());
    if number.is_none() {
        arguments.decoder.wrong(&field, "a number, such as `\"0.1\"`");
    }
    number
}

/// The word or segment of a claim.
fn unit(arguments: &mut Arguments<'_>, experiment: &Experiment, sample: Option<usize>) -> Option<Unit> {
    let (name, unit): (_, fn(&str) -> Unit) = match (arguments.get("word"), arguments.get("segment")) {
        (Some(_), None) => ("word", |word| Unit::Word(bare(word).to_lowercase())),
        (None, Some(_)) => ("segment", |name| Unit::Segment(name.to_owned())),
        (one, _) => {
            let found = if one.is_some() { "both" } else { "neither" };
            let error = Diagnostic::content(format!("a claim is of a word or of a segment; {found} is given"))
                .expected("`word=\"…\"` or `segment=\"…\"`");
            arguments.refused.push(Refusal::at(arguments.call.at, error));
            return None;
        }
    };
    let field = arguments.get(name)?;
    let written = arguments.decoder.quoted(&field)?;
    let unit = unit(written);
    look_for(
        &unit,
        name,
        field.node.position.column,
        written,
        experiment,
        sample,
        arguments,
    )?;
    Some(unit)
}

/// Refuses a word or segment that no prompt has which the claim is about.
fn look_for(
    unit: &Unit,
    argument: &str,
    at: usize,
    written: &str,
    experiment: &Experiment,
    sample: Option<usize>,
    arguments: &mut Arguments<'_>,
) -> Option<()> {
    let samples = match sample {
        Some(sample) => &experiment.samples[sample..=sample],
        None => &experiment.samples[..],
    };
    let of = match sample {
        Some(sample) => format!("sample `{}`", shortened(&experiment.samples[sample].id)),
        None => format!("no sample of experiment `{}`", experiment.id),
    };
    let has = if sample.is_some() { "has no" } else { "has a" };
    match unit {
        Unit::Word(word) => {
            let mut words: Vec<String> = Vec::new();
            for sample in samples {
                let text = CharText::new(&sample.prompt.text);
                let units = Units::of(&sample.prompt.text, &sample.prompt.segments);
                words.extend(
                    units
                        .words
                        .iter()
                        .map(|unit| bare(text.slice(unit.start, unit.end)).to_lowercase()),
                );
            }
            if words.contains(word) {
                return Some(());
            }
            let found = format!("argument `{argument}`: {of} {has} word `{}`", shortened(written));
            let mut error = Diagnostic::content(found).expected("a word of the prompt, as it is written there");
            let known = words.iter().map(String::as_str);
            error.help = crate::content::names::nearest(word, known).map(|meant| format!("did you mean `{meant}`?"));
            arguments.refused.push(Refusal::at(at, error));
        }
        Unit::Segment(name) => {
            let mut names: Vec<&str> = Vec::new();
            for segment in samples.iter().flat_map(|sample| &sample.prompt.segments) {
                if !names.contains(&segment.name.as_str()) {
                    names.push(&segment.name);
                }
            }
            if names.contains(&name.as_str()) {
                return Some(());
            }
            let found = format!("argument `{argument}`: {of} {has} segment `{}`", shortened(written));
            arguments.refuse(at, found, names.iter().copied(), written);
        }
    }
    None
}

/// Refuses names in braces that stand for nothing.
fn look_for_placeholders(text: &str, arguments: &mut Arguments<'_>) {
    for name in text
        .split('{')
        .skip(1)
        .map(|rest| rest.split('}').next().unwrap_or(rest))
    {
        if !PLACEHOLDERS.contains(&name) {
            let known = PLACEHOLDERS.map(|name| format!("{{{name}}}"));
            let error = Diagnostic::content(format!("argument `text`: `{{{}}}` stands for nothing", shortened(name)))
                .expected(format!("one of {}", quoted(known.iter().map(String::as_str))));
            arguments.refused.push(Refusal::at(arguments.call.at, error));
        }
    }
}

/// The verdicts of a shortcode.
pub(super) fn verdict(arguments: &mut Arguments<'_>, experiment: &Experiment) -> Option<VerdictPick> {
    let about = format!("experiment `{}`", experiment.id);
    if experiment.faithfulness.is_none() {
        let error = Diagnostic::content(format!("{about} does not put its maps to the test"))
            .expected("an experiment with `faithfulness`");
        arguments.refused.push(Refusal::at(arguments.call.at, error));
        return None;
    }
    let model = match arguments.get("model") {
        None => Some(None),
        Some(_) => arguments.place("model", &models(experiment), &about).map(Some),
    };
    let must_beat = match arguments.get("is") {
        None => Some(false),
        Some(_) => arguments.choice("is", &[("better", true)], None),
    };
    Some(VerdictPick {
        model: model?,
        must_beat: must_beat?,
    })
}
