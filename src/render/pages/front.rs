//! The front page and the page for what does not exist.

use serde::Serialize;

use super::markdown::PageView;
use super::{Frame, ModelLine, Renderer, finding};
use crate::analysis::results::Results;
use crate::analysis::summary::Share;
use crate::diagnostic::{Diagnostics, Result};
use crate::render::Sink;
use crate::render::markdown;
use crate::render::text::excerpt;
use crate::site::urls::{self, Links};

#[derive(Serialize)]
struct FrontPage<'a> {
    page: Frame,
    heading: &'a str,
    text: String,
    experiments: Vec<ExperimentCard<'a>>,
}

#[derive(Serialize)]
struct ExperimentCard<'a> {
    title: &'a str,
    href: String,
    comparison: Option<String>,
    /// Where its page says which words speak for each target, if any map is shown.
    words: Option<String>,
    about: String,
    draft: bool,
    samples: usize,
    finding: Vec<String>,
    guessing: Option<f64>,
    models: Vec<ModelLine<'a>>,
    same_answer: Share,
    /// Maps that are numerically exact.
    exact: Share,
    /// Whether igsite did not compute the maps.
    imported: bool,
}

impl Renderer<'_> {
    /// `index.html`: every experiment with its headline, below the text of `content/index.md`.
    pub fn front(&self, out: &mut Sink<'_>) -> Result<(), Diagnostics> {
        let links = Links::on(urls::HOME);
        let page = self.site.project.pages.iter().find(|page| page.route == ["index"]);
        let text = match page {
            Some(page) => self.page_text(page, &links)?.html,
            None => String::new(),
        };
        let about = page.and_then(|page| page.description.clone());
        let about = about.unwrap_or_else(|| {
            "Which words made these models answer as they did: attribution maps, with their error.".to_owned()
        });
        let view = FrontPage {
            page: self.frame(&links, urls::HOME, &self.site_title, &about, Vec::new()),
            heading: &self.site_title,
            text,
            experiments: self.results.iter().map(|results| card(results, &links)).collect(),
        };
        Ok(self.page(out, urls::HOME.to_owned(), "index.html", &view, "the front page")?)
    }

    /// `404.html`.
    pub fn not_found(&self, out: &mut Sink<'_>) -> Result<()> {
        let links = Links::of_not_found(self.site.base_url.as_deref());
        let mut page = self.frame(
            &links,
            urls::NOT_FOUND,
            "Page not found",
            "This page does not exist.",
            Vec::new(),
        );
        page.canonical = None;
        let text = format!(
            "<p>There is nothing at this address. The <a href=\"{}\">front page</a> lists every {}.</p>",
            links.to(urls::HOME),
            match self.site.project.book {
                Some(_) => "chapter",
                None => "experiment",
            }
        );
        self.page(
            out,
            urls::NOT_FOUND.to_owned(),
            "page.html",
            &PageView {
                page,
                heading: "Page not found".to_owned(),
                contents: String::new(),
                text,
                pages: Vec::new(),
            },
            "igsite",
        )
    }
}

fn card<'a>(results: &'a Results<'_>, links: &Links) -> ExperimentCard<'a> {
    let experiment = results.experiment;
    let href = links.to(&urls::experiment(&experiment.id));
    ExperimentCard {
        title: &experiment.title,
        comparison: (results.models.len() > 1).then(|| links.to(&urls::comparison(&experiment.id))),
        // As the experiment's page has them: a map without a word to draw makes no table.
        words: (!results.answer_words.is_empty()).then(|| format!("{href}#words")),
        href,
        about: excerpt(&markdown::first_paragraph(&experiment.description), 320),
        draft: experiment.draft,
        samples: results.samples.len(),
        finding: finding::of_experiment(results),
        guessing: results.guessing(),
        models: ModelLine::of_models(results, links),
        same_answer: results.same_answer,
        exact: results.exact(),
        imported: experiment.imported.is_some(),
    }
}
