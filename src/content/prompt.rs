//! Prompts: segments rendered with Tera from a row's columns and joined in order.

mod columns;
pub mod filters;
mod holes;
mod template;

use crate::terms::{Role, Segment};
pub(super) use template::{SegmentSource, Templates};

/// What a chat template puts round the author's segments; no segment of the author has this name then.
pub const TEMPLATE: &str = "template";

/// A rendered prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// The text: as the model gets it, but for what a chat template puts round it.
    pub text: String,
    /// The named parts of `text`, in order, without gaps between them.
    pub segments: Vec<Segment>,
    /// Who says each of them.
    pub roles: Vec<Role>,
}

impl Prompt {
    /// Its parts: name, who says it, text.
    pub fn parts(&self) -> impl Iterator<Item = (&str, Role, String)> {
        let said = self.segments.iter().zip(&self.roles);
        said.map(|(segment, &role)| {
            let text = self.text.chars().skip(segment.start).take(segment.end - segment.start);
            (segment.name.as_str(), role, text.collect())
        })
    }

    /// Adds a part of the user's at the end.
    pub fn push(&mut self, name: &str, text: &str) {
        self.push_as(name, Role::User, text);
    }

    /// Adds a part at the end.
    pub fn push_as(&mut self, name: &str, role: Role, text: &str) {
        self.roles.push(role);
        let start = self.segments.last().map_or(0, |segment| segment.end);
        self.text.push_str(text);
        self.segments.push(Segment {
            name: name.to_owned(),
            start,
            end: start + text.chars().count(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_count_characters() {
        let mut prompt = Prompt::default();
        prompt.push("a", "é👍\n");
        prompt.push("b", "");
        prompt.push("c", "x");
        let spans: Vec<(usize, usize)> = prompt
            .segments
            .iter()
            .map(|segment| (segment.start, segment.end))
            .collect();
        assert_eq!(spans, [(0, 3), (3, 3), (3, 4)]);
        assert_eq!(prompt.text, "é👍\nx");
    }
}
