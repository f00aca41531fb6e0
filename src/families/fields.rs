//! Typed access to the fields of a `config.json`, which remembers what was asked for, what was assumed and what was
//! odd.
//!
//! A value of another type than Python's is an error that names it. A field that nobody asked for is unknown
//! ([`super::unused_fields`]).

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Display;

use serde_json::{Map, Value};

use crate::diagnostic::{Diagnostic, Diagnostics, Result};

/// What to do about a variant; [`super::Family::shape`] adds of which family.
pub const NOT_COMPUTED: &str = "igsite does not compute this variant";
/// What such a help begins with.
pub const NOT_COMPUTED_THIS: &str = "igsite does not compute this";

/// A bound far above any model: it keeps products of shapes from overflowing.
const LARGEST_COUNT: u64 = 1 << 28;

/// The fields of the file.
pub struct Fields<'a> {
    map: &'a Map<String, Value>,
    asked: RefCell<BTreeSet<String>>,
    assumed: RefCell<Vec<String>>,
    warnings: RefCell<Diagnostics>,
}

impl<'a> Fields<'a> {
    /// Of a file.
    pub fn new(map: &'a Map<String, Value>) -> Self {
        Self {
            map,
            asked: RefCell::default(),
            assumed: RefCell::default(),
            warnings: RefCell::default(),
        }
    }

    /// A value as it stands; from here on its field is known.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.asked.borrow_mut().insert(key.to_owned());
        self.map.get(key)
    }

    /// As [`Self::get`], where null is as good as nothing.
    pub fn some(&self, key: &str) -> Option<&'a Value> {
        self.get(key).filter(|value| !value.is_null())
    }

    /// Fields that nobody asked for, in the file's order.
    pub fn unasked(&self) -> Vec<(&'a str, &'a Value)> {
        let asked = self.asked.borrow();
        let unasked = |(key, _): &(&String, &Value)| !asked.contains(*key);
        self.map
            .iter()
            .filter(unasked)
            .map(|(key, value)| (key.as_str(), value))
            .collect()
    }

    /// Notes something that is odd and was decided in one of several ways.
    pub fn warn(&self, diagnostic: Diagnostic) {
        self.warnings.borrow_mut().push(diagnostic.as_warning());
    }

    /// Warns of a field that transformers does not read in this family, so that nothing is computed from it, if the file
    /// has it; `why` says what the family has in its place.
    pub fn pass_over(&self, key: &str, why: &str) {
        if let Some(value) = self.some(key) {
            self.warn(
                Diagnostic::checkpoint(format!("`{key}: {value}`"))
                    .expected(why)
                    .help("passed over, as transformers does"),
            );
        }
    }

    /// All that was odd, and one warning of what the file leaves out.
    pub fn warnings(self) -> Diagnostics {
        let mut warnings = self.warnings.into_inner();
        let assumed = self.assumed.into_inner();
        if !assumed.is_empty() {
            let what = format!("left out, so that transformers' defaults hold: {}", assumed.join(", "));
            warnings.push(
                Diagnostic::checkpoint(what)
                    .help("write them into the file if the model was made otherwise")
                    .as_warning(),
            );
        }
        warnings
    }

    /// An error at a field.
    pub fn wrong(&self, key: &str, expected: &str) -> Diagnostic {
        let found = match self.map.get(key) {
            None => format!("`{key}` is missing"),
            Some(value) => format!("`{key}: {}`", shown(value)),
        };
        Diagnostic::checkpoint(found).expected(expected)
    }

    fn assume<T: Display>(&self, key: &str, default: T) -> T {
        self.assumed.borrow_mut().push(format!("`{key}: {default}`"));
        default
    }

    /// A shape. transformers has a default for each, which is told where it is taken: it is that of a published model.
    pub fn count(&self, key: &str, default: usize) -> Result<usize> {
        match self.get(key) {
            None => Ok(self.assume(key, default)),
            Some(value) => self.whole(key, value),
        }
    }

    /// A shape that may be null or left out.
    pub fn optional_count(&self, key: &str) -> Result<Option<usize>> {
        self.some(key).map(|value| self.whole(key, value)).transpose()
    }

    /// As [`Self::optional_count`], where leaving it out is something else than null: a default of transformers.
    pub fn optional_count_or(&self, key: &str, default: usize) -> Result<Option<usize>> {
        match self.get(key) {
            None => Ok(Some(self.assume(key, default))),
            Some(_) => self.optional_count(key),
        }
    }

    /// The same without a word: a default that changes nothing unless another switch is on.
    pub fn optional_count_or_silent(&self, key: &str, default: usize) -> Result<Option<usize>> {
        match self.get(key) {
            None => Ok(Some(default)),
            Some(_) => self.optional_count(key),
        }
    }

    fn whole(&self, key: &str, value: &Value) -> Result<usize> {
        match value.as_u64() {
            Some(n) if (1..=LARGEST_COUNT).contains(&n) => Ok(n as usize),
            _ => Err(self.wrong(key, "a whole number from 1")),
        }
    }

    /// A number above zero.
    pub fn number(&self, key: &str, default: f64) -> Result<f64> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => positive(value).ok_or_else(|| self.wrong(key, "a number above 0")),
        }
    }

    /// True or false.
    pub fn flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.wrong(key, "true or false")),
        }
    }

    /// True or false, where null is false, as it is to Python.
    pub fn loose_flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.get(key) {
            Some(Value::Null) => Ok(false),
            _ => self.flag(key, default),
        }
    }

    /// A text that may be null or left out.
    pub fn text(&self, key: &str) -> Result<Option<&'a str>> {
        match self.some(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(key, "a text")),
        }
    }

    /// A list of texts that may be null or left out.
    pub fn texts(&self, key: &str) -> Result<Option<Vec<&'a str>>> {
        let Some(value) = self.some(key) else { return Ok(None) };
        let texts: Option<Vec<&str>> = value.as_array().and_then(|all| all.iter().map(Value::as_str).collect());
        texts.map(Some).ok_or_else(|| self.wrong(key, "a list of texts"))
    }

    /// One token, or a list; none where it is null or left out. A negative number means that there is none
    /// (`pad_token_id: -1`).
    pub fn tokens(&self, key: &str) -> Result<Vec<u32>> {
        let wrong = || self.wrong(key, "a token's number, a list of them, or null");
        let id = |value: &Value| match value.as_i64() {
            Some(id) if id < 0 => Ok(None),
            Some(id) => u32::try_from(id).map(Some).map_err(|_| wrong()),
            None => Err(wrong()),
        };
        let Some(value) = self.some(key) else { return Ok(vec![]) };
        let all = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let ids: Vec<Option<u32>> = all.iter().map(id).collect::<Result<_>>()?;
        Ok(ids.into_iter().flatten().collect())
    }

    /// The first of [`Self::tokens`].
    pub fn token(&self, key: &str) -> Result<Option<u32>> {
        Ok(self.tokens(key)?.first().copied())
    }

    /// One of the names that are the same thing.
    pub fn must_be(&self, key: &str, wanted: &[&str]) -> Result<()> {
        match self.get(key) {
            None => Ok(()),
            Some(Value::String(found)) if wanted.contains(&found.as_str()) => Ok(()),
            Some(_) => Err(self
                .wrong(key, &format!("`{}`", wanted.join("` or `")))
                .help(NOT_COMPUTED)),
        }
    }

    /// A switch that is not computed.
    pub fn must_be_off(&self, key: &str) -> Result<()> {
        match self.some(key) {
            None | Some(Value::Bool(false)) => Ok(()),
            Some(_) => Err(self.wrong(key, "absent, null or false").help(NOT_COMPUTED)),
        }
    }

    /// Something that is not computed unless it is empty, in whatever way.
    pub fn must_be_empty(&self, key: &str, expected: &str) -> Result<()> {
        match self.get(key) {
            Some(value) if !is_empty(value) => Err(self.wrong(key, expected).help(NOT_COMPUTED)),
            _ => Ok(()),
        }
    }
}

/// A number above zero, and finite.
pub fn positive(value: &Value) -> Option<f64> {
    value.as_f64().filter(|number| number.is_finite() && *number > 0.0)
}

/// What Python takes for false, numbers aside.
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(all) => all.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

/// A value as it stands in the file, shortened.
pub fn shown(value: &Value) -> String {
    const LONGEST: usize = 200;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
