//! Records as templates get them: the words of the JSON file, without the long lists that pages show in tables of their
//! own.

use serde::ser::{Error, Impossible, SerializeStruct};
use serde::{Serialize, Serializer};

/// Fields that a map is given room for: those of a record with what is said of it. It grows where there are more.
const ROOM: usize = 48;

/// A record as its JSON file has it, but for the fields named: scores and tokens, of which a page may have thousands,
/// are not copied for a template that does not go through them.
pub struct Without<'a, T>(pub &'a T, pub &'static [&'static str]);

impl<T: Serialize> Serialize for Without<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("", ROOM)?;
        self.0.serialize(Onto {
            fields: &mut fields,
            left_out: self.1,
        })?;
        fields.end()
    }
}

/// Two structs as one, with the fields of both. What `#[serde(flatten)]` does it does for Tera in a fraction of the time:
/// the names of fields stay constants, where that makes texts of them.
pub struct Joined<A, B>(pub A, pub B);

impl<A: Serialize, B: Serialize> Serialize for Joined<A, B> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("", ROOM)?;
        self.0.serialize(Onto::all(&mut fields))?;
        self.1.serialize(Onto::all(&mut fields))?;
        fields.end()
    }
}

/// Writes the fields of a struct, but for some, onto those of another one.
struct Onto<'f, S> {
    fields: &'f mut S,
    left_out: &'static [&'static str],
}

impl<'f, S> Onto<'f, S> {
    fn all(fields: &'f mut S) -> Self {
        Self { fields, left_out: &[] }
    }
}

impl<S: SerializeStruct> SerializeStruct for Onto<'_, S> {
    type Ok = ();
    type Error = S::Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Self::Error> {
        if self.left_out.contains(&key) {
            self.fields.skip_field(key)
        } else {
            self.fields.serialize_field(key, value)
        }
    }

    fn skip_field(&mut self, key: &'static str) -> Result<(), Self::Error> {
        self.fields.skip_field(key)
    }

    fn end(self) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// What is no struct has no fields.
macro_rules! refused {
    ($($method:ident($($argument:ty),*) -> $ok:ty;)*) => {
        $(fn $method(self, $(_: $argument),*) -> Result<$ok, Self::Error> {
            Err(S::Error::custom("only a struct has fields to pick"))
        })*
    };
}

impl<'f, S: SerializeStruct> Serializer for Onto<'f, S> {
    type Ok = ();
    type Error = S::Error;
    type SerializeSeq = Impossible<(), S::Error>;
    type SerializeTuple = Impossible<(), S::Error>;
    type SerializeTupleStruct = Impossible<(), S::Error>;
    type SerializeTupleVariant = Impossible<(), S::Error>;
    type SerializeMap = Impossible<(), S::Error>;
    type SerializeStruct = Onto<'f, S>;
    type SerializeStructVariant = Impossible<(), S::Error>;

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, Self::Error> {
        Ok(self)
    }

    refused! {
        serialize_bool(bool) -> ();
        serialize_i8(i8) -> ();
        serialize_i16(i16) -> ();
        serialize_i32(i32) -> ();
        serialize_i64(i64) -> ();
        serialize_u8(u8) -> ();
        serialize_u16(u16) -> ();
        serialize_u32(u32) -> ();
        serialize_u64(u64) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_str(&str) -> ();
        serialize_bytes(&[u8]) -> ();
        serialize_none() -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_unit_variant(&'static str, u32, &'static str) -> ();
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
        serialize_map(Option<usize>) -> Self::SerializeMap;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant;
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), S::Error> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), S::Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), S::Error> {
        Err(S::Error::custom("only a struct has fields to pick"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture;

    #[test]
    fn a_record_has_the_words_of_its_file_but_for_what_is_left_out() {
        let record = &fixture::records("tiny", 1)[0];
        let mut whole = serde_json::to_value(record).expect("JSON");
        let less = serde_json::to_value(Without(record, &["tokens", "attributions"])).expect("JSON");
        assert!(less.get("tokens").is_none() && less["prediction"]["probability"].is_f64());
        let fields = whole.as_object_mut().expect("an object");
        fields.retain(|name, _| name != "tokens" && name != "attributions");
        assert_eq!(less, whole);
        assert!(serde_json::to_value(Without(&1, &[])).is_err());
        assert!(serde_json::to_value(Joined(record, [1])).is_err());
    }

    #[test]
    fn two_structs_are_one_with_the_fields_of_both() {
        let record = &fixture::records("tiny", 1)[0];
        let both = Joined(
            Without(record, &["options"]),
            Joined(&record.prediction, &record.sample),
        );
        let both = serde_json::to_value(both).expect("JSON");
        assert!(both.get("options").is_none());
        for (field, of) in [
            ("prompt", serde_json::to_value(record)),
            ("probability", serde_json::to_value(&record.prediction)),
            ("fields", serde_json::to_value(&record.sample)),
        ] {
            assert_eq!(both[field], of.expect("JSON")[field], "{field}");
        }
    }
}
