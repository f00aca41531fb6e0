//! Numbers in a grid, shaded by their value: confusion, and agreement of every two models.

use super::axis::Axis;
use super::canvas::Ink;
use super::sheet::{Sheet, WIDTH};

/// One number of a matrix.
#[derive(Clone)]
pub struct Cell {
    /// The number.
    pub text: String,
    /// Its shade from −20 to 20.
    pub shade: i32,
    /// Whether it is outlined.
    pub right: bool,
}

/// Cells in rows, with names on the left and above. Names are cut to what there is room for.
pub fn matrix(rows: &[String], columns: &[String], cells: &[Vec<Cell>], title: &str, told: &str) -> String {
    let left = beside(rows);
    let below = if title.is_empty() { 20 } else { 34 };
    let height = rows.len() as u32 * 26 + 16 + below;
    let backwards: Vec<String> = rows
        .iter()
        .rev()
        .map(|name| crate::render::text::excerpt(name, 20))
        .collect();
    let mut sheet = Sheet {
        size: (WIDTH, height),
        labels: (left, below),
        x: Axis::names(columns, title),
        y: Axis::names(&backwards, ""),
    };
    sheet.x.without_grid();
    sheet.y.without_grid();
    let last = rows.len().saturating_sub(1);
    sheet.draw(told, |pen| {
        for (row, cells) in cells.iter().enumerate() {
            let y = (last - row.min(last)) as f64;
            for (column, cell) in cells.iter().enumerate() {
                let x = column as f64;
                let shade = cell.shade.unsigned_abs().min(20) as u8;
                if shade > 0 {
                    let ink = if cell.shade < 0 {
                        Ink::Negative(shade)
                    } else {
                        Ink::Positive(shade)
                    };
                    pen.area(ink, (x - 0.48, y - 0.46), (x + 0.48, y + 0.46));
                }
                if cell.right {
                    pen.area(Ink::Right, (x - 0.46, y - 0.44), (x + 0.46, y + 0.44));
                }
                pen.text(Ink::Strong, &cell.text, (x, y), 0);
            }
        }
    })
}

/// The width that the names of rows take: 6 units a letter, and what ticks need.
fn beside(rows: &[String]) -> u32 {
    let longest = rows.iter().map(|name| name.chars().count()).max().unwrap_or(0).min(20);
    longest as u32 * 6 + 14
}

/// Whether the names of columns stand side by side without touching.
pub fn have_room(rows: &[String], columns: &[String]) -> bool {
    let longest = columns.iter().map(|name| name.chars().count()).max().unwrap_or(0) as u32;
    let each = WIDTH.saturating_sub(beside(rows)) / columns.len().max(1) as u32;
    longest * 6 + 6 <= each
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_columns_have_room_or_not() {
        let names = |name: &str, count: usize| vec![name.to_owned(); count];
        assert!(have_room(&names("Demo Mistral", 4), &names("Mistral", 4)));
        assert!(!have_room(&names("Demo Mistral", 8), &names("Mistral", 8)));
        assert!(!have_room(&names("Demo Mistral", 4), &names("Mistral-7B-Instruct", 4)));
    }

    #[test]
    fn cells_have_their_shade_and_sign() {
        let cell = |shade: i32, right| Cell {
            text: shade.to_string(),
            shade,
            right,
        };
        let names = ["x".to_owned(), "y".to_owned()];
        let svg = matrix(
            &names,
            &names,
            &[
                vec![cell(20, true), cell(0, false)],
                vec![cell(-3, false), cell(99, true)],
            ],
            "",
            "",
        );
        assert_eq!(svg.matches("cell p20").count(), 2);
        assert_eq!(
            (svg.matches("cell n3").count(), svg.matches("class=\"right\"").count()),
            (1, 2)
        );
        let place = |class: &str| {
            let rest = svg.split(class).nth(1)?.split("y=\"").nth(1)?;
            rest.split('"').next()?.parse::<f64>().ok()
        };
        assert!(
            place("cell p20") < place("cell n3"),
            "the first row is above the second: {svg}"
        );
    }
}
