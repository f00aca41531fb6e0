//! What a reader should know first, in sentences made from the numbers, each with its count or interval.

use indexmap::IndexMap;

use crate::analysis::results::Results;
use crate::analysis::summary::{self, Mean, Share, State};
use crate::render::text::{correlation, excerpt, interval, list, percent, signed};
use crate::terms::Method;

/// An experiment's headline.
pub fn of_experiment(results: &Results<'_>) -> Vec<String> {
    [
        accuracy(results),
        same_answer(results),
        attribution(results),
        Some(quality(results)),
        results.standing(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn accuracy(results: &Results<'_>) -> Option<String> {
    let shares: Vec<Share> = results.summaries.iter().map(|s| s.accuracy).collect();
    let value = |share: &Share| share.value().unwrap_or(0.0);
    let best = *shares
        .iter()
        .filter(|s| s.of > 0)
        .max_by(|a, b| value(a).total_cmp(&value(b)))?;
    let worst = *shares
        .iter()
        .filter(|s| s.of > 0)
        .min_by(|a, b| value(a).total_cmp(&value(b)))?;
    let names = |of: Share| {
        let all = results.models.iter().zip(&shares);
        let all = all
            .filter(|(_, share)| share.of > 0 && value(share) == value(&of))
            .map(|(name, _)| name.clone());
        let all: Vec<String> = all.collect();
        list(&all) + if all.len() > 1 { ", each" } else { "," }
    };
    let told = |share: Share| {
        let interval = share
            .wilson()
            .map_or(String::new(), |range| format!(", 95% interval {}", interval(range)));
        format!(
            "{} of {} right ({}{interval})",
            share.count,
            share.of,
            percent(value(&share))
        )
    };
    let guessing = results.guessing().map_or(String::new(), |share| {
        format!(" Guessing would be right on {}.", percent(share))
    });
    Some(if results.models.len() == 1 {
        format!("{} answers {}.{guessing}", results.models[0], told(best))
    } else if best == worst {
        format!("Every model answers {}.{guessing}", told(best))
    } else {
        format!(
            "Most often right: {} {}; least often: {} {}.{guessing}",
            names(best),
            told(best),
            names(worst),
            told(worst)
        )
    })
}

pub(super) fn same_answer(results: &Results<'_>) -> Option<String> {
    let Share { count, of } = results.same_answer;
    let all = if results.models.len() == 2 {
        "Both".to_owned()
    } else {
        format!("All {}", results.models.len())
    };
    (of > 0).then(|| format!("{all} models give the same answer on {count} of {of} samples."))
}

fn attribution(results: &Results<'_>) -> Option<String> {
    let names = &results.subject;
    let share = |shares: &IndexMap<String, Mean>| {
        let known: Vec<f64> = names.iter().filter_map(|name| shares.get(name)?.value()).collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>())
    };
    let shares = results.segment_shares.iter().filter_map(share);
    let (low, high) = shares.fold((f64::INFINITY, 0.0f64), |(low, high), share| {
        (low.min(share), high.max(share))
    });
    let range = if percent(low) == percent(high) {
        percent(high)
    } else {
        format!("{} to {}", percent(low), percent(high))
    };
    let (what, hold) = match &names[..] {
        [one] => (format!("The segment “{one}”"), "holds"),
        all => (format!("The segments {} together", list(all)), "hold"),
    };
    low.is_finite().then(|| {
        format!("{what} {hold} {range} of the attribution, by model; the rest lies on the form of the prompt.")
    })
}

/// How reliable the maps are; a rule that gives no error is mentioned here too.
fn quality(results: &Results<'_>) -> String {
    let spec = &results.experiment.attribution;
    let tolerance = percent(spec.tolerance);
    let all = results
        .source
        .records
        .iter()
        .flatten()
        .flat_map(|record| &record.attributions)
        .filter(|a| a.absent.is_none());
    let marked = all.clone().filter(|a| a.non_finite.is_some()).count();
    if results.experiment.imported.is_some() {
        return imported(results);
    }
    // Of methods, path integrals alone have such a test.
    let without_test = all.clone().next().is_some() && all.clone().all(|a| a.converged.is_none());
    let by = if spec.methods.len() > 1 {
        format!(" by {}", Method::IntegratedGradients.name())
    } else {
        String::new()
    };
    let errors: Vec<f64> = all.filter_map(|a| a.error_estimate).collect();
    let median = summary::median(&errors).map(percent);
    let maps = if without_test {
        match &spec.methods[..] {
            [Method::Occlusion] => "Each score is what F loses, as computed; the scores need not add up.".to_owned(),
            [Method::Shapley] => "The scores of a map add up, and each has a standard error.".to_owned(),
            [_] => "The method of these maps has no test of its own: the error of their scores is unknown.".to_owned(),
            _ => "The methods of these maps have no test of the sum of their scores.".to_owned(),
        }
    } else if spec.quadrature.is_fixed() {
        let Share { count, of } = results.within_tolerance();
        let error = match median {
            None => "the error of single scores is unknown, since a fixed rule gives no estimate".to_owned(),
            Some(median) => format!(
                "the error, estimated with the same rule at half the points, is {median} of a map in the median, \
                 and {} of {of} are within tolerance by both",
                results.converged().count
            ),
        };
        format!(
            "The convergence delta of {count} of {of} maps{by} is within {tolerance} of F(input) − F(baseline); {error}."
        )
    } else {
        let Share { count, of } = results.converged();
        let median = median.map_or_else(String::new, |median| {
            format!("; the median error estimate is {median} of a map")
        });
        format!(
            "{count} of {of} maps{by} converged to {tolerance}, by error estimate and convergence delta{median}.{}",
            incomplete(results)
        )
    };
    let marked = match marked {
        0 => String::new(),
        1 => " One map is marked: a value was not finite, and it is not drawn.".to_owned(),
        marked => format!(" {marked} maps are marked: a value was not finite, and they are not drawn."),
    };
    format!("{maps}{marked}")
}

/// Maps that leave out what F jumps by; nothing of models without experts.
fn incomplete(results: &Results<'_>) -> String {
    let all = results.source.records.iter().flatten();
    let maps = all.flat_map(|record| &record.attributions);
    let residuals: Vec<f64> = maps
        .filter(|a| State::of(a) == State::Incomplete)
        .filter_map(summary::relative_routing_residual)
        .collect();
    let Some(median) = summary::median(&residuals).map(percent) else {
        return String::new();
    };
    let (count, are) = match residuals.len() {
        1 => ("One more".to_owned(), "is"),
        count => (format!("{count} more"), "are"),
    };
    format!(
        " {count} {are} incomplete: the choice of experts changes along the path, and F jumps there by what no scores hold, \
         {median} of F(input) − F(baseline) in the median."
    )
}

/// Who computed the maps that igsite did not.
fn imported(results: &Results<'_>) -> String {
    let made = results.imported_by().into_iter();
    let made: Vec<String> = made.map(|(by, method)| format!("{by} ({method})")).collect();
    format!(
        "These maps are imported: computed by {}. igsite did not compute them, and does not know how right they are.",
        list(&made)
    )
}

/// The word of what the sample is about on which each model's answer rests most.
fn strongest_words(results: &Results<'_>, sample: usize) -> Option<String> {
    let mut words: Vec<(String, Vec<String>)> = Vec::new();
    for model in 0..results.models.len() {
        let Some((word, score)) = results.reasons(model, sample, 1).first().copied() else {
            continue;
        };
        let (word, told) = (
            results.word(sample, word),
            format!("{} ({})", results.models[model], signed(score)),
        );
        match words.iter_mut().find(|(known, _)| *known == word) {
            Some((_, models)) => models.push(told),
            None => words.push((word, vec![told])),
        }
    }
    let told = words
        .iter()
        .map(|(word, models)| format!("“{word}” for {}", list(models)));
    let told: Vec<String> = told.collect();
    (!told.is_empty()).then(|| format!("Strongest word: {}.", told.join("; ")))
}

/// A sample's headline.
pub fn of_sample(results: &Results<'_>, sample: usize) -> Vec<String> {
    let mut sentences = Vec::new();
    if let Some(gold) = &results.experiment.samples[sample].gold {
        sentences.push(format!("The right answer is {}.", results.option_label(gold)));
    }
    let mut answers: Vec<(String, Vec<String>)> = Vec::new();
    for (model, record) in results.records_of(sample).enumerate() {
        let Some(answer) = summary::answer(record) else {
            continue;
        };
        let answer = results.option_label(&excerpt(answer, 20));
        let told = match summary::answer_probability(record) {
            Some(probability) => format!("{} ({})", results.models[model], percent(probability)),
            None => results.models[model].clone(),
        };
        match answers.iter_mut().find(|(known, _)| *known == answer) {
            Some((_, models)) => models.push(told),
            None => answers.push((answer, vec![told])),
        }
    }
    for (answer, models) in answers {
        let verb = if models.len() == 1 { "says" } else { "say" };
        sentences.push(format!("{} {verb} {answer}.", list(&models)));
    }
    sentences.extend(strongest_words(results, sample));
    let agreement = &results.samples[sample].agreements;
    let known = agreement
        .iter()
        .filter_map(|(a, b, agreement)| Some((*a, *b, agreement.leading().spearman?)));
    if agreement.len() > 1
        && let (Some(most), Some(least)) = (
            known.clone().max_by(|x, y| x.2.total_cmp(&y.2)),
            known.min_by(|x, y| x.2.total_cmp(&y.2)),
        )
    {
        let pair = |(a, b, spearman): (usize, usize, f64)| {
            format!(
                "{} and {} (Spearman {})",
                results.models[a],
                results.models[b],
                correlation(spearman)
            )
        };
        sentences.push(format!("Maps that agree most: {}; least: {}.", pair(most), pair(least)));
    }
    sentences
}
