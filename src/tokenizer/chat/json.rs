//! The `tojson` filter of templates: Python's `json.dumps`, since Jinja's own filter escapes for HTML. Depth and length
//! are bounded: a template is a program from elsewhere.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

/// Levels of lists and objects.
const DEEPEST: usize = 100;
/// Bytes of one value.
const LONGEST: usize = 1 << 20;
/// Blanks a level.
const WIDEST: usize = 100;

/// A value as JSON: blanks after `,` and `:`, nothing escaped that need not be.
///
/// # Errors
/// An option is not known, the value is no JSON, or it is too large.
pub fn to_json(_: &State, value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    // Templates pass `ensure_ascii=False` and `sort_keys=False`, which is what is done.
    for switch in ["ensure_ascii", "sort_keys"] {
        if options.get::<Option<bool>>(switch)? == Some(true) {
            return Err(failed(format!("`{switch}=true` is not computed")));
        }
    }
    options.assert_all_used()?;
    if indent.is_some_and(|indent| indent > WIDEST) {
        return Err(failed(format!("indented by more than {WIDEST} blanks")));
    }
    let mut text = Text {
        indent,
        text: String::new(),
    };
    text.value(value, 0)?;
    Ok(text.text)
}

fn failed(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("tojson: {what}"))
}

struct Text {
    indent: Option<usize>,
    text: String,
}

impl Text {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > DEEPEST {
            return Err(failed(format!("a value of more than {DEEPEST} levels")));
        }
        match value.kind() {
            ValueKind::Undefined => return Err(failed("an undefined value")),
            ValueKind::Seq | ValueKind::Iterable => {
                let items = value.try_iter()?;
                self.all('[', ']', depth, items, |text, item| text.value(&item, depth + 1))?;
            }
            ValueKind::Map => {
                let keys = value.try_iter()?;
                self.all('{', '}', depth, keys, |text, key| {
                    let name = match key.as_str() {
                        Some(name) => name.to_owned(),
                        None => key.to_string(),
                    };
                    text.push(&serde_json::Value::from(name).to_string())?;
                    text.push(": ")?;
                    text.value(&value.get_item(&key)?, depth + 1)
                })?;
            }
            _ => {
                let plain = serde_json::to_value(value).map_err(failed)?;
                self.push(&plain.to_string())?;
            }
        }
        Ok(())
    }

    fn all(
        &mut self,
        open: char,
        close: char,
        depth: usize,
        items: impl Iterator<Item = Value>,
        mut write: impl FnMut(&mut Self, Value) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let between = if self.indent.is_some() { "," } else { ", " };
        self.text.push(open);
        let mut any = false;
        for item in items {
            if any {
                self.push(between)?;
            }
            any = true;
            self.line(depth + 1)?;
            write(self, item)?;
        }
        if any {
            self.line(depth)?;
        }
        self.text.push(close);
        Ok(())
    }

    fn line(&mut self, depth: usize) -> Result<(), Error> {
        match self.indent {
            None => Ok(()),
            Some(indent) => {
                self.push("\n")?;
                self.push(&" ".repeat(indent * depth))
            }
        }
    }

    fn push(&mut self, piece: &str) -> Result<(), Error> {
        if self.text.len() + piece.len() > LONGEST {
            return Err(failed(format!("more than {LONGEST} bytes")));
        }
        self.text += piece;
        Ok(())
    }
}
