//! Headings: ids that stay the same, a link to each, and the table of contents.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;
use std::ops::Range;

use pulldown_cmark::{Event, HeadingLevel, Tag, TagEnd};

use super::Refusal;
use crate::diagnostic::Diagnostic;
use crate::render::text::escape;

/// A heading of a text.
pub struct Heading {
    /// From 2: above stands the page's title.
    pub level: i32,
    /// Its id on the page.
    pub id: String,
    /// Its text without markup.
    pub text: String,
    /// Whether it stands in the text itself, and so in the table of contents, rather than in a quotation or a list.
    pub listed: bool,
}

/// Ids that were given on this page.
#[derive(Default)]
pub struct Ids {
    taken: BTreeSet<String>,
    /// The number to try first for a text that came before: all below are taken.
    next: HashMap<String, usize>,
    /// What generated ids begin with.
    prefix: &'static str,
}

impl Ids {
    /// For a text on a page of its own, or one that is set into a page which has ids of its own: those of the text
    /// begin with `prefix` then.
    pub fn new(prefix: &'static str) -> Self {
        // `main` is the page's own.
        let taken = BTreeSet::from(["main".to_owned()]);
        Self {
            taken,
            next: HashMap::new(),
            prefix,
        }
    }

    /// An id that nothing else on the page has: the letters and digits of `text`, numbered when they come again.
    pub fn take(&mut self, text: &str) -> String {
        let words = text
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|word| !word.is_empty());
        let slug = words.map(str::to_lowercase).collect::<Vec<_>>().join("-");
        let slug = if slug.is_empty() { "section" } else { &slug };
        let slug = format!("{}{slug}", self.prefix);
        if self.taken.insert(slug.clone()) {
            return slug;
        }
        let number = self.next.entry(slug.clone()).or_insert(2);
        loop {
            let id = format!("{slug}-{number}");
            *number += 1;
            if self.taken.insert(id.clone()) {
                return id;
            }
        }
    }

    /// An id as the author wrote it; false where it is taken.
    fn claim(&mut self, id: &str) -> bool {
        self.taken.insert(id.to_owned())
    }
}

/// All headings of a text, in order. Ids that the author chose are given first, so that no other heading takes them.
pub fn collect(events: &[(Event<'_>, Range<usize>)], ids: &mut Ids, refused: &mut Vec<Refusal>) -> Vec<Heading> {
    let starts = || {
        events
            .iter()
            .enumerate()
            .filter_map(|(index, (event, range))| match event {
                Event::Start(Tag::Heading { level, id, .. }) => Some((index, *level, id.as_deref(), range.start)),
                _ => None,
            })
    };
    let mut kept: BTreeSet<usize> = BTreeSet::new();
    for (index, _, id, at) in starts() {
        let Some(id) = id else { continue };
        let problem = if id.chars().any(|c| c.is_whitespace() || c.is_control()) || id.is_empty() {
            "a blank in a heading's id"
        } else if !ids.claim(id) {
            "an id that the page has already"
        } else {
            kept.insert(index);
            continue;
        };
        let error = Diagnostic::content(format!("heading `{{#{id}}}`: {problem}"));
        refused.push(Refusal::at(
            at,
            error.expected("an id of its own, such as `{#how-it-works}`"),
        ));
    }
    let top = starts().map(|(_, level, ..)| level as i32).min().unwrap_or(2);
    let mut headings = Vec::new();
    let mut depth = 0;
    for (index, (event, _)) in events.iter().enumerate() {
        match event {
            Event::Start(Tag::BlockQuote(_) | Tag::Item | Tag::FootnoteDefinition(_)) => depth += 1,
            Event::End(TagEnd::BlockQuote(_) | TagEnd::Item | TagEnd::FootnoteDefinition) => depth -= 1,
            Event::Start(Tag::Heading { level, id, .. }) => {
                let text = text(&events[index..]);
                let id = match id {
                    Some(id) if kept.contains(&index) => id.to_string(),
                    _ => ids.take(&text),
                };
                headings.push(Heading {
                    level: (*level as i32 + 2 - top).clamp(2, 6),
                    id,
                    text,
                    listed: depth == 0,
                });
            }
            _ => {}
        }
    }
    headings
}

/// The level of a heading's start.
pub fn level(event: &Event<'_>) -> Option<HeadingLevel> {
    match event {
        Event::Start(Tag::Heading { level, .. }) => Some(*level),
        _ => None,
    }
}

/// The text of the heading with whose start `events` begin.
pub fn text(events: &[(Event<'_>, Range<usize>)]) -> String {
    let inside = events
        .iter()
        .take_while(|(event, _)| !matches!(event, Event::End(TagEnd::Heading(_))));
    inside
        .filter_map(|(event, _)| match event {
            Event::Text(text) | Event::Code(text) | Event::InlineMath(text) => Some(text.as_ref()),
            Event::SoftBreak | Event::HardBreak => Some(" "),
            _ => None,
        })
        .collect()
}

/// The markup before a heading's text, and after it: a link to the heading, next to it and not inside it, so that its
/// name is only its own text.
pub fn tags(heading: &Heading) -> (String, String) {
    let (level, id) = (heading.level, escape(&heading.id));
    (
        format!("<div class=\"heading\"><h{level} id=\"{id}\">"),
        format!(
            "</h{level}><a class=\"anchor\" href=\"#{}\" aria-label=\"Link to “{}”\">#</a></div>\n",
            escape(&crate::site::urls::encode(&heading.id)),
            escape(&heading.text)
        ),
    )
}

/// The table of contents; empty where there is nothing to list.
pub fn contents(headings: &[Heading]) -> String {
    let listed: Vec<&Heading> = headings.iter().filter(|heading| heading.listed).collect();
    if listed.is_empty() {
        return String::new();
    }
    let mut html = String::from("<nav class=\"toc\" aria-label=\"Contents\">");
    // Levels of the lists that are open. A level that is skipped opens one list only, as a list in a list needs an
    // item.
    let mut open: Vec<i32> = Vec::new();
    for heading in listed {
        while open.len() > 1 && open[open.len() - 2] >= heading.level {
            html.push_str("</li></ol>");
            open.pop();
        }
        match open.last_mut() {
            Some(level) if *level >= heading.level => {
                *level = heading.level;
                html.push_str("</li><li>");
            }
            _ => {
                html.push_str("<ol><li>");
                open.push(heading.level);
            }
        }
        let target = escape(&crate::site::urls::encode(&heading.id));
        let _ = write!(html, "<a href=\"#{target}\">{}</a>", escape(&heading.text));
    }
    html.push_str(&"</li></ol>".repeat(open.len()));
    html + "</nav>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heading(level: i32, text: &str) -> Heading {
        Heading {
            level,
            id: text.to_lowercase(),
            text: text.to_owned(),
            listed: true,
        }
    }

    #[test]
    fn contents_nest_and_close_whatever_the_levels() {
        let list = |levels: &[i32]| {
            let headings: Vec<Heading> = levels.iter().map(|level| heading(*level, "A")).collect();
            contents(&headings)
        };
        assert_eq!(
            contents(&[heading(2, "A<b>"), heading(3, "B"), heading(2, "C")]),
            "<nav class=\"toc\" aria-label=\"Contents\"><ol><li><a href=\"#a%3Cb%3E\">A&lt;b&gt;</a><ol><li><a href=\"#b\">B</a>\
             </li></ol></li><li><a href=\"#c\">C</a></li></ol></nav>\n"
        );
        for levels in [&[3, 2, 4, 3, 2][..], &[2, 6, 4, 2], &[5], &[4, 3, 2]] {
            let html = list(levels);
            for tag in ["ol", "li"] {
                assert_eq!(
                    html.matches(&format!("<{tag}>")).count(),
                    html.matches(&format!("</{tag}>")).count(),
                    "{html}"
                );
            }
            assert!(!html.contains("<ol><ol>") && !html.contains("</ol><ol>"), "{html}");
        }
        assert_eq!(contents(&[]), "");
    }

    #[test]
    fn ids_of_one_text_take_time_by_their_number_and_not_its_square() {
        let mut ids = Ids::new("");
        let began = std::time::Instant::now();
        let last = (0..100_000).map(|_| ids.take("One name")).last();
        assert_eq!(last.as_deref(), Some("one-name-100000"));
        assert!(began.elapsed().as_secs() < 10);
    }

    #[test]
    fn ids_are_stable_and_never_given_twice() {
        let mut ids = Ids::new("");
        let given: Vec<String> = ["A b", "a  B!", "A b 2", "main", "…", "…"]
            .map(|text| ids.take(text))
            .to_vec();
        assert_eq!(given, ["a-b", "a-b-2", "a-b-2-2", "main-2", "section", "section-2"]);
        assert_eq!(Ids::new("text-").take("Models"), "text-models");
    }
}
