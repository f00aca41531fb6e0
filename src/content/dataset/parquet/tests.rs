//! Files as data frames, the hub and hostile hands write them.

use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use parquet::data_type::{ByteArray, FixedLenByteArray};
use serde_json::{Value, json};

use super::read;
use crate::content::dataset::Table;

#[path = "../../../../tests/support/parquet_file.rs"]
pub mod file;

use file::{Column, Values, write};

fn rows(table: &Table) -> Value {
    table.rows.iter().map(|row| Value::Object(row.fields.clone())).collect()
}

fn read_back(schema: &str, columns: &[Column], huggingface: Option<&str>) -> Result<Table, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.parquet");
    write(&path, schema, columns, Compression::SNAPPY, huggingface);
    read("x.parquet".as_ref(), &path).map_err(|e| e.to_string())
}

#[test]
fn every_kind_of_value_shows_as_it_would_be_written() {
    let schema = "message m {
        required binary text (UTF8); required binary plain; required boolean truth; required int32 small (INT_8);
        required int32 count (UINT_32); required int64 long; required int64 vast (UINT_64); required float narrow;
        required double wide; required double whole; required int32 price (DECIMAL(9, 2)); required int32 day (DATE);
        required int64 at (TIMESTAMP_MILLIS); required int64 precise (TIMESTAMP(NANOS, false)); required int32 hour (TIME_MILLIS);
        required fixed_len_byte_array(2) half (FLOAT16);
    }";
    let half = ByteArray::from(half::f16::from_f32(0.1).to_le_bytes().to_vec());
    let columns = [
        Column::text(["Ü 🦀 <b>\u{0}"]),
        Column::text(["bytes"]),
        Column::new(Values::Truth(vec![true])),
        Column::new(Values::Int(vec![-5])),
        Column::new(Values::Int(vec![-1])),
        Column::new(Values::Long(vec![i64::MIN])),
        Column::new(Values::Long(vec![-1])),
        Column::new(Values::Float(vec![0.1])),
        Column::new(Values::Double(vec![0.1 + 0.2])),
        Column::new(Values::Double(vec![63.0])),
        Column::new(Values::Int(vec![-150])),
        Column::new(Values::Int(vec![-1])),
        Column::new(Values::Long(vec![1_700_000_000_250])),
        Column::new(Values::Long(vec![-1])),
        Column::new(Values::Int(vec![47_100_000])),
        Column::new(Values::Fixed(vec![FixedLenByteArray::from(half)])),
    ];
    let table = read_back(schema, &columns, None).unwrap();
    let shown: Vec<String> = table
        .columns
        .iter()
        .map(|name| table.text(0, name).unwrap().into_owned())
        .collect();
    assert_eq!(
        shown,
        [
            "Ü 🦀 <b>\u{0}",
            "bytes",
            "true",
            "-5",
            "4294967295",
            "-9223372036854775808",
            "18446744073709551615",
            "0.1",
            "0.30000000000000004",
            "63.0",
            "-1.50",
            "1969-12-31",
            "2023-11-14T22:13:20.25",
            "1969-12-31T23:59:59.999999999",
            "13:05:00",
            "0.099975586",
        ]
    );
    assert!(table.rows[0].position.is_none());
    assert_eq!(table.error(0, "odd").to_string(), "x.parquet: row 0, the first: odd");
}

#[test]
fn nulls_lists_and_structs_keep_their_shape() {
    let schema = "message m {
        optional binary text (UTF8);
        optional group tags (LIST) { repeated group list { optional binary element (UTF8); } }
        optional group who { required binary name (UTF8); optional int64 age; }
        repeated int32 bare;
        optional group at (LIST) { repeated group list { optional int64 element (TIMESTAMP(NANOS, true)); } }
        required group map (MAP) { repeated group key_value { required binary key (UTF8); optional int64 value; } }
    }";
    let columns = [
        Column::text(["a"]).levels(&[1, 0], None),
        Column::text(["x"]).levels(&[3, 2, 0], Some(&[0, 1, 0])),
        Column::text(["Ann"]).levels(&[1, 0], None),
        Column::new(Values::Long(vec![7])).levels(&[2, 0], None),
        Column::new(Values::Int(vec![1, 2])).levels(&[1, 1, 0], Some(&[0, 1, 0])),
        Column::new(Values::Long(vec![0])).levels(&[3, 1], Some(&[0, 0])),
        Column::text(["k"]).levels(&[1, 0], Some(&[0, 0])),
        Column::new(Values::Long(vec![5])).levels(&[2, 0], Some(&[0, 0])),
    ];
    assert_eq!(
        rows(&read_back(schema, &columns, None).unwrap()),
        json!([
            {"text": "a", "tags": ["x", null], "who": {"name": "Ann", "age": 7}, "bare": [1, 2], "at": ["1970-01-01T00:00:00Z"], "map": {"k": 5}},
            {"text": null, "tags": null, "who": null, "bare": [], "at": [], "map": {}},
        ])
    );
}

#[test]
fn what_pyarrow_reads_is_read_the_same() {
    // The right side is what pyarrow 26 and pandas 3 give, written as RFC 3339.
    let schema = "message m {
        required int64 millis (TIMESTAMP(MILLIS, true)); required int64 local (TIMESTAMP(MILLIS, false));
        required int64 micros (TIMESTAMP(MICROS, true)); required int64 nanos (TIMESTAMP(NANOS, true));
        required int64 old (TIMESTAMP_MICROS); required int64 early (TIMESTAMP(MICROS, false));
        required int32 hour (TIME(MILLIS, true)); required int64 minute (TIME(MICROS, false)); required int64 second (TIME(NANOS, false));
        required int64 cents (DECIMAL(18, 2)); required fixed_len_byte_array(16) uuid (UUID);
    }";
    let long = |number| Column::new(Values::Long(vec![number]));
    let uuid = ByteArray::from((0..16).collect::<Vec<u8>>());
    let columns = [
        long(1_550_000_000_123),
        long(1_550_000_000_123),
        long(1_550_000_000_123_456),
        long(1_550_000_000_123_456_789),
        long(1_550_000_000_123_456),
        long(-1),
        Column::new(Values::Int(vec![1_234_567])),
        long(1_234_567_890),
        long(1_234_567_890),
        long(-5),
        Column::new(Values::Fixed(vec![FixedLenByteArray::from(uuid)])),
    ];
    let table = read_back(schema, &columns, None).unwrap();
    let shown: Vec<_> = table.columns.iter().map(|name| table.text(0, name).unwrap()).collect();
    assert_eq!(
        shown,
        [
            "2019-02-12T19:33:20.123Z",
            "2019-02-12T19:33:20.123",
            "2019-02-12T19:33:20.123456Z",
            "2019-02-12T19:33:20.123456789Z",
            "2019-02-12T19:33:20.123456",
            "1969-12-31T23:59:59.999999",
            "00:20:34.567",
            "00:20:34.56789",
            "00:00:01.23456789",
            "-0.05",
            "00010203-0405-0607-0809-0a0b0c0d0e0f",
        ]
    );
}

#[test]
fn a_mapping_with_a_key_twice_is_told() {
    let schema = "message m { required group map (MAP) { repeated group key_value { required binary key (UTF8); required int32 value; } } }";
    let columns = [
        Column::text(["k", "k"]).levels(&[1, 1], Some(&[0, 1])),
        Column::new(Values::Int(vec![1, 2])).levels(&[1, 1], Some(&[0, 1])),
    ];
    assert!(
        read_back(schema, &columns, None)
            .unwrap_err()
            .starts_with("x.parquet: row 0, column `map`: a mapping that has the key `k` twice")
    );
}

#[test]
fn class_numbers_have_the_files_own_names() {
    let schema = "message m { required int64 label; required int32 other; }";
    let columns = || {
        [
            Column::new(Values::Long(vec![1, 0])),
            Column::new(Values::Int(vec![1, 0])),
        ]
    };
    let named = json!({"info": {"features": {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}}}}).to_string();
    assert_eq!(
        rows(&read_back(schema, &columns(), Some(&named)).unwrap()),
        json!([{"label": "yes", "other": 1}, {"label": "no", "other": 0}])
    );
    let short = named.replace("\"no\",", "");
    assert_eq!(
        read_back(schema, &columns(), Some(&short)).unwrap_err(),
        "x.parquet: row 0, column `label`: class 1, and the file names 1 classes\n  expected: a class that has a name, counted from 0, or −1 for none\n  help: write the file without `label`, or with text in it"
    );
}

#[test]
fn every_compression_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.parquet");
    for compression in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::default()),
    ] {
        let text = "round and ".repeat(100);
        write(
            &path,
            "message m { required binary a (UTF8); }",
            &[Column::text([text.as_str()])],
            compression,
            None,
        );
        assert_eq!(
            rows(&read("x".as_ref(), &path).unwrap()),
            json!([{"a": text}]),
            "{compression}"
        );
    }
}

#[test]
fn pictures_are_left_out_and_what_cannot_be_read_is_told() {
    let picture = Values::Text(vec![ByteArray::from("text"), ByteArray::from(vec![0xff, 0xd8])]);
    let schema = "message m { required binary image; required int32 a; }";
    let columns = [Column::new(picture), Column::new(Values::Int(vec![4, 5]))];
    assert_eq!(
        rows(&read_back(schema, &columns, None).unwrap()),
        json!([{"a": 4}, {"a": 5}])
    );
    let table = read_back(schema, &columns, None).unwrap();
    assert_eq!(
        (table.columns, table.left_out),
        (vec!["a".to_owned()], vec!["image".to_owned()])
    );
    let schema = "message m { required fixed_len_byte_array(12) span (INTERVAL); }";
    let span = FixedLenByteArray::from(ByteArray::from(vec![0u8; 12]));
    let error = read_back(schema, &[Column::new(Values::Fixed(vec![span]))], None).unwrap_err();
    assert!(
        error.starts_with("x.parquet: this Parquet file cannot be read: "),
        "{error}"
    );
    let twice = "message m { required int32 a; required int32 a; }";
    let columns = [Column::new(Values::Int(vec![1])), Column::new(Values::Int(vec![1]))];
    assert_eq!(
        read_back(twice, &columns, None).unwrap_err(),
        "x.parquet: two columns have the name `a`\n  help: rename or remove one of them"
    );
}

#[test]
fn broken_files_are_told_and_never_crash() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.parquet");
    let texts: Vec<String> = (0..100).map(|row| format!("row {row}")).collect();
    write(
        &path,
        "message m { required binary a (UTF8); }",
        &[Column::text(texts.iter().map(String::as_str))],
        Compression::SNAPPY,
        None,
    );
    let whole = std::fs::read(&path).unwrap();
    let told = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        read("x.parquet".as_ref(), &path)
    };
    let error = |bytes: &[u8]| told(bytes).unwrap_err().to_string();
    assert_eq!(
        error(&whole[..whole.len() - 9]),
        "x.parquet: this Parquet file is cut off: its end is missing\n  help: get the file again, whole"
    );
    for other in [&b""[..], b"P", b"id,text\n1,2\n", b"PAR2....PAR2"] {
        assert_eq!(
            error(other),
            "x.parquet: this is no Parquet file\n  expected: a file that begins and ends with `PAR1`"
        );
    }
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n";
    assert_eq!(
        error(pointer),
        "x.parquet: this is a pointer of Git LFS, not the file itself\n  help: fetch the file: `git lfs pull`"
    );
    assert!(error(b"PAR1PAR1").starts_with("x.parquet: this Parquet file cannot be read: "));
    // A flipped byte may leave other text behind, or an error: never a crash.
    for place in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x55;
        if let Err(error) = told(&bytes) {
            assert!(error.file.is_some());
        }
    }
}
