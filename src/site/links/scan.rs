//! Reads one file of the output: its ids, where it leads, and what is wrong in itself.

use std::borrow::Cow;
use std::collections::HashSet;

use super::markup::{self, Tag, scheme};
use super::{Broken, FileLinks, Target, policy};
use crate::site::OutputFile;
use crate::site::urls;

/// Attributes that name ids of the same page, one or several.
const REFERENCES: [&str; 14] = [
    "for",
    "headers",
    "list",
    "form",
    "popovertarget",
    "commandfor",
    "aria-labelledby",
    "aria-describedby",
    "aria-controls",
    "aria-owns",
    "aria-details",
    "aria-flowto",
    "aria-activedescendant",
    "aria-errormessage",
];

/// Attributes of a tag that are compared with the next one.
const MOST_COMPARED: usize = 64;

/// Reads a file: a page or a drawing as markup, a style sheet for its `url(…)`, a sitemap for its addresses.
pub fn scan(file: &OutputFile, base_url: Option<&str>) -> FileLinks {
    let mut found = FileLinks::none(&file.path);
    let kind = file.path.rsplit_once('.').map_or("", |(_, extension)| extension);
    if !matches!(kind, "html" | "svg" | "css") && file.path != "sitemap.xml" {
        return found;
    }
    let Ok(text) = std::str::from_utf8(&file.bytes) else {
        found.broken.push(Broken {
            page: file.path.clone(),
            line: 1,
            written: String::new(),
            message: "the file is not UTF-8".to_owned(),
            help: None,
            certain: true,
        });
        return found;
    };
    let mut scan = Scan {
        root: base_url.map(urls::root_path),
        text,
        counted: (0, 1),
        seen: HashSet::new(),
        own: Vec::new(),
        found: &mut found,
    };
    match kind {
        "css" => scan.style(text, 0),
        "xml" => scan.sitemap(base_url),
        _ => scan.page(),
    }
    found
}

struct Scan<'t, 'f> {
    /// The path part of the base URL, `/repo/`: the 404 page's links start there, and no other page's may.
    root: Option<String>,
    text: &'t str,
    /// A byte and its line: lines are counted on from here.
    counted: (usize, usize),
    /// Links that were looked at.
    seen: HashSet<Cow<'t, str>>,
    /// Links to the file itself.
    own: Vec<Target>,
    found: &'f mut FileLinks,
}

impl<'t> Scan<'t, '_> {
    fn page(&mut self) {
        let mut ids: HashSet<Cow<'t, str>> = HashSet::new();
        let mut references: Vec<(&'t str, Cow<'t, str>, usize)> = Vec::new();
        let text = self.text;
        markup::tags(text, false, |tag| {
            for (index, attribute) in tag.attributes.iter().enumerate() {
                let (name, value) = (attribute.name, attribute.value);
                // Few attributes matter, and most have other lengths or letters: most time of a link check goes here.
                match name.len() {
                    // None that matters; it is `class`.
                    5 => {}
                    2 if name.eq_ignore_ascii_case("id") => self.id(&mut ids, markup::unescape(value), attribute.at),
                    3 if name.eq_ignore_ascii_case("src") => {
                        self.link(tag, name, markup::unescape(value), attribute.at)
                    }
                    4 if name.eq_ignore_ascii_case("href") || name.eq_ignore_ascii_case("data") => {
                        self.link(tag, name, markup::unescape(value), attribute.at);
                    }
                    4 | 6 | 7 | 8 | 10 | 11 if policy::has_addresses(name) => {
                        for address in policy::addresses(name, value) {
                            self.link(tag, name, Cow::Owned(address.into_owned()), attribute.at);
                        }
                    }
                    _ if REFERENCES.iter().any(|reference| name.eq_ignore_ascii_case(reference)) => {
                        references.push((name, markup::unescape(value), attribute.at));
                    }
                    _ => {}
                }
                // A tag of thousands of attributes would be compared with itself for minutes.
                let before = &tag.attributes[index.saturating_sub(MOST_COMPARED)..index];
                if before.iter().any(|other| other.name == name) {
                    self.certain(attribute.at, name, format!("<{}> has `{name}` twice", tag.name));
                }
            }
            if matches!(tag.name.len(), 3 | 4 | 7 | 13 | 16) {
                self.tag(tag);
            }
            if tag.name.eq_ignore_ascii_case("style") {
                self.style(tag.text, tag.text_at);
            }
        });
        // A label may stand before what it names, so ids are looked up when all are known.
        for (name, value, at) in references {
            for id in value.split_ascii_whitespace().filter(|id| !ids.contains(*id)) {
                self.broken(at, id, format!("`{name}` names `#{id}`, which the page does not have"));
            }
        }
        for target in std::mem::take(&mut self.own) {
            if let Some(anchor) = target.anchor.filter(|anchor| !ids.contains(anchor.as_str())) {
                self.found.broken.push(Broken {
                    line: target.line,
                    message: format!(
                        "the link `{}` leads to `#{anchor}`, which `{}` does not have",
                        target.link, target.path
                    ),
                    page: target.path,
                    written: target.link,
                    help: None,
                    certain: false,
                });
            }
        }
    }

    fn id(&mut self, ids: &mut HashSet<Cow<'t, str>>, id: Cow<'t, str>, at: usize) {
        if id.is_empty() || id.contains(|c: char| c.is_ascii_whitespace()) {
            self.certain(at, &id, format!("the id `{id}` is empty or has white space in it"));
            return;
        }
        if ids.contains(&id) {
            self.certain(at, &id, format!("the id `{id}` is given twice"));
            return;
        }
        self.found.ids.push_str(&id);
        self.found.ids.push('\n');
        ids.insert(id);
    }

    /// What a whole tag does.
    fn tag(&mut self, tag: &Tag<'t>) {
        for attribute in &tag.attributes {
            if let Some((message, _)) = policy::refused_attribute(tag, attribute.name, attribute.value) {
                self.certain(attribute.at, attribute.name, message);
            }
        }
        if let Some((address, at)) = policy::refresh(tag) {
            if scheme(&address).is_some() || policy::names_a_host(&address) {
                let message = format!("<meta> takes the reader to `{address}` unasked");
                self.certain(at, &address, message);
            } else {
                self.target(&address, at);
            }
        }
    }

    fn link(&mut self, tag: &Tag<'t>, attribute: &str, link: Cow<'t, str>, at: usize) {
        // Looked at before; what it does depends on the tag only where it names a scheme or a host.
        if self.seen.contains(&link) && !link.as_bytes().contains(&b':') && !policy::names_a_host(&link) {
            return;
        }
        if let Some((message, _)) = policy::refused_address(tag, attribute, &link) {
            self.certain(at, &link, message);
        } else if scheme(&link).is_none() {
            self.target(&link, at);
            self.seen.insert(link);
        }
    }

    fn target(&mut self, link: &str, at: usize) {
        let (path, anchor) = link.split_once('#').map_or((link, None), |(path, id)| (path, Some(id)));
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        let decoded = urls::decode(path).zip(anchor.map_or(Some(None), |id| urls::decode(id).map(Some)));
        let target = decoded.and_then(|(path, anchor)| Some((self.resolve(&path)?, anchor)));
        match target {
            Some((path, anchor)) => {
                let anchor = anchor.filter(|id| !id.is_empty() && id != "top");
                let is_own = path == self.found.path;
                let target = Target {
                    path,
                    anchor: anchor.map(Cow::into_owned),
                    link: link.to_owned(),
                    line: self.line(at),
                };
                let targets = if is_own { &mut self.own } else { &mut self.found.targets };
                targets.push(target);
            }
            None => {
                let message =
                    format!("the link `{link}` leaves the site, or works only where the site stands at one address");
                self.certain(at, link, message);
            }
        }
    }

    fn resolve(&self, path: &str) -> Option<String> {
        let page = self.found.path.as_str();
        if path.is_empty() {
            return Some(page.to_owned());
        }
        // With the slash at its end, or empty.
        let mut folder = &page[..page.rfind('/').map_or(0, |slash| slash + 1)];
        let root = self.root.as_deref().filter(|_| page == urls::NOT_FOUND);
        let mut path = match root.and_then(|root| path.strip_prefix(root)) {
            Some(rest) => {
                folder = "";
                rest
            }
            // It would work on some servers, and neither from disk nor under another path.
            None if path.starts_with('/') => return None,
            None => path,
        };
        // Almost all links go up, and then down.
        while let Some(rest) = path.strip_prefix("../") {
            let inner = folder.strip_suffix('/')?;
            folder = &inner[..inner.rfind('/').map_or(0, |slash| slash + 1)];
            path = rest;
        }
        if !path.starts_with('.') && !path.contains("/.") {
            return Some([folder, path].concat());
        }
        let mut parts: Vec<&str> = folder.split_terminator('/').collect();
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

    /// The addresses of a style sheet, which begins at a byte of the file.
    fn style(&mut self, css: &'t str, begins: usize) {
        for (address, at) in markup::css_urls(css) {
            if let Some(message) = policy::refused_in_style(address) {
                self.certain(begins + at, address, message);
            } else if scheme(address).is_none() && !address.starts_with('#') {
                self.target(address, begins + at);
            }
        }
    }

    /// Every address of a sitemap is a page of the site.
    fn sitemap(&mut self, base_url: Option<&str>) {
        let Some(base_url) = base_url else { return };
        let start = format!("{}/", base_url.trim_end_matches('/'));
        let text = self.text;
        for (open, _) in text.match_indices("<loc>") {
            let at = open + "<loc>".len();
            let address = &text[at..at + text[at..].find('<').unwrap_or(text.len() - at)];
            let address = markup::unescape(address);
            let path = address.strip_prefix(start.as_str()).and_then(urls::decode);
            let Some(path) = path else {
                self.broken(
                    at,
                    &address,
                    format!("`{address}` is not an address under `{base_url}`"),
                );
                continue;
            };
            let mut path = path.into_owned();
            if path.is_empty() || path.ends_with('/') {
                path += urls::HOME;
            }
            let line = self.line(at);
            self.found.targets.push(Target {
                path,
                anchor: None,
                link: address.into_owned(),
                line,
            });
        }
    }

    /// The line of a byte; quick if bytes come in their order.
    fn line(&mut self, at: usize) -> usize {
        let (byte, line) = self.counted;
        let bytes = self.text.as_bytes();
        self.counted = if at >= byte {
            (at, line + memchr::memchr_iter(b'\n', &bytes[byte..at]).count())
        } else {
            (at, 1 + memchr::memchr_iter(b'\n', &bytes[..at]).count())
        };
        self.counted.1
    }

    /// Something that is wrong with any results.
    fn certain(&mut self, at: usize, written: &str, message: String) {
        self.broken(at, written, message);
        if let Some(broken) = self.found.broken.last_mut() {
            broken.certain = true;
        }
    }

    fn broken(&mut self, at: usize, written: &str, message: String) {
        let line = self.line(at);
        self.found.broken.push(Broken {
            page: self.found.path.clone(),
            line,
            written: written.to_owned(),
            message,
            help: None,
            certain: false,
        });
    }
}
