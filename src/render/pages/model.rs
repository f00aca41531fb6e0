//! Models: what each is, where from, and its numbers across experiments.

use std::path::Path;

use serde::Serialize;

use super::{Frame, Link, ModelLine, Renderer};
use crate::analysis::results::Results;
use crate::diagnostic::{Diagnostics, Result};
use crate::render::Sink;
use crate::site::urls::{self, Links};
use crate::store::record::ModelRecord;

#[derive(Serialize)]
struct ModelsPage {
    page: Frame,
    heading: &'static str,
    models: Vec<ListedModel>,
}

#[derive(Serialize)]
struct ListedModel {
    title: String,
    href: String,
    source: String,
    architecture: String,
    /// How many experiments use it.
    experiments: usize,
}

#[derive(Serialize)]
struct ModelPage<'a> {
    page: Frame,
    heading: String,
    text: String,
    source: String,
    /// The commit's page on the hub, where the source is a hub repository.
    hub: Option<String>,
    /// Whether every record of it is imported.
    imported: bool,
    /// What records say; more than one when the checkpoint changed between experiments.
    facts: Vec<Facts<'a>>,
    experiments: Vec<InExperiment<'a>>,
}

#[derive(Serialize)]
struct Facts<'a> {
    used_in: Vec<Link>,
    model: &'a ModelRecord,
}

/// An experiment with the model's numbers in it.
#[derive(Serialize)]
struct InExperiment<'a> {
    guessing: Option<f64>,
    /// Whether igsite did not compute its maps.
    imported: bool,
    #[serde(flatten)]
    line: ModelLine<'a>,
}

impl<'a> Renderer<'a> {
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
        let view = ModelsPage {
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

    fn title(&self, id: &str) -> String {
        self.site.project.model_title(id).to_owned()
    }

    fn line(&self, id: &String, links: &Links) -> ListedModel {
        let record = self.records(id).next().map(|(_, record)| record);
        ListedModel {
            title: self.title(id),
            href: links.to(&urls::model(id)),
            source: record.map_or_else(String::new, |record| record.source.clone()),
            architecture: record
                .and_then(|record| record.architecture.clone())
                .unwrap_or_default(),
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
        let view = ModelPage {
            page: self.frame(&links, &path, &title, &format!("{title}: {source}"), crumbs),
            heading: title,
            text: self.description(text, file, None, &links)?.html,
            hub,
            source,
            imported: self
                .records(id)
                .all(|(index, _)| self.results[index].experiment.imported.is_some()),
            facts: self.facts(id, &links),
            experiments: self.experiments(id, &links),
        };
        Ok(self.page(out, path, "model.html", &view, &format!("model `{id}`"))?)
    }

    fn facts<'b>(&'b self, id: &'b String, links: &Links) -> Vec<Facts<'b>> {
        let mut all: Vec<Facts<'b>> = Vec::new();
        for (index, model) in self.records(id) {
            let experiment = self.results[index].experiment;
            let link = Link {
                title: experiment.title.clone(),
                href: links.to(&urls::experiment(&experiment.id)),
            };
            match all.iter_mut().find(|known| known.model == model) {
                Some(known) => known.used_in.push(link),
                None => all.push(Facts {
                    used_in: vec![link],
                    model,
                }),
            }
        }
        all
    }

    fn experiments(&self, id: &String, links: &Links) -> Vec<InExperiment<'a>> {
        let line = |results: &'a Results<'a>| {
            let model = results.experiment.models.iter().position(|other| other == id)?;
            Some(InExperiment {
                guessing: results.guessing(),
                imported: results.experiment.imported.is_some(),
                line: ModelLine {
                    title: &results.experiment.title,
                    href: links.to(&urls::experiment(&results.experiment.id)),
                    summary: &results.summaries[model],
                },
            })
        };
        self.results.iter().filter_map(line).collect()
    }
}
