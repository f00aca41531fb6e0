//! Records as templates get them: the words of the JSON file, without the long lists that pages show in tables of their
//! own.

use serde::ser::{Error, Impossible, SerializeStruct};
use serde::{Serialize, Serializer};

/// A record as its JSON file has it, but for the fields named: scores and tokens, of which a page may have thousands,
/// are not copied for a template that does not go through them.
pub struct Without<'a, T>(pub &'a T, pub &'static [&'static str]);

impl<T: Serialize> Serialize for Without<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(Fields {
            serializer,
            left_out: self.1,
        })
    }
}

/// Passes a struct on, but for some of its fields.
struct Fields<S> {
    serializer: S,
    left_out: &'static [&'static str],
}

impl<S: SerializeStruct> SerializeStruct for Fields<S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Self::Error> {
        if self.left_out.contains(&key) {
            self.serializer.skip_field(key)
        } else {
            self.serializer.serialize_field(key, value)
        }
    }

    fn skip_field(&mut self, key: &'static str) -> Result<(), Self::Error> {
        self.serializer.skip_field(key)
    }

    fn end(self) -> Result<Self::Ok, Self::Error> {
        self.serializer.end()
    }
}

/// What is no struct has no fields to leave out.
macro_rules! refused {
    ($($method:ident($($argument:ty),*) -> $ok:ty;)*) => {
        $(fn $method(self, $(_: $argument),*) -> Result<$ok, Self::Error> {
            Err(S::Error::custom("only a struct has fields to leave out"))
        })*
    };
}

impl<S: Serializer> Serializer for Fields<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Impossible<S::Ok, S::Error>;
    type SerializeTuple = Impossible<S::Ok, S::Error>;
    type SerializeTupleStruct = Impossible<S::Ok, S::Error>;
    type SerializeTupleVariant = Impossible<S::Ok, S::Error>;
    type SerializeMap = Impossible<S::Ok, S::Error>;
    type SerializeStruct = Fields<S::SerializeStruct>;
    type SerializeStructVariant = Impossible<S::Ok, S::Error>;

    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Self::SerializeStruct, Self::Error> {
        Ok(Fields {
            serializer: self.serializer.serialize_struct(name, len)?,
            left_out: self.left_out,
        })
    }

    refused! {
        serialize_bool(bool) -> S::Ok;
        serialize_i8(i8) -> S::Ok;
        serialize_i16(i16) -> S::Ok;
        serialize_i32(i32) -> S::Ok;
        serialize_i64(i64) -> S::Ok;
        serialize_u8(u8) -> S::Ok;
        serialize_u16(u16) -> S::Ok;
        serialize_u32(u32) -> S::Ok;
        serialize_u64(u64) -> S::Ok;
        serialize_f32(f32) -> S::Ok;
        serialize_f64(f64) -> S::Ok;
        serialize_char(char) -> S::Ok;
        serialize_str(&str) -> S::Ok;
        serialize_bytes(&[u8]) -> S::Ok;
        serialize_none() -> S::Ok;
        serialize_unit() -> S::Ok;
        serialize_unit_struct(&'static str) -> S::Ok;
        serialize_unit_variant(&'static str, u32, &'static str) -> S::Ok;
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
        serialize_map(Option<usize>) -> Self::SerializeMap;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant;
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<S::Ok, S::Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("only a struct has fields to leave out"))
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
    }
}
