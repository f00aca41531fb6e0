//! F of a prompt, some of whose units are replaced: what occlusion, Shapley values and tests of maps read.
//!
//! A unit is some of a prompt's tokens: one, or those of a word, a sentence or a segment. Where it is replaced, the
//! embedding of each of its tokens becomes the replacement's; positions and all else stay.

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

/// Which units are replaced, one bit each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mask(Box<[u64]>);

impl Mask {
    /// None of so many.
    pub fn none(units: usize) -> Self {
        Self(vec![0; units.div_ceil(64)].into())
    }

    /// All of so many.
    pub fn all(units: usize) -> Self {
        Self::of(&vec![true; units])
    }

    /// One entry a unit.
    pub fn of(replaced: &[bool]) -> Self {
        let word = |bits: &[bool]| bits.iter().rev().fold(0, |word, &bit| word << 1 | u64::from(bit));
        Self(replaced.chunks(64).map(word).collect())
    }

    /// With this unit replaced too.
    pub fn with(mut self, unit: usize) -> Self {
        self.0[unit / 64] |= 1 << (unit % 64);
        self
    }

    /// With this unit as it is.
    pub fn without(mut self, unit: usize) -> Self {
        self.0[unit / 64] &= !(1 << (unit % 64));
        self
    }

    /// Whether a unit is replaced.
    pub fn has(&self, unit: usize) -> bool {
        self.0[unit / 64] >> (unit % 64) & 1 == 1
    }

    /// Whether none is.
    pub fn is_none(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_is_a_set_of_units() {
        for units in [0, 1, 3, 63, 64, 65, 130] {
            let third: Vec<bool> = (0..units).map(|unit| unit % 3 == 1).collect();
            let mask = Mask::of(&third);
            assert!((0..units).all(|unit| mask.has(unit) == third[unit]), "{units}");
            let one_by_one = (0..units)
                .filter(|unit| unit % 3 == 1)
                .fold(Mask::none(units), Mask::with);
            assert_eq!(mask, one_by_one);
            assert_eq!((0..units).fold(Mask::none(units), Mask::with), Mask::all(units));
            assert_eq!((0..units).fold(Mask::all(units), Mask::without), Mask::none(units));
            assert_eq!(Mask::all(units).is_none(), units == 0);
        }
    }
}
