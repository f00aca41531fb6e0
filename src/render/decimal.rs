//! Decimal digits of floats, for pages that hold millions of them: the same as `format!("{x:.n$}")` gives, in a
//! fraction of its time.

use std::fmt::Write;

/// Powers of ten that a float holds exactly.
const POWERS: [f64; 8] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7];

/// Appends `magnitude`, which is not negative, with this many decimals (at most 7): as [`std::fmt`] does, correctly
/// rounded.
pub fn push_fixed(magnitude: f64, decimals: usize, out: &mut String) {
    let scaled = magnitude * POWERS[decimals];
    let whole = scaled.floor();
    // The product is wrong by at most half a unit in its last place, 2^-24 here, which matters only at a tie and at the
    // next integer.
    let part = scaled - whole;
    if !(scaled < 1e9 && (part - 0.5).abs() > 1e-6) {
        let _ = write!(out, "{magnitude:.decimals$}");
        return;
    }
    let mut rest = whole as u64 + u64::from(part > 0.5);
    // Filled from its end: the last digit first, and at least one digit before the point.
    let mut digits = [0_u8; 24];
    let mut at = digits.len();
    let mut count = 0;
    while rest > 0 || count <= decimals {
        if count == decimals && decimals > 0 {
            at -= 1;
            digits[at] = b'.';
        }
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        count += 1;
    }
    out.push_str(std::str::from_utf8(&digits[at..]).unwrap_or_default());
}

/// Appends a magnitude from 1e−4 to 1e6 to this many significant digits, with at most `most` decimals.
pub fn push_significant(magnitude: f64, digits: i32, most: i32, out: &mut String) {
    push_fixed(
        magnitude,
        (digits - 1 - exponent(magnitude)).clamp(0, most) as usize,
        out,
    );
}

/// The power of ten of the first digit of a magnitude from 1e−4 to 1e6.
fn exponent(magnitude: f64) -> i32 {
    const STARTS: [f64; 10] = [1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6];
    STARTS.iter().take_while(|&&start| magnitude >= start).count() as i32 - 4
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fixed(magnitude: f64, decimals: usize) -> String {
        let mut out = String::new();
        push_fixed(magnitude, decimals, &mut out);
        out
    }

    #[test]
    fn ties_and_ends_are_those_of_the_standard_library() {
        for (x, decimals) in [
            (0.0, 0),
            (0.0, 3),
            (0.5, 0),
            (1.5, 0),
            (2.5, 0),
            (0.125, 2),
            (0.000_05, 4),
            (0.999_999_99, 7),
            (9.9995, 3),
            (999_999.95, 1),
            (1e9, 2),
            (1e300, 1),
            (f64::MIN_POSITIVE, 7),
        ] {
            assert_eq!(fixed(x, decimals), format!("{x:.decimals$}"), "{x} {decimals}");
        }
    }

    #[test]
    fn the_first_digit_is_found() {
        for (x, power) in [
            (1e-4, -4),
            (9.99e-4, -4),
            (1e-3, -3),
            (0.5, -1),
            (1.0, 0),
            (10.0, 1),
            (999_999.0, 5),
        ] {
            assert_eq!(exponent(x), power, "{x}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn digits_are_those_of_the_standard_library(x in 0.0..1.0_f64, power in -9..10_i32, decimals in 0..8_usize) {
            let x = x * 10_f64.powi(power);
            prop_assert_eq!(fixed(x, decimals), format!("{x:.decimals$}"));
        }

        // Ties in decimal, and their neighbours, which are where a product of floats may fall on the wrong side.
        #[test]
        fn digits_near_ties_are_too(tens in 0..100_000_000_u32, decimals in 0..8_usize, step in -2..3_i64) {
            let tie = f64::from(tens) * 10.0 + 5.0;
            let x = f64::from_bits((tie / POWERS[decimals] / 10.0).to_bits().wrapping_add_signed(step));
            prop_assert_eq!(fixed(x, decimals), format!("{x:.decimals$}"));
        }
    }
}
