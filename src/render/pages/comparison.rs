//! The models of an experiment against each other: whether they answer alike, and whether for the same reasons.

use serde::Serialize;

use super::experiment::map_note;
use super::{Frame, Link, Renderer, or_dash};
use crate::analysis::agreement::{Agreement, TOP};
use crate::analysis::summary::{self, Mean, Share};
use crate::diagnostic::Result;
use crate::render::heatmap::Scale;
use crate::render::results::Results;
use crate::render::text::{self, excerpt, percent};
use crate::render::{Sink, labels};
use crate::site::urls::{self, Links};

/// How many pairs each list shows.
const LISTED: usize = 15;

#[derive(Serialize)]
struct ComparisonView {
    page: Frame,
    heading: String,
    experiment: Link,
    finding: Vec<String>,
    map_note: String,
    models: Vec<String>,
    matrices: Vec<Matrix>,
    /// Same answer, maps that disagree.
    different_reasons: Vec<PairRow>,
    /// Different answers, maps that agree.
    same_reasons: Vec<PairRow>,
}

#[derive(Serialize)]
struct Matrix {
    id: &'static str,
    title: String,
    note: String,
    rows: Vec<(String, Vec<Cell>)>,
}

#[derive(Serialize, Clone)]
struct Cell {
    text: String,
    class: String,
    note: String,
}

#[derive(Serialize)]
struct PairRow {
    sample: Link,
    subject: String,
    first: Answer,
    second: Answer,
    spearman: String,
    spearman_class: String,
}

#[derive(Serialize)]
struct Answer {
    model: String,
    href: String,
    answer: String,
    mark: Option<&'static str>,
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
        let finding = finding(results);
        let view = ComparisonView {
            page: self.frame(&links, &path, &title, &finding.join(" "), crumbs),
            heading: "Comparison of models".to_owned(),
            experiment: Link {
                title: experiment.title.clone(),
                href: links.to(&urls::experiment(&experiment.id)),
            },
            finding,
            map_note: map_note(results),
            models: results.models.clone(),
            matrices: matrices(results),
            different_reasons: pairs(results, true, &links),
            same_reasons: pairs(results, false, &links),
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

fn mean_of(results: &Results<'_>, a: usize, b: usize, measure: impl Fn(&Agreement) -> Option<f64>) -> Mean {
    let mut mean = Mean::default();
    for sample in &results.samples {
        for (first, second, agreement) in &sample.agreements {
            if (*first, *second) == (a.min(b), a.max(b)) {
                mean.add(measure(agreement));
            }
        }
    }
    mean
}

fn same_answers(results: &Results<'_>, a: usize, b: usize) -> Share {
    let mut share = Share::default();
    for sample in 0..results.samples.len() {
        share.add(summary::gives_same_answer([
            results.record(a, sample),
            results.record(b, sample),
        ]));
    }
    share
}

fn finding(results: &Results<'_>) -> Vec<String> {
    let mut pairs = Vec::new();
    for b in 0..results.models.len() {
        for a in 0..b {
            if let Some(mean) = mean_of(results, a, b, |agreement| agreement.spearman).value() {
                pairs.push((mean, format!("{} and {}", results.models[a], results.models[b])));
            }
        }
    }
    pairs.sort_by(|x, y| y.0.total_cmp(&x.0));
    let mut sentences = Vec::new();
    match &pairs[..] {
        [] => sentences.push("No two models have maps that can be compared.".to_owned()),
        [(mean, pair)] => sentences.push(format!(
            "The maps of {pair} agree with a mean rank correlation of {}.",
            text::correlation(*mean)
        )),
        [(most, pair), .., (least, other)] => sentences.push(format!(
            "The maps of {pair} agree most (mean rank correlation {}), those of {other} least ({}).",
            text::correlation(*most),
            text::correlation(*least)
        )),
    }
    sentences.extend(super::finding::same_answer(results));
    sentences.extend(doubtful(results));
    sentences
}

/// How many of the maps that are compared are not as right as was asked for.
fn doubtful(results: &Results<'_>) -> Option<String> {
    let records = results.source.records.iter().flatten();
    let (mut off, mut all) = (0, 0);
    for attribution in records.filter_map(summary::shown) {
        all += 1;
        off += usize::from(!summary::is_right(attribution));
    }
    (off > 0).then(|| {
        format!("{off} of the {all} maps compared here did not reach their tolerance; the lists below say which.")
    })
}

fn matrices(results: &Results<'_>) -> Vec<Matrix> {
    let unit = Scale { max: 1.0 };
    let correlation = |measure: fn(&Agreement) -> Option<f64>| {
        move |a: usize, b: usize| {
            let mean = mean_of(results, a, b, measure);
            Cell {
                text: or_dash(mean.value().map(text::correlation)),
                class: mean.value().map_or_else(String::new, |value| unit.class(value)),
                note: format!("mean of {} samples", mean.of),
            }
        }
    };
    let share = |a: usize, b: usize| {
        let share = same_answers(results, a, b);
        Cell {
            text: or_dash(share.value().map(percent)),
            class: String::new(),
            note: format!("{} of {}", share.count, share.of),
        }
    };
    let overlap = |a: usize, b: usize| {
        let mean = mean_of(results, a, b, |agreement| agreement.overlap);
        Cell {
            text: or_dash(mean.value().map(percent)),
            class: String::new(),
            note: format!("mean of {} samples", mean.of),
        }
    };
    vec![
        matrix(
            results,
            "spearman",
            "Rank correlation of word scores (Spearman)",
            "+1: the same order of words; 0: unrelated; −1: reversed.",
            correlation(|a| a.spearman),
        ),
        matrix(
            results,
            "kendall",
            "Rank correlation of word scores (Kendall’s tau-b)",
            "Concordant minus discordant pairs of words.",
            correlation(|a| a.kendall),
        ),
        matrix(
            results,
            "overlap",
            &format!("Overlap of the {TOP} strongest words"),
            "Share of the words of greatest magnitude that two maps have in common.",
            overlap,
        ),
        matrix(
            results,
            "answers",
            "Same answer",
            "Share of samples on which two models predict the same.",
            share,
        ),
    ]
}

fn matrix(
    results: &Results<'_>,
    id: &'static str,
    title: &str,
    note: &str,
    cell: impl Fn(usize, usize) -> Cell,
) -> Matrix {
    let itself = || Cell {
        text: "·".to_owned(),
        class: "self".to_owned(),
        note: "itself".to_owned(),
    };
    let count = results.models.len();
    let row = |a: usize| (0..count).map(|b| if a == b { itself() } else { cell(a, b) }).collect();
    Matrix {
        id,
        title: title.to_owned(),
        note: note.to_owned(),
        rows: (0..count).map(|a| (results.models[a].clone(), row(a))).collect(),
    }
}

/// Pairs of models that answer alike for the least alike reasons; or that answer differently for the most alike ones.
fn pairs(results: &Results<'_>, same_answer: bool, links: &Links) -> Vec<PairRow> {
    let mut found: Vec<(f64, usize, usize, usize)> = Vec::new();
    for (sample, analysed) in results.samples.iter().enumerate() {
        for (a, b, agreement) in &analysed.agreements {
            let alike = summary::gives_same_answer([results.record(*a, sample), results.record(*b, sample)]);
            if let Some(spearman) = agreement.spearman.filter(|_| alike == same_answer) {
                found.push((if same_answer { spearman } else { -spearman }, sample, *a, *b));
            }
        }
    }
    found.sort_by(|x, y| x.0.total_cmp(&y.0).then((x.1, x.2, x.3).cmp(&(y.1, y.2, y.3))));
    found.truncate(LISTED);
    let id = &results.experiment.id;
    let answer = |model: usize, sample: usize| Answer {
        model: results.models[model].clone(),
        href: links.to(&urls::map(id, &results.experiment.models[model], results.slug(sample))),
        answer: excerpt(summary::answer(results.record(model, sample)), 20),
        mark: results
            .record(model, sample)
            .attributions
            .first()
            .and_then(labels::mark),
    };
    let row = |(key, sample, a, b): (f64, usize, usize, usize)| {
        let spearman = if same_answer { key } else { -key };
        PairRow {
            sample: Link {
                title: results.sample_title(sample),
                href: links.to(&urls::sample(id, results.slug(sample))),
            },
            subject: excerpt(&results.samples[sample].subject, 90),
            first: answer(a, sample),
            second: answer(b, sample),
            spearman: text::correlation(spearman),
            spearman_class: Scale { max: 1.0 }.class(spearman),
        }
    };
    found.into_iter().map(row).collect()
}
