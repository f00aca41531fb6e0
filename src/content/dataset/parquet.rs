//! Parquet files, row by row, as data frames and the Hugging Face hub write them.
//!
//! A file is binary: there is no line to point at, so errors name the row and the column. A column with what is no text
//! (pictures, tensors) is left out, and told to who names it; nothing is made up. Class numbers become the names that
//! the file itself gives for them.

mod bounds;
mod cells;
mod classes;
mod int96;
mod thrift;

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::record::reader::TreeBuilder;
use parquet::schema::types::TypePtr;
use serde_json::Map;

use self::bounds::Bounds;
use self::cells::Cell;
use self::classes::Classes;
use self::int96::Times;
use super::{Row, Table};
use crate::content::names::shortened;
use crate::diagnostic::{Diagnostic, Kind, Result};
use crate::guard;
use crate::input;

/// Both ends of every Parquet file.
const MARK: &[u8; 4] = b"PAR1";
/// The end of a file whose footer is encrypted.
const ENCRYPTED: &[u8; 4] = b"PARE";

/// Reads the file at `path`, which messages call `shown`.
pub fn read(shown: &Path, path: &Path) -> Result<Table> {
    let mut file = input::open(path, Kind::Content, "read this file").map_err(|e| e.in_file(shown))?;
    check_marks(shown, &mut file)?;
    if bounds::is_too_deep(&mut file).map_err(|e| Diagnostic::io(Kind::Content, "read this file", shown, &e))? {
        return Err(
            Diagnostic::content("the columns of this Parquet file are nested too deep")
                .in_file(shown)
                .expected("columns in columns at most 64 deep"),
        );
    }
    // The crate checks most of what it reads, and panics on some of what no writer should have written.
    guard::guarded(|| rows(shown, file)).unwrap_or_else(|message| {
        Err(
            Diagnostic::content(format!("this Parquet file cannot be read: {message}"))
                .in_file(shown)
                .help("write it again, or convert it to JSON Lines"),
        )
    })
}

/// Distinguishes the ways in which a file is no whole Parquet file, for which the crate has one message.
fn check_marks(shown: &Path, file: &mut File) -> Result<()> {
    let failed = |e| Diagnostic::io(Kind::Content, "read this file", shown, &e);
    let mut start = Vec::new();
    file.by_ref().take(64).read_to_end(&mut start).map_err(failed)?;
    let mut end = Vec::new();
    let back = start.len().min(MARK.len()) as i64;
    file.seek(SeekFrom::End(-back)).map_err(failed)?;
    file.read_to_end(&mut end).map_err(failed)?;
    file.rewind().map_err(failed)?;
    let error = |message: &str| Err(Diagnostic::content(message).in_file(shown));
    if end == ENCRYPTED {
        return error("this Parquet file is encrypted").map_err(|e| e.help("write it again without encryption"));
    }
    match (start.starts_with(MARK), end == MARK) {
        (true, true) => Ok(()),
        (true, false) => {
            error("this Parquet file is cut off: its end is missing").map_err(|e| e.help("get the file again, whole"))
        }
        _ => error("this is no Parquet file").map_err(|e| e.expected("a file that begins and ends with `PAR1`")),
    }
}

fn broken(shown: &Path, error: &ParquetError) -> Diagnostic {
    let text = error.to_string();
    let text = text.strip_prefix("Parquet error: ").unwrap_or(&text);
    Diagnostic::content(format!("this Parquet file cannot be read: {text}"))
        .in_file(shown)
        .help("get or write the file again")
}

fn rows(shown: &Path, file: File) -> Result<Table> {
    let broken = |error: ParquetError| broken(shown, &error);
    let again = file
        .try_clone()
        .map_err(|e| Diagnostic::io(Kind::Content, "read this file", shown, &e))?;
    let size = file.metadata().map_or(0, |found| found.len());
    let reader = SerializedFileReader::new(file).map_err(broken)?;
    let metadata = reader.metadata();
    check_compression(shown, metadata)?;
    let mut bounds = Bounds::new(shown, size);
    bounds.check(&again, &reader)?;
    let schema = metadata.file_metadata().schema_descr_ptr();
    let types = schema.root_schema().get_fields();
    let classes = Classes::of(metadata.file_metadata().key_value_metadata());
    let mut table = Table {
        files: vec![shown.to_path_buf()],
        columns: names(shown, types)?,
        ..Table::default()
    };
    let mut left_out = BTreeSet::new();
    let tree = TreeBuilder::new().with_batch_size(bounds::batch(metadata));
    for group in 0..metadata.num_row_groups() {
        let group = reader.get_row_group(group).map_err(broken)?;
        let mut times = Times::of(&*group).map_err(broken)?;
        for row in tree.as_iter(schema.clone(), &*group).map_err(broken)? {
            let index = table.rows.len();
            let row = row.map_err(|e| broken(e).place(format!("row {index}")))?;
            let mut fields = Map::new();
            for ((name, field), kind) in row.get_column_iter().zip(types) {
                let told = |problem: Problem| {
                    let column = shortened(name);
                    Diagnostic::content(problem.message)
                        .in_file(shown)
                        .place(format!("row {index}, column `{column}`"))
                        .expected(problem.expected)
                        .help(format!("write the file without `{column}`, or with text in it"))
                };
                let value = match cells::value(field, kind, &mut times).map_err(told)? {
                    Cell::Value(value) => classes.named(name, value).map_err(told)?,
                    // A picture or a tensor has no text for a prompt; its presence is no reason to refuse the other
                    // columns.
                    Cell::Bytes => {
                        left_out.insert(name.clone());
                        continue;
                    }
                };
                bounds.count(&value)?;
                fields.insert(name.clone(), value);
            }
            table.rows.push(Row {
                file: 0,
                position: None,
                fields,
            });
        }
    }
    table.columns.retain(|column| !left_out.contains(column));
    for row in &mut table.rows {
        row.fields.retain(|column, _| !left_out.contains(column));
    }
    table.left_out = left_out.into_iter().collect();
    Ok(table)
}

/// The names of the columns, which are distinct.
fn names(shown: &Path, types: &[TypePtr]) -> Result<Vec<String>> {
    let mut known = HashSet::new();
    if let Some(twice) = types.iter().find(|one| !known.insert(one.name())) {
        let message = format!("two columns have the name `{}`", shortened(twice.name()));
        return Err(Diagnostic::content(message)
            .in_file(shown)
            .help("rename or remove one of them"));
    }
    Ok(types.iter().map(|one| one.name().to_owned()).collect())
}

/// Why a cell has no value that a prompt could show.
#[derive(Debug, PartialEq)]
struct Problem {
    message: String,
    expected: &'static str,
}

fn check_compression(shown: &Path, metadata: &ParquetMetaData) -> Result<()> {
    for column in metadata.row_groups().iter().flat_map(|group| group.columns()) {
        if column.compression() == Compression::LZO {
            return Err(Diagnostic::content("compressed with LZO, which igsite does not read")
                .in_file(shown)
                .place(format!("column `{}`", shortened(&column.column_path().string())))
                .expected("no compression, Snappy, gzip, Brotli, LZ4 or Zstandard")
                .help("write the file again with `compression=\"zstd\"`"));
        }
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests;
