//! The maps of one page, drawn on shared scales, and the table that has their numbers as text: a row a token, a column
//! a map.
//!
//! The table's rows are written here and not in a template: they are most of a page.

use crate::analysis::map::{self, Without};
use crate::analysis::results::SPECIAL;
use crate::analysis::scale::{Scales, Scores};
use crate::analysis::summary;
use crate::analysis::text::target_named;
use crate::content::units::{CharText, Unit, UnitScores, Units};
use crate::render::heatmap::{self, WithoutUnits};
use crate::render::labels;
use crate::render::text::{
    count_into, escape, escape_into, excerpt, number_into, percent, plus_minus_into, signed_into,
};
use crate::store::record::{AttributionRecord, SampleRecord};
use crate::terms::{Method, Segment, Token, UnitKind};

/// A map that may be drawn, summed at every level.
pub struct Drawn<'a> {
    record: &'a SampleRecord,
    units: &'a Units,
    /// What it is of, for whoever saves it.
    about: String,
    /// Its scores.
    pub scores: Scores,
    /// Their errors, at most, where they are known.
    pub errors: Option<Scores>,
    /// What F becomes without each unit, where occlusion was run.
    without: Option<WithoutUnits>,
    /// Where the map is the occlusion itself: F without the unit that begins at a token.
    replaced: Vec<(usize, f64)>,
}

impl<'a> Drawn<'a> {
    /// A record's map over its own prompt; none where it has a value that is not finite. `assignment` is
    /// [`Units::assign`]'s.
    pub fn of(
        record: &'a SampleRecord,
        attribution: &AttributionRecord,
        units: &'a Units,
        assignment: &[Option<usize>],
    ) -> Option<Self> {
        let of = |values: &[f64]| Scores::of(units, assignment, values);
        summary::is_drawable(attribution, record).then(|| {
            let without = map::without(attribution, record);
            Self {
                record,
                units,
                about: about(attribution),
                scores: of(&attribution.scores),
                errors: map::errors(attribution).as_deref().map(of),
                without: without.as_ref().zip(attribution.f_input).map(|(without, f_input)| {
                    let (letter, values) = by_element(without, units, assignment);
                    WithoutUnits {
                        letter,
                        f_input,
                        values,
                    }
                }),
                replaced: without
                    .filter(|_| attribution.method == Some(Method::Occlusion))
                    .map_or_else(Vec::new, |without| without.values),
            }
        })
    }

    /// F without each word, where occlusion took words away.
    pub fn without_words(&self) -> Option<&[Option<f64>]> {
        let words = self.without.as_ref().filter(|without| without.letter == "w");
        words.map(|without| without.values.as_slice())
    }

    /// The map as HTML.
    pub fn html(&self, scales: &Scales) -> String {
        let map = heatmap::Map {
            prompt: &self.record.prompt,
            units: self.units,
            tokens: &self.record.tokens,
            scores: &self.scores,
            errors: self.errors.as_ref(),
            without: self.without.as_ref(),
            scales,
            outside: SPECIAL,
        };
        self.with_about(&map.html())
    }
}

/// A piece of a prompt that stays when the rest is left out.
struct Piece {
    /// Its segment.
    segment: usize,
    /// First character, and one past the last.
    start: usize,
    end: usize,
    /// Where it begins in the shortened prompt.
    at: usize,
}

impl Drawn<'_> {
    /// The map of some segments only, by their names, on the scales of the whole; `…` stands between pieces that are no
    /// neighbours. What lies outside all units is left out.
    pub fn html_within(&self, names: &[String], scales: &Scales) -> String {
        const GAP: &str = " … ";
        let text = CharText::new(&self.record.prompt);
        let (mut prompt, mut pieces) = (String::new(), Vec::<Piece>::new());
        for (segment, of) in self.units.segments.iter().enumerate() {
            if !names.contains(&of.name) {
                continue;
            }
            if pieces.last().is_some_and(|last| last.end != of.start) {
                prompt.push_str(GAP);
            }
            let at = prompt.chars().count();
            prompt.push_str(text.slice(of.start, of.end));
            let (start, end) = (of.start, of.end);
            pieces.push(Piece {
                segment,
                start,
                end,
                at,
            });
        }
        let units = self.units;
        let place = |segment: usize| pieces.iter().position(|piece| piece.segment == segment);
        let moved = |unit: &Unit, piece: &Piece, parent: usize| Unit {
            start: unit.start - piece.start + piece.at,
            end: unit.end - piece.start + piece.at,
            parent,
        };
        let segments = pieces.iter().map(|piece| Segment {
            name: units.segments[piece.segment].name.clone(),
            start: piece.at,
            end: piece.at + piece.end - piece.start,
        });
        let mut kept = Units {
            segments: segments.collect(),
            ..Units::default()
        };
        let (mut sentences, mut words) = (Vec::new(), Vec::new());
        for (index, sentence) in units.sentences.iter().enumerate() {
            let Some(parent) = place(sentence.parent) else { continue };
            for (word, unit) in units.words.iter().enumerate().filter(|(_, word)| word.parent == index) {
                kept.words.push(moved(unit, &pieces[parent], kept.sentences.len()));
                words.push(word);
            }
            kept.sentences.push(moved(sentence, &pieces[parent], parent));
            sentences.push(index);
        }
        // A token is where its first character is that is no blank, as a word's is.
        let (mut tokens, mut places) = (Vec::new(), Vec::new());
        for (index, token) in self
            .record
            .tokens
            .iter()
            .enumerate()
            .filter(|(_, token)| !token.special)
        {
            let slice = text.slice(token.start, token.end);
            let blanks = slice.chars().take_while(|c| c.is_whitespace()).count();
            let first = if blanks == slice.chars().count() {
                token.start
            } else {
                token.start + blanks
            };
            if let Some(piece) = pieces.iter().find(|piece| (piece.start..piece.end).contains(&first)) {
                let within = |at: usize| at.clamp(piece.start, piece.end) - piece.start + piece.at;
                tokens.push(Token {
                    start: within(token.start),
                    end: within(token.end),
                    ..token.clone()
                });
                places.push(index);
            }
        }
        let some = |scores: &Scores| {
            let of = |all: &[f64], places: &[usize]| places.iter().map(|&place| all[place]).collect();
            let units = |sums: &UnitScores, places: &[usize]| UnitScores {
                units: of(&sums.units, places),
                outside: 0.0,
            };
            let segments: Vec<usize> = pieces.iter().map(|piece| piece.segment).collect();
            Scores {
                tokens: of(&scores.tokens, &places),
                words: units(&scores.words, &words),
                sentences: units(&scores.sentences, &sentences),
                segments: units(&scores.segments, &segments),
            }
        };
        let errors = self.errors.as_ref().map(some);
        let map = heatmap::Map {
            prompt: &prompt,
            units: &kept,
            tokens: &tokens,
            scores: &some(&self.scores),
            errors: errors.as_ref(),
            without: None,
            scales,
            outside: SPECIAL,
        };
        self.with_about(&map.html())
    }

    /// A map's markup with what it is of.
    fn with_about(&self, html: &str) -> String {
        let start = format!(" dir=\"auto\" data-about=\"{}\"", escape(&self.about));
        html.replacen(" dir=\"auto\"", &start, 1)
    }
}

/// What a map is of, in a line: target, baseline, method, and how right it is. A picture that leaves the page says it
/// below the names of model and sample.
fn about(map: &AttributionRecord) -> String {
    let target = format!("“{}” ({})", target_named(&map.target), map.target.kind.word());
    let baseline = format!("from {}", labels::baseline_of(map));
    let method = match &map.imported {
        Some(by) => format!("{} by {}", by.method, by.by()),
        None => map.method.map_or("", Method::name).to_owned(),
    };
    let error = match map.error_estimate {
        Some(error) => format!("error {}", percent(error)),
        None => labels::badge(summary::State::of(map)).0.to_owned(),
    };
    [target, baseline, method, error].join(" · ")
}

/// F without each element of the level whose units were replaced, with the letter of that level.
fn by_element(without: &Without, units: &Units, assignment: &[Option<usize>]) -> (&'static str, Vec<Option<f64>>) {
    let word = |token: usize| assignment.get(token).copied().flatten();
    let (letter, count) = match without.units {
        UnitKind::Token => ("t", assignment.len()),
        UnitKind::Word => ("w", units.words.len()),
        UnitKind::Sentence => ("s", units.sentences.len()),
        UnitKind::Segment => ("g", units.segments.len()),
    };
    let mut values = vec![None; count];
    for &(token, value) in &without.values {
        let element = match without.units {
            UnitKind::Token => Some(token),
            UnitKind::Word => word(token),
            UnitKind::Sentence => word(token).map(|word| units.words[word].parent),
            UnitKind::Segment => word(token).map(|word| units.segment_of_word(word)),
        };
        if let Some(place) = element.and_then(|element| values.get_mut(element)) {
            *place = Some(value);
        }
    }
    (letter, values)
}

/// The rows of the table of tokens: number, text, id, characters, segment, and for each map the score with its error. A
/// page with one map has the share of each token in a last column.
pub fn rows(record: &SampleRecord, units: &Units, maps: &[Option<Drawn<'_>>], scales: &Scales) -> String {
    let text = CharText::new(&record.prompt);
    let only = match maps {
        [Some(only)] => Some(only.scores.tokens.iter().map(|score| score.abs()).sum::<f64>()),
        _ => None,
    };
    let mut html = String::with_capacity(record.tokens.len() * (120 + 40 * maps.len()));
    for (index, token) in record.tokens.iter().enumerate() {
        let segment = if token.special {
            None
        } else {
            units.segment_at(token.start)
        };
        html.push_str("<tr><td class=num>");
        count_into(index, &mut html);
        html.push_str(if token.special {
            "<th scope=row class=special><bdi>"
        } else {
            "<th scope=row><bdi>"
        });
        if is_shown_as_it_is(token) {
            escape_into(&token.text, &mut html);
        } else {
            escape_into(&shown(token), &mut html);
        }
        html.push_str("</bdi>");
        if let Some(shared) = shared(&text, token) {
            html.push_str(" <small>of <bdi>");
            escape_into(&shared, &mut html);
            html.push_str("</bdi></small>");
        }
        html.push_str("<td class=num>");
        match token.known_id() {
            Some(id) => count_into(id as usize, &mut html),
            None => html.push('–'),
        }
        html.push_str("<td>");
        count_into(token.start, &mut html);
        html.push('–');
        count_into(token.end, &mut html);
        html.push_str("<td>");
        escape_into(segment.map_or("", |segment| &units.segments[segment].name), &mut html);
        for map in maps {
            let Some(map) = map else {
                html.push_str("<td class=num>–");
                continue;
            };
            let score = map.scores.tokens[index];
            if scales.token.shade(score) == 0 {
                html.push_str("<td class=num>");
            } else {
                html.push_str("<td class=\"num ");
                heatmap::shade_class_into(scales.token.shade(score), &mut html);
                html.push_str("\">");
            }
            signed_into(score, &mut html);
            if let Some(error) = map.errors.as_ref().and_then(|errors| errors.tokens.get(index)) {
                html.push_str(" <small>");
                plus_minus_into(*error, &mut html);
                html.push_str("</small>");
            }
            if let Some((_, value)) = map.replaced.iter().find(|(token, _)| *token == index) {
                html.push_str(" <small>F ");
                number_into(*value, &mut html);
                html.push_str("</small>");
            }
        }
        if let (Some(total), [Some(map)]) = (only, maps) {
            html.push_str("<td class=num>");
            if total > 0.0 {
                escape_into(&percent(map.scores.tokens[index].abs() / total), &mut html);
            } else {
                html.push('–');
            }
        }
        html.push('\n');
    }
    html
}

/// Whether [`shown`] is the token's own text, as it is of most: short, and of characters that a reader counts one by
/// one.
fn is_shown_as_it_is(token: &Token) -> bool {
    token.text.len() <= LONGEST && token.text.chars().all(|c| c.is_ascii_graphic() || c == '▁')
}

/// Characters of a token that are shown.
const LONGEST: usize = 60;

/// A token as it reads, with blanks and line breaks as signs.
fn shown(token: &Token) -> String {
    let signs = token.text.replace(' ', "␣").replace('\n', "↵").replace('\t', "⇥");
    excerpt(&signs, LONGEST)
}

/// The characters that a token has a byte of, where an earlier token shows them: its own text is `<0xBB>` then.
fn shared(text: &CharText<'_>, token: &Token) -> Option<String> {
    if token.special || !token.text.starts_with("<0x") {
        return None;
    }
    let slice = text.slice(token.start, token.end);
    let byte = !slice.is_empty() && !slice.contains(&token.text);
    byte.then(|| excerpt(slice, LONGEST))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_shown_as_it_is_is_shown_so(text in "[ -~▁é\u{301}\n]{0,8}|[a▁]{15,25}") {
            let token = Token { id: 0, text, start: 0, end: 0, special: false };
            if is_shown_as_it_is(&token) {
                prop_assert_eq!(shown(&token), token.text);
            }
        }
    }
}
