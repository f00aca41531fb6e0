//! Pages: for each, the values that its template is given. Records and their analysis are serialised as they are; what
//! writes numbers for people are the filters of `render/filters.rs`. Text is made here only where more than one page or
//! a search engine reads the same sentence, and HTML only where a template would be too slow.

mod believed;
mod book;
mod cards;
mod choices;
mod cite;
mod comparison;
mod differences;
pub(in crate::render) mod evidence;
mod experiment;
mod faithfulness;
pub(in crate::render) mod figures;
mod finding;
mod front;
pub(in crate::render) mod map;
mod markdown;
mod methods;
mod model;
pub(in crate::render) mod sample;
pub(in crate::render) mod samples;
mod search;
mod settings;
pub(in crate::render) mod tokens;
mod words;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::analysis::results::Results;
use crate::analysis::summary::{self, ModelSummary};
use crate::content::page::SiteSettings;
use crate::diagnostic::{Diagnostics, Result};
use crate::render::assets::Assets;
use crate::render::embed::Embeds;
use crate::render::markdown::{Rendered, Setting, Source, render};
use crate::render::text::{excerpt, list};
use crate::render::theme::Theme;
use crate::render::{Sink, Site};
use crate::site::urls::{self, Links};
use crate::store::record::SampleRecord;
use book::BookView;

/// A link in a view.
#[derive(Clone, Serialize)]
pub struct Link {
    /// What it says.
    pub title: String,
    /// Where it leads.
    pub href: String,
}

/// What `base.html` shows around every page.
#[derive(Serialize)]
pub struct Frame {
    /// Where the page lies in the site, from which `render/filters.rs`' `link` begins.
    path: String,
    /// Where links begin instead on a page that is shown at any address.
    root: Option<String>,
    /// The page's title.
    title: String,
    /// For link previews.
    description: String,
    site_title: String,
    style: String,
    script: String,
    /// What the script loads when a reader saves something.
    save: String,
    icon: String,
    home: String,
    search: String,
    nav: Vec<Link>,
    /// Who made the site, where the front page says so.
    author: String,
    /// The picture for link previews; none where the site's address is not known.
    card: Option<CardLink>,
    /// The way from the front page here, without the page itself.
    crumbs: Vec<Link>,
    /// The page's absolute address, where it is known.
    canonical: Option<String>,
    /// The chapters round this page, where the site is a book.
    book: Option<BookView>,
}

/// The picture that a link to a page is shown with.
#[derive(Serialize)]
pub struct CardLink {
    /// Its absolute address.
    address: String,
    /// What it shows, in words.
    alt: String,
}

/// What all pages are made with.
pub struct Renderer<'a> {
    site: &'a Site<'a>,
    results: &'a [Results<'a>],
    theme: Theme,
    assets: Assets,
    site_title: String,
    /// What the front page says of the whole site.
    settings: SiteSettings,
    /// Markdown file → its page.
    pages: BTreeMap<PathBuf, String>,
    /// Title and page of what the navigation lists.
    nav: Vec<(String, String)>,
}

impl<'a> Renderer<'a> {
    /// Loads the templates and lists the pages.
    pub fn new(site: &'a Site<'a>, results: &'a [Results<'a>]) -> Result<Self, Diagnostics> {
        let pages = &site.project.pages;
        let front = pages.iter().find(|page| page.route == ["index"]);
        let mut nav: Vec<_> = pages
            .iter()
            .filter(|page| match page.route.as_slice() {
                [name] => name != "index",
                // A folder is listed by its index; what else it holds is listed there.
                [_, name] => name == "index",
                _ => false,
            })
            .collect();
        nav.sort_by(|a, b| (a.order.unwrap_or(i64::MAX), &a.title).cmp(&(b.order.unwrap_or(i64::MAX), &b.title)));
        Ok(Self {
            site,
            results,
            theme: Theme::load(&site.project.root)?,
            assets: Assets::load(&site.project.root, site.project.book.as_ref())?,
            settings: site.project.settings(),
            site_title: front.map_or_else(|| "Attribution reports".to_owned(), |page| page.title.clone()),
            pages: pages
                .iter()
                .map(|page| (page.path.clone(), urls::page(&page.route)))
                .collect(),
            // A book has its chapters instead.
            nav: nav
                .into_iter()
                .filter(|_| site.project.book.is_none())
                .map(|page| (page.title.clone(), urls::page(&page.route)))
                .collect(),
        })
    }

    /// What each template was given so far.
    #[cfg(test)]
    pub(super) fn given(&self) -> BTreeMap<String, Vec<serde_json::Value>> {
        self.theme.given.lock().expect("no test panics here").clone()
    }

    /// What lands in the site without a page: path and bytes.
    pub fn assets(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.assets.files()
    }

    /// The frame of the page at `path`.
    fn frame(&self, links: &Links, path: &str, title: &str, description: &str, crumbs: Vec<(String, String)>) -> Frame {
        let link = |(title, to): (String, String)| Link {
            title: excerpt(&title, 40),
            href: links.to(&to),
        };
        let shown = !self.results.is_empty();
        // A front page of the project's own may have no such place.
        let place = if self.theme.says("index.html", "id=\"experiments\"") {
            "#experiments"
        } else {
            ""
        };
        let experiments = shown.then(|| ("Experiments".to_owned(), links.to(urls::HOME) + place));
        let models = shown.then(|| ("Models".to_owned(), links.to(urls::MODELS)));
        Frame {
            path: path.to_owned(),
            root: links.root().map(str::to_owned),
            title: excerpt(title, 90),
            description: excerpt(description, 200),
            site_title: self.site_title.clone(),
            style: links.to(self.assets.path("igsite.css")),
            script: links.to(self.assets.path("igsite.js")),
            save: links.to(self.assets.path("save.js")),
            icon: links.to(self.assets.path("icon.svg")),
            home: links.to(urls::HOME),
            search: links.to(urls::SEARCH),
            nav: experiments
                .into_iter()
                .chain(models)
                .map(|(title, to)| Link { title, href: to })
                .chain(self.nav.iter().cloned().map(link))
                .collect(),
            author: list(&self.settings.authors),
            card: self.card_of(path, description),
            crumbs: crumbs.into_iter().map(link).collect(),
            canonical: self.site.base_url.as_ref().map(|base| urls::absolute(base, path)),
            book: self.book(path, links),
        }
    }

    fn page(
        &self,
        out: &mut Sink<'_>,
        path: String,
        template: &str,
        view: &impl Serialize,
        made_by: &str,
    ) -> Result<()> {
        out.put(path, self.theme.render(template, view)?, made_by)
    }

    /// A description in YAML, as HTML; `own` is the experiment that it is of.
    fn description(&self, text: &str, file: &Path, own: Option<&str>, links: &Links) -> Result<Rendered, Diagnostics> {
        let source = Source {
            text,
            file,
            first_line: None,
            folder: String::new(),
            // It is set into a page that has ids of its own.
            prefix: "text-",
        };
        self.text(&source, "", own, links)
    }

    /// A text of the author's on the page of these links.
    fn text(
        &self,
        source: &Source<'_>,
        title: &str,
        own: Option<&str>,
        links: &Links,
    ) -> Result<Rendered, Diagnostics> {
        let shortcodes = Embeds {
            project: self.site.project,
            results: self.results,
            theme: &self.theme,
            links,
            own,
        };
        let setting = Setting {
            links,
            pages: &self.pages,
            content: self.site.project.content(),
            book: self.site.project.book.as_ref(),
            shortcodes: &shortcodes,
        };
        render(source, title, &setting)
    }
}

/// The link to where a model's maps of a sample are shown: their own page, or their place on the sample's page where
/// they have none.
pub(in crate::render) fn map_link(results: &Results<'_>, (model, sample): (usize, usize), links: &Links) -> String {
    let (experiment, slug) = (&results.experiment.id, results.slug(sample));
    let id = &results.experiment.models[model];
    if results.has_map_page(model, sample) {
        return links.to(&urls::map_page(experiment, id, slug));
    }
    let page = links.to(&urls::sample(experiment, slug));
    format!("{page}#{}", sample::map_anchor(id, model))
}

/// The link to the data of a model and a sample: a file of their own, or that of the sample where data are packed.
pub(in crate::render) fn record_link(results: &Results<'_>, (model, sample): (usize, usize), links: &Links) -> String {
    let (experiment, slug) = (&results.experiment.id, results.slug(sample));
    links.to(&if results.writes.packed {
        urls::records(experiment, slug)
    } else {
        urls::record(experiment, &results.experiment.models[model], slug)
    })
}

/// What a model answers.
#[derive(Clone, Serialize)]
pub struct Answer {
    /// With what an option stands for; what is no option is cut.
    pub label: String,
    /// How probable the model finds it; none where an imported record does not tell it.
    pub probability: Option<f64>,
    /// Whether it is right, where that is known.
    pub correct: Option<bool>,
}

impl Answer {
    /// Of a record; an answer that is no option has so many characters at most.
    pub fn of(results: &Results<'_>, record: &SampleRecord, length: usize) -> Self {
        Self {
            label: results.option_label(&excerpt(summary::answer_text(record), length)),
            probability: summary::answer_probability(record),
            correct: record.correct,
        }
    }
}

/// A model with its numbers over an experiment: a line in a table of models.
#[derive(Clone, Serialize)]
pub struct ModelLine<'a> {
    title: &'a str,
    href: String,
    #[serde(flatten)]
    summary: &'a ModelSummary,
}

impl<'a> ModelLine<'a> {
    /// A line for each model of an experiment, in its order.
    fn of_models(results: &'a Results<'_>, links: &Links) -> Vec<Self> {
        let ids = results.experiment.models.iter();
        let models = ids.zip(&results.models).zip(&results.summaries);
        models
            .map(|((id, title), summary)| Self {
                title,
                href: links.to(&urls::model(id)),
                summary,
            })
            .collect()
    }
}
