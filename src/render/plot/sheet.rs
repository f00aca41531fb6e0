//! One plot: its size, its axes, and a pen that draws in the data's own numbers.
//!
//! This is the only place that talks to plotters, which places axes, labels and elements; [`super::canvas`] writes them
//! down.

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::cartesian::Cartesian2d;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, EmptyElement, PathElement, Pixel, Polygon, Rectangle, Text, TriangleMarker};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontDesc, FontFamily, FontStyle, TextStyle};

use super::axis::{Axis, Coordinate};
use super::canvas::{Canvas, Ink, TEXT, UNIT};
use crate::render::text::escape;

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
    /// The plot as inline SVG. `told` describes it in words.
    pub fn draw(self, told: &str, series: impl FnOnce(&mut Pen<'_, '_, '_>)) -> String {
        let opening = format!("class=\"plot\" role=\"img\" aria-label=\"{}\"", escape(told));
        self.svg(&opening, series)
    }

    /// A key: a tiny plot, next to words that explain it.
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

    /// The area between two lines over the same places: (x, lower, upper).
    pub fn band(&mut self, ink: Ink, points: &[(f64, f64, f64)]) {
        if points.len() < 2 {
            return;
        }
        let upper = points.iter().map(|&(x, _, high)| self.at((x, high)));
        let lower = points.iter().rev().map(|&(x, low, _)| self.at((x, low)));
        let corners: Vec<(f64, f64)> = upper.chain(lower).collect();
        let band = Polygon::new(corners, ink.colour().filled());
        self.chart.plotting_area().draw(&band).expect(MEMORY);
    }

    /// A small dot.
    pub fn dot(&mut self, series: u8, point: (f64, f64)) {
        let dot = Pixel::new(self.at(point), Ink::Dots(series).colour());
        self.chart.plotting_area().draw(&dot).expect(MEMORY);
    }

    /// A mark that shows its series by colour and by shape: circle, square, triangle, diamond, hourglass, small circle.
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
    use crate::render::plot::axis::{percent_decade, plain_decade};

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
            Axis::over(values.into_iter(), ""),
            Axis::over([0.25; 3].into_iter(), ""),
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
                    pen.band(Ink::Back, &values.map(|value| (value, value, value)));
                });
                assert!(
                    !svg.contains("NaN") && !svg.contains("inf") && svg.len() < 7000,
                    "{svg}"
                );
                assert!(
                    svg.contains("aria-label=\"a &quot;b&quot;\"") && !svg.contains("style=") && !svg.contains(" id=")
                );
            }
        }
    }
}
