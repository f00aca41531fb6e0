//! From located YAML to typed values: each wrong key and value is an error with its place, and no error hides another.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::names::{nearest, quoted, shortened};
use super::yaml::{Content, Entry, Node, Scalar, ScalarKind};
use crate::diagnostic::{Diagnostic, Diagnostics, Position};

/// A value with the place it was written at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it begins.
    pub position: Position,
}

/// A node and what to call it in a message.
#[derive(Clone, Debug)]
pub struct Field<'a> {
    /// The way to it from the top: `attribution.targets[1]`; empty for the top.
    pub name: String,
    /// The node.
    pub node: &'a Node,
}

/// A mapping whose keys are known.
#[derive(Clone, Debug)]
pub struct Table<'a> {
    name: String,
    position: Position,
    entries: &'a [Entry],
}

/// Collects the errors of one file.
#[derive(Debug)]
pub struct Decoder {
    file: PathBuf,
    /// What the names of a table are called in messages: `key`, or `argument` in a shortcode.
    names: &'static str,
    /// What was found so far.
    pub diagnostics: Diagnostics,
}

impl<'a> Field<'a> {
    /// The top of a file.
    pub fn top(node: &'a Node) -> Self {
        Self {
            name: String::new(),
            node,
        }
    }

    /// The scalar that it is, if it is one and not null.
    pub fn scalar(&self) -> Option<&'a Scalar> {
        match &self.node.content {
            Content::Scalar(scalar) if scalar.kind != ScalarKind::Null => Some(scalar),
            _ => None,
        }
    }

    /// Whether it is a mapping.
    pub fn is_map(&self) -> bool {
        matches!(self.node.content, Content::Map(_))
    }

    /// Whether it is a mapping with this key.
    pub fn has(&self, key: &str) -> bool {
        matches!(&self.node.content, Content::Map(entries) if entries.iter().any(|entry| entry.key == key))
    }
}

impl<'a> Table<'a> {
    /// The value of a key, if the key is there.
    pub fn get(&self, key: &str) -> Option<Field<'a>> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(Field {
            name: joined(&self.name, key),
            node: &entry.node,
        })
    }

    /// Where the mapping begins.
    pub fn position(&self) -> Position {
        self.position
    }
}

fn joined(name: &str, key: &str) -> String {
    if name.is_empty() {
        shortened(key)
    } else {
        format!("{name}.{}", shortened(key))
    }
}

/// A node in the words of a message: ``text `abc` ``, `a list`.
fn described(node: &Node) -> String {
    match &node.content {
        Content::Scalar(Scalar { text, kind, .. }) => match kind {
            ScalarKind::Null => "nothing".to_owned(),
            ScalarKind::Bool(_) => format!("the truth value `{text}`"),
            ScalarKind::Number(_) => format!("the number `{}`", shortened(text)),
            ScalarKind::Text if text.trim().is_empty() => "blank text".to_owned(),
            ScalarKind::Text => format!("text `{}`", shortened(text)),
        },
        Content::List(items) if items.is_empty() => "an empty list".to_owned(),
        Content::List(_) => "a list".to_owned(),
        Content::Map(_) => "a mapping".to_owned(),
    }
}

impl Decoder {
    /// For the file of that name.
    pub fn new(file: &Path) -> Self {
        Self {
            file: file.to_path_buf(),
            names: "key",
            diagnostics: Diagnostics::new(),
        }
    }

    /// For the arguments of a shortcode, whose file and places its text knows.
    pub fn of_arguments() -> Self {
        Self {
            names: "argument",
            ..Self::new(Path::new(""))
        }
    }

    /// An error at a place in the file, to be refined and pushed.
    pub fn error(&self, position: Position, message: impl Into<String>) -> Diagnostic {
        Diagnostic::content(message).in_file(&self.file).at(position)
    }

    /// Collects an error.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Collects "found this, expected that" about a field.
    pub fn wrong(&mut self, field: &Field, expected: impl Into<String>) {
        let error = self
            .error(field.node.position, format!("found {}", described(field.node)))
            .expected(expected);
        self.push(if field.name.is_empty() {
            error
        } else {
            error.place(&field.name)
        });
    }

    /// Collects a warning where an unquoted text ends in a comment that the author may have meant to be part of it. In
    /// `prose`, a text for people, a space after the `#` makes it a comment; in a prompt it does not.
    pub fn watch_comment(&mut self, field: &Field, prose: bool) {
        let Some(scalar) = field.scalar() else { return };
        let Some(comment) = &scalar.comment else { return };
        if prose && !comment[1..].starts_with(|c: char| c.is_alphanumeric()) {
            return;
        }
        let message = format!(
            "this text ends in `{}`: to YAML, ` #` begins a comment, `{}`",
            shortened(
                &scalar
                    .text
                    .chars()
                    .skip(scalar.text.chars().count().saturating_sub(30))
                    .collect::<String>()
            ),
            shortened(comment)
        );
        let warning = self.error(field.node.position, message).place(&field.name);
        self.push(
            warning
                .help("put the text between quotes; or write the comment on a line of its own")
                .as_warning(),
        );
    }

    /// A mapping with known keys; unknown keys are errors at once.
    pub fn table<'a>(&mut self, field: &Field<'a>, keys: &[&str]) -> Option<Table<'a>> {
        let Content::Map(entries) = &field.node.content else {
            self.wrong(
                field,
                format!("a mapping with the keys {}", quoted(keys.iter().copied())),
            );
            return None;
        };
        for entry in entries.iter().filter(|entry| !keys.contains(&entry.key.as_str())) {
            let mut error = self
                .error(
                    entry.position,
                    format!("unknown {} `{}`", self.names, shortened(&entry.key)),
                )
                .expected(format!("one of {}", quoted(keys.iter().copied())));
            if !field.name.is_empty() {
                error = error.place(&field.name);
            }
            if let Some(meant) = nearest(&entry.key, keys.iter().copied()) {
                error = error.help(format!("did you mean `{meant}`?"));
            }
            self.push(error);
        }
        Some(Table {
            name: field.name.clone(),
            position: field.node.position,
            entries,
        })
    }

    /// A key that must be there.
    pub fn require<'a>(&mut self, table: &Table<'a>, key: &str, what: &str) -> Option<Field<'a>> {
        let found = table.get(key);
        if found.is_none() {
            let error = self
                .error(table.position, format!("the {} `{key}` is missing", self.names))
                .expected(format!("`{key}`: {what}"));
            self.push(if table.name.is_empty() {
                error
            } else {
                error.place(&table.name)
            });
        }
        found
    }

    /// Any mapping, its keys free.
    pub fn entries<'a>(&mut self, field: &Field<'a>, expected: &str) -> Option<&'a [Entry]> {
        match &field.node.content {
            Content::Map(entries) => Some(entries),
            _ => {
                self.wrong(field, expected);
                None
            }
        }
    }

    /// A list with at least one item.
    pub fn list<'a>(&mut self, field: &Field<'a>, expected: &str) -> Option<Vec<Field<'a>>> {
        match &field.node.content {
            Content::List(items) if !items.is_empty() => {
                let item = |(index, node)| Field {
                    name: format!("{}[{index}]", field.name),
                    node,
                };
                Some(items.iter().enumerate().map(item).collect())
            }
            _ => {
                self.wrong(field, expected);
                None
            }
        }
    }

    /// Any single value, as written. `title: 2024` is text here.
    pub fn written(&mut self, field: &Field, expected: &str) -> Option<String> {
        let scalar = field.scalar();
        if scalar.is_none() {
            self.wrong(field, expected);
        }
        scalar.map(|scalar| scalar.text.clone())
    }

    /// As [`Self::written`], but not blank.
    pub fn text(&mut self, field: &Field, expected: &str) -> Option<String> {
        match field.scalar() {
            Some(scalar) if !scalar.text.trim().is_empty() => Some(scalar.text.clone()),
            _ => {
                self.wrong(field, expected);
                None
            }
        }
    }

    /// Text, and nothing that YAML takes for a number or a truth value.
    pub fn quoted<'a>(&mut self, field: &Field<'a>) -> Option<&'a str> {
        match field.scalar() {
            Some(scalar) if scalar.kind == ScalarKind::Text => Some(&scalar.text),
            _ => {
                self.wrong(field, "text in quotes");
                None
            }
        }
    }

    /// [`Self::text`] with its place.
    pub fn located(&mut self, field: &Field, expected: &str) -> Option<Located<String>> {
        self.text(field, expected).map(|value| Located {
            value,
            position: field.node.position,
        })
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, field: &Field) -> Option<bool> {
        match field.scalar().map(|scalar| &scalar.kind) {
            Some(ScalarKind::Bool(value)) => Some(*value),
            _ => {
                self.wrong(field, "`true` or `false`");
                None
            }
        }
    }

    /// A whole number within bounds.
    pub fn whole(&mut self, field: &Field, bounds: RangeInclusive<u64>) -> Option<u64> {
        if let Some(Scalar {
            kind: ScalarKind::Number(number),
            ..
        }) = field.scalar()
            && let Some(value) = number.as_u64()
            && bounds.contains(&value)
        {
            return Some(value);
        }
        self.wrong(
            field,
            match (*bounds.start(), *bounds.end()) {
                (0, u64::MAX) => "a whole number, 0 or more".to_owned(),
                (low, u64::MAX) => format!("a whole number, {low} or more"),
                (low, high) => format!("a whole number from {low} to {high}"),
            },
        );
        None
    }

    /// A whole number of either sign.
    pub fn integer(&mut self, field: &Field) -> Option<i64> {
        if let Some(Scalar {
            kind: ScalarKind::Number(number),
            ..
        }) = field.scalar()
            && let Some(value) = number.as_i64()
        {
            return Some(value);
        }
        self.wrong(field, "a whole number");
        None
    }

    /// A finite number above zero.
    pub fn positive(&mut self, field: &Field) -> Option<f64> {
        if let Some(Scalar {
            kind: ScalarKind::Number(number),
            ..
        }) = field.scalar()
            && let Some(value) = number.as_f64()
            && value.is_finite()
            && value > 0.0
        {
            return Some(value);
        }
        self.wrong(field, "a number above 0");
        None
    }

    /// One of a few words.
    pub fn choice<T: Clone>(&mut self, field: &Field, choices: &[(&str, T)]) -> Option<T> {
        let known = || choices.iter().map(|(word, _)| *word);
        if let Some(scalar) = field.scalar() {
            if let Some((_, value)) = choices.iter().find(|(word, _)| *word == scalar.text) {
                return Some(value.clone());
            }
            let error = self
                .error(field.node.position, format!("found {}", described(field.node)))
                .place(&field.name)
                .expected(format!("one of {}", quoted(known())));
            let meant = nearest(&scalar.text, known());
            self.push(match meant {
                Some(meant) => error.help(format!("did you mean `{meant}`?")),
                None => error,
            });
        } else {
            self.wrong(field, format!("one of {}", quoted(known())));
        }
        None
    }
}

#[cfg(test)]
mod tests;
