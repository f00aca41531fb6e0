//! F by mask: each is asked for once.

use std::collections::HashMap;

use crate::attribution::removal::Removal;
use crate::diagnostic::Diagnostic;

/// Which units are removed.
pub type Mask = Vec<bool>;

/// Why a test ends early.
#[derive(Debug)]
pub enum Stop {
    /// The model fails.
    Error(Diagnostic),
    /// F is no finite number.
    NotFinite {
        /// Units that were removed.
        removed: usize,
        /// What it is.
        value: f64,
    },
}

impl From<Diagnostic> for Stop {
    fn from(error: Diagnostic) -> Self {
        Self::Error(error)
    }
}

/// What is known of F.
pub struct Values<'a> {
    removal: &'a mut dyn Removal,
    known: HashMap<Mask, f64>,
}

impl<'a> Values<'a> {
    /// Nothing yet.
    pub fn of(removal: &'a mut dyn Removal) -> Self {
        Self {
            removal,
            known: HashMap::new(),
        }
    }

    /// Asks for F at those masks that are not known, in one batch.
    pub fn need(&mut self, masks: impl IntoIterator<Item = Mask>) -> Result<(), Stop> {
        let mut unknown: Vec<Mask> = Vec::new();
        for mask in masks {
            if !self.known.contains_key(&mask) {
                // Its value follows; until then it only says that the mask is in the batch.
                self.known.insert(mask.clone(), f64::NAN);
                unknown.push(mask);
            }
        }
        if unknown.is_empty() {
            return Ok(());
        }
        let values = self.removal.values(&unknown)?;
        assert_eq!(values.len(), unknown.len(), "a value for each mask");
        if let Some((mask, value)) = unknown.iter().zip(&values).find(|(_, value)| !value.is_finite()) {
            return Err(Stop::NotFinite {
                removed: mask.iter().filter(|removed| **removed).count(),
                value: *value,
            });
        }
        self.known.extend(unknown.into_iter().zip(values));
        Ok(())
    }

    /// F at a mask that was needed before.
    pub fn at(&self, mask: &Mask) -> f64 {
        self.known[mask]
    }

    /// F at masks that were needed before.
    pub fn along(&self, masks: &[Mask]) -> Vec<f64> {
        masks.iter().map(|mask| self.at(mask)).collect()
    }

    /// At which place of a curve the answer is first another than at its beginning.
    pub fn flip(&mut self, masks: &[Mask]) -> Result<Option<usize>, Stop> {
        let answers = self.removal.answers(masks)?;
        assert_eq!(answers.len(), masks.len(), "an answer for each mask");
        Ok(answers.iter().position(|answer| *answer != answers[0]))
    }

    /// How many masks were asked for.
    pub fn evaluations(&self) -> usize {
        self.known.len()
    }
}
