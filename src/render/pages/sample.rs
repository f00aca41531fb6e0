//! A sample: one prompt, all models under each other, aligned word by word.

use std::fmt::Write;

use serde::Serialize;

use super::experiment::neighbours;
use super::map::{Attribution, values_of};
use super::tokens::Drawn;
use super::{Answer, Frame, Link, Renderer, finding, map_link, record_link};
use crate::analysis::agreement::{Agreement, Measures, TOP, largest};
use crate::analysis::results::{Label, Results, Shown};
use crate::analysis::scale::{Scale, Scales, Scores};
use crate::analysis::summary::{self, Share};
use crate::analysis::text::bare;
use crate::content::units::{CharText, UnitScores};
use crate::diagnostic::Result;
use crate::render::text::{escape_into, excerpt, signed};
use crate::render::{Sink, heatmap, labels};
use crate::site::urls::{self, Links};
use crate::store::record::SampleRecord;

#[derive(Serialize)]
struct SamplePage<'a> {
    page: Frame,
    heading: String,
    id: &'a str,
    subject: &'a str,
    experiment: Link,
    finding: Vec<String>,
    shown: Option<Shown<'a>>,
    switches: String,
    legend: String,
    models: Vec<ModelMap<'a>>,
    words: WordTable,
    options: Vec<OptionLine>,
    agreements: Vec<AgreementLine<'a>>,
    /// Whether the measures of agreement are weighted by the errors of the maps.
    weighted: bool,
    /// How many of the strongest words are compared.
    top: usize,
    differences: Vec<Difference<'a>>,
    difference_legend: String,
    /// The row's columns.
    fields: &'a serde_json::Map<String, serde_json::Value>,
    previous: Option<Link>,
    next: Option<Link>,
}

#[derive(Serialize)]
struct ModelMap<'a> {
    /// The anchor of its map.
    anchor: String,
    title: &'a str,
    href: String,
    json: String,
    answer: Answer,
    attribution: Option<Attribution<'a>>,
    map: Option<String>,
    /// The strongest words.
    words: Vec<StrongWord>,
}

#[derive(Serialize)]
struct StrongWord {
    word: String,
    score: f64,
    /// On the scale of the page, from −20 to 20.
    shade: i32,
}

/// Every word with its score for each model.
#[derive(Serialize)]
struct WordTable {
    count: usize,
    rows: String,
}

#[derive(Serialize)]
struct OptionLine {
    letter: String,
    label: String,
    right: bool,
    /// For each model; none where its record has no such option.
    models: Vec<Option<OptionOfModel>>,
}

#[derive(Serialize)]
struct OptionOfModel {
    probability: f64,
    predicted: bool,
}

/// How the maps of two models agree.
#[derive(Serialize)]
struct AgreementLine<'a> {
    first: &'a str,
    second: &'a str,
    /// What pages lead with: weighted by error, where errors are known.
    leading: Measures,
    plain: Measures,
    /// Share of the pairs of words whose order is certain in both maps; none where errors are unknown.
    certain: Option<f64>,
    /// Of the leading rank correlation, from −20 to 20.
    shade: i32,
}

#[derive(Serialize)]
struct Difference<'a> {
    first: &'a str,
    second: &'a str,
    /// The anchors of the two maps, from which a script takes the numbers.
    of: [String; 2],
    /// What the two maps explain, where that is not the same.
    targets: Option<[&'a str; 2]>,
    map: String,
    /// Where they differ most.
    words: Vec<StrongWord>,
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
        let unit = labels::unit_of(results);
        let crumbs = vec![
            (self.site_title.clone(), urls::HOME.to_owned()),
            (experiment.title.clone(), urls::experiment(&experiment.id)),
        ];
        let (previous, next) = neighbours(results, sample, |index| {
            links.to(&urls::sample(&experiment.id, results.slug(index)))
        });
        let view = SamplePage {
            page: self.frame(
                &links,
                &path,
                &format!("Sample {title} · {}", experiment.title),
                &finding.join(" "),
                crumbs,
            ),
            heading: format!("Sample {title}"),
            id: &experiment.samples[sample].id,
            subject: &analysed.subject,
            experiment: Link {
                title: experiment.title.clone(),
                href: links.to(&urls::experiment(&experiment.id)),
            },
            finding,
            shown: results.shown(),
            switches: heatmap::switches("w"),
            legend: heatmap::legend(&scales, &unit),
            models: shown
                .iter()
                .enumerate()
                .map(|(model, shown)| model_map(results, (model, sample), shown.as_ref(), &scales, &links))
                .collect(),
            words: WordTable {
                count: analysed.units.words.len(),
                rows: word_rows(results, sample, scales.word),
            },
            options: options(results, sample),
            weighted: analysed
                .agreements
                .iter()
                .any(|(.., agreement)| agreement.certain.is_some()),
            agreements: agreements(results, sample),
            top: TOP.min(analysed.units.words.len()),
            differences,
            difference_legend: heatmap::difference_legend(&difference_scales, &unit),
            fields: &experiment.samples[sample].fields,
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

/// A model's shown map; none where nothing may be drawn.
pub fn drawn<'a>(results: &'a Results<'_>, model: usize, sample: usize) -> Option<Drawn<'a>> {
    let record = results.record(model, sample);
    let units = results.samples[sample].units_of(model);
    let assignment = units.assign(&record.prompt, &record.tokens);
    Drawn::of(record, record.attributions.first()?, units, &assignment)
}

fn model_map<'a>(
    results: &'a Results<'_>,
    (model, sample): (usize, usize),
    shown: Option<&Drawn<'_>>,
    scales: &Scales,
    links: &Links,
) -> ModelMap<'a> {
    let record = results.record(model, sample);
    let experiment = results.experiment;
    let id = &experiment.models[model];
    let words = results.top_words(model, sample, 5).into_iter();
    ModelMap {
        anchor: map_anchor(id, model),
        title: &results.models[model],
        href: map_link(results, (model, sample), links),
        json: record_link(results, (model, sample), links),
        answer: Answer::of(results, record, 40),
        attribution: record.attributions.first().map(values_of),
        map: shown.map(|shown| shown.html(scales)),
        words: words
            .map(|(word, score)| StrongWord {
                word,
                score,
                shade: scales.word.shade(score),
            })
            .collect(),
    }
}

/// The anchor of a model's map on a sample page: its id where that can be one.
pub(super) fn map_anchor(id: &str, model: usize) -> String {
    let plain = id.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    if plain {
        format!("map-{id}")
    } else {
        format!("map-{}", model + 1)
    }
}

/// The rows of the table of words: word, segment and each model's score. Written here and not in the template, and
/// without the end tags that HTML does not need: it is most of the page.
fn word_rows(results: &Results<'_>, sample: usize, scale: Scale) -> String {
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

fn options(results: &Results<'_>, sample: usize) -> Vec<OptionLine> {
    let gold = results.experiment.samples[sample].gold.as_deref();
    let of_model = |record: &SampleRecord, letter: &str| {
        let option = record.options.get(letter)?;
        Some(OptionOfModel {
            probability: option.probability,
            predicted: summary::predicted_option(record) == Some(letter),
        })
    };
    let options = results.options().into_iter();
    options
        .map(|Label { letter, label }| OptionLine {
            label,
            right: gold == Some(letter.as_str()),
            models: results
                .records_of(sample)
                .map(|record| of_model(record, &letter))
                .collect(),
            letter,
        })
        .collect()
}

fn agreements<'a>(results: &'a Results<'_>, sample: usize) -> Vec<AgreementLine<'a>> {
    let line = |(first, second, agreement): &(usize, usize, Agreement)| {
        let leading = agreement.leading();
        AgreementLine {
            first: &results.models[*first],
            second: &results.models[*second],
            leading,
            plain: agreement.plain(),
            certain: agreement.pairs().and_then(Share::value),
            shade: leading.spearman.map_or(0, |value| Scale { max: 1.0 }.shade(value)),
        }
    };
    results.samples[sample].agreements.iter().map(line).collect()
}

/// The difference of every two models' word scores, and the scales of all differences.
fn differences<'a>(results: &'a Results<'a>, sample: usize) -> (Vec<Difference<'a>>, Scales) {
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
        shown.map_or("", |shown| shown.target.text.as_str())
    };
    let anchor = |model: usize| map_anchor(&results.experiment.models[model], model);
    let view = |(first, second, scores): &(usize, usize, Scores)| {
        let units = &scores.words.units;
        Difference {
            of: [anchor(*first), anchor(*second)],
            first: &results.models[*first],
            second: &results.models[*second],
            targets: Some([target(*first), target(*second)]).filter(|[a, b]| a != b),
            map: heatmap::Map {
                prompt,
                units: &analysed.units,
                tokens: &[],
                scores,
                errors: None,
                without: None,
                scales: &scales,
                outside: results.outside(),
            }
            .bare_html(),
            words: largest(units, 5)
                .into_iter()
                .map(|index| StrongWord {
                    word: word(index),
                    score: units[index],
                    shade: scales.word.shade(units[index]),
                })
                .collect(),
        }
    };
    (all.iter().map(view).collect(), scales)
}
