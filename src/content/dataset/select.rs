//! Which rows become samples: `select`, and the ids that name them.

use std::collections::HashMap;

use super::Table;
use crate::content::decode::{Decoder, Field, Located};
use crate::content::names::{near_miss, nearest, quoted, shortened};
use crate::diagnostic::Diagnostic;
use crate::random;

/// The choice of rows.
#[derive(Clone, Debug)]
pub enum Selector {
    /// These ids, in the author's order.
    Ids(Vec<Located<String>>),
    /// These rows, counted from 0, in the author's order.
    Rows(Vec<Located<usize>>),
    /// All rows that meet every condition; a random draw of them with `count`.
    Filter(Vec<Condition>, Option<Draw>),
}

/// A column and the values it may have, compared as text.
#[derive(Clone, Debug)]
pub struct Condition {
    column: Located<String>,
    values: Vec<Located<String>>,
}

/// `count` rows at random, determined by `seed` alone. See [`random`].
#[derive(Clone, Debug)]
pub struct Draw {
    /// How many.
    pub count: Located<usize>,
    /// The seed; 0 where the YAML gives none.
    pub seed: u64,
}

/// Reads `select`; absent, all rows.
pub fn read_selector(decoder: &mut Decoder, field: Option<Field>) -> Option<Selector> {
    let Some(field) = field else {
        return Some(Selector::Filter(Vec::new(), None));
    };
    let table = decoder.table(&field, &["count", "seed", "ids", "rows", "where"])?;
    let given: Vec<Field> = ["ids", "rows", "where", "count"]
        .iter()
        .filter_map(|key| table.get(key))
        .collect();
    let alone = given
        .iter()
        .find(|one| one.name.ends_with(".ids") || one.name.ends_with(".rows"));
    if let (Some(alone), true) = (alone, given.len() > 1) {
        let error = decoder
            .error(alone.node.position, "`ids` and `rows` choose alone")
            .place(&field.name);
        decoder.push(error.expected("one of `ids`, `rows`; or `where`, `count` or both"));
        return None;
    }
    if let (Some(seed), None) = (table.get("seed"), table.get("count")) {
        let error = decoder
            .error(seed.node.position, "`seed` without `count` draws nothing")
            .place(&field.name);
        decoder.push(error.expected("`count`: how many rows to draw"));
        return None;
    }
    if let Some(ids) = table.get("ids") {
        let items = decoder.list(&ids, "a list of ids")?;
        let ids = items
            .iter()
            .map(|item| decoder.located(item, "an id"))
            .collect::<Vec<_>>();
        return ids.into_iter().collect::<Option<_>>().map(Selector::Ids);
    }
    if let Some(rows) = table.get("rows") {
        let items = decoder.list(&rows, "a list of row numbers, counted from 0")?;
        let row = |item: &Field| {
            let value = decoder.whole(item, 0..=u64::MAX)?;
            Some(Located {
                value: usize::try_from(value).unwrap_or(usize::MAX),
                position: item.node.position,
            })
        };
        let rows = items.iter().map(row).collect::<Vec<_>>();
        return rows.into_iter().collect::<Option<_>>().map(Selector::Rows);
    }
    let conditions = match table.get("where") {
        Some(conditions) => read_conditions(decoder, &conditions),
        None => Some(Vec::new()),
    };
    let seed = table
        .get("seed")
        .map_or(Some(0), |seed| decoder.whole(&seed, 0..=u64::MAX));
    let count = table.get("count").map(|count| {
        let value = decoder.whole(&count, 1..=u64::MAX)?;
        Some(Located {
            value: usize::try_from(value).unwrap_or(usize::MAX),
            position: count.node.position,
        })
    });
    let draw = match count {
        Some(count) => Some(Draw {
            count: count?,
            seed: seed?,
        }),
        None if given.is_empty() => {
            decoder.wrong(
                &field,
                "`count`, `ids`, `rows` or `where`; leave `select` out to take all rows",
            );
            return None;
        }
        None => None,
    };
    Some(Selector::Filter(conditions?, draw))
}

fn read_conditions(decoder: &mut Decoder, field: &Field) -> Option<Vec<Condition>> {
    let mut conditions = Vec::new();
    for entry in decoder.entries(
        field,
        "a mapping from columns to values, such as {label: [true, false]}",
    )? {
        let value = Field {
            name: format!("{}.{}", field.name, shortened(&entry.key)),
            node: &entry.node,
        };
        let what = "a value, or a list of values";
        let values = match value.scalar() {
            Some(_) => vec![value],
            None => decoder.list(&value, what)?,
        };
        let located = |value: &Field| {
            let text = decoder.written(value, what)?;
            Some(Located {
                value: text,
                position: value.node.position,
            })
        };
        let values = values.iter().map(located).collect::<Option<Vec<_>>>()?;
        conditions.push(Condition {
            column: Located {
                value: entry.key.clone(),
                position: entry.position,
            },
            values,
        });
    }
    Some(conditions)
}

/// The id of each row; duplicates and blanks are errors, and so is a column that is not there.
pub fn ids_of(decoder: &mut Decoder, table: &Table, column: Option<&Located<String>>) -> Option<Vec<String>> {
    let Some(column) = column else {
        return Some((0..table.rows.len()).map(|row| format!("row-{row}")).collect());
    };
    if !check_column(decoder, table, column, "dataset.id") {
        return None;
    }
    let mut ids: Vec<String> = Vec::with_capacity(table.rows.len());
    let mut first: HashMap<String, usize> = HashMap::new();
    let mut errors: Vec<Diagnostic> = Vec::new();
    for row in 0..table.rows.len() {
        let found = table.text(row, &column.value);
        let lacks = match &found {
            None => Some("has no value"),
            Some(id) if id.trim().is_empty() => Some("is empty"),
            Some(_) => None,
        };
        let id = found.unwrap_or_default().into_owned();
        if let Some(lacks) = lacks {
            errors.push(table.error(row, format!("the id {lacks} (column `{}`)", shortened(&column.value))));
        } else if let Some(other) = first.insert(id.clone(), row) {
            let message = format!("the id `{}` is that of row {other} too", shortened(&id));
            let on_line = table.rows[other]
                .position
                .map_or_else(String::new, |at| format!("; row {other} is on line {}", at.line));
            errors.push(table.error(row, message).expected(format!("an id of its own{on_line}")));
        }
        ids.push(id);
    }
    // The wrong column gives an error a row; ten say it.
    const MOST_REPORTED: usize = 10;
    if errors.len() > MOST_REPORTED {
        let message = format!(
            "the column `{}` has {} empty or repeated ids",
            shortened(&column.value),
            errors.len()
        );
        decoder.push(
            decoder
                .error(column.position, message)
                .place("dataset.id")
                .help("the first ten are told too"),
        );
    }
    let fine = errors.is_empty();
    errors
        .into_iter()
        .take(MOST_REPORTED)
        .for_each(|error| decoder.push(error));
    fine.then_some(ids)
}

/// Whether a column is there; if not, says which ones are.
pub fn check_column(decoder: &mut Decoder, table: &Table, column: &Located<String>, place: &str) -> bool {
    if table.has_column(&column.value) {
        return true;
    }
    let known = || table.columns.iter().map(String::as_str);
    let mut error = decoder
        .error(
            column.position,
            format!("the data has no column `{}`", shortened(&column.value)),
        )
        .place(place)
        .expected(format!("one of {}", quoted(known())));
    error.help = nearest(&column.value, known()).map(|meant| format!("did you mean `{meant}`?"));
    decoder.push(error);
    false
}

/// The numbers of the chosen rows. Without `ids`, whose errors have been reported, no row can be chosen by its id.
pub fn choose(decoder: &mut Decoder, table: &Table, ids: Option<&[String]>, selector: &Selector) -> Option<Vec<usize>> {
    match selector {
        Selector::Ids(wanted) => {
            let ids = ids?;
            let rows: HashMap<&str, usize> = ids.iter().enumerate().map(|(row, id)| (id.as_str(), row)).collect();
            let found = wanted.iter().map(|id| {
                let row = rows.get(id.value.as_str()).copied();
                if row.is_none() {
                    let error = decoder.error(id.position, format!("no row has the id `{}`", shortened(&id.value)));
                    let mut error = error.place("dataset.select.ids");
                    let known = || ids.iter().map(String::as_str);
                    error.help = meant(&id.value, known())
                        .or_else(|| nearest(&id.value, known()).map(|id| format!("did you mean `{}`?", shortened(id))));
                    decoder.push(error);
                }
                row.map(|value| Located {
                    value,
                    position: id.position,
                })
            });
            let found: Vec<Option<Located<usize>>> = found.collect();
            distinct(
                decoder,
                &found.into_iter().collect::<Option<Vec<_>>>()?,
                "dataset.select.ids",
            )
        }
        Selector::Rows(rows) => {
            let count = table.rows.len();
            let before = decoder.diagnostics.error_count();
            for row in rows.iter().filter(|row| row.value >= count) {
                let error = decoder.error(row.position, format!("there is no row {}", row.value));
                decoder.push(
                    error
                        .place("dataset.select.rows")
                        .expected(format!("a number from 0 to {}", count - 1)),
                );
            }
            (decoder.diagnostics.error_count() == before).then_some(())?;
            distinct(decoder, rows, "dataset.select.rows")
        }
        Selector::Filter(conditions, draw) => {
            let rows = filter(decoder, table, conditions)?;
            let Some(Draw { count, seed }) = draw else {
                return Some(rows);
            };
            if count.value > rows.len() {
                let which = if conditions.is_empty() {
                    "has"
                } else {
                    "has, of those that `where` asks for,"
                };
                let message = format!(
                    "{} rows are to be drawn, and the data {which} {}",
                    count.value,
                    rows.len()
                );
                let error = decoder.error(count.position, message).place("dataset.select.count");
                decoder.push(error.expected(format!("a number from 1 to {}", rows.len())));
                return None;
            }
            let mut rows = random::draw(&rows, count.value, *seed);
            rows.sort_unstable();
            Some(rows)
        }
    }
}

fn distinct(decoder: &mut Decoder, rows: &[Located<usize>], place: &str) -> Option<Vec<usize>> {
    let mut seen = std::collections::HashSet::new();
    let mut all = true;
    for row in rows.iter().filter(|row| !seen.insert(row.value)) {
        all = false;
        let error = decoder.error(row.position, format!("row {} is chosen twice", row.value));
        decoder.push(error.place(place));
    }
    all.then(|| rows.iter().map(|row| row.value).collect())
}

fn filter(decoder: &mut Decoder, table: &Table, conditions: &[Condition]) -> Option<Vec<usize>> {
    let checked = conditions
        .iter()
        .filter(|one| check_column(decoder, table, &one.column, "dataset.select.where"))
        .count();
    if checked < conditions.len() {
        return None;
    }
    let meets = |row: usize, Condition { column, values }: &Condition| {
        table
            .text(row, &column.value)
            .is_some_and(|text| values.iter().any(|value| value.value == text))
    };
    let rows: Vec<usize> = (0..table.rows.len())
        .filter(|row| conditions.iter().all(|condition| meets(*row, condition)))
        .collect();
    for Condition { column, values } in conditions {
        for value in values {
            if !(0..table.rows.len()).any(|row| table.text(row, &column.value).is_some_and(|text| text == value.value))
            {
                let message = format!(
                    "no row has `{}` in the column `{}`",
                    shortened(&value.value),
                    shortened(&column.value)
                );
                let mut warning = known_values(decoder.error(value.position, message), table, &column.value);
                let cells: Vec<_> = (0..table.rows.len())
                    .filter_map(|row| table.text(row, &column.value))
                    .collect();
                let known = || cells.iter().map(AsRef::as_ref);
                warning.help = meant(&value.value, known()).or_else(|| {
                    nearest(&value.value, known()).map(|near| format!("did you mean `{}`?", shortened(near)))
                });
                decoder.push(warning.as_warning());
            }
        }
    }
    if rows.is_empty() {
        let position = conditions
            .first()
            .map_or(crate::diagnostic::Position { line: 1, column: 1 }, |one| {
                one.column.position
            });
        decoder.push(
            decoder
                .error(position, "no row meets these conditions")
                .place("dataset.select.where"),
        );
        return None;
    }
    Some(rows)
}

/// The value that was probably meant, where only its way of writing differs.
fn meant<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    known.into_iter().find_map(|found| {
        let why = near_miss(found, wanted)?;
        Some(format!(
            "values are compared as text: write `{}` ({why})",
            shortened(found)
        ))
    })
}

/// Names the values that a column has, for a message.
fn known_values(error: Diagnostic, table: &Table, column: &str) -> Diagnostic {
    let mut values: Vec<String> = Vec::new();
    for row in 0..table.rows.len() {
        if let Some(text) = table.text(row, column)
            && !values.iter().any(|value| *value == text)
        {
            values.push(text.into_owned());
            if values.len() > 20 {
                return error;
            }
        }
    }
    error.expected(format!("one of {}", quoted(values.iter().map(String::as_str))))
}
