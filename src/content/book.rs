//! A book: a project of pages alone. Its Markdown files lie in the project's own folder, where people read them in a
//! repository, and a file `book.yaml` beside them says that the folder is one.
//!
//! The reading order is that of the links in `README.md` (or `index.md`), whose headings of the second level are the
//! book's parts; the `README.md` of a folder below does the same for the pages there. A link that leaves the folder, or
//! leads to a file that is no page, goes to the repository, whose address `source` gives.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use reqwest::Url;

use super::decode::{Decoder, Field};
use super::files::{self, position_at};
use super::names::shortened;
use super::page::Page;
use super::yaml::{self, Content, ScalarKind};
use crate::diagnostic::{Diagnostic, Diagnostics, Position};

/// The file by which a folder is a book.
pub const FILE: &str = "book.yaml";
/// Folders of a book in which no pages are.
pub const NO_PAGES: [&str; 3] = ["site", "static", "templates"];
/// Files that come along with the pages that show or name them.
const BESIDE: [&str; 8] = ["png", "jpg", "jpeg", "gif", "svg", "webp", "avif", "pdf"];

/// A book.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    /// Where the folder stands in its repository, with a slash at the end.
    pub source: Option<String>,
    /// Its parts in reading order; the first begins with the front page.
    pub parts: Vec<Part>,
    /// Files that come along, relative to the project's root.
    pub files: BTreeSet<PathBuf>,
    /// Files of the folder that are at the source only, relative to the project's root.
    pub elsewhere: BTreeSet<String>,
}

/// A part of a book.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// The heading; none before the first.
    pub title: Option<String>,
    /// In reading order.
    pub chapters: Vec<Chapter>,
}

/// A chapter: a page, and those that come behind it where it is the index of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chapter {
    /// The page's Markdown file.
    pub page: PathBuf,
    /// Of the pages behind it.
    pub below: Vec<PathBuf>,
}

impl Book {
    /// Every page in reading order.
    pub fn order(&self) -> impl Iterator<Item = &PathBuf> {
        let chapters = self.parts.iter().flat_map(|part| &part.chapters);
        chapters.flat_map(|chapter| std::iter::once(&chapter.page).chain(&chapter.below))
    }

    /// Where a link from a page in a folder of the book leads in the repository; none where nobody says.
    pub fn at_source(&self, folder: &str, link: &str) -> Option<String> {
        let source = Url::parse(self.source.as_ref()?).ok()?;
        let folder = match folder {
            "" => source,
            folder => source.join(&format!("{folder}/")).ok()?,
        };
        Some(folder.join(link).ok()?.to_string())
    }
}

/// Reads `book.yaml` and finds the reading order of the pages, which are those to be built.
pub(super) fn read(root: &Path, pages: &[Page], all: &mut Diagnostics) -> Book {
    let mut book = Book {
        source: read_source(root, all),
        ..Book::default()
    };
    let by_path: BTreeMap<&Path, &Page> = pages.iter().map(|page| (page.path.as_path(), page)).collect();
    let links: BTreeMap<&Path, Vec<Link>> = pages
        .iter()
        .map(|page| (page.path.as_path(), look(root, page, &mut book, all)))
        .collect();
    let Some(front) = pages.iter().find(|page| page.route == ["index"]) else {
        let error = Diagnostic::content("this book has no first page").in_file(FILE);
        all.push(error.expected("README.md or index.md beside it, with links to the other pages in reading order"));
        return book;
    };
    order(front, &by_path, &links, &mut book);
    let read: BTreeSet<&PathBuf> = book.order().collect();
    for page in pages.iter().filter(|page| !read.contains(&page.path)) {
        let error = Diagnostic::content("this page has no place in the book").in_file(&page.path);
        let front = front.path.display();
        all.push(error.help(format!("link to it from {front}, or from the README.md of its folder")));
    }
    book
}

fn read_source(root: &Path, all: &mut Diagnostics) -> Option<String> {
    let path = Path::new(FILE);
    let text = all.keep(files::read_text(root, path))?;
    let tree = match yaml::parse(path, &text, 1) {
        Ok(tree) => tree,
        Err(errors) => {
            all.extend(errors);
            return None;
        }
    };
    if matches!(&tree.content, Content::Scalar(scalar) if scalar.kind == ScalarKind::Null) {
        return None;
    }
    let mut decoder = Decoder::new(path);
    let source = decoder.table(&Field::top(&tree), &["source"]).and_then(|table| {
        let field = table.get("source")?;
        const EXPECTED: &str =
            "the address of this folder in its repository, such as https://github.com/me/project/blob/main/docs/";
        let text = decoder.text(&field, EXPECTED)?;
        let url = Url::parse(&text)
            .ok()
            .filter(|url| ["http", "https"].contains(&url.scheme()));
        if url.is_none() {
            decoder.wrong(&field, EXPECTED);
        }
        let text = url?.to_string();
        Some(if text.ends_with('/') { text } else { text + "/" })
    });
    all.extend(decoder.diagnostics);
    source
}

/// A link to another page.
struct Link {
    page: PathBuf,
    /// The heading of the second level above it.
    part: Option<String>,
}

/// What a page links to: other pages are given back; files are noted in the book; what is missing is an error.
fn look(root: &Path, page: &Page, book: &mut Book, all: &mut Diagnostics) -> Vec<Link> {
    let (mut links, mut part, mut heading) = (Vec::new(), None, None);
    let options = Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES;
    for (event, range) in Parser::new_ext(&page.markdown, options).into_offset_iter() {
        match event {
            Event::Start(Tag::Heading {
                level: HeadingLevel::H2,
                ..
            }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(HeadingLevel::H2)) => part = heading.take(),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                let at = || {
                    let place = position_at(&page.markdown, range.start);
                    Position {
                        line: page.first_line + place.line - 1,
                        ..place
                    }
                };
                match target(root, page, &dest_url) {
                    Target::Page(path) => links.push(Link {
                        page: path,
                        part: part.clone(),
                    }),
                    Target::Other => {}
                    Target::File(path) => {
                        let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
                        if BESIDE.contains(&extension.as_str()) || book.source.is_none() {
                            book.files.insert(path);
                        } else {
                            book.elsewhere
                                .insert(files::shown(&path).to_string_lossy().into_owned());
                        }
                    }
                    Target::Missing => {
                        let error =
                            Diagnostic::content(format!("link to `{}`: there is no such file", shortened(&dest_url)));
                        all.push(
                            error
                                .in_file(&page.path)
                                .at(at())
                                .help("correct the link, or add the file"),
                        );
                    }
                    Target::Outside(path) => {
                        let link = format!("link to `{}`", shortened(&dest_url));
                        if book.source.is_none() {
                            let error = Diagnostic::content(format!("{link}, which is outside of the book"));
                            let error = error.in_file(&page.path).at(at());
                            all.push(error.expected(format!(
                                "a file of the book, or `source` in {FILE}: the address of this folder in its repository"
                            )));
                        } else if !path.exists() {
                            let warning = Diagnostic::content(format!("{link}: there is no such file here"));
                            let warning = warning.in_file(&page.path).at(at());
                            all.push(
                                warning
                                    .help("a reader is sent to the repository, which may have it")
                                    .as_warning(),
                            );
                        }
                    }
                }
            }
            _ => {}
        }
    }
    links
}

/// Where a link of a book's page leads.
enum Target {
    /// To a page, whether it is built or not.
    Page(PathBuf),
    /// To a file of the folder, relative to its root.
    File(PathBuf),
    /// To a file outside of the folder.
    Outside(PathBuf),
    /// To a place in the same page, a folder, or another host.
    Other,
    /// To no file.
    Missing,
}

fn target(root: &Path, page: &Page, link: &str) -> Target {
    let path = link.split(['#', '?']).next().unwrap_or_default();
    let has_scheme = path.split_once(':').is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    });
    if path.is_empty() || has_scheme || path.starts_with("//") {
        return Target::Other;
    }
    let Some(path) = percent_decoded(path) else {
        return Target::Other;
    };
    let (base, path) = match path.strip_prefix('/') {
        Some(path) => (Path::new(""), path),
        None => (page.path.parent().unwrap_or(Path::new("")), path.as_str()),
    };
    let mut inside = PathBuf::new();
    for part in base.join(path).components() {
        match part {
            Component::ParentDir => {
                if !inside.pop() {
                    return Target::Outside(root.join(base).join(path));
                }
            }
            Component::Normal(part) => inside.push(part),
            _ => {}
        }
    }
    let here = root.join(&inside);
    if here.is_dir() {
        Target::Other
    } else if !here.is_file() {
        Target::Missing
    } else if inside.extension().is_some_and(|extension| extension == "md") {
        Target::Page(inside)
    } else {
        Target::File(inside)
    }
}

/// Undoes percent-encoding; none where it is broken or no UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Fills the book's parts in the order of links.
fn order(front: &Page, pages: &BTreeMap<&Path, &Page>, links: &BTreeMap<&Path, Vec<Link>>, book: &mut Book) {
    let of = |path: &Path| links.get(path).map_or(&[][..], Vec::as_slice);
    let own: BTreeSet<&Path> = of(&front.path).iter().map(|link| link.page.as_path()).collect();
    let mut taken: BTreeSet<PathBuf> = BTreeSet::from([front.path.clone()]);
    book.parts.push(Part {
        title: None,
        chapters: vec![Chapter {
            page: front.path.clone(),
            below: vec![],
        }],
    });
    for link in of(&front.path) {
        let Some(page) = pages.get(link.page.as_path()) else {
            continue;
        };
        if !taken.insert(page.path.clone()) {
            continue;
        }
        let is_index = page.route.last().is_some_and(|last| last == "index");
        let mut chapter = Chapter {
            page: page.path.clone(),
            below: vec![],
        };
        if is_index {
            for below in of(&page.path) {
                let is_page = pages.contains_key(below.page.as_path()) && !own.contains(below.page.as_path());
                if is_page && taken.insert(below.page.clone()) {
                    chapter.below.push(below.page.clone());
                }
            }
        }
        match book.parts.last_mut() {
            Some(last) if last.title == link.part => last.chapters.push(chapter),
            _ => book.parts.push(Part {
                title: link.part.clone(),
                chapters: vec![chapter],
            }),
        }
    }
}

#[cfg(test)]
mod tests;
