//! Records as pages and data files. Pure: templates and assets are read, nothing is written; each file goes to a sink.
//!
//! [`render`] reads top to bottom as the site does. A page is values (in [`pages`]), a template of the [`theme`], and
//! the filters that write the one into the other; maps, figures and Markdown come as finished HTML from their own
//! modules.

pub mod assets;
pub mod card;
pub mod chart;
pub mod claims;
pub mod data;
mod decimal;
#[cfg(test)]
mod documented;
pub mod embed;
mod filters;
#[cfg(test)]
pub(crate) mod fixture;
mod flow;
pub mod heatmap;
pub mod interlinear;
pub mod labels;
pub mod markdown;
pub mod pages;
mod places;
pub mod plot;
pub mod search;
pub mod terminal;
#[cfg(test)]
mod tests;
pub mod text;
pub mod theme;
mod values;

use rayon::prelude::*;

pub use crate::analysis::results::ExperimentResults;
use crate::analysis::results::Results;
use crate::content::project::Project;
use crate::diagnostic::{Diagnostics, Result};
use crate::render::flow::{Each, Flow};
pub use crate::render::flow::{Receiver, Sink};
use crate::render::pages::Renderer;
pub use crate::site::OutputFile;
use crate::site::urls;
use crate::store::record::SampleRecord;

/// Everything a site is made of.
pub struct Site<'a> {
    /// The project, for models, pages, templates and static files.
    pub project: &'a Project,
    /// The experiments to show.
    pub results: Vec<ExperimentResults<'a>>,
    /// Where the site will stand (`https://me.github.io/repo/`), for the sitemap, canonical links and the 404 page.
    pub base_url: Option<String>,
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

/// Renders the whole site to a receiver, on all threads. No more than a batch of samples is in memory at once.
///
/// # Errors
/// A template or page fails, or the receiver does; of several failures the one that is first in the site's order.
pub fn render_to<R: Receiver>(site: &Site<'_>, receiver: &mut R) -> Result<(), Diagnostics> {
    let results = site
        .results
        .iter()
        .map(|results| Results::of(site.project, results))
        .collect::<Result<Vec<_>>>()?;
    let renderer = Renderer::new(site, &results)?;
    let mut flow = Flow::to(receiver);
    flow.one(|out| {
        for (path, bytes) in renderer.assets() {
            out.put(path.to_owned(), bytes.to_vec(), &format!("static/{path}"))?;
        }
        renderer.markdown_pages(out)?;
        renderer.front(out)?;
        if site.project.book.is_none() {
            renderer.models(out)?;
        }
        Ok(renderer.search(out)?)
    })?;
    for results in &results {
        flow.one(|out| {
            renderer.experiment(results, out)?;
            Ok(renderer.experiment_card(results, out)?)
        })?;
        // Its pages of samples, and the comparison, which takes as long as many of them.
        flow.each(1 + renderer.samples_pages(results), |page, out| match page {
            0 => renderer.comparison(results, out),
            page => renderer.samples(results, page + 1, out),
        })?;
        flow.each(results.listed.words.len(), |word, out| {
            renderer.word(results, word, out)
        })?;
        flow.each(results.samples.len(), |sample, out| {
            renderer.sample(results, sample, out)?;
            renderer.sample_card(results, sample, out)?;
            (0..results.models.len()).try_for_each(|model| {
                renderer.map(results, model, sample, out)?;
                renderer.map_card(results, (model, sample), out)
            })
        })?;
        records(results, &mut flow)?;
    }
    flow.one(|out| Ok(renderer.not_found(out)?))?;
    crawlers(site, &mut flow)?;
    Ok(())
}

/// Reads every text of the project, shortcodes and all, without any result: what is wrong there is an error, what is
/// odd a warning.
pub fn proofread(site: &Site<'_>) -> Result<Diagnostics, Diagnostics> {
    Renderer::new(site, &[])?.proofread()
}

/// The records as data: a file each, and all of an experiment in one of JSON Lines and one of CSV, which grow as the
/// records come. A record is written out once for both. Packed data are a file a sample, and the two large ones by gzip.
fn records<R: Receiver>(results: &Results<'_>, flow: &mut Flow<'_, R>) -> Result<()> {
    let experiment = results.experiment;
    let packed = results.writes.packed;
    let paths = [
        urls::csv(&experiment.id, packed),
        urls::json_lines(&experiment.id, packed),
    ];
    let mut files = [flow.begin(&paths[0])?, flow.begin(&paths[1])?];
    let head = data::csv_header();
    R::grow(&mut files[0], &if packed { data::gzip(&[&head]) } else { head })?;
    for (model, id) in experiment.models.iter().enumerate() {
        let write = |sample: usize, out: &mut Sink<'_>| {
            let record = results.record(model, sample);
            let file = OutputFile {
                path: urls::record(&experiment.id, id, results.slug(sample)),
                bytes: data::json(record)?,
            };
            if !packed {
                out.put_file(&file, "a record")?;
            }
            Ok([data::csv(record), file.bytes])
        };
        flow.each_with(results.samples.len(), write, |parts: Vec<[Vec<u8>; 2]>| {
            let grow = |(index, file): (usize, &mut R::Growing)| {
                let parts: Vec<&[u8]> = parts.iter().map(|part| part[index].as_slice()).collect();
                if packed {
                    // Files of gzip behind each other are a file of gzip.
                    let packed: Vec<Vec<u8>> = parts.par_chunks(PACKED_TOGETHER).map(data::gzip).collect();
                    packed.iter().try_for_each(|part| R::grow(file, part))
                } else {
                    parts.into_iter().try_for_each(|part| R::grow(file, part))
                }
            };
            files.par_iter_mut().enumerate().try_for_each(grow)
        })?;
    }
    if packed {
        flow.each(results.samples.len(), |sample, out| {
            let records: Vec<&SampleRecord> = results.records_of(sample).collect();
            let path = urls::records(&experiment.id, results.slug(sample));
            out.put(path, data::json_of_sample(&records)?, "the records of a sample")
        })?;
    }
    flow.each(1, |_, out| data::tables::write(results, out))?;
    if !results.evidence.tested.is_empty() {
        let path = urls::tests(&experiment.id);
        let mut file = flow.begin(&path)?;
        R::grow(&mut file, &data::tests_header())?;
        for record in results.source.records.iter().flatten() {
            R::grow(&mut file, &data::tests_csv(record))?;
        }
        flow.end(path, file, "the tests of an experiment’s maps")?;
    }
    if !results.evidence.is_empty() {
        let path = urls::evidence(&experiment.id);
        flow.each(1, |_, out| {
            let bytes = data::evidence(&experiment.id, &results.evidence)?;
            out.put(path.clone(), bytes, "the evidence of an experiment")
        })?;
    }
    let mut ended = paths.into_iter().zip(files);
    ended.try_for_each(|(path, file)| flow.end(path, file, "an experiment’s data"))
}

/// Records that are packed together: enough for what they have in common to count.
const PACKED_TOGETHER: usize = 64;

/// What search engines and GitHub Pages want to know. A sitemap holds absolute addresses: no base URL, no sitemap.
fn crawlers<R: Receiver>(site: &Site<'_>, flow: &mut Flow<'_, R>) -> Result<()> {
    let mut robots = String::from("User-agent: *\nAllow: /\n");
    if let Some(base_url) = &site.base_url {
        robots += &format!("Sitemap: {}\n", urls::absolute(base_url, "sitemap.xml"));
        let mut sitemap = String::from(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n",
        );
        for page in flow.pages().filter(|page| *page != urls::NOT_FOUND) {
            sitemap += &format!(
                "<url><loc>{}</loc></url>\n",
                text::escape(&urls::absolute(base_url, page))
            );
        }
        flow.unless_own("sitemap.xml", (sitemap + "</urlset>\n").into_bytes())?;
    }
    flow.unless_own("robots.txt", robots.into_bytes())?;
    // Makes GitHub Pages publish the files as they are.
    flow.unless_own(".nojekyll", Vec::new())
}
