//! The LIAR data set from the hub: the same table, cell for cell, as from its own files (see [`super::liar`]).
//!
//! The hub's converter stores a label as a class number and a count as a float, and has other names for two columns.

use serde_json::{Map, Value};

use super::hub::{self, CONVERTED, Query, Repositories};
use super::liar::COLUMNS;
use super::{Origin, Table};
use crate::content::names::quoted;
use crate::diagnostic::{Diagnostic, Diagnostics};

/// Where LIAR is.
pub const REPOSITORY: &str = "ucsbnlp/liar";
/// In the order of the table.
const SPLITS: [&str; 3] = ["train", "test", "validation"];
/// The labels by class number, where the files do not name them.
const LABELS: [&str; 6] = ["false", "half-true", "mostly-true", "true", "barely-true", "pants-fire"];
/// The columns that are called otherwise there.
const RENAMED: [(&str, &str); 2] = [("state", "state_info"), ("party", "party_affiliation")];

/// Fetches and reads the three splits.
pub fn read(repositories: &dyn Repositories, revision: Option<&str>) -> Result<Table, Diagnostics> {
    let revision = revision.unwrap_or(CONVERTED);
    let opened = repositories.open(REPOSITORY, revision).map_err(elsewhere)?;
    let mut whole = Table::default();
    for split in SPLITS {
        let query = Query {
            repository: REPOSITORY.to_owned(),
            revision: Some(revision.to_owned()),
            config: None,
            split: Some(split.to_owned()),
        };
        let found = hub::find(&query, revision, opened.files()).map_err(elsewhere)?;
        let mut table = hub::fetch(&query, &*opened, &found)?;
        as_written(&mut table, split)?;
        whole.append(table);
    }
    whole.origin = Some(Origin {
        repository: REPOSITORY.to_owned(),
        revision: revision.to_owned(),
        commit: opened.commit().to_owned(),
        config: None,
        split: None,
    });
    Ok(whole)
}

/// What was looked for and is not there, and the other way to have LIAR.
fn elsewhere(mut error: Diagnostic) -> Diagnostic {
    error.expected = Some(format!(
        "the hub's data set `{REPOSITORY}`, at revision `{CONVERTED}` the files default/{{train,test,validation}}/0000.parquet"
    ));
    let other = "or get liar_dataset.zip (W. Y. Wang, ACL 2017, https://www.cs.ucsb.edu/~william/data/liar_dataset.zip), unpack it, and name the folder as `path`";
    error.help = Some(match error.help {
        Some(help) => format!("{help}; {other}"),
        None => format!("check the network and `revision`; {other}"),
    });
    error
}

/// Converts the rows of a split into those of the original files.
fn as_written(table: &mut Table, split: &str) -> Result<(), Diagnostics> {
    let source = |column: &'static str| {
        let renamed = RENAMED.iter().find(|(name, _)| *name == column);
        renamed.map_or(column, |(_, there)| there)
    };
    let missing: Vec<&str> = COLUMNS
        .iter()
        .map(|column| source(column))
        .filter(|column| !table.has_column(column))
        .collect();
    if !missing.is_empty() {
        return Err(
            Diagnostic::content(format!("this file has no column {}", quoted(missing.into_iter())))
                .in_file(&table.files[0])
                .expected(format!("the 14 columns of the data set `{REPOSITORY}`"))
                .help("name another `revision`, or a folder with the original files as `path`")
                .into(),
        );
    }
    for row in 0..table.rows.len() {
        let mut fields = Map::new();
        for column in COLUMNS {
            let cell = table.rows[row].fields.get(source(column)).unwrap_or(&Value::Null);
            let text = if column == "label" { label(cell) } else { text(cell) };
            let Some(text) = text else {
                let message = format!("the label is {cell}, which stands for none");
                return Err(table
                    .error(row, message)
                    .expected("a number from 0 to 5, or a label")
                    .into());
            };
            fields.insert(column.to_owned(), Value::String(text));
        }
        fields.insert("split".to_owned(), split.into());
        table.rows[row].fields = fields;
    }
    table.columns = COLUMNS.iter().copied().chain(["split"]).map(str::to_owned).collect();
    Ok(())
}

fn label(cell: &Value) -> Option<String> {
    match cell.as_u64() {
        Some(class) => LABELS.get(usize::try_from(class).ok()?).map(|&name| name.to_owned()),
        None => text(cell).filter(|text| LABELS.contains(&text.as_str())),
    }
}

/// As LIAR's own files write it: a count has no decimals, and what is missing is empty.
fn text(cell: &Value) -> Option<String> {
    Some(match cell {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(number) => {
            let text = number.to_string();
            text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
        }
        other => other.to_string(),
    })
}
