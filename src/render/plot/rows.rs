//! Plots with a row a model: its name above, what is known of it below. Names have the whole width, since models have
//! long ones.

use super::axis::Axis;
use super::canvas::Ink;
use super::sheet::{Sheet, WIDTH};
use super::short;
use crate::render::text::decimals;

/// A share with its interval.
pub struct Interval {
    /// Whose it is.
    pub name: String,
    /// The share; none where nothing was counted.
    pub share: Option<f64>,
    /// Where it may well lie.
    pub range: (f64, f64),
    /// The share with its count, in words.
    pub text: String,
}

/// Height of a row, in units.
const ROW: u32 = 34;

fn sheet(rows: usize, title: &str) -> Sheet {
    Sheet {
        size: (WIDTH, rows as u32 * ROW + 50),
        labels: (0, 34),
        x: Axis::share(title),
        y: Axis::plain(-(rows as f64), 0.0),
    }
}

/// Shares with their intervals, a row each, with guessing as a line.
pub fn accuracy(rows: &[Interval], guessing: Option<f64>, told: &str) -> String {
    sheet(rows.len(), "share of right answers").draw(told, |pen| {
        for (index, row) in rows.iter().enumerate() {
            let top = -(index as f64);
            let y = top - 0.72;
            pen.text(Ink::Strong, &short(&row.name), (0.0, top - 0.28), -1);
            pen.text(Ink::Label, &row.text, (1.0, top - 0.28), 1);
            if let Some(guessing) = guessing {
                pen.line(Ink::Bound, [(guessing, top - 0.5), (guessing, top - 0.94)]);
            }
            if let Some(share) = row.share {
                pen.line(Ink::Range(0), [(row.range.0, y), (row.range.1, y)]);
                pen.mark(0, (share, y));
            }
        }
    })
}

/// A number from 0 to 1 with its interval, and others to hold it against.
pub struct Beside {
    /// Whose it is.
    pub name: String,
    /// The number.
    pub value: f64,
    /// Where it may well lie, where that is known.
    pub range: Option<(f64, f64)>,
    /// The number in words, for who does not see the plot.
    pub text: String,
    /// The others: the series of the mark, and the number.
    pub others: Vec<(u8, f64)>,
}

/// Numbers with their intervals, a row each, with the marks of what they are held against below.
pub fn beside(rows: &[Beside], title: &str, told: &str) -> String {
    let sheet = Sheet {
        x: Axis::over([0.0, 1.0].into_iter(), title),
        ..sheet(rows.len(), "")
    };
    sheet.draw(told, |pen| {
        for (index, row) in rows.iter().enumerate() {
            let top = -(index as f64);
            pen.text(Ink::Strong, &short(&row.name), (0.0, top - 0.22), -1);
            // A name has most of the width; the interval is drawn.
            pen.text(Ink::Label, &decimals(row.value, 2), (1.0, top - 0.22), 1);
            for (series, value) in &row.others {
                pen.mark(*series, (*value, top - 0.86));
            }
            if let Some((low, high)) = row.range {
                pen.line(Ink::Range(0), [(low, top - 0.6), (high, top - 0.6)]);
            }
            pen.mark(0, (row.value, top - 0.6));
        }
    })
}

/// Parts of a whole, a row each.
pub fn stacked(rows: &[(String, Vec<f64>)], title: &str, told: &str) -> String {
    sheet(rows.len(), title).draw(told, |pen| {
        for (index, (name, parts)) in rows.iter().enumerate() {
            let top = -(index as f64);
            pen.text(Ink::Strong, &short(name), (0.0, top - 0.28), -1);
            let mut from = 0.0;
            for (part, share) in parts.iter().enumerate().filter(|(_, share)| **share > 0.0) {
                pen.area(Ink::Part(part as u8), (from, top - 0.52), (from + share, top - 0.92));
                from += share;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_lie_where_their_numbers_are() {
        let row = Interval {
            name: "<b>".into(),
            share: Some(0.5),
            range: (0.25, 0.75),
            text: "50.0%, 2 of 4".into(),
        };
        // The axis goes from 12 to 324: 336 less 12 on the right.
        let svg = accuracy(&[row], Some(0.25), "It is.");
        assert!(svg.contains("d=\"M89.9 38.2H245.9\""), "{svg}");
        assert!(svg.contains("class=\"bound\"") && svg.contains("&lt;b&gt;") && svg.contains("aria-label=\"It is.\""));
    }

    #[test]
    fn what_a_number_is_held_against_lies_below_it() {
        let row = Beside {
            name: "a".into(),
            value: 0.75,
            range: Some((0.5, 1.0)),
            text: "0.75 (0.50 to 1.00)".into(),
            others: vec![(1, 0.25)],
        };
        let svg = beside(&[row], "share", "It is.");
        assert!(
            svg.contains("class=\"range m0\" d=\"M167.9 ") && svg.contains(">0.2<"),
            "{svg}"
        );
        let (range, mark) = (
            svg.find("range m0").expect("a range"),
            svg.find("mark m1").expect("a mark"),
        );
        assert!(mark < range && svg.contains("mark m0"), "{svg}");
    }

    #[test]
    fn parts_follow_each_other() {
        let svg = stacked(&[("a".into(), vec![0.5, 0.0, 0.5])], "", "");
        assert_eq!(svg.matches("<rect").count(), 2);
        assert!(
            svg.contains("class=\"part s0\" x=\"12\"") && svg.contains("class=\"part s2\" x=\"16"),
            "{svg}"
        );
    }
}
