//! Footnotes: numbered as they are first referred to, at the end of the text, each with links back.

use std::collections::{BTreeMap, HashMap};

use pulldown_cmark::{Event, html};

use super::Refusal;
use super::headings::Ids;
use crate::diagnostic::Diagnostic;

/// The footnotes of a text, as they are met.
#[derive(Default)]
pub struct Notes<'a> {
    /// In order of their first reference.
    notes: Vec<Note>,
    /// Name → its place among them.
    places: HashMap<String, usize>,
    /// Their texts by name, and where each is defined.
    texts: BTreeMap<String, (usize, Vec<Event<'a>>)>,
}

struct Note {
    name: String,
    id: String,
    /// Where it is referred to from.
    references: Vec<String>,
}

impl<'a> Notes<'a> {
    /// A reference to a note.
    pub fn refer(&mut self, name: &str, ids: &mut Ids) -> Event<'a> {
        let index = self.places.get(name).copied().unwrap_or_else(|| {
            self.places.insert(name.to_owned(), self.notes.len());
            self.notes.push(Note {
                name: name.to_owned(),
                id: ids.take(&format!("note {}", self.notes.len() + 1)),
                references: Vec::new(),
            });
            self.notes.len() - 1
        });
        let number = index + 1;
        let reference = ids.take(&format!("to note {number}"));
        let note = &mut self.notes[index];
        let html = format!(
            "<sup class=\"note-ref\"><a id=\"{reference}\" href=\"#{}\" role=\"doc-noteref\" aria-label=\"Note {number}\">{number}</a></sup>",
            note.id
        );
        note.references.push(reference);
        Event::InlineHtml(html.into())
    }

    /// The text of a note; false where there is one of that name.
    pub fn define(&mut self, name: &str, at: usize, text: Vec<Event<'a>>) -> bool {
        self.texts.insert(name.to_owned(), (at, text)).is_none()
    }

    /// The notes as a list; those that nothing refers to are refused, as a reader would never see them.
    pub fn finish(mut self, refused: &mut Vec<Refusal>) -> String {
        let mut list = String::new();
        for (index, note) in self.notes.iter().enumerate() {
            let (_, text) = self.texts.remove(&note.name).unwrap_or_default();
            let mut body = String::new();
            html::push_html(&mut body, text.into_iter());
            let back: Vec<String> = note
                .references
                .iter()
                .enumerate()
                .map(|(times, reference)| {
                    let nth = if times == 0 {
                        String::new()
                    } else {
                        format!(", {}", times + 1)
                    };
                    let label = format!("Back to where note {} is referred to{nth}", index + 1);
                    format!(
                        "<a class=\"back\" href=\"#{reference}\" role=\"doc-backlink\" aria-label=\"{label}\">↩</a>"
                    )
                })
                .collect();
            let back = back.join(" ");
            let body = match body.strip_suffix("</p>\n") {
                Some(body) => format!("{body} {back}</p>"),
                None => format!("{body}<p>{back}</p>"),
            };
            list += &format!("<li id=\"{}\">{body}</li>\n", note.id);
        }
        for (name, (at, _)) in self.texts {
            let error = Diagnostic::content(format!("nothing refers to the footnote `[^{}]`", name));
            refused.push(Refusal::at(at, error.expected(format!("`[^{name}]` in the text"))));
        }
        if list.is_empty() {
            String::new()
        } else {
            format!(
                "<section class=\"notes\" role=\"doc-endnotes\" aria-label=\"Notes\">\n<ol>\n{list}</ol>\n</section>\n"
            )
        }
    }
}
