//! One plot: its size, its axes, and a pen that draws in the data's own numbers.
//!
//! This is the only place that talks to plotters, which places axes, labels and elements; [`super::canvas`] writes them down.

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::RangedCoordf64;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, EmptyElement, PathElement, Pixel, Polygon, Rectangle, Text, TriangleMarker};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontDesc, FontFamily, FontStyle, TextStyle};

use super::canvas::{Canvas, Ink, TEXT, UNIT};
use crate::render::text::{escape, number};

/// One direction of a plot.
#[derive(Clone, Debug)]
pub struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
    grid: bool,
    /// Place and what it says.
    ticks: Vec<(f64, String)>,
    title: String,
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
    fn at(&self, value: f64) -> f64 {
        let value = if self.logarithmic {
            value.max(f64::MIN_POSITIVE).log10()
        } else {
            value
        };
        let value = if value.is_nan() { self.low } else { value };
        value.clamp(self.low, self.high)
    }

    fn label(&self, place: f64) -> String {
        let tick = self.ticks.iter().find(|(at, _)| *at == place);
        tick.map_or_else(String::new, |(_, text)| text.clone())
    }

    fn coordinate(&self) -> Coordinate {
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

/// Numbers like 100, 200, 500 between two ends, few enough to stand beside each other; the ends themselves where there are none.
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
        ..0 => format!("1e−{}", -decade),
        _ => format!("1e{decade}"),
    }
}

/// What a plot is drawn on.
pub struct Sheet {
    /// Width and height in units.
    pub size: (u32, u32),
    /// Room for the labels on the left and below, in units; none for an axis without labels.
    pub labels: (u32, u32),
    /// Left to right.
    pub x: Axis,
    /// Bottom to top.
    pub y: Axis,
}

/// Width of every plot but keys: a phone's screen, so that 11.5 units of text are about 11 pixels there.
pub const WIDTH: u32 = 336;

type Area<'o> = DrawingArea<Canvas<'o>, plotters::coord::Shift>;
type Chart<'a, 'o> = ChartContext<'a, Canvas<'o>, Cartesian2d<Coordinate, Coordinate>>;

const MEMORY: &str = "writing to memory does not fail, and the areas have room";

impl Sheet {
    /// The plot as inline SVG. `told` says in words what it shows.
    pub fn draw(self, told: &str, series: impl FnOnce(&mut Pen<'_, '_, '_>)) -> String {
        let opening = format!("class=\"plot\" role=\"img\" aria-label=\"{}\"", escape(told));
        self.svg(&opening, series)
    }

    /// A key: a plot of next to nothing, beside words that say what it means.
    pub fn key(series: impl FnOnce(&mut Pen<'_, '_, '_>)) -> String {
        let sheet = Self {
            size: (28, 12),
            labels: (0, 0),
            x: Axis::plain(0.0, 28.0),
            y: Axis::plain(0.0, 12.0),
        };
        sheet.svg("class=\"plot key\" aria-hidden=\"true\"", series)
    }

    fn svg(self, opening: &str, series: impl FnOnce(&mut Pen<'_, '_, '_>)) -> String {
        let (width, height) = self.size;
        let mut svg = format!("<svg {opening} viewBox=\"0 0 {width} {height}\">");
        let area: Area<'_> = Canvas::new(&mut svg, self.size).into_drawing_area();
        let pixels = |units: u32| units as i32 * UNIT;
        let margin = if self.labels == (0, 0) { 0 } else { 8 };
        let mut chart = ChartBuilder::on(&area)
            .margin_top(pixels(margin))
            .margin_right(pixels(margin + margin / 2))
            // Labels below are centred on their ticks, the first one on the very left.
            .margin_left(pixels(if self.labels.0 == 0 { margin + margin / 2 } else { 0 }))
            .x_label_area_size(pixels(self.labels.1))
            .y_label_area_size(pixels(self.labels.0))
            .build_cartesian_2d(self.x.coordinate(), self.y.coordinate())
            .expect(MEMORY);
        let text = style(Ink::Label, HPos::Left);
        let (x_label, y_label) = (|at: &f64| self.x.label(*at), |at: &f64| self.y.label(*at));
        let mut mesh = chart.configure_mesh();
        mesh.bold_line_style(Ink::Grid.colour())
            .light_line_style(Ink::Grid.colour())
            .axis_style(Ink::Axis.colour())
            .label_style(text.clone())
            .axis_desc_style(text)
            .set_all_tick_mark_size(3 * UNIT)
            .x_label_formatter(&x_label)
            .y_label_formatter(&y_label);
        if !self.x.title.is_empty() {
            mesh.x_desc(self.x.title.as_str());
        }
        if !self.y.title.is_empty() {
            mesh.y_desc(self.y.title.as_str());
        }
        if self.labels.0 == 0 {
            mesh.disable_y_axis();
        }
        if self.labels.1 == 0 {
            mesh.disable_x_axis();
        }
        if self.labels.0 == 0 || !self.y.grid {
            mesh.disable_y_mesh();
        }
        if self.labels.1 == 0 || !self.x.grid {
            mesh.disable_x_mesh();
        }
        mesh.draw().expect(MEMORY);
        let mut pen = Pen {
            chart: &mut chart,
            x: &self.x,
            y: &self.y,
        };
        series(&mut pen);
        area.present().expect(MEMORY);
        drop(chart);
        drop(area);
        svg + "</svg>"
    }
}

fn style(ink: Ink, side: HPos) -> TextStyle<'static> {
    let font = FontDesc::new(FontFamily::SansSerif, TEXT * f64::from(UNIT), FontStyle::Normal);
    TextStyle {
        font,
        color: ink.colour().to_backend_color(),
        pos: Pos::new(side, VPos::Center),
    }
}

/// Draws in the data's numbers; what lies outside the axes is drawn at their ends.
pub struct Pen<'p, 'a, 'o> {
    chart: &'p mut Chart<'a, 'o>,
    x: &'p Axis,
    y: &'p Axis,
}

impl<'o> Pen<'_, '_, 'o> {
    /// What both axes hold, where they count the same.
    pub fn common(&self) -> (f64, f64) {
        let value = |place: f64| if self.x.logarithmic { 10f64.powf(place) } else { place };
        (value(self.x.low.max(self.y.low)), value(self.x.high.min(self.y.high)))
    }

    fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (self.x.at(x), self.y.at(y))
    }

    /// A line through points.
    pub fn line(&mut self, ink: Ink, points: impl IntoIterator<Item = (f64, f64)>) {
        let points: Vec<(f64, f64)> = points.into_iter().map(|point| self.at(point)).collect();
        if points.len() > 1 {
            let line = PathElement::new(points, ink.colour());
            self.chart.plotting_area().draw(&line).expect(MEMORY);
        }
    }

    /// A rectangle between two corners.
    pub fn area(&mut self, ink: Ink, from: (f64, f64), to: (f64, f64)) {
        let area = Rectangle::new([self.at(from), self.at(to)], ink.colour().filled());
        self.chart.plotting_area().draw(&area).expect(MEMORY);
    }

    /// A small dot.
    pub fn dot(&mut self, series: u8, point: (f64, f64)) {
        let dot = Pixel::new(self.at(point), Ink::Dots(series).colour());
        self.chart.plotting_area().draw(&dot).expect(MEMORY);
    }

    /// A mark that tells its series by colour and by shape: circle, square, triangle, diamond, hourglass, small circle.
    pub fn mark(&mut self, series: u8, point: (f64, f64)) {
        let at = self.at(point);
        let (ink, size) = (Ink::Mark(series).colour().filled(), 4 * UNIT);
        let near = size * 7 / 8;
        let corners: Vec<(i32, i32)> = match series % 6 {
            0 => return self.round(at, ink, size),
            5 => return self.round(at, ink, size * 2 / 3),
            1 => vec![(-near, -near), (near, -near), (near, near), (-near, near)],
            2 => {
                let mark = TriangleMarker::new(at, size + UNIT, ink);
                return self.chart.plotting_area().draw(&mark).expect(MEMORY);
            }
            3 => vec![(0, -size - UNIT), (size + UNIT, 0), (0, size + UNIT), (-size - UNIT, 0)],
            _ => vec![(-near, -near), (near, -near), (-near, near), (near, near)],
        };
        let mark = EmptyElement::<_, Canvas<'o>>::at(at) + Polygon::new(corners, ink);
        self.chart.plotting_area().draw(&mark).expect(MEMORY);
    }

    fn round(&mut self, at: (f64, f64), ink: plotters::style::ShapeStyle, size: i32) {
        self.chart
            .plotting_area()
            .draw(&Circle::new(at, size, ink))
            .expect(MEMORY);
    }

    /// Text that begins at a place (`side` −1), is centred on it (0) or ends there (1).
    pub fn text(&mut self, ink: Ink, text: &str, point: (f64, f64), side: i8) {
        let side = match side {
            ..0 => HPos::Left,
            0 => HPos::Center,
            1.. => HPos::Right,
        };
        let text = Text::new(text, self.at(point), style(ink, side));
        self.chart.plotting_area().draw(&text).expect(MEMORY);
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

    #[test]
    fn any_numbers_give_a_finite_plot() {
        let values = [
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            0.0,
            -0.0,
            1e-300,
            1e300,
            -1.0,
        ];
        let axes = [
            Axis::share(""),
            Axis::share_up_to(f64::NAN, ""),
            Axis::signed(values.into_iter(), ""),
            Axis::decades(values.into_iter(), 8, "", percent_decade),
            Axis::decades([].into_iter(), 8, "", plain_decade),
            Axis::counts(0.0, 0.0, ""),
            Axis::counts(7.0, 4e7, ""),
            Axis::names(&[], ""),
        ];
        for x in &axes {
            for y in &axes {
                let sheet = Sheet {
                    size: (WIDTH, 200),
                    labels: (40, 34),
                    x: x.clone(),
                    y: y.clone(),
                };
                let svg = sheet.draw("a \"b\"", |pen| {
                    for value in values {
                        pen.mark(3, (value, value));
                        pen.dot(0, (value, 1.0));
                    }
                    pen.line(Ink::Line(0), values.map(|value| (value, value)));
                });
                assert!(
                    !svg.contains("NaN") && !svg.contains("inf") && svg.len() < 6000,
                    "{svg}"
                );
                assert!(
                    svg.contains("aria-label=\"a &quot;b&quot;\"") && !svg.contains("style=") && !svg.contains(" id=")
                );
            }
        }
    }
}
