//! What speaks for a map, and what against it, besides its integral: where its strongest word lies, how maps like it do
//! when they are put to the test, and what another baseline says.

use serde::Serialize;

use super::finding::list_of;
use super::sample::tests_of;
use crate::analysis::bootstrap::Standing;
use crate::analysis::results::Results;
use crate::analysis::summary;
use crate::render::labels;
use crate::render::text::list;
use crate::site::urls::Links;
use crate::store::record::AttributionRecord;

/// One reason to believe a map or not to.
#[derive(Debug, PartialEq, Serialize)]
pub struct Reason {
    /// What it is about, in two or three words.
    name: &'static str,
    /// `good` speaks for the map, `bad` against it, `open` for neither: the class of its badge.
    verdict: &'static str,
    /// A sentence.
    text: String,
    /// Where its evidence is.
    href: Option<String>,
}

/// A map of a page, with every kind of target that it is of.
pub type Shown<'a> = (Vec<&'a str>, &'a AttributionRecord);

/// Of the map at a place among those of a page.
pub fn reasons(
    results: &Results<'_>,
    (model, sample): (usize, usize),
    maps: &[Shown<'_>],
    place: usize,
    links: &Links,
) -> Vec<Reason> {
    let (_, map) = &maps[place];
    let of = |map: &AttributionRecord| strongest(results, (model, sample), map);
    let Some(strongest) = of(map) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    found.extend(expected(results, sample, strongest));
    found.extend(tested(results, (model, sample), map, links));
    let others: Vec<(String, Option<usize>)> = maps
        .iter()
        .filter(|(_, other)| {
            (other.method, &other.target.token_ids) == (map.method, &map.target.token_ids)
                && other.baseline != map.baseline
        })
        .filter_map(|(_, other)| {
            let word = of(other)?;
            Some((labels::baseline_of(other), (word != strongest).then_some(word)))
        })
        .collect();
    if !others.is_empty() {
        let text = others.iter().map(|(baseline, other)| match other {
            None => format!("From the {baseline} the same word is strongest."),
            Some(word) => format!(
                "From the {baseline} the strongest word is “{}”.",
                results.word(sample, *word)
            ),
        });
        found.push(Reason {
            name: "other baseline",
            verdict: if others.iter().all(|(_, other)| other.is_none()) {
                "good"
            } else {
                "bad"
            },
            text: text.collect::<Vec<_>>().join(" "),
            href: None,
        });
    }
    found
}

/// The word of greatest magnitude among those that the sample is about; none where all scores are zero, or the map is
/// marked.
fn strongest(results: &Results<'_>, (model, sample): (usize, usize), map: &AttributionRecord) -> Option<usize> {
    let record = results.record(model, sample);
    if !summary::is_drawable(map, record) {
        return None;
    }
    // By the words that all models share: with a chat template a model's own have other places.
    let scores = results.samples[sample].sums(model, record)(&map.scores)?;
    let (word, _) = *results.strongest(sample, &scores, 1).first()?;
    Some(word)
}

fn expected(results: &Results<'_>, sample: usize, strongest: usize) -> Option<Reason> {
    let names = &results.experiment.expected;
    if names.is_empty() {
        return None;
    }
    let segment = results.samples[sample].units.segment_name(strongest);
    let is_there = names.iter().any(|name| name == segment);
    let (word, all) = (results.word(sample, strongest), list(names));
    Some(Reason {
        name: "known cause",
        verdict: if is_there { "good" } else { "bad" },
        text: if is_there {
            format!(
                "Its strongest word of what the sample is about is “{word}”, in the segment {segment}, where it should be."
            )
        } else {
            format!(
                "Its strongest word of what the sample is about is “{word}”, in the segment {segment}; it should be in {}.",
                if names.len() > 1 { list_of(names, "or") } else { all }
            )
        },
        href: None,
    })
}

/// How the maps of this model, method, target and baseline did over the samples on which they were tested.
fn tested(
    results: &Results<'_>,
    (model, sample): (usize, usize),
    map: &AttributionRecord,
    links: &Links,
) -> Option<Reason> {
    let record = results.record(model, sample);
    let group = results
        .evidence
        .of_map(&results.experiment.models[model], record, map)?;
    let samples = match group.samples {
        1 => "1 sample".to_owned(),
        count => format!("{count} samples"),
    };
    // The worst comes first, and the rest stands behind the link.
    let worst = group
        .verdict
        .split_once(". ")
        .map_or(group.verdict.as_str(), |(first, _)| first);
    Some(Reason {
        name: "put to the test",
        verdict: match group.standing? {
            Standing::Better => "good",
            Standing::NoBetter | Standing::Worse => "bad",
            Standing::TooFew => "open",
        },
        text: format!(
            "Such maps of this model, on {samples}: {}{}.",
            worst
                .chars()
                .next()
                .map(char::to_lowercase)
                .into_iter()
                .flatten()
                .collect::<String>(),
            worst.chars().skip(1).collect::<String>().trim_end_matches('.')
        ),
        href: Some(tests_of(results, links)),
    })
}
