//! Where links and images lead: written as seen from the Markdown file, made to work from the page wherever the site
//! stands.

use super::{Refusal, Setting, Source};
use crate::diagnostic::Diagnostic;
use crate::site::links::policy::names_a_host;
use crate::site::links::scheme;
use crate::site::urls;

/// Checks and rewrites the addresses of one text.
pub struct Addresses<'a> {
    /// The text.
    pub source: &'a Source<'a>,
    /// The page it stands on, and the pages there are.
    pub setting: &'a Setting<'a>,
    /// What was wrong so far.
    pub refused: Vec<Refusal>,
}

/// Whether a link leaves the site.
pub fn is_external(target: &str) -> bool {
    matches!(scheme(target).as_deref(), Some("http" | "https"))
}

impl Addresses<'_> {
    /// The address of a link that is written at `at`.
    pub fn link(&mut self, target: &str, at: usize) -> String {
        match scheme(target).as_deref() {
            Some("http" | "https" | "mailto" | "tel") => target.to_owned(),
            Some(_) => self.refuse(
                format!("link to `{target}`"),
                "an address with http, https or mailto, or a path",
                at,
            ),
            None if target.starts_with('#') || target.is_empty() => target.to_owned(),
            None => self.internal(target, at),
        }
    }

    /// The address of an image.
    pub fn image(&mut self, target: &str, at: usize) -> String {
        match scheme(target) {
            Some(_) => self.refuse(
                format!("image from `{target}`"),
                "a file of the project: a site loads nothing from another host; put the image into static/",
                at,
            ),
            None => self.internal(target, at),
        }
    }

    /// A path within the site, as a link from the page.
    fn internal(&mut self, target: &str, at: usize) -> String {
        if names_a_host(target) {
            return self.refuse(
                format!("link to `{target}`"),
                "an address with its scheme, or a path",
                at,
            );
        }
        let (path, fragment) = target
            .split_once('#')
            .map_or((target, None), |(path, rest)| (path, Some(rest)));
        let Some(path) = urls::decode(path) else {
            return self.refuse(format!("link to `{target}`"), "a percent-encoded path", at);
        };
        let at_source = || self.setting.book?.at_source(&self.source.folder, target);
        let Some(file) = resolve(&self.source.folder, &path) else {
            // Out of a book, into its repository.
            if let Some(address) = at_source() {
                return address;
            }
            return self.refuse(format!("link to `{target}`"), "a path within the site", at);
        };
        if self.setting.book.is_some_and(|book| book.elsewhere.contains(&file))
            && let Some(address) = at_source()
        {
            return address;
        }
        let page = match file.rsplit('/').next().unwrap_or("") {
            name if name.ends_with(".md") => match self.setting.pages.get(&self.setting.content.join(&file)) {
                Some(page) => page.clone(),
                None => {
                    return self.refuse(
                        format!("link to `{target}`"),
                        "a Markdown file that is built (not a draft)",
                        at,
                    );
                }
            },
            "" => format!("{file}{}", urls::HOME),
            name if !name.contains('.') => format!("{file}/{}", urls::HOME),
            _ => file,
        };
        let fragment = fragment.map_or(String::new(), |fragment| format!("#{fragment}"));
        self.setting.links.to(&page) + &fragment
    }

    fn refuse(&mut self, found: String, expected: &str, at: usize) -> String {
        let error = Diagnostic::content(found).expected(expected);
        self.refused.push(Refusal::at(at, error));
        String::new()
    }
}

/// A path as seen from a folder of the site, from the root when it starts with a slash; none when it leaves the site.
fn resolve(folder: &str, path: &str) -> Option<String> {
    let (base, path) = match path.strip_prefix('/') {
        Some(path) => ("", path),
        None => (folder, path),
    };
    let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}
