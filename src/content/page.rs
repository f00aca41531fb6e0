//! Markdown pages: front matter and text.

use std::path::PathBuf;

/// A `content/**/*.md` page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The Markdown file, relative to the project's root.
    pub path: PathBuf,
    /// Where it goes in the site: path components without extension (`["docs", "method"]`); `["index"]` is the front page's text.
    pub route: Vec<String>,
    /// From the front matter, else the first heading, else the file's stem.
    pub title: String,
    /// From the front matter; for link previews and lists.
    pub description: Option<String>,
    /// Order in the navigation, from the front matter; pages without one come after, by title.
    pub order: Option<i64>,
    /// Built only with `--drafts`.
    pub draft: bool,
    /// The text below the front matter.
    pub markdown: String,
    /// The line of the file on which `markdown` begins, from 1.
    pub first_line: usize,
}
