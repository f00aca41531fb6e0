//! What shades of maps stand for: sums of a map at every level, and the greatest magnitude that maps on one scale have.

use serde::Serialize;

use crate::content::units::{Level, UnitScores, Units};

/// Shades of each sign.
pub const STEPS: i32 = 20;

/// What the strongest colour stands for; shared by all maps that are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Scale {
    /// The greatest magnitude of the scores it covers.
    pub max: f64,
}

impl Scale {
    /// The scale that covers these scores.
    pub fn over<'a>(scores: impl IntoIterator<Item = &'a f64>) -> Self {
        Self {
            max: scores.into_iter().fold(0.0, |max, score| score.abs().max(max)),
        }
    }

    /// The shade of a score, from −[`STEPS`] to [`STEPS`]; 0 is no colour.
    pub fn shade(self, score: f64) -> i32 {
        if self.max > 0.0 && score.is_finite() {
            (score / self.max * f64::from(STEPS))
                .round()
                .clamp(f64::from(-STEPS), f64::from(STEPS)) as i32
        } else {
            0
        }
    }
}

/// One map's scores at every level, each the sum of those below it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// One a token; empty where tokens have no scores (a difference of two models).
    pub tokens: Vec<f64>,
    /// One a word, and what lies outside all words.
    pub words: UnitScores,
    /// One a sentence.
    pub sentences: UnitScores,
    /// One a segment.
    pub segments: UnitScores,
}

impl Scores {
    /// Sums token scores; `assignment` is [`Units::assign`]'s.
    pub fn of(units: &Units, assignment: &[Option<usize>], tokens: &[f64]) -> Self {
        Self {
            tokens: tokens.to_vec(),
            ..Self::of_words(units, units.word_scores(assignment, tokens))
        }
    }

    /// Sums word scores; the token level is left out.
    pub fn of_words(units: &Units, words: UnitScores) -> Self {
        Self {
            tokens: Vec::new(),
            sentences: units.sum(Level::Sentence, &words),
            segments: units.sum(Level::Segment, &words),
            words,
        }
    }
}

/// The scale of each level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Scales {
    /// Of tokens.
    pub token: Scale,
    /// Of words.
    pub word: Scale,
    /// Of sentences.
    pub sentence: Scale,
    /// Of segments.
    pub segment: Scale,
}

impl Scales {
    /// The scales that cover all of these maps.
    pub fn over<'a>(maps: impl IntoIterator<Item = &'a Scores>) -> Self {
        let mut scales = Self::default();
        for map in maps {
            let cover = |scale: &mut Scale, sums: &UnitScores| {
                let more = Scale::over(sums.units.iter().chain([&sums.outside]));
                scale.max = scale.max.max(more.max);
            };
            scales.token.max = scales.token.max.max(Scale::over(&map.tokens).max);
            cover(&mut scales.word, &map.words);
            cover(&mut scales.sentence, &map.sentences);
            cover(&mut scales.segment, &map.segments);
        }
        scales
    }
}
