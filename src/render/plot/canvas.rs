//! What plotters draws, written as SVG that style sheets can colour.
//!
//! plotters' own SVG backend fixes colours, fonts and sizes in attributes. Here a colour is not a colour but the number
//! of an [`Ink`], and becomes a class: light, dark, print and both palettes are the style sheet's. Nothing inline, no
//! ids, so a strict Content-Security-Policy and any number of plots on a page are fine.
//!
//! plotters counts in whole pixels; a pixel here is a tenth of the SVG's unit. Lines and dots of one ink that follow
//! each other share one path, which keeps pages light.

use std::convert::Infallible;
use std::fmt::Write;

use plotters::style::RGBColor;
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind, FontTransform,
};

use crate::render::text::escape_into;

/// Pixels of plotters in a unit of the SVG.
pub const UNIT: i32 = 10;
/// Size of all text, in units; the style sheet says the same.
pub const TEXT: f64 = 11.5;

/// What a shape is drawn with: a class of the style sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// Lines behind the data.
    Grid,
    /// Axes.
    Axis,
    /// A line to hold the data against: a tolerance, guessing, a diagonal.
    Bound,
    /// Words at the axes.
    Label,
    /// Words and numbers that are data.
    Strong,
    /// A grey area behind the data.
    Back,
    /// The outline of what is right.
    Right,
    /// The line of a series.
    Line(u8),
    /// The interval round a value of a series.
    Range(u8),
    /// A large mark of a series.
    Mark(u8),
    /// One of many small dots of a series.
    Dots(u8),
    /// A part of a whole.
    Part(u8),
    /// A cell, by its shade from 0 to 20: above zero.
    Positive(u8),
    /// The same below zero.
    Negative(u8),
}

impl Ink {
    const PLAIN: [(Self, &'static str); 7] = [
        (Self::Grid, "grid"),
        (Self::Axis, "axis"),
        (Self::Bound, "bound"),
        (Self::Label, ""),
        (Self::Strong, "strong"),
        (Self::Back, "back"),
        (Self::Right, "right"),
    ];
    const NUMBERED: [fn(u8) -> Self; 7] = [
        Self::Line,
        Self::Range,
        Self::Mark,
        Self::Dots,
        Self::Part,
        Self::Positive,
        Self::Negative,
    ];

    /// The ink as plotters gets it: a colour that stands for it.
    pub fn colour(self) -> RGBColor {
        let (kind, number) = match self {
            Self::Line(n) => (0, n),
            Self::Range(n) => (1, n),
            Self::Mark(n) => (2, n),
            Self::Dots(n) => (3, n),
            Self::Part(n) => (4, n),
            Self::Positive(n) => (5, n),
            Self::Negative(n) => (6, n),
            plain => {
                let place = Self::PLAIN.iter().position(|(ink, _)| *ink == plain);
                return RGBColor(255, place.unwrap_or_default() as u8, 0);
            }
        };
        RGBColor(kind, number, 0)
    }

    fn of(colour: BackendColor) -> Self {
        match colour.rgb {
            (255, place, _) => Self::PLAIN.get(usize::from(place)).map_or(Self::Label, |(ink, _)| *ink),
            (kind, number, _) => Self::NUMBERED
                .get(usize::from(kind))
                .map_or(Self::Label, |ink| ink(number)),
        }
    }

    fn write_class(self, out: &mut String) {
        let (name, number) = match self {
            Self::Line(n) => ("line m", n % 6),
            Self::Range(n) => ("range m", n % 6),
            Self::Mark(n) => ("mark m", n % 6),
            Self::Dots(n) => ("dots m", n % 6),
            Self::Part(n) => ("part s", n % 10),
            Self::Positive(n) => ("cell p", n),
            Self::Negative(n) => ("cell n", n),
            plain => {
                out.push_str(
                    Self::PLAIN
                        .iter()
                        .find(|(ink, _)| *ink == plain)
                        .map_or("", |(_, name)| name),
                );
                return;
            }
        };
        let _ = write!(out, "{name}{number}");
    }
}

/// Writes the inside of an SVG of a size in units.
pub struct Canvas<'a> {
    out: &'a mut String,
    size: (u32, u32),
    /// The ink of the path that is still open.
    open: Option<Ink>,
}

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

impl<'a> Canvas<'a> {
    /// Appends to `out`.
    pub fn new(out: &'a mut String, (width, height): (u32, u32)) -> Self {
        Self {
            out,
            size: (width * UNIT as u32, height * UNIT as u32),
            open: None,
        }
    }

    /// Continues the path of this ink, or begins one.
    fn path(&mut self, ink: Ink) -> &mut String {
        if self.open != Some(ink) {
            self.close();
            self.out.push_str("<path class=\"");
            ink.write_class(self.out);
            self.out.push_str("\" d=\"");
            self.open = Some(ink);
        }
        self.out
    }

    fn close(&mut self) {
        if self.open.take().is_some() {
            self.out.push_str("\"/>");
        }
    }

    fn begin(&mut self, tag: &str, ink: Ink) {
        self.close();
        let _ = write!(self.out, "<{tag}");
        if ink != Ink::Label {
            self.out.push_str(" class=\"");
            ink.write_class(self.out);
            self.out.push('"');
        }
    }

    fn attribute(&mut self, name: &str, value: i32) {
        let _ = write!(self.out, " {name}=\"");
        write_tenths(value, self.out);
        self.out.push('"');
    }
}

/// A number of tenths, without a zero that says nothing.
fn write_tenths(tenths: i32, out: &mut String) {
    let (whole, rest) = ((tenths / UNIT).unsigned_abs(), tenths % UNIT);
    let sign = if tenths < 0 { "-" } else { "" };
    let _ = match rest.abs() {
        0 => write!(out, "{sign}{whole}"),
        rest => write!(out, "{sign}{whole}.{rest}"),
    };
}

fn write_point((x, y): BackendCoord, out: &mut String) {
    write_tenths(x, out);
    out.push(' ');
    write_tenths(y, out);
}

impl DrawingBackend for Canvas<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        self.close();
        Ok(())
    }

    fn draw_pixel(&mut self, point: BackendCoord, colour: BackendColor) -> Drawn {
        let out = self.path(Ink::of(colour));
        out.push('M');
        write_point(point, out);
        out.push_str("h0");
        Ok(())
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Drawn {
        self.draw_path([from, to], style)
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, style: &S) -> Drawn {
        let out = self.path(Ink::of(style.color()));
        let mut last: Option<BackendCoord> = None;
        for point in path {
            match last {
                None => {
                    out.push('M');
                    write_point(point, out);
                }
                Some((_, y)) if y == point.1 => {
                    out.push('H');
                    write_tenths(point.0, out);
                }
                Some((x, _)) if x == point.0 => {
                    out.push('V');
                    write_tenths(point.1, out);
                }
                Some(_) => {
                    out.push('L');
                    write_point(point, out);
                }
            }
            last = Some(point);
        }
        Ok(())
    }

    fn draw_rect<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S, _fill: bool) -> Drawn {
        self.begin("rect", Ink::of(style.color()));
        self.attribute("x", from.0.min(to.0));
        self.attribute("y", from.1.min(to.1));
        self.attribute("width", (to.0 - from.0).abs());
        self.attribute("height", (to.1 - from.1).abs());
        self.out.push_str("/>");
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(&mut self, centre: BackendCoord, radius: u32, style: &S, _fill: bool) -> Drawn {
        self.begin("circle", Ink::of(style.color()));
        self.attribute("cx", centre.0);
        self.attribute("cy", centre.1);
        self.attribute("r", radius as i32);
        self.out.push_str("/>");
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, corners: I, style: &S) -> Drawn {
        self.draw_path(corners, style)?;
        self.out.push('Z');
        Ok(())
    }

    fn draw_text<T: BackendTextStyle>(&mut self, text: &str, style: &T, (x, y): BackendCoord) -> Drawn {
        // A tick without a label of its own.
        if text.is_empty() {
            return Ok(());
        }
        let size = TEXT * f64::from(UNIT);
        // The anchor is a place of the line of text; SVG wants its baseline.
        let down = match style.anchor().v_pos {
            VPos::Top => 0.8,
            VPos::Center => 0.35,
            VPos::Bottom => -0.2,
        };
        let down = (down * size) as i32;
        let turned = !matches!(style.transform(), FontTransform::None);
        let (x, y) = if turned { (x + down, y) } else { (x, y + down) };
        self.begin("text", Ink::of(style.color()));
        if turned {
            self.out.push_str(" transform=\"translate(");
            write_point((x, y), self.out);
            self.out.push_str(")rotate(-90)\"");
        } else {
            self.attribute("x", x);
            self.attribute("y", y);
        }
        self.out.push_str(match style.anchor().h_pos {
            HPos::Left => ">",
            HPos::Center => " text-anchor=\"middle\">",
            HPos::Right => " text-anchor=\"end\">",
        });
        escape_into(text, self.out);
        self.out.push_str("</text>");
        Ok(())
    }

    fn estimate_text_size<T: BackendTextStyle>(
        &self,
        text: &str,
        _style: &T,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        let size = TEXT * f64::from(UNIT);
        Ok(((0.55 * size * text.chars().count() as f64) as u32, size as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_stands_for_its_ink() {
        let plain = Ink::PLAIN.map(|(ink, _)| ink);
        let numbered = Ink::NUMBERED.map(|ink| ink(3));
        for ink in plain.into_iter().chain(numbered) {
            let RGBColor(r, g, b) = ink.colour();
            assert_eq!(
                Ink::of(BackendColor {
                    alpha: 1.0,
                    rgb: (r, g, b)
                }),
                ink
            );
        }
    }

    #[test]
    fn tenths_are_written_short() {
        let text = |tenths| {
            let mut out = String::new();
            write_tenths(tenths, &mut out);
            out
        };
        assert_eq!([120, 123, -5, 0, -40].map(text), ["12", "12.3", "-0.5", "0", "-4"]);
    }

    #[test]
    fn lines_of_one_ink_share_a_path() {
        let mut out = String::new();
        let mut canvas = Canvas::new(&mut out, (10, 10));
        let drawn = [
            canvas.draw_line((0, 10), (50, 10), &Ink::Grid.colour()),
            canvas.draw_line((5, 5), (5, 15), &Ink::Grid.colour()),
            canvas.draw_path([(0, 0), (11, 12)], &Ink::Line(7).colour()),
            canvas.present(),
        ];
        assert!(drawn.iter().all(Result::is_ok));
        assert_eq!(
            out,
            "<path class=\"grid\" d=\"M0 1H5M0.5 0.5V1.5\"/><path class=\"line m1\" d=\"M0 0L1.1 1.2\"/>"
        );
    }
}
