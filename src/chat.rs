//! A prompt within a model's own chat template, its segments still at their places.
//!
//! The template decides what stands round the author's text, and may trim it; it may do no more. To know which
//! characters are whose, it is rendered once with marks in place of the contents, which shows the fixed text between
//! them, and then with the contents: what fills the gaps must be the contents, or the contents trimmed. A template that
//! writes something else is refused, since a score would otherwise stand at a word that is not the author's.
//!
//! The template writes all special tokens itself, the one that begins the text too: what it has written is tokenized
//! with
//! [`Around::Nothing`](crate::tokenizer::Around), as transformers' `apply_chat_template` does.

use std::ops::Range;
use std::path::Path;

use crate::content::prompt::{Prompt, TEMPLATE};
use crate::diagnostic::{Diagnostic, Result};
use crate::terms::Role;
use crate::tokenizer::Tokenizer;
use crate::tokenizer::chat::{ChatTemplate, Message};

/// The roles that are messages; the assistant's text follows the rendered text, as the beginning of its answer.
const MESSAGES: [Role; 2] = [Role::System, Role::User];

/// A model's chat template.
#[derive(Debug)]
pub struct Chat {
    template: ChatTemplate,
}

/// What one role says: the author's segments, joined.
struct MarkedMessage<'p> {
    role: Role,
    content: String,
    /// Names and texts.
    segments: Vec<(&'p str, &'p str)>,
}

impl Chat {
    /// Reads the template in a checkpoint's folder, or in its GGUF file.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn open(checkpoint: &Path, tokenizer: &Tokenizer) -> Result<Self> {
        Ok(Self {
            template: ChatTemplate::open(checkpoint, tokenizer)?,
        })
    }

    /// SHA-256 of the template's source.
    pub fn template_sha256(&self) -> &str {
        &self.template.sha256
    }

    /// The prompt as the model gets it. What the template adds is in segments named [`TEMPLATE`].
    ///
    /// # Errors
    /// The template refuses the prompt, fails, or changes its text by more than white space at its ends.
    pub fn prompt(&self, prompt: &Prompt) -> Result<Prompt> {
        let said = said(prompt);
        let messages: Vec<&MarkedMessage> = said.iter().filter(|one| MESSAGES.contains(&one.role)).collect();
        // Private-use characters: no text that a template looks for, and no white space that it trims.
        let marks: Vec<String> = (0..messages.len())
            .map(|index| format!("\u{e000}igsite{index}\u{e001}"))
            .collect();
        let marked = self.render(&messages, marks.iter().map(String::as_str))?;
        let fixed = self.fixed(&marked, &marks)?;
        let contents: Vec<&str> = messages.iter().map(|one| one.content.as_str()).collect();
        let rendered = self.render(&messages, contents.iter().copied())?;
        let gaps = locate(&rendered, &fixed, &contents).ok_or_else(|| {
            self.error("the chat template changes the text of the prompt")
                .expected("the text as it is, or without white space at its ends")
        })?;
        let mut whole = Prompt::default();
        add_template(&mut whole, fixed[0]);
        for ((message, kept), after) in messages.iter().zip(gaps).zip(&fixed[1..]) {
            let mut start = 0;
            for (name, text) in &message.segments {
                let range = start..start + text.len();
                let from = kept.start.clamp(range.start, range.end) - start;
                let to = kept.end.clamp(range.start, range.end) - start;
                whole.push_as(name, message.role, &text[from..to]);
                start = range.end;
            }
            add_template(&mut whole, after);
        }
        for (name, text) in said
            .iter()
            .filter(|one| one.role == Role::Assistant)
            .flat_map(|one| &one.segments)
        {
            whole.push_as(name, Role::Assistant, text);
        }
        Ok(whole)
    }

    fn render<'c>(&self, messages: &[&MarkedMessage], contents: impl Iterator<Item = &'c str>) -> Result<String> {
        let messages: Vec<Message> = messages
            .iter()
            .zip(contents)
            .map(|(said, content)| Message {
                role: said.role.word(),
                content: content.to_owned(),
            })
            .collect();
        self.template.render(&messages)
    }

    /// The text before, between and after the marks.
    fn fixed<'t>(&self, marked: &'t str, marks: &[String]) -> Result<Vec<&'t str>> {
        let (mut fixed, mut rest) = (Vec::new(), marked);
        for mark in marks {
            let once = marked.matches(mark.as_str()).count() == 1;
            let Some((before, after)) = rest.split_once(mark.as_str()).filter(|_| once) else {
                return Err(self
                    .error("the chat template does not write each message once and in its order")
                    .expected("what the system says, then what the user says"));
            };
            fixed.push(before);
            rest = after;
        }
        fixed.push(rest);
        Ok(fixed)
    }

    fn error(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::checkpoint(message)
            .in_file(self.template.file())
            .help("write `prompt_style: plain`, or give the prompt without `role`s")
    }
}

fn add_template(prompt: &mut Prompt, text: &str) {
    if !text.is_empty() {
        prompt.push(TEMPLATE, text);
    }
}

/// What each role says, in order.
fn said(prompt: &Prompt) -> Vec<MarkedMessage<'_>> {
    let mut all: Vec<MarkedMessage> = Vec::new();
    let mut rest = prompt.text.as_str();
    for (segment, &role) in prompt.segments.iter().zip(&prompt.roles) {
        let count = segment.end - segment.start;
        let bytes = rest.char_indices().nth(count).map_or(rest.len(), |(byte, _)| byte);
        let (text, after) = rest.split_at(bytes);
        rest = after;
        if all.last().is_none_or(|last| last.role != role) {
            all.push(MarkedMessage {
                role,
                content: String::new(),
                segments: Vec::new(),
            });
        }
        if let Some(last) = all.last_mut() {
            last.content.push_str(text);
            last.segments.push((&segment.name, text));
        }
    }
    all
}

/// Which bytes of each content fill the gaps between the fixed texts; none if the gaps hold something else.
fn locate(rendered: &str, fixed: &[&str], contents: &[&str]) -> Option<Vec<Range<usize>>> {
    let rest = rendered.strip_prefix(*fixed.first()?)?;
    let Some((content, later)) = contents.split_first() else {
        return rest.is_empty().then(Vec::new);
    };
    let blanks = content.len() - content.trim_start().len();
    let kept = [
        (*content, 0),
        (content.trim_end(), 0),
        (content.trim_start(), blanks),
        (content.trim(), blanks),
    ];
    kept.into_iter().find_map(|(kept, start)| {
        let mut ranges = locate(rest.strip_prefix(kept)?, &fixed[1..], later)?;
        ranges.insert(0, start..start + kept.len());
        Some(ranges)
    })
}

#[cfg(test)]
mod tests;
