//! What a reader should know first, in sentences made from the numbers, each with its count or interval.

use indexmap::IndexMap;

use crate::analysis::results::Results;
use crate::analysis::summary::{self, Mean, Share, State};
use crate::render::interlinear::Measure;
use crate::render::labels;
use crate::render::text::{excerpt, list, percent};
use crate::terms::Method;

/// An experiment's headline.
pub fn of_experiment(results: &Results<'_>) -> Vec<String> {
    [
        accuracy(results),
        same_answer(results),
        expected(results),
        attribution(results),
        Some(quality(results)),
        baselines(results),
        results.standing(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Whether an experiment's maps can be trusted: first whether they stand their tests and lie where they should, then
/// whether they hang on the baseline, and last how right their arithmetic is.
pub fn of_trust(results: &Results<'_>) -> Vec<String> {
    [
        results.standing(),
        expected(results),
        baselines(results),
        attribution(results),
        Some(quality(results)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// `Llama, Mistral and Falcon answer all 24 correctly; Orca 19. Guessing would get 4; the same answer to all, 9.`
pub(super) fn accuracy(results: &Results<'_>) -> Option<String> {
    let of = results
        .summaries
        .iter()
        .map(|model| model.accuracy.of)
        .max()
        .filter(|of| *of > 0)?;
    let models = results.short_models.iter().zip(&results.summaries);
    let mut groups: Vec<(Share, Vec<String>)> = Vec::new();
    for (model, summary) in models.filter(|(_, summary)| summary.accuracy.of > 0) {
        match groups.iter_mut().find(|(share, _)| *share == summary.accuracy) {
            Some((_, names)) => names.push(model.clone()),
            None => groups.push((summary.accuracy, vec![model.clone()])),
        }
    }
    groups.sort_by(|a, b| {
        let value = |share: &Share| share.value().unwrap_or(0.0);
        value(&b.0).total_cmp(&value(&a.0))
    });
    let count = |share: Share| match share.count {
        all if all == share.of && share.of == of => format!("all {of}"),
        count if share.of == of => count.to_string(),
        count => format!("{count} of {}", share.of),
    };
    let (first, names) = &groups[0];
    let verb = if names.len() == 1 { "answers" } else { "answer" };
    let of_first = if first.count == of {
        String::new()
    } else {
        format!(" of {of}")
    };
    let mut text = format!("{} {verb} {}{of_first} correctly", list(names), count(*first));
    for (share, names) in &groups[1..] {
        text += &format!("; {} {}", list(names), count(*share));
    }
    let guessing = results
        .guessing()
        .map(|share| (share * of as f64).round())
        .filter(|right| *right >= 1.0);
    let guessing = guessing.map_or_else(String::new, |right| {
        format!(
            " Guessing would get {right:.0}{}.",
            always_the_same(results, right, "; the same answer to all,")
        )
    });
    Some(format!("{text}.{guessing}"))
}

/// What one answer to all samples would get, where that is more than guessing gets.
pub(super) fn always_the_same(results: &Results<'_>, guessing: f64, says: &str) -> String {
    match results.always_the_same() {
        count if count as f64 > guessing => format!("{says} {count}"),
        _ => String::new(),
    }
}

/// How often the strongest word lies where the experiment knows the cause to be.
fn expected(results: &Results<'_>) -> Option<String> {
    let Share { count, of } = results.expected();
    let segments = list_of(&results.experiment.expected, "or");
    (of > 0).then(|| format!("{count} of {of} maps have their strongest word in {segments}, where it should be."))
}

/// `a, b or c`
pub(super) fn list_of(items: &[String], with: &str) -> String {
    match items {
        [most @ .., last] if !most.is_empty() => format!("{} {with} {last}", most.join(", ")),
        _ => list(items),
    }
}

/// How many maps keep their strongest word from another baseline.
pub(super) fn baselines(results: &Results<'_>) -> Option<String> {
    let all = results.other_baselines();
    let first = results.first_map().map(labels::baseline_of)?;
    let told: Vec<String> = all
        .iter()
        .map(|(baseline, same, _)| {
            format!(
                "from the {} {} of {} maps keep their strongest word",
                baseline.name(),
                same.count,
                same.of
            )
        })
        .collect();
    (!told.is_empty()).then(|| format!("Seen from another baseline than the {first}: {}.", told.join("; ")))
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
    let whole = |share: f64| format!("{:.0}", share * 100.0);
    let range = if whole(low) == whole(high) {
        format!("{}%", whole(low))
    } else {
        format!("{}–{}%, by model", whole(low), whole(high))
    };
    let (amount, range) = match (low, high) {
        (_, high) if high < 0.5 => ("Less than half".to_owned(), format!(" ({range})")),
        (low, _) if low > 0.5 => ("More than half".to_owned(), format!(" ({range})")),
        _ => ("About half".to_owned(), format!(" ({range})")),
    };
    let what = match &names[..] {
        [one] => format!("the {one}"),
        all => list(all),
    };
    low.is_finite().then(|| {
        format!("{amount} of the attribution{range} is on {what}; the rest is on the text around it, which is much the same in all prompts.")
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
    } else if results.exact_by_delta() {
        let Share { count, of } = results.exact();
        format!(
            "The scores of {count} of {of} maps{by} sum to F(input) − F(baseline) within {tolerance}; \
             the error of single scores is unknown, since a fixed rule gives no estimate."
        )
    } else {
        let Share { count, of } = results.exact();
        let typically = median.map_or_else(String::new, |median| format!(" (typically {median})"));
        let all = if count == of {
            format!("All {of} maps{by} are")
        } else {
            format!("{count} of {of} maps{by} are")
        };
        format!(
            "{all} numerically exact, to within {tolerance}{typically}.{}",
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

/// ` by Integrated Gradients`, where an experiment's maps are by several methods: a sentence is about those of the first.
fn by_method(results: &Results<'_>) -> String {
    let first = results.first_map().filter(|_| results.several_methods());
    first.map_or_else(String::new, |map| format!(" by {}", map.method_name()))
}

/// The word of what the sample is about on which each model's answer rests most.
fn strongest_words(results: &Results<'_>, sample: usize) -> Option<String> {
    let mut words: Vec<(String, Vec<String>)> = Vec::new();
    for model in 0..results.models.len() {
        let Some((word, _)) = results.reasons(model, sample, 1).first().copied() else {
            continue;
        };
        let (word, model) = (results.word(sample, word), results.short_models[model].clone());
        match words
            .iter_mut()
            .find(|(known, _)| known.to_lowercase() == word.to_lowercase())
        {
            Some((_, models)) => models.push(model),
            None => words.push((word, vec![model])),
        }
    }
    words.sort_by_key(|(_, models)| std::cmp::Reverse(models.len()));
    let all: usize = words.iter().map(|(_, models)| models.len()).sum();
    let by = by_method(results);
    Some(match &words[..] {
        [] => return None,
        [(word, models)] if all == 1 => format!("Of these words, {} rests most on “{word}”{by}.", models[0]),
        [(word, _)] if all == 2 => format!("Of these words, both rest most on “{word}”{by}."),
        [(word, _)] => format!("Of these words, all {all} rest most on “{word}”{by}."),
        [(word, models), others @ ..] => {
            let verb = if models.len() == 1 { "rests" } else { "rest" };
            let others = others
                .iter()
                .map(|(word, models)| format!("; {} on “{word}”", list(models)));
            format!(
                "Of these words{by}, {} {verb} most on “{word}”{}.",
                list(models),
                others.collect::<String>()
            )
        }
    })
}

/// The word on which the models part most where all explain the same: the one whose scores lie furthest apart, of those
/// that pull both ways.
fn parting_word(results: &Results<'_>, sample: usize) -> Option<String> {
    let analysed = &results.samples[sample];
    let maps: Vec<_> = analysed
        .compared
        .iter()
        .enumerate()
        .filter_map(|(model, map)| Some((model, map.as_ref()?)))
        .collect();
    let (_, first) = maps.first()?;
    if maps.len() < 2 || maps.iter().any(|(_, map)| map.target.trim() != first.target.trim()) {
        return None;
    }
    let greatest = maps
        .iter()
        .flat_map(|(_, map)| &map.scores)
        .fold(0.0, |most: f64, score| most.max(score.abs()));
    let is_imported = results.experiment.imported.is_some();
    let output = (!is_imported).then_some(results.experiment.attribution.output);
    let measure = Measure::of(greatest, output, &labels::unit_of(results));
    let mut best: Option<(f64, usize)> = None;
    for word in 0..first.scores.len() {
        // What is too small to be seen, or within its error, is no disagreement.
        let seen = maps.iter().filter(|(_, map)| {
            measure
                .cell(map.scores[word], map.errors.as_ref().map(|errors| errors[word]))
                .is_some()
        });
        let (low, high) = seen.fold((0.0, 0.0), |(low, high): (f64, f64), (_, map)| {
            (low.min(map.scores[word]), high.max(map.scores[word]))
        });
        if low < 0.0 && high > 0.0 && best.is_none_or(|(most, _)| high - low > most) {
            best = Some((high - low, word));
        }
    }
    let (_, place) = best?;
    let told = maps.iter().map(|(model, map)| {
        let error = map.errors.as_ref().map(|errors| errors[place]);
        format!(
            "{} ({})",
            measure.number(map.scores[place], error),
            results.short_models[*model]
        )
    });
    let target = excerpt(first.target.trim(), 30);
    let what = if results.compares_right_answers {
        format!("For the right answer {target}")
    } else {
        format!("For “{target}”")
    };
    Some(format!(
        "{what}, “{}” pulls both ways{}: it counts {} {}.",
        results.word(sample, analysed.subject_words[place]),
        by_method(results),
        told.collect::<Vec<_>>().join(", "),
        measure.unit
    ))
}

/// A sample's headline.
pub fn of_sample(results: &Results<'_>, sample: usize) -> Vec<String> {
    let mut answers: Vec<(String, Option<bool>, Vec<String>)> = Vec::new();
    for (model, record) in results.records_of(sample).enumerate() {
        let Some(answer) = summary::answer(record) else {
            continue;
        };
        let answer = results.option_label(&excerpt(answer, 20));
        let title = results.models[model].clone();
        match answers.iter_mut().find(|(known, ..)| *known == answer) {
            Some((.., models)) => models.push(title),
            None => answers.push((answer, record.correct, vec![title])),
        }
    }
    let told: Vec<String> = answers
        .iter()
        .map(|(answer, correct, models)| {
            let verb = if models.len() == 1 { "answers" } else { "answer" };
            let right = if *correct == Some(true) { ", the right one" } else { "" };
            format!("{} {verb} {answer}{right}", list(models))
        })
        .collect();
    let answers = (!told.is_empty()).then(|| format!("{}.", told.join("; ")));
    [answers, strongest_words(results, sample), parting_word(results, sample)]
        .into_iter()
        .flatten()
        .collect()
}
