//! Clouds of dots: scores against their errors, words of one model against another's, errors against what they cost.

use super::axis::{Axis, percent_decade, plain_decade};
use super::canvas::Ink;
use super::sheet::{Sheet, WIDTH};

/// |score| of each token against its error, both logarithmic. On the line they are equal: above it a score is noise.
pub fn score_against_error(points: &[(f64, f64)], told: &str) -> String {
    const DECADES: i32 = 7;
    let sheet = Sheet {
        size: (WIDTH, 236),
        labels: (58, 34),
        x: Axis::decades(
            points.iter().map(|(score, _)| score.abs()),
            DECADES,
            "|score|, logarithmic",
            plain_decade,
        ),
        y: Axis::decades(points.iter().map(|(_, error)| *error), DECADES, "error", plain_decade),
    };
    sheet.draw(told, |pen| {
        let (from, to) = pen.common();
        pen.line(Ink::Bound, [(from, from), (to, to)]);
        for (score, error) in points {
            // Noise has a colour of its own, and lies above the line.
            pen.dot(u8::from(*error >= score.abs()), (score.abs(), *error));
        }
    })
}

/// Word scores of one model against those of another, each on its own axis.
pub fn words(points: &[(f64, f64)], (first, second): (&str, &str), told: &str) -> String {
    let sheet = Sheet {
        size: (WIDTH, 256),
        labels: (56, 34),
        x: Axis::signed(points.iter().map(|(x, _)| *x), first),
        y: Axis::signed(points.iter().map(|(_, y)| *y), second),
    };
    sheet.draw(told, |pen| {
        pen.line(Ink::Axis, [(0.0, f64::NEG_INFINITY), (0.0, f64::INFINITY)]);
        pen.line(Ink::Axis, [(f64::NEG_INFINITY, 0.0), (f64::INFINITY, 0.0)]);
        points.iter().for_each(|point| pen.dot(0, *point));
    })
}

/// What a map cost, and what came of it.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    /// Whose map it is.
    pub model: usize,
    /// What it took.
    pub evaluations: usize,
    /// The relative error estimate.
    pub error: f64,
}

/// Error estimates of maps against their evaluations, both logarithmic, with the tolerance as a line.
pub fn cost(maps: &[Spent], tolerance: f64, told: &str) -> String {
    let counts = || maps.iter().map(|map| map.evaluations as f64);
    let (first, last) = (counts().fold(f64::INFINITY, f64::min), counts().fold(1.0, f64::max));
    let errors = maps.iter().map(|map| map.error).chain([tolerance]);
    let sheet = Sheet {
        size: (WIDTH, 216),
        labels: (58, 34),
        x: Axis::counts(first.min(last), last, "evaluations, logarithmic"),
        y: Axis::decades(errors, 6, "error", percent_decade),
    };
    sheet.draw(told, |pen| {
        pen.line(Ink::Bound, [(0.0, tolerance), (f64::MAX, tolerance)]);
        for map in maps {
            pen.dot(map.model as u8, (map.evaluations as f64, map.error));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noise_has_its_own_dots() {
        let svg = score_against_error(&[(-1.0, 0.01), (0.001, 0.002), (0.1, 0.0)], "");
        let dots = |class: &str| {
            let opening = format!("\"dots {class}\" d=\"");
            svg.split(&opening)
                .skip(1)
                .map(|rest| rest.split('"').next().unwrap_or_default().matches('M').count())
                .sum::<usize>()
        };
        assert_eq!((dots("m0"), dots("m1")), (2, 1), "{svg}");
        assert!(svg.contains("class=\"bound\""));
    }

    #[test]
    fn a_word_that_both_models_are_for_is_on_the_upper_right() {
        let svg = words(&[(0.4, 0.2)], ("a", "b"), "");
        let dot = svg
            .split("dots m0\" d=\"M")
            .nth(1)
            .and_then(|rest| rest.split('h').next())
            .expect("a dot");
        let (x, y) = dot.split_once(' ').expect("two numbers");
        assert!(
            x.parse::<f64>().expect("x") > 250.0 && y.parse::<f64>().expect("y") < 60.0,
            "{svg}"
        );
    }
}
