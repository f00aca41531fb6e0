//! Sentences with numbers that are computed when the site is built, and that fail the build when they are no longer
//! true: `claim`, and the verdicts on maps that were put to the test.

use serde::Serialize;

use super::names::{Bound, Claim, Of, Unit, VerdictPick};
use super::{Embeds, nowhere, plain, template};
use crate::analysis::bootstrap::Standing;
use crate::analysis::map;
use crate::analysis::results::Results;
use crate::analysis::summary;
use crate::analysis::text::bare;
use crate::content::units::{CharText, UnitScores, Units};
use crate::diagnostic::{Diagnostic, Result};
use crate::render::markdown::headings::Ids;
use crate::render::markdown::{Refusal, Shown};
use crate::render::pages::Link;
use crate::render::text::{list, number, percent, plus_minus, signed};
use crate::site::urls;
use crate::store::record::SampleRecord;
use crate::terms::{Method, TargetKind};

#[derive(Serialize)]
struct ClaimView<'a> {
    id: String,
    caption: Option<&'a str>,
    sentence: String,
    /// Where the numbers are from.
    evidence: Link,
}

#[derive(Serialize)]
struct VerdictView<'a> {
    id: String,
    caption: Option<&'a str>,
    experiment: Link,
    verdicts: Vec<VerdictLine<'a>>,
}

#[derive(Serialize)]
struct VerdictLine<'a> {
    model: String,
    method: Method,
    /// What the maps explain, and from what baseline.
    explains: String,
    standing: Option<Standing>,
    verdict: &'a str,
}

/// A number of a claim.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Measured {
    value: f64,
    /// Its error, at most; zero where errors are unknown.
    error: f64,
    /// Samples that it is the mean of.
    samples: usize,
}

impl Embeds<'_> {
    /// A sentence that is true, or the error that says in numbers why it is not.
    pub(super) fn claim(
        &self,
        results: &Results<'_>,
        claim: &Claim,
        caption: Option<&str>,
        ids: &mut Ids,
        at: usize,
    ) -> Result<Shown, Vec<Refusal>> {
        let evidence = match (claim.sample, &claim.models[..]) {
            (Some(sample), _) => urls::sample(&results.experiment.id, results.slug(sample)),
            (None, _) => urls::experiment(&results.experiment.id),
        };
        let sentence = sentence(results, claim).map_err(|error| {
            let error = error.help(format!(
                "change the sentence, or see what changed: {evidence} has the numbers"
            ));
            vec![Refusal::at(at, error)]
        })?;
        let view = ClaimView {
            id: ids.take("claim"),
            caption,
            sentence,
            evidence: Link {
                title: match claim.sample {
                    Some(sample) => format!("sample {}", results.sample_title(sample)),
                    None => results.experiment.title.clone(),
                },
                href: self.links.to(&evidence),
            },
        };
        self.written("claim", &view)
    }

    /// The verdicts on the maps of an experiment, or the error that says which of them do not hold.
    pub(super) fn verdict(
        &self,
        results: &Results<'_>,
        pick: &VerdictPick,
        caption: Option<&str>,
        ids: &mut Ids,
        at: usize,
    ) -> Result<Shown, Vec<Refusal>> {
        let experiment = results.experiment;
        let title = |id: &str| {
            let place = experiment.models.iter().position(|known| known == id);
            place.map_or_else(|| id.to_owned(), |place| results.models[place].clone())
        };
        let chosen = pick.model.map(|model| experiment.models[model].as_str());
        let tested = results.evidence.tested.iter();
        let verdicts: Vec<VerdictLine<'_>> = tested
            .filter(|maps| chosen.is_none_or(|id| maps.common.model == id))
            .map(|maps| VerdictLine {
                model: title(&maps.common.model),
                method: maps.common.method,
                explains: format!(
                    "{}, from the {}",
                    maps.common
                        .target
                        .clone()
                        .unwrap_or_else(|| maps.common.kind.to_string()),
                    maps.common.baseline.name()
                ),
                standing: maps.standing,
                verdict: &maps.verdict,
            })
            .collect();
        if pick.must_beat {
            // As on the experiment's page, a model is judged by the first of its maps.
            let mut first: Vec<&VerdictLine<'_>> = Vec::new();
            for line in &verdicts {
                if !first.iter().any(|other| other.model == line.model) {
                    first.push(line);
                }
            }
            let fallen: Vec<String> = first
                .iter()
                .filter(|line| line.standing != Some(Standing::Better))
                .map(|line| format!("{}: {}", line.model, line.verdict))
                .collect();
            if first.is_empty() || !fallen.is_empty() {
                let found = if fallen.is_empty() {
                    "no map was tested".to_owned()
                } else {
                    fallen.join(" ")
                };
                let error = Diagnostic::content(format!("these maps do not beat every control: {found}"))
                    .expected("maps that do, as `is=\"better\"` states")
                    .help("change the sentence, or look at the experiment’s page under “Do the maps hold?”");
                return Err(vec![Refusal::at(at, error)]);
            }
        }
        let view = VerdictView {
            id: ids.take("verdict"),
            caption,
            experiment: super::views::experiment(self, results),
            verdicts,
        };
        self.written("verdict", &view)
    }

    fn written(&self, name: &str, view: &impl Serialize) -> Result<Shown, Vec<Refusal>> {
        let html = self.theme.render(&template(name), view);
        let html = html.map_err(|diagnostic| vec![nowhere(diagnostic)])?;
        Ok(plain(String::from_utf8_lossy(&html).into_owned()))
    }
}

/// The sentence of a claim that holds.
///
/// # Errors
/// It does not hold for some model: the error says for which, with what number.
fn sentence(results: &Results<'_>, claim: &Claim) -> Result<String> {
    let written = |measured: Measured| match claim.of {
        Of::Score => {
            let error = if measured.error > 0.0 {
                format!(" {}", plus_minus(measured.error))
            } else {
                String::new()
            };
            signed(measured.value) + &error
        }
        Of::Share | Of::Accuracy => percent(measured.value),
    };
    let mut told = Vec::new();
    let mut failed = Vec::new();
    let (mut first, mut other) = (None, None);
    for &model in &claim.models {
        let own = measure(results, model, claim, claim.unit.as_ref())?;
        let (bound, bound_error) = match &claim.bound {
            Bound::Value(value) => (*value, 0.0),
            Bound::Unit(unit) => {
                let against = measure(results, model, claim, Some(unit))?;
                other.get_or_insert(against);
                (against.value, against.error)
            }
            Bound::Model(rival) => {
                let against = measure(results, *rival, claim, claim.unit.as_ref())?;
                other.get_or_insert(against);
                (against.value, against.error)
            }
        };
        first.get_or_insert(own);
        let ahead = if claim.greater {
            own.value - bound
        } else {
            bound - own.value
        };
        let against = match &claim.bound {
            Bound::Value(_) => String::new(),
            Bound::Unit(unit) => format!(" against {} of {}", named_number(claim, bound), unit_name(unit)),
            Bound::Model(rival) => format!(" against {} of {}", named_number(claim, bound), results.models[*rival]),
        };
        let line = format!("{} ({}{against})", results.models[model], written(own));
        // A number that its error may turn round states nothing. What is not greater is no number, too.
        if ahead > own.error + bound_error {
            told.push(line);
        } else {
            failed.push(line);
        }
    }
    let states = match (&claim.bound, claim.greater) {
        (Bound::Value(value), true) => format!("above {}", named_number(claim, *value)),
        (Bound::Value(value), false) => format!("below {}", named_number(claim, *value)),
        (Bound::Unit(unit), true) => format!("more than {}", unit_name(unit)),
        (Bound::Unit(unit), false) => format!("less than {}", unit_name(unit)),
        (Bound::Model(model), true) => format!("more than {}", results.models[*model]),
        (Bound::Model(model), false) => format!("less than {}", results.models[*model]),
    };
    let what = match (&claim.unit, claim.of) {
        (Some(unit), Of::Share) => format!("the share of {}", unit_name(unit)),
        (Some(unit), _) => format!("the score of {}", unit_name(unit)),
        (None, _) => "the share of right answers".to_owned(),
    };
    if !failed.is_empty() {
        return Err(
            Diagnostic::content(format!("this claim is not true: {what}: {}", failed.join(", ")))
                .expected(format!("it is {states}, beyond the error of the numbers")),
        );
    }
    let target = target_name(results, claim);
    let Some(text) = &claim.text else {
        let of = match claim.sample {
            Some(sample) => format!(" on sample {}", results.sample_title(sample)),
            None => match first.map_or(0, |first| first.samples) {
                1 => " on one sample".to_owned(),
                count => format!(" in the mean over {count} samples"),
            },
        };
        let towards = if claim.of == Of::Score {
            format!(", for {target},")
        } else {
            String::new()
        };
        return Ok(format!("{}{towards} is {states}{of}: {}.", capital(&what), list(&told)));
    };
    let number_of = |measured: Option<Measured>| {
        measured.map_or_else(String::new, |measured| match claim.of {
            Of::Score => signed(measured.value),
            Of::Share | Of::Accuracy => percent(measured.value),
        })
    };
    let models: Vec<String> = claim
        .models
        .iter()
        .map(|&model| results.models[model].clone())
        .collect();
    let mut sentence = text.clone();
    for (name, value) in [
        (
            "score",
            match claim.models.len() {
                1 => number_of(first),
                _ => list(&told),
            },
        ),
        ("error", first.map_or_else(String::new, |first| number(first.error))),
        (
            "than",
            match &claim.bound {
                Bound::Value(value) => named_number(claim, *value),
                _ => number_of(other),
            },
        ),
        ("models", list(&models)),
        ("target", target),
        ("samples", first.map_or(0, |first| first.samples).to_string()),
    ] {
        sentence = sentence.replace(&format!("{{{name}}}"), &value);
    }
    Ok(sentence)
}

/// A number as the claim's numbers are written.
fn named_number(claim: &Claim, value: f64) -> String {
    match claim.of {
        Of::Score if value == 0.0 => "0".to_owned(),
        Of::Score => signed(value),
        Of::Share | Of::Accuracy => percent(value),
    }
}

fn unit_name(unit: &Unit) -> String {
    match unit {
        Unit::Word(word) => format!("the word “{word}”"),
        Unit::Segment(name) => format!("the segment “{name}”"),
    }
}

/// What the maps of a claim explain.
fn target_name(results: &Results<'_>, claim: &Claim) -> String {
    let sample = claim.sample.unwrap_or(0);
    let model = claim.models.first().copied().unwrap_or(0);
    let record: &SampleRecord = results.record(model, sample);
    match record.attributions.get(claim.attribution).map(|map| &map.target) {
        Some(target) if target.kind == TargetKind::Predicted => "the model’s own answer".to_owned(),
        Some(target) if target.kind == TargetKind::Gold => "the right answer".to_owned(),
        Some(target) => format!("“{}”", target.shown()),
        None => "the target".to_owned(),
    }
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

/// A model's number for a unit: of one sample, or the mean over those that have the unit and a map.
fn measure(results: &Results<'_>, model: usize, claim: &Claim, unit: Option<&Unit>) -> Result<Measured> {
    let Some(unit) = unit else {
        let accuracy = results.summaries[model].accuracy;
        let value = accuracy.value().ok_or_else(|| missing("no right answer is known"))?;
        return Ok(Measured {
            value,
            error: 0.0,
            samples: accuracy.of,
        });
    };
    let samples = match claim.sample {
        Some(sample) => sample..sample + 1,
        None => 0..results.samples.len(),
    };
    let (mut sum, mut errors, mut count) = (0.0, 0.0, 0);
    for sample in samples {
        let record = results.record(model, sample);
        let Some(map) = record.attributions.get(claim.attribution) else {
            continue;
        };
        if !summary::is_drawable(map, record) {
            continue;
        }
        let units = results.samples[sample].units_of(model);
        let assignment = units.assign(&record.prompt, &record.tokens);
        let scores = units.word_scores(&assignment, &map.scores);
        let of_errors = map::errors(map).map(|errors| units.word_scores(&assignment, &errors));
        let words = places(units, &record.prompt, unit);
        if words.is_empty() {
            continue;
        }
        let error: f64 = of_errors
            .as_ref()
            .map_or(0.0, |errors| total(errors, &words, |error| error));
        let (value, error) = match claim.of {
            Of::Share => {
                let all = scores
                    .units
                    .iter()
                    .chain([&scores.outside])
                    .map(|score| score.abs())
                    .sum::<f64>();
                if all == 0.0 {
                    continue;
                }
                let all_errors = of_errors
                    .as_ref()
                    .map_or(0.0, |errors| errors.units.iter().sum::<f64>() + errors.outside);
                let share = total(&scores, &words, f64::abs) / all;
                // Of a quotient: both may be off.
                (share, (error + share * all_errors) / all)
            }
            _ => (total(&scores, &words, |score| score), error),
        };
        sum += value;
        errors += error;
        count += 1;
    }
    if count == 0 {
        let name = &results.models[model];
        return Err(missing(&format!("{name} has no map with {}", unit_name(unit))));
    }
    Ok(Measured {
        value: sum / count as f64,
        error: errors / count as f64,
        samples: count,
    })
}

fn missing(what: &str) -> Diagnostic {
    Diagnostic::content(format!("this claim has no number: {what}"))
}

fn total(scores: &UnitScores, words: &[usize], of: impl Fn(f64) -> f64) -> f64 {
    words.iter().map(|&word| of(scores.units[word])).sum()
}

/// The words of a prompt that a unit is made of.
fn places(units: &Units, prompt: &str, unit: &Unit) -> Vec<usize> {
    let text = CharText::new(prompt);
    let all = 0..units.words.len();
    match unit {
        Unit::Word(word) => all
            .filter(|&place| {
                let unit = &units.words[place];
                bare(text.slice(unit.start, unit.end)).to_lowercase() == *word
            })
            .collect(),
        Unit::Segment(name) => all
            .filter(|&place| units.segments[units.segment_of_word(place)].name == *name)
            .collect(),
    }
}
