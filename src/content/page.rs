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
    /// What the front page's front matter says of the whole site; the defaults on other pages.
    pub site: SiteSettings,
    /// The text below the front matter.
    pub markdown: String,
    /// The line of the file on which `markdown` begins, from 1.
    pub first_line: usize,
}

/// What holds for the whole site: keys of the front matter of `content/index.md`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteSettings {
    /// Who made it: for BibTeX entries and the head of every page.
    pub authors: Vec<String>,
    /// Which maps have a page of their own.
    pub maps: MapPages,
    /// How the data lie beside the pages.
    pub data: DataFiles,
    /// Which pages have a card for link previews.
    pub cards: Cards,
}

/// Pairs of a model and a sample up to which an experiment is small enough for everything to be written.
pub const SMALL: usize = 2_000;

/// Which maps have a page of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MapPages {
    /// All of an experiment of at most [`SMALL`] pairs of a model and a sample; of a larger one those that are needed.
    #[default]
    Auto,
    /// All.
    All,
    /// Those that say more than the sample's page: of several targets, baselines or methods, of tests, of texts.
    Needed,
}

/// How the data lie beside the pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataFiles {
    /// As files for an experiment of at most [`SMALL`] pairs of a model and a sample; a larger one's are packed.
    #[default]
    Auto,
    /// A JSON file for each model and sample; JSON Lines and CSV of the experiment as they are.
    Files,
    /// A JSON file for each sample, with what its models share once; JSON Lines and CSV packed by gzip.
    Packed,
}

/// Which pages have a card for link previews, where the site's address is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cards {
    /// Experiments and, where an experiment has at most [`SMALL`] pairs of a model and a sample, samples and maps.
    #[default]
    Auto,
    /// Experiments, samples and maps.
    All,
    /// None.
    None,
}

impl MapPages {
    /// Whether only needed pages are written of an experiment of so many pairs of a model and a sample.
    pub fn only_needed(self, pairs: usize) -> bool {
        match self {
            Self::Auto => pairs > SMALL,
            Self::All => false,
            Self::Needed => true,
        }
    }
}

impl DataFiles {
    /// Whether the data of an experiment of so many pairs of a model and a sample are packed.
    pub fn packed(self, pairs: usize) -> bool {
        match self {
            Self::Auto => pairs > SMALL,
            Self::Files => false,
            Self::Packed => true,
        }
    }
}

impl Cards {
    /// Whether samples and maps of an experiment of so many pairs of a model and a sample have cards.
    pub fn of_samples(self, pairs: usize) -> bool {
        match self {
            Self::Auto => pairs <= SMALL,
            Self::All => true,
            Self::None => false,
        }
    }
}

/// Folders and files at the top of the site that are its own.
pub const RESERVED: [&str; 6] = ["experiments", "models", "data", "assets", "search", "404"];

/// Those of a book, which has no experiments.
pub(super) const RESERVED_IN_BOOKS: [&str; 3] = ["assets", "search", "404"];

/// Reads the text of the page at `path`, whose place under `content/` is `place`; `reserved` are the names at the top
/// of the site that no page may have.
pub(super) fn read(path: &Path, place: &Path, text: &str, reserved: &[&str], decoder: &mut Decoder) -> Option<Page> {
    let before = decoder.diagnostics.error_count();
    let route = read_route(place, reserved, decoder);
    let (front, markdown, first_line) = split(without_bom(text));
    let mut page = Page {
        path: path.to_path_buf(),
        title: String::new(),
        description: None,
        order: None,
        draft: false,
        toc: false,
        template: None,
        site: SiteSettings::default(),
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

fn read_route(place: &Path, reserved: &[&str], decoder: &mut Decoder) -> Vec<String> {
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
        && reserved.iter().any(|reserved| reserved.eq_ignore_ascii_case(first))
    {
        let error = decoder.error(start, format!("the site keeps `{first}` for itself"));
        decoder.push(error.help("rename the file or folder"));
    }
    route
}

/// The keys of the front matter.
const KEYS: [&str; 6] = ["title", "description", "order", "draft", "toc", "template"];
/// Those that the front page has besides.
const SITE_KEYS: [&str; 2] = ["author", "write"];

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
    let is_front = page.route == ["index"];
    let mut known = KEYS.to_vec();
    if is_front {
        known.extend(SITE_KEYS);
    } else if let Content::Map(entries) = &tree.content
        && let Some(entry) = entries.iter().find(|entry| SITE_KEYS.contains(&entry.key.as_str()))
    {
        let error = decoder.error(entry.position, format!("`{}` is of the whole site", entry.key));
        decoder.push(error.expected("it in the front matter of content/index.md"));
        return;
    }
    let Some(table) = decoder.table(&Field::top(&tree), &known) else {
        return;
    };
    if let Some(author) = table.get("author") {
        page.site.authors = read_authors(&author, decoder);
    }
    if let Some(write) = table.get("write") {
        read_write(&write, &mut page.site, decoder);
    }
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

/// One name, or a list of them.
fn read_authors(field: &Field<'_>, decoder: &mut Decoder) -> Vec<String> {
    const NAMES: &str = "a name, or a list of names";
    let names = match &field.node.content {
        Content::List(_) => decoder.list(field, NAMES).unwrap_or_default(),
        _ => vec![field.clone()],
    };
    names.iter().filter_map(|name| decoder.text(name, NAMES)).collect()
}

fn read_write(field: &Field<'_>, site: &mut SiteSettings, decoder: &mut Decoder) {
    let Some(table) = decoder.table(field, &["maps", "data", "cards"]) else {
        return;
    };
    let maps = [
        ("auto", MapPages::Auto),
        ("all", MapPages::All),
        ("needed", MapPages::Needed),
    ];
    let data = [
        ("auto", DataFiles::Auto),
        ("files", DataFiles::Files),
        ("packed", DataFiles::Packed),
    ];
    let cards = [("auto", Cards::Auto), ("all", Cards::All), ("none", Cards::None)];
    if let Some(value) = table.get("maps").and_then(|field| decoder.choice(&field, &maps)) {
        site.maps = value;
    }
    if let Some(value) = table.get("data").and_then(|field| decoder.choice(&field, &data)) {
        site.data = value;
    }
    if let Some(value) = table.get("cards").and_then(|field| decoder.choice(&field, &cards)) {
        site.cards = value;
    }
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
