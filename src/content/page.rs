//! Markdown pages: front matter and text.

use std::path::{Path, PathBuf};

use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use super::decode::{Decoder, Field, Located};
use super::files::without_bom;
use super::names::{name_problem, shortened};
use super::yaml::{self, Content, ScalarKind};
use crate::diagnostic::Position;

/// A `content/**/*.md` page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The Markdown file, relative to the project's root.
    pub path: PathBuf,
    /// Where it goes in the site: path components without extension (`["docs", "method"]`); `["index"]` is the front
    /// page's text.
    pub route: Vec<String>,
    /// From the front matter, else the first heading, else the file's stem.
    pub title: String,
    /// From the front matter; for link previews and lists.
    pub description: Option<String>,
    /// Order in the navigation, from the front matter; pages without one come after, by title.
    pub order: Option<i64>,
    /// Built only with `--drafts`.
    pub draft: bool,
    /// Whether a table of contents stands before the text.
    pub toc: bool,
    /// The template that the page is made with, in place of `page.html`.
    pub template: Option<Located<String>>,
    /// The text below the front matter.
    pub markdown: String,
    /// The line of the file on which `markdown` begins, from 1.
    pub first_line: usize,
}

/// Folders and files at the top of the site that are its own.
pub const RESERVED: [&str; 6] = ["experiments", "models", "data", "assets", "search", "404"];

/// Reads the text of the page at `path`, whose place under `content/` is `place`.
pub(super) fn read(path: &Path, place: &Path, text: &str, decoder: &mut Decoder) -> Option<Page> {
    let before = decoder.diagnostics.error_count();
    let route = read_route(place, decoder);
    let (front, markdown, first_line) = split(without_bom(text));
    let mut page = Page {
        path: path.to_path_buf(),
        title: String::new(),
        description: None,
        order: None,
        draft: false,
        toc: false,
        template: None,
        // CommonMark 2.3: U+0000 is replaced, and HTML has no place for it.
        markdown: markdown.replace('\0', "\u{fffd}"),
        first_line,
        route,
    };
    match front {
        Front::None => {}
        Front::Open => {
            let error = decoder.error(
                Position { line: 1, column: 1 },
                "the front matter that begins here never ends",
            );
            decoder.push(error.expected("a line `---` after it"));
        }
        Front::Yaml(yaml) => read_front(yaml, &mut page, decoder),
    }
    if page.title.is_empty() {
        let stem = || page.route.last().cloned().unwrap_or_default();
        page.title = first_heading(markdown).unwrap_or_else(stem);
    }
    (decoder.diagnostics.error_count() == before).then_some(page)
}

fn read_route(place: &Path, decoder: &mut Decoder) -> Vec<String> {
    let stem = place.with_extension("");
    let route: Vec<String> = stem
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    let start = Position { line: 1, column: 1 };
    for part in &route {
        if let Some(problem) = name_problem(part) {
            let error = decoder.error(
                start,
                format!("`{}` cannot be part of a page's address: {problem}", shortened(part)),
            );
            decoder.push(error.help("rename the file or folder"));
        }
    }
    if let Some(first) = route.first()
        && RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(first))
    {
        let error = decoder.error(start, format!("the site keeps `{first}` for itself"));
        decoder.push(error.help("rename the file or folder"));
    }
    route
}

/// The keys of the front matter.
const KEYS: [&str; 6] = ["title", "description", "order", "draft", "toc", "template"];

enum Front<'a> {
    None,
    Open,
    Yaml(&'a str),
}

/// The front matter, the rest, and the line on which the rest begins.
fn split(text: &str) -> (Front<'_>, &str, usize) {
    let mut lines = text.split_inclusive('\n');
    let Some(first) = lines.next().filter(|line| line.trim_end() == "---") else {
        return (Front::None, text, 1);
    };
    let mut end = first.len();
    for (index, line) in lines.enumerate() {
        if line.trim_end() == "---" {
            return (
                Front::Yaml(&text[first.len()..end]),
                &text[end + line.len()..],
                index + 3,
            );
        }
        end += line.len();
    }
    (Front::Open, "", 1)
}

fn read_front(yaml: &str, page: &mut Page, decoder: &mut Decoder) {
    let tree = match yaml::parse(&page.path, yaml, 2) {
        Ok(tree) => tree,
        Err(errors) => return decoder.diagnostics.extend(errors),
    };
    if matches!(&tree.content, Content::Scalar(scalar) if scalar.kind == ScalarKind::Null) {
        return;
    }
    let Some(table) = decoder.table(&Field::top(&tree), &KEYS) else {
        return;
    };
    page.title = table
        .get("title")
        .and_then(|title| decoder.text(&title, "a title"))
        .unwrap_or_default();
    page.description = table.get("description").and_then(|text| decoder.text(&text, "text"));
    page.order = table.get("order").and_then(|order| decoder.integer(&order));
    page.draft = table
        .get("draft")
        .and_then(|draft| decoder.boolean(&draft))
        .unwrap_or_default();
    page.toc = table
        .get("toc")
        .and_then(|toc| decoder.boolean(&toc))
        .unwrap_or_default();
    page.template = table
        .get("template")
        .and_then(|template| decoder.located(&template, "the name of a file in templates/"));
}

/// The text of the first heading that has any.
fn first_heading(markdown: &str) -> Option<String> {
    let (mut inside, mut title) = (false, String::new());
    for event in Parser::new(markdown) {
        match event {
            Event::Start(Tag::Heading { .. }) => inside = true,
            Event::Text(text) | Event::Code(text) if inside => title.push_str(&text),
            Event::SoftBreak | Event::HardBreak if inside => title.push(' '),
            Event::End(TagEnd::Heading(_)) => {
                if !title.trim().is_empty() {
                    return Some(title.trim().to_owned());
                }
                inside = false;
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests;
