//! A sample: one prompt, all models under each other, aligned word by word.

use std::fmt::Write;

use serde::Serialize;

use super::experiment::{map_note, neighbours};
use super::tokens::Drawn;
use super::{Frame, Link, Renderer, finding, or_dash};
use crate::analysis::agreement::{Measures, TOP};
use crate::analysis::align::{CharText, UnitScores};
use crate::analysis::results::Results;
use crate::analysis::scale::{Scale, Scales, Scores};
use crate::analysis::summary::{self, Share};
use crate::analysis::text::bare;
use crate::diagnostic::Result;
use crate::render::heatmap;
use crate::render::text::{correlation, escape_into, excerpt, percent, signed};
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
    switches: String,
    legend: String,
    models: Vec<ModelMap>,
    /// Number of words, and their table.
    words: (usize, String),
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
    /// The anchor of its map.
    anchor: String,
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
    /// Whether it fails the notebook's check against the probability.
    misses_margin: bool,
    map: Option<String>,
    words: Vec<(String, String, String)>,
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
    /// The anchors of the two maps, from which a script takes the numbers.
    of: (String, String),
    /// What the two maps explain, where that is not the same.
    targets: Option<(String, String)>,
    map: String,
    words: Vec<(String, String)>,
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
        let shown: Vec<Option<Drawn>> = (0..results.models.len())
            .map(|model| drawn(results, model, sample))
            .collect();
        // One scale a level for all models, so that a shade means the same in each.
        let scales = Scales::over(shown.iter().flatten().map(|shown| &shown.scores));
        let (differences, difference_scales) = differences(results, sample);
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
            switches: heatmap::switches("w"),
            legend: heatmap::legend(&scales, labels::output(results.experiment.attribution.output)),
            models: shown
                .iter()
                .enumerate()
                .map(|(model, shown)| model_map(results, (model, sample), shown.as_ref(), &scales, &links))
                .collect(),
            words: (analysed.units.words.len(), word_table(results, sample, scales.word)),
            options: options(results, sample),
            agreements: agreements(results, sample),
            top: TOP.min(analysed.units.words.len()),
            differences,
            difference_legend: heatmap::difference_legend(
                &difference_scales,
                labels::output(results.experiment.attribution.output),
            ),
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

/// A model's shown map; none where nothing may be drawn.
pub fn drawn<'a>(results: &'a Results<'_>, model: usize, sample: usize) -> Option<Drawn<'a>> {
    let record = results.record(model, sample);
    let units = results.samples[sample].units_of(model);
    let assignment = units.assign(&record.prompt, &record.tokens);
    Drawn::of(record, record.attributions.first()?, units, &assignment)
}

fn model_map(
    results: &Results<'_>,
    (model, sample): (usize, usize),
    shown: Option<&Drawn<'_>>,
    scales: &Scales,
    links: &Links,
) -> ModelMap {
    let record = results.record(model, sample);
    let id = &results.experiment.models[model];
    let attribution = record.attributions.first();
    let (badge, badge_class) = attribution.map_or(("no attribution", "bad"), labels::badge);
    let words = results.top_words(model, sample, 5);
    ModelMap {
        anchor: map_anchor(id, model),
        title: results.models[model].clone(),
        href: links.to(&urls::map(&results.experiment.id, id, results.slug(sample))),
        json: links.to(&urls::record(&results.experiment.id, id, results.slug(sample))),
        answer: results.option_label(&excerpt(summary::answer(record), 40)),
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
        misses_margin: attribution.is_some_and(summary::misses_margin),
        map: shown.map(|shown| shown.html(scales)),
        words: words
            .into_iter()
            .map(|(word, score)| (word, heatmap::shade_class(scales.word.shade(score)), signed(score)))
            .collect(),
    }
}

/// The anchor of a model's map on a sample page: its id where that can be one.
fn map_anchor(id: &str, model: usize) -> String {
    let plain = id.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    if plain {
        format!("map-{id}")
    } else {
        format!("map-{}", model + 1)
    }
}

/// The rows of the table of words: word, segment and each model's score. Written here and not in the template, and without the end tags
/// that HTML does not need: it is most of the page.
fn word_table(results: &Results<'_>, sample: usize, scale: Scale) -> String {
    let analysed = &results.samples[sample];
    let text = CharText::new(&results.experiment.samples[sample].prompt.text);
    let mut html = String::new();
    let mut row = |word: &str, segment: &str, score: &dyn Fn(&UnitScores) -> f64| {
        html.push_str("<tr><th scope=row>");
        escape_into(word, &mut html);
        html.push_str("<td>");
        escape_into(segment, &mut html);
        for words in &analysed.words {
            let Some(words) = words else {
                html.push_str("<td>–");
                continue;
            };
            let class = heatmap::shade_class(scale.shade(score(words)));
            let _ = match class.as_str() {
                "" => write!(html, "<td>{}", signed(score(words))),
                class => write!(html, "<td class={class}>{}", signed(score(words))),
            };
        }
        html.push('\n');
    };
    for (index, word) in analysed.units.words.iter().enumerate() {
        let segment = &analysed.units.segments[analysed.units.segment_of_word(index)];
        row(
            &excerpt(text.slice(word.start, word.end), 60),
            &segment.name,
            &|words| words.units[index],
        );
    }
    row(&format!("({})", results.outside()), "", &|words| words.outside);
    html
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
            spearman_class: leading.spearman.map_or_else(String::new, |value| {
                heatmap::shade_class(Scale { max: 1.0 }.shade(value))
            }),
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

/// The difference of every two models' word scores, and the scales of all differences.
fn differences(results: &Results<'_>, sample: usize) -> (Vec<Difference>, Scales) {
    let analysed = &results.samples[sample];
    let minus = |first: usize, second: usize| {
        let (a, b) = (analysed.words[first].as_ref()?, analysed.words[second].as_ref()?);
        let words = UnitScores {
            units: a.units.iter().zip(&b.units).map(|(a, b)| a - b).collect(),
            outside: a.outside - b.outside,
        };
        Some((first, second, Scores::of_words(&analysed.units, words)))
    };
    let all: Vec<(usize, usize, Scores)> = analysed
        .agreements
        .iter()
        .filter_map(|&(first, second, _)| minus(first, second))
        .collect();
    let scales = Scales::over(all.iter().map(|(_, _, scores)| scores));
    let prompt = &results.experiment.samples[sample].prompt.text;
    let text = CharText::new(prompt);
    let word = |index: usize| {
        let unit = &analysed.units.words[index];
        bare(text.slice(unit.start, unit.end))
    };
    let target = |model: usize| {
        let shown = results.record(model, sample).attributions.first();
        shown.map_or_else(String::new, |shown| format!("“{}”", shown.target.text))
    };
    let anchor = |model: usize| map_anchor(&results.experiment.models[model], model);
    let view = |(first, second, scores): &(usize, usize, Scores)| {
        let units = &scores.words.units;
        Difference {
            of: (anchor(*first), anchor(*second)),
            first: results.models[*first].clone(),
            second: results.models[*second].clone(),
            targets: Some((target(*first), target(*second))).filter(|(a, b)| a != b),
            map: heatmap::Map {
                prompt,
                units: &analysed.units,
                tokens: &[],
                scores,
                errors: None,
                scales: &scales,
                outside: results.outside(),
            }
            .bare_html(),
            words: crate::analysis::agreement::largest(units, 5)
                .into_iter()
                .map(|index| (word(index), signed(units[index])))
                .collect(),
        }
    };
    (all.iter().map(view).collect(), scales)
}
