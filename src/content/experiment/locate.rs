//! Where in its YAML file a part of an experiment is, for errors that only a model's tokenizer can find.

use super::Experiment;
use crate::content::yaml::{self, Content, Node};
use crate::diagnostic::{Diagnostic, Position};

impl Experiment {
    /// A content error at a part of the YAML, by the path to it: `["options", "A"]`,
    /// `["attribution", "baselines", "1"]`. If it does not exist, the nearest part that exists is named.
    ///
    /// The file is read a second time for it: errors are rare, and so positions need not be stored.
    pub fn error(&self, way: &[&str], message: impl Into<String>) -> Diagnostic {
        let position =
            yaml::parse(&self.path, &self.yaml, 1).map_or(Position { line: 1, column: 1 }, |tree| find(&tree, way));
        Diagnostic::content(message).in_file(&self.path).at(position)
    }
}

fn find(tree: &Node, way: &[&str]) -> Position {
    let (mut node, mut position) = (tree, tree.position);
    for step in way {
        let next = match &node.content {
            Content::Map(entries) => entries
                .iter()
                .find(|entry| entry.key == *step)
                .map(|entry| (&entry.node, entry.position)),
            Content::List(items) => step
                .parse::<usize>()
                .ok()
                .and_then(|index| items.get(index))
                .map(|item| (item, item.position)),
            Content::Scalar(_) => None,
        };
        let Some(found) = next else { break };
        (node, position) = found;
    }
    position
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_way_leads_to_the_place_or_to_the_nearest_before_it() {
        let tree = yaml::parse(Path::new("x.yaml"), "a: 1\nb:\n  - x\n  - {c: 2}\n", 1).unwrap();
        let at = |way: &[&str]| {
            let Position { line, column } = find(&tree, way);
            (line, column)
        };
        assert_eq!(at(&["b", "1", "c"]), (4, 6));
        assert_eq!(at(&["b", "7"]), (2, 1));
        assert_eq!(at(&["z"]), (1, 1));
    }
}
