//! Shortcodes as they are written: `{{ heatmap(experiment="claims", sample="c12") }}`, in Zola's syntax.
//!
//! This file knows the grammar and nothing of what shortcodes there are. A value is text in `"`, `'` or `` ` ``
//! (whatever it holds, it cannot hold the mark that ends it: there are no escapes), a whole number, `true` or `false`,
//! or a list of these.

use std::collections::HashSet;
use std::fmt;

use crate::content::yaml::{Content, Entry, Node, Scalar, ScalarKind};
use crate::diagnostic::Position;

/// A shortcode with its arguments; places are in bytes from the beginning of the text that was parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which shortcode.
    pub name: String,
    /// Where the name stands.
    pub at: usize,
    /// In the order they are written.
    pub arguments: Vec<Argument>,
}

/// `name=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Which argument.
    pub name: String,
    /// Where the name stands.
    pub at: usize,
    /// What it is.
    pub value: Value,
    /// Where the value stands.
    pub value_at: usize,
}

/// The value of an argument.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(untagged)]
pub enum Value {
    /// Text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// `true` or `false`.
    Bool(bool),
    /// Several values.
    List(Vec<Value>),
}

impl Call {
    /// Its arguments as a mapping for [`crate::content::decode`]. The columns of places are bytes, as in [`Self::at`];
    /// their line is 0.
    pub fn node(&self) -> Node {
        let entry = |argument: &Argument| Entry {
            key: argument.name.clone(),
            position: place(argument.at),
            node: argument.value.node(place(argument.value_at)),
        };
        Node {
            position: place(self.at),
            content: Content::Map(self.arguments.iter().map(entry).collect()),
        }
    }
}

/// A place in bytes, as far as a decoder is concerned.
fn place(at: usize) -> Position {
    Position { line: 0, column: at }
}

impl Value {
    /// Items of a list are where it is.
    fn node(&self, position: Position) -> Node {
        let scalar = |text: String, kind: ScalarKind| {
            Content::Scalar(Scalar {
                text,
                kind,
                comment: None,
            })
        };
        let content = match self {
            Self::Text(text) => scalar(text.clone(), ScalarKind::Text),
            Self::Number(number) => scalar(number.to_string(), ScalarKind::Number((*number).into())),
            Self::Bool(value) => scalar(value.to_string(), ScalarKind::Bool(*value)),
            Self::List(items) => Content::List(items.iter().map(|item| item.node(position)).collect()),
        };
        Node { position, content }
    }
}

/// What is wrong with the way a shortcode is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Where.
    pub at: usize,
    /// What stands there.
    pub found: String,
    /// What should.
    pub expected: &'static str,
}

/// How many lists may stand in each other: enough for any argument, and no text can exhaust the stack.
pub const DEEPEST: usize = 4;

/// Whether a paragraph is meant to be shortcodes: it begins with `{{`, a name and a bracket.
pub fn is_meant(paragraph: &str) -> bool {
    let mut parser = Parser::new(paragraph);
    parser.blanks();
    parser.take("{{") && {
        parser.blanks();
        let named = !parser.word().is_empty();
        parser.blanks();
        named && parser.take("(")
    }
}

/// The shortcodes of a paragraph that holds nothing else.
pub fn parse(paragraph: &str) -> Result<Vec<Call>, SyntaxError> {
    let mut parser = Parser::new(paragraph);
    let mut calls = Vec::new();
    loop {
        parser.blanks();
        if parser.rest().is_empty() && !calls.is_empty() {
            return Ok(calls);
        }
        calls.push(parser.call()?);
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Goes past `what` if it stands here.
    fn take(&mut self, what: &str) -> bool {
        let here = self.rest().starts_with(what);
        self.at += if here { what.len() } else { 0 };
        here
    }

    fn expect(&mut self, what: &str, expected: &'static str) -> Result<(), SyntaxError> {
        self.blanks();
        if self.take(what) {
            Ok(())
        } else {
            Err(self.wrong(expected))
        }
    }

    fn wrong(&self, expected: &'static str) -> SyntaxError {
        let word: String = self
            .rest()
            .chars()
            .take_while(|c| !c.is_whitespace())
            .take(24)
            .collect();
        SyntaxError {
            at: self.at,
            found: if word.is_empty() {
                "the end of the paragraph".to_owned()
            } else {
                format!("`{word}`")
            },
            expected,
        }
    }

    /// Letters, digits and underscores that do not begin with a digit; empty where there are none.
    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        if rest.starts_with(|c: char| c.is_ascii_digit()) {
            return "";
        }
        self.at += end;
        &rest[..end]
    }

    fn call(&mut self) -> Result<Call, SyntaxError> {
        self.expect("{{", "another shortcode, or a blank line before other text")?;
        self.blanks();
        let at = self.at;
        let name = self.word().to_owned();
        if name.is_empty() {
            return Err(self.wrong("the name of a shortcode"));
        }
        self.expect("(", "`(` and the arguments")?;
        let mut arguments: Vec<Argument> = Vec::new();
        let mut names = HashSet::new();
        loop {
            self.blanks();
            if self.take(")") {
                break;
            }
            let argument = self.argument()?;
            if !names.insert(argument.name.clone()) {
                return Err(SyntaxError {
                    at: argument.at,
                    found: format!("`{}` a second time", argument.name),
                    expected: "each argument once",
                });
            }
            arguments.push(argument);
            self.blanks();
            if self.take(")") {
                break;
            }
            self.expect(",", "`,` or `)` after an argument")?;
        }
        self.expect("}}", "`}}` at the end of the shortcode")?;
        Ok(Call { name, at, arguments })
    }

    fn argument(&mut self) -> Result<Argument, SyntaxError> {
        let at = self.at;
        let name = self.word().to_owned();
        if name.is_empty() {
            return Err(self.wrong("an argument, as in `name=\"value\"`"));
        }
        self.expect("=", "`=` and the value of the argument")?;
        self.blanks();
        let value_at = self.at;
        Ok(Argument {
            name,
            at,
            value: self.value(DEEPEST)?,
            value_at,
        })
    }

    fn value(&mut self, deeper: usize) -> Result<Value, SyntaxError> {
        const EXPECTED: &str = "text in quotes, a whole number, `true`, `false`, or a list in `[` and `]`";
        let Some(first) = self.rest().chars().next() else {
            return Err(self.wrong(EXPECTED));
        };
        match first {
            '"' | '\'' | '`' => {
                let inner = &self.rest()[1..];
                let Some(end) = inner.find(first) else {
                    return Err(SyntaxError {
                        at: self.at,
                        found: "text that never ends".to_owned(),
                        expected: "the same quotation mark at its end",
                    });
                };
                self.at += end + 2;
                Ok(Value::Text(inner[..end].to_owned()))
            }
            '[' if deeper > 0 => {
                self.at += 1;
                let mut items = Vec::new();
                loop {
                    self.blanks();
                    if self.take("]") {
                        return Ok(Value::List(items));
                    }
                    items.push(self.value(deeper - 1)?);
                    self.blanks();
                    if self.take("]") {
                        return Ok(Value::List(items));
                    }
                    self.expect(",", "`,` or `]` after a value")?;
                }
            }
            '-' | '0'..='9' => {
                let rest = self.rest();
                let end = rest[1..]
                    .find(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '_')
                    .map_or(rest.len(), |end| end + 1);
                let number = rest[..end].parse().map_err(|_| self.wrong("a whole number"))?;
                self.at += end;
                Ok(Value::Number(number))
            }
            _ => {
                let start = self.at;
                let value = match self.word() {
                    "true" => Value::Bool(true),
                    "false" => Value::Bool(false),
                    _ => {
                        self.at = start;
                        return Err(self.wrong(EXPECTED));
                    }
                };
                Ok(value)
            }
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{{ {}(", self.name)?;
        for (index, argument) in self.arguments.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{}={}", argument.name, argument.value)?;
        }
        f.write_str(") }}")
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => {
                let mark = ['"', '\'', '`'].into_iter().find(|mark| !text.contains(*mark));
                let mark = mark.unwrap_or('"');
                write!(f, "{mark}{text}{mark}")
            }
            Self::Number(number) => write!(f, "{number}"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(text: &str) -> (usize, String, &'static str) {
        let SyntaxError { at, found, expected } = parse(text).expect_err("an error");
        (at, found, expected)
    }

    #[test]
    fn arguments_of_every_kind() {
        let text = " {{ a_b ( x = \"1, 2)\", y='\"', z=[`}}`, 'b',], n=-3, t=true, ) }}\n{{c()}} ";
        let calls = parse(text).expect("fine");
        assert_eq!(calls.len(), 2);
        assert_eq!(calls[0].name, "a_b");
        let values: Vec<String> = calls[0].arguments.iter().map(|a| a.value.to_string()).collect();
        assert_eq!(values, ["\"1, 2)\"", "'\"'", "[\"}}\", \"b\"]", "-3", "true"]);
        assert_eq!(&text[calls[0].arguments[3].at..][..4], "n=-3");
        assert_eq!(&text[calls[0].arguments[3].value_at..][..2], "-3");
        assert!(calls[1].arguments.is_empty());
    }

    #[test]
    fn only_a_name_with_a_bracket_is_meant() {
        assert!(is_meant("{{ a() }}") && is_meant("\n{{a(") && is_meant("{{ a ( nonsense"));
        assert!(!is_meant("{{ page.title }}") && !is_meant("{{/* a() */}}") && !is_meant("a {{ b() }}"));
    }

    #[test]
    fn errors_say_where_and_what() {
        assert_eq!(
            error("{{ a(x=1 y=2) }}"),
            (9, "`y=2)`".into(), "`,` or `)` after an argument")
        );
        assert_eq!(error("{{ a(x=1, x=2) }}").1, "`x` a second time");
        assert_eq!(error("{{ a(x=\"1) }}").1, "text that never ends");
        assert_eq!(error("{{ a(x=1.5) }}").2, "a whole number");
        assert_eq!(error("{{ a(x=yes) }}").0, 7);
        assert_eq!(
            error("{{ a() }} b").2,
            "another shortcode, or a blank line before other text"
        );
        assert_eq!(error("{{ a(x=").1, "the end of the paragraph");
        assert_eq!(error("{{ a()").2, "`}}` at the end of the shortcode");
        assert!(parse(&format!("{{{{ a(x={}", "[".repeat(100_000))).is_err());
    }

    fn value() -> impl Strategy<Value = Value> {
        let one = prop_oneof![
            "[^`]{0,12}".prop_map(Value::Text),
            any::<i64>().prop_map(Value::Number),
            any::<bool>().prop_map(Value::Bool),
        ];
        one.prop_recursive(3, 8, 3, |inner| {
            prop::collection::vec(inner, 0..3).prop_map(Value::List)
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(name in "[a-z_][a-z0-9_]{0,8}", values in prop::collection::vec(value(), 0..5)) {
            let arguments = values.into_iter().enumerate().map(|(index, value)| Argument {
                name: format!("a{index}"), at: 0, value, value_at: 0,
            });
            let call = Call { name, at: 0, arguments: arguments.collect() };
            let mut read = parse(&call.to_string()).expect("reads");
            prop_assert_eq!(read.len(), 1);
            read[0].at = 0;
            for argument in &mut read[0].arguments {
                (argument.at, argument.value_at) = (0, 0);
            }
            prop_assert_eq!(&read[0], &call);
        }

        #[test]
        fn no_text_makes_it_panic(text in "(\\{\\{ ?[a-z]{0,3}\\(?)?\\PC{0,40}(\\) ?\\}\\})?") {
            is_meant(&text);
            if let Err(error) = parse(&text) {
                prop_assert!(text.is_char_boundary(error.at));
            }
        }
    }
}
