//! Views: for each template, a small struct that holds just what it shows, every number already written as text.

mod cite;
mod comparison;
mod differences;
mod experiment;
pub(in crate::render) mod figures;
mod finding;
mod front;
pub(in crate::render) mod map;
mod markdown;
mod model;
pub(in crate::render) mod sample;
mod samples;
mod search;
pub(in crate::render) mod tokens;
mod words;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::analysis::results::Results;
use crate::analysis::summary::{ModelSummary, Share};
use crate::diagnostic::{Diagnostics, Result};
use crate::render::assets::Assets;
use crate::render::embed::Embeds;
use crate::render::markdown::{Rendered, Setting, Source, render};
use crate::render::text::{excerpt, number, percent};
use crate::render::theme::Theme;
use crate::render::{Sink, Site, chart};
use crate::site::urls::{self, Links};

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
    /// The page's title.
    title: String,
    /// For link previews.
    description: String,
    site_title: String,
    style: String,
    script: String,
    icon: String,
    home: String,
    search: String,
    nav: Vec<Link>,
    /// The way from the front page here, without the page itself.
    crumbs: Vec<Link>,
    /// The page's absolute address, where it is known.
    canonical: Option<String>,
}

/// What all pages are made with.
pub struct Renderer<'a> {
    site: &'a Site<'a>,
    results: &'a [Results<'a>],
    theme: Theme,
    assets: Assets,
    site_title: String,
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
            assets: Assets::load(&site.project.root)?,
            site_title: front.map_or_else(|| "Attribution reports".to_owned(), |page| page.title.clone()),
            pages: pages
                .iter()
                .map(|page| (page.path.clone(), urls::page(&page.route)))
                .collect(),
            nav: nav
                .into_iter()
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
        let models = (!self.results.is_empty()).then(|| ("Models".to_owned(), urls::MODELS.to_owned()));
        Frame {
            title: excerpt(title, 90),
            description: excerpt(description, 200),
            site_title: self.site_title.clone(),
            style: links.to(self.assets.path("igsite.css")),
            script: links.to(self.assets.path("igsite.js")),
            icon: links.to(self.assets.path("icon.svg")),
            home: links.to(urls::HOME),
            search: links.to(urls::SEARCH),
            nav: models.into_iter().chain(self.nav.iter().cloned()).map(link).collect(),
            crumbs: crumbs.into_iter().map(link).collect(),
            canonical: self.site.base_url.as_ref().map(|base| urls::absolute(base, path)),
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
            shortcodes: &shortcodes,
        };
        render(source, title, &setting)
    }
}

/// A share with its count and interval, as pages show it.
#[derive(Clone, Serialize)]
pub struct ShareView {
    /// `71.0%`, or a dash where there is nothing to count.
    value: String,
    /// `17 of 24`.
    count: String,
    /// `51–85%`.
    interval: String,
    /// The interval drawn.
    chart: String,
    /// For sorting.
    sort: f64,
}

impl ShareView {
    fn of(share: Share, guessing: Option<f64>) -> Self {
        let drawn = share.value().zip(share.wilson());
        Self {
            value: share.value().map_or_else(|| "–".to_owned(), percent),
            count: format!("{} of {}", share.count, share.of),
            interval: share.wilson().map_or_else(String::new, interval),
            chart: drawn.map_or_else(String::new, |(value, range)| chart::interval(value, range, guessing)),
            sort: share.value().unwrap_or(-1.0),
        }
    }
}

fn interval((low, high): (f64, f64)) -> String {
    format!("{:.0}–{:.0}%", low * 100.0, high * 100.0)
}

/// A model's line in a table of models.
#[derive(Clone, Serialize)]
pub struct SummaryView {
    title: String,
    href: String,
    accuracy: ShareView,
    right_probability: String,
    confidence: String,
    overconfidence: String,
    calibration_error: String,
    within_tolerance: ShareView,
    converged: ShareView,
    median_error: String,
    within_margin: ShareView,
    marked: usize,
    worst_delta: String,
    evaluations: String,
    seconds: String,
}

impl SummaryView {
    /// A line for each model of an experiment, in its order.
    fn of_models(results: &Results<'_>, links: &Links) -> Vec<Self> {
        let models = results.experiment.models.iter().enumerate();
        models
            .map(|(index, id)| {
                Self::of(
                    &results.models[index],
                    links.to(&urls::model(id)),
                    &results.summaries[index],
                    results.guessing(),
                )
            })
            .collect()
    }

    fn of(title: &str, href: String, summary: &ModelSummary, guessing: Option<f64>) -> Self {
        Self {
            title: title.to_owned(),
            href,
            accuracy: ShareView::of(summary.accuracy, guessing),
            right_probability: or_dash(summary.right_probability.value().map(percent)),
            confidence: or_dash(summary.confidence.value().map(percent)),
            overconfidence: or_dash(summary.overconfidence().map(points)),
            calibration_error: or_dash(summary.calibration_error.map(percent)),
            within_tolerance: ShareView::of(summary.within_tolerance, None),
            converged: ShareView::of(summary.converged, None),
            median_error: summary.median_error().map_or_else(|| "unknown".to_owned(), percent),
            within_margin: ShareView::of(summary.within_margin, None),
            marked: summary.marked,
            worst_delta: or_dash(summary.worst_delta.map(percent)),
            evaluations: or_dash(summary.evaluations.value().map(|mean| format!("{mean:.0}"))),
            seconds: or_dash(summary.seconds.value().map(number)),
        }
    }
}

/// A difference of shares, in percentage points.
fn points(difference: f64) -> String {
    let sign = if difference < 0.0 { "−" } else { "+" };
    format!("{sign}{:.1}", (difference * 100.0).abs())
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "–".to_owned())
}

/// `a, b and c`.
fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
