//! The models of an experiment against each other: whether they answer alike, and whether for the same reasons.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::Serialize;

use super::differences::{self, WordByWord};
use super::sample::{Told, failed_test, tests_of, told, who, words_address};
use super::{Frame, Link, Renderer, figures, finding, map_link, samples};
use crate::analysis::agreement::{TOP, largest};
use crate::analysis::compared::compared_map;
use crate::analysis::failing::{AnswersAs, FailingGroup};
use crate::analysis::map::Quality;
use crate::analysis::pairs::{self, MeanMeasures, OnSample};
use crate::analysis::results::{Results, Shown};
use crate::analysis::scale::Scale;
use crate::analysis::summary::{self, Mean, Share};
use crate::diagnostic::Result;
use crate::render::interlinear::{self, Measure, Text, Warning, Who};
use crate::render::plot::Figure;
use crate::render::text::{excerpt, list};
use crate::render::{Sink, labels};
use crate::site::urls::{self, Links};

/// How many pairs each list shows.
const LISTED: usize = 15;
/// How many samples on which two models part are shown with their maps.
const SHOWN: usize = 25;
/// And on which they answer alike for other reasons.
const OTHERWISE: usize = 6;

#[derive(Serialize)]
struct ComparisonPage<'a> {
    page: Frame,
    heading: &'static str,
    experiment: Link,
    finding: Vec<String>,
    shown: Option<Shown<'a>>,
    /// What the compared maps explain.
    compared: String,
    /// The number of samples.
    samples: usize,
    /// What a reader may choose, and what is shown then.
    two: Vec<Two<'a>>,
    /// Whether the measures are weighted by the errors of the maps.
    weighted: bool,
    matrices: Vec<Figure>,
    /// How many of the strongest words are compared.
    top: usize,
    measures: Vec<TwoModels<'a>>,
    /// The segments whose words the lists compare; none where they compare all words.
    segments: &'a [String],
    lists: Vec<List<'a>>,
    pairs: Vec<WordByWord<'a>>,
}

/// Two models beside each other.
#[derive(Serialize)]
struct Two<'a> {
    id: String,
    /// The pair in the address.
    value: String,
    /// Whether it is shown first.
    chosen: bool,
    first: &'a str,
    second: &'a str,
    short: [&'a str; 2],
    same_answer: Share,
    same_word: Share,
    sentences: Vec<String>,
    /// What else there is to say of where they part: of the strongest words of their own answers, or of maps of one answer.
    own: Option<String>,
    /// What the ⚠ of the maps below say: each text once, with the models that wear it.
    marks: Vec<Told>,
    legend: String,
    unit: String,
    words: String,
    /// Samples on which they answer differently, each with both maps of the same target.
    apart: Vec<Side>,
    /// How many there are.
    apart_of: usize,
    /// Samples on which they answer alike and rest on different words.
    otherwise: Vec<Side>,
    otherwise_of: usize,
}

/// A sample with both maps.
#[derive(Clone, Serialize)]
struct Side {
    sample: Link,
    gold: Option<String>,
    /// The rows; none where there are no maps of one target.
    lines: Option<Rows>,
    /// The answers, where there are no rows.
    answers: [String; 2],
}

#[derive(Clone, Serialize)]
struct Rows {
    who: Vec<Who>,
    again: String,
    rows: String,
    list: String,
}

/// Two models in numbers.
#[derive(Serialize)]
struct TwoModels<'a> {
    /// The pair in the address.
    pair: String,
    first: &'a str,
    second: &'a str,
    href: String,
    #[serde(flatten)]
    measures: MeanMeasures,
}

/// Pairs of models on a sample that a reader should see.
#[derive(Serialize)]
struct List<'a> {
    id: &'static str,
    title: &'static str,
    caption: &'static str,
    /// What to say where there is no row.
    none: &'static str,
    /// How many pairs were left out since next to nothing about them is certain.
    left_out: usize,
    rows: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    sample: Link,
    subject: String,
    first: OfModel<'a>,
    second: OfModel<'a>,
    spearman: f64,
    /// Of that, from −20 to 20.
    shade: i32,
    plain: Option<f64>,
    certain: Option<f64>,
}

#[derive(Serialize)]
struct OfModel<'a> {
    model: &'a str,
    href: String,
    answer: String,
    /// The strongest words of what the sample is about.
    words: Vec<StrongWord>,
    quality: Option<Quality>,
}

#[derive(Serialize)]
struct StrongWord {
    word: String,
    score: f64,
}

impl Renderer<'_> {
    /// `experiments/ID/comparison/index.html`; a single model has nothing to be compared with.
    pub fn comparison(&self, results: &Results<'_>, out: &mut Sink<'_>) -> Result<()> {
        if results.models.len() < 2 {
            return Ok(());
        }
        let experiment = results.experiment;
        let path = urls::comparison(&experiment.id);
        let links = Links::on(path.clone());
        let crumbs = vec![
            (self.site_title.clone(), urls::HOME.to_owned()),
            (experiment.title.clone(), urls::experiment(&experiment.id)),
        ];
        let title = format!("Comparison of models · {}", experiment.title);
        let finding = sentences(results);
        let means: Means = pairs::every_two(results.models.len())
            .map(|pair| (pair, pairs::measures(results, pair)))
            .collect();
        let view = ComparisonPage {
            page: self.frame(&links, &path, &title, &finding.join(" "), crumbs),
            heading: "Comparison of models",
            experiment: Link {
                title: experiment.title.clone(),
                href: links.to(&urls::experiment(&experiment.id)),
            },
            finding,
            shown: results.shown(),
            compared: results.compared_target(),
            samples: results.samples.len(),
            two: two_models(results, &means, &links),
            weighted: pairs::is_weighted(results),
            matrices: matrices(results, &means),
            top: TOP,
            measures: measures(results, &means),
            segments: &results.subject,
            lists: lists(results, &links),
            pairs: differences::word_by_word(results),
        };
        self.page(
            out,
            path,
            "comparison.html",
            &view,
            &format!("experiment `{}`", experiment.id),
        )
    }
}

/// Every two models, those first that part most.
fn two_models<'a>(results: &'a Results<'_>, means: &Means, links: &Links) -> Vec<Two<'a>> {
    let ids = &results.experiment.models;
    let most_apart = means
        .iter()
        .min_by_key(|(_, means)| (means.same_answer.count, means.same_word.count))
        .map(|(pair, _)| *pair);
    let of_pair = |(&(a, b), means): (&(usize, usize), &MeanMeasures)| {
        let all = 0..results.samples.len();
        let apart: Vec<usize> = all
            .clone()
            .filter(|&sample| pairs::answer_alike(results, (a, b), sample) == Some(false))
            .collect();
        let otherwise: Vec<usize> = all
            .filter(|&sample| {
                pairs::answer_alike(results, (a, b), sample) == Some(true)
                    && results.samples[sample].same_word(a, b) == Some(false)
            })
            .collect();
        let shown = || apart.iter().take(SHOWN).chain(otherwise.iter().take(OTHERWISE));
        let of_both = shown().flat_map(|&sample| {
            let compared = &results.samples[sample].compared;
            [&compared[a], &compared[b]]
                .into_iter()
                .flatten()
                .flat_map(|map| &map.scores)
        });
        let unit = labels::unit_of(results);
        let measure = Measure::of(Scale::over(of_both).max, samples::output_of(results), &unit);
        let side = |&sample: &usize| side(results, (a, b), sample, &measure, links);
        let apart_shown: Vec<Side> = apart.iter().take(SHOWN).map(side).collect();
        let otherwise_shown: Vec<Side> = otherwise.iter().take(OTHERWISE).map(side).collect();
        let names = [&results.short_models[a], &results.short_models[b]];
        let sides = apart_shown.iter().chain(&otherwise_shown);
        let worn = sides
            .filter_map(|side| side.lines.as_ref())
            .flat_map(|lines| names.into_iter().zip(&lines.who))
            .flat_map(|(name, who)| who.warnings.iter().map(move |warning| (name, warning)));
        let marks = told(worn);
        let (sentences, own) = of_two(results, (a, b), means, &apart, &measure);
        Two {
            id: format!("two-{}-{}", a + 1, b + 1),
            value: format!("{}..{}", ids[a], ids[b]),
            chosen: most_apart == Some((a, b)),
            first: &results.models[a],
            second: &results.models[b],
            short: [&results.short_models[a], &results.short_models[b]],
            same_answer: means.same_answer,
            same_word: means.same_word,
            sentences,
            own,
            marks,
            legend: interlinear::legend(results, &measure),
            unit: measure.unit.clone(),
            words: words_address(results, links),
            apart_of: apart.len(),
            apart: apart_shown,
            otherwise_of: otherwise.len(),
            otherwise: otherwise_shown,
        }
    };
    let mut all: Vec<Two<'a>> = means.iter().map(of_pair).collect();
    if let Some(first) = all.first_mut()
        && most_apart.is_none()
    {
        first.chosen = true;
    }
    all
}

/// Both models' maps of the same target on a sample.
fn side(results: &Results<'_>, (a, b): (usize, usize), sample: usize, measure: &Measure, links: &Links) -> Side {
    let analysed = &results.samples[sample];
    let maps = analysed.compared[a].as_ref().zip(analysed.compared[b].as_ref());
    let same = maps.filter(|(x, y)| x.target.trim() == y.target.trim());
    let lines = same.map(|(x, y)| {
        let line = Text::of(results, sample, false);
        let rows = [x, y].map(|map| Some(line.row_of(&map.scores, map.errors.as_deref())));
        let who: Vec<Who> = [a, b]
            .iter()
            .map(|&model| Who {
                target: Some(x.target.trim().to_owned()),
                options: String::new(),
                warnings: warnings(results, model, sample, links),
                ..who(results, model, sample, links)
            })
            .collect();
        let shorts = [results.short_models[a].as_str(), results.short_models[b].as_str()];
        let (again, class) = interlinear::again(&shorts, line.lines());
        Rows {
            who,
            again,
            rows: class,
            list: line.html(&rows, measure, "", &|word| results.word_slug(sample, word)),
        }
    });
    let gold = results.experiment.samples[sample].gold.as_deref();
    let answer = |model: usize| {
        let answer = summary::answer_text(results.record(model, sample));
        results.option_label(&excerpt(answer, 20))
    };
    Side {
        sample: Link {
            title: results.sample_title(sample),
            href: links.to(&urls::sample(&results.experiment.id, results.slug(sample))),
        },
        gold: gold.map(str::to_owned),
        lines,
        answers: [answer(a), answer(b)],
    }
}

/// What speaks against a compared map: that it is not as right as was asked for, or fails its test.
fn warnings(results: &Results<'_>, model: usize, sample: usize, links: &Links) -> Vec<Warning> {
    let record = results.record(model, sample);
    let Some(map) = compared_map(record, results.compares_right_answers) else {
        return Vec::new();
    };
    let page = map_link(results, (model, sample), links);
    let hold = tests_of(results, links);
    let marks = labels::mark(map).map(|text| (text, page));
    let tests = failed_test(results, model, record, map).map(|text| (text, hold));
    let warning = |(text, href): (&str, String)| Warning {
        class: String::new(),
        text: text.to_owned(),
        href,
    };
    marks.into_iter().chain(tests).map(warning).collect()
}

/// What a segment counts over some samples.
#[derive(Clone, Copy)]
struct Spread {
    mean: Mean,
    low: f64,
    high: f64,
}

impl Default for Spread {
    fn default() -> Self {
        Self {
            mean: Mean::default(),
            low: f64::INFINITY,
            high: f64::NEG_INFINITY,
        }
    }
}

impl Spread {
    fn add(&mut self, sum: f64) {
        self.mean.add(Some(sum));
        self.low = self.low.min(sum);
        self.high = self.high.max(sum);
    }

    /// The mean in words. Where it is of numbers of both signs that may cancel, their range stands beside it.
    fn told(&self, measure: &Measure) -> Option<String> {
        let mean = format!("{} {}", measure.number(self.mean.value()?, None), measure.unit);
        Some(if self.low < 0.0 && self.high > 0.0 {
            let (low, high) = (measure.number(self.low, None), measure.number(self.high, None));
            format!("{mean} on average ({low} to {high})")
        } else {
            mean
        })
    }
}

/// How two models stand to each other, in a few sentences, and what else there is to say of where they part.
fn of_two(
    results: &Results<'_>,
    (a, b): (usize, usize),
    means: &MeanMeasures,
    apart: &[usize],
    measure: &Measure,
) -> (Vec<String>, Option<String>) {
    let Share { count, of } = means.same_answer;
    let mut sentences = Vec::new();
    let mut is_told = false;
    if of > 0 {
        let group = results
            .failing
            .as_ref()
            .filter(|group| apart.len() > 1 && apart.iter().all(|&sample| group.samples[sample]));
        // A model of the two that is wrong in the whole group: this is why they part.
        let failing = group.filter(|group| [a, b].contains(&group.model));
        let told = group.map_or_else(String::new, |group| {
            let values = finding::list_of(&group.values, "or");
            match failing {
                Some(_) => format!(
                    ". Why? {} is wrong wherever {} is {values} ({} of {} right there, {} of {} elsewhere){}",
                    results.short_models[group.model],
                    group.column,
                    group.inside.count,
                    group.inside.of,
                    group.outside.count,
                    group.outside.of,
                    answers_as(results, group, if group.model == a { b } else { a })
                ),
                None => format!(", all of them where {} is {values}", group.column),
            }
        });
        is_told = failing.is_some();
        sentences.push(match of - count {
            0 => format!("They give the same answer on all {of} samples."),
            apart => format!("They answer alike on {count} of {of} samples and part on {apart}{told}."),
        });
    }
    let by_maps = why(results, (a, b), apart, is_told, measure);
    let own = own_reasons(results, (a, b), apart);
    // Where a plainer reason is told, what each one's own answer rests on says more than the maps of an answer that one
    // of them does not give.
    match own {
        Some(own) if is_told => (sentences.into_iter().chain([own]).collect(), by_maps),
        own => (sentences.into_iter().chain(by_maps).collect(), own),
    }
}

/// What a model answers by where it is wrong: `: its answers are those of the column “hint”, on all 24 samples (those of
/// Llama on 19)`.
fn answers_as(results: &Results<'_>, group: &FailingGroup, other: usize) -> String {
    let Some(AnswersAs { column, models }) = &group.answers_as else {
        return String::new();
    };
    let Share { count, of } = models[group.model];
    let on = if count == of {
        format!("all {of}")
    } else {
        format!("{count} of {of}")
    };
    format!(
        ": its answers are those of the column “{column}”, on {on} samples ({}’s on {})",
        results.short_models[other], models[other].count
    )
}

/// Why two models part, as far as their maps tell: the segments of the text that count differently most. Where they never
/// part, what counts most. `is_told`: whether a plainer reason has been given.
fn why(
    results: &Results<'_>,
    (a, b): (usize, usize),
    apart: &[usize],
    is_told: bool,
    measure: &Measure,
) -> Option<String> {
    let all: Vec<usize> = (0..results.samples.len()).collect();
    let mut segments = segments(results, (a, b), if apart.is_empty() { &all } else { apart });
    let means = |both: &[Spread; 2]| both.map(|spread| spread.mean.value().unwrap_or(0.0));
    let key = |(name, both): &(String, [Spread; 2])| {
        let [x, y] = means(both);
        if apart.is_empty() {
            (results.experiment.expected.contains(name), x.abs().max(y.abs()))
        } else {
            (false, (x - y).abs())
        }
    };
    segments.sort_by(|x, y| {
        let (x, y) = (key(x), key(y));
        y.0.cmp(&x.0).then(y.1.total_cmp(&x.1))
    });
    if let Some(others) = segments.get_mut(1..) {
        // Beside the one that parts them most, those where the cause is known to be come first.
        others.sort_by_key(|(name, _)| !results.experiment.expected.contains(name));
    }
    let (first, second) = (&results.short_models[a], &results.short_models[b]);
    let mut told = segments.iter().filter_map(|(name, [x, y])| {
        let (x, y) = (x.told(measure)?, y.told(measure)?);
        Some(format!("“{name}” counts {x} with {first} and {y} with {second}"))
    });
    let target = results.compared_target();
    match (told.next(), told.next()) {
        (None, _) => None,
        (Some(most), next) if apart.is_empty() => {
            let next = next.map_or_else(String::new, |next| format!("; {next}"));
            Some(format!("In maps of {target}, {most}{next}."))
        }
        (Some(most), next) => {
            let next = next.map_or_else(String::new, |next| format!("; next, {next}"));
            let by = if is_told { "In" } else { "Why? By their" };
            Some(format!("{by} maps of {target} there, {most}{next}."))
        }
    }
}

/// What each segment counts over some samples with either model, in maps of the same target.
fn segments(results: &Results<'_>, (a, b): (usize, usize), over: &[usize]) -> Vec<(String, [Spread; 2])> {
    let mut sums: IndexMap<String, [Spread; 2]> = IndexMap::new();
    for &sample in over {
        let analysed = &results.samples[sample];
        let (Some(x), Some(y)) = (&analysed.compared[a], &analysed.compared[b]) else {
            continue;
        };
        if x.target.trim() != y.target.trim() {
            continue;
        }
        let mut of_sample: IndexMap<&str, [f64; 2]> = IndexMap::new();
        for (index, &word) in analysed.subject_words.iter().enumerate() {
            let both = of_sample.entry(analysed.units.segment_name(word)).or_default();
            both[0] += x.scores[index];
            both[1] += y.scores[index];
        }
        for (name, [x, y]) in of_sample {
            let both = sums.entry(name.to_owned()).or_default();
            both[0].add(x);
            both[1].add(y);
        }
    }
    sums.into_iter().collect()
}

/// In which segment the strongest word of each model's own answer lies, over the samples where two models part; none
/// where there is one segment alone, or where no map says it.
fn own_reasons(results: &Results<'_>, (a, b): (usize, usize), apart: &[usize]) -> Option<String> {
    if results.subject.len() < 2 {
        return None;
    }
    let told = [a, b].map(|model| {
        let mut counts: IndexMap<&str, usize> = IndexMap::new();
        for &sample in apart {
            if let Some((word, _)) = results.reasons(model, sample, 1).first() {
                *counts
                    .entry(results.samples[sample].units.segment_name(*word))
                    .or_default() += 1;
            }
        }
        let of: usize = counts.values().sum();
        counts.sort_by(|_, x, _, y| y.cmp(x));
        let all = counts.iter().take(2);
        let all: Vec<String> = all.map(|(name, count)| format!("“{name}” ({count} of {of})")).collect();
        (of > 0).then(|| format!("{}, {}", results.short_models[model], list(&all)))
    });
    let [Some(first), Some(second)] = told else {
        return None;
    };
    Some(format!(
        "Where the strongest word of each one’s own answer lies: {first}; {second}."
    ))
}

fn sentences(results: &Results<'_>) -> Vec<String> {
    let mut known: Vec<(Share, String)> = pairs::every_two(results.models.len())
        .map(|(a, b)| {
            let names = format!("{} and {}", results.short_models[a], results.short_models[b]);
            (pairs::same_words(results, (a, b)), names)
        })
        .filter(|(share, _)| share.of > 0)
        .collect();
    let value = |share: &Share| share.value().unwrap_or(0.0);
    known.sort_by(|x, y| value(&y.0).total_cmp(&value(&x.0)));
    let target = results.compared_target();
    let mut sentences = Vec::new();
    match &known[..] {
        [] => sentences.push("No two models have maps of the same target that can be compared.".to_owned()),
        [(share, pair)] => sentences.push(format!(
            "In maps of {target}, {pair} rest most on the same word in {} of {} samples.",
            share.count, share.of
        )),
        [(most, pair), .., (least, other)] => sentences.push(format!(
            "In maps of {target}, {pair} rest most on the same word most often ({} of {} samples), {other} least \
             ({} of {}).",
            most.count, most.of, least.count, least.of
        )),
    }
    sentences.extend(finding::same_answer(results));
    sentences.extend(doubtful(results));
    sentences
}

/// The number of compared maps that miss their quality bar.
fn doubtful(results: &Results<'_>) -> Option<String> {
    let records = results.source.records.iter().flatten();
    let (mut off, mut all) = (0, 0);
    for attribution in records.filter_map(|record| compared_map(record, results.compares_right_answers)) {
        all += 1;
        off += usize::from(!summary::is_right(attribution));
    }
    (off > 0).then(|| {
        format!("{off} of the {all} maps compared here did not reach their tolerance; the lists below say which.")
    })
}

/// The measures of every two models, the first before the second.
type Means = BTreeMap<(usize, usize), MeanMeasures>;

fn matrices(results: &Results<'_>, means: &Means) -> Vec<Figure> {
    let mean = |of: fn(&MeanMeasures) -> Option<f64>| move |a: usize, b: usize| of(means.get(&(a.min(b), a.max(b)))?);
    let spearman = figures::matrix(
        results,
        "spearman",
        "Rank correlation (Spearman)",
        mean(|means| means.leading.spearman),
        "correlation",
    );
    let kendall = figures::matrix(
        results,
        "kendall",
        "Rank correlation (Kendall)",
        mean(|means| means.leading.kendall),
        "correlation",
    );
    let overlap = figures::matrix(
        results,
        "overlap",
        "Strongest words in common",
        mean(|means| means.leading.overlap),
        "percent",
    );
    let answers = figures::matrix(
        results,
        "answers",
        "Same answer",
        mean(|means| means.same_answer.value()),
        "percent",
    );
    let noted = |figure: Figure, note: &str| Figure {
        note: note.to_owned(),
        ..figure
    };
    vec![
        noted(
            spearman,
            "+1: the same order of words; 0: unrelated; −1: reversed. Mean over the samples.",
        ),
        noted(
            kendall,
            "Share of word pairs ranked alike minus share ranked the other way. Mean over the samples.",
        ),
        noted(
            overlap,
            &format!("Of the {TOP} words of greatest magnitude. Mean over the samples."),
        ),
        noted(answers, "Share of samples on which two models predict the same."),
    ]
}

fn measures<'a>(results: &'a Results<'_>, means: &Means) -> Vec<TwoModels<'a>> {
    let ids = &results.experiment.models;
    let line = |(&(a, b), &measures): (&(usize, usize), &MeanMeasures)| TwoModels {
        pair: format!("{}..{}", ids[a], ids[b]),
        first: &results.models[a],
        second: &results.models[b],
        href: format!("#pair-{}-{}", a + 1, b + 1),
        measures,
    };
    means.iter().map(line).collect()
}

fn lists<'a>(results: &'a Results<'_>, links: &Links) -> Vec<List<'a>> {
    let all = pairs::on_samples(results);
    let rows = |pairs: &mut dyn Iterator<Item = &OnSample>| -> Vec<Row<'a>> {
        pairs.take(LISTED).map(|pair| row(results, pair, links)).collect()
    };
    let ranked = all.ranked.iter();
    vec![
        List {
            id: "different",
            title: "Same answer, different reasons",
            caption: "Pairs of models that answer alike and rest most on different words, least agreement first",
            none: "No two models that answer alike rest most on different words.",
            left_out: all.alike_left_out,
            rows: rows(&mut ranked.clone().filter(|pair| pair.alike && !pair.same_word)),
        },
        List {
            id: "same",
            title: "Different answers, similar reasons",
            caption: "Pairs of models that answer differently and rest most on the same word, most agreement first",
            none: "No two models that answer differently rest most on the same word.",
            left_out: all.different_left_out,
            rows: rows(&mut ranked.clone().rev().filter(|pair| !pair.alike && pair.same_word)),
        },
        List {
            id: "most",
            title: "Where the maps disagree most",
            caption: "Pairs of models whatever they answer, least agreement first",
            none: "No two models have maps that can be compared.",
            left_out: all.alike_left_out + all.different_left_out,
            rows: rows(&mut ranked.clone()),
        },
    ]
}

fn row<'a>(results: &'a Results<'_>, pair: &OnSample, links: &Links) -> Row<'a> {
    let experiment = results.experiment;
    let sample = pair.sample;
    let of_model = |model: usize| {
        let record = results.record(model, sample);
        let analysed = &results.samples[sample];
        let strongest = analysed.compared[model].as_ref().map_or_else(Vec::new, |map| {
            let strongest = largest(&map.scores, 3)
                .into_iter()
                .filter(|&word| map.scores[word] != 0.0);
            strongest
                .map(|word| (analysed.subject_words[word], map.scores[word]))
                .collect()
        });
        OfModel {
            model: &results.models[model],
            href: map_link(results, (model, sample), links),
            answer: excerpt(summary::answer_text(record), 20),
            words: strongest
                .into_iter()
                .map(|(word, score)| StrongWord {
                    word: results.word(sample, word),
                    score,
                })
                .collect(),
            quality: compared_map(record, results.compares_right_answers).map(Quality::of),
        }
    };
    Row {
        sample: Link {
            title: results.sample_title(sample),
            href: links.to(&urls::sample(&experiment.id, results.slug(sample))),
        },
        subject: excerpt(&results.samples[sample].subject, 90),
        first: of_model(pair.models.0),
        second: of_model(pair.models.1),
        spearman: pair.spearman,
        shade: Scale { max: 1.0 }.shade(pair.spearman),
        plain: pair.plain,
        certain: pair.certain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture::Fixture;

    /// The first sample's maps of the first two models rest on these words of its claim alone: the first or the last.
    fn named(last: [bool; 2], alike: bool) -> [bool; 3] {
        let mut fixture = Fixture::demo();
        let answer = fixture.records[0][0][0].prediction.clone().expect("a prediction");
        for (model, &last) in last.iter().enumerate() {
            let record = &mut fixture.records[0][model][0];
            let claim = record
                .segments
                .iter()
                .find(|segment| segment.name == "claim")
                .expect("a claim");
            let (start, end) = (claim.start, claim.end);
            let inside = |token: &crate::terms::Token| {
                !token.special && start <= token.start && token.start < token.end && token.end <= end
            };
            let first_one = record.tokens.iter().position(inside).expect("a token");
            let last_one = record.tokens.iter().rposition(inside).expect("a token");
            let mut scores = record.attributions[0].scores.clone();
            // The form of the prompt is stronger than any word of the claim, and does not count.
            // What is left is in the reversed order, so that the two come first among those that disagree.
            let sign = if model == 0 { 1e-9 } else { -1e-9 };
            scores
                .iter_mut()
                .enumerate()
                .for_each(|(index, score)| *score = sign * index as f64);
            let options = record.tokens.len() - 1;
            scores[options] = 5.0;
            scores[if last { last_one } else { first_one }] = 1.0;
            // Of the right answer, which is compared, and of the one that is given.
            for map in &mut record.attributions {
                map.scores.clone_from(&scores);
            }
            record.prediction = Some(answer.clone());
            if !alike && model == 1 {
                let other = record
                    .options
                    .values()
                    .find(|option| option.token_id != answer.token_id);
                record.prediction.as_mut().expect("a prediction").token_id = other.expect("another option").token_id;
            }
        }
        let site = fixture.site(None);
        let results = Results::of(&fixture.project, &site.results[0]).expect("whole");
        assert_eq!(results.subject, ["claim"]);
        let lists = lists(&results, &Links::on(urls::comparison(&results.experiment.id)));
        [has(&lists[0]), has(&lists[1]), has(&lists[2])]
    }

    fn has(list: &List<'_>) -> bool {
        let both = |row: &Row<'_>| {
            [&row.first, &row.second]
                .iter()
                .all(|answer| (answer.words[0].score - 1.0).abs() < 0.005)
        };
        list.rows.iter().any(both)
    }

    #[test]
    fn reasons_are_the_words_that_tell_samples_apart() {
        assert_eq!(named([false, true], true), [true, false, true]);
        assert_eq!(named([true, true], true), [false, false, true]);
        assert_eq!(named([true, true], false), [false, true, true]);
        assert_eq!(named([false, true], false), [false, false, true]);
    }

    /// Each word's score in all maps of a model's record.
    fn set_scores(record: &mut crate::store::record::SampleRecord, of: impl Fn(&str) -> f64) {
        let scores: Vec<f64> = record
            .tokens
            .iter()
            .map(|token| {
                let is_inside =
                    |segment: &&crate::terms::Segment| segment.start <= token.start && token.end <= segment.end;
                let segment = record
                    .segments
                    .iter()
                    .find(is_inside)
                    .filter(|_| token.start < token.end);
                segment.map_or(0.0, |segment| of(&segment.name))
            })
            .collect();
        for map in &mut record.attributions {
            map.scores.clone_from(&scores);
        }
    }

    #[test]
    fn a_pair_is_told_why_it_parts_by_what_counts_differently() {
        let mut fixture = Fixture::demo();
        let answer = fixture.records[0][0][0].prediction.clone().expect("a prediction");
        for sample in 0..6 {
            for model in 0..2 {
                fixture.records[0][model][sample].prediction = Some(answer.clone());
            }
        }
        let other = fixture.records[0][1][2]
            .options
            .values()
            .find(|option| option.token_id != answer.token_id)
            .expect("another option")
            .token_id;
        let parting = &mut fixture.records[0][1][2];
        parting.prediction.as_mut().expect("a prediction").token_id = other;
        for (model, claim) in [(0, 0.02), (1, -0.01)] {
            set_scores(&mut fixture.records[0][model][2], |name| match name {
                "claim" => claim,
                // Strong and alike: it parts nobody.
                _ => 0.5,
            });
        }
        let site = fixture.site(None);
        let results = Results::of(&fixture.project, &site.results[0]).expect("whole");
        let measures = pairs::measures(&results, (0, 1));
        let measure = Measure::of(0.02, samples::output_of(&results), &labels::unit_of(&results));
        let (told, _) = of_two(&results, (0, 1), &measures, &[2], &measure);
        let claim: Vec<f64> = [0, 1]
            .map(|model| {
                let map = results.samples[2].compared[model].as_ref().expect("a map");
                map.scores.iter().sum()
            })
            .to_vec();
        assert!(claim[0] > 0.0 && claim[1] < 0.0, "{claim:?}");
        let number = |sum: f64| format!("{} {}", measure.number(sum, None), measure.unit);
        assert_eq!(
            told,
            [
                "They answer alike on 5 of 6 samples and part on 1.".to_owned(),
                format!(
                    "Why? By their maps of {} there, “claim” counts {} with {} and {} with {}.",
                    results.compared_target(),
                    number(claim[0]),
                    results.short_models[0],
                    number(claim[1]),
                    results.short_models[1]
                ),
            ]
        );
        // Alike everywhere: what counts most is told, and no reason why they part.
        let (told, _) = of_two(&results, (0, 1), &measures, &[], &measure);
        assert!(told[1].starts_with("In maps of "), "{told:?}");
    }
}
