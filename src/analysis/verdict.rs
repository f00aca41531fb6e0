//! What a comparison over samples comes to, in words.

use crate::analysis::bootstrap::{Ahead, Standing};
use crate::terms::Interval;

/// Something that maps are held against.
#[derive(Clone, Debug, PartialEq)]
pub struct Rival {
    /// What it is called behind "beat" and "than": `shuffled ones`.
    pub name: String,
    /// How far the maps are ahead of it.
    pub ahead: Ahead,
}

/// Sentences that say how maps fare against each rival, the worst first. Those that they beat share a sentence behind
/// the first of them.
pub fn sentences(rivals: &[Rival]) -> Vec<String> {
    let mut order: Vec<&Rival> = rivals.iter().collect();
    order.sort_by_key(|rival| rival.ahead.standing());
    let (beaten, others): (Vec<_>, Vec<_>) = order
        .into_iter()
        .partition(|rival| rival.ahead.standing() == Standing::Better);
    let mut said: Vec<String> = others.iter().map(|rival| not_beaten(rival)).collect();
    if let Some((first, rest)) = beaten.split_first() {
        said.push(format!(
            "These maps beat {} on {} samples; {}.",
            first.name,
            count(first),
            size(first)
        ));
        let rest: Vec<String> = rest
            .iter()
            .map(|rival| format!("{} on {}", rival.name, count(rival)))
            .collect();
        if !rest.is_empty() {
            said.push(format!("They also beat {}.", listed(&rest)));
        }
    }
    said
}

fn not_beaten(rival: &Rival) -> String {
    let (name, count, size) = (&rival.name, count(rival), size(rival));
    match rival.ahead.standing() {
        Standing::Worse => format!("These maps lose to {name}: ahead on {count} samples; {size}."),
        Standing::TooFew => format!("Too few samples to tell these maps from {name}: ahead on {count}; {size}."),
        _ => format!("No better than {name}: ahead on {count} samples; {size}."),
    }
}

fn count(rival: &Rival) -> String {
    format!("{} of {}", rival.ahead.beats.count, rival.ahead.beats.of)
}

/// `difference 0.21, 95% interval 0.15 to 0.28`
fn size(rival: &Rival) -> String {
    let difference = &rival.ahead.difference;
    let scale = difference
        .interval
        .map_or(difference.mean, |Interval { low, high }| high - low);
    let places = places(scale, difference.mean);
    let mean = number(difference.mean, places);
    match difference.interval {
        Some(Interval { low, high }) => format!(
            "difference {mean}, 95% interval {} to {}",
            number(low, places),
            number(high, places)
        ),
        None => format!("difference {mean}"),
    }
}

/// Decimals that leave two digits of a size; of a size of zero, two digits of the value.
fn places(size: f64, value: f64) -> usize {
    let size = if size == 0.0 { value.abs() } else { size.abs() };
    if size == 0.0 || !size.is_finite() {
        return 2;
    }
    (1 - size.log10().floor() as i32).clamp(0, 9) as usize
}

/// A number as sentences have it: no sign before a zero, and the sign that is as wide as a digit.
pub fn number(value: f64, places: usize) -> String {
    let text = format!("{:.places$}", value.abs());
    let is_zero = text.bytes().all(|digit| matches!(digit, b'0' | b'.'));
    if value < 0.0 && !is_zero {
        format!("−{text}")
    } else {
        text
    }
}

/// `a`, `a and b`, `a, b and c`
pub fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::bootstrap::Estimate;
    use crate::analysis::summary::Share;

    fn rival(name: &str, mean: f64, interval: Option<(f64, f64)>, (count, of): (usize, usize)) -> Rival {
        Rival {
            name: name.to_owned(),
            ahead: Ahead {
                difference: Estimate {
                    mean,
                    interval: interval.map(|(low, high)| Interval { low, high }),
                    of,
                },
                beats: Share { count, of },
            },
        }
    }

    #[test]
    fn what_is_beaten_is_said_with_its_size() {
        let shuffled = rival("shuffled ones", 0.2123, Some((0.1488, 0.2791)), (41, 48));
        let sentence = "These maps beat shuffled ones on 41 of 48 samples; difference 0.21, 95% interval 0.15 to 0.28.";
        assert_eq!(sentences(std::slice::from_ref(&shuffled)), [sentence]);
        let more = [
            shuffled,
            rival("position (last word first)", 0.5, Some((0.4, 0.6)), (47, 48)),
            rival("the maps of another option", 0.4, Some((0.3, 0.5)), (46, 48)),
        ];
        assert_eq!(
            sentences(&more),
            [
                sentence,
                "They also beat position (last word first) on 47 of 48 and the maps of another option on 46 of 48."
            ]
        );
    }

    #[test]
    fn what_is_not_beaten_comes_first() {
        let rivals = [
            rival("shuffled ones", 0.2123, Some((0.1488, 0.2791)), (41, 48)),
            rival("position (last word first)", 0.004, Some((-0.0213, 0.0404)), (25, 48)),
            rival("position (first word first)", -0.121, Some((-0.18, -0.06)), (10, 48)),
        ];
        assert_eq!(
            sentences(&rivals),
            [
                "These maps lose to position (first word first): ahead on 10 of 48 samples; difference −0.12, 95% \
                 interval −0.18 to −0.06.",
                "No better than position (last word first): ahead on 25 of 48 samples; difference 0.004, 95% interval \
                 −0.021 to 0.040.",
                "These maps beat shuffled ones on 41 of 48 samples; difference 0.21, 95% interval 0.15 to 0.28.",
            ]
        );
        let few = [rival("shuffled ones", 0.25, None, (3, 4))];
        assert_eq!(
            sentences(&few),
            ["Too few samples to tell these maps from shuffled ones: ahead on 3 of 4; difference 0.25."]
        );
    }

    #[test]
    fn numbers_have_the_digits_that_mean_something() {
        assert_eq!(number(-0.001, 2), "0.00");
        assert_eq!(number(-0.126, 2), "−0.13");
        assert_eq!(
            (places(13.0, 0.0), places(0.05, 0.0), places(0.0, 0.5), places(0.0, 0.0)),
            (0, 3, 2, 2)
        );
    }
}
