//! A GGUF file's metadata, by key; each value is read where it is asked for.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Number, Value};

use crate::diagnostic::{Diagnostic, Result};

/// Where each key's value lies, after its type.
pub(super) type Spans = BTreeMap<String, (Kind, Range<usize>)>;

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    Text,
    Array,
    U64,
    I64,
    F64,
}

impl Kind {
    /// All, in the order of their numbers.
    const ALL: [Self; 13] = [
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::F32,
        Self::Bool,
        Self::Text,
        Self::Array,
        Self::U64,
        Self::I64,
        Self::F64,
    ];

    pub(super) fn of(number: u32) -> Option<Self> {
        Self::ALL.get(number as usize).copied()
    }

    /// Bytes; none where that depends on the value.
    pub(super) fn size(self) -> Option<usize> {
        match self {
            Self::U8 | Self::I8 | Self::Bool => Some(1),
            Self::U16 | Self::I16 => Some(2),
            Self::U32 | Self::I32 | Self::F32 => Some(4),
            Self::U64 | Self::I64 | Self::F64 => Some(8),
            Self::Text | Self::Array => None,
        }
    }

    /// As the specification calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::U8 => "uint8",
            Self::I8 => "int8",
            Self::U16 => "uint16",
            Self::I16 => "int16",
            Self::U32 => "uint32",
            Self::I32 => "int32",
            Self::F32 => "float32",
            Self::Bool => "bool",
            Self::Text => "string",
            Self::Array => "array",
            Self::U64 => "uint64",
            Self::I64 => "int64",
            Self::F64 => "float64",
        }
    }
}

/// What a file says of itself. The getters give none where a key is not there, and an error that names it where its
/// value is of another type.
#[derive(Clone)]
pub struct Metadata {
    path: Arc<Path>,
    bytes: Arc<Vec<u8>>,
    spans: Arc<Spans>,
}

impl std::fmt::Debug for Metadata {
    /// Without the values: a vocabulary is long.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.spans.keys()).finish()
    }
}

/// One value.
#[derive(Clone, Copy)]
struct Item<'a> {
    kind: Kind,
    bytes: &'a [u8],
}

/// The values of an array.
#[derive(Clone, Copy)]
struct Items<'a> {
    kind: Kind,
    count: usize,
    bytes: &'a [u8],
}

/// The first `N` bytes. That they are there was seen when the head was read.
fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    *bytes.first_chunk().unwrap_or(&[0; N])
}

impl<'a> Item<'a> {
    /// A whole number, of whatever type.
    fn whole(self) -> Option<i128> {
        Some(match self.kind {
            Kind::U8 => u8::from_le_bytes(first(self.bytes)).into(),
            Kind::I8 => i8::from_le_bytes(first(self.bytes)).into(),
            Kind::U16 => u16::from_le_bytes(first(self.bytes)).into(),
            Kind::I16 => i16::from_le_bytes(first(self.bytes)).into(),
            Kind::U32 => u32::from_le_bytes(first(self.bytes)).into(),
            Kind::I32 => i32::from_le_bytes(first(self.bytes)).into(),
            Kind::U64 => u64::from_le_bytes(first(self.bytes)).into(),
            Kind::I64 => i64::from_le_bytes(first(self.bytes)).into(),
            _ => return None,
        })
    }

    /// A number with a fraction. A float32 becomes the shortest decimal that is rounded to it, as which it was written:
    /// 1e-5, not 0.0000099999997.
    fn float(self) -> Option<f64> {
        match self.kind {
            Kind::F32 => {
                let number = f32::from_le_bytes(first(self.bytes));
                number.to_string().parse().ok()
            }
            Kind::F64 => Some(f64::from_le_bytes(first(self.bytes))),
            _ => None,
        }
    }

    fn flag(self) -> Option<bool> {
        (self.kind == Kind::Bool).then(|| self.bytes.first() != Some(&0))
    }

    fn text(self) -> Option<&'a str> {
        let text = self.bytes.get(8..).filter(|_| self.kind == Kind::Text)?;
        std::str::from_utf8(text).ok()
    }

    fn items(self) -> Option<Items<'a>> {
        let kind = Kind::of(u32::from_le_bytes(first(self.bytes))).filter(|_| self.kind == Kind::Array)?;
        Some(Items {
            kind,
            count: u64::from_le_bytes(first(self.bytes.get(4..)?)) as usize,
            bytes: self.bytes.get(12..)?,
        })
    }

    /// As JSON; numbers that JSON has not become texts.
    fn json(self) -> Value {
        if let Some(whole) = self.whole() {
            return match u64::try_from(whole) {
                Ok(number) => number.into(),
                Err(_) => (whole as i64).into(),
            };
        }
        if let Some(float) = self.float() {
            return Number::from_f64(float).map_or_else(|| float.to_string().into(), Value::Number);
        }
        match (self.flag(), self.text(), self.items()) {
            (Some(flag), ..) => flag.into(),
            (_, Some(text), _) => text.into(),
            (.., Some(items)) => items.all(Item::json).into_iter().flatten().collect(),
            _ => Value::Null,
        }
    }
}

impl<'a> Items<'a> {
    /// Each as `read` gives it; none where one of them is no such thing.
    fn all<T>(self, read: impl Fn(Item<'a>) -> T) -> Option<Vec<T>> {
        let mut bytes = self.bytes;
        let mut all = Vec::with_capacity(self.count);
        for _ in 0..self.count {
            let length = match (self.kind.size(), self.kind) {
                (Some(size), _) => size,
                (None, Kind::Text) => 8 + u64::from_le_bytes(first(bytes)) as usize,
                _ => Items::length(bytes)?,
            };
            let (item, rest) = bytes.split_at_checked(length)?;
            all.push(read(Item {
                kind: self.kind,
                bytes: item,
            }));
            bytes = rest;
        }
        Some(all)
    }

    /// Bytes of an array's value.
    fn length(bytes: &[u8]) -> Option<usize> {
        let items = Item {
            kind: Kind::Array,
            bytes,
        }
        .items()?;
        if let Some(size) = items.kind.size() {
            return Some(12 + items.count * size);
        }
        let mut length = 12;
        for _ in 0..items.count {
            let inner = bytes.get(length..)?;
            length += match items.kind {
                Kind::Text => 8 + u64::from_le_bytes(first(inner)) as usize,
                _ => Items::length(inner)?,
            };
        }
        Some(length)
    }
}

impl Metadata {
    pub(super) fn new(path: &Path, bytes: Vec<u8>, spans: Spans) -> Self {
        Self {
            path: path.into(),
            bytes: bytes.into(),
            spans: spans.into(),
        }
    }

    /// The file that it is of.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The keys, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.spans.keys().map(String::as_str)
    }

    /// Whether a key is there.
    pub fn has(&self, key: &str) -> bool {
        self.spans.contains_key(key)
    }

    /// A value's own bytes in the file, after its type: for a hash. None where the key is not there.
    pub fn raw(&self, key: &str) -> Option<&[u8]> {
        self.item(key).map(|item| item.bytes)
    }

    /// An error at a key.
    pub fn wrong(&self, key: &str, what: impl Into<String>) -> Diagnostic {
        Diagnostic::checkpoint(what)
            .in_file(&self.path)
            .place(format!("`{key}`"))
    }

    fn item(&self, key: &str) -> Option<Item<'_>> {
        let (kind, span) = self.spans.get(key)?;
        Some(Item {
            kind: *kind,
            bytes: &self.bytes[span.clone()],
        })
    }

    /// An error: a value is of another type.
    fn other(&self, key: &str, expected: &str) -> Diagnostic {
        let found = match self.item(key) {
            None => "is not there".to_owned(),
            Some(item) => match item.items() {
                Some(items) => format!("an array of {} {}", items.count, items.kind.name()),
                None => format!("a value of type {}: {}", item.kind.name(), short(&item.json())),
            },
        };
        self.wrong(key, found).expected(expected)
    }

    fn one<'a, T>(&'a self, key: &str, expected: &str, read: impl Fn(Item<'a>) -> Option<T>) -> Result<Option<T>> {
        let Some(item) = self.item(key) else { return Ok(None) };
        read(item).map(Some).ok_or_else(|| self.other(key, expected))
    }

    fn many<'a, T>(
        &'a self,
        key: &str,
        expected: &str,
        read: impl Fn(Item<'a>) -> Option<T>,
    ) -> Result<Option<Vec<T>>> {
        let Some(item) = self.item(key) else { return Ok(None) };
        let other = || self.other(key, expected);
        let items = item.items().ok_or_else(other)?;
        let all = items.all(read).ok_or_else(other)?;
        let bad = all.iter().position(Option::is_none);
        let all: Option<Vec<T>> = all.into_iter().collect();
        all.map(Some).ok_or_else(|| match bad {
            Some(index) if items.kind == Kind::Text => self
                .wrong(key, format!("entry {index} is not UTF-8"))
                .expected(expected)
                .download_again(),
            _ => other(),
        })
    }

    /// A text.
    ///
    /// # Errors
    /// The value is of another type; as for all that follow.
    pub fn text(&self, key: &str) -> Result<Option<&str>> {
        self.one(key, "a string", Item::text)
    }

    /// A whole number from 0, of whatever type it is.
    pub fn u32(&self, key: &str) -> Result<Option<u32>> {
        self.one(key, "a whole number from 0 to 4294967295", |item| {
            item.whole().and_then(|number| u32::try_from(number).ok())
        })
    }

    /// A number.
    pub fn f32(&self, key: &str) -> Result<Option<f32>> {
        self.one(key, "a float32", |item| match item.kind {
            Kind::F32 => Some(f32::from_le_bytes(first(item.bytes))),
            _ => item.float().map(|number| number as f32),
        })
    }

    /// True or false.
    pub fn bool(&self, key: &str) -> Result<Option<bool>> {
        self.one(key, "a bool", Item::flag)
    }

    /// An array of texts.
    pub fn texts(&self, key: &str) -> Result<Option<Vec<&str>>> {
        self.many(key, "an array of strings", Item::text)
    }

    /// An array of numbers.
    pub fn floats(&self, key: &str) -> Result<Option<Vec<f32>>> {
        self.many(key, "an array of float32", |item| match item.kind {
            Kind::F32 => Some(f32::from_le_bytes(first(item.bytes))),
            _ => item.float().map(|number| number as f32),
        })
    }

    /// An array of whole numbers, of whatever type they are.
    pub fn ints(&self, key: &str) -> Result<Option<Vec<i64>>> {
        self.many(key, "an array of whole numbers", |item| {
            item.whole().and_then(|number| i64::try_from(number).ok())
        })
    }

    /// How many values an array has; none where there is no array of that name.
    pub fn count(&self, key: &str) -> Option<usize> {
        self.item(key)?.items().map(|items| items.count)
    }

    /// A value as JSON, whatever it is.
    pub fn json(&self, key: &str) -> Option<Value> {
        self.item(key).map(Item::json)
    }
}

/// A value for a message.
fn short(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
