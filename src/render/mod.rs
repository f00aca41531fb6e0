//! Records as pages and data files. Pure: templates and assets are read, nothing is written; each file goes to a sink.
//!
//! [`render`] reads top to bottom as the site does. A page is a view (one small struct a template, in [`pages`]) and a
//! template of the [`theme`]; maps, figures and Markdown come as finished HTML from their own modules.

pub mod assets;
pub mod chart;
pub mod claims;
pub mod data;
#[cfg(test)]
pub(crate) mod fixture;
pub mod heatmap;
pub mod labels;
pub mod markdown;
pub mod pages;
pub mod results;
pub mod search;
#[cfg(test)]
mod tests;
pub mod text;
pub mod theme;

use std::collections::BTreeSet;

use crate::content::experiment::Experiment;
use crate::content::project::Project;
use crate::diagnostic::{Diagnostics, Result};
use crate::render::claims::Claims;
use crate::render::pages::Renderer;
use crate::render::results::Results;
use crate::site::urls;
use crate::store::record::SampleRecord;

/// An experiment with its records.
pub struct ExperimentResults<'a> {
    /// The experiment.
    pub experiment: &'a Experiment,
    /// Its records, `[model][sample]`, in the experiment's order.
    pub records: Vec<Vec<SampleRecord>>,
}

/// Everything a site is made of.
pub struct Site<'a> {
    /// The project, for models, pages, templates and static files.
    pub project: &'a Project,
    /// The experiments to show.
    pub results: Vec<ExperimentResults<'a>>,
    /// Where the site will stand (`https://me.github.io/repo/`), for the sitemap, canonical links and the 404 page.
    pub base_url: Option<String>,
}

/// A file of the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputFile {
    /// Relative to the site's root, forward slashes.
    pub path: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// Renders the whole site, file by file, into `sink`.
pub fn render(site: &Site<'_>, sink: &mut dyn FnMut(OutputFile) -> Result<()>) -> Result<(), Diagnostics> {
    let results = site
        .results
        .iter()
        .map(|results| Results::of(site.project, results))
        .collect::<Result<Vec<_>>>()?;
    let renderer = Renderer::new(site, &results)?;
    let mut out = Sink {
        paths: Claims::default(),
        pages: BTreeSet::new(),
        sink,
    };

    for (path, bytes) in renderer.assets() {
        out.put(path.to_owned(), bytes.to_vec(), &format!("static/{path}"))?;
    }
    renderer.markdown_pages(&mut out)?;
    renderer.front(&mut out)?;
    renderer.models(&mut out)?;
    renderer.search(&mut out)?;
    for results in &results {
        renderer.experiment(results, &mut out)?;
        renderer.comparison(results, &mut out)?;
        for sample in 0..results.samples.len() {
            renderer.sample(results, sample, &mut out)?;
            for model in 0..results.models.len() {
                renderer.map(results, model, sample, &mut out)?;
                let record = results.record(model, sample);
                let path = urls::record(
                    &results.experiment.id,
                    &results.experiment.models[model],
                    results.slug(sample),
                );
                out.put(path, data::json(record)?, "a record")?;
            }
        }
        out.put(
            urls::csv(&results.experiment.id),
            data::csv(results.source)?,
            "an experiment’s data",
        )?;
        out.put(
            urls::json_lines(&results.experiment.id),
            data::json_lines(results.source)?,
            "an experiment’s data",
        )?;
    }
    renderer.not_found(&mut out)?;
    crawlers(site, &mut out)?;
    Ok(())
}

/// What search engines and GitHub Pages want to know. A sitemap holds absolute addresses: no base URL, no sitemap.
fn crawlers(site: &Site<'_>, out: &mut Sink<'_>) -> Result<()> {
    let mut robots = String::from("User-agent: *\nAllow: /\n");
    if let Some(base_url) = &site.base_url {
        robots += &format!("Sitemap: {}\n", urls::absolute(base_url, "sitemap.xml"));
        let mut sitemap = String::from(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n",
        );
        for page in out.pages.iter().filter(|page| *page != urls::NOT_FOUND) {
            sitemap += &format!(
                "<url><loc>{}</loc></url>\n",
                text::escape(&urls::absolute(base_url, page))
            );
        }
        out.put_unless_own("sitemap.xml", (sitemap + "</urlset>\n").into_bytes())?;
    }
    out.put_unless_own("robots.txt", robots.into_bytes())?;
    // Tells GitHub Pages to publish the files as they are.
    out.put_unless_own(".nojekyll", Vec::new())
}

/// Passes files on, and refuses two for one path.
pub struct Sink<'a> {
    paths: Claims,
    pages: BTreeSet<String>,
    sink: &'a mut dyn FnMut(OutputFile) -> Result<()>,
}

impl Sink<'_> {
    /// Passes one file on; `made_by` says what it is made from, for the message when two claim one path.
    pub fn put(&mut self, path: String, bytes: Vec<u8>, made_by: &str) -> Result<()> {
        self.paths.claim(&path, made_by)?;
        if path.ends_with(".html") {
            self.pages.insert(path.clone());
        }
        (self.sink)(OutputFile { path, bytes })
    }

    /// Passes a file on that the project may bring itself in `static/`.
    fn put_unless_own(&mut self, path: &str, bytes: Vec<u8>) -> Result<()> {
        if self.paths.has(path) {
            Ok(())
        } else {
            self.put(path.to_owned(), bytes, "igsite")
        }
    }
}
