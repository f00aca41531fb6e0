//! Two models against each other over a whole experiment: how far their maps agree, where their scores differ most, and
//! on which samples a reader should look.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::analysis::agreement::{Agreement, Measures};
use crate::analysis::compared::{Compared, pearson};
use crate::analysis::results::Results;
use crate::analysis::summary::{self, Mean, Share};

/// Of so few pairs of words with a certain order nothing is listed: their agreement would be a matter of two or three
/// words.
const LEAST_CERTAIN: f64 = 0.1;
/// How many words [`differing`] lists.
pub const LISTED_WORDS: usize = 8;

/// Every two models, by their places, the first before the second.
pub fn every_two(models: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..models).flat_map(move |a| (a + 1..models).map(move |b| (a, b)))
}

/// The mean of a measure of two models over the samples.
pub fn mean_of(results: &Results<'_>, (a, b): (usize, usize), of: impl Fn(&Agreement) -> Option<f64>) -> Mean {
    let mut mean = Mean::default();
    for sample in &results.samples {
        for (first, second, agreement) in &sample.agreements {
            if (*first, *second) == (a.min(b), a.max(b)) {
                mean.add(of(agreement));
            }
        }
    }
    mean
}

/// Whether the errors of the maps are known, so that measures are weighted by them.
pub fn is_weighted(results: &Results<'_>) -> bool {
    let mut agreements = results.samples.iter().flat_map(|sample| &sample.agreements);
    agreements.any(|(.., agreement)| agreement.certain.is_some())
}

/// On how many samples two models answer alike.
pub fn same_answers(results: &Results<'_>, a: usize, b: usize) -> Share {
    let mut share = Share::default();
    for sample in 0..results.samples.len() {
        answer_alike(results, (a, b), sample)
            .into_iter()
            .for_each(|alike| share.add(alike));
    }
    share
}

/// None where an imported record does not tell an answer.
pub fn answer_alike(results: &Results<'_>, (a, b): (usize, usize), sample: usize) -> Option<bool> {
    let records = [results.record(a, sample), results.record(b, sample)];
    let told = records.iter().all(|record| summary::answer(record).is_some());
    told.then(|| summary::gives_same_answer(records))
}

/// Two models in numbers, means over the samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MeanMeasures {
    /// What pages lead with: weighted by error, where errors are known.
    pub leading: Measures,
    /// Without weights.
    pub plain: Measures,
    /// Share of the pairs of words whose order is certain in both maps; none where errors are unknown.
    pub certain: Option<f64>,
    /// Samples on which they answer alike.
    pub same_answer: Share,
    /// Samples on which their maps of the same target rest most on the same word.
    pub same_word: Share,
    /// Pearson's correlation of the scores of those maps.
    pub scores: Option<f64>,
}

/// The measures of two models.
pub fn measures(results: &Results<'_>, (a, b): (usize, usize)) -> MeanMeasures {
    let mean = |of: &dyn Fn(&Agreement) -> Option<f64>| mean_of(results, (a, b), of).value();
    let means = |of: fn(&Agreement) -> Measures| Measures {
        spearman: mean(&|agreement| of(agreement).spearman),
        kendall: mean(&|agreement| of(agreement).kendall),
        overlap: mean(&|agreement| of(agreement).overlap),
    };
    MeanMeasures {
        leading: means(Agreement::leading),
        plain: means(Agreement::plain),
        certain: mean(&|agreement| agreement.pairs()?.value()),
        same_answer: same_answers(results, a, b),
        same_word: same_words(results, (a, b)),
        scores: correlation_of_scores(results, (a, b)),
    }
}

/// On how many samples two models' maps of the same target rest most on the same word.
pub fn same_words(results: &Results<'_>, (a, b): (usize, usize)) -> Share {
    let mut share = Share::default();
    let known = results.samples.iter().filter_map(|sample| sample.same_word(a, b));
    known.for_each(|same| share.add(same));
    share
}

/// Two models' compared maps of each sample on which both explain the same.
fn both<'r>(
    results: &'r Results<'_>,
    (a, b): (usize, usize),
) -> impl Iterator<Item = (usize, &'r Compared, &'r Compared)> {
    let samples = results.samples.iter().enumerate();
    samples.filter_map(move |(sample, analysed)| {
        let (x, y) = (analysed.compared[a].as_ref()?, analysed.compared[b].as_ref()?);
        (x.target.trim() == y.target.trim()).then_some((sample, x, y))
    })
}

fn correlation_of_scores(results: &Results<'_>, pair: (usize, usize)) -> Option<f64> {
    let mut mean = Mean::default();
    both(results, pair).for_each(|(_, x, y)| mean.add(pearson(&x.scores, &y.scores)));
    mean.value()
}

/// Two models on a sample: their agreement over the words of what it is about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OnSample {
    /// Which sample.
    pub sample: usize,
    /// Which models.
    pub models: (usize, usize),
    /// The leading rank correlation.
    pub spearman: f64,
    /// The same without weights.
    pub plain: Option<f64>,
    /// Share of the pairs of words whose order is certain in both maps.
    pub certain: Option<f64>,
    /// Whether they answer alike.
    pub alike: bool,
    /// Whether they rest most on the same word.
    pub same_word: bool,
}

/// Every two models on every sample, least agreement first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OnSamples {
    /// Those whose agreement says something.
    pub ranked: Vec<OnSample>,
    /// How many others there are that answer alike: ranks say nothing, or the order of next to no words is certain.
    pub alike_left_out: usize,
    /// And that answer differently.
    pub different_left_out: usize,
}

/// Ranks every two models on every sample.
pub fn on_samples(results: &Results<'_>) -> OnSamples {
    let mut all = OnSamples::default();
    for (sample, analysed) in results.samples.iter().enumerate() {
        for &(a, b, agreement) in &analysed.agreements {
            // Where no answer is told there is no same answer, nor another one.
            let Some(alike) = answer_alike(results, (a, b), sample) else {
                continue;
            };
            let certain = agreement.pairs().and_then(Share::value);
            let says_something = certain.is_none_or(|share| share >= LEAST_CERTAIN);
            match agreement.leading().spearman.filter(|_| says_something) {
                Some(spearman) => all.ranked.push(OnSample {
                    sample,
                    models: (a, b),
                    spearman,
                    plain: agreement.spearman,
                    certain,
                    alike,
                    same_word: analysed.same_word(a, b) == Some(true),
                }),
                None if alike => all.alike_left_out += 1,
                None => all.different_left_out += 1,
            }
        }
    }
    all.ranked.sort_by(|x, y| {
        let places = (x.sample, x.models).cmp(&(y.sample, y.models));
        x.spearman.total_cmp(&y.spearman).then(places)
    });
    all
}

/// A word of a sample with its scores by two models.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Which sample.
    pub sample: usize,
    /// Which of its words.
    pub word: usize,
    /// By the first model and by the second.
    pub scores: (f64, f64),
}

/// Every word of what the samples are about, where both models have a map of the same target, the strongest first, and
/// how many samples these are.
pub fn points(results: &Results<'_>, pair: (usize, usize)) -> (Vec<Point>, usize) {
    let mut points = Vec::new();
    let mut samples = 0;
    for (sample, x, y) in both(results, pair) {
        samples += 1;
        let scores = x.scores.iter().copied().zip(y.scores.iter().copied());
        let words = results.samples[sample].subject_words.iter().zip(scores);
        points.extend(words.map(|(&word, scores)| Point { sample, word, scores }));
    }
    let size = |point: &Point| point.scores.0.abs().max(point.scores.1.abs());
    points.sort_by(|x, y| {
        let places = (x.sample, x.word).cmp(&(y.sample, y.word));
        size(y).total_cmp(&size(x)).then(places)
    });
    (points, samples)
}

/// A word over all samples, whose scores by two models differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DifferingWord {
    /// The word in lower case.
    pub word: String,
    /// How often it comes.
    pub count: usize,
    /// Its mean score by the first model.
    pub first: f64,
    /// And by the second.
    pub second: f64,
    /// The first less the second.
    pub difference: f64,
    /// The mean of the errors of both, at most; none where one is unknown.
    pub error: Option<f64>,
    /// Whether the difference is within it.
    pub noise: bool,
}

#[derive(Default)]
struct Means {
    first: Mean,
    second: Mean,
    error: Mean,
}

/// The words of what the samples are about whose scores differ most, by the sum of the differences, so that a word that
/// comes once needs a large one.
pub fn differing(results: &Results<'_>, pair: (usize, usize)) -> Vec<DifferingWord> {
    let mut words: BTreeMap<String, Means> = BTreeMap::new();
    for (sample, x, y) in both(results, pair) {
        let errors = x.errors.as_ref().zip(y.errors.as_ref());
        for (index, &word) in results.samples[sample].subject_words.iter().enumerate() {
            let means = words.entry(results.word(sample, word).to_lowercase()).or_default();
            means.first.add(Some(x.scores[index]));
            means.second.add(Some(y.scores[index]));
            means.error.add(errors.map(|(x, y)| x[index] + y[index]));
        }
    }
    let word = |(word, means): (String, Means)| {
        let (first, second) = (means.first.value()?, means.second.value()?);
        // Known only if it is for every time the word comes.
        let error = means.error.value().filter(|_| means.error.of == means.first.of);
        let difference = first - second;
        Some(DifferingWord {
            word,
            count: means.first.of,
            first,
            second,
            difference,
            error,
            noise: error.is_some_and(|error| difference.abs() <= error),
        })
    };
    let mut ranked: Vec<DifferingWord> = words.into_iter().filter_map(word).collect();
    ranked.retain(|word| word.difference != 0.0);
    let weight = |word: &DifferingWord| word.difference.abs() * word.count as f64;
    ranked.sort_by(|x, y| weight(y).total_cmp(&weight(x)).then(x.word.cmp(&y.word)));
    ranked.truncate(LISTED_WORDS);
    ranked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture::Fixture;

    #[test]
    fn a_difference_within_its_errors_is_marked() {
        let mut fixture = Fixture::demo().adaptive();
        for record in fixture.records.iter_mut().flatten().flatten() {
            for attribution in &mut record.attributions {
                attribution.errors = Some(attribution.scores.iter().map(|_| 9.0).collect());
            }
        }
        let site = fixture.site(None);
        let results = Results::of(&fixture.project, &site.results[0]).expect("whole");
        let words: Vec<DifferingWord> = every_two(4).flat_map(|pair| differing(&results, pair)).collect();
        assert!(!words.is_empty() && words.iter().all(|word| word.noise && word.error.is_some()));
        let mut agreements = results.samples.iter().flat_map(|sample| &sample.agreements);
        assert!(agreements.all(|(.., agreement)| agreement.leading().spearman.is_none()));
        // Nothing about any pair is certain: none is ranked.
        let ranked = on_samples(&results);
        assert_eq!(ranked.ranked, []);
        assert_eq!(
            ranked.alike_left_out + ranked.different_left_out,
            6 * results.samples.len()
        );
    }

    #[test]
    fn every_two_models_have_means_over_the_samples() {
        let fixture = Fixture::demo().adaptive();
        let site = fixture.site(None);
        let results = Results::of(&fixture.project, &site.results[0]).expect("whole");
        assert!(is_weighted(&results));
        assert_eq!(every_two(4).count(), 6);
        for pair in every_two(4) {
            let measures = measures(&results, pair);
            assert_eq!(measures.same_answer.of, results.samples.len());
            let plain = results.samples.iter().map(|sample| {
                let found = sample.agreements.iter().find(|(a, b, _)| (*a, *b) == pair);
                found.expect("maps").2.spearman.expect("words")
            });
            let mean = plain.sum::<f64>() / results.samples.len() as f64;
            assert!((measures.plain.spearman.expect("a mean") - mean).abs() < 1e-12);
            let (points, samples) = points(&results, pair);
            assert_eq!(samples, results.samples.len());
            let size = |point: &Point| point.scores.0.abs().max(point.scores.1.abs());
            assert!(points.windows(2).all(|two| size(&two[0]) >= size(&two[1])));
        }
    }
}
