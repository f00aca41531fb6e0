//! The search page, and what the index is made of.

use indexmap::IndexSet;
use pulldown_cmark::{Event, Parser, TagEnd};
use serde::Serialize;

use super::{Frame, Renderer};
use crate::analysis::results::Results;
use crate::analysis::summary;
use crate::content::prompt::Prompt;
use crate::content::subject::{subject_segments, subject_text};
use crate::diagnostic::Result;
use crate::render::Sink;
use crate::render::assets::short_hash;
use crate::render::markdown::first_paragraph;
use crate::render::search::{Entry, Kind, OTHER_ANSWER, Sample, Samples, scripts};
use crate::render::text::{excerpt, visible};
use crate::site::urls::{self, Links};

#[derive(Serialize)]
struct SearchView {
    page: Frame,
    heading: &'static str,
    script: String,
    index: String,
    /// What the addresses of the samples' texts begin with.
    excerpts: String,
}

impl Renderer<'_> {
    /// `search/index.html` with its index.
    pub fn search(&self, out: &mut Sink<'_>) -> Result<()> {
        let links = Links::on(urls::SEARCH);
        let sets: Vec<Samples> = self.results.iter().map(|results| samples(results, &links)).collect();
        let scripts = scripts(&self.entries(&links), &sets);
        let index = urls::search_index(&short_hash(scripts.index.as_bytes()));
        let first = links.to(&urls::excerpts(0));
        let home = (self.site_title.clone(), urls::HOME.to_owned());
        let about = "Find experiments, models, pages and samples of this site.";
        let view = SearchView {
            page: self.frame(&links, urls::SEARCH, "Search", about, vec![home]),
            heading: "Search",
            script: links.to(self.assets.path("search.js")),
            index: links.to(&index),
            excerpts: first.trim_end_matches("0.js").to_owned(),
        };
        self.page(out, urls::SEARCH.to_owned(), "search.html", &view, "igsite")?;
        out.put(index, scripts.index.into_bytes(), "igsite")?;
        for (number, texts) in scripts.excerpts.into_iter().enumerate() {
            out.put(urls::excerpts(number), texts.into_bytes(), "igsite")?;
        }
        Ok(())
    }

    fn entries(&self, links: &Links) -> Vec<Entry> {
        let project = self.site.project;
        let entry = |kind, title: &str, path: &str, about: &str, text| Entry {
            kind,
            title: visible(&excerpt(title, 120)),
            href: links.to(path),
            about: visible(&excerpt(about, 160)),
            text,
        };
        let experiments = self.results.iter().map(|results| {
            let experiment = results.experiment;
            let options = experiment.options.iter().map(|option| option.gold.as_str());
            let models = results.models.iter().map(String::as_str);
            let words: Vec<&str> = options.chain(models).chain([experiment.id.as_str()]).collect();
            let text = format!("{} {}", words.join(" "), plain(&experiment.description));
            let about = first_paragraph(&experiment.description);
            entry(
                Kind::Experiment,
                &experiment.title,
                &urls::experiment(&experiment.id),
                &about,
                text,
            )
        });
        let shown = |id: &String| {
            self.results
                .iter()
                .any(|results| results.experiment.models.contains(id))
        };
        let models = project.models.iter().filter(|(id, _)| shown(id)).map(|(id, model)| {
            let text = format!("{id} {} {}", model.source_text, plain(&model.description));
            entry(Kind::Model, &model.title, &urls::model(id), &model.source_text, text)
        });
        let imported = project.imported_models();
        let imported = imported.into_iter().filter(|(id, _)| shown(id)).map(|(id, model)| {
            let text = format!("{id} {}", model.source);
            entry(Kind::Model, model.title, &urls::model(id), model.source, text)
        });
        let pages = project.pages.iter().map(|page| {
            let about = page
                .description
                .clone()
                .unwrap_or_else(|| first_paragraph(&page.markdown));
            let text = format!(
                "{} {}",
                page.description.as_deref().unwrap_or(""),
                plain(&page.markdown)
            );
            entry(Kind::Page, &page.title, &urls::page(&page.route), &about, text)
        });
        experiments.chain(models).chain(imported).chain(pages).collect()
    }
}

/// The samples of an experiment.
fn samples(results: &Results<'_>, links: &Links) -> Samples {
    let experiment = results.experiment;
    let subject = subject_segments(experiment);
    let text = |prompt: &Prompt| subject_text(prompt, &subject).to_owned();
    // Slugs are link parts as they are, so that an address with another sample's is that sample's.
    let mut answers: IndexSet<String> = IndexSet::new();
    let given: Vec<Vec<usize>> = (0..experiment.samples.len())
        .map(|sample| {
            let told = results.records_of(sample).map(|record| {
                let answer = excerpt(summary::answer_text(record), 20);
                answers.insert_full(results.option_label(&answer)).0
            });
            told.collect()
        })
        .collect();
    let example = links.to(&urls::sample(&experiment.id, "SLUG"));
    let (before, behind) = example.rsplit_once("SLUG").unwrap_or((&example, ""));
    Samples {
        title: experiment.title.clone(),
        href: (before.to_owned(), behind.to_owned()),
        golds: experiment
            .options
            .iter()
            .map(|option| results.option_label(&option.letter))
            .collect(),
        models: results.models.clone(),
        answers: answers.into_iter().take(OTHER_ANSWER).collect(),
        samples: experiment
            .samples
            .iter()
            .zip(&results.samples)
            .zip(given)
            .map(|((sample, shown), given)| Sample {
                given,
                id: sample.id.clone(),
                slug: sample.slug.clone(),
                gold: sample
                    .gold
                    .as_ref()
                    .and_then(|gold| experiment.options.iter().position(|option| option.letter == *gold)),
                text: text(&sample.prompt),
                excerpt: shown.subject.clone(),
            })
            .collect(),
    }
}

/// The words of a Markdown text, without shortcodes: what they show is found as itself.
fn plain(markdown: &str) -> String {
    let shortcode = |line: &&str| line.trim_start().starts_with("{{") && line.trim_end().ends_with("}}");
    let markdown: String = markdown.split_inclusive('\n').filter(|line| !shortcode(line)).collect();
    let mut plain = String::new();
    for event in Parser::new(&markdown) {
        match event {
            Event::Text(text) | Event::Code(text) => plain.push_str(&text),
            Event::SoftBreak | Event::HardBreak => plain.push(' '),
            Event::End(tag) if !matches!(tag, TagEnd::Emphasis | TagEnd::Strong | TagEnd::Link) => plain.push(' '),
            _ => {}
        }
    }
    plain
}
