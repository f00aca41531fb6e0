//! YAML with the place of every key and value.
//!
//! `serde_yaml` reads the values and finds the syntax errors, but forgets where things stood; `saphyr-parser` tells
//! events with their positions. This module builds a tree from the events and lays the values of `serde_yaml` over it.
//! A scalar keeps the text as written, because `{A: true}` names a label, not a truth value. It refuses what a reader
//! of the file would trip over: duplicate keys, second documents, tags, absurd nesting, aliases that multiply.

mod build;

use std::path::Path;

use serde_yaml::Value as Plain;

use self::build::{Builder, Locator};
use crate::diagnostic::{Diagnostic, Diagnostics, Position};

/// A value and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub position: Position,
    /// What it is.
    pub content: Content,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A single value.
    Scalar(Scalar),
    /// `[a, b]`, or lines that begin with `-`.
    List(Vec<Node>),
    /// `{a: 1}`, or lines `a: 1`; in the order of the file, keys distinct.
    Map(Vec<Entry>),
}

/// One `key: value` of a mapping.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key as written.
    pub key: String,
    /// Where the key begins.
    pub position: Position,
    /// The value.
    pub node: Node,
}

/// A scalar: what it means to YAML, and how it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Scalar {
    /// As written, quotes and escapes undone: `1.0`, `True`, `half-true`.
    pub text: String,
    /// What it means to YAML.
    pub kind: ScalarKind,
    /// The comment behind it on its line, if it is not quoted: what the author may have meant to be text.
    pub comment: Option<String>,
}

/// What a scalar means to YAML.
#[derive(Clone, Debug, PartialEq)]
pub enum ScalarKind {
    /// Nothing, `null` or `~`.
    Null,
    /// `true` or `false`, in three spellings each.
    Bool(bool),
    /// A number.
    Number(serde_yaml::Number),
    /// Anything else, and whatever is quoted.
    Text,
}

/// More than these, and a file that is no valid YAML is not given to a second parser for a better word on it.
const MOST_BRACKETS: usize = 2000;

/// Reads the one document of `text`, whose first line is line `first_line` of `file`.
pub fn parse(file: &Path, text: &str, first_line: usize) -> Result<Node, Diagnostics> {
    let text = super::files::without_bom(text);
    let locate = Locator::new(text, first_line);
    let diagnostic = |problem: Problem| {
        let mut diagnostic = Diagnostic::content(problem.message).in_file(file).at(problem.position);
        diagnostic.help = problem.help.map(str::to_owned);
        diagnostic
    };
    let mut problems = Vec::new();
    let tree = Builder {
        locate: &locate,
        problems: &mut problems,
    }
    .build(text);
    let tree = match tree {
        Err(refused) if !refused.from_parser => return Err(diagnostic(refused).into()),
        tree => tree,
    };
    if let Ok(None) = tree {
        return Ok(Node {
            position: locate.clamp(1, 1),
            content: Content::Scalar(nothing()),
        });
    }
    if let Err(refused) = &tree
        && text.matches(['[', '{']).count() > MOST_BRACKETS
    {
        // The time of the other parser grows with the square of the brackets that are open.
        return Err(diagnostic(Problem {
            position: refused.position,
            message: refused.message.clone(),
            ..*refused
        })
        .into());
    }
    if !problems.is_empty() {
        return Err(collected(problems.into_iter().map(diagnostic)));
    }
    let value =
        serde_yaml::from_str::<Plain>(text).map_err(|error| diagnostic(syntax_problem(text, &locate, &error)))?;
    let mut root = match tree {
        Ok(root) => root.expect("handled above"),
        Err(other) => return Err(diagnostic(other).into()),
    };
    resolve(&mut root, value).map_err(diagnostic)?;
    Ok(root)
}

/// What is wrong, before the file and its lines are known.
struct Problem {
    position: Position,
    message: String,
    help: Option<&'static str>,
    /// An error of the event parser; `serde_yaml` has a better word for it.
    from_parser: bool,
}

fn problem(position: Position, message: impl Into<String>) -> Problem {
    Problem {
        position,
        message: message.into(),
        help: None,
        from_parser: false,
    }
}

fn collected(all: impl Iterator<Item = Diagnostic>) -> Diagnostics {
    let mut diagnostics = Diagnostics::new();
    all.for_each(|diagnostic| diagnostics.push(diagnostic));
    diagnostics
}

fn nothing() -> Scalar {
    Scalar {
        text: String::new(),
        kind: ScalarKind::Null,
        comment: None,
    }
}

/// The error of `serde_yaml` without the positions in its text.
fn syntax_problem(text: &str, locate: &Locator, error: &serde_yaml::Error) -> Problem {
    let message = error.to_string();
    let mut position = match error.location() {
        Some(location) => locate.clamp(location.line(), location.column()),
        None => locate.clamp(1, 1),
    };
    // The reader below libyaml's scanner gives a byte offset only.
    let forbidden = |c: char| {
        (c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}')) || matches!(c, '\u{fffe}' | '\u{ffff}')
    };
    if message.contains("control characters")
        && let Some((offset, _)) = text.char_indices().find(|(_, c)| forbidden(*c))
    {
        let Position { line, column } = super::files::position_at(text, offset);
        position = locate.clamp(line, column);
    }
    let end = [" at line ", " at position "]
        .iter()
        .filter_map(|mark| message.find(mark))
        .min();
    let told = &message[..end.unwrap_or(message.len())];
    let help = match told {
        told if told.contains("unknown anchor") => Some("write `&name` before the value that `*name` stands for"),
        told if told.contains("mapping values are not allowed") => Some("put text that contains `: ` between quotes"),
        told if told.contains("cannot start any token") => {
            Some("put text that begins with a special character between quotes")
        }
        // The parser is often on the next line by then.
        _ => (position.line.saturating_sub(1)..=position.line)
            .filter_map(|line| locate.value_on(line))
            .find_map(special),
    };
    let open =
        unclosed(text, position.line).filter(|_| told.contains("did not find expected") || told.contains("flow"));
    let open = open.map_or_else(String::new, |(bracket, line, column)| {
        let Position { line, column } = locate.clamp(line, column);
        format!("; the `{bracket}` of line {line}, column {column} is not closed")
    });
    Problem {
        help,
        ..problem(position, format!("this is not valid YAML: {told}{open}"))
    }
}

/// The innermost bracket that is open at the end of a line, with its own line and column. Quotes and comments are left
/// out; texts over several lines (`|`, `>`) are taken for what they seem.
fn unclosed(text: &str, to: usize) -> Option<(char, usize, usize)> {
    let mut open: Vec<(char, usize, usize)> = Vec::new();
    let mut quote: Option<char> = None;
    for (index, line) in text.lines().enumerate().take(to) {
        let mut before = ' ';
        for (column, c) in line.chars().enumerate() {
            match (quote, c) {
                (Some(mark), c) if c == mark && !(mark == '"' && before == '\\') => quote = None,
                (Some(_), _) => {}
                (None, '#') if before.is_whitespace() => break,
                // Within a word a quote is a letter.
                (None, '"' | '\'') if !before.is_alphanumeric() => quote = Some(c),
                (None, '[' | '{') => open.push((c, index + 1, column + 1)),
                (None, ']' | '}') => _ = open.pop(),
                (None, _) => {}
            }
            before = c;
        }
    }
    open.pop()
}

/// What to do about a value that begins with a character that means something to YAML, where the file is no valid YAML.
fn special(value: &str) -> Option<&'static str> {
    if value.starts_with("{{") || value.starts_with("{%") {
        return Some("put a template between quotes: \"{{ … }}\"");
    }
    value
        .starts_with(['[', '{', '*', '&', '!', '|', '>', '\'', '"', '%', '@', '`'])
        .then_some("put text that begins with a special character between quotes; within them, write a quote of their kind as `\\\"` or `''`")
}

/// Gives each scalar its kind, from the same document as `serde_yaml` reads it.
fn resolve(node: &mut Node, value: Plain) -> Result<(), Problem> {
    match (&mut node.content, value) {
        (Content::Scalar(scalar), Plain::Null) => scalar.kind = ScalarKind::Null,
        (Content::Scalar(scalar), Plain::Bool(value)) => scalar.kind = ScalarKind::Bool(value),
        (Content::Scalar(scalar), Plain::Number(value)) => scalar.kind = ScalarKind::Number(value),
        (Content::Scalar(scalar), Plain::String(text)) => {
            // To serde_yaml (YAML 1.1) these end a line, and spaces next to them vanish; to YAML 1.2 they are text. A
            // prompt must not change without a message.
            if scalar.text != text && scalar.text.contains(['\u{85}', '\u{2028}', '\u{2029}']) {
                let message = "this text holds a line separator (U+0085, U+2028 or U+2029), which YAML folds";
                let help = Some("put the text between double quotes, with `\\N`, `\\L` or `\\P` for the separator");
                return Err(Problem {
                    help,
                    ..problem(node.position, message)
                });
            }
            scalar.text = text;
            scalar.kind = ScalarKind::Text;
        }
        (Content::List(items), Plain::Sequence(values)) if items.len() == values.len() => {
            for (item, value) in items.iter_mut().zip(values) {
                resolve(item, value)?;
            }
        }
        (Content::Map(entries), Plain::Mapping(values)) if entries.len() == values.len() => {
            for (entry, (_, value)) in entries.iter_mut().zip(values) {
                resolve(&mut entry.node, value)?;
            }
        }
        _ => {
            return Err(problem(
                node.position,
                "this YAML can be read in two ways; put the text between quotes",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
