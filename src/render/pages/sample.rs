//! A sample: one prompt, all models under each other, aligned word by word.

use serde::Serialize;

use super::experiment::{map_note, neighbours};
use super::{Frame, Link, Renderer, finding, or_dash};
use crate::analysis::agreement::{Measures, TOP};
use crate::analysis::align::{CharText, Level, UnitScores};
use crate::analysis::summary::{self, Share};
use crate::diagnostic::Result;
use crate::render::heatmap::{self, Scale};
use crate::render::results::{Results, bare};
use crate::render::text::{correlation, excerpt, percent, signed};
use crate::render::{Sink, chart, labels};
use crate::site::urls::{self, Links};

#[derive(Serialize)]
struct SampleView {
    page: Frame,
    heading: String,
    id: String,
    subject: String,
    experiment: Link,
    finding: Vec<String>,
    map_note: String,
    legend: String,
    models: Vec<ModelMap>,
    words: Vec<WordRow>,
    options: Vec<OptionRow>,
    agreements: Vec<AgreementRow>,
    top: usize,
    differences: Vec<Difference>,
    difference_legend: String,
    fields: Vec<(String, String)>,
    previous: Option<Link>,
    next: Option<Link>,
}

#[derive(Serialize)]
struct ModelMap {
    title: String,
    href: String,
    json: String,
    answer: String,
    probability: String,
    verdict: &'static str,
    target: String,
    quality: String,
    badge: &'static str,
    badge_class: &'static str,
    map: Option<String>,
    words: Vec<(String, String, String)>,
}

#[derive(Serialize)]
struct WordRow {
    word: String,
    segment: String,
    /// Class and number for each model.
    cells: Vec<(String, String)>,
}

#[derive(Serialize)]
struct OptionRow {
    label: String,
    right: bool,
    /// Bar, number and whether it is the model's answer, for each model.
    cells: Vec<(String, String, bool)>,
}

#[derive(Serialize)]
struct AgreementRow {
    first: String,
    second: String,
    /// Each measure as pages lead with it, and without weights.
    spearman: (String, String),
    spearman_class: String,
    kendall: (String, String),
    overlap: (String, String),
    /// Pairs of words whose order is certain in both maps; empty where errors are unknown.
    certain: String,
}

#[derive(Serialize)]
struct Difference {
    first: String,
    second: String,
    map: String,
    words: Vec<(String, String, String)>,
}

impl Renderer<'_> {
    /// `experiments/ID/samples/SLUG/index.html`.
    pub fn sample(&self, results: &Results<'_>, sample: usize, out: &mut Sink<'_>) -> Result<()> {
        let experiment = results.experiment;
        let path = urls::sample(&experiment.id, results.slug(sample));
        let links = Links::on(path.clone());
        let analysed = &results.samples[sample];
        let title = results.sample_title(sample);
        let finding = finding::of_sample(results, sample);
        // One scale for all models, so that a shade means the same in each.
        let scale = Scale::over(
            analysed
                .words
                .iter()
                .flatten()
                .flat_map(|words| words.units.iter().chain([&words.outside])),
        );
        let (differences, difference_scale) = differences(results, sample);
        let crumbs = vec![
            (self.site_title.clone(), urls::HOME.to_owned()),
            (experiment.title.clone(), urls::experiment(&experiment.id)),
        ];
        let (previous, next) = neighbours(results, sample, |index| {
            links.to(&urls::sample(&experiment.id, results.slug(index)))
        });
        let fields = experiment.samples[sample].fields.iter();
        let view = SampleView {
            page: self.frame(
                &links,
                &path,
                &format!("Sample {title} · {}", experiment.title),
                &finding.join(" "),
                crumbs,
            ),
            heading: format!("Sample {title}"),
            id: experiment.samples[sample].id.clone(),
            subject: analysed.subject.clone(),
            experiment: Link {
                title: experiment.title.clone(),
                href: links.to(&urls::experiment(&experiment.id)),
            },
            finding,
            map_note: map_note(results),
            legend: heatmap::legend(scale, results.unit()),
            models: (0..results.models.len())
                .map(|model| model_map(results, model, sample, scale, &links))
                .collect(),
            words: words(results, sample, scale),
            options: options(results, sample),
            agreements: agreements(results, sample),
            top: TOP.min(analysed.units.words.len()),
            differences,
            difference_legend: heatmap::legend(difference_scale, results.unit()),
            fields: fields.map(|(name, value)| (name.clone(), field(value))).collect(),
            previous,
            next,
        };
        self.page(
            out,
            path,
            "sample.html",
            &view,
            &format!("sample `{title}` of `{}`", experiment.id),
        )
    }
}

fn field(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn model_map(results: &Results<'_>, model: usize, sample: usize, scale: Scale, links: &Links) -> ModelMap {
    let record = results.record(model, sample);
    let analysed = &results.samples[sample];
    let id = &results.experiment.models[model];
    let attribution = record.attributions.first();
    let (badge, badge_class) = attribution.map_or(("no attribution", "bad"), labels::badge);
    let words = results.top_words(model, sample, 5);
    ModelMap {
        title: results.models[model].clone(),
        href: links.to(&urls::map(&results.experiment.id, id, results.slug(sample))),
        json: links.to(&urls::record(&results.experiment.id, id, results.slug(sample))),
        answer: results.option_label(&excerpt(summary::answer(record), 20)),
        probability: percent(summary::answer_probability(record)),
        verdict: match record.correct {
            Some(true) => "right",
            Some(false) => "wrong",
            None => "",
        },
        target: attribution.map_or_else(String::new, labels::target),
        quality: attribution.map_or_else(String::new, labels::quality),
        badge,
        badge_class,
        map: analysed.words[model].as_ref().map(|words| {
            let errors = analysed.errors[model].as_ref();
            let prompt = &results.experiment.samples[sample].prompt.text;
            heatmap::units(
                prompt,
                &analysed.units,
                Level::Word,
                words,
                errors,
                (results.outside(), scale),
            )
        }),
        words: words
            .into_iter()
            .map(|(word, score)| (word, scale.class(score), signed(score)))
            .collect(),
    }
}

fn words(results: &Results<'_>, sample: usize, scale: Scale) -> Vec<WordRow> {
    let analysed = &results.samples[sample];
    let text = CharText::new(&results.experiment.samples[sample].prompt.text);
    let cells = |score: &dyn Fn(&UnitScores) -> f64| -> Vec<(String, String)> {
        let cell = |words: &Option<UnitScores>| match words {
            Some(words) => (scale.class(score(words)), signed(score(words))),
            None => (String::new(), "–".to_owned()),
        };
        analysed.words.iter().map(cell).collect()
    };
    let mut rows: Vec<WordRow> = analysed
        .units
        .words
        .iter()
        .enumerate()
        .map(|(index, word)| WordRow {
            word: excerpt(text.slice(word.start, word.end), 60),
            segment: analysed.units.segments[analysed.units.segment_of_word(index)]
                .name
                .clone(),
            cells: cells(&|words| words.units[index]),
        })
        .collect();
    rows.push(WordRow {
        word: format!("({})", results.outside()),
        segment: String::new(),
        cells: cells(&|words| words.outside),
    });
    rows
}

fn options(results: &Results<'_>, sample: usize) -> Vec<OptionRow> {
    let gold = results.experiment.samples[sample].gold.as_deref();
    let row = |letter: &String| OptionRow {
        label: results.option_label(letter),
        right: gold == Some(letter),
        cells: results
            .records_of(sample)
            .map(|record| match record.options.get(letter) {
                Some(option) => (
                    chart::bar(option.probability),
                    percent(option.probability),
                    summary::predicted_option(record) == Some(letter),
                ),
                None => (String::new(), "–".to_owned(), false),
            })
            .collect(),
    };
    results
        .experiment
        .options
        .iter()
        .map(|option| row(&option.letter))
        .collect()
}

fn agreements(results: &Results<'_>, sample: usize) -> Vec<AgreementRow> {
    let agreements = &results.samples[sample].agreements;
    let weighted = agreements.iter().any(|(.., agreement)| agreement.certain.is_some());
    let row = |(first, second, agreement): &(usize, usize, crate::analysis::agreement::Agreement)| {
        let (leading, plain) = (agreement.leading(), agreement.plain());
        let both = |of: fn(&Measures) -> Option<f64>, text: fn(f64) -> String| {
            (or_dash(of(&leading).map(text)), or_dash(of(&plain).map(text)))
        };
        AgreementRow {
            first: results.models[*first].clone(),
            second: results.models[*second].clone(),
            spearman: both(|m| m.spearman, correlation),
            spearman_class: leading
                .spearman
                .map_or_else(String::new, |value| Scale { max: 1.0 }.class(value)),
            kendall: both(|m| m.kendall, correlation),
            overlap: both(|m| m.overlap, percent),
            certain: if weighted {
                or_dash(agreement.pairs().and_then(Share::value).map(percent))
            } else {
                String::new()
            },
        }
    };
    agreements.iter().map(row).collect()
}

/// The difference of every two models' word scores, and the scale of all differences.
fn differences(results: &Results<'_>, sample: usize) -> (Vec<Difference>, Scale) {
    let analysed = &results.samples[sample];
    let minus = |first: usize, second: usize| {
        let (a, b) = (analysed.words[first].as_ref()?, analysed.words[second].as_ref()?);
        let units = a.units.iter().zip(&b.units).map(|(a, b)| a - b).collect();
        Some((
            first,
            second,
            UnitScores {
                units,
                outside: a.outside - b.outside,
            },
        ))
    };
    let all: Vec<(usize, usize, UnitScores)> = analysed
        .agreements
        .iter()
        .filter_map(|&(first, second, _)| minus(first, second))
        .collect();
    let scale = Scale::over(
        all.iter()
            .flat_map(|(_, _, scores)| scores.units.iter().chain([&scores.outside])),
    );
    let prompt = &results.experiment.samples[sample].prompt.text;
    let text = CharText::new(prompt);
    let word = |index: usize| {
        let unit = &analysed.units.words[index];
        bare(text.slice(unit.start, unit.end))
    };
    let view = |(first, second, scores): &(usize, usize, UnitScores)| Difference {
        first: results.models[*first].clone(),
        second: results.models[*second].clone(),
        map: heatmap::units(
            prompt,
            &analysed.units,
            Level::Word,
            scores,
            None,
            (results.outside(), scale),
        ),
        words: crate::analysis::agreement::largest(&scores.units, 5)
            .into_iter()
            .map(|index| {
                (
                    word(index),
                    scale.class(scores.units[index]),
                    signed(scores.units[index]),
                )
            })
            .collect(),
    };
    (all.iter().map(view).collect(), scale)
}
