//! How one estimate converged, round by round.

use super::axis::{Axis, percent_decade};
use super::bound_key;
use super::canvas::Ink;
use super::sheet::{Sheet, WIDTH};
use crate::analysis::map::RoundInProportion;
use crate::render::text::percent;

/// Values that are smaller by more decades than these lie on the bottom line.
const DECADES: i32 = 8;

/// Error (dots on a line) and delta (squares on a dashed line) against evaluations, both axes logarithmic, with the
/// tolerance as a line. `told` is the same in words.
pub fn convergence(rounds: &[RoundInProportion], tolerance: f64, told: &str) -> String {
    let values = rounds
        .iter()
        .flat_map(|round| [round.round.error_estimate, round.relative_delta])
        .flatten();
    let ends = |round: Option<&RoundInProportion>| round.map_or(1.0, |round| round.round.evaluations as f64);
    let sheet = Sheet {
        size: (WIDTH, 208),
        labels: (46, 34),
        x: Axis::counts(ends(rounds.first()), ends(rounds.last()), "evaluations, logarithmic"),
        y: Axis::decades(values.chain([tolerance]), DECADES, "", percent_decade),
    };
    let points = |value: fn(&RoundInProportion) -> Option<f64>| -> Vec<(f64, f64)> {
        let point = |round: &RoundInProportion| {
            Some((
                round.round.evaluations as f64,
                value(round).filter(|value| value.is_finite())?,
            ))
        };
        rounds.iter().filter_map(point).collect()
    };
    sheet.draw(told, |pen| {
        pen.line(Ink::Bound, [(0.0, tolerance), (f64::MAX, tolerance)]);
        let series = [
            points(|round| round.round.error_estimate),
            points(|round| round.relative_delta),
        ];
        for (index, points) in series.iter().enumerate().rev() {
            let index = index as u8;
            pen.line(Ink::Line(index), points.iter().copied());
            points.iter().for_each(|point| pen.mark(index, *point));
        }
    })
}

/// The signs of [`convergence`], and what they mean.
pub fn convergence_keys(tolerance: f64) -> Vec<(String, String)> {
    let key = |series: u8| {
        Sheet::key(|pen| {
            pen.line(Ink::Line(series), [(0.0, 6.0), (28.0, 6.0)]);
            pen.mark(series, (14.0, 6.0));
        })
    };
    vec![
        (key(0), "error estimate, of the map’s L1 norm".to_owned()),
        (key(1), "|delta|, of |F(input) − F(baseline)|".to_owned()),
        (bound_key(), format!("tolerance, {}", percent(tolerance))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(evaluations: usize, error: f64, delta: f64) -> RoundInProportion {
        RoundInProportion {
            round: crate::terms::Round {
                evaluations,
                error_estimate: Some(error),
                convergence_delta: delta,
            },
            relative_delta: Some(delta),
        }
    }

    #[test]
    fn points_are_at_their_logarithms() {
        let rounds = [round(100, 1.0, 0.1), round(1000, 0.1, 0.0), round(10_000, 0.001, 0.01)];
        let svg = convergence(&rounds, 0.01, "It \"fell\".");
        assert!(svg.contains("role=\"img\" aria-label=\"It &quot;fell&quot;.\""));
        let path = |class: &str| -> Vec<(f64, f64)> {
            let path = svg
                .split(&format!("class=\"{class}\" d=\"M"))
                .nth(1)
                .and_then(|rest| rest.split('"').next());
            let points = path.expect("a path").split('L');
            let point = |text: &str| {
                let (x, y) = text.split_once(' ')?;
                Some((x.parse().ok()?, y.parse().ok()?))
            };
            points.map(|text| point(text).expect("two numbers")).collect()
        };
        let (error, delta) = (path("line m0"), path("line m1"));
        // Three decades high; two wide: what is zero lies at the bottom, the middle is in the middle.
        let near = |a: f64, b: f64| assert!((a - b).abs() < 0.25, "{a} {b} in {svg}");
        near(error[0].0 + error[2].0, 2.0 * error[1].0);
        near(error[2].1 - error[0].1, 3.0 * (error[1].1 - error[0].1));
        near(delta[1].1, error[2].1);
        near(delta[0].1, error[1].1);
        for label in [">100%<", ">10%<", ">1%<", ">0.1%<", ">100<", ">1000<", ">10000<"] {
            assert!(svg.contains(label), "{label} in {svg}");
        }
    }

    #[test]
    fn any_history_gives_a_finite_plot() {
        for rounds in [
            vec![],
            vec![round(0, 0.0, 0.0)],
            vec![round(15, 1e-300, 1e12), round(15, 1.0, f64::INFINITY)],
            vec![round(15, 0.5, 0.5), round(40_000_000, 0.5, 0.5)],
        ] {
            for tolerance in [1e-30, 0.01, 5.0] {
                let svg = convergence(&rounds, tolerance, "");
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            }
        }
    }
}
