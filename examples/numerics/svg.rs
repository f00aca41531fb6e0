//! Plots as SVG: axes, grid, lines, dots. Just what the three pictures need; the same text for the same numbers.

use std::fmt::Write as _;

/// Colours that people who do not see some colours can tell apart (Okabe and Ito).
pub const BLUE: &str = "#0072b2";
pub const RED: &str = "#d55e00";
pub const GREEN: &str = "#009e73";
pub const PURPLE: &str = "#a2487e";
const INK: &str = "#24292f";
const FAINT: &str = "#e3e6ea";

/// One side of a plot.
pub struct Axis {
    pub label: &'static str,
    pub from: f64,
    pub to: f64,
    /// Where lines and numbers stand.
    pub ticks: Vec<f64>,
    pub log: bool,
}

impl Axis {
    /// With ticks every `step`.
    pub fn linear(label: &'static str, from: f64, to: f64, step: f64) -> Self {
        let count = ((to - from) / step + 1e-9).floor() as usize;
        Self {
            label,
            from,
            to,
            ticks: (0..=count).map(|i| from + step * i as f64).collect(),
            log: false,
        }
    }

    /// From 10^`from` to 10^`to`, with ticks every `step` powers.
    pub fn powers(label: &'static str, from: i32, to: i32, step: usize) -> Self {
        Self {
            label,
            from: 10f64.powi(from),
            to: 10f64.powi(to),
            ticks: (from..=to).rev().step_by(step).map(|k| 10f64.powi(k)).collect(),
            log: true,
        }
    }

    /// Where a value stands, 0 at the beginning, 1 at the end, or beyond.
    fn share(&self, value: f64) -> f64 {
        if self.log {
            (value / self.from).ln() / (self.to / self.from).ln()
        } else {
            (value - self.from) / (self.to - self.from)
        }
    }

    fn tick(&self, value: f64) -> String {
        if value == 0.0 {
            return "0".to_owned();
        }
        let power = value.log10();
        if !self.log || (1.0..10_000.0).contains(&value) {
            // As many digits as the number has.
            let digits = (0..4).find(|&d| (value - rounded(value, d)).abs() < 1e-9 * value.abs());
            return format!("{value:.*}", digits.unwrap_or(4));
        }
        format!(
            r#"10<tspan dy="-5" font-size="9">{}</tspan>"#,
            format!("{power:.0}").replace('-', "−")
        )
    }
}

fn rounded(value: f64, digits: usize) -> f64 {
    let scale = 10f64.powi(digits as i32);
    (value * scale).round() / scale
}

/// How a mark looks that stands for several: its colour and what the legend says.
#[derive(Clone, Copy)]
pub struct Style {
    pub colour: &'static str,
    pub name: &'static str,
}

/// One plot of a picture.
pub struct Plot {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
    x: Axis,
    y: Axis,
    body: String,
}

impl Plot {
    /// Its frame, axes and grid.
    pub fn new([left, top, width, height]: [f64; 4], x: Axis, y: Axis) -> Self {
        let mut plot = Self {
            left,
            top,
            width,
            height,
            x,
            y,
            body: String::new(),
        };
        plot.axes();
        plot
    }

    fn axes(&mut self) {
        let (bottom, right) = (self.top + self.height, self.left + self.width);
        let mut axes = String::new();
        for &tick in &self.x.ticks {
            let (x, label) = (self.at(tick, self.y.from).0, self.x.tick(tick));
            let _ = write!(
                axes,
                "<path d=\"M{x:.1} {:.1}V{bottom:.1}\" stroke=\"{FAINT}\"/>\n\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>\n",
                self.top,
                bottom + 17.0
            );
        }
        for &tick in &self.y.ticks {
            let (y, label) = (self.at(self.x.from, tick).1, self.y.tick(tick));
            let _ = write!(
                axes,
                "<path d=\"M{:.1} {y:.1}H{right:.1}\" stroke=\"{FAINT}\"/>\n\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>\n",
                self.left,
                self.left - 7.0,
                y + 4.0
            );
        }
        let _ = write!(
            axes,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"none\" stroke=\"{INK}\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n\
             <text transform=\"translate({:.1} {:.1})rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
            self.left,
            self.top,
            self.width,
            self.height,
            self.left + self.width / 2.0,
            bottom + 38.0,
            self.x.label,
            self.left - 52.0,
            self.top + self.height / 2.0,
            self.y.label
        );
        self.body += &axes;
    }

    /// A place in the picture.
    fn place(&self, x: f64, y: f64) -> (f64, f64) {
        (
            self.left + self.width * self.x.share(x),
            self.top + self.height * (1.0 - self.y.share(y)),
        )
    }

    /// Likewise, but what lies outside of the plot is moved to its edge.
    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let (x, y) = self.place(x, y);
        (
            x.clamp(self.left, self.left + self.width),
            y.clamp(self.top, self.top + self.height),
        )
    }

    /// A curve; `dash` as SVG has it.
    pub fn line(&mut self, points: &[(f64, f64)], colour: &str, dash: &str) {
        let place = |&(x, y): &(f64, f64)| {
            let (x, y) = self.at(x, y);
            format!("{x:.1},{y:.1}")
        };
        let points: Vec<String> = points.iter().map(place).collect();
        let _ = writeln!(
            self.body,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\" stroke-dasharray=\"{dash}\"/>",
            points.join(" ")
        );
    }

    /// Dots, see-through where they are many.
    pub fn dots(&mut self, points: &[(f64, f64)], colour: &str, radius: f64, opacity: f64) {
        let _ = writeln!(self.body, "<g fill=\"{colour}\" fill-opacity=\"{opacity}\">");
        for &(x, y) in points {
            let (x, y) = self.at(x, y);
            let _ = writeln!(self.body, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\"/>");
        }
        self.body += "</g>\n";
    }

    /// A stroke across the plot for each x: where a rule has its nodes.
    pub fn strokes(&mut self, xs: &[f64], colour: &str) {
        let mut path = String::new();
        for &x in xs {
            if x >= self.x.from {
                let _ = write!(path, "M{:.1} {:.1}v{:.1}", self.at(x, 0.0).0, self.top, self.height);
            }
        }
        let _ = writeln!(
            self.body,
            "<path d=\"{path}\" stroke=\"{colour}\" stroke-width=\"0.7\"/>"
        );
    }

    /// Words at a place, to the right of it (`start`), around it (`middle`) or to the left (`end`).
    pub fn text(&mut self, (x, y): (f64, f64), anchor: &str, colour: &str, text: &str) {
        let (x, y) = self.place(x, y);
        let _ = writeln!(
            self.body,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{text}</text>"
        );
    }

    /// Says what the colours mean, from a corner that is `right` and `down` of the plot's.
    pub fn legend(&mut self, (right, down): (f64, f64), entries: &[Style]) {
        for (row, Style { colour, name }) in entries.iter().enumerate() {
            let (x, y) = (self.left + right, self.top + down + 18.0 * row as f64);
            let _ = writeln!(
                self.body,
                "<circle cx=\"{x:.1}\" cy=\"{:.1}\" r=\"4.5\" fill=\"{colour}\"/><text x=\"{:.1}\" y=\"{y:.1}\">{name}</text>",
                y - 4.0,
                x + 10.0
            );
        }
    }
}

/// A picture of several plots, on a white ground of its own so that it is legible on a dark page too.
pub fn picture(width: f64, height: f64, told: &str, plots: &[Plot]) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\" font-family=\"system-ui, 'DejaVu Sans', sans-serif\" font-size=\"12\" fill=\"{INK}\">\n\
         <title>{told}</title>\n<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    for plot in plots {
        svg += &plot.body;
    }
    svg + "</svg>\n"
}
