//! Checks every link of the finished output: pages, assets and anchors that do not exist, ids given twice, anything
//! loaded from another host.
//!
//! The scanner knows as much HTML as our own output has; it is no parser for pages from elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::render::OutputFile;
use crate::site::urls;

/// Collects pages one by one and tells at the end what is broken; holds each target once, not each link.
#[derive(Debug, Default)]
pub struct LinkCheck {
    /// The path part of the base URL, `/repo/`: the 404 page's links start there, and no other page's may.
    root: Option<String>,
    files: BTreeSet<String>,
    /// Anchors that pages have, `path#id`, of pages that somebody links into.
    anchors: BTreeSet<String>,
    /// Target file and anchor → the first page and link that name it.
    targets: BTreeMap<(String, Option<String>), (String, String)>,
    problems: Diagnostics,
}

impl LinkCheck {
    /// Nothing checked yet.
    pub fn new(base_url: Option<&str>) -> Self {
        Self {
            root: base_url.map(urls::root_path),
            ..Self::default()
        }
    }

    /// Takes note of a file, and of a page's ids and links.
    pub fn add(&mut self, file: &OutputFile) {
        self.files.insert(file.path.clone());
        if !file.path.ends_with(".html") {
            return;
        }
        let Ok(page) = std::str::from_utf8(&file.bytes) else {
            self.problem(&file.path, "the page is not UTF-8".to_owned());
            return;
        };
        let mut ids = BTreeSet::new();
        for (tag, name, value) in attributes(page) {
            match name.as_str() {
                "id" => {
                    if !ids.insert(value.clone()) {
                        self.problem(&file.path, format!("the id `{value}` is given twice"));
                    }
                    self.anchors.insert(format!("{}#{value}", file.path));
                }
                "href" | "src" => self.link(&file.path, &tag, &value),
                _ => {}
            }
        }
    }

    fn link(&mut self, page: &str, tag: &str, link: &str) {
        match scheme(link).as_deref() {
            Some("http" | "https") if tag == "a" || tag == "area" => return,
            // Canonical links and feeds are not loaded; style sheets and icons are, and are never absolute here.
            Some("http" | "https") if tag == "link" => return,
            Some("mailto" | "tel") => return,
            Some("data") if tag == "img" => return,
            Some(_) => {
                return self.problem(
                    page,
                    format!("<{tag}> leads to `{link}`, which a site must not load or run"),
                );
            }
            None => {}
        }
        let (path, anchor) = link.split_once('#').map_or((link, None), |(path, id)| (path, Some(id)));
        let decoded = urls::decode(path).zip(anchor.map_or(Some(None), |id| urls::decode(id).map(Some)));
        let target = decoded.and_then(|(path, anchor)| Some((self.resolve(page, &path)?, anchor)));
        match target {
            Some((path, anchor)) => {
                let anchor = anchor.filter(|id| !id.is_empty() && id != "top");
                self.targets
                    .entry((path, anchor))
                    .or_insert_with(|| (page.to_owned(), link.to_owned()));
            }
            None => self.problem(
                page,
                format!("the link `{link}` leaves the site, or works only where the site stands at one address"),
            ),
        }
    }

    fn resolve(&self, page: &str, path: &str) -> Option<String> {
        if path.is_empty() {
            return Some(page.to_owned());
        }
        let mut parts: Vec<&str> = page.split('/').collect();
        parts.pop();
        let root = self.root.as_deref().filter(|_| page == urls::NOT_FOUND);
        let path = match root.and_then(|root| path.strip_prefix(root)) {
            Some(rest) => {
                parts.clear();
                rest
            }
            // It would work on some servers, and neither from disk nor under another path.
            None if path.starts_with('/') => return None,
            None => path,
        };
        for part in path.split('/') {
            match part {
                ".." => {
                    parts.pop()?;
                }
                "." => {}
                part => parts.push(part),
            }
        }
        Some(parts.join("/"))
    }

    fn problem(&mut self, page: &str, message: String) {
        self.problems
            .push(Diagnostic::output(message).place(format!("page {page}")));
    }

    /// Everything that is broken.
    pub fn finish(mut self) -> Diagnostics {
        for ((path, anchor), (page, link)) in std::mem::take(&mut self.targets) {
            if !self.files.contains(&path) {
                let message = format!("the link `{link}` leads to `{path}`, which the site does not have");
                self.problem(&page, message);
            } else if let Some(anchor) = anchor
                && path.ends_with(".html")
                && !self.anchors.contains(&format!("{path}#{anchor}"))
            {
                self.problem(
                    &page,
                    format!("the link `{link}` leads to `#{anchor}`, which `{path}` does not have"),
                );
            }
        }
        self.problems
    }
}

/// The scheme of an address, lower case, as a browser finds it: blanks and controls before and within it do not count.
pub fn scheme(address: &str) -> Option<String> {
    let cleaned: String = address.chars().filter(|c| !matches!(c, '\t' | '\n' | '\r')).collect();
    let cleaned = cleaned.trim_start_matches(|c: char| c <= ' ');
    let (scheme, _) = cleaned.split_once(':')?;
    let valid = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    valid.then(|| scheme.to_ascii_lowercase())
}

/// Every attribute of every tag of a page: tag, name (both lower case) and value with its entities undone.
pub fn attributes(page: &str) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = comment.find("-->").map_or("", |end| &comment[end + 3..]);
            continue;
        }
        if !rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            continue;
        }
        let end = rest
            .find(|c: char| c.is_whitespace() || c == '>' || c == '/')
            .unwrap_or(rest.len());
        let tag = rest[..end].to_ascii_lowercase();
        rest = tag_attributes(&rest[end..], &tag, &mut found);
        // What is inside these is no markup.
        if matches!(tag.as_str(), "script" | "style" | "title" | "textarea") {
            rest = rest.find(&format!("</{tag}")).map_or("", |end| &rest[end..]);
        }
    }
    found
}

fn tag_attributes<'a>(mut rest: &'a str, tag: &str, found: &mut Vec<(String, String, String)>) -> &'a str {
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        if rest.is_empty() {
            return rest;
        }
        if let Some(after) = rest.strip_prefix('>') {
            return after;
        }
        let end = rest
            .find(|c: char| c.is_whitespace() || "=>/".contains(c))
            .unwrap_or(rest.len())
            .max(1);
        let end = (end..=rest.len())
            .find(|&i| rest.is_char_boundary(i))
            .unwrap_or(rest.len());
        let name = rest[..end].to_ascii_lowercase();
        rest = rest[end..].trim_start();
        let mut value = "";
        if let Some(after) = rest.strip_prefix('=') {
            let after = after.trim_start();
            let quote = after.chars().next().filter(|c| *c == '"' || *c == '\'');
            (value, rest) = match quote {
                Some(quote) => after[1..].split_once(quote).unwrap_or((&after[1..], "")),
                None => after.split_at(
                    after
                        .find(|c: char| c.is_whitespace() || c == '>')
                        .unwrap_or(after.len()),
                ),
            };
        }
        found.push((tag.to_owned(), name, unescape(value)));
    }
}

/// Undoes the entities that our own escaping writes, and numeric ones, which raw HTML may hide a scheme with.
fn unescape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(start) = rest.find('&') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest.find(';').unwrap_or(0);
        let known = match &rest[1.min(end)..end] {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "colon" => Some(':'),
            "Tab" => Some('\t'),
            "NewLine" => Some('\n'),
            code => code.strip_prefix('#').and_then(|code| {
                let hex = code.strip_prefix(['x', 'X']).map(|hex| u32::from_str_radix(hex, 16));
                char::from_u32(hex.unwrap_or_else(|| code.parse()).ok()?)
            }),
        };
        match known {
            Some(c) => {
                out.push(c);
                rest = &rest[end + 1..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(base_url: Option<&str>, files: &[(&str, &str)]) -> Vec<String> {
        let mut check = LinkCheck::new(base_url);
        for (path, text) in files {
            check.add(&OutputFile {
                path: (*path).to_owned(),
                bytes: text.as_bytes().to_vec(),
            });
        }
        check.finish().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn good_links_pass() {
        let page = "<!doctype html><!-- <a href=no> --><link rel=stylesheet href='../a%20b.css'><a href=\"../index.html#x\">x</a>\
                    <script src=../s.js>'<a href=no>'</script><a href=\"https://elsewhere/\">e</a>";
        let files = [
            ("d/index.html", page),
            ("index.html", "<p id=\"x\"></p><a href=#x>"),
            ("a b.css", ""),
            ("s.js", ""),
        ];
        assert_eq!(check(None, &files), Vec::<String>::new());
        let not_found = [("404.html", "<a href=\"/repo/index.html\">"), ("index.html", "")];
        assert_eq!(check(Some("https://x/repo"), &not_found), Vec::<String>::new());
    }

    #[test]
    fn broken_ones_are_told_with_their_page() {
        let page = "<a href=\"gone.html\"></a><a href=\"#gone\"></a><a href=\"../../x\"></a><img src=\"https://e/x.png\">\
                    <a href=\"/index.html\"></a><i id=a></i><i id=a></i><a href=\"JavaScript&colon;x\"></a>";
        let found = check(None, &[("index.html", page)]);
        for expected in [
            "`gone.html` leads to `gone.html`",
            "`#gone`, which",
            "`../../x` leaves the site",
            "`/index.html` leaves the site",
            "https://e/x.png",
            "given twice",
            "must not load or run",
        ] {
            assert!(
                found
                    .iter()
                    .any(|problem| problem.contains(expected) && problem.starts_with("page index.html")),
                "{expected}: {found:?}"
            );
        }
        assert_eq!(found.len(), 7, "{found:?}");
    }

    #[test]
    fn a_scheme_is_found_as_a_browser_finds_it() {
        assert_eq!(scheme(" \u{1}JAVA\nscript:x").as_deref(), Some("javascript"));
        assert_eq!(scheme("a/b:c"), None);
        assert_eq!(scheme("../x"), None);
    }
}
