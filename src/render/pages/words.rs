//! The page of a word: every sample that it comes in, with what it counts for each model, sorted by the answer that the
//! maps explain.

use serde::Serialize;

use super::{Frame, Link, Renderer, map_link, samples};
use crate::analysis::results::Results;
use crate::analysis::scale::Scale;
use crate::analysis::summary;
use crate::analysis::words::answer_of;
use crate::diagnostic::Result;
use crate::render::interlinear::Measure;
use crate::render::text::excerpt;
use crate::render::{Sink, labels};
use crate::site::urls::{self, Links};

/// Samples of an answer that are listed; the table of all samples finds the others.
const LISTED: usize = 100;

#[derive(Serialize)]
struct WordPage<'a> {
    page: Frame,
    heading: &'a str,
    experiment: Link,
    /// In so many samples it comes.
    samples: usize,
    of: usize,
    models: &'a [String],
    /// What the scores are of.
    unit: String,
    full: String,
    answers: Vec<OfAnswer>,
    /// Where all samples with the word are found.
    all: String,
}

/// The maps of one answer.
#[derive(Serialize)]
struct OfAnswer {
    anchor: String,
    label: String,
    /// Mean score over its maps.
    mean: String,
    maps: usize,
    samples: usize,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    sample: Link,
    /// The right option.
    gold: Option<String>,
    /// By model; none where its map explains another answer.
    cells: Vec<Option<Cell>>,
}

#[derive(Serialize)]
struct Cell {
    score: String,
    /// From −20 to 20.
    shade: i32,
    /// Whether it is the word that the map rests on most.
    strongest: bool,
    correct: Option<bool>,
    href: String,
}

/// The anchor of an answer on the page of a word.
pub fn anchor(results: &Results<'_>, answer: &str) -> String {
    match results
        .experiment
        .options
        .iter()
        .position(|option| option.letter == answer)
    {
        Some(_) if answer.chars().all(|c| c.is_ascii_alphanumeric()) => format!("answer-{answer}"),
        _ => {
            let all = results.answer_words.first();
            let place = all.and_then(|all| all.answers.iter().position(|known| known.target == answer));
            format!("answer-{}-", place.map_or(0, |place| place + 1))
        }
    }
}

impl Renderer<'_> {
    /// `experiments/ID/words/SLUG/index.html`.
    pub fn word(&self, results: &Results<'_>, word: usize, out: &mut Sink<'_>) -> Result<()> {
        let experiment = results.experiment;
        let listed = &results.listed.words[word];
        let path = urls::word(&experiment.id, &listed.slug);
        let links = Links::on(path.clone());
        let crumbs = vec![
            (self.site_title.clone(), urls::HOME.to_owned()),
            (experiment.title.clone(), urls::experiment(&experiment.id)),
        ];
        // A word that comes twice in a sample counts with the sum of its scores.
        let mut by_sample: Vec<(usize, Vec<usize>)> = Vec::new();
        for &(sample, place) in &listed.uses {
            match by_sample.last_mut().filter(|(known, _)| *known == sample) {
                Some((_, places)) => places.push(place),
                None => by_sample.push((sample, vec![place])),
            }
        }
        let score = |model: usize, sample: usize, places: &[usize]| {
            let words = results.samples[sample].words[model].as_ref()?;
            Some(places.iter().map(|&place| words.units[place]).sum::<f64>())
        };
        let models = results.models.len();
        let all = || {
            by_sample
                .iter()
                .flat_map(|(sample, places)| (0..models).filter_map(move |model| score(model, *sample, places)))
        };
        let scale = Scale::over(&all().collect::<Vec<f64>>());
        let measure = Measure::of(scale.max, samples::output_of(results), &labels::unit_of(results));
        let mut answers = Vec::new();
        for answered in results.answer_words.first().map_or(&[][..], |all| &all.answers) {
            let (mut rows, mut sum, mut maps) = (Vec::new(), 0.0, 0_usize);
            for (sample, places) in &by_sample {
                let cell = |model: usize| {
                    let record = results.record(model, *sample);
                    summary::shown(record).filter(|map| answer_of(map) == answered.target)?;
                    let score = score(model, *sample, places)?;
                    let strongest = results.reasons(model, *sample, 1);
                    let errors = results.samples[*sample].errors[model].as_ref();
                    let error = errors.map(|errors| places.iter().map(|&place| errors.units[place]).sum());
                    Some((
                        score,
                        Cell {
                            score: measure.cell(score, error).unwrap_or_else(|| "·".to_owned()),
                            shade: scale.shade(score),
                            strongest: strongest.first().is_some_and(|(word, _)| places.contains(word)),
                            correct: record.correct,
                            href: map_link(results, (model, *sample), &links),
                        },
                    ))
                };
                let cells: Vec<Option<(f64, Cell)>> = (0..models).map(cell).collect();
                if cells.iter().all(Option::is_none) {
                    continue;
                }
                for (score, _) in cells.iter().flatten() {
                    sum += score;
                    maps += 1;
                }
                rows.push(Row {
                    sample: Link {
                        title: results.samples[*sample].subject.clone(),
                        href: links.to(&urls::sample(&experiment.id, results.slug(*sample))),
                    },
                    gold: experiment.samples[*sample].gold.clone(),
                    cells: cells.into_iter().map(|cell| cell.map(|(_, cell)| cell)).collect(),
                });
            }
            if rows.is_empty() {
                continue;
            }
            let samples = rows.len();
            rows.truncate(LISTED);
            answers.push(OfAnswer {
                anchor: anchor(results, &answered.target),
                label: answered.label.clone(),
                mean: measure.number(sum / maps as f64, None),
                maps,
                samples,
                rows,
            });
        }
        let title = excerpt(&listed.word, 40);
        let said = answers
            .iter()
            .map(|answer| format!("{} {} for {}", answer.mean, measure.unit, answer.label))
            .collect::<Vec<_>>()
            .join("; ");
        let own = links.to(&urls::experiment(&experiment.id));
        let view = WordPage {
            page: self.frame(
                &links,
                &path,
                &format!("“{title}” · {}", experiment.title),
                &format!("What the word “{title}” counts: {said}."),
                crumbs,
            ),
            heading: &listed.word,
            experiment: Link {
                title: experiment.title.clone(),
                href: own.clone(),
            },
            samples: by_sample.len(),
            of: results.samples.len(),
            models: &results.models,
            full: measure.told(),
            unit: measure.unit.clone(),
            answers,
            all: format!("{own}?q={}#samples", urls::encode(&listed.word)),
        };
        self.page(
            out,
            path,
            "word.html",
            &view,
            &format!("the word `{title}` of `{}`", experiment.id),
        )
    }
}
