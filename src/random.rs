//! The generator behind `select` and `shots`: small enough to be made again in any language, and never to change.
//!
//! To reproduce a draw of `count` from `n` rows: start [SplitMix64](https://prng.di.unimi.it/splitmix64.c) at `seed`;
//! write down the row numbers 0 … n−1; for i = 0 … count−1 take the next output x, let j = i + ⌊x·(n−i) / 2⁶⁴⌋, and
//! swap the entries i and j. The first `count` entries are the draw.
//!
//! `select` draws from the rows that `where` leaves, and puts them in dataset order. `shots` draws `count` + 1 from all
//! rows of the data set whose gold value one of the options stands for, once for the experiment; each sample takes the
//! first `count` of them, in the order of the draw, that are not the sample itself.

/// Sebastiano Vigna's SplitMix64.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// A generator whose state is `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next output.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// ⌊x·n / 2⁶⁴⌋ for the next output x: a number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next_u64()) * n as u128) >> 64) as usize
    }
}

/// Draws `count` of `items` (all, if there are fewer) by a partial Fisher–Yates shuffle; in the order of the draw.
pub fn draw<T: Copy>(items: &[T], count: usize, seed: u64) -> Vec<T> {
    let mut items = items.to_vec();
    let count = count.min(items.len());
    let mut random = SplitMix64::new(seed);
    for i in 0..count {
        let j = i + random.below(items.len() - i);
        items.swap(i, j);
    }
    items.truncate(count);
    items
}

/// Puts all of them in a random order, in place: from the last to the second, each changes places with one of itself and
/// those before it (Fisher–Yates).
pub fn shuffle<T>(items: &mut [T], random: &mut SplitMix64) {
    for last in (1..items.len()).rev() {
        items.swap(last, random.below(last + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        // The outputs that Vigna's C program gives for this seed.
        let mut random = SplitMix64::new(1_234_567);
        let first: Vec<u64> = (0..5).map(|_| random.next_u64()).collect();
        assert_eq!(
            first,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423,
                4_593_380_528_125_082_431,
                16_408_922_859_458_223_821
            ]
        );
    }

    #[test]
    fn a_draw_stays_what_it_was() {
        let rows: Vec<usize> = (0..10).collect();
        assert_eq!(draw(&rows, 4, 7), DRAW_4_OF_10_SEED_7);
        // A longer draw begins with the shorter one.
        assert_eq!(draw(&rows, 10, 7)[..4], DRAW_4_OF_10_SEED_7);
        let mut all = draw(&rows, 99, 7);
        all.sort_unstable();
        assert_eq!(all, rows);
    }

    /// Computed by the recipe in the module's head with Python's integers.
    const DRAW_4_OF_10_SEED_7: [usize; 4] = [3, 1, 9, 7];
}
