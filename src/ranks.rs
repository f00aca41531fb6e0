//! Ranks, and their correlation.

/// Spearman's rank correlation: Pearson's correlation of the ranks, equal values sharing the mean of theirs. None of
/// fewer than two values, of lists of different lengths, and where all values of a list are equal.
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.len() != b.len() || a.len() < 2 {
        return None;
    }
    let (a, b) = (ranks(a), ranks(b));
    // Ranks, tied or not, always have this mean.
    let mean = (a.len() as f64 + 1.0) / 2.0;
    let (mut product, mut square_a, mut square_b) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(&b) {
        product += (x - mean) * (y - mean);
        square_a += (x - mean).powi(2);
        square_b += (y - mean).powi(2);
    }
    let norm = (square_a * square_b).sqrt();
    (norm > 0.0).then(|| (product / norm).clamp(-1.0, 1.0))
}

/// Ranks from 1; equal values share the mean of their ranks.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let mut end = start + 1;
        while end < order.len() && values[order[end]] == values[order[start]] {
            end += 1;
        }
        // Ranks start+1 … end, their mean:
        let rank = (start + 1 + end) as f64 / 2.0;
        for &index in &order[start..end] {
            ranks[index] = rank;
        }
        start = end;
    }
    ranks
}

/// Places of the values, the largest value first; equal ones in order.
pub fn descending(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    // −0 and 0 are equal, so that a tie is one.
    order.sort_by(|&i, &j| (values[j] + 0.0).total_cmp(&(values[i] + 0.0)));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_correlation_is_that_of_scipy() {
        // python3 -c "from scipy.stats import spearmanr
        // print(spearmanr([1,2,2,3,-1,0,0,5],[2,1,4,4,0,-3,7,6]).statistic)
        // print(spearmanr([3,1,4,1,5,9,2,6],[2,7,1,8,2,8,1,8]).statistic)"
        for (a, b, expected) in [
            (
                [1.0, 2.0, 2.0, 3.0, -1.0, 0.0, 0.0, 5.0],
                [2.0, 1.0, 4.0, 4.0, 0.0, -3.0, 7.0, 6.0],
                SCIPY[0],
            ),
            (
                [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0],
                [2.0, 7.0, 1.0, 8.0, 2.0, 8.0, 1.0, 8.0],
                SCIPY[1],
            ),
        ] {
            let found: f64 = spearman(&a, &b).unwrap();
            assert!((found - expected).abs() < 1e-14, "{found} is not {expected}");
        }
    }

    #[test]
    fn ties_share_their_mean_rank() {
        assert_eq!(ranks(&[1.0, 2.0, 2.0, 3.0]), [1.0, 2.5, 2.5, 4.0]);
    }

    #[test]
    fn the_largest_comes_first_and_equal_ones_in_order() {
        assert_eq!(descending(&[0.0, 2.0, -0.0, 2.0, -1.0]), [1, 3, 0, 2, 4]);
    }

    /// SciPy 1.17.1.
    const SCIPY: [f64; 2] = [0.478_796_672_195_940_13, 0.198_853_681_209_924_67];
}
