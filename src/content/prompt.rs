//! Prompts: segments rendered with Tera from a row's columns and joined in order.

use serde::{Deserialize, Serialize};

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
