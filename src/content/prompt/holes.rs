//! Holes in a prompt: to Tera a value that is null, or in a `~` one that is absent, is no text at all, and says nothing
//! of it.
//!
//! A template may ask for such a value (`{% if x %}`, `x is none`, `x == none`, `x | default(value="")`); then its text
//! is what the author wants. So a row that lacks something which its templates mention is rendered twice more: with
//! what is missing as it is, and with zeros of two kinds in its place that no data holds. To a condition they are
//! false, as what is missing is, and the filters and tests that ask for missing values take them for such; but they are
//! written out. What then reads otherwise has shown one.

use std::collections::BTreeSet;

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::{Map, Value as Json};
use tera::{Context, Kwargs, State, Tera, TeraResult, Value};

use super::columns::ROW;
use crate::content::templating::Metered;
use crate::content::templating::meter;

/// Stands for null where holes are looked for.
const NULL: i128 = 0;
/// Stands for what is absent.
const ABSENT: u128 = 0;

/// The test that stands for a comparison with an empty text.
const EMPTY: &str = "igsite_empty";

/// Something that a template shows and a row does not have.
#[derive(Debug, PartialEq, Eq)]
pub struct Hole {
    /// The column.
    pub column: String,
    /// The way to the first null in the column, such as `tags[1]`; none where the row lacks the column.
    pub null: Option<String>,
}

/// The templates of a prompt, as they are rendered to find holes.
#[derive(Clone)]
pub struct Holes(Tera);

impl Holes {
    /// No templates yet; the filters are those of `tera`.
    pub fn new(tera: &Tera) -> Self {
        let mut holes = tera.clone();
        holes.register_filter("default", |value: Value, kwargs: Kwargs, _: &State| {
            default(is_missing(&value), value, &kwargs)
        });
        holes.register_test("none", |value: &Value, _: Kwargs, _: &State| {
            value.is_none() || is_null(value)
        });
        holes.register_test("defined", |value: &Value, _: Kwargs, _: &State| {
            !value.is_undefined() && !is_absent(value)
        });
        holes.register_test("undefined", |value: &Value, _: Kwargs, _: &State| {
            value.is_undefined() || is_absent(value)
        });
        holes.register_test(EMPTY, |value: &Value, _: Kwargs, _: &State| {
            value.as_str() == Some("") || is_null(value)
        });
        for name in ["number", "integer"] {
            holes.register_test(name, move |value: &Value, _: Kwargs, _: &State| {
                value.is_number() && !is_missing(value) && (name == "number" || !value.is_f64())
            });
        }
        Self(holes)
    }

    /// Adds a template that Tera has parsed already; `size` is as [`Metered::new`] has it.
    pub fn add(&mut self, name: &str, text: &str, size: &dyn Fn(&str) -> Option<usize>) {
        // No operator can know what the zeros stand for; a test can.
        let asking = Metered::new(&with_tests(text), size);
        if self.0.add_raw_template(name, &asking.text).is_err() {
            _ = self.0.add_raw_template(name, &Metered::new(text, size).text);
        }
    }

    /// The columns with something missing, of those that templates mention.
    pub fn candidates(fields: &Map<String, Json>, mentioned: &BTreeSet<String>) -> Vec<Hole> {
        let all = mentioned.contains(ROW) && !fields.contains_key(ROW);
        let there = fields.iter().filter(|(name, _)| all || mentioned.contains(*name));
        let nulls = there.filter_map(|(name, value)| {
            null_in(value).map(|way| Hole {
                column: name.clone(),
                null: Some(name.clone() + &way),
            })
        });
        let absent = mentioned
            .iter()
            .filter(|name| *name != ROW && !fields.contains_key(*name))
            .map(|name| Hole {
                column: name.clone(),
                null: None,
            });
        nulls.chain(absent).collect()
    }

    /// The first of the candidates that a template shows, if it shows one. Each look at it may do `units` of work.
    pub fn find<'a>(
        &self,
        template: &str,
        fields: &Map<String, Json>,
        mentioned: &BTreeSet<String>,
        candidates: &'a [Hole],
        units: u64,
    ) -> Option<&'a Hole> {
        let render = |marked: Option<&Hole>| {
            let context = context(fields, mentioned, marked);
            meter::within(units, || self.0.render(template, &context)).0.ok()
        };
        let plain = candidates.first().and_then(|_| render(None))?;
        candidates
            .iter()
            .find(|hole| render(Some(hole)).is_some_and(|text| text != plain))
    }
}

impl Holes {
    /// Whether a template shows the empty text that a row has in a column, or does something with it. Each look may do
    /// `units` of work.
    pub fn shows_empty(
        &self,
        template: &str,
        fields: &Map<String, Json>,
        mentioned: &BTreeSet<String>,
        column: &str,
        units: u64,
    ) -> bool {
        let render = |context: &Context| meter::within(units, || self.0.render(template, context)).0;
        let plain = render(&context(fields, mentioned, None));
        let hole = Hole {
            column: column.to_owned(),
            null: Some(column.to_owned()),
        };
        let mut fields = fields.clone();
        fields.insert(hole.column.clone(), Json::Null);
        let marked = render(&context(&fields, mentioned, Some(&hole)));
        // A filter of texts fails on what stands for the empty one.
        plain.is_ok_and(|plain| marked.ok() != Some(plain))
    }
}

/// Tera's own `default`, for which null is missing too.
pub fn default(is_missing: bool, value: Value, kwargs: &Kwargs) -> TeraResult<Value> {
    let other = kwargs.must_get::<Value>("value")?;
    let also_false = kwargs.get::<bool>("boolean")?.unwrap_or_default();
    Ok(if is_missing || (also_false && !value.is_truthy()) {
        other
    } else {
        value
    })
}

fn is_null(value: &Value) -> bool {
    value.is_i128() && value.as_i128() == Some(NULL)
}

fn is_absent(value: &Value) -> bool {
    value.is_u128() && value.as_u128() == Some(ABSENT)
}

fn is_missing(value: &Value) -> bool {
    value.is_none() || value.is_undefined() || is_null(value) || is_absent(value)
}

/// The variables of a template for a row. What is missing in the column of `marked` is a zero.
pub fn context(fields: &Map<String, Json>, mentioned: &BTreeSet<String>, marked: Option<&Hole>) -> Context {
    let mut context = Context::new();
    let column = marked.map(|hole| hole.column.as_str());
    for name in mentioned {
        if let Some(value) = fields.get(name) {
            let marks = column == Some(name);
            context.insert_value(name.clone(), Value::from_serializable(&Marked { value, marks }));
        } else if name == ROW {
            context.insert_value(name.clone(), Value::from_serializable(&Row { fields, marked }));
        } else if column == Some(name) {
            context.insert_value(name.clone(), Value::from(ABSENT));
        }
    }
    context
}

/// A cell; if `marks` is set, with zeros for its nulls.
struct Marked<'a> {
    value: &'a Json,
    marks: bool,
}

impl Serialize for Marked<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let marks = self.marks;
        match self.value {
            Json::Null if marks => serializer.serialize_i128(NULL),
            Json::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for value in items {
                    list.serialize_element(&Marked { value, marks })?;
                }
                list.end()
            }
            Json::Object(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (name, value) in fields {
                    map.serialize_entry(name, &Marked { value, marks })?;
                }
                map.end()
            }
            other => other.serialize(serializer),
        }
    }
}

/// All columns of a row under their names.
struct Row<'a> {
    fields: &'a Map<String, Json>,
    marked: Option<&'a Hole>,
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.fields {
            let marks = self.marked.is_some_and(|hole| hole.column == *name);
            map.serialize_entry(name, &Marked { value, marks })?;
        }
        if let Some(Hole { column, null: None }) = self.marked {
            map.serialize_entry(column, &ABSENT)?;
        }
        map.end()
    }
}

/// The way from a value to the first null in it; empty where it is null itself.
fn null_in(value: &Json) -> Option<String> {
    match value {
        Json::Null => Some(String::new()),
        Json::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| null_in(item).map(|way| format!("[{index}]{way}"))),
        Json::Object(fields) => fields
            .iter()
            .find_map(|(name, field)| null_in(field).map(|way| format!(".{name}{way}"))),
        _ => None,
    }
}

/// The template with tests in place of comparisons: `is none` for `== none`, `is not none` for `!= none`, and so for an
/// empty text.
fn with_tests(text: &str) -> String {
    let mut rest = text;
    let mut made = String::new();
    let comparison = |text: &str| text.as_bytes().windows(2).position(|two| matches!(two, b"==" | b"!="));
    while let Some(at) = comparison(rest) {
        let (operator, behind) = rest[at..].split_at(2);
        let word = behind.trim_start();
        let before = &rest[..at];
        let test = match compared(word) {
            (length, "none" | "None" | "null") => Some((length, "none")),
            (length, "\"\"" | "''") => Some((length, EMPTY)),
            _ => None,
        };
        if let Some((length, test)) = test {
            let not = if operator == "==" { "" } else { "not " };
            made = made + before.trim_end() + " is " + not + test;
            rest = &word[length..];
        } else {
            made = made + before + operator;
            rest = behind;
        }
    }
    made + rest
}

/// The word or the empty text that something is compared with, and its length.
fn compared(word: &str) -> (usize, &str) {
    let length = if word.starts_with("\"\"") || word.starts_with("''") {
        2
    } else {
        let end = word.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        end.unwrap_or(word.len())
    };
    (length, &word[..length])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The way to the hole that a template shows of a row; the column itself where the row lacks it.
    fn hole(text: &str, row: Json) -> Option<String> {
        let mut tera = Tera::default();
        tera.autoescape_on(Vec::<&'static str>::new());
        tera.add_raw_template("t", text).unwrap();
        let used = tera.get_template_variables("t").unwrap();
        let mentioned: BTreeSet<String> = used.into_iter().map(str::to_owned).collect();
        meter::register(&mut tera);
        let mut holes = Holes::new(&tera);
        holes.add("t", text, &|_| None);
        let Json::Object(fields) = row else { unreachable!() };
        let candidates = Holes::candidates(&fields, &mentioned);
        let found = holes.find("t", &fields, &mentioned, &candidates, 1 << 20)?;
        Some(found.null.clone().unwrap_or_else(|| found.column.clone()))
    }

    #[test]
    fn whatever_shows_a_missing_value_is_found() {
        let row = || json!({"x": null, "n": 0, "a": {"b": null, "c": 1}, "tags": ["u", null], "job title": null});
        for (text, way) in [
            ("{{ x }}", "x"),
            ("{{ x | str }}", "x"),
            ("{{ \"a\" ~ x }}", "x"),
            ("{{ a.b }}", "a.b"),
            ("{{ a }}", "a.b"),
            ("{{ tags }}", "tags[1]"),
            ("{{ tags | join(sep=\", \") }}", "tags[1]"),
            ("{% for tag in tags %}{{ tag }}{% endfor %}", "tags[1]"),
            ("{% set y = x %}{{ y }}", "x"),
            ("{% if x is defined %}{{ x }}{% endif %}", "x"),
            ("{{ \"a\" ~ late }}", "late"),
            ("{{ row[\"job title\"] }}", "job title"),
            ("{{ row.x }}", "x"),
        ] {
            assert_eq!(hole(text, row()).as_deref(), Some(way), "{text}");
        }
    }

    #[test]
    fn who_asks_for_a_missing_value_gets_what_he_asks_for() {
        let row = || json!({"x": null, "n": 0, "a": {"b": null, "c": 1}, "tags": ["u", null], "job title": null});
        for text in [
            "{% if x %}{{ x }}{% endif %}",
            "{% if not x %}none{% endif %}",
            "{{ x | default(value=\"-\") }}",
            "{{ a.b | default(value=\"\") }}",
            "{{ late | default(value=\"-\") }}",
            "{% if x is none %}none{% else %}{{ x }}{% endif %}",
            "{% if x == none %}none{% else %}{{ x }}{% endif %}",
            "{% if x != null %}{{ x }}{% endif %}",
            "{% if late is defined %}{{ late }}{% endif %}",
            "{% if x is number %}{{ x }}{% endif %}",
            "{% if x == \"a\" %}{{ x }}{% endif %}",
            "{% for tag in tags %}{% if tag %}{{ tag }}{% endif %}{% endfor %}",
            "{{ x or \"-\" }}",
            "{{ n }}{{ a.c }}{{ tags[0] }}{{ tags | length }}",
            "{{ row.n }}{{ row[\"job title\"] | default(value=\"-\") }}",
        ] {
            assert_eq!(hole(text, row()), None, "{text}");
        }
    }

    #[test]
    fn comparisons_with_none_become_tests() {
        assert_eq!(
            with_tests("{{ a==none and b != None }}"),
            "{{ a is none and b is not none }}"
        );
        assert_eq!(with_tests("{{ a == nonesuch }}=="), "{{ a == nonesuch }}==");
        assert_eq!(with_tests("{{ a != \"\" }}"), "{{ a is not igsite_empty }}");
    }

    #[test]
    fn empty_cells_that_are_shown_are_found() {
        let Json::Object(fields) = json!({"x": "", "y": "a"}) else {
            unreachable!()
        };
        let mentioned = BTreeSet::from(["x".to_owned(), "y".to_owned()]);
        for (text, shows) in [
            ("{{ x }}", true),
            ("{{ x | upper }}", true),
            ("{{ \"a\" ~ x }}", true),
            ("{{ x | default(value=\"-\") }}", true),
            ("{% if x %}{{ x }}{% endif %}", false),
            ("{% if x != \"\" %}{{ x | upper }}{% endif %}", false),
            ("{% if x == '' %}none{% endif %}", false),
            ("{{ x or \"-\" }}", false),
            ("{{ y }}", false),
        ] {
            let mut tera = Tera::default();
            tera.autoescape_on(Vec::<&'static str>::new());
            meter::register(&mut tera);
            let mut holes = Holes::new(&tera);
            holes.add("t", text, &|_| None);
            assert_eq!(
                holes.shows_empty("t", &fields, &mentioned, "x", 1 << 20),
                shows,
                "{text}"
            );
        }
    }
}
