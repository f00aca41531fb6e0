//! The author's Markdown pages, and the proofreading of all that the author wrote.

use serde::Serialize;

use super::{Frame, Renderer};
use crate::content::names::{nearest, quoted, shortened};
use crate::content::page::Page;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::render::Sink;
use crate::render::markdown::{Rendered, Source};
use crate::site::urls::{self, Links};

/// What `page.html` shows.
#[derive(Serialize)]
pub(super) struct PageView {
    pub page: Frame,
    pub heading: String,
    /// The table of contents; empty unless the page has one.
    pub contents: String,
    pub text: String,
    /// The other pages of the folder, on the page that is its index.
    pub pages: Vec<PageEntry>,
}

#[derive(Serialize)]
pub(super) struct PageEntry {
    title: String,
    href: String,
    description: String,
}

impl Renderer<'_> {
    /// Every page but the front page's text; the errors of all are reported together.
    pub fn markdown_pages(&self, out: &mut Sink<'_>) -> Result<(), Diagnostics> {
        let mut problems = Diagnostics::new();
        for page in self.site.project.pages.iter().filter(|page| page.route != ["index"]) {
            let path = urls::page(&page.route);
            let links = Links::on(path.clone());
            let Rendered { html, contents, .. } = match self.page_text(page, &links) {
                Ok(text) => text,
                Err(found) => {
                    problems.extend(found);
                    continue;
                }
            };
            let Some(template) = problems.keep(self.template_of(page)) else {
                continue;
            };
            let about = page.description.clone().unwrap_or_default();
            let view = PageView {
                page: self.frame(&links, &path, &page.title, &about, self.way_to(page)),
                heading: page.title.clone(),
                contents: if page.toc { contents } else { String::new() },
                text: html,
                pages: self.beside(page, &links),
            };
            let made_by = page.path.display().to_string();
            self.page(out, path, &template, &view, &made_by)?;
        }
        if problems.has_errors() { Err(problems) } else { Ok(()) }
    }

    /// Reads every text of the project, also those on pages that need results. What is only odd is given back.
    pub fn proofread(&self) -> Result<Diagnostics, Diagnostics> {
        let mut found = self.theme.unused(&self.template_names());
        found.extend(self.theme.against_policy());
        let mut tell = |text: Result<Rendered, Diagnostics>| match text {
            Ok(text) => found.extend(text.warnings),
            Err(errors) => found.extend(errors),
        };
        let project = self.site.project;
        for page in &project.pages {
            tell(self.page_text(page, &Links::on(urls::page(&page.route))));
        }
        for experiment in project.all_experiments() {
            let links = Links::on(urls::experiment(&experiment.id));
            tell(self.description(&experiment.description, &experiment.path, Some(&experiment.id), &links));
        }
        for (id, model) in &project.models {
            tell(self.description(&model.description, &model.path, None, &Links::on(urls::model(id))));
        }
        for page in &project.pages {
            found.keep(self.template_of(page));
        }
        if found.has_errors() {
            Err(found.sorted())
        } else {
            Ok(found.sorted())
        }
    }

    /// The text of a page on the page of these links.
    pub(super) fn page_text(&self, page: &Page, links: &Links) -> Result<Rendered, Diagnostics> {
        let front = page.route == ["index"];
        let source = Source {
            text: &page.markdown,
            file: &page.path,
            first_line: Some(page.first_line),
            // The folder of the Markdown file; a page that is a folder's index stands in that folder.
            folder: page.route[..page.route.len().saturating_sub(1)].join("/"),
            // The front page has more than this text.
            prefix: if front { "text-" } else { "" },
        };
        self.text(&source, &page.title, None, links)
    }

    /// The template that a page is made with, which must be there.
    fn template_of(&self, page: &Page) -> Result<String, Diagnostic> {
        let Some(template) = &page.template else {
            return Ok("page.html".to_owned());
        };
        if self.theme.has(&template.value) {
            return Ok(template.value.clone());
        }
        let known = self.theme.for_pages();
        let known = || known.iter().map(String::as_str);
        let mut error = Diagnostic::content(format!("there is no template `{}`", shortened(&template.value)))
            .in_file(&page.path)
            .at(template.position)
            .expected(format!(
                "the name of a file in templates/, or one of {}",
                quoted(known())
            ));
        error.help = nearest(&template.value, known()).map(|meant| format!("did you mean `{meant}`?"));
        Err(error)
    }

    /// The templates that pages name, and those of the shortcodes that any text has.
    fn template_names(&self) -> Vec<String> {
        let project = self.site.project;
        let named = project.pages.iter().filter_map(|page| page.template.as_ref());
        let pages = project.pages.iter().map(|page| &page.markdown);
        let experiments = project.all_experiments().map(|experiment| &experiment.description);
        let models = project.models.values().map(|model| &model.description);
        let texts: Vec<&String> = pages.chain(experiments).chain(models).collect();
        let shortcodes = self.theme.own_shortcodes().into_iter();
        let used = shortcodes.filter(|name| texts.iter().any(|text| text.contains(name.as_str())));
        named
            .map(|template| template.value.clone())
            .chain(used.map(|name| format!("shortcodes/{name}.html")))
            .collect()
    }

    /// The index of the folder that a page lies in, and of the folders round that, as far as there are any.
    fn way_to(&self, page: &Page) -> Vec<(String, String)> {
        let mut way = vec![(self.site_title.clone(), urls::HOME.to_owned())];
        for depth in 1..page.route.len() {
            let mut route = page.route[..depth].to_vec();
            route.push("index".to_owned());
            let index = self.site.project.pages.iter().find(|other| other.route == route);
            if let Some(index) = index.filter(|index| index.path != page.path) {
                way.push((index.title.clone(), urls::page(&index.route)));
            }
        }
        way
    }

    /// The pages of the folder whose index this page is: in their order, then by title.
    fn beside(&self, page: &Page, links: &Links) -> Vec<PageEntry> {
        let Some((last, folder)) = page.route.split_last() else {
            return Vec::new();
        };
        // In a book an index links to each of them in its own words.
        if last != "index" || self.site.project.book.is_some() {
            return Vec::new();
        }
        let inside = |other: &&Page| match other.route.strip_prefix(folder) {
            Some([_]) => other.path != page.path,
            Some([_, name]) => name == "index",
            _ => false,
        };
        let mut pages: Vec<&Page> = self.site.project.pages.iter().filter(inside).collect();
        pages.sort_by(|a, b| (a.order.unwrap_or(i64::MAX), &a.title).cmp(&(b.order.unwrap_or(i64::MAX), &b.title)));
        let entry = |page: &&Page| PageEntry {
            title: page.title.clone(),
            href: links.to(&urls::page(&page.route)),
            description: page.description.clone().unwrap_or_default(),
        };
        pages.iter().map(entry).collect()
    }
}
