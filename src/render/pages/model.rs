//! Models: what each is, where from, and its numbers across experiments.

use std::path::Path;

use serde::Serialize;

use super::{Frame, Link, Renderer, SummaryView};
use crate::diagnostic::{Diagnostics, Result};
use crate::render::{Sink, labels};
use crate::site::urls::{self, Links};
use crate::store::record::ModelRecord;
use crate::terms::Quantization;

#[derive(Serialize)]
struct ModelsView {
    page: Frame,
    heading: &'static str,
    models: Vec<ModelLine>,
}

#[derive(Serialize)]
struct ModelLine {
    title: String,
    href: String,
    source: String,
    architecture: String,
    experiments: usize,
}

#[derive(Serialize)]
struct ModelView {
    page: Frame,
    heading: String,
    text: String,
    source: String,
    /// The commit's page on the hub, where the source is a hub repository.
    hub: Option<String>,
    /// What records say; more than one when the checkpoint changed between experiments.
    facts: Vec<Facts>,
    hash_note: &'static str,
    experiments: Vec<ExperimentLine>,
}

#[derive(Serialize)]
struct Facts {
    used_in: Vec<Link>,
    rows: Vec<(&'static str, String)>,
    /// What 4 bits leave as it is; nothing where nothing is in 4 bits.
    quantised: Option<&'static str>,
}

/// What the two hashes are of, so that anyone can compare: see [`crate::checkpoint::hash::of_listing`].
const HASH_NOTE: &str = "The SHA-256 of the weights is that of a listing of their files, a line of hash, two spaces and name each, as \
                         sha256sum prints it for the files in the order of their names; that of the tokenizer likewise.";
/// The same for every model: the engine quantises as bitsandbytes does.
const QUANTISED: &str = "In 4 bits are the linear layers. The output layer (lm_head), the embeddings and the norms stay as the checkpoint has them, \
                         as with bitsandbytes.";

#[derive(Serialize)]
struct ExperimentLine {
    title: String,
    href: String,
    summary: SummaryView,
}

impl Renderer<'_> {
    /// `models/index.html` and a page for every model that an experiment on the site uses.
    pub fn models(&self, out: &mut Sink<'_>) -> Result<(), Diagnostics> {
        let mut ids: Vec<&String> = self
            .results
            .iter()
            .flat_map(|results| &results.experiment.models)
            .collect();
        ids.sort();
        ids.dedup();
        let links = Links::on(urls::MODELS);
        let home = (self.site_title.clone(), urls::HOME.to_owned());
        let view = ModelsView {
            page: self.frame(
                &links,
                urls::MODELS,
                "Models",
                "The models of this site, and where they are from.",
                vec![home],
            ),
            heading: "Models",
            models: ids.iter().map(|id| self.line(id, &links)).collect(),
        };
        self.page(out, urls::MODELS.to_owned(), "models.html", &view, "the list of models")?;
        for id in ids {
            self.model(id, out)?;
        }
        Ok(())
    }

    fn title(&self, id: &String) -> String {
        self.site
            .project
            .models
            .get(id)
            .map_or_else(|| id.clone(), |model| model.title.clone())
    }

    fn line(&self, id: &String, links: &Links) -> ModelLine {
        let record = self.records(id).next().map(|(_, record)| record);
        ModelLine {
            title: self.title(id),
            href: links.to(&urls::model(id)),
            source: record.map_or_else(String::new, |record| record.source.clone()),
            architecture: record.map_or_else(String::new, |record| record.architecture.clone()),
            experiments: self
                .results
                .iter()
                .filter(|results| results.experiment.models.contains(id))
                .count(),
        }
    }

    /// What the records of each experiment say of the model: its index there, and the first sample's word for it.
    fn records<'b>(&'b self, id: &'b String) -> impl Iterator<Item = (usize, &'b ModelRecord)> {
        self.results.iter().enumerate().filter_map(move |(index, results)| {
            let model = results.experiment.models.iter().position(|other| other == id)?;
            Some((index, &results.source.records[model].first()?.model))
        })
    }

    fn model(&self, id: &String, out: &mut Sink<'_>) -> Result<(), Diagnostics> {
        let path = urls::model(id);
        let links = Links::on(path.clone());
        let title = self.title(id);
        let spec = self.site.project.models.get(id);
        let text = spec.map_or("", |model| model.description.as_str());
        let file = spec.map_or(Path::new(""), |model| model.path.as_path());
        let crumbs = vec![
            (self.site_title.clone(), urls::HOME.to_owned()),
            ("Models".to_owned(), urls::MODELS.to_owned()),
        ];
        let first = self.records(id).next().map(|(_, record)| record);
        let source = first.map_or_else(String::new, |record| record.source.clone());
        // The commit's own page: the branch's may show other files by now.
        let hub = first
            .and_then(|record| record.revision.as_ref())
            .map(|commit| format!("https://huggingface.co/{source}/tree/{commit}"));
        let view = ModelView {
            page: self.frame(&links, &path, &title, &format!("{title}: {source}"), crumbs),
            heading: title,
            text: self.description(text, file, None, &links)?.html,
            hub,
            source,
            facts: self.facts(id, &links),
            hash_note: HASH_NOTE,
            experiments: self.experiments(id, &links),
        };
        Ok(self.page(out, path, "model.html", &view, &format!("model `{id}`"))?)
    }

    fn facts(&self, id: &String, links: &Links) -> Vec<Facts> {
        let mut all: Vec<(&ModelRecord, Vec<Link>)> = Vec::new();
        for (index, record) in self.records(id) {
            let experiment = self.results[index].experiment;
            let link = Link {
                title: experiment.title.clone(),
                href: links.to(&urls::experiment(&experiment.id)),
            };
            match all.iter_mut().find(|(known, _)| *known == record) {
                Some((_, used_in)) => used_in.push(link),
                None => all.push((record, vec![link])),
            }
        }
        let facts = |(record, used_in): (&ModelRecord, Vec<Link>)| Facts {
            used_in,
            quantised: (record.quantization != Quantization::None).then_some(QUANTISED),
            rows: vec![
                ("Source", record.source.clone()),
                ("Revision", labels::revision(record)),
                ("Architecture", record.architecture.clone()),
                ("Computed in", record.dtype.to_string()),
                ("Quantisation", record.quantization.to_string()),
                ("Weights SHA-256", record.weights_sha256.clone()),
                ("Tokenizer SHA-256", record.tokenizer_sha256.clone()),
            ],
        };
        all.into_iter().map(facts).collect()
    }

    fn experiments(&self, id: &String, links: &Links) -> Vec<ExperimentLine> {
        let line = |results: &crate::render::results::Results<'_>| {
            let model = results.experiment.models.iter().position(|other| other == id)?;
            let href = links.to(&urls::experiment(&results.experiment.id));
            Some(ExperimentLine {
                title: results.experiment.title.clone(),
                href: href.clone(),
                summary: SummaryView::of(
                    &results.models[model],
                    href,
                    &results.summaries[model],
                    results.guessing(),
                ),
            })
        };
        self.results.iter().filter_map(line).collect()
    }
}
