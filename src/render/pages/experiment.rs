//! An experiment: its finding, its models, where the attribution goes, and every sample to search.

use indexmap::IndexMap;
use serde::Serialize;

use super::words::{self, TargetWords};
use super::{Frame, Link, Renderer, SummaryView, finding, or_dash};
use crate::analysis::summary::{self, Mean};
use crate::content::dataset::Origin;
use crate::content::experiment::{AttributionSpec, BaselineSpec, TargetSpec};
use crate::content::prompt::PromptStyle;
use crate::diagnostic::{Diagnostics, Result};
use crate::render::results::{Results, SPECIAL};
use crate::render::text::{correlation, excerpt, number, percent, signed};
use crate::render::{Sink, chart, data, heatmap, labels};
use crate::site::urls::{self, Links};

#[derive(Serialize)]
struct ExperimentView {
    page: Frame,
    heading: String,
    draft: bool,
    finding: Vec<String>,
    text: String,
    models: Vec<SummaryView>,
    guessing: Option<String>,
    has_margin: bool,
    segments: Vec<String>,
    shares: Vec<SharesRow>,
    words: Vec<TargetWords>,
    /// Letter and what it stands for.
    options: Vec<(String, String)>,
    /// Mean share of |score| on the line of each option; empty where the prompt has no such lines.
    option_shares: Vec<SharesRow>,
    confusions: Vec<Confusion>,
    full_bar: String,
    map_note: String,
    golds: Vec<String>,
    samples: Vec<SampleRow>,
    comparison: Option<String>,
    settings: Vec<(String, String)>,
    yaml: String,
    csv: String,
    json_lines: String,
    columns: Vec<(&'static str, &'static str)>,
}

/// A model's mean share of |score| by segment.
#[derive(Serialize)]
struct SharesRow {
    model: String,
    chart: String,
    shares: Vec<String>,
}

#[derive(Serialize)]
struct Confusion {
    model: String,
    rows: Vec<ConfusionRow>,
}

#[derive(Serialize)]
struct ConfusionRow {
    gold: String,
    /// Count, class of its shade, whether it is the right answer.
    cells: Vec<(usize, String, bool)>,
}

#[derive(Serialize)]
struct SampleRow {
    title: String,
    href: String,
    subject: String,
    gold: String,
    gold_label: String,
    right: usize,
    of: usize,
    disagree: bool,
    off: bool,
    agreement: String,
    agreement_sort: f64,
    answers: Vec<AnswerView>,
}

#[derive(Serialize)]
struct AnswerView {
    model: String,
    href: String,
    answer: String,
    probability: String,
    /// `right`, `wrong` or nothing.
    verdict: &'static str,
    strip: Option<String>,
    /// What to know before the map is believed; nothing where it is as right as was asked for.
    mark: Option<&'static str>,
    words: Vec<(String, String)>,
}

impl Renderer<'_> {
    /// `experiments/ID/index.html`.
    pub fn experiment(&self, results: &Results<'_>, out: &mut Sink<'_>) -> Result<(), Diagnostics> {
        let experiment = results.experiment;
        let path = urls::experiment(&experiment.id);
        let links = Links::on(path.clone());
        let finding = finding::of_experiment(results);
        let home = (self.site_title.clone(), urls::HOME.to_owned());
        let letters: Vec<&str> = experiment.options.iter().map(|option| option.letter.as_str()).collect();
        let segments = segment_names(results);
        let view = ExperimentView {
            page: self.frame(&links, &path, &experiment.title, &finding.join(" "), vec![home]),
            heading: experiment.title.clone(),
            draft: experiment.draft,
            finding,
            text: self
                .description(&experiment.description, &experiment.path, Some(&experiment.id), &links)?
                .html,
            models: SummaryView::of_models(results, &links),
            guessing: results.guessing().map(percent),
            has_margin: results.summaries.iter().any(|s| s.within_margin.of > 0),
            shares: shares(results, &results.segment_shares, &segments),
            option_shares: if results.option_shares.iter().all(|shares| shares.is_empty()) {
                Vec::new()
            } else {
                shares(results, &results.option_shares, &letters)
            },
            segments,
            words: words::by_target(results),
            confusions: if results.summaries.iter().any(|s| s.accuracy.of > 0) {
                confusions(results, &letters)
            } else {
                Vec::new()
            },
            options: letters
                .iter()
                .map(|letter| ((*letter).to_owned(), results.option_label(letter)))
                .collect(),
            full_bar: number(results.scale.max),
            map_note: map_note(results),
            golds: golds(results),
            samples: (0..results.samples.len())
                .map(|sample| row(results, sample, &links))
                .collect(),
            comparison: (results.models.len() > 1).then(|| links.to(&urls::comparison(&experiment.id))),
            settings: settings(results),
            yaml: experiment.yaml.clone(),
            csv: links.to(&urls::csv(&experiment.id)),
            json_lines: links.to(&urls::json_lines(&experiment.id)),
            columns: data::COLUMNS.to_vec(),
        };
        Ok(self.page(
            out,
            path,
            "experiment.html",
            &view,
            &format!("experiment `{}`", experiment.id),
        )?)
    }
}

/// Every segment that any model's maps have, special tokens last.
fn segment_names(results: &Results<'_>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in results.segment_shares.iter().flat_map(|shares| shares.keys()) {
        if name != SPECIAL && !names.contains(name) {
            names.push(name.clone());
        }
    }
    if !names.is_empty() {
        names.push(SPECIAL.to_owned());
    }
    names
}

fn shares<T: AsRef<str>>(results: &Results<'_>, shares: &[IndexMap<String, Mean>], names: &[T]) -> Vec<SharesRow> {
    let row = |(model, means): (&String, &IndexMap<String, Mean>)| {
        let values: Vec<Option<f64>> = names
            .iter()
            .map(|name| means.get(name.as_ref()).and_then(|mean| mean.value()))
            .collect();
        SharesRow {
            model: model.clone(),
            chart: chart::stacked(&values.iter().map(|value| value.unwrap_or(0.0)).collect::<Vec<_>>()),
            shares: values.into_iter().map(|value| or_dash(value.map(percent))).collect(),
        }
    };
    results.models.iter().zip(shares).map(row).collect()
}

fn confusions(results: &Results<'_>, letters: &[&str]) -> Vec<Confusion> {
    let one = |(model, records): (&String, &Vec<crate::store::record::SampleRecord>)| {
        let counts = summary::confusion(letters, records);
        let most = counts.iter().flatten().copied().max().unwrap_or(0);
        let scale = heatmap::Scale { max: most as f64 };
        let rows = counts.iter().enumerate().map(|(gold, counts)| ConfusionRow {
            gold: results.option_label(letters[gold]),
            cells: counts
                .iter()
                .enumerate()
                .map(|(given, &count)| (count, shade(scale, count), gold == given))
                .collect(),
        });
        Confusion {
            model: model.clone(),
            rows: rows.collect(),
        }
    };
    results.models.iter().zip(&results.source.records).map(one).collect()
}

/// Counts have no sign: they use shades of their own.
fn shade(scale: heatmap::Scale, count: usize) -> String {
    match scale.shade(count as f64) {
        0 => String::new(),
        shade => format!("c{}", (shade + 3) / 4),
    }
}

fn golds(results: &Results<'_>) -> Vec<String> {
    let used = |letter: &str| {
        results
            .experiment
            .samples
            .iter()
            .any(|sample| sample.gold.as_deref() == Some(letter))
    };
    results
        .experiment
        .options
        .iter()
        .map(|option| option.letter.clone())
        .filter(|letter| used(letter))
        .collect()
}

fn row(results: &Results<'_>, sample: usize, links: &Links) -> SampleRow {
    let experiment = results.experiment;
    let gold = experiment.samples[sample].gold.clone();
    let analysed = &results.samples[sample];
    let mean = analysed.mean_spearman();
    SampleRow {
        title: results.sample_title(sample),
        href: links.to(&urls::sample(&experiment.id, results.slug(sample))),
        subject: analysed.subject.clone(),
        gold_label: gold
            .as_deref()
            .map_or_else(String::new, |gold| results.option_label(gold)),
        gold: gold.unwrap_or_default(),
        right: results
            .records_of(sample)
            .filter(|record| record.correct == Some(true))
            .count(),
        of: results
            .records_of(sample)
            .filter(|record| record.correct.is_some())
            .count(),
        disagree: !analysed.same_answer,
        off: results
            .records_of(sample)
            .any(|record| !record.attributions.iter().all(summary::is_right)),
        agreement: or_dash(mean.map(correlation)),
        agreement_sort: mean.unwrap_or(-2.0),
        answers: (0..results.models.len())
            .map(|model| answer(results, model, sample, links))
            .collect(),
    }
}

fn answer(results: &Results<'_>, model: usize, sample: usize, links: &Links) -> AnswerView {
    let record = results.record(model, sample);
    let analysed = &results.samples[sample];
    let words = results.top_words(model, sample, 3);
    AnswerView {
        model: results.models[model].clone(),
        href: links.to(&urls::map(
            &results.experiment.id,
            &results.experiment.models[model],
            results.slug(sample),
        )),
        answer: excerpt(summary::answer(record), 12),
        probability: percent(summary::answer_probability(record)),
        verdict: match record.correct {
            Some(true) => "right",
            Some(false) => "wrong",
            None => "",
        },
        strip: analysed.words[model]
            .as_ref()
            .map(|words| heatmap::strip(&analysed.units, &words.units, results.scale)),
        mark: record.attributions.first().and_then(labels::mark),
        words: words.into_iter().map(|(word, score)| (word, signed(score))).collect(),
    }
}

/// Which of the maps the pages with several models show.
pub(super) fn map_note(results: &Results<'_>) -> String {
    let first = results
        .source
        .records
        .iter()
        .flatten()
        .flat_map(|record| record.attributions.first())
        .next();
    let Some(first) = first else {
        return "There is no map.".to_owned();
    };
    let target = match first.target.kind.as_str() {
        "predicted" => "each model’s own prediction".to_owned(),
        "gold" => "the right answer".to_owned(),
        _ => format!("“{}”", first.target.text),
    };
    let others = match results
        .source
        .records
        .iter()
        .flatten()
        .map(|record| record.attributions.len())
        .max()
    {
        Some(count) if count > 1 => format!(" Each map page shows all {count} maps of its model and sample."),
        _ => String::new(),
    };
    let template = match results.experiment.prompt_style {
        PromptStyle::Plain => "",
        PromptStyle::Chat => {
            " Each model has its own chat template round the prompt: it is in the map pages, and in no comparison of models."
        }
    };
    format!(
        "Maps explain {target}, as {}, from the {}.{others}{template}",
        results.unit(),
        labels::baseline(&first.baseline)
    )
}

fn settings(results: &Results<'_>) -> Vec<(String, String)> {
    let spec = &results.experiment.attribution;
    let targets: Vec<String> = spec.targets.iter().map(target).collect();
    let baselines: Vec<String> = spec.baselines.iter().map(baseline).collect();
    let line = |name: &str, value: String| (name.to_owned(), value);
    let origin = results.experiment.origin.as_ref();
    let mut lines: Vec<(String, String)> = origin
        .map(|origin| line("Data set", data_set(origin)))
        .into_iter()
        .collect();
    if results.experiment.prompt_style == PromptStyle::Chat {
        lines.push(line("Prompt", "within each model’s own chat template".to_owned()));
    }
    lines.extend([
        line(
            "Method",
            "Integrated Gradients (Sundararajan, Taly and Yan 2017)".to_owned(),
        ),
        line("Targets", targets.join(", ")),
        line("Output", results.unit().to_owned()),
        line("Baselines", baselines.join(", ")),
        line("Quadrature", labels::quadrature(spec)),
        line("Tolerance", tolerance(spec)),
        line(
            "Margin",
            format!("|sum − probability| below {} (the notebook’s check)", spec.margin),
        ),
    ]);
    lines
}

/// A data set of the hub, with all that is needed to have the same rows again.
fn data_set(origin: &Origin) -> String {
    let Origin {
        repository,
        revision,
        commit,
        config,
        split,
    } = origin;
    let part =
        |what: &str, name: &Option<String>| name.as_ref().map(|name| format!(", {what} {name}")).unwrap_or_default();
    format!(
        "{repository} of the Hugging Face hub{}{}, revision {revision}, commit {commit}",
        part("configuration", config),
        part("split", split)
    )
}

fn tolerance(spec: &AttributionSpec) -> String {
    let share = percent(spec.tolerance);
    let delta = format!("|delta| at most {share} of |F(input) − F(baseline)|");
    if spec.quadrature.is_fixed() && !spec.estimate_error {
        delta
    } else {
        format!("{delta}, error estimate at most {share} of the map’s L1 norm")
    }
}

fn target(target: &TargetSpec) -> String {
    match target {
        TargetSpec::Predicted => "predicted".to_owned(),
        TargetSpec::Gold => "gold".to_owned(),
        TargetSpec::AllOptions => "every option".to_owned(),
        TargetSpec::Option(letter) => format!("option {letter}"),
        TargetSpec::Token(text) => format!("token “{text}”"),
        TargetSpec::Contrast(a, b) => format!("{} minus {}", self::target(a), self::target(b)),
    }
}

fn baseline(baseline: &BaselineSpec) -> String {
    match baseline {
        BaselineSpec::Zero => labels::baseline("zero"),
        BaselineSpec::Mean => labels::baseline("mean"),
        BaselineSpec::Pad => labels::baseline("pad"),
        BaselineSpec::Eos => labels::baseline("eos"),
        BaselineSpec::Bos => labels::baseline("bos"),
        BaselineSpec::Unk => labels::baseline("unk"),
        BaselineSpec::Token(text) => labels::baseline(&format!("token:{text}")),
    }
}

/// Links to the neighbours of a sample on pages of one kind.
pub(super) fn neighbours(
    results: &Results<'_>,
    sample: usize,
    to: impl Fn(usize) -> String,
) -> (Option<Link>, Option<Link>) {
    let link = |index: usize| Link {
        title: results.sample_title(index),
        href: to(index),
    };
    let next = sample + 1;
    (
        sample.checked_sub(1).map(link),
        (next < results.samples.len()).then(|| link(next)),
    )
}
