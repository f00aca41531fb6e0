//! The chapters of a book round each of its pages: all of them in reading order, and the page before and behind.

use std::path::PathBuf;

use serde::Serialize;

use super::{Link, Renderer};
use crate::render::text::excerpt;
use crate::site::urls::Links;

/// The chapters of a book, seen from one of its pages.
#[derive(Serialize)]
pub(super) struct BookView {
    /// In reading order.
    parts: Vec<PartView>,
    /// The page before this one.
    previous: Option<Link>,
    /// The page behind it.
    next: Option<Link>,
}

#[derive(Serialize)]
struct PartView {
    /// Empty for chapters that stand under no heading.
    title: String,
    chapters: Vec<ChapterView>,
}

#[derive(Serialize)]
struct ChapterView {
    title: String,
    href: String,
    /// Whether it is this page.
    current: bool,
    /// The pages behind it, where this page is it or one of them.
    below: Vec<ChapterView>,
}

impl Renderer<'_> {
    /// The book round the page at `path`; none where the site is no book.
    pub(super) fn book(&self, path: &str, links: &Links) -> Option<BookView> {
        let book = self.site.project.book.as_ref()?;
        let title = |file: &PathBuf| {
            let page = self.site.project.pages.iter().find(|page| page.path == *file);
            page.map_or(String::new(), |page| excerpt(&page.title, 80))
        };
        let at = |file: &PathBuf| self.pages.get(file).map_or("", String::as_str);
        let entry = |file: &PathBuf| ChapterView {
            title: title(file),
            href: links.to(at(file)),
            current: at(file) == path,
            below: vec![],
        };
        let parts = book.parts.iter().map(|part| PartView {
            title: part.title.clone().unwrap_or_default(),
            chapters: part
                .chapters
                .iter()
                .map(|chapter| {
                    let open = std::iter::once(&chapter.page)
                        .chain(&chapter.below)
                        .any(|file| at(file) == path);
                    ChapterView {
                        below: chapter.below.iter().filter(|_| open).map(entry).collect(),
                        ..entry(&chapter.page)
                    }
                })
                .collect(),
        });
        let order: Vec<&PathBuf> = book.order().collect();
        let place = order.iter().position(|file| at(file) == path);
        let link = |place: Option<usize>| {
            let file = order.get(place?)?;
            Some(Link {
                title: title(file),
                href: links.to(at(file)),
            })
        };
        Some(BookView {
            parts: parts.collect(),
            previous: link(place.and_then(|place| place.checked_sub(1))),
            next: link(place.map(|place| place + 1)),
        })
    }
}
