//! Tiny drawings within tables, each beside the number it shows: hidden from screen readers, which read the number.
//! Plots, which have axes and say in words what they show, are [`crate::render::plot`]'s.
//!
//! Lengths are attributes of the SVG, so that a strict Content-Security-Policy needs no exception for inline styles.

use std::fmt::Write;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_share() {
        assert!(bar(0.25).contains("d=\"M0 5h25.0\""));
        assert!(bar(7.0).contains("h100.0"));
        assert!(interval(0.5, (0.25, 0.75), Some(1.0 / 6.0)).contains("M50.0 8H150.0"));
    }
}
