//! The maps of one record by several methods, side by side: for each target and baseline, as models are compared on the
//! page of a sample.

use serde::Serialize;

use super::map::Place;
use super::tokens::Drawn;
use crate::analysis::agreement::{Agreement, Measures, Scored, TOP, agreement, largest};
use crate::analysis::map;
use crate::analysis::scale::{Scale, Scales, Scores};
use crate::analysis::summary::Share;
use crate::analysis::text::{bare, target_named};
use crate::content::units::{CharText, UnitScores};
use crate::render::text::{escape_into, excerpt, number_into, plus_minus_into, signed_into};
use crate::render::{heatmap, labels};
use crate::store::record::AttributionRecord;

/// A map of the page: its place there, its kinds of target, itself, and what is drawn of it.
pub type OfPage<'a, 'd> = (usize, &'d [&'a str], &'a AttributionRecord, &'d Drawn<'d>);

/// The maps of one target and baseline by several methods.
#[derive(Serialize)]
pub struct MethodsBeside<'a> {
    id: String,
    /// What all explain.
    target: String,
    /// Every kind of target that it is.
    kinds: Vec<&'a str>,
    /// What all compare the input with.
    baseline: String,
    methods: Vec<MethodMap>,
    pairs: Vec<Pair>,
    /// Whether any measure is weighted by errors.
    weighted: bool,
    /// How many of the strongest words are compared.
    top: usize,
    /// Each method's map less the first one's.
    differences: Vec<Difference>,
    difference_legend: String,
    /// Rows of a table: every word with its score by each method.
    rows: String,
    /// How many they are.
    count: usize,
    /// Whether the rows end with F without the word.
    has_without: bool,
}

/// A method with the word that its map rests on.
#[derive(Serialize)]
struct MethodMap {
    method: String,
    /// Anchor of its map.
    anchor: String,
    /// The strongest word of what the sample is about; none where all scores are zero.
    strongest: Option<Strongest>,
}

/// A word with its score.
#[derive(Clone, Serialize)]
struct Strongest {
    word: String,
    score: f64,
    /// On the scale of its method, from −20 to 20.
    shade: i32,
}

/// How two methods agree.
#[derive(Serialize)]
struct Pair {
    first: String,
    second: String,
    /// Weighted by error, where both maps know theirs.
    leading: Measures,
    plain: Measures,
    /// Share of the pairs of words whose order is certain in both maps; none where one does not know its errors.
    certain: Option<f64>,
    /// Whether both have the same strongest word.
    same_strongest: bool,
    /// Of the leading rank correlation, from −20 to 20.
    shade: i32,
}

/// A map less another one.
#[derive(Serialize)]
struct Difference {
    first: String,
    second: String,
    /// Anchors of the two maps, from which a script takes the numbers.
    of: [String; 2],
    map: String,
    /// Where they differ most.
    words: Vec<Strongest>,
}

/// Groups the maps of a page by target and baseline; those that only one method has are left out.
pub fn beside<'a>(place: &Place<'_>, maps: &[OfPage<'a, '_>], unit: &str) -> Vec<MethodsBeside<'a>> {
    let mut groups: Vec<Vec<OfPage<'a, '_>>> = Vec::new();
    for of_page in maps {
        let same = |group: &&mut Vec<OfPage<'a, '_>>| map::explain_the_same(group[0].2, of_page.2);
        match groups.iter_mut().find(same) {
            Some(group) => group.push(*of_page),
            None => groups.push(vec![*of_page]),
        }
    }
    let several = groups.iter().filter(|group| group.len() > 1).enumerate();
    several
        .map(|(index, group)| of_group(place, index, group, unit))
        .collect()
}

fn of_group<'a>(place: &Place<'_>, index: usize, maps: &[OfPage<'a, '_>], unit: &str) -> MethodsBeside<'a> {
    let units = place.units;
    let text = CharText::new(&place.record.prompt);
    let word_at = |word: usize| bare(text.slice(units.words[word].start, units.words[word].end));
    let is_subject = |word: &usize| {
        let segment = &units.segments[units.segment_of_word(*word)].name;
        place.subject.is_empty() || place.subject.contains(segment)
    };
    let subject: Vec<usize> = (0..units.words.len()).filter(is_subject).collect();
    let of_subject = |scores: &Scores| -> Vec<f64> { subject.iter().map(|&word| scores.words.units[word]).collect() };
    let scores: Vec<Vec<f64>> = maps.iter().map(|(.., drawn)| of_subject(&drawn.scores)).collect();
    let errors: Vec<Option<Vec<f64>>> = maps
        .iter()
        .map(|(.., drawn)| drawn.errors.as_ref().map(of_subject))
        .collect();
    let strongest: Vec<Option<usize>> = scores
        .iter()
        .map(|scores| largest(scores, 1).first().copied().filter(|&word| scores[word] != 0.0))
        .collect();
    let methods = maps.iter().zip(&scores).zip(&strongest);
    let methods = methods.map(|(((place, _, a, _), scores), strongest)| MethodMap {
        method: a.method_name().to_owned(),
        anchor: anchor(*place),
        strongest: strongest.map(|word| Strongest {
            word: word_at(subject[word]),
            score: scores[word],
            shade: Scale::over(scores).shade(scores[word]),
        }),
    });
    let mut pairs = Vec::new();
    for second in 1..maps.len() {
        for first in 0..second {
            let scored = |map: usize| Scored {
                scores: &scores[map],
                errors: errors[map].as_deref(),
            };
            let found = agreement(scored(first), scored(second));
            let same_strongest = strongest[first].is_some() && strongest[first] == strongest[second];
            pairs.push(pair(
                [maps[first].2, maps[second].2].map(|map| map.method_name().to_owned()),
                &found,
                same_strongest,
            ));
        }
    }
    let (differences, scales) = differences(place, maps, &word_at);
    let (rows, has_without) = rows(place, maps);
    let (_, kinds, first, _) = maps[0];
    MethodsBeside {
        id: format!("methods-{}", index + 1),
        target: target_named(&first.target),
        kinds: kinds.to_vec(),
        baseline: labels::baseline_of(first),
        methods: methods.collect(),
        weighted: pairs.iter().any(|pair| pair.certain.is_some()),
        pairs,
        top: TOP.min(subject.len()),
        differences,
        difference_legend: heatmap::method_difference_legend(&scales, unit),
        rows,
        count: units.words.len(),
        has_without,
    }
}

/// The anchor of a map's text on the page.
fn anchor(place: usize) -> String {
    format!("map-{}-text", place + 1)
}

fn pair([first, second]: [String; 2], agreement: &Agreement, same_strongest: bool) -> Pair {
    let leading = agreement.leading();
    Pair {
        first,
        second,
        leading,
        plain: agreement.plain(),
        certain: agreement.pairs().and_then(Share::value),
        same_strongest,
        shade: leading.spearman.map_or(0, |value| Scale { max: 1.0 }.shade(value)),
    }
}

fn differences(
    place: &Place<'_>,
    maps: &[OfPage<'_, '_>],
    word_at: &dyn Fn(usize) -> String,
) -> (Vec<Difference>, Scales) {
    let units = place.units;
    let (first_place, _, first, first_drawn) = maps[0];
    let less = |drawn: &Drawn<'_>| {
        let (a, b) = (&drawn.scores.words, &first_drawn.scores.words);
        let words = UnitScores {
            units: a.units.iter().zip(&b.units).map(|(a, b)| a - b).collect(),
            outside: a.outside - b.outside,
        };
        Scores::of_words(units, words)
    };
    let all: Vec<Scores> = maps[1..].iter().map(|(.., drawn)| less(drawn)).collect();
    let scales = Scales::over(&all);
    let difference = |((place_on_page, _, a, _), scores): (&OfPage<'_, '_>, &Scores)| {
        let words = &scores.words.units;
        Difference {
            first: a.method_name().to_owned(),
            second: first.method_name().to_owned(),
            of: [anchor(*place_on_page), anchor(first_place)],
            map: heatmap::Map {
                prompt: &place.record.prompt,
                units,
                tokens: &[],
                scores,
                errors: None,
                without: None,
                scales: &scales,
                outside: crate::analysis::results::SPECIAL,
            }
            .bare_html(),
            words: largest(words, 5)
                .into_iter()
                .map(|word| Strongest {
                    word: word_at(word),
                    score: words[word],
                    shade: scales.word.shade(words[word]),
                })
                .collect(),
        }
    };
    (maps[1..].iter().zip(&all).map(difference).collect(), scales)
}

/// Every word with its score by each method, and F without it where occlusion took words away. Each method has a scale
/// of its own.
fn rows(place: &Place<'_>, maps: &[OfPage<'_, '_>]) -> (String, bool) {
    let units = place.units;
    let text = CharText::new(&place.record.prompt);
    let without = maps.iter().find_map(|(.., drawn)| drawn.without_words());
    let scales: Vec<Scale> = maps
        .iter()
        .map(|(.., drawn)| Scale::over(&drawn.scores.words.units))
        .collect();
    let mut html = String::new();
    for (index, word) in units.words.iter().enumerate() {
        html.push_str("<tr><th scope=row>");
        escape_into(&excerpt(text.slice(word.start, word.end), 60), &mut html);
        html.push_str("<td>");
        escape_into(&units.segments[units.segment_of_word(index)].name, &mut html);
        for ((.., drawn), scale) in maps.iter().zip(&scales) {
            let score = drawn.scores.words.units[index];
            match heatmap::shade_class(scale.shade(score)).as_str() {
                "" => html.push_str("<td>"),
                class => html.push_str(&format!("<td class={class}>")),
            }
            signed_into(score, &mut html);
            if let Some(errors) = &drawn.errors {
                html.push_str(" <small>");
                plus_minus_into(errors.words.units[index], &mut html);
                html.push_str("</small>");
            }
        }
        if let Some(without) = without {
            html.push_str("<td>");
            match without.get(index).copied().flatten() {
                Some(f) => number_into(f, &mut html),
                None => html.push('–'),
            }
        }
        html.push('\n');
    }
    (html, without.is_some())
}
