//! Bounds on what a Parquet file may become in memory, looked at before anything is unpacked.
//!
//! A few kilobytes can stand for gigabytes: pages are packed, and a value that comes again and again takes next to
//! nothing. Each page says in its header how large it is unpacked and how many values it has; these headers are read
//! first. No honest file comes near the bounds, which grow with it.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use parquet::basic::Type as Physical;
use parquet::column::reader::{ColumnReader, get_typed_column_reader};
use parquet::data_type::ByteArrayType;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::reader::FileReader;
use serde_json::Value;

use super::thrift::{Kind, Thrift};
use crate::content::names::shortened;
use crate::diagnostic::Diagnostic;

const MIB: u64 = 1 << 20;
/// What all pages together may be unpacked: this, and [`PAGES_FACTOR`] times the file.
const PAGES_FLOOR: u64 = 64 * MIB;
const PAGES_FACTOR: u64 = 128;
/// What all rows together may take: this, and [`ROWS_FACTOR`] times the file.
const ROWS_FLOOR: u64 = 512 * MIB;
const ROWS_FACTOR: u64 = 256;
/// What a cell takes in addition to its text, and a row in addition to its cells.
const CELL: u64 = 160;
/// Deepest nesting of columns; the `parquet` crate goes down by calling itself.
const DEEPEST: usize = 64;

/// What a file may become.
pub struct Bounds<'a> {
    shown: &'a Path,
    size: u64,
    pages: u64,
    rows: u64,
    /// What the rows so far take.
    taken: u64,
}

/// What the pages of a column chunk say.
#[derive(Default)]
struct Chunk {
    unpacked: u64,
    values: u64,
    dictionary: u64,
}

impl<'a> Bounds<'a> {
    /// For a file of this many bytes, which messages call `shown`.
    pub fn new(shown: &'a Path, size: u64) -> Self {
        Self {
            shown,
            size,
            pages: PAGES_FLOOR + PAGES_FACTOR * size,
            rows: ROWS_FLOOR + ROWS_FACTOR * size,
            taken: 0,
        }
    }

    fn error(&self, message: String) -> Diagnostic {
        Diagnostic::content(message)
            .in_file(self.shown)
            .help("write only the columns and rows that the experiment needs into a file of their own")
    }

    fn too_large(&self, what: &str, bytes: u64, limit: u64, floor: u64, factor: u64) -> Diagnostic {
        self.error(format!("{what} {}, and the file has {} bytes", size(bytes), self.size))
            .expected(format!(
                "at most {} ({} and {factor} times the file)",
                size(limit),
                size(floor)
            ))
    }

    /// Looks at the headers of all pages, and at what the rows will take at least.
    pub fn check(&self, file: &File, reader: &dyn FileReader) -> Result<(), Diagnostic> {
        let metadata = reader.metadata();
        let mut file = BufReader::new(file);
        let (mut unpacked, mut rows) = (0_u64, 0_u64);
        for (index, group) in metadata.row_groups().iter().enumerate() {
            let count = u64::try_from(group.num_rows()).map_err(|_| self.broken("a number of rows below 0"))?;
            rows = rows.saturating_add(count.saturating_mul(CELL));
            for (leaf, column) in group.columns().iter().enumerate() {
                let chunk = chunk(&mut file, column).map_err(|error| self.broken(&error.to_string()))?;
                unpacked = unpacked.saturating_add(chunk.unpacked);
                rows = rows.saturating_add(chunk.values.saturating_mul(CELL));
                if unpacked > self.pages {
                    let what = format!("unpacked, its columns up to `{}` are", name(column));
                    return Err(self.too_large(&what, unpacked, self.pages, PAGES_FLOOR, PAGES_FACTOR));
                }
                // A row with a long list is made as a whole.
                let may_be = chunk.values.saturating_mul(chunk.dictionary);
                if column.column_descr().max_rep_level() > 0 && may_be > self.rows {
                    let text = text_of(reader, index, leaf, self.rows).map_err(|e| self.broken(&e.to_string()))?;
                    rows = rows.saturating_add(text);
                }
                self.check_rows(rows)?;
            }
            self.check_rows(rows)?;
        }
        Ok(())
    }

    fn broken(&self, why: &str) -> Diagnostic {
        Diagnostic::content(format!("this Parquet file cannot be read: {why}"))
            .in_file(self.shown)
            .help("get or write the file again")
    }

    fn check_rows(&self, bytes: u64) -> Result<(), Diagnostic> {
        if bytes <= self.rows {
            return Ok(());
        }
        Err(self.too_large("its rows take more than", bytes, self.rows, ROWS_FLOOR, ROWS_FACTOR))
    }

    /// Counts a cell that was read.
    pub fn count(&mut self, value: &Value) -> Result<(), Diagnostic> {
        self.taken += weight(value);
        self.check_rows(self.taken)
    }
}

/// What a value takes, about.
fn weight(value: &Value) -> u64 {
    CELL + match value {
        Value::String(text) => text.len() as u64,
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(fields) => fields.values().map(weight).sum(),
        _ => 0,
    }
}

fn size(bytes: u64) -> String {
    if bytes < 4 * MIB {
        format!("{bytes} bytes")
    } else {
        format!("{} MiB", bytes / MIB)
    }
}

fn name(column: &ColumnChunkMetaData) -> String {
    shortened(&column.column_path().string())
}

/// Adds up what the headers of a chunk's pages say.
fn chunk(file: &mut BufReader<&File>, column: &ColumnChunkMetaData) -> io::Result<Chunk> {
    let (mut at, length) = column.byte_range();
    let end = at.saturating_add(length);
    let mut chunk = Chunk::default();
    while at < end {
        file.seek(SeekFrom::Start(at))?;
        let mut header = Thrift::new(file.by_ref().take(end - at));
        let (unpacked, packed, values) = page(&mut header)?;
        match values {
            Some(values) => chunk.values = chunk.values.saturating_add(values),
            None => chunk.dictionary = chunk.dictionary.saturating_add(unpacked),
        }
        chunk.unpacked = chunk.unpacked.saturating_add(unpacked);
        at = at.saturating_add(header.taken).saturating_add(packed);
    }
    Ok(chunk)
}

/// A page's size unpacked and packed, and how many values it has if it is no dictionary.
fn page<R: Read>(header: &mut Thrift<R>) -> io::Result<(u64, u64, Option<u64>)> {
    let (mut unpacked, mut packed, mut values) = (0, 0, None);
    let mut last = 0;
    while let Some((field, kind)) = header.field(&mut last)? {
        match (field, kind) {
            (2, Kind::Whole) => unpacked = header.whole()?,
            (3, Kind::Whole) => packed = header.whole()?,
            // The headers of data pages of both versions; each begins with the number of values.
            (5 | 8, Kind::Structure) => {
                let mut last = 0;
                while let Some((field, kind)) = header.field(&mut last)? {
                    match (field, kind) {
                        (1, Kind::Whole) => values = Some(header.whole()?),
                        _ => header.skip(kind)?,
                    }
                }
            }
            _ => header.skip(kind)?,
        }
    }
    let counted = |number: i64| u64::try_from(number).map_err(|_| io::Error::other("a page's size is below 0"));
    Ok((counted(unpacked)?, counted(packed)?, values.map(counted).transpose()?))
}

/// The bytes of all texts of a column chunk; no more are counted once there are more than `limit`.
fn text_of(reader: &dyn FileReader, group: usize, leaf: usize, limit: u64) -> Result<u64, ParquetError> {
    let column = reader.get_row_group(group)?.get_column_reader(leaf)?;
    let ColumnReader::ByteArrayColumnReader(_) = column else {
        return Ok(0);
    };
    let mut column = get_typed_column_reader::<ByteArrayType>(column);
    let (mut definition, mut repetition, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let mut bytes = 0;
    loop {
        definition.clear();
        repetition.clear();
        values.clear();
        let read = column.read_records(64, Some(&mut definition), Some(&mut repetition), &mut values)?;
        bytes += values.iter().map(|value| value.len() as u64).sum::<u64>();
        if read == (0, 0, 0) || bytes > limit {
            return Ok(bytes);
        }
    }
}

/// Whether columns are nested too deep: checked in the footer's list of them, before the crate builds a tree of it.
pub fn is_too_deep(file: &mut File) -> io::Result<bool> {
    let mut tail = [0; 8];
    let size = file.seek(SeekFrom::End(0))?;
    if size < 12 {
        return Ok(false);
    }
    file.seek(SeekFrom::Start(size - 8))?;
    file.read_exact(&mut tail)?;
    let length = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
    if length > size - 8 {
        return Ok(false);
    }
    file.seek(SeekFrom::Start(size - 8 - length))?;
    let deep = deeper_than(&mut Thrift::new(BufReader::new(&*file).take(length)), DEEPEST);
    file.rewind()?;
    // The crate reports what is no Thrift.
    Ok(deep.unwrap_or(false))
}

fn deeper_than<R: Read>(footer: &mut Thrift<R>, deepest: usize) -> io::Result<bool> {
    let mut last = 0;
    while let Some((field, kind)) = footer.field(&mut last)? {
        if (field, kind) != (2, Kind::List) {
            footer.skip(kind)?;
            continue;
        }
        let (count, _) = footer.list()?;
        // How many elements each open group still waits for.
        let mut open: Vec<i64> = Vec::new();
        for _ in 0..count {
            let children = children(footer)?;
            while let Some(waits) = open.last_mut() {
                *waits -= 1;
                if *waits >= 0 {
                    break;
                }
                open.pop();
            }
            if children > 0 {
                open.push(children);
            }
            if open.len() > deepest {
                return Ok(true);
            }
        }
        return Ok(false);
    }
    Ok(false)
}

/// The number of children of one element of the schema.
fn children<R: Read>(footer: &mut Thrift<R>) -> io::Result<i64> {
    let (mut last, mut children) = (0, 0);
    while let Some((field, kind)) = footer.field(&mut last)? {
        match (field, kind) {
            (5, Kind::Whole) => children = footer.whole()?,
            _ => footer.skip(kind)?,
        }
    }
    Ok(children)
}

/// The number of rows read at once: fewer where there are many columns, each with this many values.
pub fn batch(metadata: &ParquetMetaData) -> usize {
    let columns = metadata.file_metadata().schema_descr().num_columns().max(1);
    ((1 << 20) / columns).clamp(16, 1024)
}

/// Whether a column is a time of INT96.
pub fn is_int96(column: &ColumnChunkMetaData) -> bool {
    column.column_descr().physical_type() == Physical::INT96
}

#[cfg(test)]
mod tests {
    use parquet::basic::Compression;
    use parquet::data_type::ByteArray;
    use parquet::file::reader::FileReader;
    use parquet::file::serialized_reader::SerializedFileReader;

    use super::super::tests::file::{Column, Values, write};
    use super::*;

    /// What bounds of so many bytes say of a file.
    fn checked(schema: &str, columns: &[Column], pages: u64, rows: u64) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        write(&path, schema, columns, Compression::SNAPPY, None);
        let file = File::open(&path).unwrap();
        let again = file.try_clone().unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        let bounds = Bounds {
            pages,
            rows,
            ..Bounds::new(Path::new("x.parquet"), 9)
        };
        assert!(reader.metadata().num_row_groups() > 0);
        bounds.check(&again, &reader).map_err(|error| error.to_string())
    }

    #[test]
    fn pages_rows_and_long_lists_are_bounded() {
        let flat = "message m { required binary a (UTF8); required boolean b; }";
        let columns = || {
            let text = Values::Text(vec![ByteArray::from("x".repeat(1000).as_str()); 100]);
            [Column::new(text), Column::new(Values::Truth(vec![true; 100]))]
        };
        assert_eq!(checked(flat, &columns(), 4000, 100_000), Ok(()));
        let error = checked(flat, &columns(), 900, 100_000).unwrap_err();
        assert!(
            error.starts_with("x.parquet: unpacked, its columns up to `a` are "),
            "{error}"
        );
        // A hundred rows of two cells are 48,000 bytes at least.
        let error = checked(flat, &columns(), 4000, 47_000).unwrap_err();
        assert!(
            error.starts_with("x.parquet: its rows take more than 48000 bytes"),
            "{error}"
        );
        // One row whose list holds one text a hundred times.
        let repetition: Vec<i16> = (0..100).map(|n| i16::from(n > 0)).collect();
        let text = Values::Text(vec![ByteArray::from("x".repeat(1000).as_str()); 100]);
        let list = [Column::new(text).levels(&[1; 100], Some(&repetition))];
        let nested = "message m { repeated binary a (UTF8); }";
        assert_eq!(checked(nested, &list, 4000, 150_000), Ok(()));
        let error = checked(nested, &list, 4000, 60_000).unwrap_err();
        assert!(error.contains("its rows take more than"), "{error}");
    }

    #[test]
    fn cells_are_counted_as_they_come() {
        let mut bounds = Bounds {
            rows: 1000,
            ..Bounds::new(Path::new("x.parquet"), 9)
        };
        assert!(bounds.count(&"x".repeat(500).into()).is_ok());
        assert!(bounds.count(&"x".repeat(500).into()).is_err());
    }

    #[test]
    fn columns_nested_without_end_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        for (depth, deep) in [(60, false), (70, true)] {
            let schema = format!(
                "message m {{ required int32 a; {} required int32 x; {} required int32 z; }}",
                "required group g {".repeat(depth),
                "}".repeat(depth)
            );
            let columns: Vec<Column> = (0..3).map(|_| Column::new(Values::Int(vec![1]))).collect();
            write(&path, &schema, &columns, Compression::SNAPPY, None);
            let read = super::super::read("x.parquet".as_ref(), &path);
            assert_eq!(read.is_err_and(|error| error.message.contains("nested too deep")), deep);
        }
    }
}
