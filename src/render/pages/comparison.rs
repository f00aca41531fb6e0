//! The models of an experiment against each other: whether they answer alike, and whether for the same reasons.

use std::collections::BTreeMap;

use serde::Serialize;

use super::differences::{self, WordByWord};
use super::{Frame, Link, Renderer, figures, finding, map_link};
use crate::analysis::agreement::TOP;
use crate::analysis::map::Quality;
use crate::analysis::pairs::{self, MeanMeasures, OnSample};
use crate::analysis::results::{Results, Shown};
use crate::analysis::scale::Scale;
use crate::analysis::summary;
use crate::diagnostic::Result;
use crate::render::Sink;
use crate::render::plot::Figure;
use crate::render::text::{self, excerpt};
use crate::site::urls::{self, Links};

/// How many pairs each list shows.
const LISTED: usize = 15;

#[derive(Serialize)]
struct ComparisonPage<'a> {
    page: Frame,
    heading: &'static str,
    experiment: Link,
    finding: Vec<String>,
    shown: Option<Shown<'a>>,
    /// Whether the measures are weighted by the errors of the maps.
    weighted: bool,
    matrices: Vec<Figure>,
    /// How many of the strongest words are compared.
    top: usize,
    measures: Vec<TwoModels<'a>>,
    /// The segments whose words the lists compare; none where they compare all words.
    segments: &'a [String],
    lists: Vec<List<'a>>,
    pairs: Vec<WordByWord<'a>>,
}

/// Two models in numbers.
#[derive(Serialize)]
struct TwoModels<'a> {
    first: &'a str,
    second: &'a str,
    href: String,
    #[serde(flatten)]
    measures: MeanMeasures,
}

/// Pairs of models on a sample that a reader should see.
#[derive(Serialize)]
struct List<'a> {
    id: &'static str,
    title: &'static str,
    caption: &'static str,
    /// What to say where there is no row.
    none: &'static str,
    /// How many pairs were left out since next to nothing about them is certain.
    left_out: usize,
    rows: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    sample: Link,
    subject: String,
    first: OfModel<'a>,
    second: OfModel<'a>,
    spearman: f64,
    /// Of that, from −20 to 20.
    shade: i32,
    plain: Option<f64>,
    certain: Option<f64>,
}

#[derive(Serialize)]
struct OfModel<'a> {
    model: &'a str,
    href: String,
    answer: String,
    /// The strongest words of what the sample is about.
    words: Vec<StrongWord>,
    quality: Option<Quality>,
}

#[derive(Serialize)]
struct StrongWord {
    word: String,
    score: f64,
}

impl Renderer<'_> {
    /// `experiments/ID/comparison/index.html`; a single model has nothing to be compared with.
    pub fn comparison(&self, results: &Results<'_>, out: &mut Sink<'_>) -> Result<()> {
        if results.models.len() < 2 {
            return Ok(());
        }
        let experiment = results.experiment;
        let path = urls::comparison(&experiment.id);
        let links = Links::on(path.clone());
        let crumbs = vec![
            (self.site_title.clone(), urls::HOME.to_owned()),
            (experiment.title.clone(), urls::experiment(&experiment.id)),
        ];
        let title = format!("Comparison of models · {}", experiment.title);
        let finding = sentences(results);
        let means: Means = pairs::every_two(results.models.len())
            .map(|pair| (pair, pairs::measures(results, pair)))
            .collect();
        let view = ComparisonPage {
            page: self.frame(&links, &path, &title, &finding.join(" "), crumbs),
            heading: "Comparison of models",
            experiment: Link {
                title: experiment.title.clone(),
                href: links.to(&urls::experiment(&experiment.id)),
            },
            finding,
            shown: results.shown(),
            weighted: pairs::is_weighted(results),
            matrices: matrices(results, &means),
            top: TOP,
            measures: measures(results, &means),
            segments: &results.subject,
            lists: lists(results, &links),
            pairs: differences::word_by_word(results),
        };
        self.page(
            out,
            path,
            "comparison.html",
            &view,
            &format!("experiment `{}`", experiment.id),
        )
    }
}

fn sentences(results: &Results<'_>) -> Vec<String> {
    let mut pairs = Vec::new();
    for b in 0..results.models.len() {
        for a in 0..b {
            if let Some(mean) = pairs::mean_of(results, (a, b), |agreement| agreement.leading().spearman).value() {
                pairs.push((mean, format!("{} and {}", results.models[a], results.models[b])));
            }
        }
    }
    pairs.sort_by(|x, y| y.0.total_cmp(&x.0));
    let mut sentences = Vec::new();
    let weighted = if pairs::is_weighted(results) {
        ", weighted by error"
    } else {
        ""
    };
    match &pairs[..] {
        [] => sentences.push("No two models have maps that can be compared.".to_owned()),
        [(mean, pair)] => sentences.push(format!(
            "The maps of {pair} agree with a mean rank correlation of {}{weighted}.",
            text::correlation(*mean)
        )),
        [(most, pair), .., (least, other)] => sentences.push(format!(
            "The maps of {pair} agree most (mean rank correlation {}{weighted}), those of {other} least ({}).",
            text::correlation(*most),
            text::correlation(*least)
        )),
    }
    sentences.extend(finding::same_answer(results));
    sentences.extend(doubtful(results));
    sentences
}

/// The number of compared maps that miss their quality bar.
fn doubtful(results: &Results<'_>) -> Option<String> {
    let records = results.source.records.iter().flatten();
    let (mut off, mut all) = (0, 0);
    for attribution in records.filter_map(summary::shown) {
        all += 1;
        off += usize::from(!summary::is_right(attribution));
    }
    (off > 0).then(|| {
        format!("{off} of the {all} maps compared here did not reach their tolerance; the lists below say which.")
    })
}

/// The measures of every two models, the first before the second.
type Means = BTreeMap<(usize, usize), MeanMeasures>;

fn matrices(results: &Results<'_>, means: &Means) -> Vec<Figure> {
    let mean = |of: fn(&MeanMeasures) -> Option<f64>| move |a: usize, b: usize| of(means.get(&(a.min(b), a.max(b)))?);
    let spearman = figures::matrix(
        results,
        "spearman",
        "Rank correlation (Spearman)",
        mean(|means| means.leading.spearman),
        "correlation",
    );
    let kendall = figures::matrix(
        results,
        "kendall",
        "Rank correlation (Kendall)",
        mean(|means| means.leading.kendall),
        "correlation",
    );
    let overlap = figures::matrix(
        results,
        "overlap",
        "Strongest words in common",
        mean(|means| means.leading.overlap),
        "percent",
    );
    let answers = figures::matrix(
        results,
        "answers",
        "Same answer",
        mean(|means| means.same_answer.value()),
        "percent",
    );
    let noted = |figure: Figure, note: &str| Figure {
        note: note.to_owned(),
        ..figure
    };
    vec![
        noted(
            spearman,
            "+1: the same order of words; 0: unrelated; −1: reversed. Mean over the samples.",
        ),
        noted(
            kendall,
            "Pairs of words in the same order, less those in the other. Mean over the samples.",
        ),
        noted(
            overlap,
            &format!("Of the {TOP} words of greatest magnitude. Mean over the samples."),
        ),
        noted(answers, "Share of samples on which two models predict the same."),
    ]
}

fn measures<'a>(results: &'a Results<'_>, means: &Means) -> Vec<TwoModels<'a>> {
    let line = |(&(a, b), &measures): (&(usize, usize), &MeanMeasures)| TwoModels {
        first: &results.models[a],
        second: &results.models[b],
        href: format!("#pair-{}-{}", a + 1, b + 1),
        measures,
    };
    means.iter().map(line).collect()
}

fn lists<'a>(results: &'a Results<'_>, links: &Links) -> Vec<List<'a>> {
    let all = pairs::on_samples(results);
    let rows = |pairs: &mut dyn Iterator<Item = &OnSample>| -> Vec<Row<'a>> {
        pairs.take(LISTED).map(|pair| row(results, pair, links)).collect()
    };
    let ranked = all.ranked.iter();
    vec![
        List {
            id: "different",
            title: "Same answer, different reasons",
            caption: "Pairs of models that answer alike and rest most on different words, least agreement first",
            none: "No two models that answer alike rest most on different words.",
            left_out: all.alike_left_out,
            rows: rows(&mut ranked.clone().filter(|pair| pair.alike && !pair.same_word)),
        },
        List {
            id: "same",
            title: "Different answers, similar reasons",
            caption: "Pairs of models that answer differently and rest most on the same word, most agreement first",
            none: "No two models that answer differently rest most on the same word.",
            left_out: all.different_left_out,
            rows: rows(&mut ranked.clone().rev().filter(|pair| !pair.alike && pair.same_word)),
        },
        List {
            id: "most",
            title: "Where the maps disagree most",
            caption: "Pairs of models whatever they answer, least agreement first",
            none: "No two models have maps that can be compared.",
            left_out: all.alike_left_out + all.different_left_out,
            rows: rows(&mut ranked.clone()),
        },
    ]
}

fn row<'a>(results: &'a Results<'_>, pair: &OnSample, links: &Links) -> Row<'a> {
    let experiment = results.experiment;
    let sample = pair.sample;
    let of_model = |model: usize| {
        let record = results.record(model, sample);
        let reasons = results.reasons(model, sample, 3).into_iter();
        OfModel {
            model: &results.models[model],
            href: map_link(results, (model, sample), links),
            answer: excerpt(summary::answer_text(record), 20),
            words: reasons
                .map(|(word, score)| StrongWord {
                    word: results.word(sample, word),
                    score,
                })
                .collect(),
            quality: record.attributions.first().map(Quality::of),
        }
    };
    Row {
        sample: Link {
            title: results.sample_title(sample),
            href: links.to(&urls::sample(&experiment.id, results.slug(sample))),
        },
        subject: excerpt(&results.samples[sample].subject, 90),
        first: of_model(pair.models.0),
        second: of_model(pair.models.1),
        spearman: pair.spearman,
        shade: Scale { max: 1.0 }.shade(pair.spearman),
        plain: pair.plain,
        certain: pair.certain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture::Fixture;

    /// The first sample's maps of the first two models rest on these words of its claim alone: the first or the last.
    fn named(last: [bool; 2], alike: bool) -> [bool; 3] {
        let mut fixture = Fixture::demo();
        let answer = fixture.records[0][0][0].prediction.clone().expect("a prediction");
        for (model, &last) in last.iter().enumerate() {
            let record = &mut fixture.records[0][model][0];
            let claim = record
                .segments
                .iter()
                .find(|segment| segment.name == "claim")
                .expect("a claim");
            let (start, end) = (claim.start, claim.end);
            let inside = |token: &crate::terms::Token| {
                !token.special && start <= token.start && token.start < token.end && token.end <= end
            };
            let first_one = record.tokens.iter().position(inside).expect("a token");
            let last_one = record.tokens.iter().rposition(inside).expect("a token");
            let scores = &mut record.attributions[0].scores;
            // The form of the prompt is stronger than any word of the claim, and does not count.
            // What is left is in the reversed order, so that the two come first among those that disagree.
            let sign = if model == 0 { 1e-9 } else { -1e-9 };
            scores
                .iter_mut()
                .enumerate()
                .for_each(|(index, score)| *score = sign * index as f64);
            let options = record.tokens.len() - 1;
            scores[options] = 5.0;
            scores[if last { last_one } else { first_one }] = 1.0;
            record.prediction = Some(answer.clone());
            if !alike && model == 1 {
                let other = record
                    .options
                    .values()
                    .find(|option| option.token_id != answer.token_id);
                record.prediction.as_mut().expect("a prediction").token_id = other.expect("another option").token_id;
            }
        }
        let site = fixture.site(None);
        let results = Results::of(&fixture.project, &site.results[0]).expect("whole");
        assert_eq!(results.subject, ["claim"]);
        let lists = lists(&results, &Links::on(urls::comparison(&results.experiment.id)));
        [has(&lists[0]), has(&lists[1]), has(&lists[2])]
    }

    fn has(list: &List<'_>) -> bool {
        let both = |row: &Row<'_>| {
            [&row.first, &row.second]
                .iter()
                .all(|answer| (answer.words[0].score - 1.0).abs() < 0.005)
        };
        list.rows.iter().any(both)
    }

    #[test]
    fn reasons_are_the_words_that_tell_samples_apart() {
        assert_eq!(named([false, true], true), [true, false, true]);
        assert_eq!(named([true, true], true), [false, false, true]);
        assert_eq!(named([true, true], false), [false, true, true]);
        assert_eq!(named([false, true], false), [false, false, true]);
    }
}
