//! An experiment: its finding, its models, where the attribution goes, and every sample to search.

use serde::Serialize;

use super::cite::{self, Cited};
use super::evidence::{self, EvidenceView};
use super::samples::SampleTable;
use super::settings::Settings;
use super::{Frame, Link, ModelLine, Renderer, figures, finding};
use crate::analysis::results::{Label, Results};
use crate::analysis::words::{self, TargetWords};
use crate::diagnostic::{Diagnostics, Result};
use crate::render::plot::Figure;
use crate::render::{Sink, data};
use crate::site::urls::{self, Links};

#[derive(Serialize)]
struct ExperimentPage<'a> {
    page: Frame,
    heading: &'a str,
    draft: bool,
    finding: Vec<String>,
    text: String,
    /// What is to be understood at a glance.
    headline: Vec<Figure>,
    models: Vec<ModelLine<'a>>,
    guessing: Option<f64>,
    cost: Option<Figure>,
    calibrations: Vec<Figure>,
    has_margin: bool,
    words: Vec<TargetWords>,
    /// What speaks for or against the maps; none where nothing does.
    evidence: Option<EvidenceView<'a>>,
    options: Vec<Label>,
    option_shares: Vec<OptionShares<'a>>,
    confusions: Vec<Figure>,
    samples: SampleTable<'a>,
    comparison: Option<String>,
    settings: Settings<'a>,
    /// Whether igsite did not compute the maps.
    imported: bool,
    yaml: &'a str,
    csv: String,
    json_lines: String,
    /// Samples and models, a row each.
    samples_csv: String,
    models_csv: String,
    bibtex: String,
    citation: String,
    /// Name and meaning of each column of the CSV.
    columns: &'static [(&'static str, &'static str)],
}

/// A model's mean share of |word score| on the line of each option.
#[derive(Serialize)]
struct OptionShares<'a> {
    model: &'a str,
    shares: Vec<Option<f64>>,
}

impl Renderer<'_> {
    /// `experiments/ID/index.html`.
    pub fn experiment(&self, results: &Results<'_>, out: &mut Sink<'_>) -> Result<(), Diagnostics> {
        let experiment = results.experiment;
        let path = urls::experiment(&experiment.id);
        let links = Links::on(path.clone());
        let finding = finding::of_experiment(results);
        let home = (self.site_title.clone(), urls::HOME.to_owned());
        let cited = Cited {
            name: &experiment.id,
            title: &experiment.title,
            models: &results.models,
            path: &path,
            base_url: self.site.base_url.as_deref(),
            authors: &self.settings.authors,
        };
        let citation = cite::bibtex(&cited, results.source.records.iter().flatten());
        let judged = results.summaries.iter().any(|model| model.accuracy.of > 0);
        let text = self.description(&experiment.description, &experiment.path, Some(&experiment.id), &links)?;
        let view = ExperimentPage {
            page: self.frame(&links, &path, &experiment.title, &finding.join(" "), vec![home]),
            heading: &experiment.title,
            draft: experiment.draft,
            finding,
            text: text.html,
            headline: figures::headline(results),
            models: ModelLine::of_models(results, &links),
            guessing: results.guessing(),
            cost: figures::cost(results),
            calibrations: figures::calibrations(results),
            has_margin: results.summaries.iter().any(|model| model.within_margin.of > 0),
            words: words::by_target(results),
            evidence: evidence::of(results, links.to(&urls::tests(&experiment.id))),
            options: results.options(),
            option_shares: option_shares(results),
            confusions: if judged {
                figures::confusions(results)
            } else {
                Vec::new()
            },
            samples: SampleTable::page(results, 1, &links),
            comparison: (results.models.len() > 1).then(|| links.to(&urls::comparison(&experiment.id))),
            settings: Settings::of(results),
            imported: experiment.imported.is_some(),
            yaml: &experiment.yaml,
            csv: links.to(&urls::csv(&experiment.id, results.writes.packed)),
            json_lines: links.to(&urls::json_lines(&experiment.id, results.writes.packed)),
            samples_csv: links.to(&urls::samples_csv(&experiment.id)),
            models_csv: links.to(&urls::models_csv(&experiment.id)),
            bibtex: links.to(&urls::bibtex(&experiment.id)),
            citation: citation.clone(),
            columns: &data::COLUMNS,
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

/// A line a model; none where the prompt has no lines of options.
fn option_shares<'a>(results: &'a Results<'_>) -> Vec<OptionShares<'a>> {
    if results.option_shares.iter().all(|shares| shares.is_empty()) {
        return Vec::new();
    }
    let options = &results.experiment.options;
    let models = results.models.iter().zip(&results.option_shares);
    models
        .map(|(model, means)| OptionShares {
            model,
            shares: options
                .iter()
                .map(|option| means.get(&option.letter).and_then(|mean| mean.value()))
                .collect(),
        })
        .collect()
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
