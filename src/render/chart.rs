//! Small figures as inline SVG, each beside the numbers it shows: hidden from screen readers, which read the numbers. A plot says
//! in words what it shows.
//!
//! Lengths are attributes of the SVG, so that a strict Content-Security-Policy needs no exception for inline styles.

use std::fmt::Write;

use crate::render::text::{escape, number};

/// A share as a bar on a track.
pub fn bar(share: f64) -> String {
    // The style sheet draws the track, and the line as thick as the bar: pages have many of these.
    format!(
        "<svg class=bar viewBox=\"0 0 100 10\" aria-hidden=true><path d=\"M0 5h{:.1}\"/></svg>",
        share.clamp(0.0, 1.0) * 100.0
    )
}

/// A share with its interval: a dot on a line, and the level of guessing as a tick where it is known.
pub fn interval(share: f64, (low, high): (f64, f64), guessing: Option<f64>) -> String {
    let at = |x: f64| x.clamp(0.0, 1.0) * 200.0;
    let mut svg = String::from(
        "<svg class=\"interval\" viewBox=\"-4 0 208 16\" aria-hidden=\"true\"><path class=\"track\" d=\"M0 8H200\"/>",
    );
    if let Some(guessing) = guessing {
        let _ = write!(svg, "<path class=\"tick\" d=\"M{:.1} 2V14\"/>", at(guessing));
    }
    let _ = write!(
        svg,
        "<path class=\"range\" d=\"M{:.1} 8H{:.1}\"/><circle class=\"dot\" cx=\"{:.1}\" cy=\"8\" r=\"4\"/></svg>",
        at(low),
        at(high),
        at(share)
    );
    svg
}

/// Shares that add up to one, as one divided bar; the classes `s0` … `s9` repeat.
pub fn stacked(shares: &[f64]) -> String {
    let mut svg = String::from(
        "<svg class=\"stacked\" viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">",
    );
    let mut x = 0.0;
    for (index, share) in shares.iter().enumerate() {
        let width = share.clamp(0.0, 1.0) * 100.0;
        let _ = write!(
            svg,
            "<rect class=\"s{}\" x=\"{x:.2}\" width=\"{width:.2}\" height=\"10\"/>",
            index % 10
        );
        x += width;
    }
    svg + "</svg>"
}

/// A state of an estimate on its way, for [`convergence`].
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// Spent so far.
    pub evaluations: usize,
    /// The relative error estimate.
    pub error: Option<f64>,
    /// |delta| relative to |F(input) − F(baseline)|.
    pub delta: Option<f64>,
}

/// Left, top, right and bottom of the plot's own area, in a view of 360 × 208.
const AREA: (f64, f64, f64, f64) = (46.0, 10.0, 350.0, 168.0);
/// Values that are smaller by more decades than these lie on the bottom line.
const DECADES: i32 = 8;

/// How an estimate converged: error (dots on a line) and delta (squares on a dashed line) against evaluations, both axes
/// logarithmic, with the tolerance as a line. `told` says the same in words.
pub fn convergence(rounds: &[Round], tolerance: f64, told: &str) -> String {
    let (left, top, right, bottom) = AREA;
    let values = || rounds.iter().flat_map(|round| [round.error, round.delta]).flatten();
    let positive = || {
        values()
            .chain([tolerance])
            .filter(|value| value.is_finite() && *value > 0.0)
    };
    let high = positive().fold(f64::MIN_POSITIVE, f64::max).log10().ceil() as i32;
    let low = positive().fold(f64::INFINITY, f64::min).log10().floor() as i32;
    let low = low.min(high - 1).max(high - DECADES);
    let y = |value: f64| {
        let share = (value.max(f64::MIN_POSITIVE).log10() - f64::from(low)) / f64::from(high - low);
        bottom - share.clamp(0.0, 1.0) * (bottom - top)
    };
    let ends = |evaluations: Option<&Round>| evaluations.map_or(1.0, |round| round.evaluations.max(1) as f64);
    let (first, last) = (ends(rounds.first()), ends(rounds.last()));
    let x = |evaluations: f64| {
        // A single round stands in the middle.
        let share = if last > first {
            (evaluations / first).ln() / (last / first).ln()
        } else {
            0.5
        };
        left + 8.0 + share.clamp(0.0, 1.0) * (right - left - 16.0)
    };
    let mut svg = format!(
        "<svg class=\"plot\" viewBox=\"0 0 360 208\" role=\"img\" aria-label=\"{}\">",
        escape(told)
    );
    let every = if high - low > 4 { 2 } else { 1 };
    for decade in (low..=high).rev() {
        let at = y(10f64.powi(decade));
        let _ = write!(svg, "<path class=\"grid\" d=\"M{left} {at:.1}H{right}\"/>");
        if (high - decade) % every == 0 {
            let _ = write!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                left - 6.0,
                at + 4.0,
                decade_label(decade)
            );
        }
    }
    for tick in ticks(first, last) {
        let at = x(tick);
        let _ = write!(
            svg,
            "<path class=\"grid\" d=\"M{at:.1} {bottom}v4\"/><text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{tick}</text>",
            bottom + 17.0
        );
    }
    let _ = write!(
        svg,
        "<text x=\"{:.1}\" y=\"205\" text-anchor=\"middle\">evaluations, logarithmic</text>\
         <path class=\"bound\" d=\"M{left} {1:.1}H{right}\"/>",
        (left + right) / 2.0,
        y(tolerance)
    );
    let points = |value: fn(&Round) -> Option<f64>| -> Vec<(f64, f64)> {
        let point = |round: &Round| {
            Some((
                x(round.evaluations as f64),
                y(value(round).filter(|value| value.is_finite())?),
            ))
        };
        rounds.iter().filter_map(point).collect()
    };
    let (delta, error) = (points(|round| round.delta), points(|round| round.error));
    line("delta", &delta, &mut svg);
    for (x, y) in &delta {
        let _ = write!(
            svg,
            "<rect class=\"delta\" x=\"{:.1}\" y=\"{:.1}\" width=\"6\" height=\"6\"/>",
            x - 3.0,
            y - 3.0
        );
    }
    line("error", &error, &mut svg);
    for (x, y) in &error {
        let _ = write!(svg, "<circle class=\"error\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.2\"/>");
    }
    svg + "</svg>"
}

/// The keys of [`convergence`]: class, and what it draws.
pub fn convergence_key(class: &str) -> String {
    let sign = match class {
        "error" => "<circle class=\"error\" cx=\"14\" cy=\"6\" r=\"3.2\"/>",
        "delta" => "<rect class=\"delta\" x=\"11\" y=\"3\" width=\"6\" height=\"6\"/>",
        _ => "",
    };
    format!(
        "<svg class=\"plot key\" viewBox=\"0 0 28 12\" aria-hidden=\"true\"><path class=\"{class}\" d=\"M0 6H28\"/>{sign}</svg>"
    )
}

fn line(class: &str, points: &[(f64, f64)], svg: &mut String) {
    if points.len() > 1 {
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        let _ = write!(svg, "<path class=\"{class}\" d=\"M{}\"/>", path.join("L"));
    }
}

fn decade_label(decade: i32) -> String {
    match decade {
        -2..=2 => format!("{}%", 10i64.pow((decade + 2) as u32)),
        -5..-2 => format!("{:.*}%", (-2 - decade) as usize, 10f64.powi(decade + 2)),
        _ => number(10f64.powi(decade)).replace("1.00e", "1e"),
    }
}

/// Round numbers between two ends, few enough to stand beside each other; the ends themselves where there are none.
fn ticks(first: f64, last: f64) -> Vec<f64> {
    let between = |steps: &[f64]| -> Vec<f64> {
        (0..12)
            .flat_map(|decade| steps.iter().map(move |step| step * 10f64.powi(decade)))
            .filter(|tick| (first..=last).contains(tick))
            .collect()
    };
    let choices = [between(&[1.0, 2.0, 5.0]), between(&[1.0, 3.0]), between(&[1.0])];
    choices
        .into_iter()
        .find(|ticks| (2..=6).contains(&ticks.len()))
        .unwrap_or_else(|| vec![first, last])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(evaluations: usize, error: f64, delta: f64) -> Round {
        Round {
            evaluations,
            error: Some(error),
            delta: Some(delta),
        }
    }

    #[test]
    fn a_plot_has_its_points_at_their_logarithms() {
        let rounds = [round(100, 1.0, 0.1), round(1000, 0.1, 0.0), round(10_000, 0.001, 0.01)];
        let svg = convergence(&rounds, 0.01, "It \"fell\".");
        assert!(svg.contains("role=\"img\" aria-label=\"It &quot;fell&quot;.\""));
        // Three decades on the height of 158, two on the width of 288; what is zero lies at the bottom.
        assert!(
            svg.contains("<path class=\"error\" d=\"M54.0 10.0L198.0 62.7L342.0 168.0\"/>"),
            "{svg}"
        );
        assert!(
            svg.contains("<path class=\"delta\" d=\"M54.0 62.7L198.0 168.0L342.0 115.3\"/>"),
            "{svg}"
        );
        assert!(svg.contains("<path class=\"bound\" d=\"M46 115.3H350\"/>"), "{svg}");
        for label in [">100%<", ">10%<", ">1%<", ">0.1%<", ">100<", ">1000<", ">10000<"] {
            assert!(svg.contains(label), "{label} in {svg}");
        }
    }

    #[test]
    fn a_plot_of_anything_is_finite() {
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
        assert_eq!(ticks(100.0, 110.0), [100.0, 110.0]);
        assert_eq!(decade_label(-6), "1e−6");
    }

    #[test]
    fn bars_are_as_long_as_their_share() {
        assert!(bar(0.25).contains("d=\"M0 5h25.0\""));
        assert!(bar(7.0).contains("h100.0"));
        assert!(interval(0.5, (0.25, 0.75), Some(1.0 / 6.0)).contains("M50.0 8H150.0"));
        assert!(stacked(&[0.5, 0.5]).contains("x=\"50.00\" width=\"50.00\""));
    }
}
