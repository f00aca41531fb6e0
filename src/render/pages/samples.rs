//! The table of an experiment's samples: to search, filter and sort, each row with a small map a model.
//!
//! A short table is whole in the experiment's page. A long one goes on in pages of its own, which need no script; the
//! script gets the same rows as parts that it asks for when the reader searches. Rows are written here and not in a
//! template: there may be thousands.

use std::fmt::Write;

use serde::Serialize;

use super::sample::{failed_test, tests_of};
use super::{Frame, Link, Renderer, finding};
use crate::analysis::results::{Label, Results, Shown};
use crate::analysis::summary;
use crate::diagnostic::{Diagnostic, Result};
use crate::render::interlinear::Measure;
use crate::render::text::{correlation, escape_into, excerpt, or_dash};
use crate::render::{Sink, heatmap, labels};
use crate::site::urls::{self, Links};
use crate::store::record::AttributionRecord;
use crate::terms::Output;

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
    /// Every other choice of what is shown, with how many samples it shows.
    states: Vec<State>,
    /// The models, above their columns.
    models: Vec<Column<'a>>,
    /// The score of a full bar, with its unit.
    full_bar: String,
    shown: Option<Shown<'a>>,
    /// Whether the segments where the cause lies are known, and marked.
    expected: &'a [String],
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

/// A model above its column.
#[derive(Serialize)]
struct Column<'a> {
    title: &'a str,
    /// What became of its maps when they were put to the test, where they failed.
    warning: Option<&'static str>,
    /// Where that stands.
    href: String,
}

/// A choice of samples.
#[derive(Serialize)]
struct State {
    /// In the address, and in the rows.
    value: &'static str,
    label: String,
    /// Samples that are shown then.
    count: usize,
}

#[derive(Serialize)]
struct TablePage {
    number: usize,
    href: String,
    here: bool,
}

impl<'a> SampleTable<'a> {
    /// A page of the table, from 1.
    pub fn page(results: &'a Results<'_>, page: usize, links: &Links) -> Self {
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
            states: if first { counted(results) } else { Vec::new() },
            models: columns(results, links),
            expected: &results.experiment.expected,
            full_bar: Measure::of(results.subject_scale.max, output_of(results), &labels::unit_of(results)).told(),
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

fn columns<'a>(results: &'a Results<'_>, links: &Links) -> Vec<Column<'a>> {
    let hold = tests_of(results, links);
    let column = |(model, title): (usize, &'a String)| Column {
        title,
        warning: results.source.records[model]
            .iter()
            .find_map(|record| Some((record, record.attributions.first()?)))
            .and_then(|(record, map)| failed_test(results, model, record, map)),
        href: hold.clone(),
    };
    results.models.iter().enumerate().map(column).collect()
}

/// The output that scores are parts of; none of imported maps, whose unit is what their file says.
pub fn output_of(results: &Results<'_>) -> Option<Output> {
    let of_file = results.first_map().and_then(|map| map.imported.as_ref()?.unit.as_ref());
    of_file.is_none().then_some(results.experiment.attribution.output)
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

/// What holds of a sample: what it can be chosen by.
fn states(results: &Results<'_>, sample: usize) -> Vec<&'static str> {
    let analysed = &results.samples[sample];
    let records = || results.records_of(sample);
    let judged = || records().filter_map(|record| record.correct);
    let any = |is: fn(&AttributionRecord) -> bool| records().any(|record| record.attributions.iter().any(is));
    let all = [
        ("disagree", !analysed.same_answer),
        ("wrong", judged().any(|correct| !correct)),
        ("right", judged().count() > 0 && judged().all(|correct| correct)),
        (
            "group",
            results.failing.as_ref().is_some_and(|group| group.samples[sample]),
        ),
        ("elsewhere", analysed.expected.contains(&Some(false))),
        ("off", any(|map| !summary::is_right(map))),
        ("margin", any(summary::misses_margin_by_delta)),
    ];
    all.into_iter()
        .filter(|(_, holds)| *holds)
        .map(|(name, _)| name)
        .collect()
}

/// The choices that show any sample, each with how many.
fn counted(results: &Results<'_>) -> Vec<State> {
    let all: Vec<Vec<&str>> = (0..results.samples.len())
        .map(|sample| states(results, sample))
        .collect();
    let group = results.failing.as_ref().map_or_else(String::new, |group| {
        format!("{}: {}", group.column, finding::list_of(&group.values, "or"))
    });
    let named = [
        ("disagree", "models differ".to_owned()),
        ("wrong", "some model wrong".to_owned()),
        ("right", "all models right".to_owned()),
        ("group", group),
        ("elsewhere", "strongest word elsewhere".to_owned()),
        ("off", "a map is not exact".to_owned()),
        ("margin", "a map fails the margin check".to_owned()),
    ];
    let counted = named.into_iter().map(|(value, label)| State {
        value,
        label,
        count: all.iter().filter(|states| states.contains(&value)).count(),
    });
    counted.filter(|state| state.count > 0).collect()
}

/// How many samples a choice shows.
pub fn count_of(results: &Results<'_>, state: &str) -> usize {
    (0..results.samples.len())
        .filter(|&sample| states(results, sample).contains(&state))
        .count()
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
    let title = results.sample_title(sample);
    let _ = write!(
        html,
        "\" data-state=\"{}\"><th scope=row data-value=\"",
        states(results, sample).join(" ")
    );
    escape_into(&title, html);
    let _ = write!(
        html,
        "\"><a href=\"{}\"><bdi>",
        links.to(&urls::sample(&experiment.id, results.slug(sample)))
    );
    escape_into(&analysed.subject, html);
    html.push_str("</bdi></a> <small><bdi>");
    escape_into(&title, html);
    html.push_str("</bdi></small>");
    if judged {
        html.push_str("<td data-label=\"Right option: \"><bdi>");
        escape_into(gold.unwrap_or_default(), html);
        let _ = write!(
            html,
            "</bdi><td class=num data-label=\"Models right: \" data-value={right}>{right}/{of}"
        );
    }
    for model in 0..results.models.len() {
        answer(results, model, sample, html);
    }
    // One model has no other to agree with.
    if results.models.len() > 1 {
        let mean = analysed.mean_spearman();
        let _ = write!(
            html,
            "<td class=num data-label=\"Mean Spearman: \" data-value={:.4}>{}",
            mean.unwrap_or(-2.0),
            or_dash(mean.map(correlation))
        );
    }
    html.push('\n');
}

/// What a model answers, its map as a strip, and the word that it rests on most.
fn answer(results: &Results<'_>, model: usize, sample: usize, html: &mut String) {
    let record = results.record(model, sample);
    let analysed = &results.samples[sample];
    let verdict = match record.correct {
        Some(true) => "right",
        Some(false) => "wrong",
        None => "",
    };
    html.push_str("<td class=cell data-label=\"");
    escape_into(&results.short_models[model], html);
    let _ = write!(html, "\"><b class=\"is {verdict}\"><bdi>");
    escape_into(&excerpt(summary::answer_text(record), 12), html);
    html.push_str("</bdi>");
    if !verdict.is_empty() {
        let _ = write!(html, "<span class=visually-hidden> {verdict}</span>");
    }
    html.push_str("</b>");
    let Some(words) = &analysed.words[model] else {
        html.push_str(" <span class=\"badge bad\">marked: no map</span>");
        return;
    };
    let expected = &results.experiment.expected;
    let units = &analysed.units;
    let of_subject = analysed.subject_words.iter().map(|&word| heatmap::StripWord {
        score: words.units[word],
        segment: units.segment_of_word(word),
        expected: expected.contains(&units.segments[units.segment_of_word(word)].name),
    });
    html.push_str(&heatmap::strip(of_subject, results.subject_scale));
    if let Some((word, _)) = results.reasons(model, sample, 1).first() {
        html.push_str(if analysed.expected[model] == Some(false) {
            "<bdi class=odd>"
        } else {
            "<bdi>"
        });
        escape_into(&results.word(sample, *word), html);
        html.push_str("</bdi>");
    }
    if let Some(mark) = record.attributions.first().and_then(labels::mark) {
        let _ = write!(html, " <span class=\"badge bad\">{mark}</span>");
    }
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
