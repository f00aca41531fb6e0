//! How probable models find their answers: option by option, and against how often they are right.

use super::axis::Axis;
use super::canvas::Ink;
use super::sheet::{Sheet, WIDTH};
use crate::analysis::calibration::Bin;

/// Mean probability of each option, a mark a model, over how often the option is the right one, as an area.
pub fn option_probabilities(
    letters: &[String],
    right: &[Option<f64>],
    models: &[Vec<Option<f64>>],
    told: &str,
) -> String {
    let all = models.iter().flatten().chain(right).flatten();
    let most = all.copied().fold(0.0, f64::max);
    let sheet = Sheet {
        size: (WIDTH, 216),
        labels: (40, 34),
        x: Axis::names(letters, "option"),
        y: Axis::share_up_to(most, ""),
    };
    // Marks of several models are next to each other.
    let beside = |model: usize| {
        let step = 0.7 / models.len().max(1) as f64;
        (model as f64 + 0.5) * step - 0.35
    };
    sheet.draw(told, |pen| {
        for (option, share) in right.iter().enumerate() {
            if let Some(share) = share.filter(|share| *share > 0.0) {
                pen.area(Ink::Back, (option as f64 - 0.42, 0.0), (option as f64 + 0.42, share));
            }
        }
        for (model, means) in models.iter().enumerate() {
            for (option, mean) in means.iter().enumerate() {
                if let Some(mean) = mean {
                    pen.mark(model as u8, (option as f64 + beside(model), *mean));
                }
            }
        }
    })
}

/// Accuracy against confidence, a mark a bin with its interval; on the diagonal a model is as sure as it is right.
pub fn calibration(bins: &[Bin], told: &str) -> String {
    let sheet = Sheet {
        size: (WIDTH, 236),
        labels: (52, 34),
        x: Axis::share("confidence"),
        y: Axis::share("right"),
    };
    sheet.draw(told, |pen| {
        pen.line(Ink::Bound, [(0.0, 0.0), (1.0, 1.0)]);
        let known = || {
            bins.iter().filter_map(|bin| {
                let (x, y) = (bin.confidence.value()?, bin.accuracy.value()?);
                Some((x, y, bin.accuracy.wilson()?))
            })
        };
        for (x, _, (low, high)) in known() {
            pen.line(Ink::Range(0), [(x, low), (x, high)]);
        }
        for (x, y, _) in known() {
            pen.mark(0, (x, y));
        }
    })
}
