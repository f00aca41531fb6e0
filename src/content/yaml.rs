//! YAML with the place of every key and value.
//!
//! `serde_yaml` reads the values and finds the syntax errors, but forgets where things stood; `saphyr-parser` tells events
//! with their positions. This module builds a tree from the events and lays the values of `serde_yaml` over it. A scalar
//! keeps the text as written, because `{A: true}` names a label, not a truth value. It refuses what a reader of the file
//! would trip over: duplicate keys, second documents, tags, absurd nesting, aliases that multiply.

use std::collections::HashMap;
use std::path::Path;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};
use serde_yaml::Value as Plain;

use super::names::shortened;
use crate::diagnostic::{Diagnostic, Diagnostics, Position};

/// Deepest nesting; what igsite reads goes six levels deep.
const DEEPEST: usize = 64;
/// Most nodes that a file's aliases may stand for, all together.
const MOST_ALIASED: usize = 100_000;

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
    if let Ok(None) = tree {
        return Ok(Node {
            position: locate.clamp(1, 1),
            content: Content::Scalar(nothing()),
        });
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
}

fn problem(position: Position, message: impl Into<String>) -> Problem {
    Problem {
        position,
        message: message.into(),
        help: None,
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
        _ => None,
    };
    Problem {
        help,
        ..problem(position, format!("this is not valid YAML: {told}"))
    }
}

/// Moves positions to the file's lines and keeps them there: an event for something absent may point past the end.
struct Locator {
    widths: Vec<usize>,
    first_line: usize,
}

impl Locator {
    fn new(text: &str, first_line: usize) -> Self {
        Self {
            widths: text.split('\n').map(|line| line.chars().count()).collect(),
            first_line,
        }
    }

    fn clamp(&self, line: usize, column: usize) -> Position {
        let line = line.clamp(1, self.widths.len());
        Position {
            line: line + self.first_line - 1,
            column: column.clamp(1, self.widths[line - 1] + 1),
        }
    }

    fn of(&self, marker: Marker) -> Position {
        self.clamp(marker.line(), marker.col() + 1)
    }
}

/// A collection whose end has not come yet.
struct Open {
    position: Position,
    anchor: usize,
    nodes_before: usize,
    content: Content,
    keys: HashMap<String, Position>,
    key: Option<(String, Position)>,
}

struct Builder<'a> {
    locate: &'a Locator,
    problems: &'a mut Vec<Problem>,
}

impl Builder<'_> {
    /// The tree of the first document; `None` if there is none. Its scalars still lack their kind.
    fn build(&mut self, text: &str) -> Result<Option<Node>, Problem> {
        let mut open: Vec<Open> = Vec::new();
        let mut anchors: HashMap<usize, (Node, usize)> = HashMap::new();
        let (mut root, mut nodes, mut aliased, mut documents) = (None, 0_usize, 0_usize, 0);
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| {
                problem(
                    self.locate.of(*error.marker()),
                    format!("this is not valid YAML: {}", error.info()),
                )
            })?;
            let position = self.locate.of(span.start);
            let done = match event {
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        self.problems.push(problem(
                            position,
                            "a second YAML document begins here; one file holds one",
                        ));
                        return Ok(root);
                    }
                    continue;
                }
                Event::Scalar(text, style, anchor, tag) => {
                    self.refuse_tag(position, tag.as_deref());
                    nodes += 1;
                    let written = Scalar {
                        text: text.into_owned(),
                        kind: ScalarKind::Text,
                    };
                    let absent = written.text.is_empty() && style == ScalarStyle::Plain;
                    // An absent value has no place of its own; its key has.
                    let key = open
                        .last()
                        .and_then(|top| top.key.as_ref())
                        .map(|(_, position)| *position);
                    let position = if absent { key.unwrap_or(position) } else { position };
                    let node = Node {
                        position,
                        content: Content::Scalar(written),
                    };
                    if anchor > 0 {
                        anchors.insert(anchor, (node.clone(), 1));
                    }
                    node
                }
                Event::SequenceStart(anchor, tag) => {
                    self.refuse_tag(position, tag.as_deref());
                    self.open(&mut open, position, anchor, nodes, Content::List(Vec::new()))?;
                    continue;
                }
                Event::MappingStart(anchor, tag) => {
                    self.refuse_tag(position, tag.as_deref());
                    self.open(&mut open, position, anchor, nodes, Content::Map(Vec::new()))?;
                    continue;
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    let Some(closed) = open.pop() else { continue };
                    nodes += 1;
                    let node = Node {
                        position: closed.position,
                        content: closed.content,
                    };
                    if closed.anchor > 0 {
                        anchors.insert(closed.anchor, (node.clone(), nodes - closed.nodes_before));
                    }
                    node
                }
                Event::Alias(anchor) => {
                    let Some((node, size)) = anchors.get(&anchor) else {
                        return Err(problem(position, "this alias stands for a value that contains it"));
                    };
                    aliased += size;
                    nodes += size;
                    if aliased > MOST_ALIASED {
                        return Err(problem(
                            position,
                            format!("the aliases of this file stand for more than {MOST_ALIASED} values"),
                        ));
                    }
                    Node {
                        position,
                        content: node.content.clone(),
                    }
                }
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => continue,
            };
            match open.last_mut() {
                Some(top) => self.add(top, done)?,
                None => root = Some(done),
            }
        }
        Ok(root)
    }

    fn refuse_tag(&mut self, position: Position, tag: Option<&Tag>) {
        if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema()) {
            let message = format!("the tag `{}` means nothing here", shortened(&tag.to_string()));
            self.problems.push(problem(position, message));
        }
    }

    fn open(
        &self,
        open: &mut Vec<Open>,
        position: Position,
        anchor: usize,
        nodes_before: usize,
        content: Content,
    ) -> Result<(), Problem> {
        if open.len() >= DEEPEST {
            return Err(problem(position, format!("values are nested more than {DEEPEST} deep")));
        }
        open.push(Open {
            position,
            anchor,
            nodes_before,
            content,
            keys: HashMap::new(),
            key: None,
        });
        Ok(())
    }

    /// Puts a finished node into the collection around it.
    fn add(&mut self, top: &mut Open, node: Node) -> Result<(), Problem> {
        match (&mut top.content, top.key.take()) {
            (Content::List(items), _) => items.push(node),
            (Content::Map(entries), Some((key, position))) => match top.keys.get(&key) {
                Some(first) => {
                    let message = format!(
                        "the key `{}` is here twice; first on line {}",
                        shortened(&key),
                        first.line
                    );
                    self.problems.push(problem(position, message));
                }
                None => {
                    top.keys.insert(key.clone(), position);
                    entries.push(Entry { key, position, node });
                }
            },
            (Content::Map(_), None) => match node.content {
                Content::Scalar(scalar) => top.key = Some((scalar.text, node.position)),
                _ => {
                    return Err(problem(
                        node.position,
                        "a key must be a single value, not a list or a mapping",
                    ));
                }
            },
            (Content::Scalar(_), _) => {}
        }
        Ok(())
    }
}

/// Gives each scalar its kind, from the same document as `serde_yaml` reads it.
fn resolve(node: &mut Node, value: Plain) -> Result<(), Problem> {
    match (&mut node.content, value) {
        (Content::Scalar(scalar), Plain::Null) => scalar.kind = ScalarKind::Null,
        (Content::Scalar(scalar), Plain::Bool(value)) => scalar.kind = ScalarKind::Bool(value),
        (Content::Scalar(scalar), Plain::Number(value)) => scalar.kind = ScalarKind::Number(value),
        (Content::Scalar(scalar), Plain::String(text)) => {
            *scalar = Scalar {
                text,
                kind: ScalarKind::Text,
            }
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
#[path = "yaml/tests.rs"]
mod tests;
