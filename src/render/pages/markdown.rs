//! The author's Markdown pages.

use serde::Serialize;

use super::{Frame, Renderer};
use crate::diagnostic::Diagnostics;
use crate::render::Sink;
use crate::render::markdown::{self, Source};
use crate::site::urls::{self, Links};

#[derive(Serialize)]
struct PageView {
    page: Frame,
    heading: String,
    text: String,
}

impl Renderer<'_> {
    /// Every page but the front page's text; the errors of all are told at once.
    pub fn markdown_pages(&self, out: &mut Sink<'_>) -> Result<(), Diagnostics> {
        let mut problems = Diagnostics::new();
        for page in self.site.project.pages.iter().filter(|page| page.route != ["index"]) {
            let path = urls::page(&page.route);
            let links = Links::on(path.clone());
            // The folder of the Markdown file; a page that is a folder's index stands in that folder.
            let folder = page.route[..page.route.len().saturating_sub(1)].join("/");
            let source = Source {
                text: &page.markdown,
                file: &page.path,
                first_line: Some(page.first_line),
                folder,
            };
            let text = match markdown::render(&source, &page.title, &links, &self.pages) {
                Ok(text) => text,
                Err(found) => {
                    problems.extend(found);
                    continue;
                }
            };
            let home = (self.site_title.clone(), urls::HOME.to_owned());
            let about = page.description.clone().unwrap_or_default();
            let view = PageView {
                page: self.frame(&links, &path, &page.title, &about, vec![home]),
                heading: page.title.clone(),
                text,
            };
            let made_by = page.path.display().to_string();
            self.page(out, path, "page.html", &view, &made_by)?;
        }
        if problems.has_errors() { Err(problems) } else { Ok(()) }
    }
}
