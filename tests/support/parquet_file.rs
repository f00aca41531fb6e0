//! Parquet files made by the tests themselves, with the parquet crate's writer.

use std::path::Path;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArray, FixedLenByteArrayType, FloatType,
    Int32Type, Int64Type, Int96, Int96Type,
};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

/// The values of a leaf column.
pub struct Column {
    values: Values,
    /// Which are there, for an optional column.
    definition: Option<Vec<i16>>,
    /// Where lists go on.
    repetition: Option<Vec<i16>>,
}

/// Values by their physical type.
#[allow(missing_docs, reason = "the names say it")]
pub enum Values {
    Text(Vec<ByteArray>),
    Fixed(Vec<FixedLenByteArray>),
    Truth(Vec<bool>),
    Int(Vec<i32>),
    Long(Vec<i64>),
    Old(Vec<Int96>),
    Float(Vec<f32>),
    Double(Vec<f64>),
}

impl Column {
    /// A required column.
    pub fn new(values: Values) -> Self {
        Self {
            values,
            definition: None,
            repetition: None,
        }
    }

    /// Required text.
    pub fn text<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new(Values::Text(values.into_iter().map(ByteArray::from).collect()))
    }

    /// With levels, as Parquet has them: an optional column, a list.
    pub fn levels(mut self, definition: &[i16], repetition: Option<&[i16]>) -> Self {
        self.definition = Some(definition.to_vec());
        self.repetition = repetition.map(<[i16]>::to_vec);
        self
    }

    fn write(&self, group: &mut SerializedRowGroupWriter<'_, std::fs::File>) {
        match &self.values {
            Values::Text(values) => self.write_as::<ByteArrayType>(values, group),
            Values::Fixed(values) => self.write_as::<FixedLenByteArrayType>(values, group),
            Values::Truth(values) => self.write_as::<BoolType>(values, group),
            Values::Int(values) => self.write_as::<Int32Type>(values, group),
            Values::Long(values) => self.write_as::<Int64Type>(values, group),
            Values::Old(values) => self.write_as::<Int96Type>(values, group),
            Values::Float(values) => self.write_as::<FloatType>(values, group),
            Values::Double(values) => self.write_as::<DoubleType>(values, group),
        }
    }

    fn write_as<T: DataType>(&self, values: &[T::T], group: &mut SerializedRowGroupWriter<'_, std::fs::File>) {
        let mut column = group.next_column().unwrap().expect("the schema has more columns");
        column
            .typed::<T>()
            .write_batch(values, self.definition.as_deref(), self.repetition.as_deref())
            .unwrap();
        column.close().unwrap();
    }
}

/// Writes a file of one row group. `schema` is a message type (`message m { required binary id (UTF8); }`),
/// `huggingface` what `datasets` would say of the columns.
pub fn write(path: &Path, schema: &str, columns: &[Column], compression: Compression, huggingface: Option<&str>) {
    let remarks = huggingface.map(|text| vec![KeyValue::new("huggingface".to_owned(), text.to_owned())]);
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_key_value_metadata(remarks)
        .build();
    let schema = Arc::new(parse_message_type(schema).unwrap());
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    columns.iter().for_each(|column| column.write(&mut group));
    group.close().unwrap();
    writer.close().unwrap();
}
