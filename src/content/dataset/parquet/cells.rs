//! A cell of a Parquet file as JSON: numbers as they would be written, times as RFC 3339 text, lists and structs as
//! they are.

use parquet::basic::{ConvertedType, LogicalType, Repetition, TimeUnit};
use parquet::record::Field;
use parquet::schema::types::Type;
use serde_json::{Map, Number, Value};

use super::super::number_as_written;
use super::Problem;
use super::int96::Times;
use crate::calendar::date;
use crate::content::names::shortened;
use crate::hex::hex;

const DAY: i128 = 86_400_000_000_000;

/// Most bytes of a decimal number: twice what 76 digits take, which is as many as anybody writes.
const LONGEST_DECIMAL: usize = 64;

/// What a cell holds.
pub enum Cell {
    /// A value that JSON has.
    Value(Value),
    /// Bytes that are no text.
    Bytes,
}

/// The value of a cell whose column has the type `kind`. `times` are those that the row reader does not give in full.
pub fn value(field: &Field, kind: &Type, times: &mut Times) -> Result<Cell, Problem> {
    Ok(Cell::Value(match field {
        Field::Null => Value::Null,
        Field::Bool(truth) => Value::Bool(*truth),
        Field::Byte(n) => (*n).into(),
        Field::Short(n) => (*n).into(),
        Field::Int(n) => (*n).into(),
        Field::Long(n) => long(*n, kind),
        Field::UByte(n) => (*n).into(),
        Field::UShort(n) => (*n).into(),
        Field::UInt(n) => (*n).into(),
        Field::ULong(n) => (*n).into(),
        // A narrow float has few digits; the nearest double has many that nobody wrote.
        Field::Float16(n) => f32::from(*n).to_string().parse().map_or(Value::Null, float),
        Field::Float(n) => n.to_string().parse().map_or(Value::Null, float),
        Field::Double(n) => float(*n),
        Field::Decimal(decimal) if decimal.data().len() > LONGEST_DECIMAL => {
            return Err(Problem {
                message: format!("a decimal number of {} bytes", decimal.data().len()),
                expected: "one of at most 64 bytes",
            });
        }
        Field::Decimal(_) => number_as_written(&field.to_string()),
        Field::Str(text) => text.as_str().into(),
        Field::Bytes(bytes) => match bytes_as_text(bytes.data(), kind) {
            Some(text) => text.into(),
            None => return Ok(Cell::Bytes),
        },
        Field::Date(days) => date(i128::from(*days)).to_string().into(),
        Field::TimeMillis(n) => time(i128::from(*n) * 1_000_000).into(),
        Field::TimeMicros(n) => time(i128::from(*n) * 1000).into(),
        Field::TimestampMillis(n) => {
            let in_full = times.next(kind);
            timestamp(in_full.unwrap_or_else(|| i128::from(*n) * 1_000_000), kind).into()
        }
        Field::TimestampMicros(n) => timestamp(i128::from(*n) * 1000, kind).into(),
        Field::Group(row) => {
            let mut fields = Map::new();
            for ((name, field), kind) in row.get_column_iter().zip(kind.get_fields()) {
                let Cell::Value(value) = value(field, kind, times)? else {
                    return Ok(Cell::Bytes);
                };
                fields.insert(name.clone(), value);
            }
            fields.into()
        }
        Field::ListInternal(list) => {
            let kind = element(kind);
            let mut items = Vec::with_capacity(list.elements().len());
            for field in list.elements() {
                let Cell::Value(value) = value(field, kind, times)? else {
                    return Ok(Cell::Bytes);
                };
                items.push(value);
            }
            items.into()
        }
        Field::MapInternal(map) => {
            // A map is one repeated group of a key and a value.
            let pair = kind.get_fields()[0].get_fields();
            let mut fields = Map::new();
            for (key, item) in map.entries() {
                let (Cell::Value(key), Cell::Value(value)) =
                    (value(key, &pair[0], times)?, value(item, &pair[1], times)?)
                else {
                    return Ok(Cell::Bytes);
                };
                let key = match key {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                if fields.contains_key(&key) {
                    return Err(Problem {
                        message: format!("a mapping that has the key `{}` twice", shortened(&key)),
                        expected: "keys that are distinct",
                    });
                }
                fields.insert(key, value);
            }
            fields.into()
        }
    }))
}

/// Bytes of a column that does not say that they are text: a UUID, or UTF-8.
fn bytes_as_text(bytes: &[u8], kind: &Type) -> Option<String> {
    if kind.get_basic_info().logical_type_ref() == Some(&LogicalType::Uuid) && bytes.len() == 16 {
        let hex = hex(bytes);
        let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
        return Some(parts.join("-"));
    }
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

/// The type of a list's elements; writers disagree on how many groups go round it.
fn element(list: &Type) -> &Type {
    let info = list.get_basic_info();
    if !matches!(
        info.converted_type(),
        ConvertedType::LIST | ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE
    ) {
        // A repeated field without further notice: the list's type is that of its elements.
        return list;
    }
    let repeated = &*list.get_fields()[0];
    let is_wrapped = match repeated.is_group().then(|| repeated.get_fields()) {
        Some([child]) => {
            let is_list = repeated.get_basic_info().converted_type() == ConvertedType::LIST;
            let repeats = child.get_basic_info().repetition() == Repetition::REPEATED;
            is_list || repeats || !(repeated.name() == "array" || repeated.name().ends_with("_tuple"))
        }
        _ => false,
    };
    if is_wrapped {
        &repeated.get_fields()[0]
    } else {
        repeated
    }
}

/// As JSON writes it. Data frames write a missing number as NaN; infinity has no number in JSON, and is text.
fn float(number: f64) -> Value {
    match Number::from_f64(number) {
        Some(number) => Value::Number(number),
        None if number.is_nan() => Value::Null,
        None => number.to_string().into(),
    }
}

/// A whole number, or a time: the row reader knows no nanoseconds, and gives them as they are.
fn long(number: i64, kind: &Type) -> Value {
    let unit = |unit: &TimeUnit| match unit {
        TimeUnit::MILLIS => 1_000_000,
        TimeUnit::MICROS => 1000,
        _ => 1,
    };
    match kind.get_basic_info().logical_type_ref() {
        Some(LogicalType::Timestamp(of)) => timestamp(i128::from(number) * unit(&of.unit), kind).into(),
        Some(LogicalType::Time(of)) => time(i128::from(number) * unit(&of.unit)).into(),
        _ => number.into(),
    }
}

/// Nanoseconds since 1970 as RFC 3339 has them. The `Z` stands only where the file says that the time is UTC; what the
/// older types (INT96, TIMESTAMP_MILLIS, TIMESTAMP_MICROS) mean is not settled among programs, and pyarrow, pandas and
/// datasets read them without.
fn timestamp(nanoseconds: i128, kind: &Type) -> String {
    let is_utc = matches!(
        kind.get_basic_info().logical_type_ref(),
        Some(LogicalType::Timestamp(of)) if of.is_adjusted_to_u_t_c
    );
    format!(
        "{}T{}{}",
        date(nanoseconds.div_euclid(DAY)),
        time(nanoseconds.rem_euclid(DAY)),
        if is_utc { "Z" } else { "" }
    )
}

/// Nanoseconds since midnight: `13:05:00`, with as many decimals as are needed.
fn time(nanoseconds: i128) -> String {
    let seconds = nanoseconds / 1_000_000_000;
    let mut text = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let rest = nanoseconds % 1_000_000_000;
    if rest > 0 {
        text += format!(".{rest:09}").trim_end_matches('0');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_decimals_they_need() {
        assert_eq!(time(0), "00:00:00");
        assert_eq!(time(47_100_000_000_000), "13:05:00");
        assert_eq!(time(86_399_120_000_001), "23:59:59.120000001");
    }

    #[test]
    fn what_is_no_number_is_missing_or_text() {
        assert_eq!(float(f64::NAN), Value::Null);
        assert_eq!(float(f64::NEG_INFINITY), Value::from("-inf"));
        assert_eq!(float(63.0).to_string(), "63.0");
    }
}
