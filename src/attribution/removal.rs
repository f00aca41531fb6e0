//! A prompt with some of its units replaced.

use crate::diagnostic::Result;

/// F of a prompt with some of its units replaced.
pub trait Removal {
    /// Units that can be replaced.
    fn units(&self) -> usize;

    /// F for each mask; `mask[i]` says whether unit i is replaced.
    ///
    /// # Errors
    /// Memory runs out even with one mask in a pass; a signal requests the end.
    fn values(&mut self, masks: &[Vec<bool>]) -> Result<Vec<f64>>;

    /// The most probable next token behind the prompt, for each mask.
    ///
    /// # Errors
    /// As [`Self::values`].
    fn answers(&mut self, masks: &[Vec<bool>]) -> Result<Vec<u32>>;
}
