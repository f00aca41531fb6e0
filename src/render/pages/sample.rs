//! A sample: one prompt, and the maps of all models word by word under it, with what can be chosen to be seen of them.

use std::fmt::Write;

use indexmap::IndexMap;
use serde::Serialize;

use super::choices::{self, Choices, Chosen, Switch};
use super::experiment::neighbours;
use super::map::{Attribution, values_of};
use super::tokens::Drawn;
use super::{Answer, Frame, Link, Renderer, finding, map_link, record_link};
use crate::analysis::agreement::{Agreement, Measures, TOP};
use crate::analysis::bootstrap::Standing;
use crate::analysis::compared::{OtherBaseline, OtherMethod, compared_map, pearson};
use crate::analysis::map;
use crate::analysis::results::{Label, Results, Shown};
use crate::analysis::scale::{Scale, Scales};
use crate::analysis::summary::{self, Share};
use crate::content::units::{CharText, UnitScores};
use crate::diagnostic::Result;
use crate::render::interlinear::{self, Measure, Row, Text, Warning, Who};
use crate::render::text::{escape, escape_into, excerpt};
use crate::render::{Sink, heatmap, labels};
use crate::site::urls::{self, Links};
use crate::store::record::{AttributionRecord, SampleRecord};

#[derive(Serialize)]
struct SamplePage<'a> {
    page: Frame,
    heading: &'a str,
    id: &'a str,
    /// The sample's name in headings.
    name: String,
    experiment: Link,
    /// The right option with what it stands for.
    gold: Option<String>,
    /// The segments where the cause lies, as the experiment knows.
    expected: &'a [String],
    finding: Vec<String>,
    shown: Option<Shown<'a>>,
    /// The models' maps under the words.
    lines: Lines,
    trust: Trust,
    switches: String,
    legend: String,
    models: Vec<ModelMap<'a>>,
    words: WordTable,
    options: Vec<OptionLine>,
    agreements: Vec<AgreementLine<'a>>,
    /// Whether the measures of agreement are weighted by the errors of the maps.
    weighted: bool,
    /// What the compared maps explain.
    compared: String,
    /// How many of the strongest words are compared.
    top: usize,
    /// The difference of every two models, under the words.
    differences: Option<Lines>,
    /// The row's columns.
    fields: &'a serde_json::Map<String, serde_json::Value>,
    previous: Option<Link>,
    next: Option<Link>,
}

/// An interlinear map with what stands beside it: the view of `interlinear.html`.
#[derive(Clone, Serialize)]
pub struct Lines {
    /// Names it for a screen reader.
    pub label: String,
    /// What can be chosen; nothing where there is no choice.
    pub switches: Vec<Switch>,
    /// Who the rows are.
    pub who: Vec<Who>,
    /// Their names for lines that wrap.
    pub again: String,
    /// The class that says how many rows there are.
    pub rows: String,
    /// The lists, one a position of the switches.
    pub lists: String,
    /// What colours mean.
    pub legend: String,
    /// Where the pages of words lie, and how their files are called.
    pub words: String,
    /// The unit of the numbers.
    pub unit: String,
    /// Whether room is kept below for what a script reads out.
    pub hint: bool,
}

/// How far the maps of a sample are to be trusted.
#[derive(Serialize)]
struct Trust {
    /// How the maps that pages with several models show stand against their controls, over the experiment.
    standing: Option<String>,
    exact: Share,
    /// Whether no map has an error estimate.
    by_delta: bool,
    /// The largest error estimate of them.
    error: Option<f64>,
    /// The other baselines, and how many of the models keep their strongest word from there.
    baselines: Vec<Kept>,
    /// The same of other methods.
    methods: Vec<Kept>,
    /// What the shown maps start from.
    baseline: String,
    /// What they are made by.
    method: String,
    /// What the map's ⚠ say: each text once, with the models that wear it.
    warnings: Vec<Told>,
    /// Where more of it is.
    href: String,
    imported: bool,
}

/// What a ⚠ says.
#[derive(Serialize)]
pub struct Told {
    /// When it is shown: the classes of the choices.
    class: String,
    text: String,
    models: Vec<String>,
}

#[derive(Serialize)]
struct Kept {
    /// The other baseline, or the other method.
    other: String,
    models: Share,
    /// Which ones, where it is some of them.
    which: Vec<String>,
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
}

/// Every word with its score for each model.
#[derive(Serialize)]
struct WordTable {
    count: usize,
    rows: String,
    /// The unit of the scores.
    unit: String,
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
    /// Whether both have the same strongest word.
    same_word: bool,
    /// Pearson's correlation of the scores.
    scores: Option<f64>,
    /// What pages lead with: weighted by error, where errors are known.
    leading: Measures,
    plain: Measures,
    /// Share of the pairs of words whose order is certain in both maps; none where errors are unknown.
    certain: Option<f64>,
    /// Of the leading rank correlation, from −20 to 20.
    shade: i32,
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
        let unit = labels::unit_of(results);
        let crumbs = vec![
            (self.site_title.clone(), urls::HOME.to_owned()),
            (experiment.title.clone(), urls::experiment(&experiment.id)),
        ];
        let (previous, next) = neighbours(results, sample, |index| {
            links.to(&urls::sample(&experiment.id, results.slug(index)))
        });
        let gold = experiment.samples[sample].gold.as_deref();
        let lines = of_models(results, sample, &links);
        let view = SamplePage {
            page: self.frame(
                &links,
                &path,
                &format!("Sample {title} · {}", experiment.title),
                &format!("{} {}", analysed.subject, finding.join(" ")),
                crumbs,
            ),
            heading: &analysed.subject,
            id: &experiment.samples[sample].id,
            name: title.clone(),
            experiment: Link {
                title: experiment.title.clone(),
                href: links.to(&urls::experiment(&experiment.id)),
            },
            gold: gold.map(|gold| results.option_label(gold)),
            expected: &experiment.expected,
            finding,
            shown: results.shown(),
            trust: trust(results, sample, &lines, &links),
            lines,
            switches: heatmap::switches("w"),
            legend: heatmap::legend_of(
                &scales,
                &unit,
                results
                    .records_of(sample)
                    .filter_map(|record| record.attributions.first())
                    .map(|map| &map.target),
            ),
            models: shown
                .iter()
                .enumerate()
                .map(|(model, shown)| model_map(results, (model, sample), shown.as_ref(), &scales, &links))
                .collect(),
            words: word_table(results, sample, &links),
            options: options(results, sample),
            weighted: analysed
                .agreements
                .iter()
                .any(|(.., agreement)| agreement.certain.is_some()),
            agreements: agreements(results, sample),
            compared: results.compared_target(),
            top: TOP.min(analysed.subject_words.len()),
            differences: differences(results, sample),
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

/// Where the pages of words lie from a page, for a script, with the part of their file names that all have.
pub fn words_address(results: &Results<'_>, links: &Links) -> String {
    let some = links.to(&urls::word(&results.experiment.id, "x"));
    some.strip_suffix("x/index.html").unwrap_or_default().to_owned()
}

/// A model beside its row.
pub fn who(results: &Results<'_>, model: usize, sample: usize, links: &Links) -> Who {
    let record = results.record(model, sample);
    let experiment = results.experiment;
    let gold = experiment.samples[sample].gold.as_deref();
    let probabilities: Vec<(String, f64)> = experiment
        .options
        .iter()
        .filter_map(|option| Some((option.letter.clone(), record.options.get(&option.letter)?.probability)))
        .collect();
    let mut answer = Answer::of(results, record, 12);
    // What an option stands for is said above.
    if let Some(letter) = summary::predicted_option(record) {
        letter.clone_into(&mut answer.label);
    }
    Who {
        title: results.models[model].clone(),
        short: results.short_models[model].clone(),
        href: map_link(results, (model, sample), links),
        answer: Some(answer),
        options: interlinear::option_bars(&probabilities, gold),
        target: None,
        warnings: Vec::new(),
    }
}

/// The mark of a map if such maps are not shown to be better than a control over the whole experiment.
pub fn failed_test(
    results: &Results<'_>,
    model: usize,
    record: &SampleRecord,
    map: &AttributionRecord,
) -> Option<&'static str> {
    let tests = results
        .evidence
        .of_map(&results.experiment.models[model], record, map)?;
    match tests.standing? {
        Standing::NoBetter => Some("not shown to beat a control"),
        Standing::Worse => Some("worse than a control"),
        Standing::Better | Standing::TooFew => None,
    }
}

/// Where the tests of an experiment's maps stand.
pub fn tests_of(results: &Results<'_>, links: &Links) -> String {
    format!("{}#hold", links.to(&urls::experiment(&results.experiment.id)))
}

/// A map over the columns of a sample's text; none where it is marked. `sums` is that of the sample for the record.
pub fn row(
    text: &Text<'_>,
    map: &AttributionRecord,
    record: &SampleRecord,
    sums: impl Fn(&[f64]) -> Option<UnitScores>,
) -> Option<Row> {
    if !summary::is_drawable(map, record) {
        return None;
    }
    let errors = map::errors(map).as_deref().and_then(&sums);
    Some(text.row(&sums(&map.scores)?, errors.as_ref()))
}

/// All models' maps of a sample, for each target, baseline and method.
fn of_models(results: &Results<'_>, sample: usize, links: &Links) -> Lines {
    let analysed = &results.samples[sample];
    let choices = Choices::of(results, sample);
    let text = Text::of(results, sample, true);
    let sums: Vec<_> = (0..results.models.len())
        .map(|model| analysed.sums(model, results.record(model, sample)))
        .collect();
    let row = |model: usize, index: Option<usize>| -> Option<Row> {
        let record = results.record(model, sample);
        row(&text, &record.attributions[index?], record, &sums[model])
    };
    // What is the same at several positions stands once.
    let mut panels: Vec<(Chosen, Vec<Option<Row>>)> = Vec::new();
    for chosen in choices.all(results, sample) {
        let rows: Vec<Option<Row>> = chosen
            .maps
            .iter()
            .enumerate()
            .map(|(model, index)| row(model, *index))
            .collect();
        match panels.iter_mut().find(|(_, known)| *known == rows) {
            Some((known, _)) => {
                let more: Vec<&str> = chosen
                    .class
                    .split(' ')
                    .filter(|class| !known.class.split(' ').any(|own| own == *class))
                    .collect();
                // Two positions are one only where they differ in a single switch: else a class would show it elsewhere.
                let is_other = |class: &str| more.first().is_some_and(|more| more[..1] != class[..1]);
                if more.len() == 1 && known.class.split(' ').filter(|class| is_other(class)).count() == 2 {
                    known.class = format!("{} {}", known.class, more[0]);
                } else {
                    panels.push((chosen, rows));
                }
            }
            None => panels.push((chosen, rows)),
        }
    }
    let mut who: Vec<Who> = (0..results.models.len())
        .map(|model| who(results, model, sample, links))
        .collect();
    let hold = tests_of(results, links);
    let mut lists = String::new();
    // What full colour is, with the positions of the switches at which it is that.
    let mut full: Vec<(String, Vec<String>)> = Vec::new();
    let (mut unit, mut has_errors) = (String::new(), false);
    let single = choices.switches().is_empty();
    for (place, (chosen, rows)) in panels.iter().enumerate() {
        let first = chosen.maps.iter().enumerate().find_map(|(model, index)| {
            let record: &SampleRecord = results.record(model, sample);
            record.attributions.get((*index)?)
        });
        let Some(first) = first else {
            let _ = write!(
                lists,
                "<p class=\"panel none {}\">No model has such a map.</p>",
                chosen.class
            );
            continue;
        };
        let imported = first.imported.is_some();
        let name = labels::unit(first);
        let measure = Measure::of(
            interlinear::greatest(rows.iter().flatten()),
            (!imported || first.imported.as_ref().is_some_and(|by| by.unit.is_none())).then_some(first.output),
            &name,
        );
        let class = if single { String::new() } else { chosen.class.clone() };
        let page = |word: usize| {
            if place == 0 {
                results.word_slug(sample, word)
            } else {
                None
            }
        };
        // Every list of every method would be half of the page: those of the first are there, the others' numbers.
        lists.push_str(&if chosen.method == 0 {
            text.html(rows, &measure, &class, &page)
        } else {
            interlinear::later(rows, &measure, &class)
        });
        let says = format!(
            "±{} {}; “·” is {}",
            measure.most(),
            escape(&measure.unit),
            escape(&measure.dot())
        );
        match full.iter_mut().find(|(known, _)| *known == says) {
            Some((_, classes)) => classes.push(class),
            None => full.push((says, vec![class])),
        }
        has_errors |= rows.iter().flatten().any(Row::has_errors);
        if unit.is_empty() {
            measure.unit.clone_into(&mut unit);
        }
    }
    let full: String = full
        .into_iter()
        .flat_map(|(says, classes)| {
            let classes = if single { classes } else { choices::together(&classes) };
            classes.into_iter().map(move |class| match single {
                true => format!("<span>{says}</span>"),
                false => format!("<span class=\"panel {class}\">{says}</span>"),
            })
        })
        .collect();
    for (model, who) in who.iter_mut().enumerate() {
        who.warnings = warnings(results, (model, sample), &choices, &who.href, &hold);
    }
    let shorts: Vec<&str> = results.short_models.iter().map(String::as_str).collect();
    let (again, rows) = interlinear::again(&shorts, text.lines());
    Lines {
        label: "Scores of the words, model by model".to_owned(),
        switches: choices.switches(),
        who,
        again,
        rows,
        lists,
        legend: legend(
            &choices,
            &format!(
                "full colour is {full}{}",
                if has_errors { ", or within its error" } else { "" }
            ),
            single,
        ),
        words: words_address(results, links),
        unit,
        hint: true,
    }
}

/// What speaks against a model's maps: that one is not as right as was asked for, or that its like fail their test. Each is
/// shown where the switches choose such a map.
fn warnings(
    results: &Results<'_>,
    (model, sample): (usize, usize),
    choices: &Choices,
    page: &str,
    hold: &str,
) -> Vec<Warning> {
    let record = results.record(model, sample);
    let mut found: IndexMap<(&'static str, &str), Vec<String>> = IndexMap::new();
    for chosen in choices.all(results, sample) {
        let Some(map) = chosen.maps[model].and_then(|index| record.attributions.get(index)) else {
            continue;
        };
        let marks = labels::mark(map).map(|text| (text, page));
        let tests = failed_test(results, model, record, map).map(|text| (text, hold));
        for told in marks.into_iter().chain(tests) {
            found.entry(told).or_default().push(chosen.class.clone());
        }
    }
    let single = choices.switches().is_empty();
    found
        .into_iter()
        .flat_map(|((text, href), classes)| {
            choices::together(&classes).into_iter().map(move |class| Warning {
                class: if single { String::new() } else { class },
                text: text.to_owned(),
                href: href.to_owned(),
            })
        })
        .collect()
}

/// The legend of all positions of the switches.
fn legend(choices: &Choices, full: &str, single: bool) -> String {
    let ends: Vec<(String, String)> = (0..choices.targets()).map(|target| choices.ends(target)).collect();
    let side = |of: fn(&(String, String)) -> &String| -> String {
        if single || ends.iter().all(|both| both == &ends[0]) {
            return ends.first().map_or_else(String::new, |both| escape(of(both)));
        }
        let target = |(index, both): (usize, &(String, String))| {
            format!(
                "<span class=\"panel {}\">{}</span>",
                choices.class_of_target(index),
                escape(of(both))
            )
        };
        ends.iter().enumerate().map(target).collect()
    };
    format!(
        "<div class=\"legend\"><span class=\"low\">{}</span>{}<span>{}</span><span>{full}</span></div>",
        side(|both| &both.0),
        interlinear::ramp(),
        side(|both| &both.1),
    )
}

fn trust(results: &Results<'_>, sample: usize, lines: &Lines, links: &Links) -> Trust {
    let worn = lines.who.iter().zip(&results.short_models);
    let warnings = told(worn.flat_map(|(who, model)| who.warnings.iter().map(move |warning| (model, warning))));
    let analysed = &results.samples[sample];
    let maps = results.records_of(sample).flat_map(|record| &record.attributions);
    let models = || results.short_models.iter();
    let baselines = models().zip(&analysed.baselines).flat_map(|(model, others)| {
        let told = |other: &OtherBaseline| (other.baseline.name(), model, other.same_word);
        others.iter().map(told).collect::<Vec<_>>()
    });
    let methods = models().zip(&analysed.methods).flat_map(|(model, others)| {
        let told = |other: &OtherMethod| (other.method.clone(), model, other.same_word);
        others.iter().map(told).collect::<Vec<_>>()
    });
    Trust {
        standing: results.standing(),
        exact: results.exact_on(sample),
        by_delta: results.exact_by_delta(),
        error: maps.filter_map(|map| map.error_estimate).reduce(f64::max),
        baselines: kept(baselines),
        methods: kept(methods),
        baseline: results.first_map().map_or_else(String::new, labels::baseline_of),
        method: results
            .first_map()
            .map_or_else(String::new, |map| map.method_name().to_owned()),
        warnings,
        href: format!("{}#trust", links.to(&urls::experiment(&results.experiment.id))),
        imported: results.experiment.imported.is_some(),
    }
}

/// What warnings say: each text once, with the models that wear it, in the order of first sight.
pub fn told<'a>(worn: impl Iterator<Item = (&'a String, &'a Warning)>) -> Vec<Told> {
    let mut all: Vec<Told> = Vec::new();
    for (model, Warning { class, text, .. }) in worn {
        let known = all
            .iter_mut()
            .find(|known| (&known.class, &known.text) == (class, text));
        match known {
            Some(known) if known.models.contains(model) => {}
            Some(known) => known.models.push(model.clone()),
            None => all.push(Told {
                class: class.clone(),
                text: text.clone(),
                models: vec![model.clone()],
            }),
        }
    }
    all
}

/// By other baseline or method, in the order of first sight: how many of the models keep their strongest word.
fn kept<'a>(others: impl Iterator<Item = (String, &'a String, bool)>) -> Vec<Kept> {
    let mut all: Vec<Kept> = Vec::new();
    for (other, model, same) in others {
        let place = all.iter().position(|known| known.other == other).unwrap_or_else(|| {
            all.push(Kept {
                other,
                models: Share::default(),
                which: Vec::new(),
            });
            all.len() - 1
        });
        all[place].models.add(same);
        if same {
            all[place].which.push(model.clone());
        }
    }
    for kept in all.iter_mut().filter(|kept| kept.models.count == kept.models.of) {
        kept.which.clear();
    }
    all
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
    ModelMap {
        anchor: map_anchor(id, model),
        title: &results.models[model],
        href: map_link(results, (model, sample), links),
        json: record_link(results, (model, sample), links),
        answer: Answer::of(results, record, 40),
        attribution: record.attributions.first().map(values_of),
        map: shown.map(|shown| shown.html(scales)),
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

/// The table of words: word, segment and each model's score. Written here and not in the template, and without the end
/// tags that HTML does not need: it is much of the page.
fn word_table(results: &Results<'_>, sample: usize, links: &Links) -> WordTable {
    let analysed = &results.samples[sample];
    let text = CharText::new(&results.experiment.samples[sample].prompt.text);
    let all = analysed.words.iter().flatten();
    let scale = Scale::over(all.flat_map(|words| words.units.iter().chain([&words.outside])));
    let first = results.first_map();
    let own_unit = first
        .and_then(|map| map.imported.as_ref())
        .is_some_and(|by| by.unit.is_some());
    let output = first.filter(|_| !own_unit).map(|map| map.output);
    let measure = Measure::of(scale.max, output, &labels::unit_of(results));
    let mut html = String::new();
    let mut row = |word: &str, href: Option<String>, segment: &str, score: &dyn Fn(&UnitScores) -> f64| {
        // In a column of nothing but heads each is the head of its row.
        html.push_str("<tr><th>");
        if let Some(href) = &href {
            let _ = write!(html, "<a href=\"{href}\">");
        }
        escape_into(word, &mut html);
        if href.is_some() {
            html.push_str("</a>");
        }
        html.push_str("<td>");
        escape_into(segment, &mut html);
        for (words, errors) in analysed.words.iter().zip(&analysed.errors) {
            let Some(words) = words else {
                html.push_str("<td>–");
                continue;
            };
            let class = heatmap::shade_class(scale.shade(score(words)));
            let number = measure.number(score(words), errors.as_ref().map(score));
            let _ = match class.as_str() {
                "" => write!(html, "<td>{number}"),
                class => write!(html, "<td class={class}>{number}"),
            };
        }
        html.push('\n');
    };
    for (index, word) in analysed.units.words.iter().enumerate() {
        let segment = &analysed.units.segments[analysed.units.segment_of_word(index)];
        let slug = results.word_slug(sample, index);
        row(
            &excerpt(text.slice(word.start, word.end), 60),
            slug.map(|slug| links.to(&urls::word(&results.experiment.id, &slug))),
            &segment.name,
            &|words| words.units[index],
        );
    }
    row(&format!("({})", results.outside()), None, "", &|words| words.outside);
    WordTable {
        count: analysed.units.words.len(),
        rows: html,
        unit: measure.unit,
    }
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
    let analysed = &results.samples[sample];
    let line = |&(first, second, agreement): &(usize, usize, Agreement)| {
        let leading = agreement.leading();
        let maps = analysed.compared[first]
            .as_ref()
            .zip(analysed.compared[second].as_ref());
        AgreementLine {
            first: &results.models[first],
            second: &results.models[second],
            same_word: analysed.same_word(first, second) == Some(true),
            scores: maps.and_then(|(a, b)| pearson(&a.scores, &b.scores)),
            leading,
            plain: agreement.plain(),
            certain: agreement.pairs().and_then(Share::value),
            shade: leading.spearman.map_or(0, |value| Scale { max: 1.0 }.shade(value)),
        }
    };
    analysed.agreements.iter().map(line).collect()
}

/// The difference of every two models' compared maps.
fn differences(results: &Results<'_>, sample: usize) -> Option<Lines> {
    let analysed = &results.samples[sample];
    let text = Text::of(results, sample, true);
    let of = |model: usize| {
        let record = results.record(model, sample);
        let map = compared_map(record, results.compares_right_answers)?;
        let sums = analysed.sums(model, record);
        Some((sums(&map.scores)?, map::errors(map).as_deref().and_then(&sums)))
    };
    let with = |a: &UnitScores, b: &UnitScores, put: fn(f64, f64) -> f64| UnitScores {
        units: a.units.iter().zip(&b.units).map(|(a, b)| put(*a, *b)).collect(),
        outside: put(a.outside, b.outside),
    };
    let (mut rows, mut who) = (Vec::new(), Vec::new());
    for &(first, second, _) in &analysed.agreements {
        let (Some((a, a_errors)), Some((b, b_errors))) = (of(first), of(second)) else {
            continue;
        };
        let errors = a_errors.zip(b_errors).map(|(a, b)| with(&a, &b, |a, b| a + b));
        rows.push(Some(text.row(&with(&a, &b, |a, b| a - b), errors.as_ref())));
        who.push(Who {
            title: format!("{} minus {}", results.models[first], results.models[second]),
            short: format!("{} − {}", results.short_models[first], results.short_models[second]),
            href: String::new(),
            answer: None,
            options: String::new(),
            target: analysed.compared[first]
                .as_ref()
                .map(|map| map.target.trim().to_owned()),
            warnings: Vec::new(),
        });
    }
    if rows.is_empty() {
        return None;
    }
    let output = results
        .experiment
        .imported
        .is_none()
        .then_some(results.experiment.attribution.output);
    let measure = Measure::of(
        interlinear::greatest(rows.iter().flatten()),
        output,
        &labels::unit_of(results),
    );
    let shorts: Vec<&str> = who.iter().map(|who| who.short.as_str()).collect();
    let (again, class) = interlinear::again(&shorts, text.lines());
    Some(Lines {
        label: "Differences of the scores, for every two models".to_owned(),
        switches: Vec::new(),
        lists: text.html(&rows, &measure, "", &|_| None),
        legend: format!(
            "<div class=\"legend\"><span class=\"low\">second greater</span>{}<span>first greater</span>\
             <span>full colour is ±{} {}</span></div>",
            interlinear::ramp(),
            measure.most(),
            escape(&measure.unit)
        ),
        who,
        again,
        rows: class,
        words: String::new(),
        unit: measure.unit,
        hint: false,
    })
}
