//! The models of an experiment against each other: whether they answer alike, and whether for the same reasons.

use serde::Serialize;

use super::differences::{self, PairView};
use super::experiment::map_note;
use super::{Frame, Link, Renderer, figures, or_dash};
use crate::analysis::agreement::{Agreement, Measures, TOP};
use crate::analysis::summary::{self, Share};
use crate::diagnostic::Result;
use crate::render::heatmap::Scale;
use crate::render::plot::Figure;
use crate::render::results::Results;
use crate::render::text::{self, excerpt, percent};
use crate::render::{Sink, labels};
use crate::site::urls::{self, Links};

/// How many pairs each list shows.
const LISTED: usize = 15;

/// Of so few pairs of words with a certain order nothing is listed: their agreement would be a matter of two or three words.
const LEAST_CERTAIN: f64 = 0.1;

#[derive(Serialize)]
struct ComparisonView {
    page: Frame,
    heading: String,
    experiment: Link,
    finding: Vec<String>,
    map_note: String,
    /// Whether the measures are weighted by the errors of the maps.
    weighted: bool,
    matrices: Vec<Figure>,
    top: usize,
    measures: Vec<MeasuresRow>,
    /// Which words the lists compare.
    compared: String,
    lists: Vec<List>,
    pairs: Vec<PairView>,
}

/// Two models in numbers, each weighted and plain.
#[derive(Serialize)]
struct MeasuresRow {
    first: String,
    second: String,
    href: String,
    spearman: (String, String),
    kendall: (String, String),
    overlap: (String, String),
    certain: String,
    answers: String,
}

/// Pairs of models on a sample that a reader should see.
#[derive(Serialize)]
struct List {
    id: &'static str,
    title: &'static str,
    caption: &'static str,
    /// What to say where there is no row.
    none: &'static str,
    /// How many pairs were left out since next to nothing about them is certain.
    left_out: usize,
    rows: Vec<PairRow>,
}

#[derive(Serialize)]
struct PairRow {
    sample: Link,
    subject: String,
    first: Answer,
    second: Answer,
    spearman: String,
    spearman_class: String,
    plain: String,
    certain: String,
}

#[derive(Serialize)]
struct Answer {
    model: String,
    href: String,
    answer: String,
    /// The strongest words of what the sample is about, with their scores.
    words: Vec<(String, String)>,
    mark: Option<&'static str>,
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
        let finding = finding(results);
        let view = ComparisonView {
            page: self.frame(&links, &path, &title, &finding.join(" "), crumbs),
            heading: "Comparison of models".to_owned(),
            experiment: Link {
                title: experiment.title.clone(),
                href: links.to(&urls::experiment(&experiment.id)),
            },
            finding,
            map_note: map_note(results),
            weighted: figures::is_weighted(results),
            matrices: matrices(results),
            top: TOP,
            measures: measures(results),
            compared: compared(results),
            lists: lists(results, &links),
            pairs: differences::pairs(results),
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

fn same_answers(results: &Results<'_>, a: usize, b: usize) -> Share {
    let mut share = Share::default();
    for sample in 0..results.samples.len() {
        share.add(summary::gives_same_answer([
            results.record(a, sample),
            results.record(b, sample),
        ]));
    }
    share
}

fn finding(results: &Results<'_>) -> Vec<String> {
    let mut pairs = Vec::new();
    for b in 0..results.models.len() {
        for a in 0..b {
            if let Some(mean) = figures::mean_of(results, (a, b), |agreement| agreement.leading().spearman).value() {
                pairs.push((mean, format!("{} and {}", results.models[a], results.models[b])));
            }
        }
    }
    pairs.sort_by(|x, y| y.0.total_cmp(&x.0));
    let mut sentences = Vec::new();
    let weighted = if figures::is_weighted(results) {
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
    sentences.extend(super::finding::same_answer(results));
    sentences.extend(doubtful(results));
    sentences
}

/// How many of the maps that are compared are not as right as was asked for.
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

fn matrices(results: &Results<'_>) -> Vec<Figure> {
    let mean =
        |of: fn(&Measures) -> Option<f64>| move |a: usize, b: usize| figures::measures(results, (a, b), of).0.value();
    let noted = |mut figure: Figure, note: &str| {
        figure.note = note.to_owned();
        figure
    };
    vec![
        noted(
            figures::matrix(
                results,
                "spearman",
                "Rank correlation (Spearman)",
                mean(|m| m.spearman),
                text::correlation,
            ),
            "+1: the same order of words; 0: unrelated; −1: reversed. Mean over the samples.",
        ),
        noted(
            figures::matrix(
                results,
                "kendall",
                "Rank correlation (Kendall)",
                mean(|m| m.kendall),
                text::correlation,
            ),
            "Pairs of words in the same order, less those in the other. Mean over the samples.",
        ),
        noted(
            figures::matrix(
                results,
                "overlap",
                "Strongest words in common",
                mean(|m| m.overlap),
                percent,
            ),
            &format!("Of the {TOP} words of greatest magnitude. Mean over the samples."),
        ),
        noted(
            figures::matrix(
                results,
                "answers",
                "Same answer",
                |a, b| same_answers(results, a, b).value(),
                percent,
            ),
            "Share of samples on which two models predict the same.",
        ),
    ]
}

fn measures(results: &Results<'_>) -> Vec<MeasuresRow> {
    let count = results.models.len();
    let row = |a: usize, b: usize| {
        let both = |of: fn(&Measures) -> Option<f64>, text: fn(f64) -> String| {
            let (leading, plain) = figures::measures(results, (a, b), of);
            (or_dash(leading.value().map(text)), or_dash(plain.value().map(text)))
        };
        let certain = figures::mean_of(results, (a, b), |agreement| agreement.pairs()?.value());
        let answers = same_answers(results, a, b);
        MeasuresRow {
            first: results.models[a].clone(),
            second: results.models[b].clone(),
            href: format!("#pair-{}-{}", a + 1, b + 1),
            spearman: both(|m| m.spearman, text::correlation),
            kendall: both(|m| m.kendall, text::correlation),
            overlap: both(|m| m.overlap, percent),
            certain: or_dash(certain.value().map(percent)),
            answers: format!("{} of {}", answers.count, answers.of),
        }
    };
    (0..count)
        .flat_map(|a| (a + 1..count).map(move |b| (a, b)))
        .map(|(a, b)| row(a, b))
        .collect()
}

/// Two models on a sample: their agreement over the words of what it is about, whether they answer alike, whether they rest on one word.
struct Pair {
    spearman: f64,
    sample: usize,
    models: (usize, usize),
    alike: bool,
    same_word: bool,
    agreement: Agreement,
}

fn compared(results: &Results<'_>) -> String {
    let words = match &results.subject[..] {
        [] => "all words".to_owned(),
        [one] => format!("the words of the segment “{one}”, which tells the samples apart"),
        all => format!(
            "the words of the segments {}, which tell the samples apart",
            super::list(all)
        ),
    };
    format!("The lists that follow compare {words}. Each row names the strongest of them.")
}

fn lists(results: &Results<'_>, links: &Links) -> Vec<List> {
    let mut all: Vec<Pair> = Vec::new();
    let mut left_out = [0, 0];
    for (sample, analysed) in results.samples.iter().enumerate() {
        let strongest: Vec<Option<usize>> = (0..results.models.len())
            .map(|model| results.reasons(model, sample, 1).first().map(|(word, _)| *word))
            .collect();
        for (a, b, _) in &analysed.agreements {
            let Some(agreement) = results.agreement_of_reasons((*a, *b), sample) else {
                continue;
            };
            let alike = summary::gives_same_answer([results.record(*a, sample), results.record(*b, sample)]);
            let certain = agreement
                .pairs()
                .and_then(Share::value)
                .is_none_or(|share| share >= LEAST_CERTAIN);
            match agreement.leading().spearman.filter(|_| certain) {
                Some(spearman) => all.push(Pair {
                    spearman,
                    sample,
                    models: (*a, *b),
                    alike,
                    same_word: strongest[*a] == strongest[*b],
                    agreement,
                }),
                None => left_out[usize::from(alike)] += 1,
            }
        }
    }
    all.sort_by(|x, y| {
        x.spearman
            .total_cmp(&y.spearman)
            .then((x.sample, x.models).cmp(&(y.sample, y.models)))
    });
    let rows = |pairs: Vec<&Pair>| {
        pairs
            .into_iter()
            .take(LISTED)
            .map(|pair| row(results, pair, links))
            .collect()
    };
    vec![
        List {
            id: "different",
            title: "Same answer, different reasons",
            caption: "Pairs of models that answer alike and rest most on different words, least agreement first",
            none: "No two models that answer alike rest most on different words.",
            left_out: left_out[1],
            rows: rows(all.iter().filter(|pair| pair.alike && !pair.same_word).collect()),
        },
        List {
            id: "same",
            title: "Different answers, similar reasons",
            caption: "Pairs of models that answer differently and rest most on the same word, most agreement first",
            none: "No two models that answer differently rest most on the same word.",
            left_out: left_out[0],
            rows: rows(all.iter().rev().filter(|pair| !pair.alike && pair.same_word).collect()),
        },
        List {
            id: "most",
            title: "Where the maps disagree most",
            caption: "Pairs of models whatever they answer, least agreement first",
            none: "No two models have maps that can be compared.",
            left_out: left_out[0] + left_out[1],
            rows: rows(all.iter().collect()),
        },
    ]
}

fn row(results: &Results<'_>, pair: &Pair, links: &Links) -> PairRow {
    let id = &results.experiment.id;
    let sample = pair.sample;
    let answer = |model: usize| Answer {
        model: results.models[model].clone(),
        href: links.to(&urls::map(id, &results.experiment.models[model], results.slug(sample))),
        answer: excerpt(summary::answer(results.record(model, sample)), 20),
        words: results
            .reasons(model, sample, 3)
            .into_iter()
            .map(|(word, score)| (results.word(sample, word), text::signed(score)))
            .collect(),
        mark: results
            .record(model, sample)
            .attributions
            .first()
            .and_then(labels::mark),
    };
    PairRow {
        sample: Link {
            title: results.sample_title(sample),
            href: links.to(&urls::sample(id, results.slug(sample))),
        },
        subject: excerpt(&results.samples[sample].subject, 90),
        first: answer(pair.models.0),
        second: answer(pair.models.1),
        spearman: text::correlation(pair.spearman),
        spearman_class: Scale { max: 1.0 }.class(pair.spearman),
        plain: or_dash(pair.agreement.spearman.map(text::correlation)),
        certain: or_dash(pair.agreement.pairs().and_then(Share::value).map(percent)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture::Fixture;

    /// The first sample's maps of the first two models rest on these words of its claim alone: the first or the last.
    fn lists_of(last: [bool; 2], alike: bool) -> Vec<List> {
        let mut fixture = Fixture::demo();
        let answer = fixture.records[0][0][0].prediction.clone();
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
            record.prediction = answer.clone();
            if !alike && model == 1 {
                let other = record
                    .options
                    .values()
                    .find(|option| option.token_id != answer.token_id);
                record.prediction.token_id = other.expect("another option").token_id;
            }
        }
        let site = fixture.site(None);
        let results = Results::of(&fixture.project, &site.results[0]).expect("whole");
        assert_eq!(results.subject, ["claim"]);
        lists(&results, &Links::on(urls::comparison(&results.experiment.id)))
    }

    fn has(list: &List) -> bool {
        let both = |row: &PairRow| {
            [&row.first, &row.second]
                .iter()
                .all(|answer| answer.words[0].1.starts_with("+1.00"))
        };
        list.rows.iter().any(both)
    }

    #[test]
    fn reasons_are_the_words_that_tell_samples_apart() {
        let named = |lists: &[List]| [has(&lists[0]), has(&lists[1]), has(&lists[2])];
        assert_eq!(named(&lists_of([false, true], true)), [true, false, true]);
        assert_eq!(named(&lists_of([true, true], true)), [false, false, true]);
        assert_eq!(named(&lists_of([true, true], false)), [false, true, true]);
        assert_eq!(named(&lists_of([false, true], false)), [false, false, true]);
    }
}
