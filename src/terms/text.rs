//! Parts of a prompt. Places count Unicode characters of the prompt, not bytes.

use serde::{Deserialize, Serialize};

/// A named part of a prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// `instruction`, `claim`, `options`, `answer`, `shots`, or what the author calls it; `template` for a chat
    /// template's own text.
    pub name: String,
    /// First character.
    pub start: usize,
    /// One past the last character.
    pub end: usize,
}

/// A token of a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its id in the vocabulary; [`Token::NO_ID`], which is null in JSON, where an imported file does not tell it.
    #[serde(serialize_with = "write_id", deserialize_with = "read_id")]
    pub id: u32,
    /// The characters it stands for; its name where it stands for none of its own (`<s>`, one byte of a character).
    pub text: String,
    /// First character in the text; a special token has `start == end`.
    pub start: usize,
    /// One past the last.
    pub end: usize,
    /// Whether it was put there by the tokenizer (`<s>`), and is not text of the prompt.
    pub special: bool,
}

impl Token {
    /// Stands for an id that is not known: no vocabulary is so large.
    pub const NO_ID: u32 = u32::MAX;

    /// Its id, if it is known.
    pub fn known_id(&self) -> Option<u32> {
        (self.id != Self::NO_ID).then_some(self.id)
    }
}

fn write_id<S: serde::Serializer>(id: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    (*id != Token::NO_ID).then_some(*id).serialize(serializer)
}

fn read_id<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(Token::NO_ID))
}

words! {
    /// How a model gets a prompt.
    #[derive(Default)]
    pub enum PromptStyle {
        /// The text as it is.
        #[default]
        Plain = "plain",
        /// Within the model's own chat template.
        Chat = "chat",
    }
}

words! {
    /// Who says a segment, in a chat; in the order in which they speak.
    #[derive(Default)]
    pub enum Role {
        /// What the model is told to be.
        System = "system",
        /// What it is asked.
        #[default]
        User = "user",
        /// How its answer begins.
        Assistant = "assistant",
    }
}
