//! Prompts: segments rendered with Tera from a row's columns and joined in order.

pub mod filters;
mod template;

use serde::{Deserialize, Serialize};

pub(super) use template::{SegmentSource, Templates};

/// A rendered prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// The text as the model gets it.
    pub text: String,
    /// The named parts of `text`, in order, without gaps between them.
    pub segments: Vec<Segment>,
}

/// A named part of a prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// `instruction`, `claim`, `options`, `answer`, `shots`, or what the author calls it.
    pub name: String,
    /// First character, counted in Unicode characters of the prompt.
    pub start: usize,
    /// One past the last character.
    pub end: usize,
}

impl Prompt {
    /// Adds a part at the end.
    pub fn push(&mut self, name: &str, text: &str) {
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
