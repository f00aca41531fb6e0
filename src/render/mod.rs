//! Records as pages and data files. Pure: templates and assets are read, nothing is written; each file goes to a sink.
//!
//! [`render`] reads top to bottom as the site does. A page is a view (one small struct a template, in [`pages`]) and a
//! template of the [`theme`]; maps, figures and Markdown come as finished HTML from their own modules.

pub mod assets;
pub mod chart;
pub mod claims;
pub mod data;
#[cfg(test)]
mod documented;
pub mod embed;
#[cfg(test)]
pub(crate) mod fixture;
pub mod heatmap;
pub mod labels;
pub mod markdown;
pub mod pages;
pub mod plot;
pub mod results;
pub mod search;
#[cfg(test)]
mod tests;
pub mod text;
pub mod theme;

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

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

/// What takes the files of a site.
pub trait Receiver: Sync {
    /// What is left to be known of a file when it was looked at.
    type Looked: Send;

    /// Looks at a file, and does with it whatever needs no order: many threads do so at once.
    ///
    /// # Errors
    /// The file cannot be taken; the site is given up.
    fn look(&self, file: OutputFile) -> Result<Self::Looked>;

    /// Takes what came of a look, in the order of the site, which is always the same.
    ///
    /// # Errors
    /// As [`Self::look`].
    fn take(&mut self, looked: Self::Looked) -> Result<()>;
}

/// Hands each file to a function, in the order of the site.
struct Each<'a>(&'a mut (dyn FnMut(OutputFile) -> Result<()> + Send + Sync));

impl Receiver for Each<'_> {
    type Looked = OutputFile;

    fn look(&self, file: OutputFile) -> Result<OutputFile> {
        Ok(file)
    }

    fn take(&mut self, file: OutputFile) -> Result<()> {
        (self.0)(file)
    }
}

/// Renders the whole site, file by file, into `sink`.
///
/// # Errors
/// As [`render_to`].
pub fn render(
    site: &Site<'_>,
    sink: &mut (dyn FnMut(OutputFile) -> Result<()> + Send + Sync),
) -> Result<(), Diagnostics> {
    render_to(site, &mut Each(sink))
}

/// Renders the whole site to a receiver, on all threads. No more than a stretch of samples is in memory at once, but for an
/// experiment's own data files.
///
/// # Errors
/// A template or page fails, or the receiver does; of several failures that come first in the site's order.
pub fn render_to<R: Receiver>(site: &Site<'_>, receiver: &mut R) -> Result<(), Diagnostics> {
    let results = site
        .results
        .iter()
        .map(|results| Results::of(site.project, results))
        .collect::<Result<Vec<_>>>()?;
    let renderer = Renderer::new(site, &results)?;
    let mut flow = Flow {
        paths: Claims::default(),
        pages: BTreeSet::new(),
        receiver,
    };
    flow.one(|out| {
        for (path, bytes) in renderer.assets() {
            out.put(path.to_owned(), bytes.to_vec(), &format!("static/{path}"))?;
        }
        renderer.markdown_pages(out)?;
        renderer.front(out)?;
        renderer.models(out)?;
        Ok(renderer.search(out)?)
    })?;
    for results in &results {
        flow.one(|out| {
            renderer.experiment(results, out)?;
            renderer.samples(results, out)?;
            Ok(renderer.comparison(results, out)?)
        })?;
        flow.each(results.samples.len(), |sample, out| {
            renderer.sample(results, sample, out)?;
            (0..results.models.len()).try_for_each(|model| renderer.map(results, model, sample, out))
        })?;
        records(results, &mut flow)?;
    }
    flow.one(|out| Ok(renderer.not_found(out)?))?;
    crawlers(site, &mut flow)?;
    Ok(())
}

/// Reads every text of the project, shortcodes and all, without any result: what is wrong there is an error, what is odd a warning.
pub fn proofread(site: &Site<'_>) -> Result<Diagnostics, Diagnostics> {
    Renderer::new(site, &[])?.proofread()
}

/// The records as data: a file each, and all of an experiment in one of JSON Lines and one of CSV. A record is written out once for both.
fn records<R: Receiver>(results: &Results<'_>, flow: &mut Flow<'_, R>) -> Result<()> {
    let experiment = results.experiment;
    let (mut json_lines, mut csv) = (Vec::new(), data::csv_header());
    for (model, id) in experiment.models.iter().enumerate() {
        let write = |sample: usize, out: &mut Sink<'_>| {
            let record = results.record(model, sample);
            let json = data::json(record)?;
            let path = urls::record(&experiment.id, id, results.slug(sample));
            out.put(path, json.clone(), "a record")?;
            Ok((json, data::csv(record)))
        };
        flow.each_with(results.samples.len(), write, |(json, rows)| {
            json_lines.extend_from_slice(&json);
            csv.extend_from_slice(&rows);
        })?;
    }
    let mut files = [
        (urls::csv(&experiment.id), csv),
        (urls::json_lines(&experiment.id), json_lines),
    ]
    .map(|file| Mutex::new(Some(file)));
    let files = &mut files;
    flow.each(files.len(), |index, out| {
        let file = files[index].lock().unwrap_or_else(PoisonError::into_inner).take();
        file.map_or(Ok(()), |(path, bytes)| out.put(path, bytes, "an experiment’s data"))
    })
}

/// What search engines and GitHub Pages want to know. A sitemap holds absolute addresses: no base URL, no sitemap.
fn crawlers<R: Receiver>(site: &Site<'_>, flow: &mut Flow<'_, R>) -> Result<()> {
    let mut robots = String::from("User-agent: *\nAllow: /\n");
    if let Some(base_url) = &site.base_url {
        robots += &format!("Sitemap: {}\n", urls::absolute(base_url, "sitemap.xml"));
        let mut sitemap = String::from(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n",
        );
        for page in flow.pages.iter().filter(|page| *page != urls::NOT_FOUND) {
            sitemap += &format!(
                "<url><loc>{}</loc></url>\n",
                text::escape(&urls::absolute(base_url, page))
            );
        }
        flow.unless_own("sitemap.xml", (sitemap + "</urlset>\n").into_bytes())?;
    }
    flow.unless_own("robots.txt", robots.into_bytes())?;
    // Tells GitHub Pages to publish the files as they are.
    flow.unless_own(".nojekyll", Vec::new())
}

/// Where a page puts its files.
pub struct Sink<'a> {
    pass: &'a mut dyn FnMut(OutputFile, &str) -> Result<()>,
}

impl Sink<'_> {
    /// Passes one file on; `made_by` says what it is made from, for the message when two claim one path.
    pub fn put(&mut self, path: String, bytes: Vec<u8>, made_by: &str) -> Result<()> {
        (self.pass)(OutputFile { path, bytes }, made_by)
    }
}

/// A file that was looked at: its path, what made it, and what the receiver knows of it.
type Passed<L> = (String, String, L);

/// What one function gave, and its files.
type Made<T, L> = (T, Vec<Passed<L>>);

/// Samples at work at once: enough for all threads, few enough that what is known of their files takes little memory.
const STRETCH: usize = 512;

/// Files on their way to the receiver: made and looked at in any order, taken in the site's. Refuses two for one path.
struct Flow<'a, R: Receiver> {
    paths: Claims,
    pages: BTreeSet<String>,
    receiver: &'a mut R,
}

impl<R: Receiver> Flow<'_, R> {
    /// Takes the files of one function.
    fn one(&mut self, make: impl FnOnce(&mut Sink<'_>) -> Result<(), Diagnostics>) -> Result<(), Diagnostics> {
        let mut passed = Vec::new();
        let receiver = &*self.receiver;
        let mut pass = |file: OutputFile, made_by: &str| {
            passed.push((file.path.clone(), made_by.to_owned(), receiver.look(file)?));
            Ok(())
        };
        make(&mut Sink { pass: &mut pass })?;
        Ok(self.take(passed)?)
    }

    /// Takes the files of `make` for each index up to `count`.
    fn each(&mut self, count: usize, make: impl Fn(usize, &mut Sink<'_>) -> Result<()> + Sync) -> Result<()> {
        self.each_with(count, make, |()| ())
    }

    /// As [`Self::each`], and tells what each gave, in their order.
    fn each_with<T: Send>(
        &mut self,
        count: usize,
        make: impl Fn(usize, &mut Sink<'_>) -> Result<T> + Sync,
        mut tell: impl FnMut(T),
    ) -> Result<()> {
        for start in (0..count).step_by(STRETCH) {
            let receiver = &*self.receiver;
            let done: Vec<Result<Made<T, R::Looked>>> = (start..count.min(start + STRETCH))
                .into_par_iter()
                .map(|index| {
                    let mut passed = Vec::new();
                    let mut pass = |file: OutputFile, made_by: &str| {
                        passed.push((file.path.clone(), made_by.to_owned(), receiver.look(file)?));
                        Ok(())
                    };
                    let made = make(index, &mut Sink { pass: &mut pass })?;
                    Ok((made, passed))
                })
                .collect();
            for one in done {
                let (made, passed) = one?;
                self.take(passed)?;
                tell(made);
            }
        }
        Ok(())
    }

    fn take(&mut self, passed: Vec<Passed<R::Looked>>) -> Result<()> {
        for (path, made_by, looked) in passed {
            self.paths.claim(&path, &made_by)?;
            if path.ends_with(".html") {
                self.pages.insert(path);
            }
            self.receiver.take(looked)?;
        }
        Ok(())
    }

    /// Takes a file that the project may bring itself in `static/`.
    fn unless_own(&mut self, path: &str, bytes: Vec<u8>) -> Result<()> {
        if self.paths.has(path) {
            return Ok(());
        }
        let file = OutputFile {
            path: path.to_owned(),
            bytes,
        };
        let looked = self.receiver.look(file)?;
        self.take(vec![(path.to_owned(), "igsite".to_owned(), looked)])
    }
}
