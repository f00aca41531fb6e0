//! Scores by word, over the words that all models share.

use crate::content::prompt::Prompt;
use crate::content::units::{UnitScores, Units};
use crate::store::record::SampleRecord;
use crate::terms::{PromptStyle, UnitKind};

/// The words of a sample's prompt, and where a record's tokens lie among them.
#[derive(Clone, Debug)]
pub struct SharedWords {
    /// Of the prompt by itself.
    pub units: Units,
    /// Of the prompt with the model's chat template round it, where there is one.
    own: Option<Units>,
    /// The word of each token, among the model's own.
    assignment: Vec<Option<usize>>,
}

impl SharedWords {
    /// Of a record of this prompt.
    pub fn of(prompt: &Prompt, style: PromptStyle, record: &SampleRecord) -> Self {
        let units = Units::of(&prompt.text, &prompt.segments);
        let own = match style {
            PromptStyle::Plain => None,
            PromptStyle::Chat => Some(Units::of(&record.prompt, &record.segments)),
        };
        let assignment = own.as_ref().unwrap_or(&units).assign(&record.prompt, &record.tokens);
        Self { units, own, assignment }
    }

    /// Sums over the words of one value a token; none where a template left no trace of the words.
    pub fn sums(&self, values: &[f64]) -> Option<UnitScores> {
        match &self.own {
            None => Some(self.units.word_scores(&self.assignment, values)),
            Some(own) => own.without_template(&own.word_scores(&self.assignment, values), &self.units),
        }
    }

    /// The scores of units of this record's prompt, by word: a unit's score goes to the word that its first token is in.
    /// None if they are not one for each unit of that kind within those segments.
    pub fn of_units(
        &self,
        record: &SampleRecord,
        kind: UnitKind,
        within: &[String],
        scores: &[f64],
    ) -> Option<UnitScores> {
        let own = self.own.as_ref().unwrap_or(&self.units);
        let units = own.tokens(kind, &record.prompt, &record.tokens, Some(within));
        if units.len() != scores.len() {
            return None;
        }
        let mut values = vec![0.0; record.tokens.len()];
        for (unit, score) in units.iter().zip(scores) {
            values[*unit.first()?] = *score;
        }
        self.sums(&values)
    }

    /// Whether each word lies in one of the segments named.
    pub fn within(&self, segments: &[String]) -> Vec<bool> {
        let name = |word: usize| &self.units.segments[self.units.segment_of_word(word)].name;
        (0..self.units.words.len())
            .map(|word| segments.contains(name(word)))
            .collect()
    }
}
