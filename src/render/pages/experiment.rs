//! An experiment: its finding, its models, where the attribution goes, and every sample to search.

use indexmap::IndexMap;
use serde::Serialize;

use super::cite::{self, Cited};
use super::samples::SamplesView;
use super::words::{self, TargetWords};
use super::{Frame, Link, Renderer, SummaryView, figures, finding, or_dash};
use crate::analysis::summary::Mean;
use crate::content::dataset::Origin;
use crate::content::experiment::AttributionSpec;
use crate::diagnostic::{Diagnostics, Result};
use crate::render::plot::Figure;
use crate::render::results::{Results, SPECIAL};
use crate::render::text::percent;
use crate::render::{Sink, data, labels};
use crate::site::urls::{self, Links};
use crate::terms::{PromptStyle, Target, TargetKind};

#[derive(Serialize)]
struct ExperimentView {
    page: Frame,
    heading: String,
    draft: bool,
    finding: Vec<String>,
    text: String,
    /// What is to be understood at a glance.
    headline: Vec<Figure>,
    models: Vec<SummaryView>,
    guessing: Option<String>,
    cost: Option<Figure>,
    calibrations: Vec<Figure>,
    has_margin: bool,
    words: Vec<TargetWords>,
    /// Letter and what it stands for.
    options: Vec<(String, String)>,
    /// Mean share of |score| on the line of each option; empty where the prompt has no such lines.
    option_shares: Vec<SharesRow>,
    confusions: Vec<Figure>,
    samples: SamplesView,
    comparison: Option<String>,
    settings: Vec<(String, String)>,
    yaml: String,
    csv: String,
    json_lines: String,
    bibtex: String,
    citation: String,
    columns: Vec<(&'static str, &'static str)>,
}

/// A model's mean share of |score| by option.
#[derive(Serialize)]
struct SharesRow {
    model: String,
    shares: Vec<String>,
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
        let cited = Cited {
            name: &experiment.id,
            title: &experiment.title,
            models: &results.models,
            path: &path,
            base_url: self.site.base_url.as_deref(),
        };
        let citation = cite::bibtex(&cited, results.source.records.iter().flatten());
        let view = ExperimentView {
            page: self.frame(&links, &path, &experiment.title, &finding.join(" "), vec![home]),
            heading: experiment.title.clone(),
            draft: experiment.draft,
            finding,
            text: self
                .description(&experiment.description, &experiment.path, Some(&experiment.id), &links)?
                .html,
            headline: figures::headline(results),
            models: SummaryView::of_models(results, &links),
            cost: figures::cost(results),
            calibrations: figures::calibrations(results),
            guessing: results.guessing().map(percent),
            has_margin: results.summaries.iter().any(|s| s.within_margin.of > 0),
            option_shares: if results.option_shares.iter().all(|shares| shares.is_empty()) {
                Vec::new()
            } else {
                shares(results, &letters)
            },
            words: words::by_target(results),
            confusions: if results.summaries.iter().any(|s| s.accuracy.of > 0) {
                figures::confusions(results)
            } else {
                Vec::new()
            },
            options: letters
                .iter()
                .map(|letter| ((*letter).to_owned(), results.option_label(letter)))
                .collect(),
            samples: SamplesView::page(results, 1, &links),
            comparison: (results.models.len() > 1).then(|| links.to(&urls::comparison(&experiment.id))),
            settings: settings(results),
            yaml: experiment.yaml.clone(),
            csv: links.to(&urls::csv(&experiment.id)),
            json_lines: links.to(&urls::json_lines(&experiment.id)),
            bibtex: links.to(&urls::bibtex(&experiment.id)),
            citation: citation.clone(),
            columns: data::COLUMNS.to_vec(),
        };
        out.put(
            urls::bibtex(&experiment.id),
            citation.into_bytes(),
            &format!("experiment `{}`", experiment.id),
        )?;
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
pub(super) fn segment_names(results: &Results<'_>) -> Vec<String> {
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

fn shares(results: &Results<'_>, letters: &[&str]) -> Vec<SharesRow> {
    let row = |(model, means): (&String, &IndexMap<String, Mean>)| SharesRow {
        model: model.clone(),
        shares: letters
            .iter()
            .map(|letter| or_dash(means.get(*letter).and_then(|mean| mean.value()).map(percent)))
            .collect(),
    };
    results.models.iter().zip(&results.option_shares).map(row).collect()
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
    let target = match first.target.kind {
        TargetKind::Predicted => "each model’s own prediction".to_owned(),
        TargetKind::Gold => "the right answer".to_owned(),
        _ => format!("“{}”", first.target.text),
    };
    let others = match results.most_maps {
        count if count > 1 => format!(" Each map page shows all {count} maps of its model and sample."),
        _ => String::new(),
    };
    let template = match results.experiment.prompt_style {
        PromptStyle::Plain => "",
        PromptStyle::Chat => {
            " Each model has its own chat template round the prompt: it is part of each map, and of no comparison of models."
        }
    };
    let method = match results.experiment.attribution.methods.len() {
        1 => String::new(),
        _ => format!(", by {}", first.method.name()),
    };
    format!(
        "Maps explain {target}, as {}, from the {}{method}.{others}{template}",
        results.unit(),
        labels::baseline(&first.baseline)
    )
}

fn settings(results: &Results<'_>) -> Vec<(String, String)> {
    let spec = &results.experiment.attribution;
    let targets: Vec<String> = spec.targets.iter().map(target).collect();
    let methods = spec.methods.iter();
    let methods: Vec<String> = methods
        .map(|method| format!("{} ({})", method.name(), method.reference()))
        .collect();
    let baselines: Vec<String> = spec.baselines.iter().map(labels::baseline).collect();
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
        line("Method", methods.join("; ")),
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

fn target(target: &Target) -> String {
    match target {
        Target::Predicted => "predicted".to_owned(),
        Target::Gold => "gold".to_owned(),
        Target::AllOptions => "every option".to_owned(),
        Target::Option(letter) => format!("option {letter}"),
        Target::Token(text) => format!("token “{text}”"),
        Target::Contrast(a, b) => format!("{} minus {}", self::target(a), self::target(b)),
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
