//! An experiment: its finding, its models, where the attribution goes, and every sample to search.

use serde::Serialize;
use unicode_segmentation::UnicodeSegmentation;

use super::cite::{self, Cited};
use super::evidence::{self, EvidenceView};
use super::samples::SampleTable;
use super::settings::Settings;
use super::{Frame, Link, ModelLine, Renderer, figures, finding, samples};
use crate::analysis::results::{Label, Results};
use crate::analysis::summary::{Mean, Share};
use crate::analysis::words::{Answered, WordRow};
use crate::diagnostic::{Diagnostics, Result};
use crate::render::interlinear::Measure;
use crate::render::plot::Figure;
use crate::render::text::list;
use crate::render::{Sink, data, labels, markdown};
use crate::site::urls::{self, Links};

/// Answers of so many samples are enough for a calibration to say something.
const CALIBRATED: usize = 100;
/// As many positions has a switch.
const SWITCHES: usize = 10;

#[derive(Serialize)]
struct ExperimentPage<'a> {
    page: Frame,
    heading: &'a str,
    draft: bool,
    /// What it is about, in a sentence.
    about: String,
    /// All that its author says of it; nothing where that is no more.
    text: String,
    /// What was found, each with its count and where it leads.
    claims: Vec<Claim>,
    /// How the maps are to be trusted, in sentences.
    trust: Vec<String>,
    baselines: Vec<OtherBaseline>,
    /// What is to be understood at a glance.
    headline: Vec<Figure>,
    models: Vec<ModelLine<'a>>,
    guessing: Option<f64>,
    cost: Option<Figure>,
    calibrations: Vec<Figure>,
    has_margin: bool,
    words: Vec<WordsTable<'a>>,
    /// The unit of the words' scores.
    unit: String,
    /// What speaks for or against the maps; none where nothing does.
    evidence: Option<EvidenceView<'a>>,
    options: Vec<Label>,
    option_shares: Vec<OptionShares<'a>>,
    confusions: Vec<Figure>,
    samples: SampleTable<'a>,
    comparison: Option<String>,
    settings: Settings<'a>,
    /// Whether igsite did not compute the maps.
    imported: bool,
    yaml: &'a str,
    csv: String,
    json_lines: String,
    /// Samples and models, a row each.
    samples_csv: String,
    models_csv: String,
    words_csv: String,
    bibtex: String,
    citation: String,
    /// Name and meaning of each column of the CSV.
    columns: &'static [(&'static str, &'static str)],
}

/// A finding: a count, what it is of, and the way to its evidence.
#[derive(Serialize)]
struct Claim {
    /// By which a number can be found on several pages.
    fact: &'static str,
    number: String,
    text: String,
    link: Option<Link>,
}

/// How often the maps keep their strongest word from another baseline.
#[derive(Serialize)]
struct OtherBaseline {
    baseline: String,
    same: Share,
    /// Mean correlation of the scores.
    scores: Mean,
}

/// The words of all models, or of one, for each answer.
#[derive(Serialize)]
struct WordsTable<'a> {
    /// The model; all of them where there is none.
    model: Option<&'a str>,
    /// The class of the switch.
    class: String,
    answers: &'a [Answered],
    rows: Vec<WordLine>,
}

#[derive(Serialize)]
struct WordLine {
    word: Link,
    cells: Vec<Option<WordNumber>>,
}

/// A cell of that table, which leads to its maps.
#[derive(Serialize)]
struct WordNumber {
    score: String,
    /// From −20 to 20.
    shade: i32,
    samples: usize,
    href: String,
}

/// A model's mean share of |word score| on the line of each option.
#[derive(Serialize)]
struct OptionShares<'a> {
    model: &'a str,
    shares: Vec<Option<f64>>,
}

impl Renderer<'_> {
    /// `experiments/ID/index.html`.
    pub fn experiment(&self, results: &Results<'_>, out: &mut Sink<'_>) -> Result<(), Diagnostics> {
        let experiment = results.experiment;
        let path = urls::experiment(&experiment.id);
        let links = Links::on(path.clone());
        let finding = finding::of_experiment(results);
        let home = (self.site_title.clone(), urls::HOME.to_owned());
        let cited = Cited {
            name: &experiment.id,
            title: &experiment.title,
            models: &results.models,
            path: &path,
            base_url: self.site.base_url.as_deref(),
            authors: &self.settings.authors,
        };
        let citation = cite::bibtex(&cited, results.source.records.iter().flatten());
        let judged = results.summaries.iter().any(|model| model.accuracy.of > 0);
        let text = self.description(&experiment.description, &experiment.path, Some(&experiment.id), &links)?;
        let about = first_sentence(&markdown::first_paragraph(&experiment.description));
        let view = ExperimentPage {
            page: self.frame(&links, &path, &experiment.title, &finding.join(" "), vec![home]),
            heading: &experiment.title,
            draft: experiment.draft,
            text: if about == experiment.description.trim() {
                String::new()
            } else {
                text.html
            },
            about,
            claims: claims(results, &links),
            trust: finding::of_trust(results),
            baselines: results
                .other_baselines()
                .into_iter()
                .map(|(baseline, same, scores)| OtherBaseline {
                    baseline: baseline.name(),
                    same,
                    scores,
                })
                .collect(),
            headline: figures::headline(results),
            models: ModelLine::of_models(results, &links),
            guessing: results.guessing(),
            cost: figures::cost(results),
            // Of few answers its bins say nothing.
            calibrations: if results.samples.len() >= CALIBRATED {
                figures::calibrations(results)
            } else {
                Vec::new()
            },
            has_margin: results.summaries.iter().any(|model| model.within_margin.of > 0),
            words: words_tables(results, &links),
            unit: Measure::of(0.0, samples::output_of(results), &labels::unit_of(results)).unit,
            evidence: evidence::of(
                results,
                links.to(&urls::tests(&experiment.id)),
                links.to(&urls::evidence(&experiment.id)),
            ),
            options: results.options(),
            option_shares: option_shares(results),
            confusions: if judged {
                figures::confusions(results)
            } else {
                Vec::new()
            },
            samples: SampleTable::page(results, 1, &links),
            comparison: (results.models.len() > 1).then(|| links.to(&urls::comparison(&experiment.id))),
            settings: Settings::of(results),
            imported: experiment.imported.is_some(),
            yaml: &experiment.yaml,
            csv: links.to(&urls::csv(&experiment.id, results.writes.packed)),
            json_lines: links.to(&urls::json_lines(&experiment.id, results.writes.packed)),
            samples_csv: links.to(&urls::samples_csv(&experiment.id)),
            models_csv: links.to(&urls::models_csv(&experiment.id)),
            words_csv: links.to(&urls::words_csv(&experiment.id)),
            bibtex: links.to(&urls::bibtex(&experiment.id)),
            citation: citation.clone(),
            columns: &data::COLUMNS,
        };
        out.put(
            urls::bibtex(&experiment.id),
            citation.into_bytes(),
            &format!("experiment `{}`", experiment.id),
        )?;
        Ok(self.page(
            out,
            path,
            "experiment.html",
            &view,
            &format!("experiment `{}`", experiment.id),
        )?)
    }
}

/// Up to the end of the first sentence.
fn first_sentence(text: &str) -> String {
    let first = text.unicode_sentences().next().unwrap_or(text);
    first.trim().trim_end_matches(':').to_owned()
}

/// What was found: who is right, where a model fails, whether the maps find the cause, and whether they are exact.
fn claims(results: &Results<'_>, links: &Links) -> Vec<Claim> {
    let own = links.to(&urls::experiment(&results.experiment.id));
    let show = |state: &str, told: &dyn Fn(usize) -> String| {
        let count = samples::count_of(results, state);
        (count > 0).then(|| Link {
            title: told(count),
            href: format!("{own}?show={state}#samples"),
        })
    };
    let these = |count: usize, what: &str| match count {
        1 => format!("the sample {what}"),
        count => format!("the {count} samples {what}"),
    };
    let names = &results.short_models;
    let mut claims = Vec::new();
    let judged: Vec<(&String, Share)> = names
        .iter()
        .zip(&results.summaries)
        .map(|(name, summary)| (name, summary.accuracy))
        .filter(|(_, share)| share.of > 0)
        .collect();
    if let Some(of) = judged.iter().map(|(_, share)| share.of).max() {
        let counts: Vec<String> = judged.iter().map(|(_, share)| share.count.to_string()).collect();
        let number = if judged.len() <= 4 {
            format!("{} of {of}", list(&counts))
        } else {
            let counts = || judged.iter().map(|(_, share)| share.count);
            format!(
                "{}–{} of {of}",
                counts().min().unwrap_or(0),
                counts().max().unwrap_or(0)
            )
        };
        let guessing = results
            .guessing()
            .map(|share| (share * of as f64).round())
            .filter(|right| *right >= 1.0);
        let guessing = guessing.map_or_else(String::new, |right| {
            let same = finding::always_the_same(results, right, "; the same answer to all:");
            format!(". Guessing: {right:.0}{same}")
        });
        let all: Vec<String> = judged.iter().map(|(name, _)| (*name).clone()).collect();
        claims.push(Claim {
            fact: "right",
            number,
            text: format!("right: {}{guessing}.", all.join(", ")),
            link: show("wrong", &|count| these(count, "with a wrong answer")),
        });
    }
    if let Some(group) = &results.failing {
        claims.push(Claim {
            fact: "group",
            number: format!("{} of {}", group.inside.count, group.inside.of),
            text: format!(
                "is what {} gets right where {} is {}; elsewhere {} of {}.",
                names[group.model],
                group.column,
                finding::list_of(&group.values, "or"),
                group.outside.count,
                group.outside.of
            ),
            link: show("group", &|count| these(count, "of that kind")),
        });
    } else if results.same_answer.of > 0 {
        let Share { count, of } = results.same_answer;
        claims.push(Claim {
            fact: "same-answer",
            number: format!("{count} of {of}"),
            text: "samples get the same answer from all models.".to_owned(),
            link: show("disagree", &|count| these(count, "where they differ")),
        });
    }
    let Share { count, of } = results.expected();
    if of > 0 {
        claims.push(Claim {
            fact: "expected",
            number: format!("{count} of {of} maps"),
            text: format!(
                "have their strongest word in {}, where it should be.",
                finding::list_of(&results.experiment.expected, "or")
            ),
            link: show("elsewhere", &|count| these(count, "with another")),
        });
    }
    let trust = Some(Link {
        title: "Can I trust them?".to_owned(),
        href: format!("{own}#trust"),
    });
    let Share { count, of } = results.exact();
    if results.experiment.imported.is_some() {
        claims.push(Claim {
            fact: "imported",
            number: "Imported".to_owned(),
            text: "igsite did not compute these maps, and does not know how right they are.".to_owned(),
            link: trust,
        });
    } else if of > 0 {
        let others = results.other_baselines();
        let kept: Vec<String> = others
            .iter()
            .map(|(baseline, same, _)| {
                let baseline = baseline.name();
                format!(
                    "from the {baseline} {} of {} keep their strongest word",
                    same.count, same.of
                )
            })
            .collect();
        let exact = if results.exact_by_delta() {
            "are within tolerance by their delta; the error of their scores is unknown"
        } else {
            "are numerically exact"
        };
        claims.push(Claim {
            fact: "exact",
            number: format!("{count} of {of} maps"),
            text: if kept.is_empty() {
                format!("{exact}.")
            } else {
                format!("{exact}; {}.", kept.join("; "))
            },
            link: trust,
        });
    }
    claims
}

fn words_tables<'a>(results: &'a Results<'_>, links: &Links) -> Vec<WordsTable<'a>> {
    let tables = results.answer_words.iter().take(SWITCHES).enumerate();
    tables
        .map(|(index, table)| {
            let measure = Measure::of(table.scale.max, samples::output_of(results), &labels::unit_of(results));
            let line = |row: &WordRow| {
                let slug = results.listed.slug(&row.word)?;
                let page = links.to(&urls::word(&results.experiment.id, slug));
                let cells = row.cells.iter().enumerate().map(|(answer, cell)| {
                    let cell = cell.as_ref()?;
                    Some(WordNumber {
                        score: measure.cell(cell.score, None).unwrap_or_else(|| "·".to_owned()),
                        shade: table.scale.shade(cell.score),
                        samples: cell.samples,
                        href: format!(
                            "{page}#{}",
                            super::words::anchor(results, &table.answers[answer].target)
                        ),
                    })
                });
                Some(WordLine {
                    word: Link {
                        title: row.word.clone(),
                        href: page.clone(),
                    },
                    cells: cells.collect(),
                })
            };
            WordsTable {
                model: table.model.map(|model| results.models[model].as_str()),
                class: format!("m{index}"),
                answers: &table.answers,
                rows: table.rows.iter().filter_map(line).collect(),
            }
        })
        .collect()
}

/// A line a model; none where the prompt has no lines of options.
fn option_shares<'a>(results: &'a Results<'_>) -> Vec<OptionShares<'a>> {
    if results.option_shares.iter().all(|shares| shares.is_empty()) {
        return Vec::new();
    }
    let options = &results.experiment.options;
    let models = results.models.iter().zip(&results.option_shares);
    models
        .map(|(model, means)| OptionShares {
            model,
            shares: options
                .iter()
                .map(|option| means.get(&option.letter).and_then(|mean| mean.value()))
                .collect(),
        })
        .collect()
}

/// Links to the neighbours of a sample on pages of one kind.
pub(super) fn neighbours(
    results: &Results<'_>,
    sample: usize,
    to: impl Fn(usize) -> String,
) -> (Option<Link>, Option<Link>) {
    let link = |index: usize| Link {
        title: results.sample_title(index),
        href: to(index),
    };
    let next = sample + 1;
    (
        sample.checked_sub(1).map(link),
        (next < results.samples.len()).then(|| link(next)),
    )
}
