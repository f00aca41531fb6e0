//! From the parser's events to the tree: positions, anchors and aliases, and what is refused for its shape.

use std::collections::{BTreeMap, HashMap};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use super::{Content, Entry, Node, Problem, Scalar, ScalarKind, problem};
use crate::content::names::shortened;
use crate::diagnostic::Position;

/// Deepest nesting; what igsite reads goes six levels deep.
const DEEPEST: usize = 64;
const TOO_DEEP: &str = "values are nested more than 64 deep";
/// Most nodes that a file's aliases may stand for, all together.
const MOST_ALIASED: usize = 100_000;
/// As much of a comment as a message shows.
const LONGEST_COMMENT: usize = 60;

/// How much of a text counts as one node more, where aliases repeat it.
const TEXT_OF_A_NODE: usize = 64;

/// Moves positions to the file's lines and keeps them there: an event for something absent may point past the end.
pub struct Locator<'a> {
    lines: Vec<&'a str>,
    widths: Vec<usize>,
    first_line: usize,
    /// What would be a comment, if a value ends just before: by line and column of the blanks before its `#`.
    comments: HashMap<(usize, usize), &'a str>,
}

impl<'a> Locator<'a> {
    pub fn new(text: &'a str, first_line: usize) -> Self {
        let lines: Vec<&str> = text.split('\n').collect();
        let mut comments = HashMap::new();
        for (index, line) in lines.iter().enumerate() {
            let mut blanks = None;
            for (column, (offset, c)) in line.char_indices().enumerate() {
                match (c, blanks) {
                    (' ' | '\t', None) => blanks = Some(column),
                    (' ' | '\t', Some(_)) => {}
                    ('#', Some(from)) => {
                        comments.insert((index + 1, from), line[offset..].trim_end());
                        blanks = None;
                    }
                    _ => blanks = None,
                }
            }
        }
        Self {
            widths: lines.iter().map(|line| line.chars().count()).collect(),
            lines,
            first_line,
            comments,
        }
    }

    /// The comment right behind a place.
    fn comment(&self, marker: Marker) -> Option<String> {
        let comment = self.comments.get(&(marker.line(), marker.col()))?;
        Some(comment.chars().take(LONGEST_COMMENT).collect())
    }

    /// The character before a place, and the one at it.
    fn pair_before(&self, position: Position) -> String {
        let line = self.lines[position.line - self.first_line];
        line.chars().skip(position.column.saturating_sub(2)).take(2).collect()
    }

    /// The value on a line, behind its key or its dash.
    pub fn value_on(&self, line: usize) -> Option<&'a str> {
        let line = self.lines.get(line.checked_sub(self.first_line)?)?.trim_start();
        let line = line.strip_prefix("- ").unwrap_or(line);
        Some(line.split_once(": ").map_or(line, |(_, value)| value).trim_start())
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
    pub locate: &'a Locator<'a>,
    pub problems: &'a mut Vec<Problem>,
}

impl Builder<'_> {
    /// The tree of the first document; `None` if there is none. Its scalars still lack their kind.
    pub fn build(&mut self, text: &str) -> Result<Option<Node>, Problem> {
        let mut open: Vec<Open> = Vec::new();
        let mut anchors: HashMap<usize, (Node, usize)> = HashMap::new();
        // Anchors of unquoted texts that no alias names yet.
        let mut unused: BTreeMap<usize, Position> = BTreeMap::new();
        let (mut root, mut nodes, mut aliased, mut documents) = (None, 0_usize, 0_usize, 0);
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| {
                let position = self.locate.of(*error.marker());
                // The scanner gives up at 255; the other parser would go on, ever slower.
                if error.info() == "recursion limit exceeded" {
                    return problem(position, TOO_DEEP);
                }
                Problem {
                    from_parser: true,
                    ..problem(position, format!("this is not valid YAML: {}", error.info()))
                }
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
                    let size = 1 + text.len() / TEXT_OF_A_NODE;
                    nodes += size;
                    let is_plain = style == ScalarStyle::Plain;
                    let written = Scalar {
                        text: text.into_owned(),
                        kind: ScalarKind::Text,
                        comment: self.locate.comment(span.end).filter(|_| is_plain),
                    };
                    let absent = written.text.is_empty() && is_plain;
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
                        anchors.insert(anchor, (node.clone(), size));
                        if is_plain && !absent {
                            unused.insert(anchor, position);
                        }
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
                    unused.remove(&anchor);
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
        for position in unused.into_values() {
            self.problems.push(Problem {
                help: Some("put text that begins with `&` between quotes; or take the anchor away"),
                ..problem(
                    position,
                    "the anchor of this text is used nowhere: to YAML, what begins with `&` is a name and no text",
                )
            });
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
            return Err(problem(position, TOO_DEEP));
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
                    let is_template = self.locate.pair_before(node.position) == "{{";
                    return Err(Problem {
                        help: is_template.then_some("put a template between quotes: \"{{ … }}\""),
                        ..problem(node.position, "a key must be a single value, not a list or a mapping")
                    });
                }
            },
            (Content::Scalar(_), _) => {}
        }
        Ok(())
    }
}
