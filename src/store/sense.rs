//! Whether a kept part agrees with itself and with what was asked for.
//!
//! A checksum tells that a part is what was written. This tells that what was written can be an answer: as many scores
//! as tokens, probabilities between 0 and 1, a sum that fits the last delta. Nothing here knows how the numbers were
//! made.

use super::{StoredAttribution, StoredGeneration, StoredPrediction, StoredTest};
use crate::terms::{LEVELS, Output, Round, Rule};

/// What rounding may do to a probability, and to a sum in comparison with its terms.
const ROUNDING: f64 = 1e-5;

/// What makes no sense, as a sentence without a full stop.
pub type Nonsense = Result<(), String>;

fn must(holds: bool, otherwise: impl FnOnce() -> String) -> Nonsense {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn known(id: u32, vocabulary: usize) -> Nonsense {
    must((id as usize) < vocabulary, || {
        format!("token {id} of a model that knows {vocabulary}")
    })
}

fn is_probability(value: f64) -> bool {
    (0.0..=1.0 + ROUNDING).contains(&value)
}

/// Of a prediction.
///
/// # Errors
/// What makes no sense.
pub fn of_prediction(part: &StoredPrediction, vocabulary: usize) -> Nonsense {
    let key = &part.key;
    known(part.token_id, vocabulary)?;
    must(part.asked.len() == key.asked.len(), || {
        format!("{} probabilities for {} tokens", part.asked.len(), key.asked.len())
    })?;
    must(part.answers.len() == key.answers.len(), || {
        format!(
            "{} log-probabilities for {} answers",
            part.answers.len(),
            key.answers.len()
        )
    })?;
    let all = part.asked.iter().chain([&part.probability]);
    for &probability in all {
        must(is_probability(probability), || {
            format!("a probability of {probability}")
        })?;
    }
    must(part.asked.iter().sum::<f64>() <= 1.0 + ROUNDING, || {
        "probabilities of different tokens that sum to more than 1".to_owned()
    })?;
    for (&id, &probability) in key.asked.iter().zip(&part.asked) {
        let largest = part.probability;
        must(probability <= largest + ROUNDING, || {
            format!("token {id} is more probable ({probability}) than the most probable one ({largest})")
        })?;
        must(id != part.token_id || (probability - largest).abs() <= ROUNDING, || {
            format!("two probabilities of token {id}: {probability} and {largest}")
        })?;
    }
    for &answer in &part.answers {
        must(answer <= ROUNDING, || format!("a log-probability of {answer}"))?;
    }
    Ok(())
}

/// Of a model's own words.
///
/// # Errors
/// What makes no sense.
pub fn of_generation(part: &StoredGeneration, vocabulary: usize) -> Nonsense {
    let key = &part.key;
    for &id in &part.token_ids {
        known(id, vocabulary)?;
    }
    must(part.token_ids.len() <= key.max_new_tokens, || {
        format!(
            "{} tokens, {} were asked for at most",
            part.token_ids.len(),
            key.max_new_tokens
        )
    })?;
    match part.token_ids.iter().find(|id| key.stop.contains(id)) {
        Some(id) => Err(format!("it goes on behind token {id}, which ends it")),
        None => Ok(()),
    }
}

/// Of a map.
///
/// # Errors
/// What makes no sense.
pub fn of_attribution(part: &StoredAttribution) -> Nonsense {
    let key = &part.key;
    let tokens = key.token_ids.len();
    let expected = if part.non_finite.is_some() { 0 } else { tokens };
    must(part.scores.len() == expected, || {
        format!("{} scores for {tokens} tokens", part.scores.len())
    })?;
    if let Some(errors) = &part.errors {
        must(errors.len() == part.scores.len(), || {
            format!("{} errors for {} scores", errors.len(), part.scores.len())
        })?;
        must(errors.iter().all(|error| *error >= 0.0), || {
            "an error below 0".to_owned()
        })?;
    }
    let units = key.method.units().map(|_| key.units.len());
    let by_units = units.filter(|_| part.non_finite.is_none());
    must(part.unit_scores.as_ref().map(Vec::len) == by_units, || {
        format!(
            "scores of {:?} units, and {units:?} were asked for",
            part.unit_scores.as_ref().map(Vec::len)
        )
    })?;
    if let Some(errors) = &part.unit_errors {
        must(Some(errors.len()) == by_units, || {
            format!("errors of {} units, and {units:?} were asked for", errors.len())
        })?;
        must(errors.iter().all(|error| *error >= 0.0), || {
            "an error of a unit below 0".to_owned()
        })?;
    }
    must(key.units.iter().flatten().all(|&place| place < tokens), || {
        format!("a unit with a token behind the last of {tokens}")
    })?;
    must(key.given <= key.forced.len(), || {
        format!("{} given tokens of {}", key.given, key.forced.len())
    })?;
    let is_contrast = key.target.len() > 1;
    for value in [part.f_input, part.f_baseline, part.f_zero].into_iter().flatten() {
        let fits = match (key.output, is_contrast) {
            (Output::Probability, false) => is_probability(value),
            (Output::Probability, true) => is_probability(value.abs()),
            (Output::LogProbability, false) => value <= ROUNDING,
            _ => true,
        };
        must(fits, || format!("F is {value}, and its output is {:?}", key.output))?;
    }
    for below in &part.below {
        let known = LEVELS.contains(&below.alpha) && below.alpha > key.baseline.from();
        must(known && key.baseline.on_path_from_zero(), || {
            format!("what lies below α = {}, from {}", below.alpha, key.baseline)
        })?;
        must(below.share.is_none_or(|share| share >= 0.0), || {
            "a share below 0".to_owned()
        })?;
    }
    must(part.f_zero.is_none() || key.baseline.from() > 0.0, || {
        format!("F at the zero vector beside the baseline {}", key.baseline)
    })?;
    let adaptive = matches!(key.method.rule(), Some(Rule::Adaptive { .. }));
    must(part.converged.is_some() == adaptive, || {
        "whether it converged does not fit its rule".to_owned()
    })?;
    of_the_last_round(part)
}

/// Of a test.
///
/// # Errors
/// What makes no sense.
pub fn of_test(part: &StoredTest) -> Nonsense {
    let (units, test) = (part.key.units.len(), &part.result);
    must(test.count == units, || {
        format!("a test of {} units, and {units} were asked for", test.count)
    })?;
    let mut order = test.order.clone();
    order.sort_unstable();
    let expected = if test.failed.is_some() { 0 } else { units };
    must(order == (0..expected).collect::<Vec<_>>(), || {
        "an order that is not one of its units".to_owned()
    })?;
    must(test.flip.is_none_or(|flip| (1..=units).contains(&flip)), || {
        format!("an answer that changes without {:?} of {units} units", test.flip)
    })?;
    let Some(curves) = &test.curves else {
        return Ok(());
    };
    for curve in [&curves.morf, &curves.lerf, &curves.keep] {
        let whole = curve.len() == units + 1
            && curve
                .iter()
                .all(|(share, f)| (0.0..=1.0).contains(share) && f.is_finite());
        must(whole, || {
            "a curve that has not a point for each number of units".to_owned()
        })?;
    }
    Ok(())
}

/// The last round of a map's history is the map itself.
fn of_the_last_round(part: &StoredAttribution) -> Nonsense {
    let is_last = |round: &&Round| round.evaluations == part.evaluations && part.non_finite.is_none();
    let ends = part.f_input.zip(part.f_baseline);
    let Some((round, (input, baseline))) = part.history.last().filter(is_last).zip(ends) else {
        return Ok(());
    };
    let sum: f64 = part.scores.iter().sum();
    let delta = sum - (input - baseline);
    let size: f64 = part.scores.iter().map(|score| score.abs()).sum::<f64>() + input.abs() + baseline.abs();
    must((delta - round.convergence_delta).abs() <= ROUNDING * size, || {
        format!(
            "the scores sum to a delta of {delta}, and its history says {}",
            round.convergence_delta
        )
    })
}
