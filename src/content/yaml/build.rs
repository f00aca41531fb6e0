//! From the parser's events to the tree: positions, anchors and aliases, and what is refused for its shape.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use super::{Content, Entry, Node, Problem, Scalar, ScalarKind, problem};
use crate::content::names::shortened;
use crate::diagnostic::Position;

/// Deepest nesting; what igsite reads goes six levels deep.
const DEEPEST: usize = 64;
/// Most nodes that a file's aliases may stand for, all together.
const MOST_ALIASED: usize = 100_000;

/// Moves positions to the file's lines and keeps them there: an event for something absent may point past the end.
pub struct Locator {
    widths: Vec<usize>,
    first_line: usize,
}

impl Locator {
    pub fn new(text: &str, first_line: usize) -> Self {
        Self {
            widths: text.split('\n').map(|line| line.chars().count()).collect(),
            first_line,
        }
    }

    pub fn clamp(&self, line: usize, column: usize) -> Position {
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

/// Builds the tree; what is wrong goes to `problems`, the first of what leaves no tree is returned.
pub struct Builder<'a> {
    pub locate: &'a Locator,
    pub problems: &'a mut Vec<Problem>,
}

impl Builder<'_> {
    /// The tree of the first document; `None` if there is none. Its scalars still lack their kind.
    pub fn build(&mut self, text: &str) -> Result<Option<Node>, Problem> {
        let mut open: Vec<Open> = Vec::new();
        let mut anchors: HashMap<usize, (Node, usize)> = HashMap::new();
        let (mut root, mut nodes, mut aliased, mut documents) = (None, 0_usize, 0_usize, 0);
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| Problem {
                from_parser: true,
                ..problem(
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
