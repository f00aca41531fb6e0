//! A table for a terminal and for other programs: columns apart by two blanks, numbers to the right.

use unicode_width::UnicodeWidthStr;

/// A table under construction.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With its heading.
    pub fn new(heading: &[&str]) -> Self {
        Self {
            rows: vec![heading.iter().map(|&cell| cell.to_owned()).collect()],
        }
    }

    /// Adds a row, with as many cells as the heading.
    pub fn row(&mut self, cells: &[String]) {
        self.rows.push(cells.to_vec());
    }

    /// Whether there is nothing but the heading.
    pub fn is_empty(&self) -> bool {
        self.rows.len() < 2
    }

    /// The lines, without the last one's end.
    pub fn text(&self) -> String {
        let columns = self.rows[0].len();
        let of_column = |column: usize| self.rows.iter().map(move |row| row[column].as_str());
        let width = |column| of_column(column).map(UnicodeWidthStr::width).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let is_number = |column| {
            let number = |cell: &str| cell.starts_with(|c: char| c.is_ascii_digit());
            of_column(column).skip(1).all(number)
        };
        let numbers: Vec<bool> = (0..columns).map(is_number).collect();
        let line = |row: &Vec<String>| {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let space = " ".repeat(widths[column] - cell.width());
                if column > 0 {
                    line.push_str("  ");
                }
                match numbers[column] {
                    true => line.extend([&space, cell.as_str()]),
                    false => line.extend([cell.as_str(), &space]),
                }
            }
            line.trim_end().to_owned()
        };
        self.rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other_also_with_wide_letters() {
        let mut table = Table::new(&["name", "maps"]);
        table.row(&["文字".to_owned(), "7".to_owned()]);
        table.row(&["abc".to_owned(), "12".to_owned()]);
        assert_eq!(table.text(), "name  maps\n文字     7\nabc     12");
    }
}
