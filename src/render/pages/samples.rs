//! The table of an experiment's samples: to search, filter and sort, each row with a small map a model.
//!
//! A short table is whole in the experiment's page. A long one goes on in pages of its own, which need no script; the
//! script gets the same rows as parts that it asks for when the reader searches. Rows are written here and not in a
//! template: there may be thousands.

use std::fmt::Write;

use serde::Serialize;

use super::{Frame, Link, Renderer, map_link};
use crate::analysis::results::{Label, Results, Shown};
use crate::analysis::summary;
use crate::diagnostic::{Diagnostic, Result};
use crate::render::text::{correlation, escape_into, excerpt, or_dash, percent, signed};
use crate::render::{Sink, heatmap, labels};
use crate::site::urls::{self, Links};
use crate::store::record::SampleRecord;

/// As many samples are shown in one page without another.
const WHOLE: usize = 250;
/// Else a page holds as many.
const PAGE: usize = 100;

/// The table, or a page of it.
#[derive(Serialize)]
pub struct SampleTable<'a> {
    /// Of the experiment.
    count: usize,
    /// Whether any sample has a right answer.
    judged: bool,
    /// The right answers that come.
    golds: Vec<Label>,
    /// What models answer.
    answers: Vec<Label>,
    /// Whether a map fails the margin check.
    off_margin: bool,
    /// Whether igsite did not compute the maps, and none of them is converged or not.
    imported: bool,
    /// The score of a full bar.
    full_bar: f64,
    shown: Option<Shown<'a>>,
    rows: String,
    /// The same as data, one row a sample.
    csv: String,
    /// Scripts with the rows that are not in this page, for the first page; none where all are.
    parts: Vec<String>,
    /// The pages of the table; none where it is whole.
    pages: Vec<TablePage>,
    /// From which sample to which.
    from: usize,
    to: usize,
}

#[derive(Serialize)]
struct TablePage {
    number: usize,
    href: String,
    here: bool,
}

impl<'a> SampleTable<'a> {
    /// A page of the table, from 1.
    pub fn page(results: &Results<'a>, page: usize, links: &Links) -> Self {
        let count = results.samples.len();
        let id = &results.experiment.id;
        let of = pages(count);
        let (from, to) = range(count, page);
        let golds = golds(results);
        let mut rows = String::new();
        for sample in from..to {
            row(results, sample, !golds.is_empty(), links, &mut rows);
        }
        let table_page = |number: usize| TablePage {
            number,
            href: links.to(&match number {
                1 => urls::experiment(id),
                number => urls::samples_page(id, number),
            }),
            here: number == page,
        };
        // Only the first page has the filters, and each page would go through all records.
        let first = page == 1;
        Self {
            count,
            judged: !golds.is_empty(),
            golds,
            answers: if first {
                options(results, |letter| results.is_answered(letter))
            } else {
                Vec::new()
            },
            off_margin: first && results.source.records.iter().flatten().any(has_missed_margin),
            imported: results.experiment.imported.is_some(),
            full_bar: results.scale.max,
            shown: results.shown(),
            rows,
            csv: links.to(&urls::samples_csv(id)),
            parts: (2..=of).map(|page| links.to(&urls::samples_part(id, page))).collect(),
            pages: (1..=of).filter(|_| of > 1).map(table_page).collect(),
            from: from + 1,
            to,
        }
    }
}

fn pages(count: usize) -> usize {
    if count <= WHOLE { 1 } else { count.div_ceil(PAGE) }
}

fn range(count: usize, page: usize) -> (usize, usize) {
    if count <= WHOLE {
        (0, count)
    } else {
        ((page - 1) * PAGE, (page * PAGE).min(count))
    }
}

#[derive(Serialize)]
struct SamplesPage<'a> {
    page: Frame,
    heading: String,
    experiment: Link,
    samples: SampleTable<'a>,
}

impl Renderer<'_> {
    /// How many pages a long table has behind the first.
    pub fn samples_pages(&self, results: &Results<'_>) -> usize {
        pages(results.samples.len()) - 1
    }

    /// A page of a long table after the first, from 2, and the same rows as the part that the script of the first
    /// loads.
    pub fn samples(&self, results: &Results<'_>, number: usize, out: &mut Sink<'_>) -> Result<()> {
        let experiment = results.experiment;
        let made_by = format!("experiment `{}`", experiment.id);
        let path = urls::samples_page(&experiment.id, number);
        let links = Links::on(path.clone());
        let crumbs = vec![
            (self.site_title.clone(), urls::HOME.to_owned()),
            (experiment.title.clone(), urls::experiment(&experiment.id)),
        ];
        let samples = SampleTable::page(results, number, &links);
        let heading = format!("Samples {} to {}", samples.from, samples.to);
        let view = SamplesPage {
            page: self.frame(
                &links,
                &path,
                &format!("{heading} · {}", experiment.title),
                &heading,
                crumbs,
            ),
            heading,
            experiment: Link {
                title: experiment.title.clone(),
                href: links.to(&urls::experiment(&experiment.id)),
            },
            samples,
        };
        self.page(out, path, "samples.html", &view, &made_by)?;

        let links = Links::on(urls::experiment(&experiment.id));
        let judged = !golds(results).is_empty();
        let (from, to) = range(results.samples.len(), number);
        let rows: Vec<String> = (from..to)
            .map(|sample| {
                let mut html = String::new();
                row(results, sample, judged, &links, &mut html);
                html
            })
            .collect();
        let rows = serde_json::to_string(&rows)
            .map_err(|error| Diagnostic::output(format!("cannot write the rows of a table: {error}")))?;
        let script = format!("igsiteRows({rows});\n");
        out.put(
            urls::samples_part(&experiment.id, number),
            script.into_bytes(),
            &made_by,
        )
    }
}

fn golds(results: &Results<'_>) -> Vec<Label> {
    let samples = &results.experiment.samples;
    options(results, |letter| {
        samples.iter().any(|sample| sample.gold.as_deref() == Some(letter))
    })
}

fn has_missed_margin(record: &SampleRecord) -> bool {
    record.attributions.iter().any(summary::misses_margin)
}

/// The options that are used.
fn options(results: &Results<'_>, used: impl Fn(&str) -> bool) -> Vec<Label> {
    let mut options = results.options();
    options.retain(|option| used(&option.letter));
    options
}

fn row(results: &Results<'_>, sample: usize, judged: bool, links: &Links, html: &mut String) {
    let experiment = results.experiment;
    let analysed = &results.samples[sample];
    let gold = experiment.samples[sample].gold.as_deref();
    let right = results
        .records_of(sample)
        .filter(|record| record.correct == Some(true))
        .count();
    let of = results
        .records_of(sample)
        .filter(|record| record.correct.is_some())
        .count();
    let off = results
        .records_of(sample)
        .any(|record| !record.attributions.iter().all(summary::is_right));
    let states = [
        ("right", of > 0 && right == of),
        ("wrong", right < of),
        ("disagree", !analysed.same_answer),
        ("off", off),
        ("margin", results.records_of(sample).any(has_missed_margin)),
    ];
    let states: Vec<&str> = states
        .iter()
        .filter(|(_, holds)| *holds)
        .map(|(name, _)| *name)
        .collect();
    let mut answers: Vec<&str> = results
        .records_of(sample)
        .filter_map(summary::predicted_option)
        .collect();
    answers.sort_unstable();
    answers.dedup();
    html.push_str("<tr data-gold=\"");
    escape_into(gold.unwrap_or_default(), html);
    html.push_str("\" data-answers=\"");
    escape_into(&answers.join(" "), html);
    let _ = write!(
        html,
        "\" data-state=\"{}\"><th scope=row><a href=\"{}\"><bdi>",
        states.join(" "),
        links.to(&urls::sample(&experiment.id, results.slug(sample)))
    );
    escape_into(&results.sample_title(sample), html);
    html.push_str("</bdi></a><p class=subject><bdi>");
    escape_into(&analysed.subject, html);
    html.push_str("</bdi></p>");
    if judged {
        let label = gold.map_or_else(String::new, |gold| results.option_label(gold));
        html.push_str("<td data-label=\"Right option: \"><bdi>");
        escape_into(&label, html);
        let _ = write!(
            html,
            "</bdi><td class=num data-label=\"Models right: \" data-value={right}>{right} of {of}"
        );
    }
    html.push_str("<td><ul class=answers>");
    for model in 0..results.models.len() {
        answer(results, model, sample, links, html);
    }
    let mean = analysed.mean_spearman();
    let _ = writeln!(
        html,
        "</ul><td class=num data-label=\"Mean agreement of the maps: \" data-value={:.4}>{}",
        mean.unwrap_or(-2.0),
        or_dash(mean.map(correlation))
    );
}

fn answer(results: &Results<'_>, model: usize, sample: usize, links: &Links, html: &mut String) {
    let record = results.record(model, sample);
    let analysed = &results.samples[sample];
    let href = map_link(results, (model, sample), links);
    let _ = write!(html, "<li><a href=\"{href}\"><bdi>");
    escape_into(&results.models[model], html);
    let verdict = match record.correct {
        Some(true) => "right",
        Some(false) => "wrong",
        None => "",
    };
    let _ = write!(html, "</bdi></a> <span class=\"answer {verdict}\"><b><bdi>");
    escape_into(&excerpt(summary::answer_text(record), 12), html);
    html.push_str("</bdi></b> ");
    if let Some(probability) = summary::answer_probability(record) {
        escape_into(&percent(probability), html);
    }
    if !verdict.is_empty() {
        let _ = write!(html, " <span class=verdict>{verdict}</span>");
    }
    html.push_str("</span> ");
    let Some(words) = &analysed.words[model] else {
        html.push_str("<span class=\"badge bad\">marked: no map</span>");
        return;
    };
    html.push_str("<span class=evidence>");
    html.push_str(&heatmap::strip(&analysed.units, &words.units, results.scale));
    html.push_str("<span class=words>");
    if let Some(mark) = record.attributions.first().and_then(labels::mark) {
        let _ = write!(html, "<span class=\"badge bad\">{mark}</span> ");
    }
    for (index, (word, score)) in results.top_words(model, sample, 3).into_iter().enumerate() {
        html.push_str(if index > 0 { " <span><bdi>" } else { "<span><bdi>" });
        escape_into(&word, html);
        let _ = write!(html, "</bdi> {}</span>", signed(score));
    }
    html.push_str("</span></span>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_table_is_whole_and_a_long_one_has_every_sample_once() {
        assert_eq!((pages(WHOLE), range(WHOLE, 1)), (1, (0, WHOLE)));
        for count in [WHOLE + 1, 300, 12_836] {
            let ranges: Vec<(usize, usize)> = (1..=pages(count)).map(|page| range(count, page)).collect();
            assert_eq!((ranges[0].0, ranges[ranges.len() - 1].1), (0, count));
            assert!(ranges.windows(2).all(|pair| pair[0].1 == pair[1].0), "{ranges:?}");
        }
    }
}
