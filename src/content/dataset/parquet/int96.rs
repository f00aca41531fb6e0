//! Times as Spark, Impala and Hive write them: twelve bytes, the nanoseconds of a day and the day.
//!
//! The crate's row reader gives milliseconds. So these columns are read once more by themselves, value by value in the
//! same order.

use std::collections::HashMap;

use parquet::column::reader::{ColumnReaderImpl, get_typed_column_reader};
use parquet::data_type::{Int96, Int96Type};
use parquet::errors::ParquetError;
use parquet::file::reader::RowGroupReader;
use parquet::schema::types::Type;

use super::bounds::is_int96;

/// Values read at once.
const BATCH: usize = 1024;
/// The Julian day number of 1970-01-01.
const JULIAN_1970: i128 = 2_440_588;
const DAY: i128 = 86_400_000_000_000;

/// The values of a row group's columns, in the order of its rows.
#[derive(Default)]
pub struct Times(HashMap<*const Type, Column>);

struct Column {
    reader: ColumnReaderImpl<Int96Type>,
    values: std::vec::IntoIter<Int96>,
}

impl Times {
    /// Opens the columns of a row group that have such times.
    pub fn of(group: &dyn RowGroupReader) -> Result<Self, ParquetError> {
        let mut times = Self::default();
        for (index, column) in group.metadata().columns().iter().enumerate() {
            if is_int96(column) {
                let reader = get_typed_column_reader(group.get_column_reader(index)?);
                let values = Vec::new().into_iter();
                // The schema is one tree, shared by all who look at it: a place in it stands for the column.
                let place = std::ptr::from_ref(column.column_descr().self_type());
                times.0.insert(place, Column { reader, values });
            }
        }
        Ok(times)
    }

    /// The next value that is there, in nanoseconds since 1970; none if the column has no such times, or no more.
    pub fn next(&mut self, column: &Type) -> Option<i128> {
        let Column { reader, values } = self.0.get_mut(&std::ptr::from_ref(column))?;
        loop {
            if let Some(value) = values.next() {
                return Some(nanoseconds(value));
            }
            let (mut definition, mut repetition, mut more) = (Vec::new(), Vec::new(), Vec::new());
            let read = reader.read_records(BATCH, Some(&mut definition), Some(&mut repetition), &mut more);
            if read.ok()? == (0, 0, 0) {
                return None;
            }
            *values = more.into_iter();
        }
    }
}

fn nanoseconds(value: Int96) -> i128 {
    let [low, high, day] = value.data() else { return 0 };
    let of_day = (u64::from(*high) << 32 | u64::from(*low)).cast_signed();
    (i128::from(*day) - JULIAN_1970) * DAY + i128::from(of_day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_julian() {
        let at = |nanoseconds: u64, day| {
            let mut value = Int96::new();
            value.set_data(nanoseconds as u32, (nanoseconds >> 32) as u32, day);
            super::nanoseconds(value)
        };
        assert_eq!(at(0, 2_440_588), 0);
        assert_eq!(at(1, 2_440_587), 1 - DAY);
        assert_eq!(at(86_399_999_999_999, 2_440_588), DAY - 1);
    }
}
