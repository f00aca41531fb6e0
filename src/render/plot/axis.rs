//! Axes: where a value is, and which round numbers are written at it.

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::RangedCoordf64;

use crate::render::text::{decimals, number};

/// One direction of a plot.
#[derive(Clone, Debug)]
pub struct Axis {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) logarithmic: bool,
    pub(super) grid: bool,
    /// Place and what it says.
    ticks: Vec<(f64, String)>,
    pub(super) title: String,
}

impl Axis {
    /// From `low` to `high`, without ticks.
    pub fn plain(low: f64, high: f64) -> Self {
        Self {
            low,
            high,
            logarithmic: false,
            grid: true,
            ticks: Vec::new(),
            title: String::new(),
        }
    }

    /// From nothing to all, in quarters.
    pub fn share(title: &str) -> Self {
        let ticks = (0..=4).map(|quarter| (f64::from(quarter) / 4.0, format!("{}%", 25 * quarter)));
        Self {
            ticks: ticks.collect(),
            ..Self::plain(0.0, 1.0).titled(title)
        }
    }

    /// From nothing to a share that holds `most`, in steps of a round number of percent.
    pub fn share_up_to(most: f64, title: &str) -> Self {
        let step = [1, 2, 5, 10, 20, 25]
            .into_iter()
            .find(|step| most * 100.0 <= f64::from(step * 5));
        let step = step.unwrap_or(25);
        let count = ((most * 100.0 / f64::from(step)).ceil() as i32).clamp(1, 100 / step);
        let ticks = (0..=count).map(|n| (f64::from(n * step) / 100.0, format!("{}%", n * step)));
        Self {
            ticks: ticks.collect(),
            ..Self::plain(0.0, f64::from(count * step) / 100.0).titled(title)
        }
    }

    /// Both signs, round numbers at the ends and in between; wide enough for all of `values`.
    pub fn signed(values: impl Iterator<Item = f64>, title: &str) -> Self {
        let most = values
            .filter(|v| v.is_finite())
            .fold(0.0f64, |most, v| most.max(v.abs()));
        let most = if most > 0.0 { most } else { 1.0 };
        let decade = 10f64.powf((most / 2.0).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|s| s * decade)
            .find(|s| s * 2.0 >= most);
        let step = step.unwrap_or(most / 2.0);
        let ticks =
            [-2.0, -1.0, 0.0, 1.0, 2.0].map(|n| (n * step, if n == 0.0 { "0".to_owned() } else { short(n * step) }));
        Self {
            ticks: ticks.into(),
            ..Self::plain(-2.0 * step, 2.0 * step).titled(title)
        }
    }

    /// Linear from a round number to a round number, wide enough for all of `values`, with some of them between.
    pub fn over(values: impl Iterator<Item = f64>, title: &str) -> Self {
        let (low, high) = values
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
        let span = (high - low)
            .max(low.abs().max(high.abs()) * 1e-9)
            .max(f64::MIN_POSITIVE * 1e9);
        let decade = 10f64.powf((span / 5.0).log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * decade);
        let step = steps.into_iter().find(|step| span / step <= 5.0).unwrap_or(span);
        let (from, to) = ((low / step).floor(), (high / step).ceil());
        let to = if to > from { to } else { from + 1.0 };
        // The step has one digit that is not zero, so that many decimals say it.
        let places = (-decade.log10()).max(0.0).round();
        let tick = |n: f64| {
            let value = n * step;
            let text = if places > 6.0 || value.abs() >= 1e6 {
                short(value)
            } else {
                decimals(value, places as usize)
            };
            (value, text)
        };
        let count = (to - from) as usize;
        Self {
            ticks: (0..=count).map(|n| tick(from + n as f64)).collect(),
            ..Self::plain(from * step, to * step).titled(title)
        }
    }

    /// Whole decades that hold all of `values`, at most `decades` of them, the lowest of which takes what is smaller.
    pub fn decades(values: impl Iterator<Item = f64>, decades: i32, title: &str, label: fn(i32) -> String) -> Self {
        let (mut low, mut high) = (f64::INFINITY, 0.0f64);
        for value in values.filter(|value| value.is_finite() && *value > 0.0) {
            (low, high) = (low.min(value), high.max(value));
        }
        let top = if high > 0.0 { high.log10().ceil() as i32 } else { 0 };
        let bottom = if low.is_finite() {
            low.log10().floor() as i32
        } else {
            top - 1
        };
        let bottom = bottom.min(top - 1).max(top - decades);
        let every = (top - bottom) / 5 + 1;
        let mark = |decade: i32| {
            let text = if (top - decade) % every == 0 {
                label(decade)
            } else {
                String::new()
            };
            (f64::from(decade), text)
        };
        Self {
            ticks: (bottom..=top).map(mark).collect(),
            logarithmic: true,
            ..Self::plain(f64::from(bottom), f64::from(top)).titled(title)
        }
    }

    /// Logarithmic from the first to the last of some counts, with round numbers between.
    pub fn counts(first: f64, last: f64, title: &str) -> Self {
        let (first, last) = (first.max(1.0), last.max(1.0));
        let pad = ((last / first).log10() * 0.03).max(0.02);
        let ticks = round_numbers(first, last);
        Self {
            ticks: ticks.into_iter().map(|tick| (tick.log10(), short(tick))).collect(),
            logarithmic: true,
            ..Self::plain(first.log10() - pad, last.log10() + pad).titled(title)
        }
    }

    /// One place for each name, from 0.
    pub fn names(names: &[String], title: &str) -> Self {
        Self {
            ticks: names
                .iter()
                .enumerate()
                .map(|(n, name)| (n as f64, name.clone()))
                .collect(),
            ..Self::plain(-0.5, names.len().max(1) as f64 - 0.5).titled(title)
        }
    }

    /// Without lines behind the data.
    pub fn without_grid(&mut self) {
        self.grid = false;
    }

    fn titled(mut self, title: &str) -> Self {
        self.title = title.to_owned();
        self
    }

    /// Where a value lies, within the axis.
    pub(super) fn at(&self, value: f64) -> f64 {
        let value = if self.logarithmic {
            value.max(f64::MIN_POSITIVE).log10()
        } else {
            value
        };
        let value = if value.is_nan() { self.low } else { value };
        value.clamp(self.low, self.high)
    }

    pub(super) fn label(&self, place: f64) -> String {
        let tick = self.ticks.iter().find(|(at, _)| *at == place);
        tick.map_or_else(String::new, |(_, text)| text.clone())
    }

    pub(super) fn coordinate(&self) -> Coordinate {
        Coordinate {
            places: (self.low..self.high).into(),
            ticks: self.ticks.iter().map(|(at, _)| *at).collect(),
        }
    }
}

/// An axis as plotters knows it: its own for numbers, with our ticks and none between.
#[derive(Clone)]
pub struct Coordinate {
    places: RangedCoordf64,
    ticks: Vec<f64>,
}

impl Ranged for Coordinate {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.places.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            Vec::new()
        } else {
            self.ticks.clone()
        }
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.places.range()
    }
}

/// Numbers like 100, 200, 500 between two ends, few enough to fit next to each other; the ends themselves where there
/// are none.
fn round_numbers(first: f64, last: f64) -> Vec<f64> {
    let between = |steps: &[f64]| -> Vec<f64> {
        (0..12)
            .flat_map(|decade| steps.iter().map(move |step| step * 10f64.powi(decade)))
            .filter(|tick| (first..=last).contains(tick))
            .collect()
    };
    let choices = [between(&[1.0, 2.0, 5.0]), between(&[1.0, 3.0]), between(&[1.0])];
    let ends = if first == last { vec![first] } else { vec![first, last] };
    choices
        .into_iter()
        .find(|ticks| (2..=6).contains(&ticks.len()))
        .unwrap_or(ends)
}

/// A number with a true minus sign, no more digits than it needs.
fn short(value: f64) -> String {
    let text = number(value);
    if text.contains('.') && !text.contains('e') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A decade of a share.
pub fn percent_decade(decade: i32) -> String {
    match decade {
        -2..=2 => format!("{}%", 10i64.pow((decade + 2) as u32)),
        -5..-2 => format!("{:.*}%", (-2 - decade) as usize, 10f64.powi(decade + 2)),
        _ => plain_decade(decade),
    }
}

/// A decade of a number.
pub fn plain_decade(decade: i32) -> String {
    match decade {
        -3..=3 => short(10f64.powi(decade)),
        ..-3 => format!("1e−{}", -decade),
        _ => format!("1e{decade}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_numbers() {
        let texts = |axis: &Axis| axis.ticks.iter().map(|(_, text)| text.clone()).collect::<Vec<_>>();
        assert_eq!(texts(&Axis::share_up_to(0.31, "")), ["0%", "10%", "20%", "30%", "40%"]);
        assert_eq!(
            texts(&Axis::share_up_to(1.0, "")),
            ["0%", "20%", "40%", "60%", "80%", "100%"]
        );
        assert_eq!(
            texts(&Axis::signed([0.3, -0.02].into_iter(), "")),
            ["−0.4", "−0.2", "0", "0.2", "0.4"]
        );
        assert_eq!(texts(&Axis::counts(120.0, 705.0, "")), ["200", "500"]);
        assert_eq!(
            texts(&Axis::decades([0.02, 5.0].into_iter(), 8, "", percent_decade)),
            ["1%", "10%", "100%", "1000%"]
        );
        assert_eq!(
            texts(&Axis::over([0.03, 0.574].into_iter(), "")),
            ["0.0", "0.2", "0.4", "0.6"]
        );
        assert_eq!(
            texts(&Axis::over([-3.2, -11.0].into_iter(), "")),
            ["−12", "−10", "−8", "−6", "−4", "−2"]
        );
        assert_eq!(texts(&Axis::over([].into_iter(), "")).len(), 6);
        assert_eq!(round_numbers(100.0, 110.0), [100.0, 110.0]);
        assert_eq!(
            [
                percent_decade(-6),
                percent_decade(-3),
                plain_decade(0),
                plain_decade(-4)
            ],
            ["1e−6", "0.1%", "1", "1e−4"]
        );
    }
}
